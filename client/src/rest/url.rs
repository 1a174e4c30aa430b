//! Paths and queries as Go writes them.
//!
//! Counterparts: `path.Join`, `url.URL.EscapedPath`, `url.Values.Encode`, apimachinery `IsValidPathSegmentName`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::borrow::Cow;

/// What Go leaves alone in a path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b',')
    .remove(b'/')
    .remove(b':')
    .remove(b';')
    .remove(b'=')
    .remove(b'@');

/// What Go leaves alone in a query, spaces apart.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b' ');

/// Joins and cleans; the result has no trailing slash unless it is the root.
pub(crate) fn join<'a, S: AsRef<str> + ?Sized + 'a>(segments: impl IntoIterator<Item = &'a S>) -> String {
    let mut out = String::with_capacity(64);
    for part in segments.into_iter().flat_map(|s| s.as_ref().split('/')) {
        match part {
            "" | "." => {}
            ".." => out.truncate(out.rfind('/').unwrap_or(0)),
            part => {
                out.push('/');
                out.push_str(part);
            }
        }
    }
    if out.is_empty() { "/".into() } else { out }
}

/// Escapes a path.
pub(crate) fn escape_path(path: &str) -> String {
    Cow::from(utf8_percent_encode(path, PATH)).into_owned()
}

/// Sorts by key, keeping the order of equal keys, and escapes in form style.
pub(crate) fn encode_query(pairs: &[(String, String)]) -> String {
    let mut pairs: Vec<_> = pairs.iter().collect();
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    let escape = |text: &str| utf8_percent_encode(text, QUERY).to_string().replace(' ', "+");
    pairs.iter().map(|(k, v)| format!("{}={}", escape(k), escape(v))).collect::<Vec<_>>().join("&")
}

/// Why a name cannot be a segment of a path.
pub(crate) fn segment_fault(name: &str) -> Option<String> {
    match name {
        "." | ".." => Some(format!("may not be {name:?}")),
        _ if name.contains('/') => Some("may not contain \"/\"".into()),
        _ if name.contains('%') => Some("may not contain \"%\"".into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_form_encoded_and_sorted() {
        let pairs = [("timeoutSeconds", "7"), ("labelSelector", "a=b,c in (d,e)"), ("limit", "500"), ("timeout", "7s")];
        let pairs: Vec<_> = pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        assert_eq!(
            encode_query(&pairs),
            "labelSelector=a%3Db%2Cc+in+%28d%2Ce%29&limit=500&timeout=7s&timeoutSeconds=7"
        );
    }

    #[test]
    fn paths_are_cleaned_and_escaped() {
        assert_eq!(join(["/base/", "api//v1", "./x"]), "/base/api/v1/x");
        assert_eq!(join(["/", "..", ""]), "/");
        assert_eq!(escape_path("/a b/ü:8080?"), "/a%20b/%C3%BC:8080%3F");
    }

    #[test]
    fn some_names_are_no_segments() {
        assert!(segment_fault("a/b").is_some() && segment_fault("a%b").is_some() && segment_fault("..").is_some());
        assert!(segment_fault("a.b:c").is_none());
    }
}
