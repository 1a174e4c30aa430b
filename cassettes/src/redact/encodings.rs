//! The forms in which one secret may stand in a text, and how its placeholder is written in each.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// What a URL's component leaves as it is.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// Bytes of a secret that its base64 is recognised by; the rest is seen when the run is decoded.
const ENOUGH: usize = 48;

/// A form of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Plain,
    /// In a JSON string, or in one within one.
    Json {
        twice: bool,
    },
    Percent,
    /// Within base64, this many bytes after a group of three began.
    Base64 {
        lead: usize,
    },
}

impl Form {
    /// How many characters of a base64 group come before the ones that belong to the secret alone.
    pub(super) fn skipped(lead: usize) -> usize {
        match lead {
            0 => 0,
            1 => 2,
            _ => 3,
        }
    }

    /// A placeholder in this form; base64 is written elsewhere, a whole run at a time.
    pub(super) fn write(self, placeholder: &str) -> String {
        match self {
            Self::Plain | Self::Base64 { .. } => placeholder.to_owned(),
            Self::Json { twice: false } => escape(placeholder),
            Self::Json { twice: true } => escape(&escape(placeholder)),
            Self::Percent => percent_encode(placeholder.as_bytes(), COMPONENT).to_string(),
        }
    }
}

/// All forms of a secret, none twice.
pub(super) fn forms(secret: &[u8]) -> Vec<(Form, Vec<u8>)> {
    let mut forms: Vec<(Form, Vec<u8>)> = vec![(Form::Plain, secret.to_vec())];
    let mut add = |form: Form, bytes: Vec<u8>| {
        if !forms.iter().any(|(_, known)| *known == bytes) {
            forms.push((form, bytes));
        }
    };
    if let Ok(text) = std::str::from_utf8(secret) {
        let once = escape(text);
        let twice = escape(&once);
        add(Form::Json { twice: false }, html(&once).into_bytes());
        add(Form::Json { twice: true }, html(&twice).into_bytes());
        add(Form::Json { twice: false }, once.into_bytes());
        add(Form::Json { twice: true }, twice.into_bytes());
    }
    for set in [COMPONENT, NON_ALPHANUMERIC] {
        let percent = percent_encode(secret, set).to_string();
        add(Form::Percent, percent.replace("%20", "+").into_bytes());
        add(Form::Percent, lower_hex(&percent).into_bytes());
        add(Form::Percent, percent.into_bytes());
    }
    let head = &secret[..secret.len().min(ENOUGH)];
    for lead in 0..3 {
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let text = engine.encode([&[0, 0][..lead], head].concat());
            let whole = (lead + head.len()) * 8 / 6;
            if let Some(own) = text.get(Form::skipped(lead)..whole) {
                add(Form::Base64 { lead }, own.as_bytes().to_vec());
            }
        }
    }
    forms
}

fn escape(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// As Go's encoder escapes what HTML would mind.
fn html(text: &str) -> String {
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn lower_hex(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut hex = 0;
    for c in text.chars() {
        out.push(if hex > 0 { c.to_ascii_lowercase() } else { c });
        hex = if c == '%' { 2_u8 } else { hex.saturating_sub(1) };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;

    #[test]
    fn a_secret_is_recognised_wherever_it_stands_in_base64() {
        let forms = forms(b"s3cr3t?value>");
        for lead in 0..7 {
            let text = STANDARD.encode([&b"abcdefg"[..lead], b"s3cr3t?value>", b"tail"].concat());
            let hit = forms.iter().any(|(form, bytes)| {
                *form == Form::Base64 { lead: lead % 3 } && text.contains(std::str::from_utf8(bytes).unwrap())
            });
            assert!(hit, "{lead}");
        }
    }

    #[test]
    fn escapes_are_forms_too() {
        let all: Vec<String> = forms(b"a\"b c&d\n").into_iter().map(|(_, b)| String::from_utf8(b).unwrap()).collect();
        for form in [
            "a\"b c&d\n",
            r#"a\"b c&d\n"#,
            r#"a\"b c\u0026d\n"#,
            "a%22b%20c%26d%0A",
            "a%22b+c%26d%0A",
            "a%22b%20c%26d%0a",
        ] {
            assert!(all.iter().any(|f| f == form), "{form}");
        }
    }
}
