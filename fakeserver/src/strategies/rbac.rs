//! Roles and their bindings: the rules for fields. Whether a user may grant what is written is decided elsewhere.
//!
//! Counterpart: `registry/rbac`, `apis/rbac/v1` defaults and `apis/rbac/validation`.

use super::access::{has, is_empty_at, list_at, list_mut, set, str_at};
use super::checks::{dns_subdomain, label_selector, one_of};
use super::internal::internal_json;
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::validation::path_segment_name;
use serde_json::Value;

const GROUP: &str = "rbac.authorization.k8s.io";
const ROLE_REF: &str = "io.k8s.api.rbac.v1.RoleRef";

/// Hooks of Role.
#[derive(Clone, Copy, Debug)]
pub struct RoleStrategy;

impl Strategy for RoleStrategy {
    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        rules(object, true)
    }

    fn validate_update(&self, _cx: &WriteContext<'_>, object: &Value, _old: &Value) -> Vec<FieldError> {
        rules(object, true)
    }
}

/// Hooks of ClusterRole.
#[derive(Clone, Copy, Debug)]
pub struct ClusterRoleStrategy;

impl Strategy for ClusterRoleStrategy {
    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        cluster_role(object)
    }

    fn validate_update(&self, _cx: &WriteContext<'_>, object: &Value, _old: &Value) -> Vec<FieldError> {
        cluster_role(object)
    }
}

/// Hooks of RoleBinding.
#[derive(Clone, Copy, Debug)]
pub struct RoleBindingStrategy;

impl Strategy for RoleBindingStrategy {
    fn default(&self, object: &mut Value) {
        default_binding(object);
    }

    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        binding(object, &["Role", "ClusterRole"])
    }

    fn validate_update(&self, _cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        updated(object, old, &["Role", "ClusterRole"])
    }
}

/// Hooks of ClusterRoleBinding.
#[derive(Clone, Copy, Debug)]
pub struct ClusterRoleBindingStrategy;

impl Strategy for ClusterRoleBindingStrategy {
    fn default(&self, object: &mut Value) {
        default_binding(object);
    }

    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        binding(object, &["ClusterRole"])
    }

    fn validate_update(&self, _cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        updated(object, old, &["ClusterRole"])
    }
}

fn default_binding(object: &mut Value) {
    let role = &mut object["roleRef"];
    if is_empty_at(role, "apiGroup") {
        set(role, "apiGroup", GROUP);
    }
    for subject in list_mut(object, "subjects") {
        if is_empty_at(subject, "apiGroup") && matches!(str_at(subject, "kind"), "User" | "Group") {
            set(subject, "apiGroup", GROUP);
        }
    }
}

fn cluster_role(object: &Value) -> Vec<FieldError> {
    let mut errors = rules(object, false);
    if !has(object, "aggregationRule") {
        return errors;
    }
    let path = Path::new("aggregationRule").child("clusterRoleSelectors");
    let selectors = list_at(&object["aggregationRule"], "clusterRoleSelectors");
    if selectors.is_empty() {
        errors.push(FieldError::required(
            &path,
            "at least one clusterRoleSelector required if aggregationRule is non-nil",
        ));
    }
    for (i, selector) in selectors.iter().enumerate() {
        errors.extend(label_selector(&path.index(i), selector));
    }
    errors
}

fn rules(object: &Value, namespaced: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (i, rule) in list_at(object, "rules").iter().enumerate() {
        policy_rule(&Path::new("rules").index(i), rule, namespaced, &mut errors);
    }
    errors
}

/// One rule of a role (`ValidatePolicyRule`).
fn policy_rule(path: &Path, rule: &Value, namespaced: bool, errors: &mut Vec<FieldError>) {
    if list_at(rule, "verbs").is_empty() {
        errors.push(FieldError::required(path.child("verbs"), "verbs must contain at least one value"));
    }
    let any = |name: &str| !list_at(rule, name).is_empty();
    if any("nonResourceURLs") {
        let at = path.child("nonResourceURLs");
        let urls = rule["nonResourceURLs"].clone();
        if namespaced {
            errors.push(FieldError::invalid(&at, urls.clone(), "namespaced rules cannot apply to non-resource URLs"));
        }
        if any("apiGroups") || any("resources") || any("resourceNames") {
            let detail = "rules cannot apply to both regular resources and non-resource URLs";
            errors.push(FieldError::invalid(&at, urls, detail));
        }
        return;
    }
    if !any("apiGroups") {
        errors.push(FieldError::required(path.child("apiGroups"), "resource rules must supply at least one api group"));
    }
    if !any("resources") {
        errors.push(FieldError::required(path.child("resources"), "resource rules must supply at least one resource"));
    }
}

fn binding(object: &Value, kinds: &[&str]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let role = &object["roleRef"];
    let path = Path::new("roleRef");
    if str_at(role, "apiGroup") != GROUP {
        errors.extend(one_of(&path.child("apiGroup"), str_at(role, "apiGroup"), &[GROUP]));
    }
    errors.extend(one_of(&path.child("kind"), str_at(role, "kind"), kinds));
    let name = str_at(role, "name");
    if name.is_empty() {
        errors.push(FieldError::required(path.child("name"), ""));
    } else {
        errors.extend(path_segment_name(name).into_iter().map(|m| FieldError::invalid(path.child("name"), name, m)));
    }
    let cluster = kinds.len() == 1;
    for (i, item) in list_at(object, "subjects").iter().enumerate() {
        subject(&Path::new("subjects").index(i), item, cluster, &mut errors);
    }
    errors
}

fn subject(path: &Path, subject: &Value, namespace_required: bool, errors: &mut Vec<FieldError>) {
    let (name, group) = (str_at(subject, "name"), str_at(subject, "apiGroup"));
    if name.is_empty() {
        errors.push(FieldError::required(path.child("name"), ""));
    }
    match str_at(subject, "kind") {
        "ServiceAccount" => {
            if !name.is_empty() {
                errors.extend(dns_subdomain(&path.child("name"), name));
            }
            if !group.is_empty() {
                errors.push(FieldError::not_supported(path.child("apiGroup"), group, &[""]));
            }
            if namespace_required && str_at(subject, "namespace").is_empty() {
                errors.push(FieldError::required(path.child("namespace"), ""));
            }
        }
        "User" | "Group" => errors.extend(one_of(&path.child("apiGroup"), group, &[GROUP])),
        kind => errors.extend(one_of(&path.child("kind"), kind, &["ServiceAccount", "User", "Group"])),
    }
}

fn updated(object: &Value, old: &Value, kinds: &[&str]) -> Vec<FieldError> {
    let mut errors = binding(object, kinds);
    let role = &object["roleRef"];
    if *role != old["roleRef"] {
        let error = FieldError::invalid("roleRef", role.clone(), "cannot change roleRef");
        errors.push(error.shown_as(internal_json(ROLE_REF, role)));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn texts(errors: &[FieldError]) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn rules_must_say_what_they_are_about() {
        let role = json!({"rules": [{"apiGroups": [""], "resources": ["pods"]}, {"verbs": ["get"]}, {"nonResourceURLs": ["/x"], "verbs": ["get"]}]});
        assert_eq!(
            texts(&rules(&role, true)),
            [
                "rules[0].verbs: Required value: verbs must contain at least one value",
                "rules[1].apiGroups: Required value: resource rules must supply at least one api group",
                "rules[1].resources: Required value: resource rules must supply at least one resource",
                "rules[2].nonResourceURLs: Invalid value: [\"/x\"]: namespaced rules cannot apply to non-resource URLs",
            ]
        );
    }

    #[test]
    fn bindings_name_a_role_and_known_subjects() {
        let mut object = json!({"roleRef": {"kind": "Gadget"}, "subjects": [{"kind": "User"}, {"kind": "ServiceAccount", "name": "x"}, {"kind": "Robot", "name": "r"}]});
        RoleBindingStrategy.default(&mut object);
        assert_eq!(
            texts(&binding(&object, &["Role", "ClusterRole"])),
            [
                "roleRef.kind: Unsupported value: \"Gadget\": supported values: \"Role\", \"ClusterRole\"",
                "roleRef.name: Required value",
                "subjects[0].name: Required value",
                "subjects[2].kind: Unsupported value: \"Robot\": supported values: \"ServiceAccount\", \"User\", \"Group\"",
            ]
        );
        let mut cluster = json!({"roleRef": {"kind": "ClusterRole", "name": "r"}, "subjects": [{"kind": "ServiceAccount", "name": "x"}]});
        ClusterRoleBindingStrategy.default(&mut cluster);
        assert_eq!(texts(&binding(&cluster, &["ClusterRole"])), ["subjects[0].namespace: Required value"]);
    }

    #[test]
    fn a_binding_keeps_its_role() {
        let old = json!({"roleRef": {"apiGroup": GROUP, "kind": "Role", "name": "a"}});
        let new = json!({"roleRef": {"apiGroup": GROUP, "kind": "Role", "name": "b"}});
        assert_eq!(
            texts(&updated(&new, &old, &["Role"])),
            [
                "roleRef: Invalid value: {\"APIGroup\":\"rbac.authorization.k8s.io\",\"Kind\":\"Role\",\"Name\":\"b\"}: cannot change roleRef"
            ]
        );
    }
}
