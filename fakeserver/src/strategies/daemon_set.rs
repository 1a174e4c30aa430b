//! DaemonSets, with the generation of their template in an annotation.
//!
//! Counterpart: `registry/apps/daemonset`, `SetDefaults_DaemonSet`, `ValidateDaemonSetSpec`, and the conversion that
//! keeps `templateGeneration` in `deprecated.daemonset.template.generation`.

use super::access::{ensure_path, has, is_empty_at, semantic_eq, set, set_default, str_at};
use super::pod_spec::{defaults, pod_template};
use super::rules::{
    Errors, collision_count_not_decremented, count_or_percent, count_or_percent_value, go_struct, immutable_at,
    label_selector, non_negative_at, not_above_hundred_percent, selector_is_empty,
};
use super::templated::{always_running, keep_other_half, selector_matches_template, template_warnings};
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use serde_json::Value;

const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// The strategy of `daemonsets.apps`.
pub struct DaemonSetStrategy;

impl Strategy for DaemonSetStrategy {
    fn default(&self, object: &mut Value) {
        defaults::template(object, &["spec", "template", "spec"]);
        let Some(strategy) = ensure_path(object, &["spec", "updateStrategy"]) else { return };
        if is_empty_at(strategy, "type") {
            set(strategy, "type", "RollingUpdate");
        }
        if str_at(strategy, "type") == "RollingUpdate"
            && let Some(rolling) = ensure_path(strategy, &["rollingUpdate"])
        {
            set_default(rolling, "maxUnavailable", 1);
            set_default(rolling, "maxSurge", 0);
        }
    }

    fn prepare_create(&self, _: &WriteContext<'_>, object: &mut Value) {
        let generation = template_generation(object).max(1);
        set_template_generation(object, generation);
    }

    fn prepare_update(&self, cx: &WriteContext<'_>, object: &mut Value, old: &Value) {
        keep_other_half(cx.subresource, object, old);
        let changed = !semantic_eq(&object["spec"]["template"], &old["spec"]["template"]);
        let generation = template_generation(old) + i64::from(changed);
        set_template_generation(object, generation);
    }

    fn validate_create(&self, _: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        daemon_set_spec(&object["spec"], &Path::new("spec"), &mut errors);
        errors
    }

    fn validate_update(&self, cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        if cx.subresource == "status" {
            return status(&object["status"], &old["status"]);
        }
        // The server validates the new object, then again as part of the update.
        let mut errors = self.validate_create(cx, object);
        errors.extend(self.validate_create(cx, object));
        immutable_at(&object["spec"], &old["spec"], &["selector"], &Path::new("spec"), &mut errors);
        errors
    }

    fn warnings(&self, _: &WriteContext<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        template_warnings(&object["spec"]["template"], &Path::new("spec").child("template"), object, old)
    }
}

fn template_generation(object: &Value) -> i64 {
    object["metadata"]["annotations"][TEMPLATE_GENERATION].as_str().and_then(|n| n.parse().ok()).unwrap_or_default()
}

fn set_template_generation(object: &mut Value, generation: i64) {
    if let Some(annotations) = ensure_path(object, &["metadata", "annotations"]) {
        set(annotations, TEMPLATE_GENERATION, generation.to_string());
    }
}

fn daemon_set_spec(spec: &Value, path: &Path, errors: &mut Errors) {
    label_selector(&spec["selector"], &path.child("selector"), errors);
    selector_matches_template(spec, "", path, errors);
    if selector_is_empty(&spec["selector"]) {
        let text = "empty selector is invalid for daemonset";
        errors.push(FieldError::invalid(path.child("selector"), spec["selector"].clone(), text));
    }
    pod_template(&spec["template"], &[], &path.child("template"), errors);
    always_running(spec, "DaemonSet", path, errors);
    non_negative_at(spec, &["minReadySeconds"], path, errors);
    update_strategy(&spec["updateStrategy"], &path.child("updateStrategy"), errors);
    non_negative_at(spec, &["revisionHistoryLimit"], path, errors);
}

fn update_strategy(strategy: &Value, path: &Path, errors: &mut Errors) {
    let rolling = &strategy["rollingUpdate"];
    match strategy["type"].as_str().unwrap_or("RollingUpdate") {
        "OnDelete" => {}
        "RollingUpdate" if !has(strategy, "rollingUpdate") => {
            errors.push(FieldError::required(path.child("rollingUpdate"), ""));
        }
        "RollingUpdate" => rolling_update(rolling, &path.child("rollingUpdate"), errors),
        _ => {
            let shown = go_struct("apps.v1.DaemonSetUpdateStrategy", strategy);
            let known = ["RollingUpdate", "OnDelete"];
            errors.push(FieldError::not_supported(path, strategy.clone(), &known).shown_as(shown));
        }
    }
}

fn rolling_update(rolling: &Value, path: &Path, errors: &mut Errors) {
    let (unavailable, surge) = (&rolling["maxUnavailable"], &rolling["maxSurge"]);
    let (unavailable_path, surge_path) = (path.child("maxUnavailable"), path.child("maxSurge"));
    count_or_percent(unavailable, &unavailable_path, errors);
    count_or_percent(surge, &surge_path, errors);
    not_above_hundred_percent(unavailable, &unavailable_path, errors);
    not_above_hundred_percent(surge, &surge_path, errors);
    match (count_or_percent_value(unavailable) != 0, count_or_percent_value(surge) != 0) {
        (true, true) => {
            let text = "may not be set when maxUnavailable is non-zero";
            errors.push(FieldError::invalid(surge_path, surge.clone(), text));
        }
        (false, false) => errors.push(FieldError::required(unavailable_path, "cannot be 0 when maxSurge is 0")),
        _ => {}
    }
}

fn status(status: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    let path = Path::new("status");
    let counters = [
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    ];
    non_negative_at(status, &counters, &path, &mut errors);
    collision_count_not_decremented(status, old, &path, &mut errors);
    errors
}
