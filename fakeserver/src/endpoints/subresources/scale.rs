//! The `scale` subresource: any scalable object seen as autoscaling/v1 Scale.

use super::scale_owners::ScaleOwners;
use crate::endpoints::context::{FieldValidation, RequestContext, decode_as, invalid_options};
use crate::endpoints::negotiate::{Accepted, Media, Transform};
use crate::endpoints::respond;
use crate::endpoints::update::check_name;
use crate::patch::managed_fields;
use crate::registry::{Change, Mode, Object, Target, check_uid};
use axum::body::Body;
use bytes::Bytes;
use http::Response;
use http::header::CONTENT_TYPE;
use parking_lot::Mutex;
use rehearsal_apimachinery::codec::{json, yaml};
use rehearsal_apimachinery::field::FieldError;
use rehearsal_apimachinery::options::{self, PatchOptions, UpdateOptions};
use rehearsal_apimachinery::selector::LabelSelector;
use rehearsal_apimachinery::status::{Status, StatusDetails, StatusReason};
use rehearsal_apimachinery::{Catalog, GroupKind, GroupVersionKind, ObjectMeta};
use serde_json::{Value, json};

/// Where replicas and selector live in an object, as JSON pointers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScalePaths {
    /// Desired replicas.
    pub spec_replicas: String,
    /// Observed replicas.
    pub status_replicas: String,
    /// A selector in string form within the object; `None`: made from `spec.selector`.
    pub selector: Option<String>,
    /// Stated by a CRD: replicas must be there, and a selector is never made up.
    pub custom: bool,
}

impl Default for ScalePaths {
    fn default() -> Self {
        Self {
            spec_replicas: "/spec/replicas".into(),
            status_replicas: "/status/replicas".into(),
            selector: None,
            custom: false,
        }
    }
}

const APPLY: &str = "application/apply-patch+yaml";

/// The kind that every scale subresource shows.
pub(super) fn kind() -> GroupVersionKind {
    GroupVersionKind::new("autoscaling", "v1", "Scale")
}

fn paths(cx: &RequestContext) -> ScalePaths {
    cx.info.rules.as_ref().and_then(|r| r.scale.clone()).unwrap_or_default()
}

pub(super) async fn get(cx: &RequestContext) -> Result<Response<Body>, Status> {
    let accepted = cx.accept()?;
    let object = cx.core.registry.get(&cx.target(), "").await?;
    answer(cx, &accepted, &object)
}

pub(super) async fn update(cx: &mut RequestContext) -> Result<Response<Body>, Status> {
    let accepted = cx.accept()?;
    let media = crate::endpoints::negotiate::body_media(&cx.headers, cx.protobuf())?;
    let bytes = cx.read_body().await?;
    let options = UpdateOptions::from_query(&cx.query);
    invalid_options("UpdateOptions", &options::validate_update_options(&options))?;
    let mut scale = decode(cx, &bytes, media, &options.field_validation)?;
    cx.core.registry.check_namespace(&cx.target(), &mut scale)?;
    check_name(&scale, &cx.request.name)?;
    let dry_run = options.is_dry_run();
    let (target, paths) = (cx.target(), paths(cx));
    let owners = ScaleOwners::new(cx, &options.field_manager, &target, &paths.spec_replicas);
    let change = |live: Option<&Value>| {
        let Some(live) = live else { return Err(target.not_found()) };
        let mut old = scale_of(live, &paths, false)?;
        owners.show(live, &mut old);
        check_uid(&target, scale.uid(), live)?;
        let mut new = scale.clone();
        owners.update(&old, &mut new);
        rescale(&target, &paths, &owners, live, &new)
    };
    write(cx, &accepted, &options.field_manager, dry_run, &change).await
}

pub(super) async fn patch(cx: &mut RequestContext) -> Result<Response<Body>, Status> {
    let content = cx.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let content = content.split(';').next().unwrap_or_default().trim().to_owned();
    let accepted = cx.accept()?;
    let bytes = cx.read_body().await?;
    let options = PatchOptions::from_query(&cx.query);
    invalid_options("PatchOptions", &options::validate_patch_options(&options, &content))?;
    let dry_run = options.is_dry_run();
    let (target, paths) = (cx.target(), paths(cx));
    let owners = ScaleOwners::new(cx, &options.field_manager, &target, &paths.spec_replicas);
    let registry = cx.core.registry.clone();
    let findings = Mutex::new(Vec::new());
    let change = |live: Option<&Value>| {
        let Some(live) = live else { return Err(target.not_found()) };
        let mut old = scale_of(live, &paths, false)?;
        owners.show(live, &mut old);
        let mut new = if content == APPLY {
            let intent = intent(&bytes, &target.name)?;
            let Some(new) = owners.apply(&old, &intent, options.force.unwrap_or(false))? else {
                return Ok(Change::Nothing);
            };
            new
        } else {
            old.clone()
        };
        let found = patch_scale(&mut new, &content, &bytes)?;
        *findings.lock() = report(found, &new, &options.field_validation)?;
        check_name(&new, &target.name)?;
        registry.check_namespace(&target, &mut new)?;
        if content != APPLY {
            owners.update(&old, &mut new);
        }
        rescale(&target, &paths, &owners, live, &new)
    };
    let response = write(cx, &accepted, &options.field_manager, dry_run, &change).await;
    cx.warnings.extend(findings.into_inner());
    response
}

/// The configuration of a server-side apply.
fn intent(bytes: &Bytes, name: &str) -> Result<Value, Status> {
    let (intent, _) = yaml::parse_map(bytes).map_err(|e| Status::bad_request(format!("error decoding YAML: {e}")))?;
    managed_fields::check_kind(&intent, &kind())?;
    check_name(&intent, name)?;
    Ok(intent)
}

/// What is left of the findings to warn of; strict validation refuses instead.
fn report(findings: Vec<String>, scale: &Value, validation: &str) -> Result<Vec<String>, Status> {
    match FieldValidation::parse(validation) {
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Strict if !findings.is_empty() => {
            let shown = rehearsal_apimachinery::field::go_json(scale);
            let why = format!("strict decoding error: {}", findings.join(", "));
            Err(Status::invalid(&GroupKind::default(), "", &[FieldError::invalid("patch", shown, why)]))
        }
        _ => Ok(findings),
    }
}

fn patch_scale(scale: &mut Value, content: &str, bytes: &Bytes) -> Result<Vec<String>, Status> {
    use crate::patch;
    let catalog = Catalog::builtin();
    let root = catalog.type_of(&kind()).ok_or_else(|| Status::internal_error("no type for Scale"))?;
    let mut findings = match content {
        "application/json-patch+json" => patch::json::apply(scale, bytes)?,
        "application/merge-patch+json" => patch::merge::apply(scale, bytes)?,
        APPLY => Vec::new(),
        "application/strategic-merge-patch+json" => patch::strategic::apply(scale, bytes, &catalog.types, root)?,
        _ => {
            return Err(Status::failure(415, StatusReason::UnsupportedMediaType, "415: Unsupported Media Type")
                .details(StatusDetails::default()));
        }
    };
    let shown = rehearsal_apimachinery::field::go_json(scale);
    *scale = json::conform(scale.take(), &catalog.types, root, &mut findings).map_err(|e| {
        Status::invalid(&GroupKind::default(), "", &[FieldError::invalid("patch", shown, e.to_string())])
    })?;
    Ok(findings)
}

fn decode(cx: &mut RequestContext, bytes: &Bytes, media: Media, validation: &str) -> Result<Value, Status> {
    let gvk = kind();
    let decoded = decode_as(&cx.info, &gvk, bytes, media)?;
    cx.report(&gvk, decoded.findings, &FieldValidation::parse(validation))?;
    Ok(decoded.value)
}

async fn write(
    cx: &mut RequestContext,
    accepted: &Accepted,
    manager: &str,
    dry_run: bool,
    change: &crate::registry::ChangeFn<'_>,
) -> Result<Response<Body>, Status> {
    let target = cx.target();
    let mut write = cx.write(manager, dry_run);
    let outcome = cx.core.registry.update(&target, Mode::Apply, &mut write, change).await;
    let warnings = write.warnings;
    cx.warnings.extend(warnings);
    let (object, _) = outcome?;
    cx.core.after_write(&cx.info).await;
    answer(cx, accepted, &object)
}

/// The live object with the replicas of the Scale.
fn rescale(
    target: &Target,
    paths: &ScalePaths,
    owners: &ScaleOwners,
    live: &Value,
    scale: &Value,
) -> Result<Change, Status> {
    let replicas = scale.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(0);
    if replicas < 0 {
        let error = FieldError::invalid("spec.replicas", replicas, "must be greater than or equal to 0");
        return Err(Status::invalid(&kind().group_kind(), &target.name, &[error]));
    }
    let version = scale.resource_version();
    if !version.is_empty() && version != live.resource_version() {
        return Err(Status::modified(&target.group_resource(), &target.name));
    }
    let mut new = live.clone();
    set_pointer(&mut new, &paths.spec_replicas, json!(replicas));
    owners.carry_back(scale, &mut new);
    Ok(Change::To(new))
}

fn set_pointer(object: &mut Value, pointer: &str, value: Value) {
    let mut at = object;
    for part in pointer.split('/').skip(1) {
        if !at.is_object() {
            *at = json!({});
        }
        let Value::Object(map) = at else { return };
        at = map.entry(part.to_owned()).or_insert(Value::Null);
    }
    *at = value;
}

/// The object seen as a Scale. A custom resource without replicas can be scaled but not be read as a Scale.
fn scale_of(object: &Value, paths: &ScalePaths, read: bool) -> Result<Value, Status> {
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64);
    let spec = match number(&paths.spec_replicas) {
        Some(n) => n,
        None if !paths.custom || !read => 0,
        None => {
            let path = paths.spec_replicas.replace('/', ".");
            return Err(Status::internal_error(format!("the spec replicas field {path:?} does not exist")));
        }
    };
    let gvk = kind();
    let mut scale = json!({
        "kind": gvk.kind, "apiVersion": gvk.api_version(),
        "metadata": {
            "name": object.name(), "namespace": object.namespace(), "uid": object.uid(),
            "resourceVersion": object.resource_version(), "creationTimestamp": object.meta_str("creationTimestamp"),
        },
        "spec": {"replicas": spec},
        "status": {"replicas": number(&paths.status_replicas).unwrap_or(0), "selector": selector(object, paths)},
    });
    let catalog = Catalog::builtin();
    if let Some(root) = catalog.type_of(&gvk) {
        json::normalize(&mut scale, &catalog.types, root);
    }
    Ok(scale)
}

fn selector(object: &Value, paths: &ScalePaths) -> String {
    if let Some(pointer) = &paths.selector {
        return object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    }
    if paths.custom {
        return String::new();
    }
    let Some(spec) = object.pointer("/spec/selector") else { return String::new() };
    let is_selector = spec.get("matchLabels").is_some() || spec.get("matchExpressions").is_some();
    let wrapped = if is_selector { spec.clone() } else { json!({"matchLabels": spec}) };
    LabelSelector::from_object(&wrapped).map(|s| s.to_string()).unwrap_or_default()
}

fn answer(cx: &RequestContext, accepted: &Accepted, object: &Object) -> Result<Response<Body>, Status> {
    let scale = scale_of(&object.value(&cx.info), &paths(cx), true)?;
    let plain = Accepted { transform: Transform::None, ..accepted.clone() };
    let catalog = Catalog::builtin();
    let types = catalog.type_of(&kind()).map(|root| (&*catalog.types, root));
    Ok(respond::encoded(&cx.headers, &plain, 200, Bytes::from(json::encode(&scale, types))))
}
