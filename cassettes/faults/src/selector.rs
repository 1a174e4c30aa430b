//! Label and field selectors as kubectl writes them: `app in (a,b),!canary` and `spec.nodeName=,status.phase!=Running`.
//!
//! Counterparts: `k8s.io/apimachinery/pkg/labels.Parse` and `pkg/fields.ParseSelector`; here a field selector may name any
//! member of the object.

use std::fmt;

use serde_json::Value;

use crate::object::{member, scalar};

/// A label selector: all requirements hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LabelSelector(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operator {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
    Greater(i64),
    Less(i64),
}

impl LabelSelector {
    /// Reads a selector. What is wrong is said in the words of the server, shortened.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader { rest: text.trim_start() };
        let mut requirements = vec![reader.requirement()?];
        while reader.eat(",") {
            requirements.push(reader.requirement()?);
        }
        if reader.rest.is_empty() { Ok(Self(requirements)) } else { Err(reader.unexpected("`,` or the end")) }
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        let labels = object.get("metadata").and_then(|meta| meta.get("labels"));
        let label = |key: &str| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
        self.0.iter().all(|requirement| requirement.operator.admits(label(&requirement.key)))
    }

    /// Two requirements that no label can meet both.
    pub(crate) fn contradiction(&self) -> Option<String> {
        let pairs =
            self.0.iter().enumerate().flat_map(|(n, one)| self.0.iter().skip(n + 1).map(move |other| (one, other)));
        let mut clashes = pairs.filter(|(one, other)| one.key == other.key && one.operator.excludes(&other.operator));
        clashes.next().map(|(one, other)| format!("`{one}` and `{other}` exclude each other"))
    }
}

impl Operator {
    fn admits(&self, label: Option<&str>) -> bool {
        let number = || label.and_then(|text| text.parse::<i64>().ok());
        match self {
            Self::In(values) => label.is_some_and(|label| values.iter().any(|value| value == label)),
            Self::NotIn(values) => label.is_none_or(|label| values.iter().all(|value| value != label)),
            Self::Exists => label.is_some(),
            Self::Absent => label.is_none(),
            Self::Greater(bound) => number().is_some_and(|n| n > *bound),
            Self::Less(bound) => number().is_some_and(|n| n < *bound),
        }
    }

    /// Whether no label meets both. May say no where the truth is yes.
    fn excludes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Absent, other) | (other, Self::Absent) => !matches!(other, Self::NotIn(_) | Self::Absent),
            (Self::In(values), other) | (other, Self::In(values)) => {
                !values.iter().any(|value| other.admits(Some(value)))
            }
            (Self::Greater(least), Self::Less(most)) | (Self::Less(most), Self::Greater(least)) => {
                most.saturating_sub(1) <= *least
            }
            _ => false,
        }
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        join(f, &self.0)
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, operator } = self;
        match operator {
            Operator::In(values) => match values.as_slice() {
                [value] => write!(f, "{key}={value}"),
                values => write!(f, "{key} in ({})", values.join(",")),
            },
            Operator::NotIn(values) => match values.as_slice() {
                [value] => write!(f, "{key}!={value}"),
                values => write!(f, "{key} notin ({})", values.join(",")),
            },
            Operator::Exists => write!(f, "{key}"),
            Operator::Absent => write!(f, "!{key}"),
            Operator::Greater(bound) => write!(f, "{key}>{bound}"),
            Operator::Less(bound) => write!(f, "{key}<{bound}"),
        }
    }
}

fn join<T: fmt::Display>(f: &mut fmt::Formatter<'_>, parts: &[T]) -> fmt::Result {
    for (n, part) in parts.iter().enumerate() {
        if n > 0 {
            f.write_str(",")?;
        }
        write!(f, "{part}")?;
    }
    Ok(())
}

/// What of a label selector is still to be read.
struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    fn eat(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    /// Everything up to a sign or a space.
    fn word(&mut self) -> &'t str {
        let end = self.rest.find(|c: char| c.is_whitespace() || "=!(),<>".contains(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        word
    }

    fn unexpected(&self, wanted: &str) -> String {
        let found: String = self.rest.chars().take(20).collect();
        let found = if found.is_empty() { "its end".to_owned() } else { format!("`{found}`") };
        format!("a selector has {wanted} where {found} is")
    }

    fn key(&mut self) -> Result<String, String> {
        let key = self.word();
        match key {
            "" => Err(self.unexpected("the key of a label")),
            key if is_label_key(key) => Ok(key.to_owned()),
            key => Err(format!("`{key}` is no key of a label; write `name` or `domain/name` of at most 63 letters")),
        }
    }

    fn value(&mut self) -> Result<String, String> {
        let value = self.word();
        if value.is_empty() || is_label_name(value) {
            Ok(value.to_owned())
        } else {
            Err(format!("`{value}` is no value of a label; it has at most 63 letters, digits, `-`, `_` and `.`"))
        }
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        if !self.eat("(") {
            return Err(self.unexpected("`(`"));
        }
        let mut values = vec![self.value()?];
        while self.eat(",") {
            values.push(self.value()?);
        }
        values.sort();
        values.dedup();
        if self.eat(")") { Ok(values) } else { Err(self.unexpected("`,` or `)`")) }
    }

    fn bound(&mut self) -> Result<i64, String> {
        let word = self.word();
        word.parse().map_err(|_| format!("`{word}` is not a whole number to compare a label with"))
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        if self.eat("!") {
            return Ok(Requirement { key: self.key()?, operator: Operator::Absent });
        }
        let key = self.key()?;
        let operator = if self.eat("==") || self.eat("=") {
            Operator::In(vec![self.value()?])
        } else if self.eat("!=") {
            Operator::NotIn(vec![self.value()?])
        } else if self.eat(">") {
            Operator::Greater(self.bound()?)
        } else if self.eat("<") {
            Operator::Less(self.bound()?)
        } else {
            match self.word() {
                "" => Operator::Exists,
                "in" => Operator::In(self.values()?),
                "notin" => Operator::NotIn(self.values()?),
                other => {
                    return Err(format!("a selector has no operator `{other}`; known are =, ==, !=, in, notin, <, >"));
                }
            }
        };
        Ok(Requirement { key, operator })
    }
}

fn is_label_key(key: &str) -> bool {
    match key.split_once('/') {
        None => is_label_name(key),
        Some((domain, name)) => {
            let letters = |part: &str| part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            let part = |part: &str| !part.is_empty() && !part.starts_with('-') && !part.ends_with('-') && letters(part);
            domain.len() <= 253 && domain.split('.').all(part) && is_label_name(name)
        }
    }
}

fn is_label_name(name: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let letters = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    name.len() <= 63 && letters && ends(name.chars().next()) && ends(name.chars().next_back())
}

/// A field selector: all terms hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldSelector(Vec<Term>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    field: String,
    path: Vec<String>,
    equal: bool,
    value: String,
}

impl FieldSelector {
    /// Reads a selector.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let terms = split(text, ',').into_iter().map(term).collect::<Result<Vec<_>, String>>()?;
        Ok(Self(terms))
    }

    /// A member that is not there, or is a list or a map, is the empty text, as on the server.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|term| {
            let found = member(object, &term.path).and_then(scalar);
            (found.as_deref().unwrap_or_default() == term.value) == term.equal
        })
    }

    /// Two terms that no object can meet both.
    pub(crate) fn contradiction(&self) -> Option<String> {
        let pairs =
            self.0.iter().enumerate().flat_map(|(n, one)| self.0.iter().skip(n + 1).map(move |other| (one, other)));
        let clash = |one: &Term, other: &Term| {
            one.field == other.field
                && (one.equal || other.equal)
                && (one.equal == other.equal) != (one.value == other.value)
        };
        let mut clashes = pairs.filter(|(one, other)| clash(one, other));
        clashes.next().map(|(one, other)| format!("`{one}` and `{other}` exclude each other"))
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        join(f, &self.0)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.field, if self.equal { "=" } else { "!=" })?;
        for c in self.value.chars() {
            if matches!(c, '\\' | ',' | '=') {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        Ok(())
    }
}

/// Splits at a sign that no backslash stands before.
fn split(text: &str, sign: char) -> Vec<&str> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        if c == sign && !escaped {
            parts.push(&text[start..at]);
            start = at + c.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    parts.push(&text[start..]);
    parts
}

fn term(text: &str) -> Result<Term, String> {
    let wrong =
        || format!("`{text}` is no term of a field selector; write `spec.nodeName=a` or `status.phase!=Running`");
    let at = text.find('=').ok_or_else(wrong)?;
    let (left, right) = text.split_at(at);
    let (field, equal) = left.strip_suffix('!').map_or((left, true), |field| (field, false));
    let right = right.strip_prefix("==").or_else(|| right.strip_prefix('=')).unwrap_or(right);
    let field = field.trim();
    if field.is_empty() || field.split('.').any(str::is_empty) || field.contains([' ', '\\']) {
        return Err(wrong());
    }
    let path = field.split('.').map(str::to_owned).collect();
    Ok(Term { field: field.to_owned(), path, equal, value: unescaped(right)? })
}

fn unescaped(text: &str) -> Result<String, String> {
    let mut value = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => value.push(c),
                _ => return Err(format!("`{text}`: a backslash stands before `\\`, `,` or `=` only")),
            },
            '=' => return Err(format!("`{text}`: write `\\=` for an equals sign in a value")),
            c => value.push(c),
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn label_selectors_say_what_they_say_to_kubectl() {
        let object = json!({"metadata": {"labels": {"app": "web", "tier": "", "n": "7", "a.b/c": "d"}}});
        for (text, matches) in [
            ("app=web", true),
            ("app==web", true),
            ("app = db", false),
            ("app!=db", true),
            ("gone!=db", true),
            ("app in (web, db)", true),
            ("app in (db)", false),
            ("app notin (db,cache)", true),
            ("gone notin (db)", true),
            ("app", true),
            ("gone", false),
            ("!gone", true),
            ("! app", false),
            ("tier=", true),
            ("n>6,n<8", true),
            ("n>7", false),
            ("app>1", false),
            ("a.b/c=d, app in (web),!canary", true),
            ("in=x", false),
        ] {
            let selector = LabelSelector::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(selector.matches(&object), matches, "{text}");
            assert_eq!(LabelSelector::parse(&selector.to_string()), Ok(selector), "{text}");
        }
    }

    #[test]
    fn bad_selectors_are_refused_with_what_was_wanted() {
        for (text, error) in [
            ("", "a selector has the key of a label where its end is"),
            ("app=web,", "a selector has the key of a label where its end is"),
            ("app in web", "a selector has `(` where `web` is"),
            ("app in (a b)", "a selector has `,` or `)` where `b)` is"),
            ("app is web", "a selector has no operator `is`; known are =, ==, !=, in, notin, <, >"),
            ("app=web db", "a selector has `,` or the end where `db` is"),
            ("n>x", "`x` is not a whole number to compare a label with"),
            ("-a=b", "`-a` is no key of a label; write `name` or `domain/name` of at most 63 letters"),
            ("a=b*", "`b*` is no value of a label; it has at most 63 letters, digits, `-`, `_` and `.`"),
        ] {
            assert_eq!(LabelSelector::parse(text), Err(error.to_owned()), "{text}");
        }
        for text in ["spec", "=x", "a..b=x", "a=b=c", "a=\\b", "a=b,,c=d"] {
            assert!(FieldSelector::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn field_selectors_compare_the_text_of_members() {
        let object = json!({"spec": {"nodeName": "n,1", "replicas": 3}, "status": {"phase": "Running"}});
        for (text, matches) in [
            ("status.phase=Running", true),
            ("status.phase!=Running", false),
            ("spec.replicas==3", true),
            ("spec.nodeName=n\\,1,status.phase=Running", true),
            ("spec.gone=", true),
            ("spec=", true),
            ("spec.gone!=x", true),
        ] {
            let selector = FieldSelector::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(selector.matches(&object), matches, "{text}");
            assert_eq!(FieldSelector::parse(&selector.to_string()), Ok(selector), "{text}");
        }
    }

    #[test]
    fn requirements_that_exclude_each_other_are_told() {
        for (text, clash) in [
            ("a,!a", true),
            ("a=x,a=y", true),
            ("a in (x,y),a notin (x)", false),
            ("a in (x),a!=x", true),
            ("a>3,a<4", true),
            ("a>3,a<5", false),
            ("!a,a!=x", false),
            ("a=5,a>6", true),
            ("a=x,b=y", false),
        ] {
            assert_eq!(LabelSelector::parse(text).unwrap().contradiction().is_some(), clash, "{text}");
        }
        for (text, clash) in
            [("a=x,a=y", true), ("a=x,a!=x", true), ("a=x,a!=y", false), ("a!=x,a!=y", false), ("a=x,a=x", false)]
        {
            assert_eq!(FieldSelector::parse(text).unwrap().contradiction().is_some(), clash, "{text}");
        }
    }
}
