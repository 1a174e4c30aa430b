//! The rules of a Job's spec, also inside a CronJob: counts, completion mode, failure and success policy, template.
//!
//! Counterpart: `validateJobSpec` and what it calls in `apis/batch/validation`.

use super::access::{has, int_at, list_at, semantic_eq, str_at};
use super::pod_spec::{pod_template, warnings};
use super::rules::{Errors, invalid_struct, invalid_without_value, non_negative_at, one_of, qualified_name};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::validation as words;
use serde_json::Value;
use std::collections::BTreeSet;

const MAX_INDEXED: i64 = 100_000;
const MAX_WITH_MANY_COMPLETIONS: i64 = 10_000;
const MAX_RULES: usize = 20;
const MAX_EXIT_CODES: usize = 255;

/// Validates everything but the selector.
pub(super) fn job_spec(spec: &Value, path: &Path, errors: &mut Errors) {
    let counts = [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ];
    non_negative_at(spec, &counts, path, errors);
    if has(spec, "maxFailedIndexes") && !has(spec, "backoffLimitPerIndex") {
        let text = "when maxFailedIndexes is specified";
        errors.push(FieldError::required(path.child("backoffLimitPerIndex"), text));
    }
    if let Some(manager) = spec["managedBy"].as_str() {
        errors.extend(words::is_domain_prefixed_path(&path.child("managedBy"), manager));
        if manager.len() > 63 {
            errors.push(FieldError::too_long(path.child("managedBy"), 63));
        }
    }
    let mode = spec["completionMode"].as_str().unwrap_or("NonIndexed");
    one_of(mode, &["NonIndexed", "Indexed"], &path.child("completionMode"), errors);
    match mode {
        "Indexed" => indexed(spec, path, errors),
        "NonIndexed" => not_indexed(spec, path, errors),
        _ => {}
    }
    if has(spec, "podFailurePolicy") {
        failure_policy(spec, &path.child("podFailurePolicy").child("rules"), errors);
    }
    if has(spec, "podReplacementPolicy") {
        let known: &[&str] =
            if has(spec, "podFailurePolicy") { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
        one_of(str_at(spec, "podReplacementPolicy"), known, &path.child("podReplacementPolicy"), errors);
    }
    pod_template(&spec["template"], &[], &path.child("template"), errors);
    restart_policy(spec, &path.child("template").child("spec").child("restartPolicy"), errors);
}

fn restart_policy(spec: &Value, path: &Path, errors: &mut Errors) {
    match str_at(&spec["template"]["spec"], "restartPolicy") {
        "" | "Always" => errors.push(FieldError::required(path, "valid values: \"OnFailure\", \"Never\"")),
        policy @ "OnFailure" if has(spec, "podFailurePolicy") => {
            let text = "only \"Never\" is supported when podFailurePolicy is specified";
            errors.push(FieldError::invalid(path, policy, text));
        }
        "OnFailure" | "Never" => {}
        other => errors.push(FieldError::not_supported(path, other, &["OnFailure", "Never"])),
    }
}

fn indexed(spec: &Value, path: &Path, errors: &mut Errors) {
    let completions = int_at(spec, "completions");
    if completions.is_none() {
        errors.push(FieldError::required(path.child("completions"), "when completion mode is Indexed"));
    }
    let mut above = |name: &str, limit: i64, text: String| {
        if let Some(value) = int_at(spec, name).filter(|value| *value > limit) {
            errors.push(FieldError::invalid(path.child(name), value, text));
        }
    };
    let text = format!("must be less than or equal to {MAX_INDEXED} when completion mode is Indexed");
    above("parallelism", MAX_INDEXED, text);
    if let Some(completions) = completions {
        above("maxFailedIndexes", completions, "must be less than or equal to completions".to_owned());
    }
    above("maxFailedIndexes", MAX_INDEXED, format!("must be less than or equal to {MAX_INDEXED}"));
    if completions.is_some_and(|n| n > MAX_INDEXED) && has(spec, "backoffLimitPerIndex") {
        let text = format!(
            "must be less than or equal to {MAX_WITH_MANY_COMPLETIONS} when completions are above {MAX_INDEXED} and used with backoff limit per index"
        );
        above("parallelism", MAX_WITH_MANY_COMPLETIONS, text.clone());
        above("maxFailedIndexes", MAX_WITH_MANY_COMPLETIONS, text);
        if !has(spec, "maxFailedIndexes") {
            let text = format!("must be specified when completions is above {MAX_INDEXED}");
            errors.push(FieldError::required(path.child("maxFailedIndexes"), text));
        }
    }
    if has(spec, "successPolicy") {
        success_policy(spec, &path.child("successPolicy").child("rules"), errors);
    }
}

fn not_indexed(spec: &Value, path: &Path, errors: &mut Errors) {
    let text = "requires indexed completion mode";
    for name in ["backoffLimitPerIndex", "maxFailedIndexes"] {
        if let Some(value) = int_at(spec, name) {
            errors.push(FieldError::invalid(path.child(name), value, text));
        }
    }
    if has(spec, "successPolicy") {
        let policy = &spec["successPolicy"];
        errors.push(invalid_struct(path.child("successPolicy"), "batch.v1.SuccessPolicy", policy, text));
    }
}

fn success_policy(spec: &Value, path: &Path, errors: &mut Errors) {
    let rules = list_at(&spec["successPolicy"], "rules");
    if rules.is_empty() {
        let text = "at least one rules must be specified when the successPolicy is specified";
        errors.push(FieldError::required(path, text));
    }
    if rules.len() > MAX_RULES {
        errors.push(FieldError::too_many(path, rules.len(), MAX_RULES));
    }
    for (i, rule) in rules.iter().enumerate() {
        let (path, count, indexes) = (path.index(i), int_at(rule, "succeededCount"), &rule["succeededIndexes"]);
        if count.is_none() && indexes.is_null() {
            let text = "at least one of succeededCount or succeededIndexes must be specified";
            errors.push(FieldError::required(&path, text));
        }
        let completions = int_at(spec, "completions").unwrap_or_default();
        let mut total = completions;
        if let Some(text) = indexes.as_str() {
            match count_of_indexes(text, completions) {
                Ok(n) => total = n,
                Err(complaint) => {
                    let complaint = format!("error parsing succeededIndexes: {complaint}");
                    errors.push(FieldError::invalid(path.child("succeededIndexes"), text, complaint));
                }
            }
        }
        let Some(count) = count else { continue };
        non_negative_at(rule, &["succeededCount"], &path, errors);
        if count > completions {
            let text = format!("must be less than or equal to {completions} (the number of specified completions)");
            errors.push(FieldError::invalid(path.child("succeededCount"), count, text));
        }
        if indexes.is_string() && count > total {
            let text = format!(
                "must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"
            );
            errors.push(FieldError::invalid(path.child("succeededCount"), count, text));
        }
    }
}

/// The number of indexes in a list such as `1,3-5`.
fn count_of_indexes(text: &str, completions: i64) -> Result<i64, String> {
    let number =
        |text: &str| text.parse::<i64>().map_err(|_| format!("cannot convert string to integer for index: \"{text}\""));
    let (mut count, mut last) = (0, -1);
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let mut ends = part.split('-');
        let first = number(ends.next().unwrap_or_default())?;
        let end = ends.next().map_or(Ok(first), number)?;
        if ends.next().is_some() {
            return Err(format!(
                "the fragment \"{part}\" violates the requirement that an index interval can have at most two parts separated by '-'"
            ));
        }
        for index in [first, end] {
            if index >= completions {
                return Err(format!("too large index: \"{index}\""));
            }
        }
        if first <= last || end < first {
            return Err(format!("non-increasing order, previous: {last}, current: {first}"));
        }
        count += end - first + 1;
        last = end;
    }
    Ok(count)
}

fn failure_policy(spec: &Value, path: &Path, errors: &mut Errors) {
    let rules = list_at(&spec["podFailurePolicy"], "rules");
    if rules.len() > MAX_RULES {
        errors.push(FieldError::too_many(path, rules.len(), MAX_RULES));
    }
    let pod = &spec["template"]["spec"];
    let names: BTreeSet<&str> = ["containers", "initContainers"]
        .into_iter()
        .flat_map(|list| list_at(pod, list))
        .map(|container| str_at(container, "name"))
        .collect();
    for (i, rule) in rules.iter().enumerate() {
        let path = path.index(i);
        action(spec, rule, &path.child("action"), errors);
        let (codes, conditions) = (&rule["onExitCodes"], list_at(rule, "onPodConditions"));
        if !codes.is_null() {
            exit_codes(codes, &names, &path.child("onExitCodes"), errors);
        }
        pod_conditions(conditions, &path.child("onPodConditions"), errors);
        let text = match (codes.is_null(), conditions.is_empty()) {
            (false, false) => "specifying both OnExitCodes and OnPodConditions is not supported",
            (true, true) => "specifying one of OnExitCodes and OnPodConditions is required",
            _ => continue,
        };
        errors.push(invalid_without_value(path, text));
    }
}

/// A word out of a closed list, whose absence names the list.
fn listed(word: &str, known: &[&str], path: &Path, errors: &mut Errors) {
    if word.is_empty() {
        let quoted: Vec<String> = known.iter().map(|word| format!("\"{word}\"")).collect();
        errors.push(FieldError::required(path, format!("valid values: [{}]", quoted.join(" "))));
    } else {
        one_of(word, known, path, errors);
    }
}

fn action(spec: &Value, rule: &Value, path: &Path, errors: &mut Errors) {
    let action = str_at(rule, "action");
    if action == "FailIndex" {
        if !has(spec, "backoffLimitPerIndex") {
            errors.push(FieldError::invalid(path, action, "requires the backoffLimitPerIndex to be set"));
        }
    } else {
        listed(action, &["Count", "FailIndex", "FailJob", "Ignore"], path, errors);
    }
}

fn pod_conditions(patterns: &[Value], path: &Path, errors: &mut Errors) {
    if patterns.len() > MAX_RULES {
        errors.push(FieldError::too_many(path, patterns.len(), MAX_RULES));
    }
    for (i, pattern) in patterns.iter().enumerate() {
        let path = path.index(i);
        qualified_name(str_at(pattern, "type"), &path.child("type"), errors);
        listed(str_at(pattern, "status"), &["False", "True", "Unknown"], &path.child("status"), errors);
    }
}

fn exit_codes(codes: &Value, containers: &BTreeSet<&str>, path: &Path, errors: &mut Errors) {
    let operator = str_at(codes, "operator");
    listed(operator, &["In", "NotIn"], &path.child("operator"), errors);
    if let Some(name) = codes["containerName"].as_str().filter(|name| !containers.contains(name)) {
        let text = "must be one of the container or initContainer names in the pod template";
        errors.push(FieldError::invalid(path.child("containerName"), name, text));
    }
    let values: Vec<i64> = list_at(codes, "values").iter().filter_map(Value::as_i64).collect();
    let path = path.child("values");
    if values.is_empty() {
        errors.push(FieldError::invalid(&path, codes["values"].clone(), "at least one value is required"));
    } else if values.len() > MAX_EXIT_CODES {
        errors.push(FieldError::too_many(&path, values.len(), MAX_EXIT_CODES));
    }
    let mut seen = BTreeSet::new();
    for (i, code) in values.iter().enumerate() {
        if operator == "In" && *code == 0 {
            errors.push(FieldError::invalid(path.index(i), 0, "must not be 0 for the In operator"));
        }
        if !seen.insert(code) {
            errors.push(FieldError::duplicate(path.index(i), *code));
        }
    }
    if !values.is_sorted() {
        errors.push(FieldError::invalid(&path, codes["values"].clone(), "must be ordered"));
    }
}

/// Warnings about a Job's spec at `path` of `object`, on create and on a changed spec.
pub(super) fn job_warnings(spec: &Value, path: &Path, object: &Value, old: Option<&Value>) -> Vec<String> {
    if old.is_some_and(|old| semantic_eq(&old["spec"], &object["spec"])) {
        return Vec::new();
    }
    let mut out = Vec::new();
    let above = |name: &str, limit: i64| int_at(spec, name).is_some_and(|n| n > limit);
    if str_at(spec, "completionMode") == "Indexed"
        && above("completions", MAX_INDEXED)
        && above("parallelism", MAX_WITH_MANY_COMPLETIONS)
    {
        out.push("In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail".to_owned());
    }
    out.extend(warnings::of_pod_or_template(&spec["template"], &path.child("template")));
    out
}
