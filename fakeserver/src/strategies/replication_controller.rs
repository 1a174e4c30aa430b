//! ReplicationControllers, whose selector is a plain map.
//!
//! Counterpart: `registry/core/replicationcontroller`, `SetDefaults_ReplicationController`,
//! `ValidateReplicationControllerSpec`.

use super::access::{ensure_path, entries_at, is_empty_at, set};
use super::pod_spec::{defaults, pod_template};
use super::replica_set;
use super::rules::{Errors, non_negative_at};
use super::templated::{always_running, keep_other_half, labels_mismatch, name_warning, template_warnings};
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use serde_json::Value;

/// The strategy of `replicationcontrollers`.
pub struct ReplicationControllerStrategy;

impl Strategy for ReplicationControllerStrategy {
    fn default(&self, object: &mut Value) {
        defaults::template(object, &["spec", "template", "spec"]);
        let labels = object["spec"]["template"]["metadata"]["labels"].clone();
        if !labels.is_object() {
            return;
        }
        for (path, name) in [("spec", "selector"), ("metadata", "labels")] {
            if let Some(holder) = ensure_path(object, &[path]).filter(|holder| is_empty_at(holder, name)) {
                set(holder, name, labels.clone());
            }
        }
    }

    fn prepare_update(&self, cx: &WriteContext<'_>, object: &mut Value, old: &Value) {
        keep_other_half(cx.subresource, object, old);
    }

    fn validate_create(&self, _: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let (spec, path) = (&object["spec"], Path::new("spec"));
        non_negative_at(spec, &["minReadySeconds"], &path, &mut errors);
        if is_empty_at(spec, "selector") {
            errors.push(FieldError::required(path.child("selector"), ""));
        }
        non_negative_at(spec, &["replicas"], &path, &mut errors);
        template(spec, &path, &mut errors);
        errors
    }

    fn validate_update(&self, cx: &WriteContext<'_>, object: &Value, _: &Value) -> Vec<FieldError> {
        if cx.subresource == "status" {
            return replica_set::status(&object["status"]);
        }
        // The server validates the new object, then again as part of the update.
        let mut errors = self.validate_create(cx, object);
        errors.extend(self.validate_create(cx, object));
        errors
    }

    fn warnings(&self, _: &WriteContext<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        let path = Path::new("spec").child("template");
        let mut warnings: Vec<String> = name_warning(object, "Pod names and hostnames", old).into_iter().collect();
        warnings.extend(template_warnings(&object["spec"]["template"], &path, object, old));
        warnings
    }

    fn selectable_fields(&self, object: &Value) -> Vec<(&'static str, String)> {
        vec![("status.replicas", replica_set::replicas(object))]
    }
}

fn template(spec: &Value, path: &Path, errors: &mut Errors) {
    if spec["template"].is_null() {
        errors.push(FieldError::required(path.child("template"), ""));
        return;
    }
    let labels = &spec["template"]["metadata"]["labels"];
    if entries_at(spec, "selector").any(|(key, value)| &labels[key] != value) {
        labels_mismatch(labels, path, errors);
    }
    pod_template(&spec["template"], &[], &path.child("template"), errors);
    always_running(spec, "ReplicationController", path, errors);
}
