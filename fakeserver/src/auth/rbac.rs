//! The authorizer: RBAC over the stored roles and bindings, or everything allowed.
//!
//! Counterpart: `plugin/pkg/auth/authorizer/rbac` and `pkg/registry/rbac/validation/rule.go`. Parsed roles are kept
//! from one revision to the next and re-read only where the stored object is another one. Matching a single rule is in
//! `policy.rs`.

use super::attributes::{Decision, RequestAttributes, forbidden};
use super::policy::{Binding, PolicyRule, RoleRef};
use crate::strategies::{Peek, UserInfo};
use arc_swap::ArcSwapOption;
use rehearsal_apimachinery::field::go_quote;
use rehearsal_apimachinery::meta::ObjectMeta;
use rehearsal_apimachinery::status::Status;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

/// The group whose members may do everything.
pub const MASTERS: &str = "system:masters";
/// API group of the RBAC kinds.
pub const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

/// Decides about requests. Cheap to ask; share one per cluster, it caches the parsed policy.
pub enum Authorizer {
    /// Everybody may do everything.
    Off,
    /// Roles and bindings decide.
    Rbac(PolicyCache),
}

impl fmt::Debug for Authorizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "Authorizer::Off",
            Self::Rbac(_) => "Authorizer::Rbac",
        })
    }
}

impl Authorizer {
    /// An RBAC authorizer with an empty cache.
    #[must_use]
    pub fn rbac() -> Self {
        Self::Rbac(PolicyCache::default())
    }

    /// The authorizer as seen at one revision of the store.
    #[must_use]
    pub fn at<'a>(&'a self, peek: &'a dyn Peek, revision: u64) -> Authority<'a> {
        Authority { authorizer: self, peek, revision }
    }
}

/// An authorizer together with the roles and bindings it reads: what all other decisions of this module ask.
#[derive(Clone, Copy)]
pub struct Authority<'a> {
    /// The authorizer.
    pub authorizer: &'a Authorizer,
    /// The stored objects.
    pub peek: &'a dyn Peek,
    /// Grows whenever a role or a binding may have changed; equal revisions must mean equal RBAC objects.
    pub revision: u64,
}

impl Authority<'_> {
    /// Decides about one request.
    #[must_use]
    pub fn authorize(&self, request: &RequestAttributes) -> Decision {
        let allowed = Decision { allowed: true, ..Decision::default() };
        if is_master(&request.user) {
            return allowed;
        }
        self.policy().map_or(allowed, |policy| policy.authorize(request))
    }

    /// Whether the request is allowed.
    #[must_use]
    pub fn allows(&self, request: &RequestAttributes) -> bool {
        self.authorize(request).allowed
    }

    /// Lets an allowed request pass.
    ///
    /// # Errors
    /// The 403 for a request that is not allowed.
    pub fn check(&self, request: &RequestAttributes) -> Result<(), Status> {
        let decision = self.authorize(request);
        if decision.allowed { Ok(()) } else { Err(forbidden(request, &decision.reason)) }
    }

    /// The rules that apply to a user in a namespace (`""`: cluster-wide ones only), with the bindings that could not
    /// be resolved.
    #[must_use]
    pub fn rules_for(&self, user: &UserInfo, namespace: &str) -> Rules {
        match self.policy() {
            None => Rules { rules: full_authority(), missing: Vec::new() },
            Some(policy) => policy.rules_for(user, namespace),
        }
    }

    /// The rules of a referenced role, `None` when there is no such role.
    #[must_use]
    pub fn role_rules(&self, role: &RoleRef, namespace: &str) -> Option<Vec<PolicyRule>> {
        let (resource, namespace) = match role.kind.as_str() {
            "Role" => ("roles.rbac.authorization.k8s.io", namespace),
            "ClusterRole" => ("clusterroles.rbac.authorization.k8s.io", ""),
            _ => return None,
        };
        self.peek.get(resource, namespace, &role.name).map(|role| PolicyRule::list(&role))
    }

    fn policy(&self) -> Option<Arc<Policy>> {
        match self.authorizer {
            Authorizer::Off => None,
            Authorizer::Rbac(cache) => Some(cache.at(self.peek, self.revision)),
        }
    }
}

/// Whether a user belongs to `system:masters`.
#[must_use]
pub fn is_master(user: &UserInfo) -> bool {
    user.groups.iter().any(|g| g == MASTERS)
}

/// `*` on everything, resources and paths.
#[must_use]
pub fn full_authority() -> Vec<PolicyRule> {
    let star = || vec!["*".to_owned()];
    vec![
        PolicyRule { verbs: star(), api_groups: star(), resources: star(), ..PolicyRule::default() },
        PolicyRule { verbs: star(), non_resource_urls: star(), ..PolicyRule::default() },
    ]
}

/// What a user may do, and which of its bindings lead nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Rules in order of the bindings: cluster-wide ones first.
    pub rules: Vec<PolicyRule>,
    /// References that could not be resolved.
    pub missing: Vec<RoleRef>,
}

impl Rules {
    /// The error text for the unresolved references, as the authorizer's own lookups word it; empty for none.
    #[must_use]
    pub fn error(&self) -> String {
        aggregate(self.missing.iter().map(missing_role))
    }
}

/// Joins error texts as `utilerrors.NewAggregate` does: duplicates dropped, one bare, several as `[a, b]`.
pub(super) fn aggregate(texts: impl Iterator<Item = String>) -> String {
    let mut seen: Vec<String> = Vec::new();
    for text in texts {
        if !seen.contains(&text) {
            seen.push(text);
        }
    }
    match seen.len() {
        0 => String::new(),
        1 => seen.remove(0),
        _ => format!("[{}]", seen.join(", ")),
    }
}

/// The lister names the resource in the singular.
fn missing_role(role: &RoleRef) -> String {
    match role.kind.as_str() {
        "Role" | "ClusterRole" => {
            format!("{}.{RBAC_GROUP} {} not found", role.kind.to_lowercase(), go_quote(&role.name))
        }
        kind => format!("unsupported role reference kind: {}", go_quote(kind)),
    }
}

/// The parsed policy of the last revision that was asked about.
#[derive(Default)]
pub struct PolicyCache(ArcSwapOption<Policy>);

impl PolicyCache {
    fn at(&self, peek: &dyn Peek, revision: u64) -> Arc<Policy> {
        let known = self.0.load_full();
        if let Some(policy) = known.as_ref().filter(|p| p.revision == revision) {
            return Arc::clone(policy);
        }
        let policy = Arc::new(Policy::read(peek, revision, known.as_deref()));
        // A request that still reads an old revision must not take the newer policy away from the others.
        if known.is_none_or(|known| known.revision < revision) {
            self.0.store(Some(Arc::clone(&policy)));
        }
        policy
    }
}

/// A parsed object beside the stored one it was read from.
struct Parsed<T> {
    source: Arc<Value>,
    parsed: Arc<T>,
}

/// Namespace (empty for cluster-scoped objects) and name.
type Key = (String, String);
type Shelf<T> = HashMap<Key, Parsed<T>>;

struct Policy {
    revision: u64,
    roles: Shelf<Vec<PolicyRule>>,
    bindings: Shelf<Binding>,
    /// Bindings by namespace in the order of the store.
    order: BTreeMap<String, Vec<Arc<Binding>>>,
}

impl Policy {
    fn read(peek: &dyn Peek, revision: u64, known: Option<&Self>) -> Self {
        let mut policy = Self { revision, roles: Shelf::new(), bindings: Shelf::new(), order: BTreeMap::new() };
        for resource in ["clusterroles.rbac.authorization.k8s.io", "roles.rbac.authorization.k8s.io"] {
            for object in peek.list(resource, "") {
                let key = key_of(&object);
                let parsed =
                    reuse(known.map(|p| &p.roles), &key, &object).unwrap_or_else(|| PolicyRule::list(&object).into());
                policy.roles.insert(key, Parsed { source: object, parsed });
            }
        }
        for resource in ["clusterrolebindings.rbac.authorization.k8s.io", "rolebindings.rbac.authorization.k8s.io"] {
            for object in peek.list(resource, "") {
                let key = key_of(&object);
                let parsed = reuse(known.map(|p| &p.bindings), &key, &object)
                    .unwrap_or_else(|| Binding::from_value(&object).into());
                policy.order.entry(key.0.clone()).or_default().push(Arc::clone(&parsed));
                policy.bindings.insert(key, Parsed { source: object, parsed });
            }
        }
        policy
    }

    /// Calls `visit` with each rule that applies, and with each role that is missing, until it returns false.
    fn visit(
        &self,
        user: &UserInfo,
        namespace: &str,
        visit: &mut dyn FnMut(&Binding, Result<&PolicyRule, &RoleRef>) -> bool,
    ) {
        let namespaced = if namespace.is_empty() { None } else { self.order.get(namespace) };
        let bindings = self.order.get("").into_iter().chain(namespaced).flatten();
        for binding in bindings.filter(|b| b.subject_of(user).is_some()) {
            let Some(rules) = self.rules_of(binding) else {
                if visit(binding, Err(&binding.role)) {
                    continue;
                }
                return;
            };
            if !rules.iter().all(|rule| visit(binding, Ok(rule))) {
                return;
            }
        }
    }

    fn rules_of(&self, binding: &Binding) -> Option<&[PolicyRule]> {
        let namespace = match binding.role.kind.as_str() {
            "Role" if !binding.namespace.is_empty() => binding.namespace.clone(),
            "ClusterRole" => String::new(),
            _ => return None,
        };
        self.roles.get(&(namespace, binding.role.name.clone())).map(|role| role.parsed.as_slice())
    }

    fn authorize(&self, request: &RequestAttributes) -> Decision {
        let mut reason = None;
        let mut missing = Vec::new();
        self.visit(&request.user, &request.namespace, &mut |binding, found| match found {
            Ok(rule) if rule.allows(request) => {
                reason = binding.subject_of(&request.user).map(|s| binding.describe(s));
                false
            }
            Ok(_) => true,
            Err(role) => {
                missing.push(missing_role(role));
                true
            }
        });
        match reason {
            Some(by) => Decision { allowed: true, reason: format!("RBAC: allowed by {by}"), ..Decision::default() },
            None if missing.is_empty() => Decision::default(),
            None => Decision { reason: format!("RBAC: {}", aggregate(missing.into_iter())), ..Decision::default() },
        }
    }

    fn rules_for(&self, user: &UserInfo, namespace: &str) -> Rules {
        let mut found = Rules::default();
        self.visit(user, namespace, &mut |_, rule| {
            match rule {
                Ok(rule) => found.rules.push(rule.clone()),
                Err(role) => found.missing.push(role.clone()),
            }
            true
        });
        found
    }
}

fn key_of(object: &Value) -> Key {
    (object.namespace().to_owned(), object.name().to_owned())
}

fn reuse<T>(known: Option<&Shelf<T>>, key: &Key, object: &Arc<Value>) -> Option<Arc<T>> {
    let parsed = known?.get(key)?;
    Arc::ptr_eq(&parsed.source, object).then(|| Arc::clone(&parsed.parsed))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Shelves, user};
    use super::*;
    use serde_json::json;

    fn cluster() -> Shelves {
        Shelves::bootstrapped()
            .with(
                "roles.rbac.authorization.k8s.io",
                json!({"metadata": {"name": "r", "namespace": "ns"}, "rules": [
                {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["configmaps"]},
                {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]}]}),
            )
            .with(
                "rolebindings.rbac.authorization.k8s.io",
                json!({"metadata": {"name": "rb", "namespace": "ns"},
                "subjects": [{"kind": "User", "name": "dev"}], "roleRef": {"kind": "Role", "name": "r"}}),
            )
            .with(
                "rolebindings.rbac.authorization.k8s.io",
                json!({"metadata": {"name": "astray", "namespace": "ns"},
                "subjects": [{"kind": "User", "name": "eve"}], "roleRef": {"kind": "ClusterRole", "name": "none"}}),
            )
    }

    fn ask(who: &UserInfo, verb: &str, resource: &str, namespace: &str) -> RequestAttributes {
        RequestAttributes::resource(who.clone(), verb, "", resource).namespace(namespace)
    }

    #[test]
    fn a_role_binding_grants_in_its_namespace_only() {
        let (cluster, authorizer, dev) = (cluster(), Authorizer::rbac(), user("dev", &["system:authenticated"]));
        let authority = authorizer.at(&cluster, 1);
        let decision = authority.authorize(&ask(&dev, "list", "configmaps", "ns"));
        assert_eq!(decision.reason, "RBAC: allowed by RoleBinding \"rb/ns\" of Role \"r\" to User \"dev\"");
        assert!(!authority.allows(&ask(&dev, "create", "configmaps", "ns")));
        assert!(!authority.allows(&ask(&dev, "list", "configmaps", "default")));
        assert!(!authority.allows(&ask(&dev, "list", "configmaps", "")));
        assert!(authority.allows(&ask(&dev, "get", "pods", "ns").name("a")));
        assert!(!authority.allows(&ask(&dev, "get", "pods", "ns").name("b")));
    }

    #[test]
    fn a_binding_to_a_missing_role_is_named_in_the_refusal() {
        let (cluster, authorizer) = (cluster(), Authorizer::rbac());
        let refusal = authorizer.at(&cluster, 1).check(&ask(&user("eve", &[]), "list", "pods", "ns")).unwrap_err();
        assert!(
            refusal
                .message
                .ends_with("in the namespace \"ns\": RBAC: clusterrole.rbac.authorization.k8s.io \"none\" not found"),
            "{refusal}"
        );
    }

    #[test]
    fn the_bootstrap_policy_serves_everybody_what_the_real_one_does() {
        let (cluster, authorizer) = (cluster(), Authorizer::rbac());
        let authority = authorizer.at(&cluster, 1);
        let anonymous = user("system:anonymous", &["system:unauthenticated"]);
        let dev = user("dev", &["devs", "system:authenticated"]);
        for (path, for_anonymous, for_dev) in [
            ("/api", false, true),
            ("/apis/apps", false, true),
            ("/openapi/v2", false, true),
            ("/version", true, true),
            ("/healthz", true, true),
            ("/livez", true, true),
            ("/metrics", false, false),
            ("/", false, false),
        ] {
            assert_eq!(
                authority.allows(&RequestAttributes::path(anonymous.clone(), "get", path)),
                for_anonymous,
                "{path}"
            );
            assert_eq!(authority.allows(&RequestAttributes::path(dev.clone(), "get", path)), for_dev, "{path}");
        }
        assert_eq!(
            authority.authorize(&ask(&user("x", &[MASTERS]), "*", "*", "")),
            Decision { allowed: true, ..Decision::default() }
        );
    }

    #[test]
    fn a_new_revision_is_seen_and_an_old_one_is_not_read_again() {
        let (cluster, authorizer, dev) = (cluster(), Authorizer::rbac(), user("dev", &[]));
        assert!(authorizer.at(&cluster, 1).allows(&ask(&dev, "list", "configmaps", "ns")));
        let empty = Shelves::default();
        assert!(authorizer.at(&empty, 1).allows(&ask(&dev, "list", "configmaps", "ns")));
        assert!(!authorizer.at(&empty, 2).allows(&ask(&dev, "list", "configmaps", "ns")));
    }

    #[test]
    fn without_authorization_everything_is_allowed() {
        let cluster = Shelves::default();
        let authority = Authorizer::Off.at(&cluster, 0).authorize(&ask(&user("x", &[]), "delete", "nodes", ""));
        assert!(authority.allowed);
    }
}
