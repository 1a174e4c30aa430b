//! PriorityClass: reserved names and values, what stays fixed.
//!
//! Counterpart: `registry/scheduling/priorityclass` and `ValidatePriorityClass`. That only one class is the default is
//! an admission plugin's rule.

use super::access::{bool_at, int_at, is_empty_at, set, str_at};
use super::checks::{immutable, required_one_of};
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::meta::ObjectMeta;
use serde_json::Value;

const HIGHEST_USER_VALUE: i64 = 1_000_000_000;
const SYSTEM: &[(&str, i64)] = &[("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];

/// Hooks of PriorityClass.
#[derive(Clone, Copy, Debug)]
pub struct PriorityClassStrategy;

impl Strategy for PriorityClassStrategy {
    fn default(&self, object: &mut Value) {
        if is_empty_at(object, "preemptionPolicy") {
            set(object, "preemptionPolicy", "PreemptLowerPriority");
        }
    }

    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let (name, value) = (object.name(), int_at(object, "value").unwrap_or_default());
        if name.starts_with("system-") {
            errors.extend(reserved(name, value, bool_at(object, "globalDefault")));
        } else if value > HIGHEST_USER_VALUE {
            let detail = format!("maximum allowed value of a user defined priority is {HIGHEST_USER_VALUE}");
            errors.push(FieldError::forbidden("value", detail));
        }
        let policy = str_at(object, "preemptionPolicy");
        errors.extend(required_one_of(&Path::new("preemptionPolicy"), policy, &["Never", "PreemptLowerPriority"]));
        errors
    }

    fn validate_update(&self, _cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if int_at(object, "value").unwrap_or_default() != int_at(old, "value").unwrap_or_default() {
            errors.push(FieldError::forbidden("value", "may not be changed in an update."));
        }
        let path = Path::new("preemptionPolicy");
        errors.extend(immutable(&path, &object["preemptionPolicy"], &old["preemptionPolicy"]));
        errors
    }
}

fn reserved(name: &str, value: i64, global: bool) -> Option<FieldError> {
    let why = match SYSTEM.iter().find(|(n, _)| *n == name) {
        None => format!("{name} is not a known system priority class"),
        Some((_, wanted)) if *wanted != value => format!("value of {name} PriorityClass must be {wanted}"),
        Some(_) if global => format!("globalDefault of {name} PriorityClass must be false"),
        Some(_) => return None,
    };
    let detail = format!("priority class names with 'system-' prefix are reserved for system use only. error: {why}");
    Some(FieldError::forbidden("metadata.name", detail))
}
