//! What paths select, what filters hold, and what is refused.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn pod() -> Value {
    json!({
        "metadata": {"name": "web", "annotations": {"kubernetes.io/a-b": "x"}},
        "spec": {
            "replicas": 3, "ratio": 3.0, "paused": false, "note": null, "text": "grün",
            "containers": [
                {"name": "web", "image": "nginx:1", "ports": [80, 443]},
                {"name": "log", "image": "fluent:2"},
            ],
        },
        "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Live", "status": "False"}]},
    })
}

fn selected(path: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let path = JsonPath::parse(path).unwrap_or_else(|error| panic!("{error}"));
    path.any(&pod(), |node| {
        found.push(node.clone());
        false
    });
    found
}

#[test]
fn paths_select_what_the_standard_says() {
    for (path, nodes) in [
        ("$.spec.replicas", json!([3])),
        ("$['spec'][\"replicas\"]", json!([3])),
        ("$.spec.containers[*].name", json!(["web", "log"])),
        ("$.spec.containers[0]['name', 'image']", json!(["web", "nginx:1"])),
        ("$.spec.containers[-1].name", json!(["log"])),
        ("$.spec.containers[-3].name", json!([])),
        ("$.spec.containers[1:].name", json!(["log"])),
        ("$.spec.containers[::-1].name", json!(["log", "web"])),
        ("$.spec.containers[0:1].ports[:1]", json!([80])),
        ("$.spec.containers[::0]", json!([])),
        ("$..image", json!(["nginx:1", "fluent:2"])),
        ("$.spec..[1]", json!([{"name": "log", "image": "fluent:2"}, 443])),
        ("$.spec.containers[?@.name == 'log'].image", json!(["fluent:2"])),
        ("$.spec.containers[?@.ports].name", json!(["web"])),
        ("$.spec.containers[?!@.ports].name", json!(["log"])),
        ("$.spec.containers[?@.ports[?@ > 400]].name", json!(["web"])),
        ("$.spec.containers[?length(@.name) >= 3 && count(@.ports[*]) == 2].name", json!(["web"])),
        ("$.status.conditions[?@.type == 'Ready' || @.type == 'Nothing'].status", json!(["True"])),
        ("$.spec[?@ == 3]", json!([3.0, 3])),
        ("$.spec.note", json!([null])),
        ("$.gone.gone", json!([])),
        ("$ .spec [ 'replicas' ]", json!([3])),
        ("$['\\u0073pec'].text", json!(["grün"])),
        // As kubectl writes them.
        ("{.spec.replicas}", json!([3])),
        ("{ $.spec.replicas }", json!([3])),
        ("{.metadata.annotations.kubernetes\\.io/a-b}", json!(["x"])),
        ("{.spec.containers[*].name}", json!(["web", "log"])),
        ("{.status.conditions[?(@.type==\"Ready\")].status}", json!(["True"])),
        ("{['spec'].replicas}", json!([3])),
    ] {
        assert_eq!(Value::Array(selected(path)), nodes, "{path}");
    }
}

#[test]
fn filters_hold_of_an_object() {
    for (filter, holds) in [
        ("@.spec.replicas > 2 && @.spec.replicas <= 3", true),
        ("$.spec.replicas == 3.0", true),
        ("@.spec.paused == false", true),
        ("@.spec.note == null && @.spec.note", true),
        ("@.gone == @.gone2", true),
        ("@.gone == null", false),
        ("@.gone < 3 || @.spec.text < 3", false),
        ("@.spec.text > 'gr'", true),
        ("!(@.spec.replicas == 3)", false),
        ("!@.gone", true),
        ("!(@.gone) && (@.spec || @.gone)", true),
        ("length(@.spec.text) == 4", true),
        ("count(@..name) == 3", true),
        ("@.spec.containers[0].ports == $.spec.containers[0].ports", true),
        ("@.status.conditions[?@.type == 'Ready' && @.status == 'True']", true),
        ("-1 < 1e2", true),
    ] {
        let parsed = Filter::parse(filter).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(parsed.holds(&pod()), holds, "{filter}");
    }
}

#[test]
fn what_is_no_path_is_refused_with_a_place() {
    for (path, error) in [
        ("spec.replicas", "`spec.replicas` is no JSONPath: `$` is missing at character 1"),
        ("$.spec.", "`$.spec.` is no JSONPath: a name is missing at character 8"),
        ("$.a-b", "`$.a-b` is no JSONPath: the end is missing at character 4"),
        ("$[", "`$[` is no JSONPath: a name, a number, `*` or `?` is missing at character 3"),
        ("$['a", "`$['a` is no JSONPath: a quote is not closed"),
        ("$[99999999999999999]", "`$[99999999999999999]` is no JSONPath: 99999999999999999 is too large"),
        ("{.spec", "`{.spec` is no JSONPath: `$` is missing at character 1"),
        (
            "$[?@.a[*] == 1]",
            "`$[?@.a[*] == 1]` is no JSONPath: a comparison needs a path to one value, without `*`, `..`, slices and filters",
        ),
        (
            "$[?match(@.a, 'b')]",
            "`$[?match(@.a, 'b')]` is no JSONPath: there is no function `match`; known are length, count",
        ),
        ("$[?!@.a == 1]", "`$[?!@.a == 1]` is no JSONPath: `!` before a comparison needs parentheses"),
        ("$[?1]", "`$[?1]` is no JSONPath: a value alone is no condition; compare it"),
    ] {
        assert_eq!(JsonPath::parse(path), Err(error.to_owned()), "{path}");
    }
    let deep = format!("{}@.a{}", "(".repeat(5000), ")".repeat(5000));
    assert!(Filter::parse(&deep).unwrap_err().contains("longer than"));
    let nested = format!("{}@.a{}", "(".repeat(20), ")".repeat(20));
    assert!(Filter::parse(&nested).unwrap_err().contains("nests deeper than 8 levels"));
    assert!(Filter::parse(&"!".repeat(3000)).unwrap_err().contains("nests deeper"));
}

#[test]
fn an_expression_that_would_take_for_ever_holds_of_nothing() {
    let wide = Value::Array((0..3000).map(|n| json!({"n": n})).collect());
    let last = Filter::parse("@[?count($[?@.n == 2999]) == 1 && @.n == 2999]").unwrap();
    assert!(!last.holds(&wide), "every item asks about every item");
    assert!(!Filter::parse("!(@[?count($[?@.n == -1]) == 1])").unwrap().holds(&wide), "nor does its contrary");
    let path = JsonPath::parse("$..*..*..*").unwrap();
    assert!(!path.any(&wide, |_| false));
    let mut deep = json!(1);
    for _ in 0..1000 {
        deep = Value::Array(vec![deep]);
    }
    assert!(!JsonPath::parse("$..a..a").unwrap().any(&deep, |_| true));
}

fn expression() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop::sample::select(vec![
            "$", "@", ".", "..", "*", "[", "]", "?", "(", ")", "'a'", "\"b\"", "a", "b", "0", "-1", ":", ",", "==",
            "<=", "&&", "||", "!", " ", "length", "count", "null", "1.5e3", "{", "}", "\\", "ü", "'", "\\u12",
        ]),
        0..24,
    )
    .prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn no_text_and_no_object_makes_it_panic(text in expression(), free in "\\PC{0,40}") {
        for text in [text, free] {
            let object = json!({"a": [{"b": 1}, {"b": "x", "a": null}], "b": {"a": [1, 2, 3]}});
            if let Ok(path) = JsonPath::parse(&text) {
                path.any(&object, |_| false);
            }
            if let Ok(filter) = Filter::parse(&text) {
                filter.holds(&object);
            }
        }
    }

    #[test]
    fn slices_are_those_of_a_naive_reading(
        length in 0..6_usize,
        start in prop::option::of(-8..8_i64),
        end in prop::option::of(-8..8_i64),
        step in -3..4_i64,
    ) {
        let text = |n: Option<i64>| n.map_or(String::new(), |n| n.to_string());
        let path = JsonPath::parse(&format!("$[{}:{}:{step}]", text(start), text(end))).unwrap();
        let items = Value::Array((0..length).map(Value::from).collect());
        let mut found = Vec::new();
        path.any(&items, |node| {
            found.push(node.as_u64().unwrap_or_default() as i64);
            false
        });
        let n = length as i64;
        let at = |n_: i64| if n_ < 0 { n + n_ } else { n_ };
        let expected: Vec<i64> = match step {
            0 => Vec::new(),
            1.. => (0..n).filter(|i| *i >= start.map_or(0, at).max(0) && *i < end.map_or(n, at)
                && (*i - start.map_or(0, at).max(0)) % step == 0).collect(),
            _ => {
                let first = start.map_or(n - 1, at).min(n - 1);
                (0..n).rev().filter(|i| *i <= first && end.is_none_or(|end| *i > at(end)) && (first - *i) % -step == 0).collect()
            }
        };
        prop_assert_eq!(found, expected);
    }
}
