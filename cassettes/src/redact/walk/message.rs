//! Prose of servers and webhooks: the users and the values it quotes.

use std::sync::LazyLock;

use regex::Regex;

use super::Walk;
use super::treat::pseudonymous;
use crate::redact::dictionary::Reach;
use crate::redact::pseudonym::is_placeholder;

static USER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"(?i)\buser \\?"([^"\\]+)\\?""#).expect("a pattern of our own"));
/// `data[p]: Invalid value: "x"`; the member is told only where the message stands for itself.
static INVALID: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?:(\S+): )?(Invalid value: |Unsupported value: )"((?:[^"\\]|\\.)*)""#).expect("a pattern of our own")
});

/// Whether a member of a sensitive object holds no secret.
pub(super) fn is_harmless(field: &str) -> bool {
    let first = field.split(['.', '[']).next().unwrap_or_default();
    matches!(first, "metadata" | "type" | "immutable" | "kind" | "apiVersion")
}

impl Walk<'_> {
    /// Prose of a server or a webhook: users, quoted values of sensitive resources, secrets seen before, and all that
    /// running text may hold.
    pub(in crate::redact) fn message(&mut self, text: &str) -> Option<String> {
        let mut out = self.running(text, None).unwrap_or_else(|| text.to_owned());
        if let Some(known) = self.core.known(&out) {
            out = known;
        }
        let user = |c: &regex::Captures<'_>| match pseudonymous(self.core, &c[1], Reach::Words) {
            Some(name) => c[0].replace(&c[1], &name),
            None => c[0].to_owned(),
        };
        out = USER.replace_all(&out, user).into_owned();
        if self.context.is_sensitive() && !self.harmless {
            out = INVALID.replace_all(&out, |c: &regex::Captures<'_>| self.echo(c)).into_owned();
        }
        (out != text).then(|| {
            self.changed = true;
            out
        })
    }

    /// A refusal's quotation of a sensitive object, with the value gone.
    fn echo(&self, quoted: &regex::Captures<'_>) -> String {
        let field = quoted.get(1).map_or("", |field| field.as_str());
        if quoted[3].is_empty() || is_placeholder(&quoted[3]) || is_harmless(field) {
            return quoted[0].to_owned();
        }
        let told = if field.is_empty() { String::new() } else { format!("{field}: ") };
        format!("{told}{}\"{}\"", &quoted[2], self.core.flat(quoted[3].as_bytes(), Reach::Words))
    }

    /// One line of running text: a header, a path, a value of a query.
    pub(in crate::redact) fn line(&mut self, text: &str) -> Option<String> {
        self.running(text, None)
    }
}
