//! Answering TokenRequests: checks, claims and the life of a token.
//!
//! Counterpart: `registry/core/serviceaccount/storage/token.go` and `token.Claims`. Checking the tokens is in
//! `service_account.rs`.

use super::policy::{strings, text};
use super::service_account::{TokenIssuer, username};
use crate::clock::rfc3339;
use crate::strategies::Peek;
use jiff::{SignedDuration, Timestamp};
use rehearsal_apimachinery::field::{FieldError, go_quote};
use rehearsal_apimachinery::gvk::{GroupKind, GroupResource, GroupVersion};
use rehearsal_apimachinery::meta::{ObjectMeta, ObjectMetaMut};
use rehearsal_apimachinery::status::Status;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Shortest life of a token, in seconds.
const MIN_SECONDS: i64 = 10 * 60;
/// Longest life of a token, in seconds.
const MAX_SECONDS: i64 = 1 << 32;
/// Life of a token when the request names none, in seconds.
const DEFAULT_SECONDS: i64 = 3600;
/// The life that kubelets ask for; such tokens really live a year and warn after this many seconds.
const WARN_ONLY_SECONDS: i64 = 60 * 60 + 7;
/// One year, in seconds.
const EXTENDED_SECONDS: i64 = 24 * 365 * 60 * 60;
/// A TokenRequest that came in by `POST .../serviceaccounts/<name>/token`.
pub struct TokenRequest<'a> {
    /// Namespace of the URL.
    pub namespace: &'a str,
    /// Service account of the URL.
    pub name: &'a str,
    /// The posted object; becomes the answer.
    pub object: Value,
    /// A fresh UUID for the `jti` claim.
    pub jti: &'a str,
    /// The current time.
    pub now: Timestamp,
}

impl TokenIssuer {
    /// Answers a TokenRequest.
    ///
    /// # Errors
    /// 404 for a missing account or bound object, 409 for another uid, 422 and 400 for a bad request.
    pub fn issue_token(&self, request: TokenRequest<'_>, peek: &dyn Peek) -> Result<Value, Status> {
        let TokenRequest { namespace, name, mut object, jti, now } = request;
        must_match(&object, "name", name, name, "must match the service account name if specified")?;
        must_match(&object, "namespace", namespace, name, "must match the service account namespace if specified")?;
        let account = find(peek, "serviceaccounts", namespace, name)?;
        fill(&mut object, &account, self.audiences(), now);
        let seconds = validate(&object)?;
        let bound = Bound::of(&object, &account, peek)?;
        let claims = self.claims(&account, &strings(object.pointer("/spec/audiences")), seconds, bound, jti, now);
        let token = self.signer.sign(&claims);
        let token = token.ok_or_else(|| Status::bare500("failed to generate token: no randomness"))?;
        let expires = now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
        object["status"] = json!({"token": token.expose(), "expirationTimestamp": rfc3339(expires)});
        Ok(object)
    }

    fn claims(
        &self,
        account: &Value,
        audiences: &[String],
        seconds: i64,
        bound: Bound,
        jti: &str,
        now: Timestamp,
    ) -> Value {
        let for_server = audiences.iter().all(|a| self.audiences().contains(a));
        let extended = bound.is_pod() && seconds == WARN_ONLY_SECONDS && for_server;
        let (now, mut kubernetes) = (now.as_second(), bound.claims);
        kubernetes.insert("namespace".into(), account.namespace().into());
        kubernetes.insert("serviceaccount".into(), reference(account));
        if extended {
            kubernetes.insert("warnafter".into(), (now + seconds).into());
        }
        let expires = now + if extended { EXTENDED_SECONDS } else { seconds };
        json!({
            "aud": audiences, "exp": expires, "iat": now, "iss": self.issuer, "jti": jti,
            "kubernetes.io": kubernetes, "nbf": now, "sub": username(account.namespace(), account.name()),
        })
    }
}

/// A named member of the metadata, when given, must be that of the URL.
fn must_match(object: &Value, member: &str, wanted: &str, name: &str, why: &str) -> Result<(), Status> {
    match object.meta_str(member) {
        given if given.is_empty() || given == wanted => Ok(()),
        given => {
            let error = FieldError::invalid(format!("metadata.{member}"), given, why);
            Err(Status::invalid(&token_request_kind(), name, &[error]))
        }
    }
}

fn token_request_kind() -> GroupKind {
    GroupKind::new("authentication.k8s.io", "TokenRequest")
}

/// Metadata from the account, and what the request leaves open.
fn fill(object: &mut Value, account: &Value, audiences: &[String], now: Timestamp) {
    object.set_meta("name", account.name());
    object.set_meta("namespace", account.namespace());
    object.set_meta("uid", account.uid());
    object.set_meta("creationTimestamp", rfc3339(now));
    let spec = child(object, "spec");
    if spec.get("audiences").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        spec.insert("audiences".into(), json!(audiences));
    }
    if spec.get("expirationSeconds").is_none_or(Value::is_null) {
        spec.insert("expirationSeconds".into(), DEFAULT_SECONDS.into());
    }
    spec.entry("boundObjectRef").or_insert(Value::Null);
}

fn child<'a>(object: &'a mut Value, member: &str) -> &'a mut Map<String, Value> {
    if !object.is_object() {
        *object = json!({});
    }
    match object {
        Value::Object(map) => rehearsal_apimachinery::meta::child_map(map, member),
        _ => unreachable!("made an object above"),
    }
}

/// Checks the asked life; returns it in seconds.
fn validate(object: &Value) -> Result<i64, Status> {
    let seconds = object.pointer("/spec/expirationSeconds").and_then(Value::as_i64).unwrap_or_default();
    let why = match seconds {
        ..MIN_SECONDS => "may not specify a duration less than 10 minutes",
        MIN_SECONDS..=MAX_SECONDS => return Ok(seconds),
        _ => "may not specify a duration larger than 2^32 seconds",
    };
    Err(Status::invalid(&token_request_kind(), "", &[FieldError::invalid("spec.expirationSeconds", seconds, why)]))
}

fn find(peek: &dyn Peek, resource: &str, namespace: &str, name: &str) -> Result<Arc<Value>, Status> {
    peek.get(resource, namespace, name).ok_or_else(|| Status::not_found(&GroupResource::new("", resource), name))
}

fn reference(object: &Value) -> Value {
    json!({"name": object.name(), "uid": object.uid()})
}

/// The object that a token is bound to, as private claims.
#[derive(Default)]
struct Bound {
    claims: Map<String, Value>,
}

impl Bound {
    fn of(request: &Value, account: &Value, peek: &dyn Peek) -> Result<Self, Status> {
        let Some(wanted) = request.pointer("/spec/boundObjectRef").filter(|r| !r.is_null()) else {
            return Ok(Self::default());
        };
        let (kind, name) = (text(wanted, "kind"), text(wanted, "name"));
        let version = GroupVersion::parse(&text(wanted, "apiVersion")).unwrap_or_default();
        let (claim, resource, namespace) = match (version.group.as_str(), kind.as_str()) {
            ("", "Pod") => ("pod", "pods", account.namespace()),
            ("", "Secret") => ("secret", "secrets", account.namespace()),
            ("", "Node") => ("node", "nodes", ""),
            _ => {
                return Err(Status::bad_request(format!("cannot bind token to object of type {}", version.kind(kind))));
            }
        };
        let object = find(peek, resource, namespace, &name)?;
        let mut bound = Self::default();
        if claim == "pod" {
            bound.add_node_of(&object, account, peek)?;
        }
        check_uid(wanted, &object, &version.group, &kind)?;
        bound.claims.insert(claim.into(), reference(&object));
        Ok(bound)
    }

    fn is_pod(&self) -> bool {
        self.claims.contains_key("pod")
    }

    /// The pod must run as the account; its node is named in the token, with the uid if the node is known.
    fn add_node_of(&mut self, pod: &Value, account: &Value, peek: &dyn Peek) -> Result<(), Status> {
        let member = |name: &str| pod.pointer(name).and_then(Value::as_str).unwrap_or_default();
        if member("/spec/serviceAccountName") != account.name() {
            return Err(Status::bad_request(format!(
                "cannot bind token for serviceaccount {} to pod running with different serviceaccount name.",
                go_quote(account.name())
            )));
        }
        let node = member("/spec/nodeName");
        if !node.is_empty() {
            let claim = peek.get("nodes", "", node).map_or_else(|| json!({"name": node}), |node| reference(&node));
            self.claims.insert("node".into(), claim);
        }
        Ok(())
    }
}

fn check_uid(wanted: &Value, object: &Value, group: &str, kind: &str) -> Result<(), Status> {
    let uid = text(wanted, "uid");
    if uid.is_empty() || uid == object.uid() {
        return Ok(());
    }
    let why = format!(
        "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
    );
    Err(Status::conflict(&GroupResource::new(group, kind), object.name(), why))
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value, reason = "literals read better by value")]
mod tests {
    use super::super::jwt::peek_claims;
    use super::super::secret::Token;
    use super::super::service_account::{LEEWAY, base64_of};
    use super::super::testing::Shelves;
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_second(1_700_000_000).unwrap()
    }

    fn meta(name: &str, uid: &str) -> Value {
        json!({"metadata": {"name": name, "namespace": "ns", "uid": uid}})
    }

    fn cluster() -> Shelves {
        let mut pod = meta("p", "pu");
        pod["spec"] = json!({"serviceAccountName": "robot", "nodeName": "n"});
        Shelves::default()
            .with("serviceaccounts", meta("robot", "u1"))
            .with("secrets", meta("s", "su"))
            .with("pods", pod)
            .with("nodes", json!({"metadata": {"name": "n", "uid": "nu"}}))
    }

    fn issue(issuer: &TokenIssuer, name: &str, spec: Value) -> Result<Value, Status> {
        let object = json!({"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": spec});
        issuer.issue_token(TokenRequest { namespace: "ns", name, object, jti: "j", now: now() }, &cluster())
    }

    fn token_of(answer: &Value) -> Token {
        Token::new(answer["status"]["token"].as_str().unwrap())
    }

    #[test]
    fn an_answer_takes_its_metadata_from_the_account() {
        let answer = issue(&TokenIssuer::new("https://api"), "robot", json!({})).unwrap();
        assert_eq!(
            answer["metadata"],
            json!({"name": "robot", "namespace": "ns", "uid": "u1", "creationTimestamp": "2023-11-14T22:13:20Z"})
        );
        assert_eq!(
            answer["spec"],
            json!({"audiences": ["https://api"], "expirationSeconds": 3600, "boundObjectRef": null})
        );
        assert_eq!(answer["status"]["expirationTimestamp"], "2023-11-14T23:13:20Z");
    }

    #[test]
    fn a_token_lives_as_long_as_its_account() {
        let issuer = TokenIssuer::new("https://api");
        let token = token_of(&issue(&issuer, "robot", json!({})).unwrap());
        let check = |shelves: &Shelves, now| issuer.authenticate(&token, issuer.audiences(), shelves, now);
        let (user, audiences) = check(&cluster(), now()).unwrap().unwrap();
        assert_eq!((user.name.as_str(), user.uid.as_str()), ("system:serviceaccount:ns:robot", "u1"));
        assert_eq!(user.extra["authentication.kubernetes.io/credential-id"], ["JTI=j"]);
        assert_eq!(audiences, ["https://api"]);
        let late = now() + SignedDuration::from_secs(3600 + LEEWAY + 1);
        assert_eq!(check(&cluster(), late).unwrap_err(), "service account token has expired");
        assert!(check(&cluster().without("serviceaccounts"), now()).is_err());
        let again = cluster().without("serviceaccounts").with("serviceaccounts", meta("robot", "u2"));
        assert_eq!(check(&again, now()).unwrap_err(), "service account UID (u2) does not match claim (u1)");
    }

    #[test]
    fn a_token_is_for_its_audiences_only() {
        let issuer = TokenIssuer::new("https://api");
        let token = token_of(&issue(&issuer, "robot", json!({"audiences": ["vault"]})).unwrap());
        let error = issuer.authenticate(&token, issuer.audiences(), &cluster(), now()).unwrap_err();
        assert_eq!(error, "token audiences [\"vault\"] is invalid for the target audiences [\"https://api\"]");
        assert!(issuer.authenticate(&token, &["vault".into()], &cluster(), now()).is_ok());
    }

    #[test]
    fn a_token_bound_to_a_pod_names_it_and_dies_with_it() {
        let issuer = TokenIssuer::new("https://api");
        let bound = json!({"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "pu"}, "expirationSeconds": 3607});
        let answer = issue(&issuer, "robot", bound).unwrap();
        assert_eq!(answer["status"]["expirationTimestamp"], "2023-11-14T23:13:27Z");
        let token = token_of(&answer);
        let claims = peek_claims(token.expose()).unwrap();
        assert_eq!(claims["exp"], 1_700_000_000 + EXTENDED_SECONDS);
        assert_eq!(claims["kubernetes.io"]["warnafter"], 1_700_003_607);
        let (user, _) = issuer.authenticate(&token, issuer.audiences(), &cluster(), now()).unwrap().unwrap();
        let extra = |key: &str| user.extra[&format!("authentication.kubernetes.io/{key}")].join("");
        assert_eq!(
            (extra("pod-name"), extra("pod-uid"), extra("node-name"), extra("node-uid")),
            ("p".into(), "pu".into(), "n".into(), "nu".into())
        );
        let gone = issuer.authenticate(&token, issuer.audiences(), &cluster().without("pods"), now());
        assert_eq!(gone.unwrap_err(), "service account token has been invalidated");
    }

    #[test]
    fn bad_requests_are_refused_in_the_servers_words() {
        let issuer = TokenIssuer::new("https://api");
        let bind = |kind: &str, name: &str, uid: &str| json!({"boundObjectRef": {"apiVersion": "v1", "kind": kind, "name": name, "uid": uid}});
        for (name, spec, code, message) in [
            (
                "robot",
                json!({"expirationSeconds": 60}),
                422,
                "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes",
            ),
            (
                "robot",
                json!({"expirationSeconds": 4_294_967_297_i64}),
                422,
                "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds",
            ),
            ("nosuch", json!({}), 404, "serviceaccounts \"nosuch\" not found"),
            ("robot", bind("Pod", "x", ""), 404, "pods \"x\" not found"),
            ("robot", bind("ConfigMap", "x", ""), 400, "cannot bind token to object of type /v1, Kind=ConfigMap"),
            (
                "robot",
                bind("Secret", "s", "no"),
                409,
                "Operation cannot be fulfilled on Secret \"s\": the UID in the bound object reference (no) does not match the UID in record. The object might have been deleted and then recreated",
            ),
        ] {
            let refusal = issue(&issuer, name, spec).unwrap_err();
            assert_eq!((refusal.code, refusal.message.as_str()), (code, message));
        }
    }

    #[test]
    fn a_token_from_a_secret_must_be_the_one_in_it() {
        let issuer = TokenIssuer::new("https://api");
        let token = issuer.legacy_token(&meta("robot", "u1"), "t").unwrap();
        let mut secret = meta("t", "tu");
        assert!(
            issuer.authenticate(&token, issuer.audiences(), &cluster().with("secrets", secret.clone()), now()).is_err()
        );
        secret["data"] = json!({"token": base64_of(&token)});
        let (user, _) = issuer
            .authenticate(&token, issuer.audiences(), &cluster().with("secrets", secret), now())
            .unwrap()
            .unwrap();
        assert_eq!(user.groups, ["system:serviceaccounts", "system:serviceaccounts:ns"]);
    }

    #[test]
    fn foreign_tokens_are_left_to_others() {
        let issuer = TokenIssuer::new("https://api");
        let foreign = token_of(&issue(&TokenIssuer::new("https://other"), "robot", json!({})).unwrap());
        assert_eq!(issuer.authenticate(&foreign, issuer.audiences(), &cluster(), now()), Ok(None));
        assert_eq!(issuer.authenticate(&Token::new("opaque"), issuer.audiences(), &cluster(), now()), Ok(None));
    }
}
