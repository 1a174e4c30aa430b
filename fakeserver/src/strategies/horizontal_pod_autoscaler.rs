//! HorizontalPodAutoscalers, in autoscaling/v1 and v2.
//!
//! Counterpart: `registry/autoscaling/horizontalpodautoscaler`, `apis/autoscaling/v2/defaults.go`,
//! `validateHorizontalPodAutoscalerSpec`. All rules are those of v2: a v1 object is read as one.

use super::access::{ensure_path, has, int_at, is_empty_at, list_at, set, set_default, str_at};
use super::autoscaling_v1::{CPU, METRICS_ANNOTATION, cpu_metric, v1_to_v2};
use super::pod_spec::resources::{container_resource_name, quantity};
use super::rules::{Errors, complaints, dns_label, non_negative_at, one_of, present};
use super::templated::keep_other_half;
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::validation as words;
use serde_json::{Value, json};

const MAX_WINDOW: i64 = 3600;
const MAX_PERIOD: i64 = 1800;
const SOURCE_TYPES: [&str; 5] = ["ContainerResource", "External", "Object", "Pods", "Resource"];
/// Members of a metric in the order in which the server looks for them, with the type that each belongs to.
const SOURCES: [(&str, &str); 5] = [
    ("object", "Object"),
    ("external", "External"),
    ("pods", "Pods"),
    ("resource", "Resource"),
    ("containerResource", "ContainerResource"),
];

/// The strategy of `horizontalpodautoscalers.autoscaling`.
pub struct HorizontalPodAutoscalerStrategy;

impl Strategy for HorizontalPodAutoscalerStrategy {
    fn default(&self, object: &mut Value) {
        let first_version = is_v1(object);
        let annotated = has(&object["metadata"]["annotations"], METRICS_ANNOTATION);
        let Some(spec) = ensure_path(object, &["spec"]) else { return };
        set_default(spec, "minReplicas", 1);
        if first_version {
            if !annotated {
                set_default(spec, CPU, 80);
            }
            return;
        }
        if is_empty_at(spec, "metrics") {
            set(spec, "metrics", json!([cpu_metric(80)]));
        }
        if let Some(behavior) = spec.get_mut("behavior").filter(|behavior| behavior.is_object()) {
            scaling_rules(
                behavior,
                "scaleUp",
                &json!({
                    "stabilizationWindowSeconds": 0,
                    "selectPolicy": "Max",
                    "policies": [
                        {"type": "Pods", "value": 4, "periodSeconds": 15},
                        {"type": "Percent", "value": 100, "periodSeconds": 15},
                    ],
                }),
            );
            scaling_rules(
                behavior,
                "scaleDown",
                &json!({
                    "selectPolicy": "Max",
                    "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
                }),
            );
        }
    }

    fn prepare_update(&self, cx: &WriteContext<'_>, object: &mut Value, old: &Value) {
        keep_other_half(cx.subresource, object, old);
    }

    fn validate_create(&self, _: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        autoscaler_spec(object, 1)
    }

    fn validate_update(&self, cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        if cx.subresource == "status" {
            let mut errors = Errors::new();
            let counters = ["currentReplicas", "desiredReplicas"];
            non_negative_at(&object["status"], &counters, &Path::new("status"), &mut errors);
            return errors;
        }
        let zero_before = int_at(&old["spec"], "minReplicas") == Some(0);
        autoscaler_spec(object, if zero_before { 0 } else { 1 })
    }
}

fn is_v1(object: &Value) -> bool {
    match str_at(object, "apiVersion") {
        "" => has(&object["spec"], CPU),
        version => version == "autoscaling/v1",
    }
}

/// Fills in one direction of a behavior: what the user left out comes from `defaults`.
fn scaling_rules(behavior: &mut Value, direction: &str, defaults: &Value) {
    let Some(rules) = ensure_path(behavior, &[direction]) else { return };
    for (name, value) in defaults.as_object().into_iter().flatten() {
        set_default(rules, name, value.clone());
    }
}

fn autoscaler_spec(object: &Value, lowest: i64) -> Errors {
    let as_v2;
    let spec = if is_v1(object) {
        as_v2 = v1_to_v2(object);
        &as_v2["spec"]
    } else {
        &object["spec"]
    };
    let mut errors = Errors::new();
    let path = Path::new("spec");
    let (min, max) = (int_at(spec, "minReplicas"), int_at(spec, "maxReplicas").unwrap_or_default());
    if let Some(min) = min.filter(|min| *min < lowest) {
        let text = format!("must be greater than or equal to {lowest}");
        errors.push(FieldError::invalid(path.child("minReplicas"), min, text));
    }
    if max < 1 {
        errors.push(FieldError::invalid(path.child("maxReplicas"), max, "must be greater than 0"));
    }
    if min.is_some_and(|min| max < min) {
        let text = "must be greater than or equal to `minReplicas`";
        errors.push(FieldError::invalid(path.child("maxReplicas"), max, text));
    }
    object_reference(&spec["scaleTargetRef"], &path.child("scaleTargetRef"), &mut errors);
    metrics(spec, &path.child("metrics"), &mut errors);
    let (behavior, path) = (&spec["behavior"], path.child("behavior"));
    for direction in ["scaleUp", "scaleDown"] {
        if has(behavior, direction) {
            validate_scaling_rules(&behavior[direction], &path.child(direction), &mut errors);
        }
    }
    errors
}

fn object_reference(reference: &Value, path: &Path, errors: &mut Errors) {
    for name in ["kind", "name"] {
        path_segment(reference, name, "", path, errors);
    }
}

/// A required member that can stand in a URL path.
fn path_segment(object: &Value, name: &str, missing: &str, path: &Path, errors: &mut Errors) {
    let (value, path) = (str_at(object, name), path.child(name));
    if value.is_empty() {
        errors.push(FieldError::required(path, missing));
    } else {
        complaints(words::path_segment_name(value), &value.into(), &path, errors);
    }
}

fn metrics(spec: &Value, path: &Path, errors: &mut Errors) {
    let metrics = list_at(spec, "metrics");
    for (i, metric) in metrics.iter().enumerate() {
        validate_metric(metric, &path.index(i), errors);
    }
    let outside = metrics.iter().any(|metric| matches!(str_at(metric, "type"), "Object" | "External"));
    if int_at(spec, "minReplicas") == Some(0) && !outside {
        let text = "must specify at least one Object or External metric to support scaling to zero replicas";
        errors.push(FieldError::forbidden(path, text));
    }
}

fn validate_metric(metric: &Value, path: &Path, errors: &mut Errors) {
    let kind = str_at(metric, "type");
    if kind.is_empty() {
        errors.push(FieldError::required(path.child("type"), "must specify a metric source type"));
    }
    one_of(kind, &SOURCE_TYPES, &path.child("type"), errors);
    let given = present(metric, &SOURCES.map(|(name, _)| name));
    if let Some(first) = given.first() {
        source(first, &metric[*first], &path.child(first), errors);
    }
    let expected = SOURCES.iter().find(|(_, own)| *own == kind).map(|(name, _)| *name);
    match expected {
        Some(name) if !given.contains(&name) => {
            let text = "must populate information for the given metric source";
            errors.push(FieldError::required(path.child(name), text));
        }
        Some(_) => {}
        None => one_of(kind, &SOURCE_TYPES, &path.child("type"), errors),
    }
    if given.len() != 1 {
        for name in given.into_iter().filter(|name| Some(*name) != expected) {
            errors.push(FieldError::forbidden(path.child(name), "must populate the given metric source only"));
        }
    }
}

fn source(name: &str, source: &Value, path: &Path, errors: &mut Errors) {
    let (target, target_path) = (&source["target"], path.child("target"));
    let [value, average, utilization] = ["value", "averageValue", "averageUtilization"].map(|name| has(target, name));
    match name {
        "object" => {
            object_reference(&source["describedObject"], &path.child("describedObject"), errors);
            identifier(source, path, errors);
        }
        "external" | "pods" => identifier(source, path, errors),
        _ => resource(name, source, path, errors),
    }
    validate_target(target, &target_path, errors);
    let (missing, text) = match name {
        "object" => (!value && !average, "must set either a target value or averageValue"),
        "external" => (!value && !average, "must set either a target value for metric or a per-pod target"),
        "pods" => (!average, "must specify a positive target averageValue"),
        _ => (!utilization && !average, "must set either a target raw value or a target utilization"),
    };
    let resource = matches!(name, "resource" | "containerResource");
    if missing {
        let member = if resource { "averageUtilization" } else { "averageValue" };
        errors.push(FieldError::required(target_path.child(member), text));
    }
    if name == "external" && value && average {
        let text = "may not set both a target value for metric and a per-pod target";
        errors.push(FieldError::forbidden(target_path.child("value"), text));
    }
    if resource && utilization && average {
        let text = "may not set both a target raw value and a target utilization";
        errors.push(FieldError::forbidden(target_path.child("averageValue"), text));
    }
}

fn identifier(source: &Value, path: &Path, errors: &mut Errors) {
    path_segment(&source["metric"], "name", "must specify a metric name", &path.child("metric"), errors);
}

fn resource(kind: &str, source: &Value, path: &Path, errors: &mut Errors) {
    let (name, container) = (str_at(source, "name"), str_at(source, "container"));
    if name.is_empty() {
        errors.push(FieldError::required(path.child("name"), "must specify a resource name"));
    } else if kind == "containerResource" {
        container_resource_name(name, &path.child("name"), errors);
    }
    if kind != "containerResource" {
        return;
    }
    if container.is_empty() {
        errors.push(FieldError::required(path.child("container"), "must specify a container"));
    } else {
        dns_label(container, &path.child("container"), errors);
    }
}

fn validate_target(target: &Value, path: &Path, errors: &mut Errors) {
    let kind = str_at(target, "type");
    if kind.is_empty() {
        errors.push(FieldError::required(path.child("type"), "must specify a metric target type"));
    }
    if !matches!(kind, "Utilization" | "Value" | "AverageValue") {
        let text = "must be either Utilization, Value, or AverageValue";
        errors.push(FieldError::invalid(path.child("type"), kind, text));
    }
    for name in ["value", "averageValue"] {
        if quantity(&target[name]).is_some_and(|amount| amount.signum() != 1) {
            errors.push(FieldError::invalid(path.child(name), target[name].clone(), "must be positive"));
        }
    }
    if let Some(percent) = int_at(target, "averageUtilization").filter(|percent| *percent < 1) {
        errors.push(FieldError::invalid(path.child("averageUtilization"), percent, "must be greater than 0"));
    }
}

fn validate_scaling_rules(rules: &Value, path: &Path, errors: &mut Errors) {
    if let Some(window) = int_at(rules, "stabilizationWindowSeconds") {
        let path = path.child("stabilizationWindowSeconds");
        if window < 0 {
            errors.push(FieldError::invalid(&path, window, "must be greater than or equal to zero"));
        }
        if window > MAX_WINDOW {
            errors.push(FieldError::invalid(&path, window, format!("must be less than or equal to {MAX_WINDOW}")));
        }
    }
    if has(rules, "selectPolicy") {
        one_of(str_at(rules, "selectPolicy"), &["Disabled", "Max", "Min"], &path.child("selectPolicy"), errors);
    }
    let (policies, policies_path) = (list_at(rules, "policies"), path.child("policies"));
    if policies.is_empty() {
        errors.push(FieldError::required(&policies_path, "must specify at least one Policy"));
    }
    for (i, policy) in policies.iter().enumerate() {
        let path = policies_path.index(i);
        one_of(str_at(policy, "type"), &["Percent", "Pods"], &path.child("type"), errors);
        for name in ["value", "periodSeconds"] {
            let number = int_at(policy, name).unwrap_or_default();
            if number <= 0 {
                errors.push(FieldError::invalid(path.child(name), number, "must be greater than zero"));
            }
        }
        if let Some(period) = int_at(policy, "periodSeconds").filter(|period| *period > MAX_PERIOD) {
            let text = format!("must be less than or equal to {MAX_PERIOD}");
            errors.push(FieldError::invalid(path.child("periodSeconds"), period, text));
        }
    }
    if quantity(&rules["tolerance"]).is_some_and(|tolerance| tolerance.signum() < 0) {
        let text = "must be greater or equal to zero";
        errors.push(FieldError::invalid(path.child("tolerance"), rules["tolerance"].clone(), text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_get_their_cpu_target() {
        let mut v2 = json!({"apiVersion": "autoscaling/v2", "spec": {"maxReplicas": 3, "behavior": {"scaleDown": {"selectPolicy": "Min"}}}});
        HorizontalPodAutoscalerStrategy.default(&mut v2);
        assert_eq!(v2["spec"]["metrics"], json!([cpu_metric(80)]));
        assert_eq!(v2["spec"]["behavior"]["scaleDown"]["selectPolicy"], "Min");
        assert_eq!(v2["spec"]["behavior"]["scaleUp"]["policies"][0]["type"], "Pods");
        let mut v1 = json!({"apiVersion": "autoscaling/v1", "spec": {"maxReplicas": 3}});
        HorizontalPodAutoscalerStrategy.default(&mut v1);
        assert_eq!(v1["spec"][CPU], 80);
    }

    #[test]
    fn refusals_read_as_the_servers() {
        let hpa = json!({"apiVersion": "autoscaling/v2", "spec": {
            "minReplicas": 0, "maxReplicas": 0, "scaleTargetRef": {"kind": "Deployment"},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}}],
        }});
        let texts: Vec<String> = autoscaler_spec(&hpa, 1).iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1",
                "spec.maxReplicas: Invalid value: 0: must be greater than 0",
                "spec.scaleTargetRef.name: Required value",
                "spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization",
                "spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero replicas",
            ]
        );
    }
}
