//! RuntimeClass: handler, overhead, scheduling.
//!
//! Counterpart: `registry/node/runtimeclass` and `ValidateRuntimeClass`.

use super::access::{entries_at, str_at};
use super::checks::{dns_label, immutable, labels};
use super::resource_names::{container_resource_name, resource_quantity};
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use serde_json::Value;

/// Hooks of RuntimeClass.
#[derive(Clone, Copy, Debug)]
pub struct RuntimeClassStrategy;

impl Strategy for RuntimeClassStrategy {
    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        class(object)
    }

    fn validate_update(&self, _cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = class(object);
        errors.extend(immutable(&Path::new("handler"), &object["handler"], &old["handler"]));
        errors
    }
}

fn class(object: &Value) -> Vec<FieldError> {
    let mut errors = dns_label(&Path::new("handler"), str_at(object, "handler"));
    let path = Path::new("overhead").child("podFixed");
    for (name, amount) in entries_at(&object["overhead"], "podFixed") {
        errors.extend(container_resource_name(&path.key(name), name));
        errors.extend(resource_quantity(&path.key(name), name, amount));
    }
    errors.extend(labels(&Path::new("scheduling").child("nodeSelector"), &object["scheduling"]["nodeSelector"]));
    errors
}
