//! Validation of security contexts, of Pods and of containers: ids, profiles, sysctls, Windows options.
//!
//! Counterpart: `validatePodSpecSecurityContext`, `ValidateSecurityContext`, `validateSeccompProfileField`,
//! `ValidateAppArmorProfileField`, `validateSysctls`, `validateWindowsSecurityContextOptions`.

use super::os::windows_options;
use super::validate::Surroundings;
use super::volume_sources::descending_path;
use crate::strategies::access::{bool_at, has, int_at, list_at, str_at, strings_at};
use crate::strategies::rules::{Errors, complaints, invalid_struct, one_of};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::validation as words;
use serde_json::Value;
use std::collections::BTreeSet;

const PROFILE_TYPES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];
/// Longest path of an AppArmor profile, `PATH_MAX - 1`.
const PROFILE_LIMIT: usize = 4095;

/// `securityContext` of a pod spec.
pub(super) fn pod_security_context(spec: &Value, path: &Path, errors: &mut Errors) {
    let context = &spec["securityContext"];
    id(context, "fsGroup", words::is_valid_group_id, path, errors);
    id(context, "runAsUser", words::is_valid_user_id, path, errors);
    id(context, "runAsGroup", words::is_valid_group_id, path, errors);
    for (i, group) in list_at(context, "supplementalGroups").iter().enumerate() {
        let messages = words::is_valid_group_id(group.as_i64().unwrap_or_default());
        complaints(messages, group, &path.child("supplementalGroups").index(i), errors);
    }
    if bool_at(spec, "shareProcessNamespace") && bool_at(spec, "hostPID") {
        let text = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.push(FieldError::invalid(path.child("shareProcessNamespace"), true, text));
    }
    sysctls(context, spec, &path.child("sysctls"), errors);
    if has(context, "fsGroupChangePolicy") {
        let known = ["Always", "OnRootMismatch"];
        one_of(str_at(context, "fsGroupChangePolicy"), &known, &path.child("fsGroupChangePolicy"), errors);
    }
    seccomp_profile(&context["seccompProfile"], &path.child("seccompProfile"), errors);
    windows_options(&context["windowsOptions"], &path.child("windowsOptions"), errors);
    app_armor_profile(&context["appArmorProfile"], &path.child("appArmorProfile"), errors);
    if has(context, "supplementalGroupsPolicy") {
        let known = ["Merge", "Strict"];
        one_of(str_at(context, "supplementalGroupsPolicy"), &known, &path.child("supplementalGroupsPolicy"), errors);
    }
    if has(context, "seLinuxChangePolicy") {
        let known = ["MountOption", "Recursive"];
        one_of(str_at(context, "seLinuxChangePolicy"), &known, &path.child("seLinuxChangePolicy"), errors);
    }
}

fn id(context: &Value, name: &str, rule: fn(i64) -> Vec<String>, path: &Path, errors: &mut Errors) {
    if let Some(id) = int_at(context, name) {
        complaints(rule(id), &id.into(), &path.child(name), errors);
    }
}

fn sysctls(context: &Value, spec: &Value, path: &Path, errors: &mut Errors) {
    let mut names = BTreeSet::new();
    for (i, sysctl) in list_at(context, "sysctls").iter().enumerate() {
        let (path, name) = (path.index(i).child("name"), str_at(sysctl, "name"));
        if name.is_empty() {
            errors.push(FieldError::required(&path, ""));
        } else if !is_sysctl_name(name) {
            let text = "must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
            errors.push(FieldError::invalid(&path, name, text));
        } else if names.contains(name) {
            errors.push(FieldError::duplicate(&path, name));
        }
        names.insert(name);
        let dotted = name.replace('/', ".");
        if bool_at(spec, "hostNetwork") && dotted.starts_with("net.") {
            errors.push(FieldError::invalid(&path, name, "may not be specified when 'hostNetwork' is true"));
        } else if bool_at(spec, "hostIPC") && is_ipc_sysctl(&dotted) {
            errors.push(FieldError::invalid(&path, name, "may not be specified when 'hostIPC' is true"));
        }
    }
}

fn is_ipc_sysctl(name: &str) -> bool {
    name == "kernel.sem" || ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|prefix| name.starts_with(prefix))
}

fn is_sysctl_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let segment = |text: &str| {
        let bytes = text.as_bytes();
        bytes.first().is_some_and(|b| plain(*b))
            && bytes.last().is_some_and(|b| plain(*b))
            && bytes.iter().all(|b| plain(*b) || matches!(b, b'-' | b'_'))
    };
    name.len() <= 253 && name.split(['.', '/']).all(segment)
}

fn seccomp_profile(profile: &Value, path: &Path, errors: &mut Errors) {
    if profile.is_null() {
        return;
    }
    let kind = str_at(profile, "type");
    if kind.is_empty() {
        errors.push(FieldError::required(path.child("type"), "type is required when seccompProfile is set"));
    } else {
        one_of(kind, &PROFILE_TYPES, &path.child("type"), errors);
    }
    let (file, path) = (profile["localhostProfile"].as_str(), path.child("localhostProfile"));
    match file {
        None if kind == "Localhost" => {
            errors.push(FieldError::required(path, "must be set when seccomp type is Localhost"));
        }
        Some(file) if kind == "Localhost" => descending_path(file, &path, errors),
        None => {}
        Some(_) => {
            let text = "can only be set when seccomp type is Localhost";
            errors.push(invalid_struct(path, "core.v1.SeccompProfile", profile, text));
        }
    }
}

fn app_armor_profile(profile: &Value, path: &Path, errors: &mut Errors) {
    if profile.is_null() {
        return;
    }
    let (file, file_path) = (profile["localhostProfile"].as_str(), path.child("localhostProfile"));
    match str_at(profile, "type") {
        "" => errors.push(FieldError::required(path.child("type"), "type is required when appArmorProfile is set")),
        "Localhost" => {
            let name = file.unwrap_or_default();
            if name.trim() != name {
                errors.push(FieldError::invalid(&file_path, name, "must not be padded with whitespace"));
            } else if name.is_empty() {
                errors.push(FieldError::required(&file_path, "must be set when AppArmor type is Localhost"));
            }
            if name.len() > PROFILE_LIMIT {
                errors.push(FieldError::too_long(file_path, PROFILE_LIMIT));
            }
        }
        "RuntimeDefault" | "Unconfined" => {
            if let Some(file) = file {
                let text = "can only be set when AppArmor type is Localhost";
                errors.push(FieldError::invalid(file_path, file, text));
            }
        }
        other => errors.push(FieldError::not_supported(path.child("type"), other, &PROFILE_TYPES)),
    }
}

/// `securityContext` of a container.
pub(super) fn container_security_context(
    container: &Value,
    around: &Surroundings<'_>,
    path: &Path,
    errors: &mut Errors,
) {
    let context = &container["securityContext"];
    if context.is_null() {
        return;
    }
    id(context, "runAsUser", words::is_valid_user_id, path, errors);
    id(context, "runAsGroup", words::is_valid_group_id, path, errors);
    if let Some(mount) = context["procMount"].as_str() {
        one_of(mount, &["Default", "Unmasked"], &path.child("procMount"), errors);
        if around.host_users && mount == "Unmasked" {
            let text = "`hostUsers` must be false to use `Unmasked`";
            errors.push(FieldError::invalid(path.child("procMount"), mount, text));
        }
    }
    seccomp_profile(&context["seccompProfile"], &path.child("seccompProfile"), errors);
    if context["allowPrivilegeEscalation"] == false {
        if bool_at(context, "privileged") {
            let text = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.push(invalid_struct(path, "core.v1.SecurityContext", context, text));
        }
        if strings_at(&context["capabilities"], "add").any(|capability| capability == "CAP_SYS_ADMIN") {
            let text = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.push(invalid_struct(path, "core.v1.SecurityContext", context, text));
        }
    }
    windows_options(&context["windowsOptions"], &path.child("windowsOptions"), errors);
    app_armor_profile(&context["appArmorProfile"], &path.child("appArmorProfile"), errors);
}
