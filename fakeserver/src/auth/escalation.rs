//! Nobody grants what he does not hold: the checks behind writes of roles and bindings.
//!
//! Counterpart: `pkg/registry/rbac/*/policybased` and `component-helpers/auth/rbac/validation`. Members of
//! system:masters, and holders of the verbs `escalate` (roles) and `bind` (bindings), pass.

use super::attributes::RequestAttributes;
use super::policy::{PolicyRule, RoleRef, items, quoted_list, url_covers};
use super::rbac::{Authority, Authorizer, RBAC_GROUP, Rules, aggregate, full_authority, is_master};
use crate::strategies::UserInfo;
use rehearsal_apimachinery::field::go_quote;
use rehearsal_apimachinery::gvk::GroupResource;
use rehearsal_apimachinery::meta::ObjectMeta;
use rehearsal_apimachinery::status::Status;
use serde_json::Value;
use std::collections::BTreeSet;

/// Checks a create (`old` is `None`) or an update of an RBAC object; other resources pass. `request` is the request
/// that writes it; runs before validation, as on the real server.
///
/// # Errors
/// 403 for rights the user does not hold, 404 for a binding to a role that does not exist.
pub fn check_escalation(
    authority: &Authority<'_>,
    request: &RequestAttributes,
    new: &Value,
    old: Option<&Value>,
) -> Result<(), Status> {
    if request.group != RBAC_GROUP || !request.subresource.is_empty() {
        return Ok(());
    }
    match request.resource.as_str() {
        "roles" | "clusterroles" => check_role(authority, request, new, old),
        "rolebindings" | "clusterrolebindings" => check_binding(authority, request, new, old),
        _ => Ok(()),
    }
}

fn check_role(
    authority: &Authority<'_>,
    request: &RequestAttributes,
    new: &Value,
    old: Option<&Value>,
) -> Result<(), Status> {
    if trusted(authority, request) || authority.allows(&request.clone().verb("escalate")) || only_gc(new, old) {
        return Ok(());
    }
    confirm(authority, request, new.name(), &PolicyRule::list(new))?;
    if gathers(new) || old.is_some_and(gathers) {
        let why = "must have cluster-admin privileges to use the aggregationRule";
        confirm(authority, request, new.name(), &full_authority())
            .map_err(|_| Status::forbidden(&resource_of(request), new.name(), why))?;
    }
    Ok(())
}

fn check_binding(
    authority: &Authority<'_>,
    request: &RequestAttributes,
    new: &Value,
    old: Option<&Value>,
) -> Result<(), Status> {
    let role = RoleRef::of(new);
    if trusted(authority, request) || only_gc(new, old) || may_bind(authority, request, &role) {
        return Ok(());
    }
    let rules = granted(authority, request, &role)?;
    confirm(authority, request, new.name(), &rules)
}

/// The rules of the role to be bound. The real server reads it within the binding's request, so that a missing role is
/// reported under the request's resource.
fn granted(authority: &Authority<'_>, request: &RequestAttributes, role: &RoleRef) -> Result<Vec<PolicyRule>, Status> {
    match role.kind.as_str() {
        "Role" if request.namespace.is_empty() => Err(Status::bad_request("Namespace parameter required.")),
        "Role" | "ClusterRole" => authority
            .role_rules(role, &request.namespace)
            .ok_or_else(|| Status::not_found(&resource_of(request), &role.name)),
        kind => Err(Status::bare500(format!("unsupported role reference kind: {}", go_quote(kind)))),
    }
}

fn trusted(authority: &Authority<'_>, request: &RequestAttributes) -> bool {
    matches!(authority.authorizer, Authorizer::Off) || is_master(&request.user)
}

fn may_bind(authority: &Authority<'_>, request: &RequestAttributes, role: &RoleRef) -> bool {
    let resource = match role.kind.as_str() {
        "ClusterRole" => "clusterroles",
        "Role" => "roles",
        _ => return false,
    };
    let question = RequestAttributes::resource(request.user.clone(), "bind", &role.api_group, resource);
    authority.allows(&question.namespace(&request.namespace).name(&role.name))
}

/// An aggregation rule with at least one selector.
fn gathers(role: &Value) -> bool {
    role.get("aggregationRule").is_some_and(|rule| !items(rule, "clusterRoleSelectors").is_empty())
}

/// Whether an update changes nothing but what garbage collection needs to remove the object.
fn only_gc(new: &Value, old: Option<&Value>) -> bool {
    let Some(old) = old else { return false };
    let stripped = |object: &Value| {
        let mut object = object.clone();
        if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            for member in ["ownerReferences", "finalizers", "managedFields", "resourceVersion"] {
                meta.remove(member);
            }
        }
        object
    };
    stripped(new) == stripped(old)
}

fn resource_of(request: &RequestAttributes) -> GroupResource {
    GroupResource::new(&request.group, &request.resource)
}

fn confirm(
    authority: &Authority<'_>,
    request: &RequestAttributes,
    name: &str,
    rules: &[PolicyRule],
) -> Result<(), Status> {
    let held = authority.rules_for(&request.user, &request.namespace);
    let missing = uncovered(&held.rules, rules);
    if missing.is_empty() {
        return Ok(());
    }
    let mut why = attempt(&request.user, &missing);
    if !held.missing.is_empty() {
        why.push_str(&resolution_errors(&held, &resource_of(request)));
    }
    Err(Status::forbidden(&resource_of(request), name, why))
}

fn attempt(user: &UserInfo, missing: &[PolicyRule]) -> String {
    let lines: BTreeSet<String> = compact(missing).iter().map(ToString::to_string).collect();
    let lines: Vec<String> = lines.into_iter().collect();
    format!(
        "user {} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        go_quote(&user.name),
        quoted_list(&user.groups),
        lines.join("\n")
    )
}

fn resolution_errors(held: &Rules, resource: &GroupResource) -> String {
    let texts = held.missing.iter().map(|role| format!("{resource} {} not found", go_quote(&role.name)));
    format!("; resolution errors: [{}]", aggregate(texts))
}

/// The atomic parts of `wanted` that no single rule of `held` covers.
///
/// Counterpart: `validation.Covers`.
#[must_use]
pub fn uncovered(held: &[PolicyRule], wanted: &[PolicyRule]) -> Vec<PolicyRule> {
    let atoms = wanted.iter().flat_map(break_down);
    atoms.filter(|atom| !held.iter().any(|rule| covers(rule, atom))).collect()
}

/// Splits a rule into rules of one verb, group, resource and name (or one verb and path) each.
fn break_down(rule: &PolicyRule) -> Vec<PolicyRule> {
    let names: Vec<Vec<String>> = match rule.resource_names.as_slice() {
        [] => vec![Vec::new()],
        names => names.iter().map(|n| vec![n.clone()]).collect(),
    };
    let one = |s: &String| vec![s.clone()];
    let mut atoms = Vec::new();
    for group in &rule.api_groups {
        for resource in &rule.resources {
            for verb in &rule.verbs {
                for resource_names in &names {
                    atoms.push(PolicyRule {
                        verbs: one(verb),
                        api_groups: one(group),
                        resources: one(resource),
                        resource_names: resource_names.clone(),
                        ..PolicyRule::default()
                    });
                }
            }
        }
    }
    for url in &rule.non_resource_urls {
        for verb in &rule.verbs {
            atoms.push(PolicyRule { verbs: one(verb), non_resource_urls: one(url), ..PolicyRule::default() });
        }
    }
    atoms
}

fn covers(owner: &PolicyRule, atom: &PolicyRule) -> bool {
    let star_or_all = |owner: &[String], wanted: &[String]| {
        owner.iter().any(|o| o == "*") || wanted.iter().all(|w| owner.contains(w))
    };
    star_or_all(&owner.verbs, &atom.verbs)
        && star_or_all(&owner.api_groups, &atom.api_groups)
        && (star_or_all(&owner.resources, &atom.resources)
            || atom.resources.iter().all(|resource| covers_subresource(&owner.resources, resource)))
        && atom.non_resource_urls.iter().all(|url| owner.non_resource_urls.iter().any(|o| url_covers(o, url)))
        && covers_names(&owner.resource_names, &atom.resource_names)
}

fn covers_subresource(owner: &[String], resource: &str) -> bool {
    let any = resource.split_once('/').map(|(_, subresource)| format!("*/{subresource}"));
    owner.iter().any(|o| o == resource) || any.is_some_and(|any| owner.contains(&any))
}

fn covers_names(owner: &[String], wanted: &[String]) -> bool {
    owner.is_empty() || (!wanted.is_empty() && wanted.iter().all(|w| owner.contains(w)))
}

/// Joins rules that differ only in their verbs and name one group, one resource and nothing else.
fn compact(rules: &[PolicyRule]) -> Vec<PolicyRule> {
    let simple = |r: &PolicyRule| {
        r.resource_names.is_empty()
            && r.non_resource_urls.is_empty()
            && r.api_groups.len() == 1
            && r.resources.len() == 1
    };
    let mut compacted: Vec<PolicyRule> = Vec::new();
    for rule in rules {
        let twin = compacted
            .iter_mut()
            .find(|c| simple(rule) && simple(c) && c.api_groups == rule.api_groups && c.resources == rule.resources);
        match twin {
            Some(twin) => twin.verbs.extend(rule.verbs.iter().cloned()),
            None => compacted.push(rule.clone()),
        }
    }
    compacted
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value, reason = "literals read better by value")]
mod tests {
    use super::super::testing::{Shelves, user};
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn cluster() -> Shelves {
        let role = |name: &str, rules: Value| json!({"metadata": {"name": name, "namespace": "ns"}, "rules": rules});
        Shelves::bootstrapped()
            .with("roles.rbac.authorization.k8s.io", role("r", json!([
                {"verbs": ["create", "update", "patch"], "apiGroups": [RBAC_GROUP], "resources": ["roles"]},
                {"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"]}])))
            .with("roles.rbac.authorization.k8s.io", role("weak", json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"]}])))
            .with("roles.rbac.authorization.k8s.io", role("strong", json!([{"verbs": ["list"], "apiGroups": [""], "resources": ["secrets"]}])))
            .with("roles.rbac.authorization.k8s.io", role("binder", json!([{"verbs": ["bind"], "apiGroups": [RBAC_GROUP], "resources": ["roles"], "resourceNames": ["strong"]}])))
            .with("rolebindings.rbac.authorization.k8s.io", json!({"metadata": {"name": "rb", "namespace": "ns"},
                "subjects": [{"kind": "User", "name": "u"}], "roleRef": {"kind": "Role", "name": "r"}}))
            .with("rolebindings.rbac.authorization.k8s.io", json!({"metadata": {"name": "b", "namespace": "ns"},
                "subjects": [{"kind": "User", "name": "b"}], "roleRef": {"kind": "Role", "name": "binder"}}))
    }

    fn write(who: &str, resource: &str, new: &Value, old: Option<&Value>) -> Result<(), Status> {
        let (cluster, authorizer) = (cluster(), Authorizer::rbac());
        let namespace = if resource.starts_with("cluster") { "" } else { "ns" };
        let request = RequestAttributes::resource(user(who, &["system:authenticated"]), "create", RBAC_GROUP, resource)
            .namespace(namespace);
        check_escalation(&authorizer.at(&cluster, 1), &request, new, old)
    }

    fn role(name: &str, rules: Value) -> Value {
        json!({"metadata": {"name": name, "namespace": "ns"}, "rules": rules})
    }

    fn binding(name: &str, kind: &str, role: &str) -> Value {
        json!({"metadata": {"name": name}, "roleRef": {"apiGroup": RBAC_GROUP, "kind": kind, "name": role}})
    }

    #[test]
    fn a_role_with_rights_already_held_may_be_written() {
        let same = role("same", json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"]}]));
        assert_eq!(write("u", "roles", &same, None), Ok(()));
    }

    #[test]
    fn the_refusal_lists_what_is_missing() {
        let more = role(
            "more",
            json!([{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["configmaps", "secrets"]}]),
        );
        let refusal = write("u", "roles", &more, None).unwrap_err();
        assert_eq!(refusal.code, 403);
        assert_eq!(
            refusal.message,
            "roles.rbac.authorization.k8s.io \"more\" is forbidden: user \"u\" (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"configmaps\"], Verbs:[\"list\"]}\n{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\" \"list\"]}"
        );
    }

    #[test]
    fn an_update_for_the_garbage_collector_passes_and_a_label_is_checked() {
        let old = role("x", json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]));
        let mut new = old.clone();
        new["metadata"]["finalizers"] = json!(["a/b"]);
        assert_eq!(write("u", "roles", &new, Some(&old)), Ok(()));
        new["metadata"]["labels"] = json!({"a": "b"});
        assert!(
            write("u", "roles", &new, Some(&old))
                .unwrap_err()
                .message
                .ends_with("not currently held:\n{APIGroups:[\"*\"], Resources:[\"*\"], Verbs:[\"*\"]}")
        );
    }

    #[test]
    fn a_binding_needs_the_rights_of_its_role_or_the_verb_bind() {
        assert_eq!(write("u", "rolebindings", &binding("weak", "Role", "weak"), None), Ok(()));
        let refusal = write("u", "rolebindings", &binding("strong", "Role", "strong"), None).unwrap_err();
        assert!(
            refusal.message.starts_with("rolebindings.rbac.authorization.k8s.io \"strong\" is forbidden: user \"u\"")
        );
        assert!(refusal.message.ends_with("{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"list\"]}"));
        assert_eq!(write("b", "rolebindings", &binding("strong", "Role", "strong"), None), Ok(()));
    }

    #[test]
    fn a_binding_to_a_missing_role_is_not_found_under_the_bindings_resource() {
        let refusal = write("u", "rolebindings", &binding("b", "Role", "nosuch"), None).unwrap_err();
        assert_eq!(refusal.code, 404);
        assert_eq!(refusal.message, "rolebindings.rbac.authorization.k8s.io \"nosuch\" not found");
    }

    #[test]
    fn a_binding_to_what_is_no_role_fails_before_it_is_validated() {
        for (resource, kind, code, message) in [
            ("rolebindings", "Roll", 500, "unsupported role reference kind: \"Roll\""),
            ("clusterrolebindings", "Role", 400, "Namespace parameter required."),
        ] {
            let refusal = write("u", resource, &binding("b", kind, "r"), None).unwrap_err();
            assert_eq!((refusal.code, refusal.message.as_str()), (code, message));
        }
    }

    #[test]
    fn full_authority_within_a_namespace_may_write_any_role_there() {
        let cluster = Shelves::bootstrapped().with(
            "rolebindings.rbac.authorization.k8s.io",
            json!({"metadata": {"name": "rb", "namespace": "ns"}, "subjects": [{"kind": "User", "name": "u"}],
                "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"}}),
        );
        let authorizer = Authorizer::rbac();
        let all = role("r", json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]));
        let request = RequestAttributes::resource(user("u", &[]), "create", RBAC_GROUP, "roles");
        let write =
            |ns: &str| check_escalation(&authorizer.at(&cluster, 1), &request.clone().namespace(ns), &all, None);
        assert_eq!(write("ns"), Ok(()));
        assert!(write("other").is_err());
    }

    #[test]
    fn an_aggregation_rule_needs_full_authority() {
        let sum = json!({"metadata": {"name": "sum"}, "aggregationRule": {"clusterRoleSelectors": [{}]}});
        let refusal = write("u", "clusterroles", &sum, None).unwrap_err();
        assert_eq!(
            refusal.message,
            "clusterroles.rbac.authorization.k8s.io \"sum\" is forbidden: must have cluster-admin privileges to use the aggregationRule"
        );
    }

    #[test]
    fn subresource_wildcards_cover_subresources() {
        let rule = |resource: &str| PolicyRule {
            verbs: vec!["get".into()],
            api_groups: vec![String::new()],
            resources: vec![resource.into()],
            ..PolicyRule::default()
        };
        assert!(uncovered(&[rule("*/log")], &[rule("pods/log")]).is_empty());
        assert_eq!(uncovered(&[rule("*/log")], &[rule("pods")]).len(), 1);
        assert_eq!(uncovered(&[rule("pods")], &[rule("pods/log")]).len(), 1);
    }

    prop_compose! {
        fn any_rule()(verbs in prop::collection::vec("get|list|\\*", 0..3), api_groups in prop::collection::vec("|apps|\\*", 0..3),
                      resources in prop::collection::vec("pods|pods/log|\\*/log|\\*", 0..3),
                      resource_names in prop::collection::vec("a|b", 0..2)) -> PolicyRule {
            PolicyRule { verbs, api_groups, resources, resource_names, non_resource_urls: Vec::new() }
        }
    }

    proptest! {
        #[test]
        fn every_rule_covers_itself_and_full_authority_covers_all(rule in any_rule()) {
            prop_assert!(uncovered(std::slice::from_ref(&rule), std::slice::from_ref(&rule)).is_empty());
            prop_assert!(uncovered(&full_authority(), &[rule]).is_empty());
        }

        #[test]
        fn what_is_covered_is_also_allowed(held in any_rule(), wanted in any_rule(), verb in "get|list", group in "|apps", subresource in "|log", name in "a|b") {
            let request = RequestAttributes::resource(UserInfo::default(), &verb, &group, "pods").subresource(subresource).name(name);
            if uncovered(std::slice::from_ref(&held), std::slice::from_ref(&wanted)).is_empty() && wanted.allows(&request) {
                prop_assert!(held.allows(&request));
            }
        }
    }
}
