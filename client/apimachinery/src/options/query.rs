//! Query parameters of options: reading them with Go's conversions, and writing them.
//!
//! Counterparts: the generated `url.Values` conversions of `meta/v1`, and Go's `strconv`.

use super::QueryPairs;
use crate::field::go_quote;

pub(super) fn first<'a>(query: &'a [(String, String)], name: &str) -> Option<&'a str> {
    query.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str())
}

pub(super) fn text(query: &[(String, String)], name: &str) -> String {
    first(query, name).unwrap_or_default().to_owned()
}

pub(super) fn all(query: &[(String, String)], name: &str) -> Vec<String> {
    query.iter().filter(|(k, _)| k == name).map(|(_, v)| v.clone()).collect()
}

/// Option booleans never fail: only `false` (in any case) and `0` are false, even the empty text is true.
#[must_use]
pub fn query_bool(text: &str) -> bool {
    !(text == "0" || text.eq_ignore_ascii_case("false"))
}

pub(super) fn flag(query: &[(String, String)], name: &str) -> Option<bool> {
    first(query, name).map(query_bool)
}

pub(super) fn number(query: &[(String, String)], name: &str) -> Result<Option<i64>, String> {
    first(query, name).map(parse_int).transpose()
}

/// Go's `strconv.ParseBool`.
///
/// # Errors
/// `strconv.ParseBool: parsing "x": invalid syntax`
pub fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {}: invalid syntax", go_quote(text))),
    }
}

/// Go's `strconv.ParseInt(text, 10, 64)`.
///
/// # Errors
/// `strconv.ParseInt: parsing "x": invalid syntax`, or `value out of range`.
pub fn parse_int(text: &str) -> Result<i64, String> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    parse_number("ParseInt", text, digits)
}

/// Go's `strconv.ParseUint(text, 10, 64)`.
///
/// # Errors
/// `strconv.ParseUint: parsing "x": invalid syntax`, or `value out of range`.
pub fn parse_uint(text: &str) -> Result<u64, String> {
    parse_number("ParseUint", text, text)
}

fn parse_number<T: std::str::FromStr>(function: &str, text: &str, digits: &str) -> Result<T, String> {
    let numeric = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let why = if numeric { "value out of range" } else { "invalid syntax" };
    let refusal = || format!("strconv.{function}: parsing {}: {why}", go_quote(text));
    if numeric { text.parse().map_err(|_| refusal()) } else { Err(refusal()) }
}

/// A resourceVersion: an unsigned number, the empty text counting as 0.
///
/// # Errors
/// The `strconv.ParseUint` text.
pub fn parse_resource_version(text: &str) -> Result<u64, String> {
    if text.is_empty() { Ok(0) } else { parse_uint(text) }
}

/// Collects query pairs, leaving out what is unset.
#[derive(Default)]
pub(super) struct Writer(pub(super) QueryPairs);

impl Writer {
    fn push(mut self, name: &str, value: Option<String>) -> Self {
        self.0.extend(value.map(|v| (name.to_owned(), v)));
        self
    }

    pub(super) fn text(self, name: &str, value: &str) -> Self {
        self.push(name, (!value.is_empty()).then(|| value.to_owned()))
    }

    pub(super) fn number(self, name: &str, value: Option<i64>) -> Self {
        self.push(name, value.map(|n| n.to_string()))
    }

    pub(super) fn flag(self, name: &str, value: Option<bool>) -> Self {
        self.push(name, value.map(|b| b.to_string()))
    }

    pub(super) fn all(self, name: &str, values: &[String]) -> Self {
        values.iter().fold(self, |w, v| w.push(name, Some(v.clone())))
    }
}
