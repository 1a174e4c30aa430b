//! ControllerRevisions: immutable data with a number.
//!
//! Counterpart: `registry/apps/controllerrevision`, `ValidateControllerRevision`.

use super::access::has;
use super::rules::{Errors, immutable_at, non_negative_at};
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use serde_json::Value;

/// The strategy of `controllerrevisions.apps`.
pub struct ControllerRevisionStrategy;

impl Strategy for ControllerRevisionStrategy {
    fn validate_create(&self, _: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        if !has(object, "data") {
            errors.push(FieldError::required("data", "data is mandatory"));
        }
        non_negative_at(object, &["revision"], &Path::root(), &mut errors);
        errors
    }

    fn validate_update(&self, cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = self.validate_create(cx, object);
        immutable_at(object, old, &["data"], &Path::root(), &mut errors);
        errors
    }
}
