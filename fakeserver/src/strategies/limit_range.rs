//! LimitRange: defaults that follow from one another, bounds that must not contradict.
//!
//! Counterpart: `SetDefaults_LimitRangeItem` and `ValidateLimitRange`. Enforcement is the admission plugin's work.

use super::access::{entries_at, list_at, list_mut, object_mut, path_mut, spec, str_at};
use super::checks::qualified_name;
use super::resource_names::{container_resource_name, may_overcommit, quantity, resource_name};
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::quantity::Quantity;
use serde_json::Value;
use std::collections::BTreeSet;

/// Hooks of LimitRange.
#[derive(Clone, Copy, Debug)]
pub struct LimitRangeStrategy;

impl Strategy for LimitRangeStrategy {
    fn default(&self, object: &mut Value) {
        let Some(spec) = path_mut(object, &["spec"]) else { return };
        for item in list_mut(spec, "limits") {
            if str_at(item, "type") == "Container" {
                fill(item, "max", "default");
                fill(item, "default", "defaultRequest");
                fill(item, "min", "defaultRequest");
            }
        }
    }

    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        limit_range(object)
    }

    fn validate_update(&self, _cx: &WriteContext<'_>, object: &Value, _old: &Value) -> Vec<FieldError> {
        limit_range(object)
    }
}

/// Copies what `to` lacks from `from`.
fn fill(item: &mut Value, from: &str, to: &str) {
    let Some(source) = item[from].as_object().filter(|m| !m.is_empty()).cloned() else { return };
    if let Some(target) = object_mut(&mut item[to]) {
        for (name, amount) in source {
            target.entry(name).or_insert(amount);
        }
    }
}

fn limit_range(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut types = BTreeSet::new();
    for (i, item) in list_at(spec(object), "limits").iter().enumerate() {
        let path = Path::new("spec").child("limits").index(i);
        let kind = str_at(item, "type");
        errors.extend(type_name(&path.child("type"), kind));
        if !types.insert(kind) {
            errors.push(FieldError::duplicate(path.child("type"), kind));
        }
        names(&path, item, &mut errors);
        bounds(&path, item, &mut errors);
    }
    errors
}

fn type_name(path: &Path, kind: &str) -> Vec<FieldError> {
    let mut errors = qualified_name(path, kind);
    if errors.is_empty() && !kind.contains('/') && !matches!(kind, "Pod" | "Container" | "PersistentVolumeClaim") {
        errors.push(FieldError::invalid(path, kind, "must be a standard limit type or fully qualified"));
    }
    errors
}

fn names(path: &Path, item: &Value, errors: &mut Vec<FieldError>) {
    let kind = str_at(item, "type");
    let check = |member: &str, errors: &mut Vec<FieldError>| {
        for (name, _) in entries_at(item, member) {
            let at = path.child(member).key(name);
            errors.extend(match kind {
                "Pod" | "Container" => container_resource_name(&at, name),
                _ => resource_name(&at, name),
            });
        }
    };
    check("max", errors);
    check("min", errors);
    for member in ["default", "defaultRequest"] {
        if kind != "Pod" {
            check(member, errors);
        } else if entries_at(item, member).next().is_some() {
            errors.push(FieldError::forbidden(path.child(member), "may not be specified when `type` is 'Pod'"));
        }
    }
    if kind == "PersistentVolumeClaim" && item["min"]["storage"].is_null() && item["max"]["storage"].is_null() {
        let detail = "either minimum or maximum storage value is required, but neither was provided";
        errors.push(FieldError::required(path.child("limits"), detail));
    }
    check("maxLimitRequestRatio", errors);
}

fn bounds(path: &Path, item: &Value, errors: &mut Vec<FieldError>) {
    let members = ["min", "max", "default", "defaultRequest", "maxLimitRequestRatio"];
    let names: BTreeSet<&str> = members.iter().flat_map(|m| entries_at(item, m).map(|(name, _)| name)).collect();
    for name in names {
        let get = |member: &str| item[member].get(name).map(quantity);
        let (min, max, default, request) = (get("min"), get("max"), get("default"), get("defaultRequest"));
        let mut above =
            |a: Option<Quantity>, b: Option<Quantity>, member: &str, shown: Option<Quantity>, words: (&str, &str)| {
                if let (Some(a), Some(b), Some(shown)) = (a, b, shown)
                    && a > b
                {
                    let detail = format!("{} value {a} is greater than {} value {b}", words.0, words.1);
                    errors.push(FieldError::invalid(path.child(member).key(name), shown.to_string(), detail));
                }
            };
        above(min, max, "min", min, ("min", "max"));
        above(min, request, "defaultRequest", request, ("min", "default request"));
        above(request, max, "defaultRequest", request, ("default request", "max"));
        above(request, default, "defaultRequest", request, ("default request", "default limit"));
        above(min, default, "default", min, ("min", "default"));
        above(default, max, "default", max, ("default", "max"));
        let at = path.child("maxLimitRequestRatio").key(name);
        if let Some(ratio) = get("maxLimitRequestRatio") {
            ratio_bounds(&at, ratio, min, max, errors);
        }
        if let (false, Some(default), Some(request)) = (may_overcommit(name), default, request)
            && default != request
        {
            let detail = format!("default value {default} must equal to defaultRequest value {request} in {name}");
            errors.push(FieldError::invalid(path.child("defaultRequest").key(name), request.to_string(), detail));
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "the real server divides floats, too")]
fn ratio_bounds(
    path: &Path,
    ratio: Quantity,
    min: Option<Quantity>,
    max: Option<Quantity>,
    errors: &mut Vec<FieldError>,
) {
    if ratio.milli_value() < 1000 {
        errors.push(FieldError::invalid(path, ratio.to_string(), format!("ratio {ratio} is less than 1")));
    }
    if let (Some(min), Some(max)) = (min, max) {
        let limit = max.milli_value() as f64 / min.milli_value() as f64;
        if ratio.milli_value() as f64 / 1000.0 > limit {
            let detail = format!("ratio {ratio} is greater than max/min = {limit:.6}");
            errors.push(FieldError::invalid(path, ratio.to_string(), detail));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn defaulted(limit: &Value) -> Value {
        let mut object = json!({"spec": {"limits": [limit]}});
        LimitRangeStrategy.default(&mut object);
        object
    }

    #[test]
    fn defaults_flow_from_max_to_default_to_request() {
        let object =
            defaulted(&json!({"type": "Container", "max": {"cpu": "1", "memory": "1Gi"}, "min": {"cpu": "100m"}}));
        let item = &object["spec"]["limits"][0];
        assert_eq!(item["default"], json!({"cpu": "1", "memory": "1Gi"}));
        assert_eq!(item["defaultRequest"], json!({"cpu": "1", "memory": "1Gi"}));
        assert_eq!(
            defaulted(&json!({"type": "Pod", "max": {"cpu": "2"}}))["spec"]["limits"][0]["default"],
            Value::Null
        );
    }

    #[test]
    fn refusals_read_as_the_real_servers() {
        let cases = [
            (
                json!({"type": "Container", "max": {"cpu": "1"}, "min": {"cpu": "2"}}),
                vec![
                    "spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1",
                    "spec.limits[0].defaultRequest[cpu]: Invalid value: \"1\": min value 2 is greater than default request value 1",
                    "spec.limits[0].default[cpu]: Invalid value: \"2\": min value 2 is greater than default value 1",
                ],
            ),
            (
                json!({"type": "Container", "max": {"cpu": "1"}, "default": {"cpu": "2"}}),
                vec![
                    "spec.limits[0].defaultRequest[cpu]: Invalid value: \"2\": default request value 2 is greater than max value 1",
                    "spec.limits[0].default[cpu]: Invalid value: \"1\": default value 2 is greater than max value 1",
                ],
            ),
            (
                json!({"type": "Pod", "max": {"cpu": "1"}, "default": {"cpu": "1"}}),
                vec!["spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'"],
            ),
            (
                json!({"type": "PersistentVolumeClaim", "max": {"cpu": "1"}}),
                vec![
                    "spec.limits[0].limits: Required value: either minimum or maximum storage value is required, but neither was provided",
                ],
            ),
        ];
        for (limit, expected) in cases {
            let texts: Vec<_> = limit_range(&defaulted(&limit)).iter().map(ToString::to_string).collect();
            assert_eq!(texts, expected);
        }
    }
}
