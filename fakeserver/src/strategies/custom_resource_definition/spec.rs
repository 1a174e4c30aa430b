//! Validation of a CRD apart from its schemas: group, names, versions, conversion, columns, subresources.
//!
//! The server validates an internal form in which what all versions have in common stands once, at the top of the spec;
//! hence paths such as `spec.validation.openAPIV3Schema`. Counterpart: `ValidateCustomResourceDefinition`.

use super::{approval, schema};
use crate::schema::jsonpath::JsonPath;
use rehearsal_apimachinery::ObjectMeta;
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::validation::{is_dns1035_label, is_dns1123_subdomain};
use serde_json::Value;

const IMMUTABLE: &str = "field is immutable";
/// Most selectable fields of a version.
const MAX_SELECTABLE_FIELDS: usize = 8;

/// The versions of a CRD.
pub(super) fn versions(crd: &Value) -> &[Value] {
    list(crd.pointer("/spec/versions"))
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Errors of a CRD, metadata excluded but for its name and approval.
pub(super) fn validate(crd: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut check = Check { crd, errors: Vec::new() };
    if old.is_none() {
        check.name();
    }
    check.spec(old);
    if let Some(old) = old {
        check.immutables(old);
    }
    check.errors.extend(validate_status(crd));
    check.errors.extend(approval::validate(crd, old));
    if crd["spec"]["preserveUnknownFields"] == true && old.is_none_or(|o| o["spec"]["preserveUnknownFields"] != true) {
        let text =
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        check.invalid(&Path::new("spec").child("preserveUnknownFields"), true, text);
    }
    check.errors
}

/// Errors of the status.
pub(super) fn validate_status(crd: &Value) -> Vec<FieldError> {
    let mut check = Check { crd, errors: Vec::new() };
    let path = Path::new("status");
    check.names(&crd["status"]["acceptedNames"], &path.child("acceptedNames"));
    check.stored_versions(&path.child("storedVersions"));
    check.errors
}

struct Check<'a> {
    crd: &'a Value,
    errors: Vec<FieldError>,
}

impl Check<'_> {
    fn invalid(&mut self, path: &Path, value: impl Into<Value>, detail: impl Into<String>) {
        self.errors.push(FieldError::invalid(path, value, detail));
    }

    fn required(&mut self, path: &Path, detail: &str) {
        self.errors.push(FieldError::required(path, detail));
    }

    fn name(&mut self) {
        let (name, spec) = (self.crd.name(), &self.crd["spec"]);
        if name.is_empty() {
            return;
        }
        let path = Path::new("metadata").child("name");
        for why in is_dns1123_subdomain(name) {
            self.invalid(&path, name, why);
        }
        if name != format!("{}.{}", text(&spec["names"], "plural"), text(spec, "group")) {
            self.invalid(&path, name, "must be spec.names.plural+\".\"+spec.group");
        }
    }

    fn spec(&mut self, old: Option<&Value>) {
        let (spec, path) = (&self.crd["spec"], Path::new("spec"));
        self.group(text(spec, "group"), &path.child("group"));
        match text(spec, "scope") {
            "" => self.required(&path.child("scope"), ""),
            "Cluster" | "Namespaced" => {}
            other => {
                let error = FieldError::not_supported(path.child("scope"), other, &["Cluster", "Namespaced"]);
                self.errors.push(error);
            }
        }
        self.versions(old);
        let names = &spec["names"];
        for key in ["plural", "singular", "kind", "listKind"] {
            if text(names, key).is_empty() {
                self.required(&path.child("names").child(key), "");
            }
        }
        self.names(names, &path.child("names"));
        self.shared(old);
        self.conversion(&path.child("conversion"));
    }

    fn group(&mut self, group: &str, path: &Path) {
        let why = is_dns1123_subdomain(group);
        if group.is_empty() {
            self.required(path, "");
        } else if !why.is_empty() {
            self.invalid(path, group, why.join(","));
        } else if !group.contains('.') {
            self.invalid(path, group, "should be a domain with at least one dot");
        }
    }

    /// Whether all versions say the same under a key, so that the internal form says it once.
    fn is_shared(&self, key: &str) -> bool {
        versions(self.crd).windows(2).all(|pair| pair[0].get(key) == pair[1].get(key))
    }

    fn versions(&mut self, old: Option<&Value>) {
        let all = versions(self.crd);
        let path = Path::new("spec").child("versions");
        for (i, version) in all.iter().enumerate() {
            let served = version.get("served").and_then(Value::as_bool).unwrap_or(false);
            if served && version.pointer("/schema/openAPIV3Schema").is_none_or(Value::is_null) {
                self.required(&path.index(i).child("schema").child("openAPIV3Schema"), "");
            }
        }
        for (i, version) in all.iter().enumerate() {
            let (here, name) = (path.index(i), text(version, "name"));
            let why = is_dns1035_label(name);
            if !why.is_empty() {
                self.invalid(&here.child("name"), name, why.join(","));
            }
            self.version(version, &here, old.and_then(|o| versions(o).iter().find(|v| text(v, "name") == name)));
        }
        let names: std::collections::HashSet<&str> = all.iter().map(|v| text(v, "name")).collect();
        let refuse = |text: &str| FieldError::invalid(&path, Value::Null, text).shown_as(internal_versions(all));
        if names.len() != all.len() {
            self.errors.push(refuse("must contain unique version names"));
        }
        if all.iter().filter(|v| v["storage"] == true).count() != 1 {
            self.errors.push(refuse("must have exactly one version marked as storage version"));
        }
    }

    fn version(&mut self, version: &Value, path: &Path, old: Option<&Value>) {
        if !self.is_shared("schema") {
            let has_status = has_status(version);
            let old = old.and_then(|o| o.pointer("/schema/openAPIV3Schema"));
            self.schema(version, has_status, &path.child("schema").child("openAPIV3Schema"), old);
        }
        if !self.is_shared("subresources") {
            self.subresources(version, &path.child("subresources"));
        }
        if !self.is_shared("additionalPrinterColumns") {
            self.columns(version, &path.child("additionalPrinterColumns"));
        }
        if !self.is_shared("selectableFields") {
            self.selectable(version, &path.child("selectableFields"));
        }
        self.deprecation(version, &path.child("deprecationWarning"));
    }

    /// What all versions have in common.
    fn shared(&mut self, old: Option<&Value>) {
        let Some(first) = versions(self.crd).first() else { return };
        let path = Path::new("spec");
        if self.is_shared("schema") {
            let has_status = versions(self.crd).iter().any(has_status);
            let old = old.and_then(|o| versions(o).first()).and_then(|o| o.pointer("/schema/openAPIV3Schema"));
            self.schema(first, has_status, &path.child("validation").child("openAPIV3Schema"), old);
        }
        if self.is_shared("subresources") {
            self.subresources(first, &path.child("subresources"));
        }
        if self.is_shared("additionalPrinterColumns") {
            self.columns(first, &path.child("additionalPrinterColumns"));
        }
        if self.is_shared("selectableFields") {
            self.selectable(first, &path.child("selectableFields"));
        }
    }

    /// A schema that was there before is not judged again.
    fn schema(&mut self, version: &Value, has_status: bool, path: &Path, old: Option<&Value>) {
        if let Some(raw) = version.pointer("/schema/openAPIV3Schema").filter(|s| s.is_object() && Some(*s) != old) {
            self.errors.extend(schema::validate(raw, has_status, path));
        }
    }

    fn deprecation(&mut self, version: &Value, path: &Path) {
        let Some(warning) = version.get("deprecationWarning").and_then(Value::as_str) else { return };
        if version.get("deprecated") != Some(&Value::Bool(true)) {
            self.invalid(path, warning, "can only be set for deprecated versions");
        }
        if warning.len() > 256 {
            self.errors.push(FieldError::too_long(path, 256));
        }
        if warning.is_empty() {
            self.invalid(path, warning, "must not be an empty string");
        }
        if let Some((at, _)) = warning.char_indices().find(|(_, c)| c.is_control()) {
            let text =
                format!("must only contain printable UTF-8 characters; non-printable character found at index {at}");
            self.invalid(path, warning, text);
        }
    }

    fn names(&mut self, names: &Value, path: &Path) {
        let mut label = |path: Path, name: &str| {
            let why = is_dns1035_label(name);
            if !name.is_empty() && !why.is_empty() {
                self.errors.push(FieldError::invalid(path, name, why.join(",")));
            }
        };
        label(path.child("plural"), text(names, "plural"));
        label(path.child("singular"), text(names, "singular"));
        for key in ["kind", "listKind"] {
            let name = text(names, key);
            let why = is_dns1035_label(&name.to_lowercase());
            if !name.is_empty() && !why.is_empty() {
                let why = format!("may have mixed case, but should otherwise match: {}", why.join(","));
                self.invalid(&path.child(key), name, why);
            }
        }
        self.labels(names, "shortNames", path);
        let kind = text(names, "kind");
        if !kind.is_empty() && kind == text(names, "listKind") {
            self.invalid(&path.child("listKind"), kind, "kind and listKind may not be the same");
        }
        self.labels(names, "categories", path);
    }

    fn labels(&mut self, names: &Value, key: &str, path: &Path) {
        for (i, name) in list(names.get(key)).iter().enumerate() {
            let name = name.as_str().unwrap_or_default();
            let why = is_dns1035_label(name);
            if !why.is_empty() {
                self.invalid(&path.child(key).index(i), name, why.join(","));
            }
        }
    }

    fn stored_versions(&mut self, path: &Path) {
        let stored = list(self.crd.pointer("/status/storedVersions"));
        if stored.is_empty() {
            let value = self.crd.pointer("/status/storedVersions").cloned().unwrap_or_default();
            self.invalid(path, value, "must have at least one stored version");
        }
        let all = versions(self.crd);
        for version in all.iter().filter(|v| v["storage"] == true && !stored.contains(&v["name"])) {
            let name = text(version, "name");
            let error = FieldError::invalid(path, Value::Null, format!("must have the storage version {name}"));
            self.errors.push(error.shown_as(internal_version(version)));
        }
        for (i, name) in stored.iter().enumerate() {
            let name = name.as_str().unwrap_or_default();
            if !all.iter().any(|v| text(v, "name") == name) {
                let text = format!(
                    "missing from spec.versions; {name} was previously a storage version, and must remain in \
                     spec.versions until a storage migration ensures no data remains persisted in {name} and removes \
                     {name} from status.storedVersions"
                );
                self.invalid(&path.index(i), name, text);
            }
        }
    }

    fn conversion(&mut self, path: &Path) {
        let conversion = &self.crd["spec"]["conversion"];
        match text(conversion, "strategy") {
            "" => self.required(&path.child("strategy"), ""),
            "None" => {
                if conversion.get("webhook").is_some_and(Value::is_object) {
                    let text = "should not be set when strategy is not set to Webhook";
                    self.errors.push(FieldError::forbidden(path.child("webhookClientConfig"), text));
                }
            }
            "Webhook" => {
                let webhook = &conversion["webhook"];
                if webhook.get("clientConfig").is_none_or(Value::is_null) {
                    self.required(&path.child("webhookClientConfig"), "required when strategy is set to Webhook");
                }
                let reviews = list(webhook.get("conversionReviewVersions"));
                if reviews.is_empty() {
                    self.required(&path.child("conversionReviewVersions"), "");
                } else if !reviews.iter().any(|v| matches!(v.as_str(), Some("v1" | "v1beta1"))) {
                    let text = "must include at least one of v1, v1beta1";
                    self.invalid(&path.child("conversionReviewVersions"), Value::Array(reviews.to_vec()), text);
                }
            }
            other => {
                let error = FieldError::not_supported(path.child("strategy"), other, &["None", "Webhook"]);
                self.errors.push(error);
            }
        }
    }

    fn columns(&mut self, version: &Value, path: &Path) {
        const TYPES: [&str; 5] = ["integer", "number", "string", "boolean", "date"];
        const FORMATS: [&str; 10] =
            ["int32", "int64", "float", "double", "byte", "binary", "date", "date-time", "password", "name"];
        for (i, column) in list(version.get("additionalPrinterColumns")).iter().enumerate() {
            let here = path.index(i);
            if text(column, "name").is_empty() {
                self.required(&here.child("name"), "");
            }
            let kind = text(column, "type");
            if kind.is_empty() {
                let mut types = TYPES;
                types.sort_unstable();
                self.required(&here.child("type"), &format!("must be one of {}", types.join(",")));
            } else if !TYPES.contains(&kind) {
                let mut types = TYPES;
                types.sort_unstable();
                self.invalid(&here.child("type"), kind, format!("must be one of {}", types.join(",")));
            }
            let format = text(column, "format");
            if !format.is_empty() && !FORMATS.contains(&format) {
                let mut formats = FORMATS;
                formats.sort_unstable();
                self.invalid(&here.child("format"), format, format!("must be one of {}", formats.join(",")));
            }
            let json_path = text(column, "jsonPath");
            if json_path.is_empty() {
                self.required(&here.child("JSONPath"), "");
            } else if let Err(why) = JsonPath::parse(json_path) {
                self.invalid(&here.child("JSONPath"), json_path, why.to_string());
            }
        }
    }

    fn subresources(&mut self, version: &Value, path: &Path) {
        let Some(scale) = version.pointer("/subresources/scale").filter(|s| s.is_object()) else { return };
        let here = path.child("scale");
        for (key, root) in [("specReplicasPath", ".spec"), ("statusReplicasPath", ".status")] {
            let value = text(scale, key);
            if value.is_empty() {
                self.required(&here.child(key), "");
            } else if !is_under(value, root) {
                self.invalid(&here.child(key), value, format!("should be a json path under {root}"));
            }
        }
        let selector = text(scale, "labelSelectorPath");
        if !selector.is_empty() && !is_under(selector, ".spec") && !is_under(selector, ".status") {
            let text = "should be a json path under either .status or .spec";
            self.invalid(&here.child("labelSelectorPath"), selector, text);
        }
    }

    fn selectable(&mut self, version: &Value, path: &Path) {
        let fields = list(version.get("selectableFields"));
        if fields.len() > MAX_SELECTABLE_FIELDS {
            self.errors.push(FieldError::too_many(path, fields.len(), MAX_SELECTABLE_FIELDS));
        }
        let root = version.pointer("/schema/openAPIV3Schema");
        let mut seen = std::collections::HashSet::new();
        for (i, field) in fields.iter().enumerate() {
            let here = path.index(i).child("jsonPath");
            let json_path = text(field, "jsonPath");
            if json_path.is_empty() {
                self.required(&here, "");
                continue;
            }
            if let Some(why) = unselectable(json_path, root) {
                self.invalid(&here, json_path, why);
            }
            if !seen.insert(json_path) {
                self.errors.push(FieldError::duplicate(&here, json_path));
            }
        }
    }

    /// What may never change; more of it once the CRD is established.
    fn immutables(&mut self, old: &Value) {
        let established = crate::catalog::crd::is_condition_true(old, "Established");
        let mut keys: Vec<&[&str]> = Vec::new();
        if established {
            keys.extend([&["scope"][..], &["names", "kind"][..]]);
        }
        keys.extend([&["group"][..], &["names", "plural"][..]]);
        for key in keys {
            let pointer = format!("/spec/{}", key.join("/"));
            let (new, old) = (self.crd.pointer(&pointer), old.pointer(&pointer));
            if new != old {
                let path = key.iter().fold(Path::new("spec"), |path, part| path.child(part));
                self.invalid(&path, new.cloned().unwrap_or_default(), IMMUTABLE);
            }
        }
    }
}

fn has_status(version: &Value) -> bool {
    version.pointer("/subresources/status").is_some_and(Value::is_object)
}

fn is_under(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.starts_with('.') && rest.len() > 1) && !path.contains('[')
}

/// Why fields cannot be selected by this path.
fn unselectable(path: &str, root: Option<&Value>) -> Option<String> {
    if !path.starts_with('.') || path.contains(['[', '*', '@']) {
        return Some("is an invalid path: must be a simple json path".into());
    }
    if path == ".metadata" || path.starts_with(".metadata.") {
        return Some("must not point to fields in metadata".into());
    }
    let mut at = root?;
    for part in path.trim_start_matches('.').split('.') {
        match at.get("properties").and_then(|p| p.get(part)) {
            Some(inner) => at = inner,
            None => return Some("is an invalid path: does not refer to a valid field".into()),
        }
    }
    match text(at, "type") {
        "string" | "boolean" | "integer" => None,
        _ => Some(
            "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are \
             allowed."
                .into(),
        ),
    }
}

/// Versions as Go prints the internal form, which has no JSON names.
fn internal_versions(all: &[Value]) -> String {
    format!("[{}]", all.iter().map(internal_version).collect::<Vec<_>>().join(","))
}

fn internal_version(version: &Value) -> String {
    let flag = |key: &str| version.get(key).and_then(Value::as_bool).unwrap_or(false);
    format!(
        "{{\"Name\":{},\"Served\":{},\"Storage\":{},\"Deprecated\":{},\"DeprecationWarning\":{},\"Schema\":null,\
         \"Subresources\":null,\"AdditionalPrinterColumns\":null,\"SelectableFields\":null}}",
        version["name"],
        flag("served"),
        flag("storage"),
        flag("deprecated"),
        version["deprecationWarning"],
    )
}
