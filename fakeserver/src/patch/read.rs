//! Reading a patch: the document, and the members it repeats, with Go's refusals.
//!
//! Counterpart: `sigs.k8s.io/json` `UnmarshalStrict` into an untyped value. Later duplicates win.

use rehearsal_apimachinery::codec::json;
use serde_json::Value;

/// Parses a document; the findings are `duplicate field "a.b[0].c"`.
///
/// # Errors
/// Go's text of the syntax error.
pub(super) fn parse(bytes: &[u8]) -> Result<(Value, Vec<String>), String> {
    json::parse(bytes).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_members_are_reported_once_with_their_path() {
        let (value, findings) = parse(br#"{"a":{"b":1,"b":2,"b":3},"c":[{"d":1,"d":2}],"a":{}}"#).unwrap();
        assert_eq!(value, serde_json::json!({"a": {}, "c": [{"d": 2}]}));
        assert_eq!(findings, ["duplicate field \"a.b\"", "duplicate field \"c[0].d\"", "duplicate field \"a\""]);
    }

    #[test]
    fn refusals_use_gos_words() {
        let cases = [
            ("", "unexpected end of JSON input"),
            ("{\"a\":", "unexpected end of JSON input"),
            ("xyz", "invalid character 'x' looking for beginning of value"),
            ("{x", "invalid character 'x' looking for beginning of object key string"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("{\"a\":1 2}", "invalid character '2' after object key:value pair"),
            ("[1 2]", "invalid character '2' after array element"),
            ("{} x", "invalid character 'x' after top-level value"),
            ("{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
        ];
        for (text, error) in cases {
            assert_eq!(parse(text.as_bytes()).unwrap_err(), error, "{text:?}");
        }
    }
}
