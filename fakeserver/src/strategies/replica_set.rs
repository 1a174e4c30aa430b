//! ReplicaSets.
//!
//! Counterpart: `registry/apps/replicaset`, `ValidateReplicaSetSpec`.

use super::access::int_at;
use super::pod_spec::defaults;
use super::rules::{Errors, immutable_at, non_negative_at, not_above};
use super::templated::{keep_other_half, name_warning, replica_set_template, required_selector, template_warnings};
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use serde_json::Value;

/// The strategy of `replicasets.apps`.
pub struct ReplicaSetStrategy;

impl Strategy for ReplicaSetStrategy {
    fn default(&self, object: &mut Value) {
        defaults::template(object, &["spec", "template", "spec"]);
    }

    fn prepare_update(&self, cx: &WriteContext<'_>, object: &mut Value, old: &Value) {
        keep_other_half(cx.subresource, object, old);
    }

    fn validate_create(&self, _: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let (spec, path) = (&object["spec"], Path::new("spec"));
        non_negative_at(spec, &["replicas", "minReadySeconds"], &path, &mut errors);
        // The server calls it a deployment here too.
        required_selector(spec, "deployment", &path, &mut errors);
        replica_set_template(spec, &path, &mut errors);
        errors
    }

    fn validate_update(&self, cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        if cx.subresource == "status" {
            return status(&object["status"]);
        }
        // The server validates the new object, then again as part of the update.
        let mut errors = self.validate_create(cx, object);
        errors.extend(self.validate_create(cx, object));
        immutable_at(&object["spec"], &old["spec"], &["selector"], &Path::new("spec"), &mut errors);
        errors
    }

    fn warnings(&self, _: &WriteContext<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        let path = Path::new("spec").child("template");
        let mut warnings: Vec<String> = name_warning(object, "Pod names and hostnames", old).into_iter().collect();
        warnings.extend(template_warnings(&object["spec"]["template"], &path, object, old));
        warnings
    }

    fn selectable_fields(&self, object: &Value) -> Vec<(&'static str, String)> {
        vec![("status.replicas", replicas(object))]
    }
}

/// `status.replicas` as a selectable field prints it.
pub(super) fn replicas(object: &Value) -> String {
    int_at(&object["status"], "replicas").unwrap_or_default().to_string()
}

/// Validates the status of a ReplicaSet or a ReplicationController.
pub(super) fn status(status: &Value) -> Errors {
    let mut errors = Errors::new();
    let path = Path::new("status");
    let counters = [
        "replicas",
        "fullyLabeledReplicas",
        "readyReplicas",
        "availableReplicas",
        "terminatingReplicas",
        "observedGeneration",
    ];
    non_negative_at(status, &counters, &path, &mut errors);
    let parts = ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"];
    not_above(status, &parts, "replicas", "cannot be greater than status.replicas", &path, &mut errors);
    let text = "cannot be greater than readyReplicas";
    not_above(status, &["availableReplicas"], "readyReplicas", text, &path, &mut errors);
    errors
}
