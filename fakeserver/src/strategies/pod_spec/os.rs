//! Validation of what depends on the operating system of the Pod.
//!
//! Counterpart: `validateOS`, `validateLinux`, `validateWindows`, `validateWindowsHostProcessPod`,
//! `validateWindowsSecurityContextOptions`.

use super::containers;
use crate::strategies::access::{bool_at, has, str_at};
use crate::strategies::rules::{Errors, dns_subdomain, present};
use rehearsal_apimachinery::field::{FieldError, Path};
use serde_json::Value;

/// Signals that may stop a container on Linux, sorted.
pub(super) const LINUX_SIGNALS: [&str; 65] = [
    "SIGABRT",
    "SIGALRM",
    "SIGBUS",
    "SIGCHLD",
    "SIGCLD",
    "SIGCONT",
    "SIGFPE",
    "SIGHUP",
    "SIGILL",
    "SIGINT",
    "SIGIO",
    "SIGIOT",
    "SIGKILL",
    "SIGPIPE",
    "SIGPOLL",
    "SIGPROF",
    "SIGPWR",
    "SIGQUIT",
    "SIGRTMAX",
    "SIGRTMAX-1",
    "SIGRTMAX-10",
    "SIGRTMAX-11",
    "SIGRTMAX-12",
    "SIGRTMAX-13",
    "SIGRTMAX-14",
    "SIGRTMAX-2",
    "SIGRTMAX-3",
    "SIGRTMAX-4",
    "SIGRTMAX-5",
    "SIGRTMAX-6",
    "SIGRTMAX-7",
    "SIGRTMAX-8",
    "SIGRTMAX-9",
    "SIGRTMIN",
    "SIGRTMIN+1",
    "SIGRTMIN+10",
    "SIGRTMIN+11",
    "SIGRTMIN+12",
    "SIGRTMIN+13",
    "SIGRTMIN+14",
    "SIGRTMIN+15",
    "SIGRTMIN+2",
    "SIGRTMIN+3",
    "SIGRTMIN+4",
    "SIGRTMIN+5",
    "SIGRTMIN+6",
    "SIGRTMIN+7",
    "SIGRTMIN+8",
    "SIGRTMIN+9",
    "SIGSEGV",
    "SIGSTKFLT",
    "SIGSTOP",
    "SIGSYS",
    "SIGTERM",
    "SIGTRAP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGUSR1",
    "SIGUSR2",
    "SIGVTALRM",
    "SIGWINCH",
    "SIGXCPU",
    "SIGXFSZ",
];
/// Signals that may stop a container on Windows.
pub(super) const WINDOWS_SIGNALS: [&str; 2] = ["SIGKILL", "SIGTERM"];

/// Members of a spec's security context that Windows has not.
const POD_CONTEXT_NOT_WINDOWS: [(&str, bool); 15] = [
    ("appArmorProfile", true),
    ("seLinuxOptions", true),
    ("hostUsers", false),
    ("hostPID", false),
    ("hostIPC", false),
    ("seccompProfile", true),
    ("fsGroup", true),
    ("fsGroupChangePolicy", true),
    ("sysctls", true),
    ("shareProcessNamespace", false),
    ("runAsUser", true),
    ("runAsGroup", true),
    ("supplementalGroups", true),
    ("supplementalGroupsPolicy", true),
    ("seLinuxChangePolicy", true),
];
/// Members of a container's security context that Windows has not.
const CONTEXT_NOT_WINDOWS: [&str; 10] = [
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
];

/// `os` and what it excludes.
pub(super) fn operating_system(spec: &Value, path: &Path, errors: &mut Errors) {
    if !has(spec, "os") {
        return;
    }
    match str_at(&spec["os"], "name") {
        "" => errors.push(FieldError::required(path.child("os").child("name"), "cannot be empty")),
        "linux" => linux(spec, path, errors),
        "windows" => windows(spec, path, errors),
        other => errors.push(FieldError::not_supported(path.child("os"), other, &["linux", "windows"])),
    }
}

fn linux(spec: &Value, path: &Path, errors: &mut Errors) {
    let holders = std::iter::once((spec, path.clone())).chain(containers(spec, path));
    for (_, path) in holders.filter(|(holder, _)| has(&holder["securityContext"], "windowsOptions")) {
        let path = path.child("securityContext").child("windowsOptions");
        errors.push(FieldError::forbidden(path, "windows options cannot be set for a linux pod"));
    }
}

fn windows(spec: &Value, path: &Path, errors: &mut Errors) {
    let (text, context_path) = ("cannot be set for a windows pod", path.child("securityContext"));
    for (name, in_context) in POD_CONTEXT_NOT_WINDOWS {
        let (holder, path) = if in_context { (&spec["securityContext"], &context_path) } else { (spec, path) };
        if has(holder, name) && holder[name] != false || name == "shareProcessNamespace" && has(holder, name) {
            errors.push(FieldError::forbidden(path.child(name), text));
        }
    }
    for (container, path) in containers(spec, path) {
        for name in present(&container["securityContext"], &CONTEXT_NOT_WINDOWS) {
            errors.push(FieldError::forbidden(path.child("securityContext").child(name), text));
        }
    }
}

/// Host process containers come all or not at all, and with the host's network.
pub(super) fn windows_host_process(spec: &Value, path: &Path, errors: &mut Errors) {
    let of_pod = spec["securityContext"]["windowsOptions"]["hostProcess"].as_bool();
    let (mut all, mut on_host) = (0, 0);
    for (container, path) in containers(spec, path) {
        all += 1;
        let own = container["securityContext"]["windowsOptions"]["hostProcess"].as_bool();
        if let (Some(pod), Some(own)) = (of_pod, own)
            && pod != own
        {
            let path = path.child("securityContext").child("windowsOptions").child("hostProcess");
            let text = format!("pod hostProcess value must be identical if both are specified, was {pod}");
            errors.push(FieldError::invalid(path, own, text));
        }
        on_host += usize::from(own.or(of_pod).unwrap_or_default());
    }
    if on_host == 0 {
        return;
    }
    if on_host != all {
        let text = "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        errors.push(FieldError::invalid(path, "", text));
    }
    if !bool_at(spec, "hostNetwork") {
        let text = "hostNetwork must be true if pod contains any hostProcess containers";
        errors.push(FieldError::invalid(path.child("hostNetwork"), false, text));
    }
}

/// `windowsOptions` of a security context.
pub(super) fn windows_options(options: &Value, path: &Path, errors: &mut Errors) {
    if let Some(name) = options["gmsaCredentialSpecName"].as_str() {
        dns_subdomain(name, &path.child("gmsaCredentialSpecName"), errors);
    }
    if let Some(spec) = options["gmsaCredentialSpec"].as_str() {
        let text = match spec.len() {
            0 => "gmsaCredentialSpec cannot be an empty string",
            n if n > 64 * 1024 => "gmsaCredentialSpec size must be under 64 KiB",
            _ => "",
        };
        if !text.is_empty() {
            errors.push(FieldError::invalid(path.child("gmsaCredentialSpec"), spec, text));
        }
    }
    if let Some(name) = options["runAsUserName"].as_str() {
        for text in windows_user_complaints(name) {
            errors.push(FieldError::invalid(path.child("runAsUserName"), name, text));
        }
    }
}

/// What is wrong with `[DOMAIN\]USER`.
fn windows_user_complaints(name: &str) -> Vec<&'static str> {
    if name.is_empty() {
        return vec!["runAsUserName cannot be an empty string"];
    }
    if name.chars().any(|c| c.is_ascii_control()) {
        return vec!["runAsUserName cannot contain control characters"];
    }
    let parts: Vec<&str> = name.split('\\').collect();
    let (domain, user) = match parts.as_slice() {
        [user] => (None, *user),
        [domain, user] => (Some(*domain), *user),
        _ => return vec!["runAsUserName cannot contain more than one backslash"],
    };
    let mut texts = Vec::new();
    if domain.is_some_and(|domain| domain.len() >= 256) {
        texts.push("runAsUserName's Domain length must be under 256 characters");
    }
    if domain.is_some_and(|domain| !is_net_bios_name(domain) && !is_dns_name(domain)) {
        texts.push("runAsUserName's Domain doesn't match the NetBios nor the DNS format");
    }
    if user.is_empty() {
        texts.push("runAsUserName's User cannot be empty");
    } else if user.len() > 104 {
        texts.push("runAsUserName's User length must not be longer than 104 characters");
    }
    if !user.is_empty() && user.bytes().all(|b| matches!(b, b'.' | b' ')) {
        texts.push("runAsUserName's User cannot contain only periods or spaces");
    }
    if user.contains(['"', '/', '\\', ':', ';', '|', '=', ',', '+', '*', '?', '<', '>', '@', '[', ']']) {
        texts.push(r#"runAsUserName's User cannot contain the following characters: "/\:;|=,+*?<>@[]"#);
    }
    texts
}

fn is_net_bios_name(name: &str) -> bool {
    let forbidden = ['\\', '/', ':', '*', '?', '"', '<', '>', '|'];
    (1..=15).contains(&name.chars().count()) && !name.starts_with('.') && !name.contains(forbidden)
}

fn is_dns_name(name: &str) -> bool {
    let label = |part: &str| {
        (1..=63).contains(&part.len())
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    name.split('.').all(label)
}
