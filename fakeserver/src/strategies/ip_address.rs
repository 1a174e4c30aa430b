//! IPAddress: a taken service address and its owner.
//!
//! Counterpart: `registry/networking/ipaddress` and `ValidateIPAddress`.

use super::access::{has, spec, str_at};
use super::checks::IMMUTABLE;
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::validation::path_segment_name;
use serde_json::Value;

/// Hooks of IPAddress.
#[derive(Clone, Copy, Debug)]
pub struct IpAddressStrategy;

impl Strategy for IpAddressStrategy {
    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        parent(object)
    }

    fn validate_update(&self, _cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let path = Path::new("spec").child("parentRef");
        if spec(object)["parentRef"] == spec(old)["parentRef"] {
            return Vec::new();
        }
        vec![FieldError::invalid(path, spec(object)["parentRef"].clone(), IMMUTABLE)]
    }
}

fn parent(object: &Value) -> Vec<FieldError> {
    let path = Path::new("spec").child("parentRef");
    if !has(spec(object), "parentRef") {
        return vec![FieldError::required(path, "")];
    }
    let parent = &spec(object)["parentRef"];
    let mut errors = Vec::new();
    for name in ["resource", "name"] {
        let text = str_at(parent, name);
        if text.is_empty() {
            errors.push(FieldError::required(path.child(name), ""));
        }
        let at = path.child(name);
        errors.extend(path_segment_name(text).into_iter().map(|m| FieldError::invalid(&at, text, m)));
    }
    errors
}
