//! FlowSchema and PriorityLevelConfiguration.
//!
//! Counterpart: `registry/flowcontrol`, `apis/flowcontrol/v1` defaults and `apis/flowcontrol/validation`.

use super::access::{copy, has, int_at, list_at, path_mut, set_default, spec, str_at};
use super::checks::{dns_subdomain, non_negative, one_of, required_one_of};
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::meta::ObjectMeta;
use serde_json::Value;

const MAX_PRECEDENCE: i64 = 10000;

/// Hooks of FlowSchema.
#[derive(Clone, Copy, Debug)]
pub struct FlowSchemaStrategy;

impl Strategy for FlowSchemaStrategy {
    fn default(&self, object: &mut Value) {
        if let Some(spec) = path_mut(object, &["spec"])
            && int_at(spec, "matchingPrecedence").unwrap_or_default() == 0
        {
            super::access::set(spec, "matchingPrecedence", 1000);
        }
    }

    fn prepare_update(&self, cx: &WriteContext<'_>, object: &mut Value, old: &Value) {
        copy(old, object, if cx.subresource == "status" { "spec" } else { "status" });
    }

    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        schema(object)
    }

    fn validate_update(&self, _cx: &WriteContext<'_>, object: &Value, _old: &Value) -> Vec<FieldError> {
        schema(object)
    }
}

fn schema(object: &Value) -> Vec<FieldError> {
    let spec = spec(object);
    let path = Path::new("spec");
    let mut errors = Vec::new();
    let precedence = int_at(spec, "matchingPrecedence").unwrap_or_default();
    let at = path.child("matchingPrecedence");
    if precedence <= 0 {
        errors.push(FieldError::invalid(&at, precedence, "must be a positive value"));
    }
    if precedence > MAX_PRECEDENCE {
        errors.push(FieldError::invalid(&at, precedence, format!("must not be greater than {MAX_PRECEDENCE}")));
    }
    if precedence == 1 && object.name() != "exempt" {
        errors.push(FieldError::invalid(
            &at,
            precedence,
            "only the schema named 'exempt' may have matchingPrecedence 1",
        ));
    }
    if has(spec, "distinguisherMethod") {
        let at = path.child("distinguisherMethod").child("type");
        let kind = str_at(&spec["distinguisherMethod"], "type");
        errors.extend(required_one_of(&at, kind, &["ByNamespace", "ByUser"]));
    }
    let at = path.child("priorityLevelConfiguration").child("name");
    let level = str_at(&spec["priorityLevelConfiguration"], "name");
    if level.is_empty() {
        errors.push(FieldError::required(&at, "must reference a priority level"));
    } else {
        errors.extend(dns_subdomain(&at, level));
    }
    for (i, rule) in list_at(spec, "rules").iter().enumerate() {
        subjects_and_rules(&path.child("rules").index(i), rule, &mut errors);
    }
    errors
}

fn subjects_and_rules(path: &Path, rule: &Value, errors: &mut Vec<FieldError>) {
    let subjects = list_at(rule, "subjects");
    if subjects.is_empty() {
        errors.push(FieldError::required(path.child("subjects"), "subjects must contain at least one value"));
    }
    for (i, subject) in subjects.iter().enumerate() {
        let at = path.child("subjects").index(i);
        let kind = str_at(subject, "kind");
        errors.extend(one_of(&at.child("kind"), kind, &["Group", "ServiceAccount", "User"]));
        let member = match kind {
            "User" => "user",
            "Group" => "group",
            "ServiceAccount" => "serviceAccount",
            _ => continue,
        };
        if !has(subject, member) {
            let detail = format!("{member} is required when subject kind is '{kind}'");
            errors.push(FieldError::required(at.child(member), detail));
        } else if str_at(&subject[member], "name").is_empty() {
            errors.push(FieldError::required(at.child(member).child("name"), ""));
        }
    }
    if list_at(rule, "resourceRules").is_empty() && list_at(rule, "nonResourceRules").is_empty() {
        let detail = "at least one of resourceRules and nonResourceRules has to be non-empty";
        errors.push(FieldError::required(path, detail));
    }
    for (i, resource) in list_at(rule, "resourceRules").iter().enumerate() {
        let at = path.child("resourceRules").index(i);
        for (name, detail) in [
            ("verbs", "verbs must contain at least one value"),
            ("apiGroups", "resource rules must supply at least one api group"),
            ("resources", "resource rules must supply at least one resource"),
        ] {
            if list_at(resource, name).is_empty() {
                errors.push(FieldError::required(at.child(name), detail));
            }
        }
        if list_at(resource, "namespaces").is_empty() && resource["clusterScope"] != true {
            let detail = "resource rules that are not cluster scoped must supply at least one namespace";
            errors.push(FieldError::required(at.child("namespaces"), detail));
        }
    }
}

/// Hooks of PriorityLevelConfiguration.
#[derive(Clone, Copy, Debug)]
pub struct PriorityLevelConfigurationStrategy;

impl Strategy for PriorityLevelConfigurationStrategy {
    fn default(&self, object: &mut Value) {
        if let Some(limited) = path_mut(object, &["spec", "limited"]).filter(|l| l.is_object()) {
            set_default(limited, "nominalConcurrencyShares", 30);
            set_default(limited, "lendablePercent", 0);
            if let Some(queuing) = path_mut(limited, &["limitResponse", "queuing"]).filter(|q| q.is_object()) {
                for (name, value) in [("handSize", 8), ("queues", 64), ("queueLengthLimit", 50)] {
                    if int_at(queuing, name).unwrap_or_default() == 0 {
                        super::access::set(queuing, name, value);
                    }
                }
            }
        }
        if let Some(exempt) = path_mut(object, &["spec", "exempt"]).filter(|e| e.is_object()) {
            set_default(exempt, "nominalConcurrencyShares", 0);
            set_default(exempt, "lendablePercent", 0);
        }
    }

    fn prepare_update(&self, cx: &WriteContext<'_>, object: &mut Value, old: &Value) {
        copy(old, object, if cx.subresource == "status" { "spec" } else { "status" });
    }

    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        level(object)
    }

    fn validate_update(&self, _cx: &WriteContext<'_>, object: &Value, _old: &Value) -> Vec<FieldError> {
        level(object)
    }
}

fn level(object: &Value) -> Vec<FieldError> {
    let spec = spec(object);
    let path = Path::new("spec");
    let mut errors = Vec::new();
    let limited = has(spec, "limited");
    match str_at(spec, "type") {
        "Exempt" if limited => {
            let detail = "must be nil if the type is not Limited";
            errors.push(FieldError::forbidden(path.child("limited"), detail));
        }
        "Limited" if has(spec, "exempt") => {
            errors.push(FieldError::forbidden(path.child("exempt"), "must be nil if the type is Limited"));
        }
        "Limited" if !limited => {
            let detail = "must not be empty when type is Limited";
            errors.push(FieldError::required(path.child("limited"), detail));
        }
        "Limited" => self::limited(&path.child("limited"), &spec["limited"], &mut errors),
        "Exempt" => {}
        kind => errors.extend(one_of(&path.child("type"), kind, &["Exempt", "Limited"])),
    }
    errors
}

fn limited(path: &Path, limited: &Value, errors: &mut Vec<FieldError>) {
    if let Some(shares) = int_at(limited, "nominalConcurrencyShares") {
        errors.extend(non_negative(&path.child("nominalConcurrencyShares"), shares));
    }
    if let Some(percent) = int_at(limited, "lendablePercent").filter(|p| !(0..=100).contains(p)) {
        errors.push(FieldError::invalid(
            path.child("lendablePercent"),
            percent,
            "must be between 0 and 100, inclusive",
        ));
    }
    let response = &limited["limitResponse"];
    let at = path.child("limitResponse");
    match str_at(response, "type") {
        "Reject" if has(response, "queuing") => {
            let detail = "must be nil if limited.limitResponse.type is not Limited";
            errors.push(FieldError::forbidden(at.child("queuing"), detail));
        }
        "Queue" if !has(response, "queuing") => {
            let detail = "must not be empty if limited.limitResponse.type is Limited";
            errors.push(FieldError::required(at.child("queuing"), detail));
        }
        "Reject" | "Queue" => {}
        kind => errors.extend(one_of(&at.child("type"), kind, &["Queue", "Reject"])),
    }
}
