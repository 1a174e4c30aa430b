//! PodTemplates.
//!
//! Counterpart: `registry/core/podtemplate`, `ValidatePodTemplate`.

use super::access::semantic_eq;
use super::pod_spec::{self, defaults, warnings};
use super::rules::Errors;
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use serde_json::Value;

/// The strategy of `podtemplates`.
pub struct PodTemplateStrategy;

impl Strategy for PodTemplateStrategy {
    fn default(&self, object: &mut Value) {
        defaults::template(object, &["template", "spec"]);
    }

    fn validate_create(&self, _: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        pod_spec::pod_template(&object["template"], &[], &Path::new("template"), &mut errors);
        errors
    }

    fn validate_update(&self, cx: &WriteContext<'_>, object: &Value, _: &Value) -> Vec<FieldError> {
        self.validate_create(cx, object)
    }

    fn warnings(&self, _: &WriteContext<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        if old.is_some_and(|old| semantic_eq(&old["template"], &object["template"])) {
            return Vec::new();
        }
        warnings::of_pod_or_template(&object["template"], &Path::new("template"))
    }
}
