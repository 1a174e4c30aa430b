//! Options from query strings and bodies, and what is invalid about them.

use super::*;
use serde_json::json;

fn pairs(list: &[(&str, &str)]) -> QueryPairs {
    list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

#[test]
fn list_options_go_to_the_query_and_back() {
    let options = ListOptions::default()
        .labels("a=b")
        .fields("metadata.name=x")
        .limit(5)
        .continue_token("t")
        .resource_version("7")
        .resource_version_match("Exact")
        .timeout_seconds(0)
        .bookmarks()
        .send_initial_events(false);
    let query = options.to_query();
    assert_eq!(ListOptions::from_query(&query), Ok(options));
    let mut sorted = query.clone();
    sorted.sort();
    assert_eq!(query, sorted);
    assert!(ListOptions::default().to_query().is_empty());
}

#[test]
fn numbers_fail_and_booleans_do_not() {
    let bad = |v: &str| ListOptions::from_query(&pairs(&[("limit", v)])).unwrap_err();
    assert_eq!(bad("abc"), "strconv.ParseInt: parsing \"abc\": invalid syntax");
    assert_eq!(bad(""), "strconv.ParseInt: parsing \"\": invalid syntax");
    assert_eq!(bad("9999999999999999999"), "strconv.ParseInt: parsing \"9999999999999999999\": value out of range");
    assert_eq!(ListOptions::from_query(&pairs(&[("limit", "+5")])).unwrap().limit, 5);
    for (text, want) in [("", true), ("xyz", true), ("1", true), ("0", false), ("FALSE", false)] {
        assert_eq!(ListOptions::from_query(&pairs(&[("watch", text)])).unwrap().watch, want, "{text:?}");
    }
    assert_eq!(parse_bool("x").unwrap_err(), "strconv.ParseBool: parsing \"x\": invalid syntax");
    assert_eq!(parse_uint("-5").unwrap_err(), "strconv.ParseUint: parsing \"-5\": invalid syntax");
}

#[test]
fn the_first_of_repeated_parameters_counts_and_dry_run_takes_all() {
    let query = pairs(&[("fieldManager", "a"), ("fieldManager", "b"), ("dryRun", "All"), ("dryRun", "Foo")]);
    let options = CreateOptions::from_query(&query);
    assert_eq!(options.field_manager, "a");
    let errors = validate_create_options(&options);
    assert_eq!(errors[0].to_string(), "dryRun: Unsupported value: [\"All\",\"Foo\"]: supported values: \"All\"");
}

#[test]
fn list_and_watch_rules_differ() {
    let check = |list: &[(&str, &str)]| -> Vec<String> {
        let options = ListOptions::from_query(&pairs(list)).unwrap();
        validate_list_options(&options).iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        check(&[("resourceVersionMatch", "Foo"), ("resourceVersion", "1")]),
        ["resourceVersionMatch: Unsupported value: \"Foo\": supported values: \"Exact\", \"NotOlderThan\", \"\""]
    );
    assert_eq!(
        check(&[("resourceVersionMatch", "Exact"), ("resourceVersion", "0")]),
        ["resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""]
    );
    assert_eq!(
        check(&[("watch", "1"), ("sendInitialEvents", "true"), ("resourceVersionMatch", "Exact")]),
        [
            "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            "resourceVersionMatch: Unsupported value: \"Exact\": supported values: \"NotOlderThan\"",
        ]
    );
    assert_eq!(
        check(&[("sendInitialEvents", "true")]),
        ["sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"]
    );
}

#[test]
fn apply_needs_a_manager_and_nothing_else_takes_force() {
    let options = PatchOptions::default().force(true);
    let merge = validate_patch_options(&options, "application/merge-patch+json");
    assert_eq!(merge[0].to_string(), "force: Forbidden: may not be specified for non-apply patch");
    let apply = validate_patch_options(&options, "application/apply-patch+yaml");
    assert_eq!(apply[0].to_string(), "fieldManager: Required value: is required for apply patch");
}

#[test]
fn field_managers_are_short_and_printable() {
    assert_eq!(
        validate_field_manager("a\nb")[0].to_string(),
        "fieldManager: Invalid value: \"a\\nb\": invalid character U+000A (at position 1)"
    );
    assert_eq!(
        validate_field_manager(&"a".repeat(129))[0].to_string(),
        "fieldManager: Too long: may not be more than 128 bytes"
    );
}

#[test]
fn delete_options_travel_as_a_body() {
    let options = DeleteOptions::default()
        .grace_period_seconds(0)
        .propagation_policy("Orphan")
        .preconditions(Preconditions::default().uid("u"))
        .dry_run();
    assert_eq!(DeleteOptions::from_json(&options.to_json()), Ok(options));
    assert_eq!(
        DeleteOptions::from_json(&json!({"gracePeriodSeconds": "x"})).unwrap_err(),
        "json: cannot unmarshal string into Go struct field DeleteOptions.gracePeriodSeconds of type int64"
    );
    let both = DeleteOptions { orphan_dependents: Some(true), ..DeleteOptions::default() };
    assert_eq!(
        validate_delete_options(&both.propagation_policy("Foreground"))[0].to_string(),
        "propagationPolicy: Invalid value: \"Foreground\": orphanDependents and deletionPropagation cannot be both set"
    );
}
