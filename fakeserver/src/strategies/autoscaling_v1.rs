//! autoscaling/v1 of a HorizontalPodAutoscaler: one CPU target as a member, everything else of v2 in annotations.
//!
//! Counterpart: `pkg/apis/autoscaling/v1/conversion.go`. The annotations hold JSON in the order of the Go structs:
//! metrics and conditions as v1 types, the behavior as the internal type, whose members have no JSON names.

use super::access::{ensure_path, has, int_at, list_at, object_mut, remove, set, str_at};
use serde_json::{Map, Value, json};

/// The CPU target of v1.
pub(super) const CPU: &str = "targetCPUUtilizationPercentage";
/// Metrics other than the CPU target.
pub(super) const METRICS_ANNOTATION: &str = "autoscaling.alpha.kubernetes.io/metrics";
const BEHAVIOR_ANNOTATION: &str = "autoscaling.alpha.kubernetes.io/behavior";
const STATUSES_ANNOTATION: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS_ANNOTATION: &str = "autoscaling.alpha.kubernetes.io/conditions";

/// The v2 metric that a CPU target of v1 stands for.
pub(super) fn cpu_metric(percent: i64) -> Value {
    json!({
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent}},
    })
}

/// A v1 object as v2: the CPU target and the annotations become members.
pub fn v1_to_v2(object: &Value) -> Value {
    let mut v2 = object.clone();
    let mut take = |key: &str| {
        let annotations = v2.pointer_mut("/metadata/annotations").and_then(object_mut)?;
        serde_json::from_str::<Value>(annotations.remove(key)?.as_str()?).ok()
    };
    let (metrics, behavior) = (take(METRICS_ANNOTATION), take(BEHAVIOR_ANNOTATION));
    let (statuses, conditions) = (take(STATUSES_ANNOTATION), take(CONDITIONS_ANNOTATION));
    if let Some(annotations) = v2.pointer("/metadata/annotations").and_then(Value::as_object)
        && annotations.is_empty()
        && let Some(metadata) = v2.get_mut("metadata")
    {
        remove(metadata, "annotations");
    }
    if let Some(spec) = ensure_path(&mut v2, &["spec"]) {
        let cpu = remove(spec, CPU).and_then(|percent| percent.as_i64());
        let mut all: Vec<Value> = cpu.map(cpu_metric).into_iter().collect();
        all.extend(metrics.iter().filter_map(Value::as_array).flatten().map(|m| metric(m, "target")));
        if !all.is_empty() {
            set(spec, "metrics", all);
        }
        if let Some(behavior) = behavior {
            set(spec, "behavior", recased(&behavior, &first_lower));
        }
    }
    if let Some(status) = v2.get_mut("status").filter(|status| status.is_object()) {
        remove(status, "currentCPUUtilizationPercentage");
        if let Some(Value::Array(list)) = statuses {
            set(status, "currentMetrics", list.iter().map(|m| metric(m, "current")).collect::<Vec<_>>());
        }
        if let Some(conditions) = conditions {
            set(status, "conditions", conditions);
        }
    }
    set(&mut v2, "apiVersion", "autoscaling/v2");
    v2
}

/// A v2 object as v1: a CPU utilisation target becomes the member, all else annotations.
pub fn v2_to_v1(object: &Value) -> Value {
    let (spec, status) = (&object["spec"], &object["status"]);
    let is_cpu = |m: &&Value| m["resource"]["name"] == "cpu" && has(&m["resource"]["target"], "averageUtilization");
    let others: Vec<&Value> = list_at(spec, "metrics").iter().filter(|m| !is_cpu(m)).collect();
    let cpu = list_at(spec, "metrics").iter().find(is_cpu);
    let current = list_at(status, "currentMetrics");
    let mut notes = Vec::new();
    if !others.is_empty() {
        notes.push((METRICS_ANNOTATION, array(others.iter().map(|m| metric_text(m, "target")))));
    }
    if !current.is_empty() {
        notes.push((STATUSES_ANNOTATION, array(current.iter().map(|m| metric_text(m, "current")))));
    }
    if has(spec, "behavior") {
        notes.push((BEHAVIOR_ANNOTATION, behavior_text(&spec["behavior"])));
    }
    if !list_at(status, "conditions").is_empty() {
        notes.push((CONDITIONS_ANNOTATION, array(list_at(status, "conditions").iter().map(condition_text))));
    }
    let mut v1 = object.clone();
    if let Some(spec) = v1.get_mut("spec") {
        remove(spec, "metrics");
        remove(spec, "behavior");
        if let Some(percent) = cpu.and_then(|m| int_at(&m["resource"]["target"], "averageUtilization")) {
            set(spec, CPU, percent);
        }
    }
    if let Some(status) = v1.get_mut("status").filter(|status| status.is_object()) {
        remove(status, "currentMetrics");
        remove(status, "conditions");
        let used = current.iter().filter(|m| m["resource"]["name"] == "cpu");
        if let Some(percent) = used.filter_map(|m| int_at(&m["resource"]["current"], "averageUtilization")).next_back()
        {
            set(status, "currentCPUUtilizationPercentage", percent);
        }
    }
    for (key, text) in notes {
        if let Some(annotations) = ensure_path(&mut v1, &["metadata", "annotations"]) {
            set(annotations, key, text);
        }
    }
    set(&mut v1, "apiVersion", "autoscaling/v1");
    v1
}

// === from annotations ===

/// A v1 metric as v2; `half` is `target` in a spec and `current` in a status.
fn metric(v1: &Value, half: &str) -> Value {
    let kind = str_at(v1, "type");
    let key = first_lower(kind);
    let source = &v1[&key];
    let value = |name: &str| source[v1_name(half, name)].clone();
    let mut amount = Map::new();
    let mut put = |name: &str, from: Value| {
        if !from.is_null() {
            amount.insert(name.to_owned(), from);
        }
    };
    put("averageUtilization", value("averageUtilization"));
    let bare = source["averageValue"].clone();
    let averaged = if kind == "Object" { bare } else { value("averageValue") };
    let unaveraged = value("value");
    if averaged.is_null() || kind != "Object" {
        put("value", unaveraged);
    }
    put("averageValue", averaged);
    if half == "target" {
        let kind = ["averageUtilization", "averageValue"].into_iter().find(|k| amount.contains_key(*k));
        let word = match kind {
            Some("averageUtilization") => "Utilization",
            Some(_) => "AverageValue",
            None => "Value",
        };
        amount.insert("type".to_owned(), word.into());
    }
    let mut out = json!({half: amount});
    match kind {
        "Resource" | "ContainerResource" => {
            set(&mut out, "name", source["name"].clone());
            if has(source, "container") {
                set(&mut out, "container", source["container"].clone());
            }
        }
        _ => {
            let mut identifier = json!({"name": source["metricName"]});
            let selector = if kind == "External" { "metricSelector" } else { "selector" };
            if has(source, selector) {
                set(&mut identifier, "selector", source[selector].clone());
            }
            set(&mut out, "metric", identifier);
            if kind == "Object" {
                set(&mut out, "describedObject", source["target"].clone());
            }
        }
    }
    json!({"type": kind, key: out})
}

/// `averageValue` of a target is `targetAverageValue` in v1.
fn v1_name(half: &str, name: &str) -> String {
    format!("{half}{}", first_upper(name))
}

/// The document with every member name rewritten, nulls left out.
fn recased(value: &Value, rename: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::Object(map) => {
            map.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (rename(k), recased(v, rename))).collect()
        }
        Value::Array(items) => items.iter().map(|v| recased(v, rename)).collect(),
        other => other.clone(),
    }
}

fn first_lower(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_ascii_lowercase()).into_iter().chain(chars).collect()
}

fn first_upper(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_ascii_uppercase()).into_iter().chain(chars).collect()
}

// === to annotations ===

/// An object in the order given; absent members are left out.
fn ordered<'a>(members: impl IntoIterator<Item = (&'a str, Value)>) -> String {
    let shown = members.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| format!("{k:?}:{v}"));
    format!("{{{}}}", shown.collect::<Vec<_>>().join(","))
}

fn array(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

/// A v2 metric in v1's form.
fn metric_text(v2: &Value, half: &str) -> String {
    let kind = str_at(v2, "type");
    let key = first_lower(kind);
    let source = &v2[&key];
    let amount = &source[half];
    let name = |n: &str| v1_name(half, n);
    let (value, average) = (name("value"), name("averageValue"));
    let utilization = name("averageUtilization");
    let metric = source["metric"]["name"].clone();
    let selector = source["metric"]["selector"].clone();
    let inner = match kind {
        "Resource" | "ContainerResource" => ordered([
            ("name", source["name"].clone()),
            (&utilization, amount["averageUtilization"].clone()),
            (&average, amount["averageValue"].clone()),
            ("container", source["container"].clone()),
        ]),
        "Pods" => ordered([("metricName", metric), (&average, amount["averageValue"].clone()), ("selector", selector)]),
        "Object" => {
            let described = &source["describedObject"];
            let members = ["kind", "name", "apiVersion"].map(|k| (k, described[k].clone()));
            let number = if has(amount, "value") { amount["value"].clone() } else { "0".into() };
            let rest = ordered([
                ("metricName", metric),
                (&value, number),
                ("selector", selector),
                ("averageValue", amount["averageValue"].clone()),
            ]);
            format!("{{\"target\":{},{}", ordered(members), rest.get(1..).unwrap_or_default())
        }
        _ => ordered([
            ("metricName", metric),
            ("metricSelector", selector),
            (&value, amount["value"].clone()),
            (&average, amount["averageValue"].clone()),
        ]),
    };
    format!("{{\"type\":{},{key:?}:{inner}}}", v2["type"])
}

fn condition_text(condition: &Value) -> String {
    ordered(["type", "status", "lastTransitionTime", "reason", "message"].map(|k| (k, condition[k].clone())))
}

/// The behavior as Go prints a struct without tags: members capitalised, absent ones null.
fn behavior_text(behavior: &Value) -> String {
    let rules = |direction: &str| match &behavior[direction] {
        Value::Null => "null".to_owned(),
        rules => format!(
            "{{\"StabilizationWindowSeconds\":{},\"SelectPolicy\":{},\"Policies\":{},\"Tolerance\":{}}}",
            rules["stabilizationWindowSeconds"],
            rules["selectPolicy"],
            match list_at(rules, "policies") {
                [] => "null".to_owned(),
                policies => array(policies.iter().map(|p| {
                    format!(
                        "{{\"Type\":{},\"Value\":{},\"PeriodSeconds\":{}}}",
                        p["type"], p["value"], p["periodSeconds"]
                    )
                })),
            },
            rules["tolerance"],
        ),
    };
    format!("{{\"ScaleUp\":{},\"ScaleDown\":{}}}", rules("scaleUp"), rules("scaleDown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2() -> Value {
        json!({"apiVersion": "autoscaling/v2",
            "metadata": {"name": "h"},
            "spec": {
                "metrics": [
                    cpu_metric(70),
                    {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}},
                    {"type": "Pods", "pods": {"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "10"}}},
                    {"type": "Object", "object": {"describedObject": {"kind": "Service", "name": "s"}, "metric": {"name": "m"}, "target": {"type": "Value", "value": "5"}}},
                    {"type": "External", "external": {"metric": {"name": "m", "selector": {"matchLabels": {"a": "b"}}}, "target": {"type": "AverageValue", "averageValue": "2"}}},
                    {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "c", "target": {"type": "Utilization", "averageUtilization": 10}}},
                ],
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 10, "selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}},
            },
            "status": {
                "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 44, "averageValue": "1"}}}],
                "conditions": [{"type": "AbleToScale", "status": "True", "reason": "r", "message": "m"}],
            },
        })
    }

    #[test]
    fn what_v1_cannot_say_goes_into_annotations_in_the_order_of_the_go_structs() {
        let v1 = v2_to_v1(&v2());
        assert_eq!(v1["spec"], json!({CPU: 70}));
        assert_eq!(v1["status"], json!({"currentCPUUtilizationPercentage": 44}));
        let note = |key: &str| v1["metadata"]["annotations"][key].as_str().unwrap_or_default().to_owned();
        assert!(note(METRICS_ANNOTATION).starts_with(
            r#"[{"type":"Resource","resource":{"name":"memory","targetAverageValue":"1Gi"}},{"type":"Pods","pods":{"metricName":"m","targetAverageValue":"10"}},{"type":"Object","object":{"target":{"kind":"Service","name":"s"},"metricName":"m","targetValue":"5"}}"#
        ));
        assert_eq!(
            note(BEHAVIOR_ANNOTATION),
            r#"{"ScaleUp":null,"ScaleDown":{"StabilizationWindowSeconds":10,"SelectPolicy":"Max","Policies":[{"Type":"Percent","Value":100,"PeriodSeconds":15}],"Tolerance":null}}"#
        );
        assert_eq!(
            note(STATUSES_ANNOTATION),
            r#"[{"type":"Resource","resource":{"name":"cpu","currentAverageUtilization":44,"currentAverageValue":"1"}}]"#
        );
    }

    #[test]
    fn a_round_trip_through_v1_loses_nothing() {
        assert_eq!(v1_to_v2(&v2_to_v1(&v2())), v2());
    }
}
