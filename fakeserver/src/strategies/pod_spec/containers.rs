//! Validation of containers: what all share, and what is special to regular, init and ephemeral ones.
//!
//! Counterpart: `validateContainers`, `validateInitContainers`, `validateEphemeralContainers`, `validateContainerCommon`.

use super::validate::{Surroundings, image_is_trimmed};
use super::{env, is_sidecar, mounts, probes, resources, security};
use crate::strategies::access::{has, int_at, is_empty_at, list_at, str_at};
use crate::strategies::rules::{Errors, complaints, dns_label, one_of, required_at, required_one_of};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::validation as words;
use serde_json::Value;
use std::collections::BTreeSet;

/// Members of a container that an ephemeral one may not have, in struct order.
const NOT_EPHEMERAL: [&str; 9] = [
    "ports",
    "resources",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
];

/// The `containers` list.
pub(super) fn regular_containers(spec: &Value, around: &Surroundings<'_>, path: &Path, errors: &mut Errors) {
    let containers = list_at(spec, "containers");
    if containers.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let mut names = BTreeSet::new();
    for (i, container) in containers.iter().enumerate() {
        let (path, name) = (path.index(i), str_at(container, "name"));
        common(container, around, &path, errors);
        if !names.insert(name) {
            errors.push(FieldError::duplicate(path.child("name"), name));
        }
        probes::health(container, around, &path, errors);
        if has(container, "restartPolicy") {
            let policies = ["Always", "Never", "OnFailure"];
            one_of(str_at(container, "restartPolicy"), &policies, &path.child("restartPolicy"), errors);
        }
        restart_rules(container, &path, errors);
    }
    host_port_conflicts(containers, path, errors);
}

/// The `initContainers` list.
pub(super) fn init_containers(spec: &Value, around: &Surroundings<'_>, path: &Path, errors: &mut Errors) {
    let mut names: BTreeSet<&str> = list_at(spec, "containers").iter().map(|c| str_at(c, "name")).collect();
    for (i, container) in list_at(spec, "initContainers").iter().enumerate() {
        let (item, name) = (path.index(i), str_at(container, "name"));
        common(container, around, &item, errors);
        if has(container, "restartPolicy") {
            let policies = ["Always", "Never", "OnFailure"];
            one_of(str_at(container, "restartPolicy"), &policies, &item.child("restartPolicy"), errors);
        }
        if names.contains(name) {
            errors.push(FieldError::duplicate(item.child("name"), name));
        } else if !name.is_empty() {
            names.insert(name);
        }
        host_port_conflicts(std::slice::from_ref(container), path, errors);
        if is_sidecar(container) {
            probes::health(container, around, &item, errors);
        } else {
            for member in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
                if has(container, member) {
                    let text = "may not be set for init containers without restartPolicy=Always";
                    errors.push(FieldError::forbidden(item.child(member), text));
                }
            }
        }
        if !is_sidecar(container) {
            restart_rules(container, &item, errors);
        }
    }
}

/// The `ephemeralContainers` list.
pub(super) fn ephemeral_containers(spec: &Value, around: &Surroundings<'_>, path: &Path, errors: &mut Errors) {
    let others: BTreeSet<&str> = ["containers", "initContainers"]
        .into_iter()
        .flat_map(|list| list_at(spec, list))
        .map(|container| str_at(container, "name"))
        .collect();
    let mut names = others.clone();
    for (i, container) in list_at(spec, "ephemeralContainers").iter().enumerate() {
        let (path, name, target) = (path.index(i), str_at(container, "name"), str_at(container, "targetContainerName"));
        common(container, around, &path, errors);
        image_is_trimmed(container, &path, errors);
        if !names.insert(name) {
            errors.push(FieldError::duplicate(path.child("name"), name));
        }
        if !target.is_empty() && !others.contains(target) {
            errors.push(FieldError::not_found(path.child("targetContainerName"), target));
        }
        let text = "cannot be set for an Ephemeral Container";
        for member in NOT_EPHEMERAL.into_iter().filter(|member| !is_empty_at(container, member)) {
            errors.push(FieldError::forbidden(path.child(member), text));
        }
        for (j, mount) in list_at(container, "volumeMounts").iter().enumerate() {
            for member in ["subPath", "subPathExpr"].into_iter().filter(|member| !is_empty_at(mount, member)) {
                errors.push(FieldError::forbidden(path.child("volumeMounts").index(j).child(member), text));
            }
        }
    }
}

/// What holds for every container.
fn common(container: &Value, around: &Surroundings<'_>, path: &Path, errors: &mut Errors) {
    if required_at(container, "name", path, errors) {
        dns_label(str_at(container, "name"), &path.child("name"), errors);
    }
    required_at(container, "image", path, errors);
    if has(container, "terminationMessagePolicy") {
        let policies = ["File", "FallbackToLogsOnError"];
        let path = path.child("terminationMessagePolicy");
        required_one_of(str_at(container, "terminationMessagePolicy"), &policies, &path, errors);
    }
    ports(list_at(container, "ports"), &path.child("ports"), errors);
    env::env(list_at(container, "env"), &path.child("env"), errors);
    env::env_from(list_at(container, "envFrom"), &path.child("envFrom"), errors);
    mounts::volume_mounts(container, around, &path.child("volumeMounts"), errors);
    mounts::volume_devices(container, around, &path.child("volumeDevices"), errors);
    if has(container, "imagePullPolicy") {
        let policies = ["Always", "IfNotPresent", "Never"];
        required_one_of(str_at(container, "imagePullPolicy"), &policies, &path.child("imagePullPolicy"), errors);
    }
    resources::of_container(&container["resources"], &around.claims, &path.child("resources"), errors);
    resize_policy(container, around, &path.child("resizePolicy"), errors);
    security::container_security_context(container, around, &path.child("securityContext"), errors);
}

fn ports(ports: &[Value], path: &Path, errors: &mut Errors) {
    let mut names = BTreeSet::new();
    for (i, port) in ports.iter().enumerate() {
        let (path, name) = (path.index(i), str_at(port, "name"));
        if !name.is_empty() {
            let messages = words::is_valid_port_name(name);
            if messages.is_empty() && !names.insert(name) {
                errors.push(FieldError::duplicate(path.child("name"), name));
            }
            complaints(messages, &name.into(), &path.child("name"), errors);
        }
        match int_at(port, "containerPort") {
            None | Some(0) => errors.push(FieldError::required(path.child("containerPort"), "")),
            Some(n) => complaints(words::is_valid_port_num(n), &n.into(), &path.child("containerPort"), errors),
        }
        if let Some(n) = int_at(port, "hostPort").filter(|n| *n != 0) {
            complaints(words::is_valid_port_num(n), &n.into(), &path.child("hostPort"), errors);
        }
        if has(port, "protocol") {
            required_one_of(str_at(port, "protocol"), &["SCTP", "TCP", "UDP"], &path.child("protocol"), errors);
        }
    }
}

fn host_port_conflicts(containers: &[Value], path: &Path, errors: &mut Errors) {
    let mut taken = BTreeSet::new();
    for (i, container) in containers.iter().enumerate() {
        for (j, port) in list_at(container, "ports").iter().enumerate() {
            let Some(number) = int_at(port, "hostPort").filter(|n| *n != 0) else { continue };
            let protocol = port["protocol"].as_str().unwrap_or("TCP");
            let key = format!("{protocol}/{}/{number}", str_at(port, "hostIP"));
            if !taken.insert(key.clone()) {
                let path = path.index(i).child("ports").index(j).child("hostPort");
                errors.push(FieldError::duplicate(path, key));
            }
        }
    }
}

fn resize_policy(container: &Value, around: &Surroundings<'_>, path: &Path, errors: &mut Errors) {
    let mut resources = BTreeSet::new();
    for (i, policy) in list_at(container, "resizePolicy").iter().enumerate() {
        let (resource, restart) = (str_at(policy, "resourceName"), str_at(policy, "restartPolicy"));
        if !resources.insert(resource) {
            errors.push(FieldError::duplicate(path.index(i), resource));
        }
        required_one_of(resource, &["cpu", "memory"], path, errors);
        required_one_of(restart, &["NotRequired", "RestartContainer"], path, errors);
        if around.restart_policy == "Never" && restart != "NotRequired" {
            let text = "must be 'NotRequired' when `restartPolicy` is 'Never'";
            errors.push(FieldError::invalid(path, restart, text));
        }
    }
}

/// `restartPolicyRules`: restart on some exit codes although the policy would not.
fn restart_rules(container: &Value, path: &Path, errors: &mut Errors) {
    let rules = list_at(container, "restartPolicyRules");
    let path = path.child("restartPolicyRules");
    if rules.is_empty() {
        return;
    }
    if !has(container, "restartPolicy") {
        errors.push(FieldError::required(
            Path::new(path.as_str().trim_end_matches("Rules")),
            "must specify restartPolicy when restart rules are used",
        ));
    }
    if rules.len() > 20 {
        errors.push(FieldError::too_many(&path, rules.len(), 20));
    }
    for (i, rule) in rules.iter().enumerate() {
        let path = path.index(i);
        required_one_of(str_at(rule, "action"), &["Restart", "RestartAllContainers"], &path.child("action"), errors);
        let codes = &rule["exitCodes"];
        if codes.is_null() {
            errors.push(FieldError::required(path.child("exitCodes"), "must be specified"));
            continue;
        }
        let path = path.child("exitCodes");
        required_one_of(str_at(codes, "operator"), &["In", "NotIn"], &path.child("operator"), errors);
        let count = list_at(codes, "values").len();
        if count > 255 {
            errors.push(FieldError::too_many(path.child("values"), count, 255));
        }
    }
}
