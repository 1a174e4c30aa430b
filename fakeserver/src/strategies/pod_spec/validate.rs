//! Validation of a whole pod spec, of a pod template and of a Pod's metadata and spec, in the server's order.
//!
//! Counterpart: `ValidatePodSpec`, `ValidatePodTemplateSpec`, `validatePodMetadataAndSpec`. What data-driven defaults
//! always fill in (restartPolicy, dnsPolicy, terminationMessagePolicy …) is not asked for again when absent.

use super::annotations::seccomp_annotations_match;
use super::containers::{ephemeral_containers, init_containers, regular_containers};
use super::{affinity, dns, os, pod_annotations, resources, scheduling, security, volumes};
use crate::strategies::access::{bool_at, has, int_at, list_at, str_at};
use crate::strategies::rules::{
    Errors, annotations, complaints, dns_label, dns_subdomain, invalid_struct, labels, one_of, required_one_of,
};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::validation as words;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Whose pod spec it is.
#[derive(Clone, Copy)]
pub(crate) enum Subject<'a> {
    /// A Pod of this name (empty while unknown).
    Pod(&'a str),
    /// A template; nothing is said of a live Pod.
    Template,
}

/// What the rules of containers need to know of the spec around them.
pub(super) struct Surroundings<'a> {
    /// Valid volumes by name.
    pub(super) volumes: BTreeMap<&'a str, &'a Value>,
    /// Names of `resourceClaims`.
    pub(super) claims: BTreeSet<&'a str>,
    /// `terminationGracePeriodSeconds`.
    pub(super) grace: Option<i64>,
    pub(super) restart_policy: &'a str,
    pub(super) host_users: bool,
    pub(super) os: &'a str,
}

/// Validates a Pod's specific annotations and spec, and what holds for Pods and not for templates.
pub(crate) fn pod_metadata_and_spec(pod: &Value, errors: &mut Errors) {
    let (meta, spec, path) = (&pod["metadata"], &pod["spec"], Path::new("spec"));
    pod_annotations(&meta["annotations"], spec, &Path::new("metadata").child("annotations"), errors);
    pod_spec(spec, Subject::Pod(str_at(meta, "name")), &[], &path, errors);
    if str_at(spec, "serviceAccountName").is_empty() {
        tokens_need_an_account(spec, &path, errors);
    }
    for list in ["containers", "initContainers"] {
        for (i, container) in list_at(spec, list).iter().enumerate() {
            image_is_trimmed(container, &path.child(list).index(i), errors);
        }
    }
}

fn tokens_need_an_account(spec: &Value, path: &Path, errors: &mut Errors) {
    for (i, volume) in list_at(spec, "volumes").iter().enumerate() {
        for (j, source) in list_at(&volume["projected"], "sources").iter().enumerate() {
            if has(source, "serviceAccountToken") {
                let path = path.child("volumes").index(i).child("projected").child("sources").index(j);
                let text = "must not be specified when serviceAccountName is not set";
                errors.push(FieldError::forbidden(path.child("serviceAccountToken"), text));
            }
        }
    }
}

/// No blanks around the image name of a live Pod.
pub(super) fn image_is_trimmed(container: &Value, path: &Path, errors: &mut Errors) {
    let image = str_at(container, "image");
    if image.trim().len() != image.len() {
        let text = "must not have leading or trailing whitespace";
        errors.push(FieldError::invalid(path.child("image"), image, text));
    }
}

/// Validates a `PodTemplateSpec`. `extra_volumes` are volumes that mounts may name beyond those of the spec (the claim
/// templates of a StatefulSet).
pub(crate) fn pod_template(template: &Value, extra_volumes: &[Value], path: &Path, errors: &mut Errors) {
    let (meta, spec) = (&template["metadata"], &template["spec"]);
    labels(&meta["labels"], &path.child("labels"), errors);
    annotations(&meta["annotations"], &path.child("annotations"), errors);
    pod_annotations(&meta["annotations"], spec, &path.child("annotations"), errors);
    let spec_path = path.child("spec");
    pod_spec(spec, Subject::Template, extra_volumes, &spec_path, errors);
    seccomp_annotations_match(meta, spec, &spec_path, errors);
    if !list_at(spec, "ephemeralContainers").is_empty() {
        let text = "ephemeral containers not allowed in pod template";
        errors.push(FieldError::forbidden(spec_path.child("ephemeralContainers"), text));
    }
}

fn pod_spec<'a>(spec: &'a Value, subject: Subject<'a>, extra_volumes: &'a [Value], path: &Path, errors: &mut Errors) {
    let mut known = volumes::volumes(list_at(spec, "volumes"), subject, &path.child("volumes"), errors);
    known.extend(extra_volumes.iter().map(|volume| (str_at(volume, "name"), volume)));
    let around = Surroundings {
        volumes: known,
        claims: list_at(spec, "resourceClaims").iter().map(|c| str_at(c, "name")).filter(|n| !n.is_empty()).collect(),
        grace: int_at(spec, "terminationGracePeriodSeconds"),
        restart_policy: str_at(spec, "restartPolicy"),
        host_users: spec["hostUsers"] != false,
        os: str_at(&spec["os"], "name"),
    };
    resource_claims(spec, &path.child("resourceClaims"), errors);
    regular_containers(spec, &around, &path.child("containers"), errors);
    init_containers(spec, &around, &path.child("initContainers"), errors);
    ephemeral_containers(spec, &around, &path.child("ephemeralContainers"), errors);
    resources::pod_level(spec, &path.child("resources"), errors);
    host_network(spec, matches!(subject, Subject::Pod(_)), path, errors);
    if has(spec, "restartPolicy") {
        required_one_of(around.restart_policy, &["Always", "OnFailure", "Never"], &path.child("restartPolicy"), errors);
    }
    if has(spec, "dnsPolicy") {
        let known = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
        required_one_of(str_at(spec, "dnsPolicy"), &known, &path.child("dnsPolicy"), errors);
    }
    labels(&spec["nodeSelector"], &path.child("nodeSelector"), errors);
    security::pod_security_context(spec, &path.child("securityContext"), errors);
    affinity::affinity(&spec["affinity"], &path.child("affinity"), errors);
    dns::dns_config(spec, &path.child("dnsConfig"), errors);
    scheduling::readiness_gates(spec, &path.child("readinessGates"), errors);
    scheduling::scheduling_gates(spec, &path.child("schedulingGates"), errors);
    scheduling::topology_spread(spec, &path.child("topologySpreadConstraints"), errors);
    os::windows_host_process(spec, path, errors);
    host_users(spec, path, errors);
    names(spec, path, errors);
}

/// The single-valued members at the end of a pod spec.
fn names(spec: &Value, path: &Path, errors: &mut Errors) {
    for name in ["serviceAccountName", "nodeName"] {
        optional(spec, name, dns_subdomain, path, errors);
    }
    if let Some(seconds) = int_at(spec, "activeDeadlineSeconds") {
        let messages = words::is_in_range(seconds, 1, i64::from(i32::MAX));
        complaints(messages, &seconds.into(), &path.child("activeDeadlineSeconds"), errors);
    }
    dns::hostnames(spec, path, errors);
    scheduling::tolerations(list_at(spec, "tolerations"), &path.child("tolerations"), errors);
    dns::host_aliases(list_at(spec, "hostAliases"), &path.child("hostAliases"), errors);
    optional(spec, "priorityClassName", dns_subdomain, path, errors);
    if let Some(class) = spec["runtimeClassName"].as_str() {
        dns_subdomain(class, &path.child("runtimeClassName"), errors);
    }
    if has(spec, "preemptionPolicy") {
        let policies = ["PreemptLowerPriority", "Never"];
        required_one_of(str_at(spec, "preemptionPolicy"), &policies, &path.child("preemptionPolicy"), errors);
    }
    if has(spec, "overhead") {
        resources::overhead(&spec["overhead"], &path.child("overhead"), errors);
    }
    os::operating_system(spec, path, errors);
}

fn optional(spec: &Value, name: &str, rule: fn(&str, &Path, &mut Errors), path: &Path, errors: &mut Errors) {
    let value = str_at(spec, name);
    if !value.is_empty() {
        rule(value, &path.child(name), errors);
    }
}

fn resource_claims(spec: &Value, path: &Path, errors: &mut Errors) {
    let mut names = BTreeSet::new();
    for (i, claim) in list_at(spec, "resourceClaims").iter().enumerate() {
        let (path, name) = (path.index(i), str_at(claim, "name"));
        if name.is_empty() {
            errors.push(FieldError::required(path.child("name"), ""));
        } else if !names.insert(name) {
            errors.push(FieldError::duplicate(path.child("name"), name));
        } else {
            dns_label(name, &path.child("name"), errors);
        }
        let (by_name, by_template) = (has(claim, "resourceClaimName"), has(claim, "resourceClaimTemplateName"));
        if by_name && by_template {
            let text = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified";
            errors.push(invalid_struct(&path, "core.v1.PodResourceClaim", claim, text));
        }
        if !by_name && !by_template {
            let text = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`";
            errors.push(invalid_struct(&path, "core.v1.PodResourceClaim", claim, text));
        }
        for member in ["resourceClaimName", "resourceClaimTemplateName"] {
            if let Some(name) = claim[member].as_str() {
                dns_subdomain(name, &path.child(member), errors);
            }
        }
    }
}

/// With host networking the ports of containers are those of the node.
fn host_network(spec: &Value, live: bool, path: &Path, errors: &mut Errors) {
    if !bool_at(spec, "hostNetwork") {
        return;
    }
    for (i, container) in list_at(spec, "containers").iter().enumerate() {
        for (j, port) in list_at(container, "ports").iter().enumerate() {
            let host = int_at(port, "hostPort").unwrap_or_default();
            if (live || host != 0) && host != int_at(port, "containerPort").unwrap_or_default() {
                let path = path.child("containers").index(i).child("ports").index(j).child("hostPort");
                let text = "must match `containerPort` when `hostNetwork` is true";
                errors.push(FieldError::invalid(path, host, text));
            }
        }
    }
}

/// A user namespace of its own excludes the host's other namespaces.
fn host_users(spec: &Value, path: &Path, errors: &mut Errors) {
    if spec["hostUsers"] != false {
        return;
    }
    for (member, shown) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if bool_at(spec, member) {
            errors.push(FieldError::forbidden(path.child(shown), "when `pod.Spec.HostUsers` is false"));
        }
    }
}

/// `stopSignal` of a lifecycle needs a known operating system and one of its signals.
pub(super) fn stop_signal(lifecycle: &Value, os: &str, path: &Path, errors: &mut Errors) {
    if !has(lifecycle, "stopSignal") {
        return;
    }
    let (signal, path) = (str_at(lifecycle, "stopSignal"), path.child("stopSignal"));
    match os {
        "linux" => one_of(signal, &os::LINUX_SIGNALS, &path, errors),
        "windows" => one_of(signal, &os::WINDOWS_SIGNALS, &path, errors),
        _ => errors.push(FieldError::forbidden(path, "may not be set for containers with empty `spec.os.name`")),
    }
}
