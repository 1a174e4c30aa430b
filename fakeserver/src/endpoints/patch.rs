//! PATCH: JSON patch, merge patch, strategic merge patch, server-side apply.
//!
//! Counterpart: apiserver `handlers/patch.go`. The patch is applied again to fresh state after a lost race.

use super::context::{FieldValidation, RequestContext, invalid_options};
use super::update::check_name;
use crate::patch::{self, managed_fields};
use crate::registry::{Change, Mode, Target};
use axum::body::Body;
use bytes::Bytes;
use http::Response;
use http::header::CONTENT_TYPE;
use parking_lot::Mutex;
use rehearsal_apimachinery::catalog::TypeId;
use rehearsal_apimachinery::codec::{json, yaml};
use rehearsal_apimachinery::field::{FieldError, go_json};
use rehearsal_apimachinery::options::{self, PatchOptions};
use rehearsal_apimachinery::status::{Status, StatusDetails, StatusReason};
use rehearsal_apimachinery::{GroupKind, ObjectMeta};
use serde_json::Value;

/// The patch types, by content type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatchType {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl PatchType {
    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json-patch+json",
            Self::Merge => "application/merge-patch+json",
            Self::Strategic => "application/strategic-merge-patch+json",
            Self::Apply => "application/apply-patch+yaml",
        }
    }

    fn of(cx: &RequestContext) -> Result<Self, Status> {
        let header = cx.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        match header.split(';').next().unwrap_or_default().trim() {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" if !cx.info.custom => Ok(Self::Strategic),
            "application/apply-patch+yaml" => Ok(Self::Apply),
            _ if cx.info.custom => Err(Status::failure(
                415,
                StatusReason::UnsupportedMediaType,
                "the body of the request was in an unknown format - accepted media types include: \
                 application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
            )),
            _ => Err(Status::failure(415, StatusReason::UnsupportedMediaType, "415: Unsupported Media Type")
                .details(StatusDetails::default())),
        }
    }
}

/// Patches the object.
pub(crate) async fn patch(cx: &mut RequestContext) -> Result<Response<Body>, Status> {
    let kind = PatchType::of(cx)?;
    let accepted = cx.accept()?;
    let bytes = cx.read_body().await?;
    let options = PatchOptions::from_query(&cx.query);
    invalid_options("PatchOptions", &options::validate_patch_options(&options, kind.content_type()))?;
    let mode = if kind == PatchType::Apply { Mode::Apply } else { Mode::Patch };
    let target = cx.target();
    let findings = Mutex::new(Vec::new());
    let outcome = {
        let work = Patch { cx, target: &target, kind, bytes: &bytes, options: &options, findings: &findings };
        let change = |live: Option<&Value>| work.apply(live);
        let mut write = cx.write(&options.field_manager, options.is_dry_run());
        let outcome = cx.core.registry.update(&target, mode, &mut write, &change).await;
        (outcome, write.warnings)
    };
    cx.warnings.extend(findings.into_inner());
    cx.warnings.extend(outcome.1);
    let (object, created) = outcome.0?;
    cx.core.after_write(&cx.info).await;
    cx.object(&accepted, if created { 201 } else { 200 }, &object)
}

struct Patch<'a> {
    cx: &'a RequestContext,
    target: &'a Target,
    kind: PatchType,
    bytes: &'a Bytes,
    options: &'a PatchOptions,
    findings: &'a Mutex<Vec<String>>,
}

impl Patch<'_> {
    fn apply(&self, live: Option<&Value>) -> Result<Change, Status> {
        if self.kind == PatchType::Apply {
            return self.server_side(live);
        }
        let Some(live) = live else { return Err(self.target.not_found()) };
        let mut doc = live.clone();
        let mut findings = match (self.kind, self.target.info.root) {
            (PatchType::Json, _) => patch::json::apply(&mut doc, self.bytes)?,
            (PatchType::Strategic, Some(root)) => {
                patch::strategic::apply(&mut doc, self.bytes, &self.target.info.types, root)?
            }
            _ => patch::merge::apply(&mut doc, self.bytes)?,
        };
        let new = self.typed(doc, &mut findings)?;
        check_name(&new, &self.target.name)?;
        self.cx.core.check_escalation(self.cx, &new)?;
        Ok(Change::To(new))
    }

    /// The patched document must still be an object of the kind.
    fn typed(&self, doc: Value, findings: &mut Vec<String>) -> Result<Value, Status> {
        let info = &self.target.info;
        if info.custom {
            let new = crate::schema::custom::prune(info, doc, findings)?;
            self.report(std::mem::take(findings), &go_json(&new))?;
            return Ok(new);
        }
        let Some(own) = info.root else { return Ok(doc) };
        if self.kind == PatchType::Strategic {
            return self.converted(doc, own, findings);
        }
        // The document is decoded as what it says it is, which a patch may have changed.
        let catalog = rehearsal_apimachinery::Catalog::builtin();
        let gvk = kind_of(&doc, info);
        let named = catalog.type_of(&gvk);
        let shown = go_json(&doc);
        let version = gvk.group_version();
        let Some(root) = named else {
            let text = format!(
                "no kind {:?} is registered for version {:?} in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
                gvk.kind,
                version.to_string()
            );
            return Err(invalid_patch(&shown, &text));
        };
        let new = json::conform(doc, &info.types, root, findings).map_err(|e| invalid_patch(&shown, &e.to_string()))?;
        self.report(std::mem::take(findings), &shown)?;
        if root != own {
            let text = format!("unable to decode {gvk} into *{}.{}", info.version, info.kind);
            return Err(invalid_patch(&shown, &text));
        }
        Ok(new)
    }

    /// A strategically merged document goes into the kind's own struct, whatever kind it says it is.
    fn converted(&self, mut doc: Value, root: TypeId, findings: &mut Vec<String>) -> Result<Value, Status> {
        let info = &self.target.info;
        let gvk = info.gvk();
        if let Value::Object(members) = &mut doc {
            members.insert("apiVersion".into(), gvk.api_version().into());
            members.insert("kind".into(), gvk.kind.clone().into());
        }
        let refusal = |why: &str| invalid_patch(&patch::strategic::print_patch(self.bytes), why);
        patch::strategic::convertible(&doc, &info.types, root).map_err(|why| refusal(&why))?;
        let new = json::conform(doc, &info.types, root, findings).map_err(|e| refusal(&e.to_string()))?;
        self.report(std::mem::take(findings), &patch::strategic::print_patch(self.bytes))?;
        Ok(new)
    }

    /// `shown` is what the refusal of a strict request shows of the patch or its result.
    fn report(&self, findings: Vec<String>, shown: &str) -> Result<(), Status> {
        if findings.is_empty() {
            return Ok(());
        }
        match FieldValidation::parse(&self.options.field_validation) {
            FieldValidation::Ignore => Ok(()),
            FieldValidation::Warn => {
                *self.findings.lock() = findings;
                Ok(())
            }
            FieldValidation::Strict => {
                let why = format!("strict decoding error: {}", findings.join(", "));
                Err(invalid_patch(shown, &why))
            }
        }
    }

    fn server_side(&self, live: Option<&Value>) -> Result<Change, Status> {
        let (intent, findings) =
            yaml::parse_map(self.bytes).map_err(|e| Status::bad_request(format!("error decoding YAML: {e}")))?;
        self.duplicates(findings)?;
        let info = &self.target.info;
        let wanted = info.gvk();
        managed_fields::check_kind(&intent, &wanted)?;
        let api_version = wanted.api_version();
        check_name(&intent, &self.target.name)?;
        self.cx.core.check_escalation(self.cx, &intent)?;
        let now = self.cx.core.registry.clock().now_rfc3339();
        let manager = managed_fields::Manager {
            name: &self.options.field_manager,
            api_version: &api_version,
            subresource: &self.target.subresource,
            now: &now,
        };
        let served = self.cx.core.registry.served_versions(info);
        let served: Option<Vec<&str>> = served.as_ref().map(|all| all.iter().map(String::as_str).collect());
        let schema = patch::apply::Schema { types: &info.types, root: info.root, served: served.as_deref() };
        let reset = self.target.reset_fields();
        if live.is_none() && !intent.uid().is_empty() {
            return Err(uid_without_object(self.target, intent.uid()));
        }
        let force = self.options.force.unwrap_or(false);
        match managed_fields::apply(&schema, live, &intent, &manager, force, reset)? {
            Some(mut new) => {
                self.place(&mut new);
                self.decoded(new, &intent).map(Change::To)
            }
            None => Ok(Change::Nothing),
        }
    }

    /// The merged object holds the intent's values as they were written; the kind's decoder has the last word on them.
    fn decoded(&self, new: Value, intent: &Value) -> Result<Value, Status> {
        let info = &self.target.info;
        let mut findings = Vec::new();
        match info.root {
            Some(root) if !info.custom => {
                json::conform(new, &info.types, root, &mut findings).map_err(|e| managed_fields::undecodable(intent, e))
            }
            _ => crate::schema::custom::prune(info, new, &mut findings),
        }
    }

    /// The namespace comes from the URL where the body leaves it out.
    fn place(&self, object: &mut Value) {
        use rehearsal_apimachinery::ObjectMetaMut as _;
        if self.target.info.namespaced && object.namespace().is_empty() {
            object.set_meta("namespace", self.target.namespace.clone());
        }
    }

    fn duplicates(&self, findings: Vec<String>) -> Result<(), Status> {
        if findings.is_empty() {
            return Ok(());
        }
        match FieldValidation::parse(&self.options.field_validation) {
            FieldValidation::Ignore => Ok(()),
            FieldValidation::Warn => {
                *self.findings.lock() = findings;
                Ok(())
            }
            FieldValidation::Strict => Err(Status::bad_request(format!(
                "error strict decoding YAML: error converting YAML to JSON: {}",
                findings.join(", ")
            ))),
        }
    }
}

/// Kind and version of a patched document.
fn kind_of(doc: &Value, info: &crate::catalog::ResourceInfo) -> rehearsal_apimachinery::GroupVersionKind {
    let text = |key: &str| doc.get(key).and_then(Value::as_str).unwrap_or_default();
    let gv = rehearsal_apimachinery::GroupVersion::parse(text("apiVersion")).unwrap_or_else(|| info.group_version());
    gv.kind(text("kind"))
}

fn uid_without_object(target: &Target, uid: &str) -> Status {
    let why = format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
    Status::conflict(&target.group_resource(), &target.name, why)
}

/// 422 with an empty kind and name, as the patch handlers answer.
fn invalid_patch(shown: &str, why: &str) -> Status {
    Status::invalid(&GroupKind::default(), "", &[FieldError::invalid("patch", shown, why)])
}
