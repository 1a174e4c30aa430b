//! `Warning` headers of responses: reading them, and who hears of them.
//!
//! Counterpart: apimachinery `net.ParseWarningHeaders` and client-go `rest/warnings.go`.

use http::HeaderMap;
use http::header::WARNING;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::io::Write;

/// One warning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// Code; kube-apiserver sends 299.
    pub code: u16,
    /// Agent; kube-apiserver sends `-`.
    pub agent: String,
    /// Text, unquoted.
    pub text: String,
}

/// Hears warnings.
pub trait WarningHandler: Send + Sync {
    /// Called for each warning of each response, in order.
    fn handle(&self, warning: &Warning);
}

/// Says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoWarnings;

impl WarningHandler for NoWarnings {
    fn handle(&self, _: &Warning) {}
}

/// Logs those with code 299 and a text. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogWarnings;

impl WarningHandler for LogWarnings {
    fn handle(&self, warning: &Warning) {
        if warning.code == 299 && !warning.text.is_empty() {
            tracing::warn!(target: "client::warnings", "{}", warning.text);
        }
    }
}

/// Writes `Warning: <text>` lines, by choice each text only once, by choice in yellow.
pub struct WriteWarnings<W> {
    to: Mutex<(W, BTreeSet<String>)>,
    deduplicate: bool,
    color: bool,
}

impl<W: Write + Send> WriteWarnings<W> {
    /// Writes every warning, plainly.
    pub fn new(to: W) -> Self {
        Self { to: Mutex::new((to, BTreeSet::new())), deduplicate: false, color: false }
    }

    /// Writes each text once.
    #[must_use]
    pub fn deduplicate(mut self) -> Self {
        self.deduplicate = true;
        self
    }

    /// Writes in color.
    #[must_use]
    pub fn color(mut self) -> Self {
        self.color = true;
        self
    }
}

impl<W: Write + Send> WarningHandler for WriteWarnings<W> {
    fn handle(&self, warning: &Warning) {
        if warning.code != 299 || warning.text.is_empty() {
            return;
        }
        let mut to = self.to.lock();
        if self.deduplicate && !to.1.insert(warning.text.clone()) {
            return;
        }
        let word = if self.color { "\u{1b}[33;1mWarning:\u{1b}[0m" } else { "Warning:" };
        // Nobody can be told that warnings cannot be written.
        let _ = writeln!(to.0, "{word} {}", warning.text);
    }
}

/// All warnings of a response; what is malformed is dropped with the rest of its header.
pub(crate) fn parse(headers: &HeaderMap) -> Vec<Warning> {
    let mut found = Vec::new();
    for value in headers.get_all(WARNING) {
        let Ok(mut rest) = std::str::from_utf8(value.as_bytes()) else { continue };
        while !rest.trim().is_empty() {
            let Some((warning, after)) = parse_one(rest.trim_start()) else { break };
            found.push(warning);
            rest = after;
        }
    }
    found
}

/// `code agent "text" ["date"]`, up to and with the comma.
fn parse_one(text: &str) -> Option<(Warning, &str)> {
    let (code, rest) = text.split_once(' ')?;
    if code.len() != 3 {
        return None;
    }
    let code = code.parse().ok()?;
    let (agent, rest) = rest.split_once(' ')?;
    let (quoted, rest) = parse_quoted(rest.trim_start())?;
    let mut rest = rest.trim_start();
    if rest.starts_with('"') {
        rest = parse_quoted(rest)?.1.trim_start();
    }
    let rest = if rest.is_empty() { rest } else { rest.strip_prefix(',')? };
    let printable = quoted.chars().filter(|c| !c.is_control()).collect();
    Some((Warning { code, agent: agent.to_owned(), text: printable }, rest))
}

fn parse_quoted(text: &str) -> Option<(String, &str)> {
    let mut chars = text.strip_prefix('"')?.char_indices();
    let mut out = String::new();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, &text[at + 2..])),
            '\\' => out.push(chars.next()?.1),
            c => out.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(values: &[&str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WARNING, value.parse().unwrap());
        }
        parse(&headers).into_iter().map(|w| format!("{} {} {}", w.code, w.agent, w.text)).collect()
    }

    #[test]
    fn warnings_are_unquoted_and_split_at_commas_outside_quotes() {
        assert_eq!(
            texts(&[r#"299 - "a \"b\", c" "Wed, 21 Oct 2015 07:28:00 GMT", 299 x "d""#, r#"299 - "e""#]),
            [r#"299 - a "b", c"#, "299 x d", "299 - e"]
        );
    }

    #[test]
    fn malformed_headers_are_dropped() {
        assert_eq!(texts(&["nonsense", r#"29 - "x""#, r#"299 - "open"#, "299 - bare"]), [""; 0]);
    }

    #[test]
    fn a_writer_can_say_each_thing_once() {
        let handler = WriteWarnings::new(Vec::new()).deduplicate();
        for (code, text) in [(299, "a"), (299, "a"), (299, "b"), (199, "c"), (299, "")] {
            handler.handle(&Warning { code, agent: "-".into(), text: text.into() });
        }
        assert_eq!(String::from_utf8(handler.to.into_inner().0).unwrap(), "Warning: a\nWarning: b\n");
    }
}
