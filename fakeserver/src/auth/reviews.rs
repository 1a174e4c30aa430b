//! Reviews: questions about tokens and rights that are posted as objects and answered in their status.
//!
//! Counterpart: `pkg/registry/authentication/{tokenreview,selfsubjectreview}`, `pkg/registry/authorization/*` and
//! `pkg/apis/authorization/validation`. Nothing is stored.

use super::attributes::RequestAttributes;
use super::authn::Authenticator;
use super::policy::{PolicyRule, items, strings, text};
use super::rbac::Authority;
use super::secret::Token;
use crate::clock::rfc3339;
use crate::strategies::UserInfo;
use jiff::Timestamp;
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::gvk::GroupKind;
use rehearsal_apimachinery::meta::{ObjectMeta, ObjectMetaMut};
use rehearsal_apimachinery::status::Status;
use serde_json::{Map, Value, json};

/// What a review is answered from.
pub struct ReviewContext<'a> {
    /// Who posts the review.
    pub user: &'a UserInfo,
    /// Judges tokens.
    pub authenticator: &'a Authenticator,
    /// Judges requests; also holds the stored objects.
    pub authority: Authority<'a>,
    /// Namespace of the URL, `""` for cluster-scoped reviews.
    pub namespace: &'a str,
    /// The current time.
    pub now: Timestamp,
}

/// Answers a review in place. `kind` is one of the six review kinds.
///
/// # Errors
/// 400 and 422 for reviews that ask nothing; 500 for a kind that is no review.
pub fn review(kind: &str, object: &mut Value, cx: &ReviewContext<'_>) -> Result<(), Status> {
    object.meta_mut();
    match kind {
        "TokenReview" => token_review(object, cx),
        "SelfSubjectReview" => {
            self_subject_review(object, cx);
            Ok(())
        }
        "SubjectAccessReview" | "LocalSubjectAccessReview" | "SelfSubjectAccessReview" => {
            access_review(kind, object, cx)
        }
        "SelfSubjectRulesReview" => rules_review(object, cx),
        other => Err(Status::bare500(format!("{other} is no review"))),
    }
}

fn spec_of(object: &Value) -> &Value {
    object.get("spec").unwrap_or(&Value::Null)
}

fn token_review(object: &mut Value, cx: &ReviewContext<'_>) -> Result<(), Status> {
    let token = Token::new(text(spec_of(object), "token"));
    if token.expose().is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    let audiences = strings(spec_of(object).get("audiences"));
    let verdict = cx.authenticator.review_token(&token, &audiences, cx.authority.peek, cx.now);
    let mut status = Map::new();
    status.insert("user".into(), verdict.user.as_ref().map_or_else(|| json!({}), user_value));
    if verdict.user.is_some() {
        status.insert("authenticated".into(), true.into());
        status.insert("audiences".into(), verdict.audiences.into());
    }
    if !verdict.error.is_empty() {
        status.insert("error".into(), verdict.error.into());
    }
    object["status"] = status.into();
    Ok(())
}

fn self_subject_review(object: &mut Value, cx: &ReviewContext<'_>) {
    object.set_meta("creationTimestamp", rfc3339(cx.now));
    object["status"] = json!({"userInfo": user_value(cx.user)});
}

/// A user as `authentication/v1.UserInfo`, empty members left out.
fn user_value(user: &UserInfo) -> Value {
    let mut map = Map::new();
    for (member, value) in [("username", &user.name), ("uid", &user.uid)] {
        if !value.is_empty() {
            map.insert(member.into(), value.clone().into());
        }
    }
    if !user.groups.is_empty() {
        map.insert("groups".into(), user.groups.clone().into());
    }
    if !user.extra.is_empty() {
        map.insert("extra".into(), json!(user.extra));
    }
    map.into()
}

fn access_review(kind: &str, object: &mut Value, cx: &ReviewContext<'_>) -> Result<(), Status> {
    let errors = validate(kind, object);
    if !errors.is_empty() {
        return Err(Status::invalid(&GroupKind::new("authorization.k8s.io", ""), "", &errors));
    }
    if kind == "LocalSubjectAccessReview" && object.namespace() != cx.namespace {
        let why = format!("spec.resourceAttributes.namespace must match namespace: {}", cx.namespace);
        return Err(Status::bad_request(why));
    }
    let spec = spec_of(object);
    let user = if kind == "SelfSubjectAccessReview" { cx.user.clone() } else { subject(spec) };
    let decision = cx.authority.authorize(&question(spec, user));
    let mut status = Map::new();
    status.insert("allowed".into(), decision.allowed.into());
    for (member, value) in [("reason", decision.reason), ("evaluationError", decision.evaluation_error)] {
        if !value.is_empty() {
            status.insert(member.into(), value.into());
        }
    }
    object["status"] = status.into();
    Ok(())
}

fn subject(spec: &Value) -> UserInfo {
    let extra = spec.get("extra").and_then(Value::as_object);
    UserInfo {
        name: text(spec, "user"),
        uid: text(spec, "uid"),
        groups: strings(spec.get("groups")),
        extra: extra.into_iter().flatten().map(|(k, v)| (k.to_lowercase(), strings(Some(v)))).collect(),
    }
}

fn question(spec: &Value, user: UserInfo) -> RequestAttributes {
    let Some(resource) = attributes(spec, "resourceAttributes") else {
        let path = spec.get("nonResourceAttributes").unwrap_or(&Value::Null);
        return RequestAttributes::path(user, &text(path, "verb"), &text(path, "path"));
    };
    let selector = |member: &str| {
        let raw = resource.get(member).map(|s| text(s, "rawSelector")).unwrap_or_default();
        Some(raw).filter(|raw| !raw.is_empty())
    };
    RequestAttributes {
        user,
        verb: text(resource, "verb"),
        group: text(resource, "group"),
        version: text(resource, "version"),
        resource: text(resource, "resource"),
        subresource: text(resource, "subresource"),
        namespace: text(resource, "namespace"),
        name: text(resource, "name"),
        path: String::new(),
        is_resource: true,
        field_selector: selector("fieldSelector"),
        label_selector: selector("labelSelector"),
    }
}

fn attributes<'a>(spec: &'a Value, member: &str) -> Option<&'a Value> {
    spec.get(member).filter(|a| a.is_object())
}

fn validate(kind: &str, object: &Value) -> Vec<FieldError> {
    let spec = spec_of(object);
    let (resource, path) = (attributes(spec, "resourceAttributes"), attributes(spec, "nonResourceAttributes"));
    let mut errors = Vec::new();
    match (resource, path) {
        (Some(_), Some(path)) => errors.push(FieldError::invalid(
            "spec.nonResourceAttributes",
            internal_form(path),
            "cannot be specified in combination with resourceAttributes",
        )),
        (None, None) => errors.push(FieldError::invalid(
            "spec.resourceAttributes",
            Value::Null,
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        )),
        _ => {}
    }
    if kind != "SelfSubjectAccessReview" && text(spec, "user").is_empty() && items(spec, "groups").is_empty() {
        errors.push(FieldError::invalid("spec.user", "", "at least one of user or group must be specified"));
    }
    if let Some(resource) = resource {
        for member in ["fieldSelector", "labelSelector"] {
            errors.extend(validate_selector(resource, member));
        }
    }
    let local = kind == "LocalSubjectAccessReview";
    errors.extend(validate_metadata(object, local));
    if local {
        errors.extend(validate_local(object.namespace(), resource, path));
    }
    errors
}

/// The real server prints the internal type, whose members have Go names.
fn internal_form(path: &Value) -> Value {
    json!({"Path": text(path, "path"), "Verb": text(path, "verb")})
}

fn validate_metadata(object: &Value, local: bool) -> Option<FieldError> {
    let ignored = |key: &str| key == "managedFields" || (local && key == "namespace");
    let metadata = object.meta()?;
    if metadata.iter().all(|(key, value)| ignored(key) || value.is_null()) {
        return None;
    }
    let why = if local { "must be empty except for namespace" } else { "must be empty" };
    Some(FieldError::invalid("metadata", metadata.clone(), why))
}

fn validate_local(namespace: &str, resource: Option<&Value>, path: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(other) = resource.map(|r| text(r, "namespace")).filter(|other| other != namespace) {
        let member = "spec.resourceAttributes.namespace";
        errors.push(FieldError::invalid(member, other, "must match metadata.namespace"));
    }
    if let Some(path) = path {
        let value = internal_form(path);
        errors.push(FieldError::invalid("spec.nonResourceAttributes", value, "disallowed on this kind of request"));
    }
    errors
}

fn validate_selector(resource: &Value, member: &str) -> Vec<FieldError> {
    let Some(selector) = attributes(resource, member) else { return Vec::new() };
    let path = Path::new("spec").child("resourceAttributes").child(member);
    let (raw, requirements) = (text(selector, "rawSelector"), items(selector, "requirements"));
    let mut errors = Vec::new();
    if !raw.is_empty() && !requirements.is_empty() {
        let why = "may not specified at the same time as requirements";
        errors.push(FieldError::invalid(path.child("rawSelector"), raw.clone(), why));
    }
    if raw.is_empty() && requirements.is_empty() {
        let why = format!("when {path} is specified, requirements or rawSelector is required");
        errors.push(FieldError::required(path.child("requirements"), why));
    }
    let list = path.child("requirements");
    errors.extend(requirements.iter().enumerate().flat_map(|(i, r)| validate_requirement(r, member, &list.index(i))));
    errors
}

fn validate_requirement(requirement: &Value, member: &str, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if member == "fieldSelector" && text(requirement, "key").is_empty() {
        errors.push(FieldError::required(path.child("key"), "must be specified"));
    }
    let values = items(requirement, "values");
    match text(requirement, "operator").as_str() {
        "In" | "NotIn" if values.is_empty() => {
            let why = "must be specified when `operator` is 'In' or 'NotIn'";
            errors.push(FieldError::required(path.child("values"), why));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(FieldError::forbidden(path.child("values"), why));
        }
        _ => {}
    }
    errors
}

fn rules_review(object: &mut Value, cx: &ReviewContext<'_>) -> Result<(), Status> {
    let namespace = text(spec_of(object), "namespace");
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let found = cx.authority.rules_for(cx.user, &namespace);
    let chosen = |members: [&str; 4], wanted: fn(&PolicyRule) -> bool| -> Vec<Value> {
        found.rules.iter().filter(|r| wanted(r)).map(|r| only(r.to_value(), &members)).collect()
    };
    let resources = chosen(["verbs", "apiGroups", "resources", "resourceNames"], |r| !r.resources.is_empty());
    let paths = chosen(["verbs", "nonResourceURLs", "", ""], |r| !r.non_resource_urls.is_empty());
    let mut status = json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false});
    let error = found.error();
    if !error.is_empty() {
        status["evaluationError"] = error.into();
    }
    // The answer is a new object: the question is not echoed.
    object["metadata"] = json!({});
    object["spec"] = json!({});
    object["status"] = status;
    Ok(())
}

fn only(rule: Value, members: &[&str]) -> Value {
    match rule {
        Value::Object(map) => map.into_iter().filter(|(key, _)| members.contains(&key.as_str())).collect(),
        other => other,
    }
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value, reason = "literals read better by value")]
mod tests {
    use super::super::authn::AuthenticationMode;
    use super::super::rbac::Authorizer;
    use super::super::service_account::TokenIssuer;
    use super::super::testing::{Shelves, user};
    use super::super::token_file::TokenTable;
    use super::*;
    use std::sync::Arc;

    fn ask(kind: &str, who: &UserInfo, spec: Value) -> Result<Value, Status> {
        ask_with(kind, who, json!({"metadata": {}, "spec": spec}))
    }

    fn ask_with(kind: &str, who: &UserInfo, mut object: Value) -> Result<Value, Status> {
        let cluster = Shelves::bootstrapped()
            .with("roles.rbac.authorization.k8s.io", json!({"metadata": {"name": "r", "namespace": "ns"}, "rules": [
                {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "pods/log"]},
                {"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"]}]}))
            .with("rolebindings.rbac.authorization.k8s.io", json!({"metadata": {"name": "rb", "namespace": "ns"},
                "subjects": [{"kind": "User", "name": "u"}, {"kind": "Group", "name": "g"}], "roleRef": {"kind": "Role", "name": "r"}}));
        let tokens = TokenTable::parse("dev-token,dev,2,devs\n").unwrap();
        let authenticator =
            Authenticator::new(AuthenticationMode::Tokens, Arc::new(TokenIssuer::new("https://api"))).tokens(tokens);
        let authorizer = Authorizer::rbac();
        let cx = ReviewContext {
            user: who,
            authenticator: &authenticator,
            authority: authorizer.at(&cluster, 1),
            namespace: "ns",
            now: Timestamp::UNIX_EPOCH,
        };
        review(kind, &mut object, &cx).map(|()| object)
    }

    fn u() -> UserInfo {
        user("u", &["system:authenticated"])
    }

    #[test]
    fn a_token_review_tells_the_user() {
        let good = ask("TokenReview", &u(), json!({"token": "dev-token"})).unwrap();
        assert_eq!(
            good["status"],
            json!({"authenticated": true, "audiences": ["https://api"],
            "user": {"username": "dev", "uid": "2", "groups": ["devs", "system:authenticated"]}})
        );
        let bad = ask("TokenReview", &u(), json!({"token": "wrong"})).unwrap();
        assert_eq!(bad["status"], json!({"user": {}, "error": "invalid bearer token"}));
        let none = ask("TokenReview", &u(), json!({})).unwrap_err();
        assert_eq!(
            (none.code, none.message.as_str(), none.details),
            (400, "token is required for TokenReview in authentication", None)
        );
    }

    #[test]
    fn a_self_subject_review_tells_who_asks() {
        let answer = ask("SelfSubjectReview", &u(), Value::Null).unwrap();
        assert_eq!(answer["metadata"], json!({"creationTimestamp": "1970-01-01T00:00:00Z"}));
        assert_eq!(answer["status"], json!({"userInfo": {"username": "u", "groups": ["system:authenticated"]}}));
    }

    #[test]
    fn an_access_review_tells_whether_and_why() {
        let of = |verb: &str, name: &str| json!({"resourceAttributes": {"verb": verb, "resource": "configmaps", "namespace": "ns", "name": name}});
        let status = |kind: &str, who: &UserInfo, spec: Value| ask(kind, who, spec).unwrap()["status"].clone();
        let allowed =
            json!({"allowed": true, "reason": "RBAC: allowed by RoleBinding \"rb/ns\" of Role \"r\" to User \"u\""});
        assert_eq!(status("SelfSubjectAccessReview", &u(), of("get", "a")), allowed);
        assert_eq!(status("SelfSubjectAccessReview", &u(), of("get", "b")), json!({"allowed": false}));
        let mut for_group = of("get", "a");
        for_group["groups"] = json!(["g"]);
        let reason = "RBAC: allowed by RoleBinding \"rb/ns\" of Role \"r\" to Group \"g\"";
        assert_eq!(status("SubjectAccessReview", &u(), for_group), json!({"allowed": true, "reason": reason}));
        let path = json!({"nonResourceAttributes": {"path": "/healthz", "verb": "get"}});
        assert_eq!(status("SelfSubjectAccessReview", &u(), path)["allowed"], true);
        let master = json!({"user": "x", "groups": ["system:masters"], "resourceAttributes": {"verb": "*", "resource": "*", "group": "*"}});
        assert_eq!(status("SubjectAccessReview", &u(), master), json!({"allowed": true}));
    }

    #[test]
    fn reviews_that_ask_nothing_are_invalid() {
        let resource = json!({"verb": "get", "resource": "pods", "namespace": "other"});
        let path = json!({"path": "/", "verb": "get"});
        let prefix = ".authorization.k8s.io \"\" is invalid: ";
        for (kind, object, message) in [
            (
                "SelfSubjectAccessReview",
                json!({"spec": {}}),
                "spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified",
            ),
            (
                "SelfSubjectAccessReview",
                json!({"spec": {"resourceAttributes": resource, "nonResourceAttributes": path}}),
                "spec.nonResourceAttributes: Invalid value: {\"Path\":\"/\",\"Verb\":\"get\"}: cannot be specified in combination with resourceAttributes",
            ),
            (
                "SelfSubjectAccessReview",
                json!({"metadata": {"name": "x"}, "spec": {"resourceAttributes": resource}}),
                "metadata: Invalid value: {\"name\":\"x\"}: must be empty",
            ),
            (
                "SubjectAccessReview",
                json!({"spec": {"resourceAttributes": resource}}),
                "spec.user: Invalid value: \"\": at least one of user or group must be specified",
            ),
            (
                "LocalSubjectAccessReview",
                json!({"metadata": {"namespace": "ns"}, "spec": {"user": "x", "resourceAttributes": resource}}),
                "spec.resourceAttributes.namespace: Invalid value: \"other\": must match metadata.namespace",
            ),
            (
                "SelfSubjectAccessReview",
                json!({"spec": {"resourceAttributes": {"fieldSelector": {}}}}),
                "spec.resourceAttributes.fieldSelector.requirements: Required value: when spec.resourceAttributes.fieldSelector is specified, requirements or rawSelector is required",
            ),
        ] {
            let refusal = ask_with(kind, &u(), object).unwrap_err();
            assert_eq!((refusal.code, refusal.message), (422, format!("{prefix}{message}")));
        }
    }

    #[test]
    fn a_rules_review_lists_what_one_may_do() {
        let answer = ask("SelfSubjectRulesReview", &u(), json!({"namespace": "ns"})).unwrap();
        assert_eq!((&answer["metadata"], &answer["spec"]), (&json!({}), &json!({})));
        let rules = answer["status"]["resourceRules"].as_array().unwrap();
        for rule in [
            json!({"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"]}),
            json!({"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "pods/log"]}),
            json!({"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]}),
            json!({"verbs": ["create"], "apiGroups": ["authorization.k8s.io"], "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]}),
        ] {
            assert!(rules.contains(&rule), "{rule}");
        }
        assert_eq!(rules.len(), 4);
        assert_eq!(answer["status"]["incomplete"], false);
        assert_eq!(ask("SelfSubjectRulesReview", &u(), json!({})).unwrap_err().message, "no namespace on request");
    }
}
