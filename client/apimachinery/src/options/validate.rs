//! Checks of options, with the server's wording.
//!
//! Counterparts: `meta/v1/validation` and `meta/internalversion/validation`.

use super::{CreateOptions, DeleteOptions, ListOptions, PatchOptions, UpdateOptions};
use crate::field::FieldError;

/// Longest field manager name, in bytes.
pub const FIELD_MANAGER_MAX_LENGTH: usize = 128;

/// Content type of server-side apply patches.
const APPLY_PATCH: &str = "application/apply-patch+yaml";
const APPLY_PATCH_CBOR: &str = "application/apply-patch+cbor";

/// Errors of list, watch and deletecollection options; `options.watch` decides which rules hold.
#[must_use]
pub fn validate_list_options(options: &ListOptions) -> Vec<FieldError> {
    if options.watch { validate_watch(options) } else { validate_list(options) }
}

const MATCH: &str = "resourceVersionMatch";
const WITH_CONTINUE: &str = "resourceVersionMatch is forbidden when continue is provided";

fn validate_list(options: &ListOptions) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let rule = options.resource_version_match.as_str();
    if !rule.is_empty() {
        if options.resource_version.is_empty() {
            let text = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            errors.push(FieldError::forbidden(MATCH, text));
        }
        if !options.continue_token.is_empty() {
            errors.push(FieldError::forbidden(MATCH, WITH_CONTINUE));
        }
        if !matches!(rule, "Exact" | "NotOlderThan") {
            errors.push(FieldError::not_supported(MATCH, rule, &["Exact", "NotOlderThan", ""]));
        }
        if rule == "Exact" && options.resource_version == "0" {
            let text = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            errors.push(FieldError::forbidden(MATCH, text));
        }
    }
    if options.send_initial_events.is_some() {
        errors.push(FieldError::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    errors
}

fn validate_watch(options: &ListOptions) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let rule = options.resource_version_match.as_str();
    let initial = options.send_initial_events.is_some();
    if initial && rule != "NotOlderThan" {
        let text = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        errors.push(FieldError::forbidden(MATCH, text));
    }
    if rule.is_empty() {
        return errors;
    }
    if !initial {
        let text = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
        errors.push(FieldError::forbidden(MATCH, text));
    }
    if rule != "NotOlderThan" {
        errors.push(FieldError::not_supported(MATCH, rule, &["NotOlderThan"]));
    }
    if !options.continue_token.is_empty() {
        errors.push(FieldError::forbidden(MATCH, WITH_CONTINUE));
    }
    errors
}

/// Errors of create options.
#[must_use]
pub fn validate_create_options(options: &CreateOptions) -> Vec<FieldError> {
    validate_write(&options.field_manager, &options.dry_run, &options.field_validation)
}

/// Errors of update options.
#[must_use]
pub fn validate_update_options(options: &UpdateOptions) -> Vec<FieldError> {
    validate_write(&options.field_manager, &options.dry_run, &options.field_validation)
}

/// Errors of patch options; the content type (without parameters) tells apply from the rest.
#[must_use]
pub fn validate_patch_options(options: &PatchOptions, content_type: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if matches!(content_type, APPLY_PATCH | APPLY_PATCH_CBOR) {
        if options.field_manager.is_empty() {
            errors.push(FieldError::required("fieldManager", "is required for apply patch"));
        }
    } else if options.force.is_some() {
        errors.push(FieldError::forbidden("force", "may not be specified for non-apply patch"));
    }
    errors.extend(validate_write(&options.field_manager, &options.dry_run, &options.field_validation));
    errors
}

/// Errors of delete options.
#[must_use]
pub fn validate_delete_options(options: &DeleteOptions) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(policy) = options.propagation_policy.as_deref() {
        let field = "propagationPolicy";
        if options.orphan_dependents.is_some() {
            let text = "orphanDependents and deletionPropagation cannot be both set";
            errors.push(FieldError::invalid(field, policy, text));
        }
        if !matches!(policy, "Foreground" | "Background" | "Orphan") {
            errors.push(FieldError::not_supported(field, policy, &["Foreground", "Background", "Orphan", "nil"]));
        }
    }
    errors.extend(validate_dry_run(&options.dry_run));
    errors
}

fn validate_write(manager: &str, dry_run: &[String], validation: &str) -> Vec<FieldError> {
    let mut errors = validate_field_manager(manager);
    errors.extend(validate_dry_run(dry_run));
    if !matches!(validation, "" | "Ignore" | "Strict" | "Warn") {
        errors.push(FieldError::not_supported("fieldValidation", validation, &["", "Ignore", "Strict", "Warn"]));
    }
    errors
}

fn validate_dry_run(values: &[String]) -> Option<FieldError> {
    values.iter().any(|v| v != "All").then(|| FieldError::not_supported("dryRun", values.to_vec(), &["All"]))
}

/// Errors of a field manager name.
#[must_use]
pub fn validate_field_manager(name: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if name.len() > FIELD_MANAGER_MAX_LENGTH {
        errors.push(FieldError::too_long("fieldManager", FIELD_MANAGER_MAX_LENGTH));
    }
    for (i, c) in name.char_indices().filter(|(_, c)| !is_print(*c)) {
        let text = format!("invalid character U+{:04X} (at position {i})", c as u32);
        errors.push(FieldError::invalid("fieldManager", name, text));
    }
    errors
}

/// Go's `unicode.IsPrint`, as far as control, format, private and space characters go.
fn is_print(c: char) -> bool {
    let invisible =
        matches!(c as u32, 0xad | 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f | 0xfeff | 0xe000..=0xf8ff);
    c == ' ' || !(c.is_control() || c.is_whitespace() || invisible)
}
