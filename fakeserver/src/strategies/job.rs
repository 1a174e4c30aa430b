//! Jobs: the generated selector and labels, defaults, and what may change.
//!
//! Counterpart: `registry/batch/job/strategy.go`, `SetDefaults_Job`. The rules of the spec are in `job_spec.rs`,
//! those of the status in `job_status.rs`.

use super::access::{
    at, copy, ensure_path, entries_at, has, int_at, is_empty_at, list_mut, remove, semantic_eq, set, set_default,
    str_at,
};
use super::job_spec::{job_spec, job_warnings};
use super::job_status;
use super::pod_spec::defaults;
use super::rules::{Errors, IMMUTABLE, go_struct, immutable_at, label_selector, selector_matches};
use super::templated::{keep_other_half, labels_mismatch, name_warning};
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path, go_json};
use rehearsal_apimachinery::validation as words;
use serde_json::{Value, json};

const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";
const JOB_NAME: &str = "batch.kubernetes.io/job-name";
const OLD_CONTROLLER_UID: &str = "controller-uid";
const OLD_JOB_NAME: &str = "job-name";
/// Where the labels of the template stand.
const TEMPLATE_LABELS: [&str; 4] = ["spec", "template", "metadata", "labels"];

/// The strategy of `jobs.batch`.
pub struct JobStrategy;

impl Strategy for JobStrategy {
    fn default(&self, object: &mut Value) {
        defaults::template(object, &["spec", "template", "spec"]);
        let labels = at(object, &TEMPLATE_LABELS).clone();
        if let Some(spec) = ensure_path(object, &["spec"]) {
            counts(spec);
            failure_policy(spec);
        }
        if labels.is_object()
            && let Some(meta) = ensure_path(object, &["metadata"]).filter(|meta| is_empty_at(meta, "labels"))
        {
            set(meta, "labels", labels);
        }
    }

    fn prepare_create(&self, _: &WriteContext<'_>, object: &mut Value) {
        remove(object, "status");
        if object["spec"]["manualSelector"] != true {
            // Defaulted labels are the template's own map in the real server: what is generated shows up in both.
            let shared = is_empty_at(&object["metadata"], "labels")
                || semantic_eq(&object["metadata"]["labels"], at(object, &TEMPLATE_LABELS));
            generate_selector(object);
            if shared {
                let labels = at(object, &TEMPLATE_LABELS).clone();
                if let Some(meta) = ensure_path(object, &["metadata"]) {
                    set(meta, "labels", labels);
                }
            }
        }
    }

    fn prepare_update(&self, cx: &WriteContext<'_>, object: &mut Value, old: &Value) {
        keep_other_half(cx.subresource, object, old);
    }

    fn validate_create(&self, _: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        generated_selector(object, &mut errors);
        whole_spec(&object["spec"], &mut errors);
        index_fits_host_name(object, &mut errors);
        errors
    }

    fn validate_update(&self, cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        if cx.subresource == "status" {
            return job_status::status_update(object, old);
        }
        // The server validates the new object, then its spec again as part of the update.
        let mut errors = self.validate_create(cx, object);
        whole_spec(&object["spec"], &mut errors);
        immutable_members(object, old, &mut errors);
        errors
    }

    fn warnings(&self, _: &WriteContext<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        let mut warnings: Vec<String> = name_warning(object, "Pod names and hostnames", old).into_iter().collect();
        warnings.extend(job_warnings(&object["spec"], &Path::new("spec"), object, old));
        warnings
    }

    fn selectable_fields(&self, object: &Value) -> Vec<(&'static str, String)> {
        let succeeded = int_at(&object["status"], "succeeded").unwrap_or_default();
        vec![("status.successful", succeeded.to_string())]
    }
}

fn counts(spec: &mut Value) {
    if !has(spec, "completions") && !has(spec, "parallelism") {
        set(spec, "completions", 1);
    }
    set_default(spec, "parallelism", 1);
    let limit = if has(spec, "backoffLimitPerIndex") { i32::MAX } else { 6 };
    set_default(spec, "backoffLimit", limit);
    set_default(spec, "completionMode", "NonIndexed");
    set_default(spec, "suspend", false);
    set_default(spec, "manualSelector", false);
    let replacement = if has(spec, "podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
    set_default(spec, "podReplacementPolicy", replacement);
}

/// A pattern on Pod conditions means `True` unless it says otherwise.
pub(super) fn failure_policy(spec: &mut Value) {
    let Some(policy) = spec.get_mut("podFailurePolicy") else { return };
    for rule in list_mut(policy, "rules") {
        for pattern in list_mut(rule, "onPodConditions") {
            if is_empty_at(pattern, "status") {
                set(pattern, "status", "True");
            }
        }
    }
}

/// Writes the selector and the labels that tie Pods to this Job alone; what the user wrote stays and is refused later.
fn generate_selector(object: &mut Value) {
    let meta = &object["metadata"];
    let (uid, name) = (str_at(meta, "uid").to_owned(), str_at(meta, "name").to_owned());
    if let Some(labels) = ensure_path(object, &TEMPLATE_LABELS) {
        for (key, value) in
            [(OLD_JOB_NAME, &name), (JOB_NAME, &name), (OLD_CONTROLLER_UID, &uid), (CONTROLLER_UID, &uid)]
        {
            set_default(labels, key, value.as_str());
        }
    }
    if let Some(labels) = ensure_path(object, &["spec", "selector", "matchLabels"]) {
        set_default(labels, CONTROLLER_UID, uid);
    }
}

fn generated_selector(object: &Value, errors: &mut Errors) {
    let (meta, spec) = (&object["metadata"], &object["spec"]);
    if spec["manualSelector"] == true || spec["selector"].is_null() {
        return;
    }
    let (uid, name) = (str_at(meta, "uid"), str_at(meta, "name"));
    if uid.is_empty() {
        errors.push(FieldError::required("metadata.uid", ""));
    }
    let labels = at(spec, &["template", "metadata", "labels"]);
    let path = Path::new("spec").child("template").child("metadata").child("labels");
    let expected = [(OLD_CONTROLLER_UID, uid), (OLD_JOB_NAME, name), (CONTROLLER_UID, uid), (JOB_NAME, name)];
    for (key, want) in expected {
        match labels[key].as_str() {
            None => errors.push(FieldError::required(path.key(key), format!("must be '{want}'"))),
            Some(is) if is != want => {
                errors.push(FieldError::invalid(path.key(key), labels.clone(), format!("must be '{want}'")));
            }
            Some(_) => {}
        }
    }
    let expected: serde_json::Map<String, Value> = expected.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
    if selector_matches(&spec["selector"], &Value::Object(expected)) == Some(false) {
        let text = "`selector` not auto-generated";
        errors.push(FieldError::invalid("spec.selector", spec["selector"].clone(), text));
    }
}

/// The rules of a spec that stands alone, with its selector.
fn whole_spec(spec: &Value, errors: &mut Errors) {
    let path = Path::new("spec");
    job_spec(spec, &path, errors);
    if spec["selector"].is_null() {
        errors.push(FieldError::required(path.child("selector"), ""));
    } else {
        label_selector(&spec["selector"], &path.child("selector"), errors);
    }
    let labels = at(spec, &["template", "metadata", "labels"]);
    if selector_matches(&spec["selector"], labels) == Some(false) {
        labels_mismatch(labels, &path, errors);
    }
}

/// The Pod of the last index is called `<job>-<index>`, and so is its host.
fn index_fits_host_name(object: &Value, errors: &mut Errors) {
    let (spec, name) = (&object["spec"], str_at(&object["metadata"], "name"));
    let Some(completions) = int_at(spec, "completions").filter(|n| *n > 0) else { return };
    let host = format!("{name}-{}", completions - 1);
    if str_at(spec, "completionMode") == "Indexed" && !words::is_dns1123_label(&host).is_empty() {
        let text = format!("will not able to create pod with invalid DNS label: {host}");
        errors.push(FieldError::invalid("metadata.name", name, text));
    }
}

fn immutable_members(object: &Value, old: &Value, errors: &mut Errors) {
    let (path, spec, was) = (Path::new("spec"), &object["spec"], &old["spec"]);
    completions(spec, was, &path, errors);
    immutable_at(spec, was, &["selector"], &path, errors);
    let mut template = was["template"].clone();
    if was["suspend"] == true && !has(&old["status"], "startTime") {
        with_mutable_directives_of(&spec["template"], &mut template);
    }
    if !semantic_eq(&spec["template"], &template) {
        let shown = go_template(&spec["template"]);
        errors.push(FieldError::invalid(path.child("template"), spec["template"].clone(), IMMUTABLE).shown_as(shown));
    }
    let fixed = ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"];
    immutable_at(spec, was, &fixed, &path, errors);
}

/// A template as the server prints it: the metadata's members, then the spec as the internal struct.
fn go_template(template: &Value) -> String {
    let meta = go_json(&template["metadata"]);
    let meta = meta.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or_default();
    let comma = if meta.is_empty() { "" } else { "," };
    format!("{{{meta}{comma}\"Spec\":{}}}", go_struct("core.v1.PodSpec", &template["spec"]))
}

/// Completions are fixed, except that an indexed Job scales them together with parallelism.
fn completions(spec: &Value, was: &Value, path: &Path, errors: &mut Errors) {
    if str_at(spec, "completionMode") != "Indexed" {
        immutable_at(spec, was, &["completions"], path, errors);
        return;
    }
    let now = int_at(spec, "completions");
    if let Some(now) = now.filter(|now| Some(*now) != int_at(was, "completions"))
        && Some(now) != int_at(spec, "parallelism")
    {
        let text = "can only be modified in tandem with spec.parallelism";
        errors.push(FieldError::invalid(path.child("completions"), now, text));
    }
}

/// A suspended Job that never started may still be steered elsewhere.
fn with_mutable_directives_of(new: &Value, template: &mut Value) {
    for name in ["nodeSelector", "tolerations", "schedulingGates"] {
        if let Some(spec) = template.get_mut("spec") {
            copy(&new["spec"], spec, name);
        }
    }
    if let Some(meta) = ensure_path(template, &["metadata"]) {
        copy(&new["metadata"], meta, "annotations");
        copy(&new["metadata"], meta, "labels");
    }
    let Some(spec) = template.get_mut("spec") else { return };
    if entries_at(&new["spec"], "affinity").next().is_none() && !has(&new["spec"], "affinity") {
        let others = entries_at(spec, "affinity").any(|(name, _)| name != "nodeAffinity");
        if !others {
            remove(spec, "affinity");
            return;
        }
    }
    if has(&new["spec"], "affinity")
        && let Some(affinity) = ensure_path(spec, &["affinity"])
    {
        copy(&new["spec"]["affinity"], affinity, "nodeAffinity");
    }
}
