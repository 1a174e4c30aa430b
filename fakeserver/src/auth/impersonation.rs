//! Acting as somebody else: the `Impersonate-*` headers and who may use them.
//!
//! Counterpart: apiserver `endpoints/filters/impersonation` with constrained impersonation (KEP 5284): the narrow
//! modes are tried first, then the plain verb `impersonate`. When all fail, the first refusal is the answer.

use super::attributes::{RequestAttributes, forbidden};
use super::names::{ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, is_dns_subdomain};
use super::rbac::{Authority, MASTERS};
use super::service_account::{group_names, split_username};
use crate::strategies::UserInfo;
use http::HeaderMap;
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;
use rehearsal_apimachinery::field::go_quote;
use rehearsal_apimachinery::status::Status;
use std::collections::HashMap;

const NODE_PREFIX: &str = "system:node:";
const EXTRA_PREFIX: &str = "impersonate-extra-";
const AUTHENTICATION_GROUP: &str = "authentication.k8s.io";
const NODE_NAME_KEY: &str = "authentication.kubernetes.io/node-name";
/// From this many groups or extra values on, one check for `*` is tried first (constrained modes only).
const MANY: usize = 4;
/// Users whose last mode is remembered (apiserver `modeIndexCache`).
const REMEMBERED: usize = 10_000;

/// Modes in the order of trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    AssociatedNode,
    ArbitraryNode,
    ServiceAccount,
    UserInfo,
    Legacy,
}

const MODES: [Mode; 5] =
    [Mode::AssociatedNode, Mode::ArbitraryNode, Mode::ServiceAccount, Mode::UserInfo, Mode::Legacy];

/// Decides about impersonation. Remembers for each user the mode that last succeeded, which is then tried first: that
/// can be seen in the refusal a user gets after an earlier success.
#[derive(Debug, Default)]
pub struct Impersonator {
    last: Mutex<HashMap<String, Mode>>,
}

impl Impersonator {
    /// The user to act as, or `None` if the headers ask for no impersonation. `request` is the request as its sender
    /// makes it.
    ///
    /// # Errors
    /// 400 for group, uid or extra without a user, 403 when the sender may not impersonate.
    pub fn impersonate(
        &self,
        headers: &HeaderMap,
        request: &RequestAttributes,
        authority: &Authority<'_>,
    ) -> Result<Option<UserInfo>, Status> {
        let Some(wanted) = wanted_user(headers)? else { return Ok(None) };
        let last = self.last.lock().get(&request.user.name).copied();
        let others = MODES.into_iter().filter(|mode| Some(*mode) != last);
        let mut refusal = None;
        for mode in last.into_iter().chain(others) {
            match mode.check(&wanted, request, authority) {
                None => {}
                Some(Ok(user)) => {
                    self.remember(&request.user.name, mode);
                    return Ok(Some(user));
                }
                Some(Err(status)) => {
                    refusal.get_or_insert(status);
                }
            }
        }
        Err(refusal.unwrap_or_else(|| Status::internal_error("all impersonation modes failed")))
    }

    fn remember(&self, user: &str, mode: Mode) {
        let mut last = self.last.lock();
        if last.len() >= REMEMBERED {
            last.clear();
        }
        last.insert(user.to_owned(), mode);
    }
}

/// Reads the headers; `None` when there is no impersonation in them.
fn wanted_user(headers: &HeaderMap) -> Result<Option<UserInfo>, Status> {
    let first = |name: &str| headers.get(name).map(|v| lossy(v.as_bytes())).unwrap_or_default();
    let mut wanted = UserInfo { name: first("impersonate-user"), uid: first("impersonate-uid"), ..UserInfo::default() };
    wanted.groups = headers.get_all("impersonate-group").iter().map(|v| lossy(v.as_bytes())).collect();
    for (name, value) in headers {
        if let Some(key) = name.as_str().strip_prefix(EXTRA_PREFIX) {
            wanted.extra.entry(unescape(key)).or_default().push(lossy(value.as_bytes()));
        }
    }
    if !wanted.name.is_empty() {
        return Ok(Some(wanted));
    }
    if only_name(&wanted) {
        return Ok(None);
    }
    Err(Status::bad_request(format!("requested {} without impersonating a user name", go_syntax(&wanted))))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Percent-decodes a key, or keeps it when a `%` in it is no escape.
fn unescape(key: &str) -> String {
    let mut rest = key;
    while let Some((_, after)) = rest.split_once('%') {
        if !after.as_bytes().get(..2).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) {
            return key.to_owned();
        }
        rest = after;
    }
    percent_decode_str(key).decode_utf8_lossy().into_owned()
}

fn only_name(user: &UserInfo) -> bool {
    user.uid.is_empty() && user.groups.is_empty() && user.extra.is_empty()
}

/// Go's `%#v` of a `*user.DefaultInfo`.
fn go_syntax(user: &UserInfo) -> String {
    let list = |items: &[String]| {
        let quoted: Vec<String> = items.iter().map(|s| go_quote(s)).collect();
        format!("[]string{{{}}}", quoted.join(", "))
    };
    let groups = if user.groups.is_empty() { "[]string(nil)".to_owned() } else { list(&user.groups) };
    let extra = if user.extra.is_empty() {
        "map[string][]string(nil)".to_owned()
    } else {
        let pairs: Vec<String> = user.extra.iter().map(|(k, v)| format!("{}:{}", go_quote(k), list(v))).collect();
        format!("map[string][]string{{{}}}", pairs.join(", "))
    };
    let (name, uid) = (go_quote(&user.name), go_quote(&user.uid));
    format!("&user.DefaultInfo{{Name:{name}, UID:{uid}, Groups:{groups}, Extra:{extra}}}")
}

impl Mode {
    fn word(self) -> &'static str {
        match self {
            Self::AssociatedNode => "associated-node",
            Self::ArbitraryNode => "arbitrary-node",
            Self::ServiceAccount => "serviceaccount",
            Self::UserInfo => "user-info",
            Self::Legacy => "",
        }
    }

    fn verb(self) -> String {
        match self {
            Self::Legacy => "impersonate".to_owned(),
            mode => format!("impersonate:{}", mode.word()),
        }
    }

    fn constrained(self) -> bool {
        self != Self::Legacy
    }

    /// Whether the mode is for this kind of user at all.
    fn applies(self, wanted: &UserInfo, requestor: &UserInfo) -> bool {
        let node = node_name(&wanted.name);
        match self {
            Self::AssociatedNode => only_name(wanted) && node.is_some() && associated_node(requestor) == node,
            Self::ArbitraryNode => only_name(wanted) && node.is_some(),
            Self::ServiceAccount => only_name(wanted) && split_username(&wanted.name).is_some(),
            Self::UserInfo => node.is_none() && split_username(&wanted.name).is_none(),
            Self::Legacy => true,
        }
    }

    /// `None` if the mode does not apply.
    fn check(
        self,
        wanted: &UserInfo,
        request: &RequestAttributes,
        authority: &Authority<'_>,
    ) -> Option<Result<UserInfo, Status>> {
        if !self.applies(wanted, &request.user) {
            return None;
        }
        if self.constrained() {
            let on = format!("impersonate-on:{}:{}", self.word(), request.verb);
            if let Err(refusal) = authority.check(&request.clone().verb(on)) {
                return Some(Err(refusal));
            }
        }
        Some(Trial { mode: self, wanted, requestor: &request.user, authority }.run())
    }
}

/// The checks of one mode for each part of the wanted user.
struct Trial<'a> {
    mode: Mode,
    wanted: &'a UserInfo,
    requestor: &'a UserInfo,
    authority: &'a Authority<'a>,
}

impl Trial<'_> {
    fn run(&self) -> Result<UserInfo, Status> {
        let groups = self.check_name()?;
        self.check_uid()?;
        self.check_groups()?;
        self.check_extra()?;
        let mut user = self.wanted.clone();
        user.groups = groups;
        if user.name == ANONYMOUS {
            ensure_group(&mut user, UNAUTHENTICATED);
        } else if !user.groups.iter().any(|g| g == UNAUTHENTICATED) {
            ensure_group(&mut user, AUTHENTICATED);
        }
        Ok(user)
    }

    fn about(&self, group: &str, resource: &str, name: &str) -> RequestAttributes {
        RequestAttributes::resource(self.requestor.clone(), &self.mode.verb(), group, resource).name(name)
    }

    /// Users and groups live in the core group for plain impersonation.
    fn user_group(&self) -> &'static str {
        if self.mode.constrained() { AUTHENTICATION_GROUP } else { "" }
    }

    /// Checks the name; returns the groups of the user to be.
    fn check_name(&self) -> Result<Vec<String>, Status> {
        let (mut groups, name) = (self.wanted.groups.clone(), self.wanted.name.as_str());
        let mut question = self.about(self.user_group(), "users", name);
        if let Some(node) = node_name(name).filter(|_| self.mode.constrained()) {
            question.resource = "nodes".into();
            question.name = if self.mode == Mode::AssociatedNode { "*".into() } else { node.into() };
            groups = vec!["system:nodes".into()];
        }
        if let Some((namespace, account)) = split_username(name) {
            question.resource = "serviceaccounts".into();
            question.namespace = namespace.into();
            question.name = account.into();
            if groups.is_empty() {
                groups = group_names(namespace);
            }
        }
        self.authority.check(&question).map(|()| groups)
    }

    fn check_uid(&self) -> Result<(), Status> {
        match self.wanted.uid.as_str() {
            "" => Ok(()),
            uid => self.authority.check(&self.about(AUTHENTICATION_GROUP, "uids", uid)),
        }
    }

    fn check_groups(&self) -> Result<(), Status> {
        let groups = &self.wanted.groups;
        let about = |name: &str| self.about(self.user_group(), "groups", name);
        if self.mode.constrained() && !groups.is_empty() {
            if groups.iter().any(String::is_empty) {
                return Err(forbidden(&about(""), "impersonating the empty string group is not allowed"));
            }
            if groups.iter().any(|g| g == MASTERS) {
                return Err(forbidden(&about(MASTERS), "impersonating the system:masters group is not allowed"));
            }
            if groups.len() >= MANY && self.authority.allows(&about("*")) {
                return Ok(());
            }
        }
        groups.iter().try_for_each(|group| self.authority.check(&about(group)))
    }

    fn check_extra(&self) -> Result<(), Status> {
        let extra = &self.wanted.extra;
        let about = |key: &str, value: &str| self.about(AUTHENTICATION_GROUP, "userextras", value).subresource(key);
        if self.mode.constrained() && !extra.is_empty() {
            if let Some(fault) = extra.iter().find_map(|(key, values)| extra_fault(key, values)) {
                return Err(forbidden(&about("", ""), &fault));
            }
            let many = extra.len() >= MANY || extra.values().map(Vec::len).sum::<usize>() >= MANY;
            if many && self.authority.allows(&about("*", "*")) {
                return Ok(());
            }
        }
        let pairs = extra.iter().flat_map(|(key, values)| values.iter().map(move |value| (key, value)));
        pairs.into_iter().try_for_each(|(key, value)| self.authority.check(&about(key, value)))
    }
}

/// What the constrained modes have against an extra attribute.
fn extra_fault(key: &str, values: &[String]) -> Option<String> {
    if key.is_empty() {
        return Some("impersonating the empty string key in extra is not allowed".into());
    }
    if let Some(fault) = domain_prefixed_path_fault(key) {
        return Some(format!("impersonating an invalid key in extra is not allowed: {fault}"));
    }
    if values.iter().any(String::is_empty) {
        return Some("impersonating the empty string value in extra is not allowed".into());
    }
    None
}

/// Counterpart: `validation.IsDomainPrefixedPath` for the field `extra.key`.
fn domain_prefixed_path_fault(key: &str) -> Option<String> {
    let invalid = |detail: &str| Some(format!("extra.key: Invalid value: {}: {detail}", go_quote(key)));
    let Some((domain, path)) = key.split_once('/').filter(|(domain, path)| !domain.is_empty() && !path.is_empty())
    else {
        return invalid("must be a domain-prefixed path (such as \"acme.io/foo\")");
    };
    if !is_dns_subdomain(domain) {
        let value = go_quote(domain);
        return Some(format!(
            "extra.key: Invalid value: {value}: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
             characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex \
             used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ));
    }
    if path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&b)) {
        return None;
    }
    let value = go_quote(path);
    Some(format!("extra.key: Invalid value: {value}: Invalid path (regex used for validation is '{PATH_REGEX}')"))
}

const PATH_REGEX: &str = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+";

fn ensure_group(user: &mut UserInfo, group: &str) {
    if !user.groups.iter().any(|g| g == group) {
        user.groups.push(group.to_owned());
    }
}

/// The node a user name stands for.
fn node_name(user: &str) -> Option<&str> {
    user.strip_prefix(NODE_PREFIX).filter(|name| is_dns_subdomain(name))
}

/// The node a service account's token is bound to.
fn associated_node(requestor: &UserInfo) -> Option<&str> {
    split_username(&requestor.name)?;
    match requestor.extra.get(NODE_NAME_KEY)?.as_slice() {
        [node] => Some(node.as_str()),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value, reason = "literals read better by value")]
mod tests {
    use super::super::rbac::Authorizer;
    use super::super::testing::{Shelves, user};
    use super::*;
    use http::{HeaderName, HeaderValue};
    use serde_json::{Value, json};

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn granting(rules: Value) -> Shelves {
        Shelves::bootstrapped()
            .with("clusterroles.rbac.authorization.k8s.io", json!({"metadata": {"name": "i"}, "rules": rules}))
            .with(
                "clusterrolebindings.rbac.authorization.k8s.io",
                json!({"metadata": {"name": "i"},
                "subjects": [{"kind": "User", "name": "robot"}], "roleRef": {"kind": "ClusterRole", "name": "i"}}),
            )
    }

    fn list(who: &UserInfo) -> RequestAttributes {
        RequestAttributes::resource(who.clone(), "list", "", "configmaps").namespace("ns")
    }

    fn try_as(who: &UserInfo, cluster: &Shelves, pairs: &[(&str, &str)]) -> Result<Option<UserInfo>, Status> {
        Impersonator::default().impersonate(&headers(pairs), &list(who), &Authorizer::rbac().at(cluster, 1))
    }

    #[test]
    fn a_master_becomes_whoever_it_names() {
        let (cluster, master) = (Shelves::bootstrapped(), user("admin", &[MASTERS]));
        let pairs = [
            ("Impersonate-User", "u"),
            ("Impersonate-Group", "g"),
            ("Impersonate-Uid", "7"),
            ("Impersonate-Extra-Dept", "x"),
            ("Impersonate-Extra-A%2Fb", "y"),
        ];
        let got = try_as(&master, &cluster, &pairs).unwrap().unwrap();
        assert_eq!((got.name.as_str(), got.uid.as_str()), ("u", "7"));
        assert_eq!(got.groups, ["g", AUTHENTICATED]);
        assert_eq!(
            got.extra.into_iter().collect::<Vec<_>>(),
            [("a/b".to_owned(), vec!["y".to_owned()]), ("dept".to_owned(), vec!["x".to_owned()])]
        );
        let account =
            try_as(&master, &cluster, &[("Impersonate-User", "system:serviceaccount:ns:x")]).unwrap().unwrap();
        assert_eq!(account.groups, ["system:serviceaccounts", "system:serviceaccounts:ns", AUTHENTICATED]);
        let anonymous = try_as(&master, &cluster, &[("Impersonate-User", ANONYMOUS)]).unwrap().unwrap();
        assert_eq!(anonymous.groups, [UNAUTHENTICATED]);
        let masters = try_as(&master, &cluster, &[("Impersonate-User", "u"), ("Impersonate-Group", MASTERS)]);
        assert_eq!(masters.unwrap().unwrap().groups, [MASTERS, AUTHENTICATED]);
    }

    #[test]
    fn refusals_name_the_first_mode_that_was_tried() {
        let (cluster, robot) = (Shelves::bootstrapped(), user("robot", &[]));
        for (wanted, mode) in
            [("u", "user-info"), ("system:serviceaccount:ns:x", "serviceaccount"), ("system:node:n", "arbitrary-node")]
        {
            let refusal = try_as(&robot, &cluster, &[("Impersonate-User", wanted)]).unwrap_err();
            assert_eq!(
                refusal.message,
                format!(
                    "configmaps is forbidden: User \"robot\" cannot impersonate-on:{mode}:list resource \"configmaps\" in API group \"\" in the namespace \"ns\""
                )
            );
        }
        let version = RequestAttributes::path(robot, "get", "/version");
        let refusal = Impersonator::default().impersonate(
            &headers(&[("Impersonate-User", "u")]),
            &version,
            &Authorizer::rbac().at(&cluster, 1),
        );
        assert_eq!(
            refusal.unwrap_err().message,
            "forbidden: User \"robot\" cannot impersonate-on:user-info:get path \"/version\""
        );
    }

    #[test]
    fn constrained_impersonation_needs_both_verbs() {
        let on = json!({"verbs": ["impersonate-on:user-info:list"], "apiGroups": [""], "resources": ["configmaps"]});
        let as_user = json!({"verbs": ["impersonate:user-info"], "apiGroups": [AUTHENTICATION_GROUP], "resources": ["users"], "resourceNames": ["u"]});
        let robot = user("robot", &[]);
        let refusal = try_as(&robot, &granting(json!([on])), &[("Impersonate-User", "u")]).unwrap_err();
        assert_eq!(
            refusal.message,
            "users.authentication.k8s.io \"u\" is forbidden: User \"robot\" cannot impersonate:user-info resource \"users\" in API group \"authentication.k8s.io\" at the cluster scope"
        );
        let got = try_as(&robot, &granting(json!([on, as_user])), &[("Impersonate-User", "u")]).unwrap().unwrap();
        assert_eq!(got.groups, [AUTHENTICATED]);
    }

    #[test]
    fn after_a_plain_success_refusals_are_the_plain_ones() {
        let cluster = granting(json!([{"verbs": ["impersonate"], "apiGroups": [""], "resources": ["users"]}]));
        let (robot, authorizer, impersonator) = (user("robot", &[]), Authorizer::rbac(), Impersonator::default());
        let authority = authorizer.at(&cluster, 1);
        let ask = |pairs: &[(&str, &str)]| impersonator.impersonate(&headers(pairs), &list(&robot), &authority);
        assert!(ask(&[("Impersonate-User", "u")]).is_ok());
        let refusal = ask(&[("Impersonate-User", "u"), ("Impersonate-Group", "g")]).unwrap_err();
        assert_eq!(
            refusal.message,
            "groups \"g\" is forbidden: User \"robot\" cannot impersonate resource \"groups\" in API group \"\" at the cluster scope"
        );
    }

    #[test]
    fn parts_without_a_user_are_a_bad_request() {
        let (cluster, master) = (Shelves::bootstrapped(), user("admin", &[MASTERS]));
        let refusal =
            try_as(&master, &cluster, &[("Impersonate-Group", "g"), ("Impersonate-Extra-K", "v")]).unwrap_err();
        assert_eq!(refusal.code, 400);
        assert_eq!(
            refusal.message,
            "requested &user.DefaultInfo{Name:\"\", UID:\"\", Groups:[]string{\"g\"}, Extra:map[string][]string{\"k\":[]string{\"v\"}}} without impersonating a user name"
        );
        assert_eq!(try_as(&master, &cluster, &[]).unwrap(), None);
    }
}
