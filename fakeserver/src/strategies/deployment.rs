//! Deployments.
//!
//! Counterpart: `registry/apps/deployment`, `SetDefaults_Deployment`, `ValidateDeploymentSpec`.

use super::access::{ensure_path, has, int_at, is_empty_at, set, set_default, str_at};
use super::pod_spec::defaults;
use super::rules::{
    Errors, collision_count_not_decremented, count_or_percent, count_or_percent_value, go_struct, immutable_at,
    non_negative_at, not_above, not_above_hundred_percent,
};
use super::templated::{keep_other_half, name_warning, replica_set_template, required_selector, template_warnings};
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use serde_json::Value;

/// The strategy of `deployments.apps`.
pub struct DeploymentStrategy;

impl Strategy for DeploymentStrategy {
    fn default(&self, object: &mut Value) {
        defaults::template(object, &["spec", "template", "spec"]);
        let Some(strategy) = ensure_path(object, &["spec", "strategy"]) else { return };
        if is_empty_at(strategy, "type") {
            set(strategy, "type", "RollingUpdate");
        }
        if str_at(strategy, "type") == "RollingUpdate"
            && let Some(rolling) = ensure_path(strategy, &["rollingUpdate"])
        {
            set_default(rolling, "maxUnavailable", "25%");
            set_default(rolling, "maxSurge", "25%");
        }
    }

    fn prepare_update(&self, cx: &WriteContext<'_>, object: &mut Value, old: &Value) {
        keep_other_half(cx.subresource, object, old);
        if cx.subresource == "status"
            && let Some(meta) = object.get_mut("metadata")
        {
            super::access::copy(&old["metadata"], meta, "labels");
        }
    }

    fn validate_create(&self, _: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        deployment_spec(&object["spec"], &Path::new("spec"), &mut errors);
        errors
    }

    fn validate_update(&self, cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        if cx.subresource == "status" {
            return status(&object["status"], &old["status"]);
        }
        let mut errors = self.validate_create(cx, object);
        immutable_at(&object["spec"], &old["spec"], &["selector"], &Path::new("spec"), &mut errors);
        errors
    }

    fn warnings(&self, _: &WriteContext<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        let path = Path::new("spec").child("template");
        let mut warnings: Vec<String> = name_warning(object, "Pod names and hostnames", old).into_iter().collect();
        warnings.extend(template_warnings(&object["spec"]["template"], &path, object, old));
        warnings
    }
}

fn deployment_spec(spec: &Value, path: &Path, errors: &mut Errors) {
    non_negative_at(spec, &["replicas"], path, errors);
    required_selector(spec, "deployment", path, errors);
    replica_set_template(spec, path, errors);
    strategy(&spec["strategy"], &path.child("strategy"), errors);
    non_negative_at(spec, &["minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"], path, errors);
    if let Some(deadline) = int_at(spec, "progressDeadlineSeconds")
        && deadline <= int_at(spec, "minReadySeconds").unwrap_or_default()
    {
        let text = "must be greater than minReadySeconds";
        errors.push(FieldError::invalid(path.child("progressDeadlineSeconds"), deadline, text));
    }
}

fn strategy(strategy: &Value, path: &Path, errors: &mut Errors) {
    let (rolling, rolling_path) = (&strategy["rollingUpdate"], path.child("rollingUpdate"));
    match strategy["type"].as_str().unwrap_or("RollingUpdate") {
        "Recreate" => {
            if has(strategy, "rollingUpdate") {
                let text = "may not be specified when strategy `type` is 'Recreate'";
                errors.push(FieldError::forbidden(rolling_path, text));
            }
        }
        "RollingUpdate" => {
            let (unavailable, surge) = (&rolling["maxUnavailable"], &rolling["maxSurge"]);
            let unavailable_path = rolling_path.child("maxUnavailable");
            count_or_percent(unavailable, &unavailable_path, errors);
            count_or_percent(surge, &rolling_path.child("maxSurge"), errors);
            if count_or_percent_value(unavailable) == 0 && count_or_percent_value(surge) == 0 {
                let text = "may not be 0 when `maxSurge` is 0";
                errors.push(FieldError::invalid(&unavailable_path, unavailable.clone(), text));
            }
            not_above_hundred_percent(unavailable, &unavailable_path, errors);
        }
        _ => {
            let shown = go_struct("apps.v1.DeploymentStrategy", strategy);
            let known = ["Recreate", "RollingUpdate"];
            errors.push(FieldError::not_supported(path, strategy.clone(), &known).shown_as(shown));
        }
    }
}

fn status(status: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    let path = Path::new("status");
    let counters = [
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
        "terminatingReplicas",
        "collisionCount",
    ];
    non_negative_at(status, &counters, &path, &mut errors);
    let parts = ["updatedReplicas", "readyReplicas", "availableReplicas"];
    not_above(status, &parts, "replicas", "cannot be greater than status.replicas", &path, &mut errors);
    let text = "cannot be greater than readyReplicas";
    not_above(status, &["availableReplicas"], "readyReplicas", text, &path, &mut errors);
    collision_count_not_decremented(status, old, &path, &mut errors);
    errors
}
