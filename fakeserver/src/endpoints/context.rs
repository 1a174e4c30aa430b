//! One request on its way through the server: everything the verb handlers share.

use super::negotiate::{self, Accepted, Media, Offer, Transform};
use super::respond;
use crate::auth::RequestAttributes;
use crate::catalog::ResourceInfo;
use crate::handle::Core;
use crate::registry::{Object, Target, Write};
use crate::strategies::UserInfo;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, Limited};
use parking_lot::Mutex;
use rehearsal_apimachinery::codec::protobuf::{self, ProtobufError};
use rehearsal_apimachinery::codec::{json, yaml};
use rehearsal_apimachinery::field::FieldError;
use rehearsal_apimachinery::request_info::{Query, RequestInfo};
use rehearsal_apimachinery::status::Status;
use rehearsal_apimachinery::{Catalog, GroupKind, GroupVersionKind};
use serde_json::Value;
use std::sync::Arc;

/// Longest request body, in bytes (apiserver `MaxRequestBodyBytes`).
pub(crate) const MAX_BODY: usize = 3 * 1024 * 1024;

/// A routed request.
pub(crate) struct RequestContext {
    pub(crate) core: Arc<Core>,
    /// Where it came in.
    pub(crate) port: Arc<crate::serve::Port>,
    pub(crate) request: RequestInfo,
    pub(crate) info: Arc<ResourceInfo>,
    pub(crate) headers: HeaderMap,
    pub(crate) query: Query,
    pub(crate) user: UserInfo,
    /// Taken by the handler that reads it.
    pub(crate) body: Mutex<Option<Body>>,
    pub(crate) warnings: Vec<String>,
    /// The registry as this request sees it, where that is not as it is.
    pub(crate) viewed: Option<crate::registry::Registry>,
}

impl RequestContext {
    /// What reads and watches are answered from.
    pub(crate) fn reader(&self) -> &crate::registry::Registry {
        self.viewed.as_ref().unwrap_or(&self.core.registry)
    }

    /// The object or collection the URL names.
    pub(crate) fn target(&self) -> Target {
        let namespace = if self.info.namespaced { self.request.namespace.clone() } else { String::new() };
        Target {
            info: self.info.clone(),
            namespace,
            name: self.request.name.clone(),
            subresource: self.request.subresource.clone(),
        }
    }

    /// The request as authorization sees it.
    pub(crate) fn attributes(&self) -> RequestAttributes {
        super::router::attributes(&self.user, &self.request, &self.query)
    }

    /// The target of a collection: the name that a field selector lent to authorization is dropped.
    pub(crate) fn collection_target(&self) -> Target {
        Target { name: String::new(), ..self.target() }
    }

    /// Negotiates the answer of an ordinary call.
    pub(crate) fn accept(&self) -> Result<Accepted, Status> {
        negotiate::accept(&self.headers, &self.query, self.offer(false))
    }

    pub(crate) fn offer(&self, stream: bool) -> Offer {
        Offer { protobuf: self.protobuf(), transforms: true, stream, custom: self.info.custom }
    }

    /// Whether this kind has a protobuf form.
    pub(crate) fn protobuf(&self) -> bool {
        !self.info.custom
    }

    /// Reads the whole body.
    pub(crate) async fn read_body(&self) -> Result<Bytes, Status> {
        let taken = self.body.lock().take();
        let Some(body) = taken else { return Ok(Bytes::new()) };
        match Limited::new(body, MAX_BODY).collect().await {
            Ok(collected) => Ok(collected.to_bytes()),
            Err(e) if e.downcast_ref::<http_body_util::LengthLimitError>().is_some() => {
                Err(Status::too_large(MAX_BODY))
            }
            Err(_) => Err(Status::bad_request("unexpected EOF")),
        }
    }

    pub(crate) fn write<'a>(&'a self, manager: &str, dry_run: bool) -> Write<'a> {
        let manager = if manager.is_empty() {
            let agent = self.headers.get(http::header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
            crate::patch::managed_fields::manager_from_user_agent(agent)
        } else {
            manager.to_owned()
        };
        Write { user: &self.user, manager, dry_run, warnings: Vec::new() }
    }

    /// Decodes a body into an object of this resource's kind.
    pub(crate) fn decode(&mut self, bytes: &Bytes, validation: &FieldValidation) -> Result<Value, Status> {
        let media = negotiate::body_media(&self.headers, self.protobuf())?;
        let gvk = self.body_kind();
        let decoded = decode_as(&self.info, &gvk, bytes, media)?;
        self.report(&gvk, decoded.findings, validation)?;
        Ok(decoded.value)
    }

    /// The kind that a body sent here must have.
    fn body_kind(&self) -> GroupVersionKind {
        match self.info.subresource(&self.request.subresource) {
            Some(sub) if sub.kind != self.info.kind => {
                let group = if sub.version.is_empty() { &self.info.group } else { &sub.group };
                let version = if sub.version.is_empty() { &self.info.version } else { &sub.version };
                GroupVersionKind::new(group, version, &sub.kind)
            }
            _ => self.info.gvk(),
        }
    }

    /// Unknown and duplicate fields: an error, warnings, or nothing.
    pub(crate) fn report(
        &mut self,
        gvk: &GroupVersionKind,
        findings: Vec<String>,
        validation: &FieldValidation,
    ) -> Result<(), Status> {
        match validation {
            FieldValidation::Ignore => Ok(()),
            FieldValidation::Warn => {
                self.warnings.extend(findings);
                Ok(())
            }
            FieldValidation::Strict if findings.is_empty() => Ok(()),
            FieldValidation::Strict => Err(Status::bad_request(format!(
                "{} in version {:?} cannot be handled as a {}: strict decoding error: {}",
                gvk.kind,
                gvk.version,
                gvk.kind,
                findings.join(", ")
            ))),
        }
    }

    /// Writes an object in the negotiated form.
    pub(crate) fn object(&self, accepted: &Accepted, code: u16, object: &Object) -> Result<Response<Body>, Status> {
        if accepted.transform == Transform::None {
            return Ok(respond::encoded(&self.headers, accepted, code, object.json(&self.info)));
        }
        let value = object.value(&self.info);
        let compact = respond::transformed(self, accepted, &value)?;
        Ok(respond::encoded(&self.headers, accepted, code, compact))
    }
}

/// The options object in a request body.
pub(crate) fn options_json(bytes: &[u8], media: Media) -> Result<Value, Status> {
    let unreadable =
        |e: json::DecodeError| Status::bad_request(format!("couldn't get version/kind; json parse error: {e}"));
    let (value, _) = match media {
        Media::Json => json::parse(bytes).map_err(unreadable)?,
        Media::Yaml => yaml::parse(bytes).map_err(unreadable)?,
        Media::Protobuf => {
            let value =
                protobuf::decode_object(bytes, Catalog::builtin()).map_err(|e| Status::bad_request(e.to_string()))?;
            (value, Vec::new())
        }
    };
    let (version, kind) = json::interpret(&value).map_err(unreadable)?;
    if !matches!(kind, "" | "DeleteOptions") {
        let version = if version.is_empty() { "meta.k8s.io/v1" } else { version };
        return Err(Status::bad_request(format!(
            "no kind {kind:?} is registered for version {version:?} in scheme \
             \"k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27\""
        )));
    }
    Ok(value)
}

/// The `fieldValidation` option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    /// Say nothing.
    Ignore,
    /// A `Warning` header per finding.
    Warn,
    /// Refuse.
    Strict,
}

impl FieldValidation {
    pub(crate) fn parse(option: &str) -> Self {
        match option {
            "Ignore" => Self::Ignore,
            "Strict" => Self::Strict,
            _ => Self::Warn,
        }
    }
}

/// A 422 about options of a request.
pub(crate) fn invalid_options(kind: &str, errors: &[FieldError]) -> Result<(), Status> {
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid(&GroupKind::new("meta.k8s.io", kind), "", errors)) }
}

/// Decodes bytes into a kind, with the real server's refusals for everything that is not that kind.
pub(crate) fn decode_as(
    info: &ResourceInfo,
    gvk: &GroupVersionKind,
    bytes: &[u8],
    media: Media,
) -> Result<json::Decoded, Status> {
    let (value, mut findings) = match media {
        Media::Json => json::parse(bytes)
            .map_err(|e| unrecognized(gvk, bytes, &format!("couldn't get version/kind; json parse error: {e}")))?,
        Media::Yaml => yaml::parse(bytes).map_err(|e| unrecognized(gvk, bytes, &e.to_string()))?,
        Media::Protobuf => {
            let value =
                protobuf::decode_object_as(bytes, gvk, Catalog::builtin()).map_err(|e| undecodable(gvk, bytes, &e))?;
            (value, Vec::new())
        }
    };
    if info.custom && gvk.kind == info.kind {
        return decode_custom(info, value, findings, bytes);
    }
    check_kind(&given_kind(&value, gvk).map_err(|why| unrecognized(gvk, bytes, &why))?, gvk)?;
    let catalog = Catalog::builtin();
    let Some(root) = catalog.type_of(gvk) else { return Ok(json::Decoded { value, findings }) };
    let fitted = match media {
        // Straight from the text, whose order is the order of the findings.
        Media::Json => json::decode(bytes, &catalog.types, root),
        _ => json::conform(value, &catalog.types, root, &mut findings).map(|value| json::Decoded { value, findings }),
    };
    let mut decoded = fitted.map_err(|e| {
        Status::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: {e}",
            gvk.kind, gvk.version, gvk.kind
        ))
    })?;
    if let Value::Object(map) = &mut decoded.value {
        map.insert("kind".into(), gvk.kind.clone().into());
        map.insert("apiVersion".into(), gvk.api_version().into());
    }
    Ok(decoded)
}

/// Kind and version of a body; what is missing comes from the URL.
///
/// # Errors
/// The real server's text for a body that cannot be asked what it is.
fn given_kind(value: &Value, gvk: &GroupVersionKind) -> Result<GroupVersionKind, String> {
    let (api_version, kind) =
        json::interpret(value).map_err(|e| format!("couldn't get version/kind; json parse error: {e}"))?;
    let gv = match api_version {
        "" => gvk.group_version(),
        text => rehearsal_apimachinery::GroupVersion::parse(text)
            .ok_or_else(|| format!("unexpected GroupVersion string: {text}"))?,
    };
    Ok(gv.kind(if kind.is_empty() { gvk.kind.as_str() } else { kind }))
}

fn check_kind(given: &GroupVersionKind, wanted: &GroupVersionKind) -> Result<(), Status> {
    // Evictions are read in their old version too, which is served no more.
    let old_eviction = (given.kind.as_str(), given.group.as_str(), given.version.as_str());
    if given == wanted || (wanted.kind == "Eviction" && old_eviction == ("Eviction", "policy", "v1beta1")) {
        return Ok(());
    }
    let intro = format!("{} in version {:?} cannot be handled as a {}", given.kind, given.version, wanted.kind);
    let catalog = Catalog::builtin();
    let list_of = given.kind.strip_suffix("List").is_some_and(|k| catalog.knows_kind(&given.group_version().kind(k)));
    if !catalog.knows_kind(given) && !list_of {
        return Err(Status::bad_request(format!(
            "{intro}: no kind {:?} is registered for version {:?} in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
            given.kind,
            given.group_version().to_string()
        )));
    }
    if given.kind == wanted.kind {
        return Err(Status::bad_request(format!(
            "the API version in the data ({}) does not match the expected API version ({})",
            given.group_version(),
            wanted.group_version()
        )));
    }
    Err(Status::bad_request(format!(
        "{intro}: converting ({}.{}) to ({}.{}): unknown conversion",
        given.version,
        given.kind,
        internal_package(&wanted.group),
        wanted.kind
    )))
}

/// The Go package of a group's internal types: the first label of the group, `core` for the core group.
fn internal_package(group: &str) -> &str {
    match group.split('.').next().unwrap_or_default() {
        "" => "core",
        "rbac" => "rbac",
        first => first,
    }
}

/// Custom resources: kind and apiVersion are required and must be the URL's.
fn decode_custom(
    info: &ResourceInfo,
    value: Value,
    mut findings: Vec<String>,
    bytes: &[u8],
) -> Result<json::Decoded, Status> {
    let wanted = info.gvk();
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    if !value.is_object() || text("kind").is_empty() {
        let (kind, whole) = (&wanted.kind, String::from_utf8_lossy(bytes));
        return Err(Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): Object 'Kind' is missing in '{whole}' ({})",
            beginning(bytes)
        )));
    }
    if text("apiVersion") != wanted.api_version() && text("kind") == wanted.kind {
        return Err(Status::bad_request(format!(
            "the API version in the data ({}) does not match the expected API version ({})",
            text("apiVersion"),
            wanted.api_version()
        )));
    }
    if text("kind") != wanted.kind {
        let error = FieldError::invalid("kind", text("kind"), format!("must be {}", wanted.kind));
        let name = rehearsal_apimachinery::ObjectMeta::name(&value).to_owned();
        let gk = GroupKind::new(&wanted.group, text("kind"));
        return Err(Status::invalid(&gk, &name, &[error]));
    }
    let value = crate::schema::custom::prune(info, value, &mut findings)?;
    Ok(json::Decoded { value, findings })
}

/// 400 for a protobuf body: by its kind where the envelope could be read.
fn undecodable(gvk: &GroupVersionKind, bytes: &[u8], why: &ProtobufError) -> Status {
    match protobuf::decode_envelope(bytes).ok().and_then(|unknown| unknown.gvk(Some(gvk)).ok()) {
        Some(given) => Status::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: {why}",
            given.kind, given.version, gvk.kind
        )),
        None => unrecognized(gvk, bytes, &why.to_string()),
    }
}

/// 400 for a body that is no object at all; shows the first 30 bytes, as text where it starts like JSON, else as hex.
fn unrecognized(gvk: &GroupVersionKind, bytes: &[u8], why: &str) -> Status {
    Status::bad_request(format!(
        "the object provided is unrecognized (must be of type {}): {why} ({})",
        gvk.kind,
        beginning(bytes)
    ))
}

fn beginning(bytes: &[u8]) -> String {
    const SHOWN: usize = 30;
    let cut = &bytes[..bytes.len().min(SHOWN)];
    let tail = if bytes.len() > SHOWN { " ..." } else { "" };
    match bytes.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{tail}", String::from_utf8_lossy(cut)),
        Some(_) => format!("{}{tail}", cut.iter().map(|b| format!("{b:02x}")).collect::<String>()),
    }
}
