//! RBAC objects in parsed form: rules, subjects, bindings, and how a rule matches a request.
//!
//! Counterpart: `rbac/v1.PolicyRule` with `pkg/apis/rbac/v1/evaluation_helpers.go`. Which rules apply to whom is
//! answered in `rbac.rs`.

use super::attributes::RequestAttributes;
use crate::strategies::UserInfo;
use rehearsal_apimachinery::field::go_quote;
use rehearsal_apimachinery::meta::ObjectMeta;
use serde_json::{Map, Value};
use std::fmt;

/// One rule of a Role or ClusterRole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyRule {
    /// Verbs; `*` is all.
    pub verbs: Vec<String>,
    /// API groups; `*` is all.
    pub api_groups: Vec<String>,
    /// Resources (`pods`, `pods/log`); `*` is all, `*/scale` that subresource of all.
    pub resources: Vec<String>,
    /// Object names; empty is all.
    pub resource_names: Vec<String>,
    /// Paths; a trailing `*` stands for any ending.
    pub non_resource_urls: Vec<String>,
}

/// JSON member names in Go struct order, with their accessors.
type Member = (&'static str, fn(&PolicyRule) -> &Vec<String>, fn(&mut PolicyRule) -> &mut Vec<String>);
const MEMBERS: [Member; 5] = [
    ("verbs", |r| &r.verbs, |r| &mut r.verbs),
    ("apiGroups", |r| &r.api_groups, |r| &mut r.api_groups),
    ("resources", |r| &r.resources, |r| &mut r.resources),
    ("resourceNames", |r| &r.resource_names, |r| &mut r.resource_names),
    ("nonResourceURLs", |r| &r.non_resource_urls, |r| &mut r.non_resource_urls),
];

impl PolicyRule {
    /// Reads a rule; members of another type read as empty.
    #[must_use]
    pub fn from_value(value: &Value) -> Self {
        let mut rule = Self::default();
        for (name, _, member) in MEMBERS {
            *member(&mut rule) = strings(value.get(name));
        }
        rule
    }

    /// The rules of a Role or ClusterRole, in order.
    #[must_use]
    pub fn list(role: &Value) -> Vec<Self> {
        items(role, "rules").iter().map(Self::from_value).collect()
    }

    /// The rule as JSON, empty members left out; `verbs` is always there.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut map = Map::new();
        for (name, member, _) in MEMBERS {
            let list = member(self);
            if !list.is_empty() || name == "verbs" {
                map.insert(name.into(), list.clone().into());
            }
        }
        Value::Object(map)
    }

    /// Whether the rule allows the request.
    #[must_use]
    pub fn allows(&self, request: &RequestAttributes) -> bool {
        if !has(&self.verbs, &request.verb) {
            return false;
        }
        if !request.is_resource {
            return self.non_resource_urls.iter().any(|owner| url_covers(owner, &request.path));
        }
        has(&self.api_groups, &request.group)
            && self.resources.iter().any(|resource| resource_matches(resource, request))
            && (self.resource_names.is_empty() || self.resource_names.contains(&request.name))
    }
}

/// Prints the non-empty members as the server does in escalation refusals: `{APIGroups:[""], Verbs:["get" "list"]}`.
impl fmt::Display for PolicyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.non_resource_urls),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ];
        let shown: Vec<String> = parts
            .iter()
            .filter(|(_, list)| !list.is_empty())
            .map(|(name, list)| format!("{name}:{}", quoted_list(list)))
            .collect();
        write!(f, "{{{}}}", shown.join(", "))
    }
}

/// Go's `%q` of a string slice: `["a" "b"]`.
pub(super) fn quoted_list(list: &[String]) -> String {
    let quoted: Vec<String> = list.iter().map(|s| go_quote(s)).collect();
    format!("[{}]", quoted.join(" "))
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|x| x == "*" || x == wanted)
}

fn resource_matches(rule: &str, request: &RequestAttributes) -> bool {
    if rule == "*" {
        return true;
    }
    match rule.split_once('/') {
        None => request.subresource.is_empty() && rule == request.resource,
        Some((resource, subresource)) => {
            !request.subresource.is_empty()
                && subresource == request.subresource
                && (resource == "*" || resource == request.resource)
        }
    }
}

/// Whether a path of a rule stands for `path`: equal, or a prefix that ends in `*`.
pub(super) fn url_covers(owner: &str, path: &str) -> bool {
    owner == path || (owner.ends_with('*') && path.starts_with(owner.trim_end_matches('*')))
}

/// The role a binding grants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleRef {
    /// API group, `rbac.authorization.k8s.io`.
    pub api_group: String,
    /// `Role` or `ClusterRole`.
    pub kind: String,
    /// Name of the role.
    pub name: String,
}

impl RoleRef {
    /// Reads `roleRef` of a binding.
    #[must_use]
    pub fn of(binding: &Value) -> Self {
        let role = binding.get("roleRef").unwrap_or(&Value::Null);
        Self { api_group: text(role, "apiGroup"), kind: text(role, "kind"), name: text(role, "name") }
    }
}

/// Whom a binding grants to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    kind: String,
    name: String,
    namespace: String,
}

impl Subject {
    fn applies_to(&self, user: &UserInfo, binding_namespace: &str) -> bool {
        match self.kind.as_str() {
            "User" => user.name == self.name,
            "Group" => user.groups.contains(&self.name),
            "ServiceAccount" => match self.namespace_in(binding_namespace) {
                "" => false,
                namespace => {
                    let rest = user.name.strip_prefix("system:serviceaccount:").and_then(|r| r.strip_prefix(namespace));
                    rest.and_then(|r| r.strip_prefix(':')) == Some(self.name.as_str())
                }
            },
            _ => false,
        }
    }

    fn namespace_in<'a>(&'a self, binding_namespace: &'a str) -> &'a str {
        if self.namespace.is_empty() { binding_namespace } else { &self.namespace }
    }

    /// `User "alice"`, `ServiceAccount "robot/ns"`.
    fn describe(&self, binding_namespace: &str) -> String {
        match self.kind.as_str() {
            "ServiceAccount" => {
                let name = format!("{}/{}", self.name, self.namespace_in(binding_namespace));
                format!("{} {}", self.kind, go_quote(&name))
            }
            _ => format!("{} {}", self.kind, go_quote(&self.name)),
        }
    }
}

/// A RoleBinding, or a ClusterRoleBinding when `namespace` is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binding {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) role: RoleRef,
    subjects: Vec<Subject>,
}

impl Binding {
    pub(super) fn from_value(object: &Value) -> Self {
        let subject =
            |s: &Value| Subject { kind: text(s, "kind"), name: text(s, "name"), namespace: text(s, "namespace") };
        Self {
            name: object.name().into(),
            namespace: object.namespace().into(),
            role: RoleRef::of(object),
            subjects: items(object, "subjects").iter().map(subject).collect(),
        }
    }

    /// The first subject that stands for the user.
    pub(super) fn subject_of(&self, user: &UserInfo) -> Option<&Subject> {
        self.subjects.iter().find(|s| s.applies_to(user, &self.namespace))
    }

    /// `RoleBinding "rb/ns" of Role "r" to User "dev"`.
    pub(super) fn describe(&self, subject: &Subject) -> String {
        let (kind, name) = if self.namespace.is_empty() {
            ("ClusterRoleBinding", self.name.clone())
        } else {
            ("RoleBinding", format!("{}/{}", self.name, self.namespace))
        };
        let (role_kind, role_name) = (&self.role.kind, go_quote(&self.role.name));
        let to = subject.describe(&self.namespace);
        format!("{kind} {} of {role_kind} {role_name} to {to}", go_quote(&name))
    }
}

/// A string member, empty when missing.
pub(super) fn text(value: &Value, member: &str) -> String {
    value.get(member).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A list member, empty when missing.
pub(super) fn items<'a>(value: &'a Value, member: &str) -> &'a [Value] {
    value.get(member).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The strings of a list, empty when missing.
pub(super) fn strings(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn ask(verb: &str, group: &str, resource: &str, subresource: &str, name: &str) -> RequestAttributes {
        RequestAttributes::resource(UserInfo::default(), verb, group, resource).subresource(subresource).name(name)
    }

    #[test]
    fn rules_match_as_the_server_matches_them() {
        let cases = [
            (json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}), ask("get", "", "pods", "", ""), true),
            (
                json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}),
                ask("get", "", "pods", "log", ""),
                false,
            ),
            (
                json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods/*"]}),
                ask("get", "", "pods", "log", ""),
                false,
            ),
            (
                json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*/scale"]}),
                ask("get", "apps", "deployments", "scale", "a"),
                true,
            ),
            (
                json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*/scale"]}),
                ask("get", "apps", "deployments", "", "a"),
                false,
            ),
            (json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}), ask("x", "y", "z", "s", "n"), true),
            (
                json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]}),
                ask("get", "", "pods", "", "a"),
                true,
            ),
            (
                json!({"verbs": ["list"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]}),
                ask("list", "", "pods", "", ""),
                false,
            ),
            (
                json!({"verbs": ["get"], "apiGroups": ["apps"], "resources": ["deployments"]}),
                ask("get", "extensions", "deployments", "", ""),
                false,
            ),
        ];
        for (rule, request, allowed) in cases {
            assert_eq!(PolicyRule::from_value(&rule).allows(&request), allowed, "{rule} {request:?}");
        }
    }

    #[test]
    fn paths_match_whole_or_by_prefix() {
        let rule = PolicyRule::from_value(&json!({"verbs": ["get"], "nonResourceURLs": ["/metrics", "/x/*"]}));
        for (path, allowed) in [("/metrics", true), ("/metrics/a", false), ("/x/y", true), ("/x/", true), ("/x", false)]
        {
            assert_eq!(rule.allows(&RequestAttributes::path(UserInfo::default(), "get", path)), allowed, "{path}");
        }
    }

    #[test]
    fn a_service_account_without_namespace_is_one_of_the_bindings_own() {
        let binding = Binding::from_value(&json!({
            "metadata": {"name": "rb", "namespace": "ns"},
            "subjects": [{"kind": "ServiceAccount", "name": "robot"}],
            "roleRef": {"kind": "Role", "name": "r"},
        }));
        let user = UserInfo { name: "system:serviceaccount:ns:robot".into(), ..UserInfo::default() };
        let subject = binding.subject_of(&user).unwrap();
        assert_eq!(binding.describe(subject), "RoleBinding \"rb/ns\" of Role \"r\" to ServiceAccount \"robot/ns\"");
        let other = UserInfo { name: "system:serviceaccount:ns:robot:x".into(), ..UserInfo::default() };
        assert!(binding.subject_of(&other).is_none());
    }

    fn word() -> impl Strategy<Value = String> {
        prop::sample::select(vec!["", "a", "b", "get", "pods"]).prop_map(str::to_owned)
    }

    prop_compose! {
        fn rule()(verbs in prop::collection::vec(word(), 0..3), api_groups in prop::collection::vec(word(), 0..3),
                  resources in prop::collection::vec(word(), 0..3), resource_names in prop::collection::vec(word(), 0..2))
                  -> PolicyRule {
            PolicyRule { verbs, api_groups, resources, resource_names, non_resource_urls: Vec::new() }
        }
    }

    proptest! {
        #[test]
        fn adding_a_star_never_takes_a_right_away(rule in rule(), verb in word(), group in word(), resource in word(), name in word()) {
            let request = ask(&verb, &group, &resource, "", &name);
            for widen in [|r: &mut PolicyRule| r.verbs.push("*".into()), |r: &mut PolicyRule| r.api_groups.push("*".into()), |r: &mut PolicyRule| r.resources.push("*".into())] {
                let mut wider = rule.clone();
                widen(&mut wider);
                prop_assert!(!rule.allows(&request) || wider.allows(&request));
            }
        }

        #[test]
        fn a_rule_survives_its_json_form(rule in rule()) {
            prop_assert_eq!(PolicyRule::from_value(&rule.to_value()), rule);
        }

        #[test]
        fn a_rule_without_verbs_groups_or_resources_allows_nothing(rule in rule(), verb in word(), group in word(), resource in word()) {
            let request = ask(&verb, &group, &resource, "", "");
            for starve in [|r: &mut PolicyRule| r.verbs.clear(), |r: &mut PolicyRule| r.api_groups.clear(), |r: &mut PolicyRule| r.resources.clear()] {
                let mut poorer = rule.clone();
                starve(&mut poorer);
                prop_assert!(!poorer.allows(&request));
            }
        }
    }
}
