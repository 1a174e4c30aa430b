//! Validation of object metadata, on create and on update.
//!
//! Counterparts: apimachinery `api/validation/objectmeta.go`, `meta/v1/validation`, and the finalizer rule that
//! `pkg/apis/core/validation` adds for built-in kinds. Map members are checked in key order; the server's order is random.

use rehearsal_apimachinery::field::{go_json, go_quote};
use rehearsal_apimachinery::validation as rules;
use rehearsal_apimachinery::{FieldError, GroupVersion, ObjectMeta, ObjectMetaMut, Path};
use serde_json::{Map, Value};

/// Most bytes of all annotation keys and values together.
const TOTAL_ANNOTATION_SIZE_LIMIT: usize = 256 * 1024;
/// Text of an immutable field.
pub const FIELD_IMMUTABLE: &str = "field is immutable";
/// Finalizer of a foreground deletion.
const FOREGROUND: &str = "foregroundDeletion";
/// Finalizer of an orphaning deletion.
const ORPHAN: &str = "orphan";

/// The syntax of a kind's names.
#[derive(Clone, Copy, Debug)]
pub enum NameRule {
    /// DNS-1123 subdomain, as most kinds.
    Subdomain,
    /// DNS-1123 label, as namespaces.
    DnsLabel,
    /// DNS-1035 label.
    Dns1035Label,
    /// A Service: since 1.36 a DNS-1123 label, which may start with a digit.
    ServiceName,
    /// Any segment of a URL path, as RBAC objects.
    PathSegment,
    /// A rule of its own; the flag says that only the prefix of a name to be generated is checked.
    Custom(fn(&str, bool) -> Vec<String>),
}

impl NameRule {
    /// The complaints about a name, or about the prefix of one.
    #[must_use]
    pub fn check(self, name: &str, prefix: bool) -> Vec<String> {
        let masked = if prefix { mask_trailing_dash(name) } else { name.to_owned() };
        match self {
            Self::Subdomain => rules::is_dns1123_subdomain(&masked),
            Self::DnsLabel | Self::ServiceName => rules::is_dns1123_label(&masked),
            Self::Dns1035Label => rules::is_dns1035_label(&masked),
            Self::PathSegment if prefix => rules::path_segment_prefix(name),
            Self::PathSegment => rules::path_segment_name(name),
            Self::Custom(rule) => rule(name, prefix),
        }
    }
}

/// A prefix may end in a dash, because the generated part follows: `a-` is checked as `a` would be.
#[must_use]
pub fn mask_trailing_dash(name: &str) -> String {
    match name.strip_suffix('-') {
        Some(rest) if !rest.is_empty() => {
            let mut masked = rest.to_owned();
            masked.pop();
            masked.push('a');
            masked
        }
        _ => name.to_owned(),
    }
}

/// Errors of the metadata of a new object, whose name is generated already. `path` is that of the metadata.
///
/// Counterpart: `ValidateObjectMetaAccessor`. Built-in kinds go through [`validate_kube_object_meta`].
#[must_use]
pub fn validate_object_meta(object: &Value, namespaced: bool, rule: NameRule, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let prefix = object.meta_str("generateName");
    if !prefix.is_empty() {
        let at = path.child("generateName");
        errors.extend(rule.check(prefix, true).into_iter().map(|e| FieldError::invalid(&at, prefix, e)));
    }
    let (name, at) = (object.name(), path.child("name"));
    if name.is_empty() {
        errors.push(FieldError::required(&at, "name or generateName is required"));
    } else {
        errors.extend(rule.check(name, false).into_iter().map(|e| FieldError::invalid(&at, name, e)));
    }
    errors.extend(validate_namespace(object.namespace(), namespaced, &path.child("namespace")));
    if object.generation() < 0 {
        let text = "must be greater than or equal to 0";
        errors.push(FieldError::invalid(path.child("generation"), object.generation(), text));
    }
    errors.extend(validate_labels(object.labels(), &path.child("labels")));
    errors.extend(validate_annotations(object.annotations(), &path.child("annotations")));
    errors.extend(validate_owner_references(object.owner_references(), &path.child("ownerReferences")));
    errors.extend(validate_finalizers(&object.finalizers(), &path.child("finalizers")));
    errors.extend(validate_managed_fields(object, &path.child("managedFields")));
    errors
}

/// As [`validate_object_meta`], with the finalizer rule of built-in kinds.
#[must_use]
pub fn validate_kube_object_meta(object: &Value, namespaced: bool, rule: NameRule, path: &Path) -> Vec<FieldError> {
    let mut errors = validate_object_meta(object, namespaced, rule, path);
    errors.extend(validate_kube_finalizers(object, &path.child("finalizers")));
    errors
}

/// Errors of changed metadata; the path is always `metadata`.
///
/// Counterpart: `ValidateObjectMetaAccessorUpdate`. Built-in kinds go through [`validate_kube_object_meta_update`].
#[must_use]
pub fn validate_object_meta_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let path = Path::new("metadata");
    let mut errors = Vec::new();
    if old.is_deleting() {
        errors.extend(no_new_finalizers(&new.finalizers(), &old.finalizers(), &path.child("finalizers")));
    }
    if new.resource_version().is_empty() {
        errors.push(FieldError::invalid(path.child("resourceVersion"), "", "must be specified for an update"));
    }
    if new.generation() < old.generation() {
        errors.push(FieldError::invalid(path.child("generation"), new.generation(), "must not be decremented"));
    }
    for name in ["name", "namespace", "uid"] {
        errors.extend(immutable(new.meta_str(name).into(), &old.meta_str(name).into(), &path.child(name)));
    }
    for name in ["creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        errors.extend(immutable(member(new, name), &member(old, name), &path.child(name)));
    }
    errors.extend(validate_labels(new.labels(), &path.child("labels")));
    errors.extend(validate_annotations(new.annotations(), &path.child("annotations")));
    errors.extend(validate_owner_references(new.owner_references(), &path.child("ownerReferences")));
    errors.extend(validate_managed_fields(new, &path.child("managedFields")));
    errors
}

/// As [`validate_object_meta_update`], with the finalizer rule of built-in kinds.
#[must_use]
pub fn validate_kube_object_meta_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = validate_object_meta_update(new, old);
    errors.extend(validate_kube_finalizers(new, &Path::new("metadata").child("finalizers")));
    errors
}

fn member(object: &Value, name: &str) -> Value {
    object.meta().and_then(|m| m.get(name)).cloned().unwrap_or_default()
}

/// The error of a field that changed and may not.
#[must_use]
pub fn immutable(new: Value, old: &Value, path: &Path) -> Option<FieldError> {
    (new != *old).then(|| FieldError::invalid(path, new, FIELD_IMMUTABLE))
}

fn validate_namespace(namespace: &str, namespaced: bool, path: &Path) -> Vec<FieldError> {
    match (namespaced, namespace.is_empty()) {
        (true, true) => vec![FieldError::required(path, "")],
        (true, false) => {
            let complaints = NameRule::DnsLabel.check(namespace, false);
            complaints.into_iter().map(|e| FieldError::invalid(path, namespace, e)).collect()
        }
        (false, true) => Vec::new(),
        (false, false) => vec![FieldError::forbidden(path, "not allowed on this type")],
    }
}

/// Errors of a map of labels, each told with the offending key or value.
#[must_use]
pub fn validate_labels(labels: Option<&Map<String, Value>>, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (key, value) in labels.into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        errors.extend(rules::is_qualified_name(key).into_iter().map(|e| FieldError::invalid(path, key.as_str(), e)));
        errors.extend(rules::is_valid_label_value(value).into_iter().map(|e| FieldError::invalid(path, value, e)));
    }
    errors
}

/// Errors of a map of annotations: their keys (in any case) and their total size.
#[must_use]
pub fn validate_annotations(annotations: Option<&Map<String, Value>>, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut size = 0;
    for (key, value) in annotations.into_iter().flatten() {
        size += key.len() + value.as_str().map_or(0, str::len);
        let complaints = rules::is_qualified_name(&key.to_lowercase());
        errors.extend(complaints.into_iter().map(|e| FieldError::invalid(path, key.as_str(), e)));
    }
    if size > TOTAL_ANNOTATION_SIZE_LIMIT {
        errors.push(FieldError::too_long(path, TOTAL_ANNOTATION_SIZE_LIMIT));
    }
    errors
}

fn validate_owner_references(references: &[Value], path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut controller: Option<String> = None;
    for reference in references {
        errors.extend(validate_owner_reference(reference, path));
        if reference.get("controller") != Some(&Value::Bool(true)) {
            continue;
        }
        let this = format!("{}/{}", text(reference, "kind"), text(reference, "name"));
        match &controller {
            None => controller = Some(this),
            Some(first) => {
                let why = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {this}"
                );
                let shown = references.iter().map(print_owner_reference).collect::<Vec<_>>().join(",");
                errors.push(FieldError::invalid(path, references.to_vec(), why).shown_as(format!("[{shown}]")));
            }
        }
    }
    errors
}

fn validate_owner_reference(reference: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let api_version = text(reference, "apiVersion");
    let version = GroupVersion::parse(api_version).map(|gv| gv.version).unwrap_or_default();
    if version.is_empty() {
        errors.push(FieldError::invalid(path.child("apiVersion"), api_version, "version must not be empty"));
    }
    for name in ["kind", "name", "uid"] {
        if text(reference, name).is_empty() {
            errors.push(FieldError::invalid(path.child(name), "", "must not be empty"));
        }
    }
    if api_version == "v1" && text(reference, "kind") == "Event" {
        let why = "/v1, Kind=Event is disallowed from being an owner";
        errors.push(FieldError::invalid(path, reference.clone(), why).shown_as(print_owner_reference(reference)));
    }
    errors
}

fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn validate_finalizers(finalizers: &[&str], path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for name in finalizers {
        errors.extend(rules::is_qualified_name(name).into_iter().map(|e| FieldError::invalid(path, *name, e)));
    }
    if finalizers.contains(&ORPHAN) && finalizers.contains(&FOREGROUND) {
        let why = format!("finalizer {ORPHAN} and {FOREGROUND} cannot be both set");
        errors.push(FieldError::invalid(path, finalizers.to_vec(), why));
    }
    errors
}

/// Errors of finalizers that are neither well known nor qualified by a domain.
fn validate_kube_finalizers(object: &Value, path: &Path) -> Vec<FieldError> {
    let plain = |name: &str| !name.contains('/') && !matches!(name, "kubernetes" | ORPHAN | FOREGROUND);
    let why = "name is neither a standard finalizer name nor is it fully qualified";
    let finalizers = object.finalizers();
    let bad = finalizers.iter().enumerate().filter(|(_, name)| plain(name));
    bad.map(|(i, name)| FieldError::invalid(path.index(i), *name, why)).collect()
}

fn no_new_finalizers(new: &[&str], old: &[&str], path: &Path) -> Option<FieldError> {
    let mut extra: Vec<&str> = new.iter().copied().filter(|f| !old.contains(f)).collect();
    extra.sort_unstable();
    extra.dedup();
    if extra.is_empty() {
        return None;
    }
    let shown: Vec<String> = extra.into_iter().map(go_quote).collect();
    let why = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
        shown.join(", ")
    );
    Some(FieldError::forbidden(path, why))
}

fn validate_managed_fields(object: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let entries = object.meta().and_then(|m| m.get("managedFields")).and_then(Value::as_array);
    for (i, entry) in entries.into_iter().flatten().enumerate() {
        let at = path.index(i);
        let operation = text(entry, "operation");
        if !matches!(operation, "Apply" | "Update") {
            errors.push(FieldError::invalid(at.child("operation"), operation, "must be `Apply` or `Update`"));
        }
        let form = text(entry, "fieldsType");
        if !matches!(form, "" | "FieldsV1") {
            errors.push(FieldError::invalid(at.child("fieldsType"), form, "must be `FieldsV1`"));
        }
        errors.extend(validate_manager(text(entry, "manager"), &at.child("manager")));
        if text(entry, "subresource").len() > 256 {
            errors.push(FieldError::too_long(at.child("subresource"), 256));
        }
    }
    errors
}

fn validate_manager(name: &str, path: &Path) -> Vec<FieldError> {
    let mut errors = rehearsal_apimachinery::options::validate_field_manager(name);
    for error in &mut errors {
        error.field = path.into();
    }
    errors
}

/// A reference as Go prints the struct: compact JSON in member order.
#[must_use]
pub fn print_owner_reference(reference: &Value) -> String {
    let members = ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"];
    let shown = members.iter().enumerate().filter_map(|(i, name)| match reference.get(name) {
        None if i < 4 => Some(format!("\"{name}\":\"\"")),
        None | Some(Value::Null) => None,
        Some(value) => Some(format!("\"{name}\":{}", go_json(value))),
    });
    format!("{{{}}}", shown.collect::<Vec<_>>().join(","))
}

/// Drops owner references that repeat an earlier one, and gives the warning about it.
///
/// `after_admission` chooses the text for repetitions that mutating admission made.
pub fn dedup_owner_references(object: &mut Value, after_admission: bool) -> Option<String> {
    let references = object.owner_references();
    let mut kept: Vec<Value> = Vec::with_capacity(references.len());
    let mut repeated: Vec<String> = Vec::new();
    for reference in references {
        if kept.contains(reference) {
            repeated.push(text(reference, "uid").to_owned());
        } else {
            kept.push(reference.clone());
        }
    }
    if repeated.is_empty() {
        return None;
    }
    object.set_meta("ownerReferences", kept);
    let what = if after_admission {
        ".metadata.ownerReferences contains duplicate entries after mutating admission happens"
    } else {
        ".metadata.ownerReferences contains duplicate entries"
    };
    Some(format!(
        "{what}; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
        repeated.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn create(meta: Value) -> Vec<String> {
        let mut meta = meta;
        if meta.get("namespace").is_none() {
            meta["namespace"] = "ns".into();
        }
        let object = json!({"metadata": meta});
        let errors = validate_kube_object_meta(&object, true, NameRule::Subdomain, &Path::new("metadata"));
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_name_is_required_and_follows_its_rule() {
        assert_eq!(create(json!({})), ["metadata.name: Required value: name or generateName is required"]);
        assert!(create(json!({"name": "a.b"})).is_empty());
        assert_eq!(create(json!({"name": "UP-1", "generateName": "UP-"})).len(), 2);
        assert_eq!(mask_trailing_dash("ab-"), "aa");
        assert!(create(json!({"name": "a-1", "generateName": "a-"})).is_empty());
        assert!(NameRule::ServiceName.check("1a", false).is_empty());
        assert_eq!(NameRule::ServiceName.check("a.b", false), ["must not contain dots"]);
        assert!(NameRule::PathSegment.check("system:a b", false).is_empty());
        assert_eq!(NameRule::PathSegment.check("a/b", false), ["may not contain '/'"]);
    }

    #[test]
    fn namespaces_are_required_or_forbidden() {
        let object = json!({"metadata": {"name": "a"}});
        let path = Path::new("metadata");
        let errors = validate_object_meta(&object, true, NameRule::Subdomain, &path);
        assert_eq!(errors[0].to_string(), "metadata.namespace: Required value");
        let object = json!({"metadata": {"name": "a", "namespace": "n"}});
        let errors = validate_object_meta(&object, false, NameRule::Subdomain, &path);
        assert_eq!(errors[0].to_string(), "metadata.namespace: Forbidden: not allowed on this type");
    }

    #[test]
    fn labels_and_annotations_are_checked() {
        let errors = create(
            json!({"name": "a", "labels": {"k": "has space"}, "annotations": {"EXAMPLE.com/Ok": "v", "bad key": "v"}}),
        );
        assert_eq!(errors.len(), 2);
        assert!(errors[0].starts_with("metadata.labels: Invalid value: \"has space\": a valid label must be"));
        assert!(errors[1].starts_with("metadata.annotations: Invalid value: \"bad key\": name part must consist"));
        let big = create(json!({"name": "a", "annotations": {"k": "x".repeat(262_144)}}));
        assert_eq!(big, ["metadata.annotations: Too long: may not be more than 262144 bytes"]);
    }

    #[test]
    fn finalizers_are_qualified_and_not_contradictory() {
        assert_eq!(
            create(json!({"name": "a", "finalizers": ["plain"]})),
            [
                "metadata.finalizers[0]: Invalid value: \"plain\": name is neither a standard finalizer name nor is it fully qualified"
            ]
        );
        assert_eq!(
            create(json!({"name": "a", "finalizers": ["orphan", "foregroundDeletion"]})),
            [
                "metadata.finalizers: Invalid value: [\"orphan\",\"foregroundDeletion\"]: finalizer orphan and foregroundDeletion cannot be both set"
            ]
        );
        assert_eq!(create(json!({"name": "a", "finalizers": ["bad/bad/bad"]})).len(), 1);
    }

    #[test]
    fn owner_references_are_complete_and_have_one_controller() {
        assert_eq!(
            create(json!({"name": "a", "ownerReferences": [{"apiVersion": "v1", "kind": "Pod"}]})),
            [
                "metadata.ownerReferences.name: Invalid value: \"\": must not be empty",
                "metadata.ownerReferences.uid: Invalid value: \"\": must not be empty",
            ]
        );
        let event = json!({"apiVersion": "v1", "kind": "Event", "name": "e", "uid": "u"});
        let errors = create(json!({"name": "a", "ownerReferences": [event]}));
        assert!(errors[0].ends_with(": /v1, Kind=Event is disallowed from being an owner"), "{errors:?}");
        let owner = |n: &str| json!({"apiVersion": "v1", "kind": "Pod", "name": n, "uid": n, "controller": true});
        let errors = create(json!({"name": "a", "ownerReferences": [owner("p"), owner("r")]}));
        assert!(errors[0].ends_with("Found \"true\" in references for Pod/p and Pod/r"), "{errors:?}");
    }

    #[test]
    fn updates_keep_what_is_immutable() {
        let old =
            json!({"metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "1", "generation": 2}});
        assert!(validate_object_meta_update(&old, &old).is_empty());
        let mut new = old.clone();
        new["metadata"]["uid"] = "zz".into();
        new["metadata"]["generation"] = 1.into();
        new["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        let errors: Vec<_> = validate_object_meta_update(&new, &old).iter().map(ToString::to_string).collect();
        assert_eq!(
            errors,
            [
                "metadata.generation: Invalid value: 1: must not be decremented",
                "metadata.uid: Invalid value: \"zz\": field is immutable",
                "metadata.deletionTimestamp: Invalid value: \"2026-01-01T00:00:00Z\": field is immutable",
            ]
        );
    }

    #[test]
    fn a_deleting_object_takes_no_new_finalizers() {
        let old = json!({"metadata": {"resourceVersion": "1", "deletionTimestamp": "t", "finalizers": ["x.io/f"]}});
        let mut new = old.clone();
        new["metadata"]["finalizers"] = json!(["x.io/f", "x.io/g"]);
        assert_eq!(
            validate_object_meta_update(&new, &old)[0].to_string(),
            "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"x.io/g\"}"
        );
    }

    #[test]
    fn references_print_in_struct_order() {
        let reference = json!({"uid": "u", "controller": true, "kind": "Pod", "apiVersion": "v1"});
        let want = r#"{"apiVersion":"v1","kind":"Pod","name":"","uid":"u","controller":true}"#;
        assert_eq!(print_owner_reference(&reference), want);
    }

    #[test]
    fn repeated_owners_are_dropped_with_a_warning() {
        let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u1"});
        let mut object = json!({"metadata": {"ownerReferences": [owner, owner]}});
        let warning = dedup_owner_references(&mut object, false).unwrap();
        assert!(warning.ends_with("duplicate UID(s) observed: u1"), "{warning}");
        assert_eq!(object.owner_references(), [owner]);
        assert_eq!(dedup_owner_references(&mut object, false), None);
    }
}
