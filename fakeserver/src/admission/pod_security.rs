//! PodSecurity: namespaces enforce, audit and warn at a level of the Pod Security Standards.
//!
//! Counterpart: `k8s.io/pod-security-admission/admission`. Only pods are refused; what merely carries a pod template
//! is warned about. The checks themselves are in `pod_security_checks`.

use super::pod_security_checks::{Level, Policy, evaluate};
use super::{Attributes, Operation};
use crate::strategies::WriteContext;
use crate::strategies::access::{has, list_at, spec};
use rehearsal_apimachinery::field::FieldError;
use rehearsal_apimachinery::gvk::GroupKind;
use rehearsal_apimachinery::meta::ObjectMeta;
use rehearsal_apimachinery::status::Status;
use serde_json::Value;
use std::collections::BTreeMap;

const PREFIX: &str = "pod-security.kubernetes.io/";

/// Where kinds keep their pod template.
const TEMPLATES: &[(&str, &str, &[&str])] = &[
    ("", "podtemplates", &["template", "spec"]),
    ("", "replicationcontrollers", &["spec", "template", "spec"]),
    ("apps", "replicasets", &["spec", "template", "spec"]),
    ("apps", "deployments", &["spec", "template", "spec"]),
    ("apps", "statefulsets", &["spec", "template", "spec"]),
    ("apps", "daemonsets", &["spec", "template", "spec"]),
    ("batch", "jobs", &["spec", "template", "spec"]),
    ("batch", "cronjobs", &["spec", "jobTemplate", "spec", "template", "spec"]),
];

pub(super) fn validate(
    cx: &WriteContext<'_>,
    at: &Attributes<'_>,
    object: &Value,
    warnings: &mut Vec<String>,
) -> Result<(), Status> {
    if !matches!(at.operation, Operation::Create | Operation::Update) {
        return Ok(());
    }
    if at.is("", "namespaces") {
        return namespace(cx, at, object, warnings);
    }
    let pod = at.group.is_empty() && at.resource == "pods" && matches!(at.subresource, "" | "ephemeralcontainers");
    let template = TEMPLATES.iter().find(|(group, resource, _)| at.is(group, resource));
    let pod_spec = match template {
        Some((_, _, path)) => path.iter().fold(object, |v, name| &v[*name]),
        None if pod => spec(object),
        None => return Ok(()),
    };
    if pod && at.old.is_some_and(|old| at.subresource.is_empty() && !is_significant(object, old)) {
        return Ok(());
    }
    let Some(namespace) = cx.peek.get("namespaces", "", at.namespace).filter(|_| pod_spec.is_object()) else {
        return Ok(());
    };
    if pod && let Some(text) = violations(policy(&namespace, "enforce"), pod_spec) {
        return Err(at.forbidden(Some(object), format!("violates PodSecurity {text}")));
    }
    if let Some(text) = violations(policy(&namespace, "warn"), pod_spec) {
        warnings.push(format!("would violate PodSecurity {text}"));
    }
    Ok(())
}

/// Whether an update changes what the standards look at; all else of a pod's spec is immutable.
fn is_significant(new: &Value, old: &Value) -> bool {
    let images = |o: &Value| -> Vec<Value> {
        let lists = ["containers", "initContainers"].map(|m| list_at(spec(o), m).to_vec());
        lists.concat().iter().map(|c| c["image"].clone()).collect()
    };
    let profiles = |o: &Value| -> Vec<(String, Value)> {
        let all = o.annotations().into_iter().flatten();
        let seen = all.filter(|(k, _)| k.contains("seccomp.security.alpha") || k.contains("apparmor.security.beta"));
        seen.map(|(k, v)| (k.clone(), v.clone())).collect()
    };
    images(new) != images(old) || profiles(new) != profiles(old)
}

fn policy(namespace: &Value, mode: &str) -> Policy {
    let label = |suffix: &str| namespace.label(&format!("{PREFIX}{mode}{suffix}")).unwrap_or_default().to_owned();
    let level = match label("").as_str() {
        "" | "privileged" => Level::Privileged,
        "baseline" => Level::Baseline,
        // What cannot be read is taken for the strictest, as the real server does.
        _ => Level::Restricted,
    };
    Policy { level, minor: label("-version").strip_prefix("v1.").and_then(|minor| minor.parse().ok()) }
}

fn title(policy: Policy) -> String {
    let level = match policy.level {
        Level::Privileged => "privileged",
        Level::Baseline => "baseline",
        Level::Restricted => "restricted",
    };
    let version = policy.minor.map_or_else(|| "latest".to_owned(), |minor| format!("v1.{minor}"));
    format!("{level}:{version}")
}

fn violations(policy: Policy, pod_spec: &Value) -> Option<String> {
    let findings = evaluate(policy, pod_spec);
    let texts: Vec<String> = findings.iter().map(|(reason, detail)| format!("{reason} ({detail})")).collect();
    (!texts.is_empty()).then(|| format!("{:?}: {}", title(policy), texts.join(", ")))
}

fn namespace(
    cx: &WriteContext<'_>,
    at: &Attributes<'_>,
    object: &Value,
    warnings: &mut Vec<String>,
) -> Result<(), Status> {
    let unchanged = |name: &str| at.old.is_some_and(|old| old.label(name) == object.label(name));
    let errors = label_errors(object);
    if !errors.is_empty() {
        let labels = ["enforce", "audit", "warn"].map(|m| format!("{PREFIX}{m}"));
        if !labels.iter().all(|l| unchanged(l) && unchanged(&format!("{l}-version"))) {
            return Err(Status::invalid(&GroupKind::new("", "Namespace"), object.name(), &errors));
        }
        return Ok(());
    }
    let (new, old) = (policy(object, "enforce"), at.old.map(|old| policy(old, "enforce")));
    let Some(old) = old else { return Ok(()) };
    if new == old || new.level <= old.level && new.minor == old.minor || new.level == Level::Privileged {
        return Ok(());
    }
    let mut by_reason: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pod in cx.peek.list("pods", object.name()) {
        let reasons: Vec<&str> = evaluate(new, spec(&pod)).iter().map(|(reason, _)| *reason).collect();
        if !reasons.is_empty() {
            by_reason.entry(reasons.join(", ")).or_default().push(pod.name().to_owned());
        }
    }
    if by_reason.is_empty() {
        return Ok(());
    }
    let (name, title) = (object.name(), title(new));
    warnings.push(format!("existing pods in namespace {name:?} violate the new PodSecurity enforce level {title:?}"));
    for (reasons, mut pods) in by_reason {
        pods.sort_unstable();
        let others = match pods.len() - 1 {
            0 => String::new(),
            1 => " (and 1 other pod)".to_owned(),
            n => format!(" (and {n} other pods)"),
        };
        warnings.push(format!("{}{others}: {reasons}", pods.first().map_or("", String::as_str)));
    }
    Ok(())
}

fn label_errors(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for mode in ["enforce", "audit", "warn"] {
        let key = format!("{PREFIX}{mode}");
        let field = |key: &str| format!("metadata.labels[{key}]");
        let level = object.label(&key).unwrap_or("privileged");
        if !matches!(level, "privileged" | "baseline" | "restricted") {
            let detail = "must be one of privileged, baseline, restricted";
            errors.push(FieldError::invalid(field(&key), level, detail));
        }
        let key = format!("{key}-version");
        let version = object.label(&key).unwrap_or("latest");
        let minor = version.strip_prefix("v1.").is_some_and(|m| m.parse::<u32>().is_ok());
        if version != "latest" && !minor {
            errors.push(FieldError::invalid(field(&key), version, "must be \"latest\" or \"v1.x\""));
        }
    }
    if has(object, "metadata") { errors } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Cluster, create};
    use super::*;
    use serde_json::json;

    fn refusal(labels: &Value, pod_spec: &Value) -> String {
        let cluster = Cluster::new(vec![("namespaces", json!({"metadata": {"name": "n", "labels": labels}}))]);
        let pod = json!({"spec": pod_spec});
        let answer = validate(&cluster.cx(), &create("pods"), &pod, &mut Vec::new());
        answer.err().map(|s| s.message).unwrap_or_default()
    }

    #[test]
    fn refusals_read_as_the_real_servers() {
        let baseline = json!({"pod-security.kubernetes.io/enforce": "baseline"});
        let restricted = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        let old = json!({"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/enforce-version": "v1.18"});
        let cases = [
            (
                &baseline,
                json!({"containers": [{"name": "c", "securityContext": {"privileged": true}}]}),
                "violates PodSecurity \"baseline:latest\": privileged (container \"c\" must not set securityContext.privileged=true)",
            ),
            (
                &baseline,
                json!({"containers": [{"name": "c"}], "hostNetwork": true, "volumes": [{"name": "h", "hostPath": {"path": "/"}}]}),
                "violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true), hostPath volumes (volume \"h\")",
            ),
            (
                &baseline,
                json!({"containers": [{"name": "c", "ports": [{"hostPort": 80}], "securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}]}),
                "violates PodSecurity \"baseline:latest\": non-default capabilities (container \"c\" must not include \"SYS_ADMIN\" in securityContext.capabilities.add), hostPort (container \"c\" uses hostPort 80)",
            ),
            (
                &restricted,
                json!({"containers": [{"name": "c"}]}),
                "violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \"c\" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container \"c\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")",
            ),
            (
                &old,
                json!({"containers": [{"name": "c"}]}),
                "violates PodSecurity \"restricted:v1.18\": allowPrivilegeEscalation != false (container \"c\" must set securityContext.allowPrivilegeEscalation=false), runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true)",
            ),
        ];
        for (labels, pod_spec, text) in cases {
            assert_eq!(refusal(labels, &pod_spec), format!("pods \"p\" is forbidden: {text}"));
        }
        let good = json!({"containers": [{"name": "c", "securityContext": {"allowPrivilegeEscalation": false, "runAsNonRoot": true, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}}}]});
        assert_eq!(refusal(&restricted, &good), "");
    }

    #[test]
    fn templates_are_only_warned_about() {
        let labels =
            json!({"pod-security.kubernetes.io/enforce": "baseline", "pod-security.kubernetes.io/warn": "baseline"});
        let cluster = Cluster::new(vec![("namespaces", json!({"metadata": {"name": "n", "labels": labels}}))]);
        let at = Attributes { group: "apps", ..create("deployments") };
        let object = json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "securityContext": {"privileged": true}}]}}}});
        let mut warnings = Vec::new();
        validate(&cluster.cx(), &at, &object, &mut warnings).unwrap();
        assert_eq!(
            warnings,
            [
                "would violate PodSecurity \"baseline:latest\": privileged (container \"c\" must not set securityContext.privileged=true)"
            ]
        );
    }
}
