//! Webhook configurations, admission policies and their bindings: the rules for their shape.
//!
//! Counterpart: `registry/admissionregistration`, `apis/admissionregistration/v1` defaults and its validation. Match
//! conditions and expressions are compiled elsewhere.

use super::access::{has, int_at, list_at, list_mut, path_mut, set_default, spec, str_at, strings_at};
use super::checks::{label_selector, one_of};
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::validation::{is_dns1035_label, is_fully_qualified_name, path_segment_name};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const FAILURE_POLICIES: &[&str] = &["Fail", "Ignore"];
const MATCH_POLICIES: &[&str] = &["Equivalent", "Exact"];
const OPERATIONS: &[&str] = &["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const REVIEW_VERSIONS: &[&str] = &["v1", "v1beta1"];
const REINVOCATION: &[&str] = &["IfNeeded", "Never"];
const SCOPES: &[&str] = &["*", "Cluster", "Namespaced"];
const SIDE_EFFECTS: &[&str] = &["None", "NoneOnDryRun"];
const URL_FORM: &str = "; desired format: https://host[/path]";

/// Declares a strategy whose update follows the rules of a create.
macro_rules! shape_strategy {
    ($(#[$doc:meta])* $name:ident, $default:expr, $validate:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl Strategy for $name {
            fn default(&self, object: &mut Value) {
                $default(object);
            }

            fn prepare_update(&self, cx: &WriteContext<'_>, object: &mut Value, old: &Value) {
                keep_other_half(cx, object, old);
            }

            fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
                $validate(object)
            }

            fn validate_update(&self, _cx: &WriteContext<'_>, object: &Value, _old: &Value) -> Vec<FieldError> {
                $validate(object)
            }
        }
    };
}

shape_strategy!(
    /// Hooks of ValidatingWebhookConfiguration.
    ValidatingWebhookConfigurationStrategy,
    |object| default_webhooks(object, false),
    |object| webhooks(object, false)
);
shape_strategy!(
    /// Hooks of MutatingWebhookConfiguration.
    MutatingWebhookConfigurationStrategy,
    |object| default_webhooks(object, true),
    |object| webhooks(object, true)
);
shape_strategy!(
    /// Hooks of ValidatingAdmissionPolicy.
    ValidatingAdmissionPolicyStrategy,
    default_policy,
    validating_policy
);
shape_strategy!(
    /// Hooks of MutatingAdmissionPolicy.
    MutatingAdmissionPolicyStrategy,
    default_policy,
    mutating_policy
);
shape_strategy!(
    /// Hooks of ValidatingAdmissionPolicyBinding.
    ValidatingAdmissionPolicyBindingStrategy,
    default_binding,
    |object| binding(object, true)
);
shape_strategy!(
    /// Hooks of MutatingAdmissionPolicyBinding.
    MutatingAdmissionPolicyBindingStrategy,
    default_binding,
    |object| binding(object, false)
);

fn keep_other_half(cx: &WriteContext<'_>, object: &mut Value, old: &Value) {
    if cx.subresource == "status" {
        super::access::copy(old, object, "spec");
    } else if has(old, "status") {
        super::access::copy(old, object, "status");
    }
}

fn default_rules(rules: &mut [Value]) {
    for rule in rules {
        set_default(rule, "scope", "*");
    }
}

fn default_webhooks(object: &mut Value, mutating: bool) {
    for hook in list_mut(object, "webhooks") {
        set_default(hook, "failurePolicy", "Fail");
        set_default(hook, "matchPolicy", "Equivalent");
        set_default(hook, "namespaceSelector", json!({}));
        set_default(hook, "objectSelector", json!({}));
        set_default(hook, "timeoutSeconds", 10);
        if mutating {
            set_default(hook, "reinvocationPolicy", "Never");
        }
        default_rules(list_mut(hook, "rules"));
        if let Some(service) = path_mut(hook, &["clientConfig", "service"]).filter(|s| s.is_object()) {
            set_default(service, "port", 443);
        }
    }
}

fn default_match(resources: &mut Value) {
    set_default(resources, "matchPolicy", "Equivalent");
    set_default(resources, "namespaceSelector", json!({}));
    set_default(resources, "objectSelector", json!({}));
    default_rules(list_mut(resources, "resourceRules"));
    default_rules(list_mut(resources, "excludeResourceRules"));
}

fn default_policy(object: &mut Value) {
    let Some(spec) = path_mut(object, &["spec"]).filter(|s| s.is_object()) else { return };
    set_default(spec, "failurePolicy", "Fail");
    if let Some(constraints) = path_mut(spec, &["matchConstraints"]).filter(|m| m.is_object()) {
        default_match(constraints);
    }
}

fn default_binding(object: &mut Value) {
    if let Some(resources) = path_mut(object, &["spec", "matchResources"]).filter(|m| m.is_object()) {
        default_match(resources);
    }
}

// === webhooks ===

fn webhooks(object: &Value, mutating: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut names = BTreeSet::new();
    for (i, hook) in list_at(object, "webhooks").iter().enumerate() {
        let path = Path::new("webhooks").index(i);
        webhook(&path, hook, mutating, &mut errors);
        let name = str_at(hook, "name");
        if !name.is_empty() && !names.insert(name) {
            errors.push(FieldError::duplicate(path.child("name"), name));
        }
    }
    errors
}

fn webhook(path: &Path, hook: &Value, mutating: bool, errors: &mut Vec<FieldError>) {
    review_versions(&path.child("admissionReviewVersions"), hook, errors);
    errors.extend(is_fully_qualified_name(&path.child("name"), str_at(hook, "name")));
    for (i, rule) in list_at(hook, "rules").iter().enumerate() {
        rule_with_operations(&path.child("rules").index(i), rule, errors);
    }
    let mut word = |name: &str, supported: &[&str]| {
        if has(hook, name) {
            errors.extend(one_of(&path.child(name), str_at(hook, name), supported));
        }
    };
    word("failurePolicy", FAILURE_POLICIES);
    word("matchPolicy", MATCH_POLICIES);
    word("sideEffects", SIDE_EFFECTS);
    if !has(hook, "sideEffects") {
        errors.push(FieldError::required(path.child("sideEffects"), "must specify one of None, NoneOnDryRun"));
    }
    if let Some(seconds) = int_at(hook, "timeoutSeconds").filter(|s| !(1..=30).contains(s)) {
        let detail = "the timeout value must be between 1 and 30 seconds";
        errors.push(FieldError::invalid(path.child("timeoutSeconds"), seconds, detail));
    }
    for name in ["namespaceSelector", "objectSelector"] {
        errors.extend(label_selector(&path.child(name), &hook[name]));
    }
    if mutating && has(hook, "reinvocationPolicy") {
        errors.extend(one_of(&path.child("reinvocationPolicy"), str_at(hook, "reinvocationPolicy"), REINVOCATION));
    }
    client_config(&path.child("clientConfig"), &hook["clientConfig"], errors);
    match_conditions(&path.child("matchConditions"), list_at(hook, "matchConditions"), errors);
}

fn review_versions(path: &Path, hook: &Value, errors: &mut Vec<FieldError>) {
    let versions: Vec<&str> = strings_at(hook, "admissionReviewVersions").collect();
    if versions.is_empty() {
        errors.push(FieldError::required(path, format!("must specify one of {}", REVIEW_VERSIONS.join(", "))));
        return;
    }
    let mut seen = BTreeSet::new();
    for (i, version) in versions.iter().enumerate() {
        if !seen.insert(version) {
            errors.push(FieldError::duplicate(path.index(i), *version));
        } else {
            let at = path.index(i);
            errors.extend(is_dns1035_label(version).into_iter().map(|m| FieldError::invalid(&at, *version, m)));
        }
    }
    if !versions.iter().any(|v| REVIEW_VERSIONS.contains(v)) {
        let detail = format!("must include at least one of {}", REVIEW_VERSIONS.join(", "));
        errors.push(FieldError::invalid(path, hook["admissionReviewVersions"].clone(), detail));
    }
}

fn rule_with_operations(path: &Path, rule: &Value, errors: &mut Vec<FieldError>) {
    sole_wildcard(path, rule, "operations", "operations", errors);
    for (i, operation) in strings_at(rule, "operations").enumerate() {
        errors.extend(one_of(&path.child("operations").index(i), operation, OPERATIONS));
    }
    sole_wildcard(path, rule, "apiGroups", "API groups", errors);
    sole_wildcard(path, rule, "apiVersions", "API versions", errors);
    for (i, _) in strings_at(rule, "apiVersions").enumerate().filter(|(_, v)| v.is_empty()) {
        errors.push(FieldError::required(path.child("apiVersions").index(i), ""));
    }
    resources(&path.child("resources"), rule, errors);
    if has(rule, "scope") {
        errors.extend(one_of(&path.child("scope"), str_at(rule, "scope"), SCOPES));
    }
}

/// A list that is not empty and holds `*` only alone.
fn sole_wildcard(path: &Path, rule: &Value, name: &str, plural: &str, errors: &mut Vec<FieldError>) {
    let values: Vec<&str> = strings_at(rule, name).collect();
    if values.is_empty() {
        errors.push(FieldError::required(path.child(name), ""));
    }
    if values.len() > 1 && values.contains(&"*") {
        let detail = format!("if '*' is present, must not specify other {plural}");
        errors.push(FieldError::invalid(path.child(name), rule[name].clone(), detail));
    }
}

fn resources(path: &Path, rule: &Value, errors: &mut Vec<FieldError>) {
    let values: Vec<&str> = strings_at(rule, "resources").collect();
    if values.is_empty() {
        errors.push(FieldError::required(path, ""));
    }
    let shown = || rule["resources"].clone();
    let plain_wildcard = values.contains(&"*");
    for (i, value) in values.iter().enumerate() {
        if value.is_empty() {
            errors.push(FieldError::required(path.index(i), ""));
            continue;
        }
        if *value != "*" && plain_wildcard && !value.contains('/') {
            let detail = "if '*' is present, must not specify other resources without subresources";
            errors.push(FieldError::invalid(path, shown(), detail));
            break;
        }
    }
    if values.len() > 1 && values.contains(&"*/*") {
        errors.push(FieldError::invalid(path, shown(), "if '*/*' is present, must not specify other resources"));
    }
}

fn client_config(path: &Path, config: &Value, errors: &mut Vec<FieldError>) {
    match (has(config, "url"), has(config, "service")) {
        (true, false) => webhook_url(&path.child("url"), str_at(config, "url"), errors),
        (false, true) => webhook_service(&path.child("service"), &config["service"], errors),
        _ => errors.push(FieldError::required(path, "exactly one of url or service is required")),
    }
}

fn webhook_url(path: &Path, url: &str, errors: &mut Vec<FieldError>) {
    let mut refuse = |value: &str, detail: &str| {
        errors.push(FieldError::invalid(path, value, format!("{detail}{URL_FORM}")));
    };
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    if scheme != "https" {
        refuse(scheme, "'https' is the only allowed URL scheme");
    }
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let host = rest.split('/').next().unwrap_or_default();
    if scheme.is_empty() || host.is_empty() {
        refuse("", "host must be specified");
    }
    if host.contains('@') {
        refuse(host, "user information is not permitted in the URL");
    }
    if !fragment.is_empty() {
        refuse(fragment, "fragments are not permitted in the URL");
    }
    if !query.is_empty() {
        refuse(query, "query parameters are not permitted in the URL");
    }
}

fn webhook_service(path: &Path, service: &Value, errors: &mut Vec<FieldError>) {
    for name in ["name", "namespace"] {
        if str_at(service, name).is_empty() {
            errors.push(FieldError::required(path.child(name), format!("service {name} is required")));
        }
    }
    if let Some(port) = int_at(service, "port").filter(|p| !(1..=65535).contains(p)) {
        let detail = "port is not valid: must be between 1 and 65535, inclusive";
        errors.push(FieldError::invalid(path.child("port"), port, detail));
    }
    let text = str_at(service, "path");
    if !text.is_empty() && !text.starts_with('/') {
        errors.push(FieldError::invalid(path.child("path"), text, "must start with a '/'"));
    } else if text.contains("//") {
        let empty = text.split('/').skip(1).position(str::is_empty).unwrap_or_default();
        let detail = format!("segment[{empty}] may not be empty");
        errors.push(FieldError::invalid(path.child("path"), text, detail));
    }
}

fn match_conditions(path: &Path, conditions: &[Value], errors: &mut Vec<FieldError>) {
    if conditions.len() > 64 {
        errors.push(FieldError::too_many(path, conditions.len(), 64));
    }
    let mut names = BTreeSet::new();
    for (i, condition) in conditions.iter().enumerate() {
        let at = path.index(i);
        if str_at(condition, "expression").trim().is_empty() {
            errors.push(FieldError::required(at.child("expression"), ""));
        }
        let name = str_at(condition, "name");
        if name.is_empty() {
            errors.push(FieldError::required(at.child("name"), ""));
        } else {
            errors.extend(super::checks::qualified_name(&at.child("name"), name));
            if !names.insert(name) {
                errors.push(FieldError::duplicate(at.child("name"), name));
            }
        }
    }
}

// === policies ===

fn policy(object: &Value) -> Vec<FieldError> {
    let spec = spec(object);
    let path = Path::new("spec");
    let mut errors = Vec::new();
    if has(spec, "failurePolicy") {
        errors.extend(one_of(&path.child("failurePolicy"), str_at(spec, "failurePolicy"), FAILURE_POLICIES));
    }
    if has(spec, "paramKind") {
        for name in ["apiVersion", "kind"] {
            if str_at(&spec["paramKind"], name).is_empty() {
                errors.push(FieldError::required(path.child("paramKind").child(name), ""));
            }
        }
    }
    let at = path.child("matchConstraints");
    if has(spec, "matchConstraints") {
        match_resources(&at, &spec["matchConstraints"], &mut errors);
        if list_at(&spec["matchConstraints"], "resourceRules").is_empty() {
            errors.push(FieldError::required(at.child("resourceRules"), ""));
        }
    } else {
        errors.push(FieldError::required(at, ""));
    }
    match_conditions(&path.child("matchConditions"), list_at(spec, "matchConditions"), &mut errors);
    for (i, variable) in list_at(spec, "variables").iter().enumerate() {
        let at = path.child("variables").index(i);
        for name in ["name", "expression"] {
            if str_at(variable, name).trim().is_empty() {
                errors.push(FieldError::required(at.child(name), format!("{name} is not specified")));
            }
        }
    }
    errors
}

fn match_resources(path: &Path, resources: &Value, errors: &mut Vec<FieldError>) {
    if has(resources, "matchPolicy") {
        errors.extend(one_of(&path.child("matchPolicy"), str_at(resources, "matchPolicy"), MATCH_POLICIES));
    }
    for name in ["namespaceSelector", "objectSelector"] {
        errors.extend(label_selector(&path.child(name), &resources[name]));
    }
    for name in ["resourceRules", "excludeResourceRules"] {
        for (i, rule) in list_at(resources, name).iter().enumerate() {
            let at = path.child(name).index(i);
            let mut seen = BTreeSet::new();
            for (j, resource) in strings_at(rule, "resourceNames").enumerate() {
                let at = at.child("resourceNames").index(j);
                errors.extend(path_segment_name(resource).into_iter().map(|m| FieldError::invalid(&at, resource, m)));
                if !seen.insert(resource) {
                    errors.push(FieldError::duplicate(&at, resource));
                }
            }
            rule_with_operations(&at, rule, errors);
        }
    }
}

fn validating_policy(object: &Value) -> Vec<FieldError> {
    let mut errors = policy(object);
    let spec = spec(object);
    let path = Path::new("spec");
    if list_at(spec, "validations").is_empty() && list_at(spec, "auditAnnotations").is_empty() {
        let detail = "validations or auditAnnotations must contain at least one item";
        errors.push(FieldError::required(path.child("validations"), detail));
        errors.push(FieldError::required(path.child("auditAnnotations"), detail));
    }
    for (i, validation) in list_at(spec, "validations").iter().enumerate() {
        let at = path.child("validations").index(i);
        if str_at(validation, "expression").trim().is_empty() {
            errors.push(FieldError::required(at.child("expression"), "expression is not specified"));
        }
        let message = str_at(validation, "message");
        if !message.is_empty() && message.trim().is_empty() {
            let detail = "message must be non-empty if specified";
            errors.push(FieldError::invalid(at.child("message"), message, detail));
        } else if message.trim().contains('\n') {
            errors.push(FieldError::invalid(at.child("message"), message, "message must not contain line breaks"));
        }
        if has(validation, "reason") {
            let supported = ["Forbidden", "Invalid", "RequestEntityTooLarge"];
            errors.extend(one_of(&at.child("reason"), str_at(validation, "reason"), &supported));
        }
    }
    let mut keys = BTreeSet::new();
    for (i, annotation) in list_at(spec, "auditAnnotations").iter().enumerate() {
        let at = path.child("auditAnnotations").index(i);
        let key = str_at(annotation, "key");
        if key.is_empty() {
            errors.push(FieldError::required(at.child("key"), ""));
        } else if !keys.insert(key) {
            errors.push(FieldError::duplicate(at.child("key"), key));
        }
        if str_at(annotation, "valueExpression").trim().is_empty() {
            let detail = "valueExpression is not specified";
            errors.push(FieldError::required(at.child("valueExpression"), detail));
        }
    }
    errors
}

fn mutating_policy(object: &Value) -> Vec<FieldError> {
    let mut errors = policy(object);
    let spec = spec(object);
    let path = Path::new("spec");
    let mutations = list_at(spec, "mutations");
    if mutations.is_empty() {
        errors.push(FieldError::required(path.child("mutations"), "mutations must contain at least one item"));
    }
    for (i, mutation) in mutations.iter().enumerate() {
        let at = path.child("mutations").index(i);
        let (own, other) = match str_at(mutation, "patchType") {
            "ApplyConfiguration" => ("applyConfiguration", "jsonPatch"),
            "JSONPatch" => ("jsonPatch", "applyConfiguration"),
            "" => {
                errors.push(FieldError::required(at.child("patchType"), ""));
                continue;
            }
            kind => {
                errors.extend(one_of(&at.child("patchType"), kind, &["ApplyConfiguration", "JSONPatch"]));
                continue;
            }
        };
        let kind = str_at(mutation, "patchType");
        if !has(mutation, own) {
            let detail = format!("must be specified when patchType is {kind}");
            errors.push(FieldError::required(at.child(own), detail));
        } else if str_at(&mutation[own], "expression").trim().is_empty() {
            errors.push(FieldError::required(at.child(own).child("expression"), ""));
        }
        if has(mutation, other) {
            let detail = format!("must not be specified when patchType is {kind}");
            errors.push(FieldError::invalid(at.child(other), "{}", detail));
        }
    }
    let at = path.child("reinvocationPolicy");
    match str_at(spec, "reinvocationPolicy") {
        "" => errors.push(FieldError::required(at, "")),
        word => errors.extend(one_of(&at, word, REINVOCATION)),
    }
    errors
}

fn binding(object: &Value, validating: bool) -> Vec<FieldError> {
    let spec = spec(object);
    let path = Path::new("spec");
    let mut errors = Vec::new();
    let name = str_at(spec, "policyName");
    let at = path.child("policyName");
    if name.is_empty() {
        errors.push(FieldError::required(&at, ""));
    } else {
        errors.extend(super::checks::dns_subdomain(&at, name));
    }
    if has(spec, "paramRef") {
        param_ref(&path.child("paramRef"), &spec["paramRef"], &mut errors);
    }
    if has(spec, "matchResources") {
        match_resources(&path.child("matchResources"), &spec["matchResources"], &mut errors);
    }
    if validating {
        actions(&path.child("validationActions"), spec, &mut errors);
    }
    errors
}

fn param_ref(path: &Path, reference: &Value, errors: &mut Vec<FieldError>) {
    let (name, selector) = (!str_at(reference, "name").is_empty(), has(reference, "selector"));
    match (name, selector) {
        (true, true) => {
            for member in ["name", "selector"] {
                errors.push(FieldError::forbidden(path.child(member), "name and selector are mutually exclusive"));
            }
        }
        (false, false) => errors.push(FieldError::required(path, "one of name or selector must be specified")),
        (true, false) => {
            let text = str_at(reference, "name");
            let at = path.child("name");
            errors.extend(path_segment_name(text).into_iter().map(|m| FieldError::invalid(&at, text, m)));
        }
        (false, true) => errors.extend(label_selector(&path.child("selector"), &reference["selector"])),
    }
    let at = path.child("parameterNotFoundAction");
    if has(reference, "parameterNotFoundAction") {
        errors.extend(one_of(&at, str_at(reference, "parameterNotFoundAction"), &["Allow", "Deny"]));
    } else {
        errors.push(FieldError::required(at, ""));
    }
}

fn actions(path: &Path, spec: &Value, errors: &mut Vec<FieldError>) {
    let actions: Vec<&str> = strings_at(spec, "validationActions").collect();
    if actions.is_empty() {
        errors.push(FieldError::required(path, "at least one validation action is required"));
    }
    let mut seen = BTreeSet::new();
    for (i, action) in actions.iter().enumerate() {
        errors.extend(one_of(&path.index(i), action, &["Audit", "Deny", "Warn"]));
        if !seen.insert(action) {
            errors.push(FieldError::duplicate(path.index(i), *action));
        }
    }
    if actions.contains(&"Deny") && actions.contains(&"Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)";
        errors.push(FieldError::invalid(path, spec["validationActions"].clone(), detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(errors: &[FieldError]) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn policies_read_as_the_real_servers_refusals() {
        let constraints = json!({"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}]});
        let cases = [
            (
                json!({"matchConstraints": constraints, "validations": []}),
                vec![
                    "spec.validations: Required value: validations or auditAnnotations must contain at least one item",
                    "spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item",
                ],
            ),
            (
                json!({"matchConstraints": constraints, "validations": [{"expression": "true", "reason": "Whatever"}]}),
                vec![
                    "spec.validations[0].reason: Unsupported value: \"Whatever\": supported values: \"Forbidden\", \"Invalid\", \"RequestEntityTooLarge\"",
                ],
            ),
            (
                json!({"matchConstraints": constraints, "validations": [{"expression": "true"}], "failurePolicy": "Maybe"}),
                vec!["spec.failurePolicy: Unsupported value: \"Maybe\": supported values: \"Fail\", \"Ignore\""],
            ),
            (json!({"validations": [{"expression": "true"}]}), vec!["spec.matchConstraints: Required value"]),
        ];
        for (spec, expected) in cases {
            let mut object = json!({"spec": spec});
            ValidatingAdmissionPolicyStrategy.default(&mut object);
            assert_eq!(texts(&validating_policy(&object)), expected);
        }
    }

    #[test]
    fn bindings_read_as_the_real_servers_refusals() {
        let cases = [
            (
                json!({"policyName": "p", "validationActions": []}),
                vec!["spec.validationActions: Required value: at least one validation action is required"],
            ),
            (
                json!({"policyName": "p", "validationActions": ["Deny", "Warn"]}),
                vec![
                    "spec.validationActions: Invalid value: [\"Deny\",\"Warn\"]: must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)",
                ],
            ),
            (
                json!({"policyName": "p", "validationActions": ["Shout"]}),
                vec![
                    "spec.validationActions[0]: Unsupported value: \"Shout\": supported values: \"Audit\", \"Deny\", \"Warn\"",
                ],
            ),
            (json!({"validationActions": ["Deny"]}), vec!["spec.policyName: Required value"]),
            (
                json!({"policyName": "p", "validationActions": ["Deny"], "paramRef": {"name": "a", "selector": {}, "parameterNotFoundAction": "Deny"}}),
                vec![
                    "spec.paramRef.name: Forbidden: name and selector are mutually exclusive",
                    "spec.paramRef.selector: Forbidden: name and selector are mutually exclusive",
                ],
            ),
            (
                json!({"policyName": "p", "validationActions": ["Deny"], "paramRef": {"name": "a"}}),
                vec!["spec.paramRef.parameterNotFoundAction: Required value"],
            ),
        ];
        for (spec, expected) in cases {
            assert_eq!(texts(&binding(&json!({"spec": spec}), true)), expected);
        }
    }

    #[test]
    fn a_webhook_says_where_and_how_it_is_called() {
        let mut object = json!({"webhooks": [{"name": "a.b.c", "clientConfig": {}, "rules": [{"operations": ["*", "CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}]}]});
        ValidatingWebhookConfigurationStrategy.default(&mut object);
        assert_eq!(object["webhooks"][0]["rules"][0]["scope"], "*");
        assert_eq!(
            texts(&webhooks(&object, false)),
            [
                "webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1",
                "webhooks[0].rules[0].operations: Invalid value: [\"*\",\"CREATE\"]: if '*' is present, must not specify other operations",
                "webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun",
                "webhooks[0].clientConfig: Required value: exactly one of url or service is required",
            ]
        );
    }
}
