//! Lease: durations, transitions, coordinated election.
//!
//! Counterpart: `registry/coordination/lease` and `ValidateLease`.

use super::access::{int_at, is_empty_at, spec};
use super::checks::non_negative;
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use serde_json::Value;

/// Hooks of Lease.
#[derive(Clone, Copy, Debug)]
pub struct LeaseStrategy;

impl Strategy for LeaseStrategy {
    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        lease(object)
    }

    fn validate_update(&self, _cx: &WriteContext<'_>, object: &Value, _old: &Value) -> Vec<FieldError> {
        lease(object)
    }
}

fn lease(object: &Value) -> Vec<FieldError> {
    let spec = spec(object);
    let path = Path::new("spec");
    let mut errors = Vec::new();
    if let Some(seconds) = int_at(spec, "leaseDurationSeconds").filter(|s| *s <= 0) {
        errors.push(FieldError::invalid(path.child("leaseDurationSeconds"), seconds, "must be greater than 0"));
    }
    if let Some(count) = int_at(spec, "leaseTransitions") {
        errors.extend(non_negative(&path.child("leaseTransitions"), count));
    }
    if !is_empty_at(spec, "preferredHolder") && is_empty_at(spec, "strategy") {
        let detail = "may only be specified when `strategy` is defined";
        errors.push(FieldError::forbidden(path.child("preferredHolder"), detail));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn durations_are_positive() {
        let errors = lease(&json!({"spec": {"leaseDurationSeconds": 0, "leaseTransitions": -1}}));
        assert_eq!(errors[0].to_string(), "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0");
        assert_eq!(
            errors[1].to_string(),
            "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0"
        );
    }
}
