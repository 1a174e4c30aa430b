//! Field selectors: `metadata.name=a,status.phase!=Running`.
//!
//! Counterpart: apimachinery `fields`. `\`, `,` and `=` in values are escaped with a backslash. Which fields a resource
//! knows is not decided here; see [`FieldSelector::fields`].

use std::fmt;
use std::str::FromStr;

/// One term.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldTerm {
    /// Field path, such as `metadata.name`.
    pub field: String,
    /// Wanted (or unwanted) value.
    pub value: String,
    /// `!=` rather than `=`.
    pub negated: bool,
}

/// A conjunction of terms; the empty one matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldSelector {
    terms: Vec<FieldTerm>,
}

impl FieldSelector {
    /// Matches everything.
    #[must_use]
    pub fn everything() -> Self {
        Self::default()
    }

    /// A single `field=value`.
    #[must_use]
    pub fn equal(field: &str, value: &str) -> Self {
        Self { terms: vec![FieldTerm { field: field.to_owned(), value: value.to_owned(), negated: false }] }
    }

    /// Adds a term.
    #[must_use]
    pub fn and(mut self, term: FieldTerm) -> Self {
        self.terms.push(term);
        self
    }

    /// Parses the text of a query parameter. Terms come out in the order of their texts.
    ///
    /// # Errors
    /// The server's text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = split_terms(text);
        parts.sort_unstable();
        let mut terms = Vec::new();
        for part in parts.into_iter().filter(|p| !p.is_empty()) {
            let Some((field, negated, value)) = split_term(part) else {
                return Err(format!("invalid selector: '{text}'; can't understand '{part}'"));
            };
            terms.push(FieldTerm { field: field.to_owned(), value: unescape(value)?, negated });
        }
        Ok(Self { terms })
    }

    /// The terms.
    #[must_use]
    pub fn terms(&self) -> &[FieldTerm] {
        &self.terms
    }

    /// The fields it asks for, in order, with repetitions.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.terms.iter().map(|t| t.field.as_str())
    }

    /// Whether it matches everything.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    /// The only value a field may have, if a term says so (`RequiresExactMatch`).
    #[must_use]
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.terms.iter().find(|t| !t.negated && t.field == field).map(|t| t.value.as_str())
    }

    /// Whether fields, looked up through a closure, satisfy all terms; a missing field is the empty text.
    pub fn matches<'a>(&self, lookup: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.terms.iter().all(|t| (lookup(&t.field).unwrap_or_default() == t.value) != t.negated)
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, term) in self.terms.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let operator = if term.negated { "!=" } else { "=" };
            write!(f, "{comma}{}{operator}{}", term.field, escape(&term.value))?;
        }
        Ok(())
    }
}

impl FromStr for FieldSelector {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }
}

fn split_terms(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                parts.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn split_term(term: &str) -> Option<(&str, bool, &str)> {
    for (i, _) in term.char_indices() {
        let (field, rest) = term.split_at(i);
        if let Some(value) = rest.strip_prefix("!=") {
            return Some((field, true, value));
        }
        if let Some(value) = rest.strip_prefix("==").or_else(|| rest.strip_prefix('=')) {
            return Some((field, false, value));
        }
    }
    None
}

fn unescape(value: &str) -> Result<String, String> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => out.push(c),
                Some(c) => return Err(format!("invalid field selector: invalid escape sequence: \\{c}")),
                None => return Err("invalid field selector: invalid escape sequence: \\".into()),
            },
            // The server prints the character as a number.
            ',' | '=' => return Err(format!("invalid field selector: unescaped character in value: {}", c as u32)),
            c => out.push(c),
        }
    }
    Ok(out)
}

fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, '\\' | ',' | '=') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn terms_are_sorted_and_unescaped() {
        let selector = FieldSelector::parse("b!=2,,a==x\\,y\\=\\\\,").unwrap();
        assert_eq!(selector.to_string(), "a=x\\,y\\=\\\\,b!=2");
        assert_eq!(selector.exact("a"), Some("x,y=\\"));
        assert_eq!(selector.exact("b"), None);
    }

    #[test]
    fn refusals_read_as_the_server_writes_them() {
        let cases = [
            ("foo", "invalid selector: 'foo'; can't understand 'foo'"),
            ("a=b,foo", "invalid selector: 'a=b,foo'; can't understand 'foo'"),
            ("a=b=c", "invalid field selector: unescaped character in value: 61"),
            ("a=\\x", "invalid field selector: invalid escape sequence: \\x"),
            ("a=\\", "invalid field selector: invalid escape sequence: \\"),
        ];
        for (text, error) in cases {
            assert_eq!(FieldSelector::parse(text).unwrap_err(), error);
        }
    }

    #[test]
    fn a_missing_field_is_the_empty_text() {
        let lookup = |field: &str| (field == "metadata.name").then_some("a");
        assert!(FieldSelector::parse("metadata.name=a,spec.nodeName=").unwrap().matches(lookup));
        assert!(!FieldSelector::parse("metadata.name!=a").unwrap().matches(lookup));
        assert!(FieldSelector::everything().matches(lookup));
    }

    proptest! {
        #[test]
        fn printing_then_parsing_keeps_the_terms(terms in proptest::collection::vec(("[a-z.]{1,8}", "\\PC{0,8}", any::<bool>()), 0..4)) {
            let selector = terms.into_iter().fold(FieldSelector::everything(), |s, (field, value, negated)| {
                s.and(FieldTerm { field, value, negated })
            });
            let again = FieldSelector::parse(&selector.to_string()).unwrap();
            let sorted = |s: &FieldSelector| {
                let mut terms: Vec<_> = s.terms().iter().map(|t| format!("{t:?}")).collect();
                terms.sort();
                terms
            };
            prop_assert_eq!(sorted(&again), sorted(&selector));
        }
    }
}
