//! ServiceCIDR: a range of service addresses.
//!
//! Counterpart: `registry/networking/servicecidr` and `ValidateServiceCIDR`.

use super::access::{copy, list_at, spec, strings_at};
use super::checks::IMMUTABLE;
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::validation::is_valid_cidr;
use serde_json::Value;

/// Hooks of ServiceCIDR.
#[derive(Clone, Copy, Debug)]
pub struct ServiceCidrStrategy;

impl Strategy for ServiceCidrStrategy {
    fn prepare_update(&self, cx: &WriteContext<'_>, object: &mut Value, old: &Value) {
        copy(old, object, if cx.subresource == "status" { "spec" } else { "status" });
    }

    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        let path = Path::new("spec").child("cidrs");
        let cidrs: Vec<&str> = strings_at(spec(object), "cidrs").collect();
        let mut errors = Vec::new();
        if cidrs.is_empty() {
            errors.push(FieldError::required(&path, "at least one CIDR required"));
            return errors;
        }
        if cidrs.len() > 2 {
            let detail = "may only hold up to 2 values";
            errors.push(FieldError::invalid(&path, spec(object)["cidrs"].clone(), detail));
            return errors;
        }
        if let [a, b] = cidrs[..]
            && a.contains(':') == b.contains(':')
        {
            let detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/96";
            errors.push(FieldError::invalid(&path, spec(object)["cidrs"].clone(), detail));
        }
        for (i, cidr) in cidrs.iter().enumerate() {
            errors.extend(is_valid_cidr(cidr).into_iter().map(|m| FieldError::invalid(path.index(i), *cidr, m)));
        }
        errors
    }

    fn validate_update(&self, _cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let path = Path::new("spec").child("cidrs");
        let (new, before) = (list_at(spec(object), "cidrs"), list_at(spec(old), "cidrs"));
        let mut errors = Vec::new();
        for (i, cidr) in before.iter().enumerate() {
            if new.get(i) != Some(cidr) {
                errors.push(FieldError::invalid(path.index(i), new.get(i).cloned().unwrap_or_default(), IMMUTABLE));
            }
        }
        errors
    }
}
