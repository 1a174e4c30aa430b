//! A CustomResourceDefinition as rows of the table of kinds, one per served version.
//!
//! Counterpart: apiextensions-apiserver `customresource_handler.go` (`getOrCreateServingInfoFor`).

use super::{Columns, ResourceInfo, SubresourceInfo, compare_versions};
use crate::endpoints::ScalePaths;
use crate::schema::columns::JsonPathColumn;
use crate::schema::custom::{CustomRules, Life, Schema, types_of};
use crate::schema::jsonpath::JsonPath;
use rehearsal_apimachinery::{GroupVersion, ObjectMeta};
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Whether a condition of a CRD is true.
#[must_use]
pub fn is_condition_true(crd: &Value, kind: &str) -> bool {
    let conditions = crd.pointer("/status/conditions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    conditions.iter().any(|c| c["type"] == kind && c["status"] == "True")
}

/// The rows of a CRD; none before it is established.
#[must_use]
pub fn rows(crd: &Value, life: &Life) -> Vec<ResourceInfo> {
    if !is_condition_true(crd, "Established") {
        return Vec::new();
    }
    let versions = crd.pointer("/spec/versions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let compiled: Vec<(&Value, Arc<Schema>)> = versions.iter().map(|v| (v, Arc::new(schema_of(v)))).collect();
    let flag = |version: &Value, key: &str| version.get(key).and_then(Value::as_bool).unwrap_or(false);
    let Some((storage, _)) = compiled.iter().find(|(v, _)| flag(v, "storage")) else { return Vec::new() };
    let family = Family {
        crd,
        versions,
        storage: GroupVersion::new(text(&crd["spec"], "group"), text(storage, "name")),
        schemas: Arc::new(compiled.iter().map(|(v, s)| (text(v, "name").to_owned(), s.clone())).collect()),
        selectable: Arc::new(versions.iter().flat_map(selectable).collect()),
        life: life.clone(),
    };
    warn_about_missing(crd);
    compiled.iter().filter(|(v, _)| flag(v, "served")).map(|(v, schema)| family.row(v, schema)).collect()
}

/// What all versions of a CRD share.
struct Family<'a> {
    crd: &'a Value,
    versions: &'a [Value],
    storage: GroupVersion,
    schemas: Arc<BTreeMap<String, Arc<Schema>>>,
    selectable: Arc<Vec<(String, JsonPath)>>,
    life: Life,
}

impl Family<'_> {
    fn row(&self, version: &Value, schema: &Arc<Schema>) -> ResourceInfo {
        let (spec, names) = (&self.crd["spec"], &self.crd["status"]["acceptedNames"]);
        let terminating = self.crd.is_deleting();
        let kind = text(names, "kind");
        let (types, root) = types_of(kind, schema);
        let verbs: &[&str] = if terminating { &ResourceInfo::TERMINATING_VERBS } else { &ResourceInfo::CUSTOM_VERBS };
        let rules = CustomRules {
            selectable_fields: selectable(version).into_iter().map(|(name, _)| name).collect(),
            all_selectable: self.selectable.clone(),
            scale: version.pointer("/subresources/scale").filter(|s| s.is_object()).map(scale_paths),
            schema: schema.clone(),
            schemas: self.schemas.clone(),
            life: self.life.clone(),
        };
        ResourceInfo {
            group: text(spec, "group").to_owned(),
            version: text(version, "name").to_owned(),
            resource: text(names, "plural").to_owned(),
            kind: kind.to_owned(),
            list_kind: text(names, "listKind").to_owned(),
            singular: text(names, "singular").to_owned(),
            namespaced: text(spec, "scope") == "Namespaced",
            verbs: verbs.iter().map(ToString::to_string).collect(),
            short_names: strings(names.get("shortNames")),
            categories: strings(names.get("categories")),
            subresources: subresources(version, kind),
            columns: Columns::JsonPath(JsonPathColumn::of_version(version.get("additionalPrinterColumns"))),
            custom: true,
            types,
            root: Some(root),
            storage: self.storage.clone(),
            rules: Some(Arc::new(rules)),
            schema: version.pointer("/schema/openAPIV3Schema").cloned().map(Arc::new),
            deprecated: self.deprecation(version, kind),
            terminating,
        }
    }

    /// The warning of a deprecated version; names the newest version that is not, if it is newer.
    fn deprecation(&self, version: &Value, kind: &str) -> Option<String> {
        if version.get("deprecated") != Some(&Value::Bool(true)) {
            return None;
        }
        if let Some(own) = version.get("deprecationWarning").and_then(Value::as_str) {
            return Some(own.to_owned());
        }
        let (group, name) = (&self.storage.group, text(version, "name"));
        let newer = |v: &&Value| {
            v.get("served") == Some(&Value::Bool(true))
                && v.get("deprecated") != Some(&Value::Bool(true))
                && compare_versions(text(v, "name"), name) == Ordering::Less
        };
        let best = self.versions.iter().filter(newer).min_by(|a, b| compare_versions(text(a, "name"), text(b, "name")));
        let hint = best.map(|v| format!("; use {group}/{} {kind}", text(v, "name"))).unwrap_or_default();
        Some(format!("{group}/{name} {kind} is deprecated{hint}"))
    }
}

fn schema_of(version: &Value) -> Schema {
    version.pointer("/schema/openAPIV3Schema").map_or_else(Schema::open, Schema::compile)
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn strings(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn subresources(version: &Value, kind: &str) -> Vec<SubresourceInfo> {
    let declared = |name: &str| version.pointer(&format!("/subresources/{name}")).is_some_and(Value::is_object);
    let row = |name: &str, kind: &str, group: &str, of: &str| SubresourceInfo {
        name: name.to_owned(),
        kind: kind.to_owned(),
        group: group.to_owned(),
        version: of.to_owned(),
        verbs: ResourceInfo::CUSTOM_SUBRESOURCE_VERBS.map(str::to_owned).to_vec(),
    };
    let mut rows = Vec::new();
    if declared("status") {
        rows.push(row("status", kind, "", ""));
    }
    if declared("scale") {
        rows.push(row("scale", "Scale", "autoscaling", "v1"));
    }
    rows
}

fn scale_paths(scale: &Value) -> ScalePaths {
    let pointer = |key: &str| text(scale, key).replace('.', "/");
    ScalePaths {
        spec_replicas: pointer("specReplicasPath"),
        status_replicas: pointer("statusReplicasPath"),
        selector: Some(pointer("labelSelectorPath")).filter(|p| !p.is_empty()),
        custom: true,
    }
}

/// Selectable fields as selectors name them, `spec.color`, with their paths.
fn selectable(version: &Value) -> Vec<(String, JsonPath)> {
    let fields = version.get("selectableFields").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let field = |f: &Value| {
        let path = text(f, "jsonPath");
        Some((path.trim_start_matches('.').to_owned(), JsonPath::parse(path).ok()?))
    };
    fields.iter().filter_map(field).collect()
}

/// What this server keeps but does not act upon.
fn warn_about_missing(crd: &Value) {
    let name = crd.name();
    if crd.pointer("/spec/conversion/strategy").and_then(Value::as_str) == Some("Webhook") {
        tracing::warn!(
            "CustomResourceDefinition {name}: conversion webhooks are not called, objects keep their members"
        );
    }
    if crd["spec"].to_string().contains("\"x-kubernetes-validations\"") {
        tracing::warn!("CustomResourceDefinition {name}: x-kubernetes-validations are not enforced");
    }
}
