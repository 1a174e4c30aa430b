//! YAML read with yaml.v2's findings and refusals, and written back.

use super::*;
use crate::codec::json::DecodeError;
use proptest::prelude::*;
use serde_json::{Value, json};

#[test]
fn yaml_1_1_words_are_what_they_were() {
    for (text, want) in [
        ("n: y\ny: 'n'\n", json!({"false": true, "true": "n"})),
        (
            "a: on\nb: Off\nc: NO\nd: null\ne: ~\nf:\n",
            json!({"a": true, "b": false, "c": false, "d": null, "e": null, "f": null}),
        ),
        (
            "a: 0x1F\nb: 014\nc: 1_000\nd: 0o14\ne: 2001-01-01\ng: +5\n",
            json!({"a": 31, "b": 12, "c": 1000, "d": 12, "e": "2001-01-01", "g": 5}),
        ),
        ("1: a\n1.5: b\ntrue: x\n", json!({"1": "a", "1.5": "b", "true": "x"})),
        (
            "a: 1e3\nb: 1.0\nc: 12345678901234567890\nf: 1.5e400\n",
            json!({"a": 1000, "b": 1, "c": 12_345_678_901_234_567_890_u64, "f": "1.5e400"}),
        ),
        (
            "a: |\n  x\n   y\nb: >\n  f\n  g\nc: \"5\"\nd: !!str 5\ne: !foo bar\n",
            json!({"a": "x\n y\n", "b": "f g\n", "c": "5", "d": "5", "e": "bar"}),
        ),
        (
            "a: &x {k: v}\nb: *x\nc:\n  <<: *x\n  d: e\n",
            json!({"a": {"k": "v"}, "b": {"k": "v"}, "c": {"d": "e", "k": "v"}}),
        ),
        ("---\na: b\n---\nc: d\n", json!({"a": "b"})),
        ("", Value::Null),
    ] {
        assert_eq!(parse(text.as_bytes()).unwrap(), (want, vec![]), "{text}");
    }
}

#[test]
fn a_text_that_ends_in_its_point_stays_a_text() {
    // `0.` was printed without quotes and came back as the number 0.
    for text in ["0.", "-1.", "+7.", ".5", "1.e3"] {
        let value = serde_json::json!({ "k": text });
        let (read, _) = parse(encode(&value).as_bytes()).unwrap();
        assert_eq!(read, value);
    }
}

#[test]
fn duplicate_keys_are_listed_with_the_lines_of_their_values() {
    for (text, want) in [
        ("a: b\na: c\n", "line 2: key \"a\" already set in map"),
        ("a:\n  b: 1\n  c: 2\na:\n  d: 1\n", "line 5: key \"a\" already set in map"),
        (
            "\"a\": 1\n'a': 2\n? a\n: 3\n",
            "line 2: key \"a\" already set in map\n  line 3: key \"a\" already set in map",
        ),
    ] {
        let (_, findings) = parse(text.as_bytes()).unwrap();
        assert_eq!(findings, [format!("yaml: unmarshal errors:\n  {want}")]);
    }
    assert_eq!(parse(b"a: b\na: c\n").unwrap().0, json!({"a": "c"}));
}

#[test]
fn refusals_are_those_of_yaml_v2() {
    for (text, want) in [
        ("apiVersion: v1\nkind: [ConfigMap\n", "yaml: line 2: did not find expected ',' or ']'"),
        ("a: b: c\n", "yaml: mapping values are not allowed in this context"),
        ("a:\n\t- b\n", "yaml: line 2: found character that cannot start any token"),
        ("- a\nb: c\n", "yaml: line 1: did not find expected '-' indicator"),
        ("a: 'x\n", "yaml: line 2: found unexpected end of stream"),
        ("{a: b", "yaml: line 1: did not find expected ',' or '}'"),
        ("a: *nope\n", "yaml: unknown anchor 'nope' referenced"),
        ("a: @b\n", "yaml: found character that cannot start any token"),
        ("a: b\n c: d\n", "yaml: line 2: mapping values are not allowed in this context"),
        ("a: .inf\n", "json: unsupported value: +Inf"),
    ] {
        assert_eq!(parse(text.as_bytes()), Err(DecodeError::Syntax(want.to_owned())), "{text}");
    }
}

#[test]
fn output_is_laid_out_like_kubectls() {
    let value = json!({
        "kind": "Pod",
        "a10": 1, "a9": 2, "a-b": true, "A": null,
        "list": [{"name": "c", "args": ["x", ["y"]]}, [], {}],
        "text": "two\nlines\n", "cut": "two\nlines", "quoted": "5", "colon": "a: b", "empty": "", "yes": "no", "tab": "a\tb"
    });
    let want = "A: null\na-b: true\na9: 2\na10: 1\ncolon: 'a: b'\ncut: |-\n  two\n  lines\nempty: \"\"\nkind: Pod\nlist:\n- args:\n  - x\n  - - \"y\"\n  name: c\n- []\n- {}\nquoted: \"5\"\ntab: \"a\\tb\"\ntext: |\n  two\n  lines\n\"yes\": \"no\"\n";
    assert_eq!(encode(&value), want);
    assert_eq!(encode(&json!({})), "{}\n");
    let long = "word ".repeat(30);
    let text = encode(&json!({"a": long.trim_end()}));
    assert_eq!(text.lines().next().map(str::len), Some(82));
}

#[test]
fn streams_are_cut_at_their_marks() {
    assert_eq!(documents("---\na: b\n---\n# nothing\n---\nc: d\n"), ["a: b\n", "c: d\n"]);
    assert_eq!(documents("a: '---'\n"), ["a: '---'\n"]);
    assert!(documents("").is_empty());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
        "[a-z \n]{0,12}".prop_map(Value::from),
        "[a-z ]{70,200}".prop_map(Value::from),
        "[0-9.:eE+\\-_xT]{0,10}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 30, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("([a-z]{1,4}|[ -~]{0,8})", inner, 0..5)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn printing_then_reading_is_the_identity(value in any_json()) {
        let text = encode(&value);
        prop_assert_eq!(parse(text.as_bytes()), Ok((value, vec![])), "{}", text);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100), text in "[a:\\-\\[\\]{}&*!|>'\"%#\n ?,]{0,40}") {
        let _ = parse(&bytes);
        let _ = parse(text.as_bytes());
        let _ = documents(&text);
    }
}
