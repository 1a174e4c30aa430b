//! StatefulSets.
//!
//! Counterpart: `registry/apps/statefulset`, `SetDefaults_StatefulSet`, `ValidateStatefulSetSpec`.

use super::access::{
    copy, ensure_path, has, int_at, is_empty_at, list_at, list_mut, semantic_eq, set, set_default, str_at,
};
use super::claim_spec::{as_volumes, claim_spec};
use super::pod_spec::{defaults, pod_template};
use super::rules::{
    Errors, collision_count_not_decremented, count_or_percent, count_or_percent_value, dns_label, invalid_struct,
    non_negative, non_negative_at, not_above, not_above_hundred_percent, one_of,
};
use super::templated::{
    always_running, keep_other_half, required_selector, selector_matches_template, template_warnings,
};
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use serde_json::Value;

/// Members of the spec that an update may change.
const MUTABLE: [&str; 7] = [
    "replicas",
    "template",
    "updateStrategy",
    "minReadySeconds",
    "ordinals",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
];

/// The strategy of `statefulsets.apps`.
pub struct StatefulSetStrategy;

impl Strategy for StatefulSetStrategy {
    fn default(&self, object: &mut Value) {
        defaults::template(object, &["spec", "template", "spec"]);
        let Some(spec) = ensure_path(object, &["spec"]) else { return };
        if is_empty_at(spec, "podManagementPolicy") {
            set(spec, "podManagementPolicy", "OrderedReady");
        }
        if let Some(strategy) = ensure_path(spec, &["updateStrategy"]) {
            if is_empty_at(strategy, "type") {
                set(strategy, "type", "RollingUpdate");
            }
            if str_at(strategy, "type") == "RollingUpdate"
                && let Some(rolling) = ensure_path(strategy, &["rollingUpdate"])
            {
                set_default(rolling, "partition", 0);
            }
        }
        if let Some(policy) = ensure_path(spec, &["persistentVolumeClaimRetentionPolicy"]) {
            for name in ["whenDeleted", "whenScaled"] {
                if is_empty_at(policy, name) {
                    set(policy, name, "Retain");
                }
            }
        }
        for claim in list_mut(spec, "volumeClaimTemplates") {
            set(claim, "kind", "PersistentVolumeClaim");
            set(claim, "apiVersion", "v1");
            for (path, name, value) in [("spec", "volumeMode", "Filesystem"), ("status", "phase", "Pending")] {
                if let Some(holder) = ensure_path(claim, &[path]).filter(|holder| is_empty_at(holder, name)) {
                    set(holder, name, value);
                }
            }
        }
    }

    fn prepare_update(&self, cx: &WriteContext<'_>, object: &mut Value, old: &Value) {
        keep_other_half(cx.subresource, object, old);
    }

    fn validate_create(&self, _: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        stateful_set_spec(&object["spec"], Checks::All, &mut errors);
        errors
    }

    fn validate_update(&self, cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        if cx.subresource == "status" {
            return status(&object["status"], &old["status"]);
        }
        let mut errors = Errors::new();
        // What was stored before a rule came may stay: an invalid template does not block other updates.
        let mut old_errors = Errors::new();
        stateful_set_spec(&old["spec"], Checks::Update, &mut old_errors);
        let checks = if old_errors.is_empty() { Checks::Update } else { Checks::NoTemplate };
        stateful_set_spec(&object["spec"], checks, &mut errors);
        let mut munged = object["spec"].clone();
        for name in MUTABLE {
            copy(&old["spec"], &mut munged, name);
        }
        if !semantic_eq(&munged, &old["spec"]) {
            let text = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
            errors.push(FieldError::forbidden(Path::new("spec"), text));
        }
        errors
    }

    fn warnings(&self, _: &WriteContext<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        let (spec, path) = (&object["spec"], Path::new("spec"));
        let mut warnings = template_warnings(&spec["template"], &path.child("template"), object, old);
        if int_at(spec, "revisionHistoryLimit").is_some_and(|limit| limit < 0) {
            let text = "a negative value retains all historical revisions; a value >= 0 is recommended";
            warnings.push(format!("{}: {text}", path.child("revisionHistoryLimit")));
        }
        warnings
    }
}

/// How much of a spec to validate.
#[derive(Clone, Copy, PartialEq)]
enum Checks {
    All,
    /// Not the service name and the claim templates, which cannot change.
    Update,
    /// Nor the template.
    NoTemplate,
}

fn stateful_set_spec(spec: &Value, checks: Checks, errors: &mut Errors) {
    let path = Path::new("spec");
    if has(spec, "podManagementPolicy") {
        let policy = str_at(spec, "podManagementPolicy");
        if !matches!(policy, "OrderedReady" | "Parallel") {
            let text = "must be 'OrderedReady' or 'Parallel'";
            errors.push(FieldError::invalid(path.child("podManagementPolicy"), policy, text));
        }
    }
    update_strategy(&spec["updateStrategy"], &path.child("updateStrategy"), errors);
    let retention = &spec["persistentVolumeClaimRetentionPolicy"];
    for name in ["whenDeleted", "whenScaled"] {
        if has(retention, name) {
            let path = path.child("persistentVolumeClaimRetentionPolicy").child(name);
            one_of(str_at(retention, name), &["Retain", "Delete"], &path, errors);
        }
    }
    non_negative_at(spec, &["replicas", "minReadySeconds"], &path, errors);
    non_negative(int_at(&spec["ordinals"], "start").unwrap_or_default(), &path.child("ordinals.start"), errors);
    required_selector(spec, "statefulset", &path, errors);
    if selector_matches_template(spec, "", &path, errors) && checks != Checks::NoTemplate {
        let volumes = as_volumes(list_at(spec, "volumeClaimTemplates"));
        pod_template(&spec["template"], &volumes, &path.child("template"), errors);
    }
    always_running(spec, "StatefulSet", &path, errors);
    if checks == Checks::All {
        let service = str_at(spec, "serviceName");
        if !service.is_empty() {
            dns_label(service, &path.child("serviceName"), errors);
        }
        for (i, claim) in list_at(spec, "volumeClaimTemplates").iter().enumerate() {
            claim_spec(&claim["spec"], &path.child("volumeClaimTemplates").index(i).child("spec"), errors);
        }
    }
}

fn update_strategy(strategy: &Value, path: &Path, errors: &mut Errors) {
    let rolling = &strategy["rollingUpdate"];
    let rolling_path = path.child("rollingUpdate");
    match strategy["type"].as_str() {
        None | Some("RollingUpdate") => {
            non_negative_at(rolling, &["partition"], &rolling_path, errors);
            let (unavailable, path) = (&rolling["maxUnavailable"], rolling_path.child("maxUnavailable"));
            if !unavailable.is_null() {
                count_or_percent(unavailable, &path, errors);
                if count_or_percent_value(unavailable) == 0 {
                    errors.push(FieldError::invalid(&path, unavailable.clone(), "cannot be 0"));
                }
                not_above_hundred_percent(unavailable, &path, errors);
            }
        }
        Some("OnDelete") => {
            if !rolling.is_null() {
                let text = "only allowed for updateStrategy 'RollingUpdate'";
                errors.push(invalid_struct(rolling_path, "apps.v1.RollingUpdateStatefulSetStrategy", rolling, text));
            }
        }
        Some(_) => {
            let text = "must be 'RollingUpdate' or 'OnDelete'";
            errors.push(invalid_struct(path, "apps.v1.StatefulSetUpdateStrategy", strategy, text));
        }
    }
}

fn status(status: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    let path = Path::new("status");
    let counters = [
        "replicas",
        "readyReplicas",
        "currentReplicas",
        "updatedReplicas",
        "availableReplicas",
        "observedGeneration",
        "collisionCount",
    ];
    non_negative_at(status, &counters, &path, &mut errors);
    let parts = ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"];
    not_above(status, &parts, "replicas", "cannot be greater than status.replicas", &path, &mut errors);
    let text = "cannot be greater than status.readyReplicas";
    not_above(status, &["availableReplicas"], "readyReplicas", text, &path, &mut errors);
    collision_count_not_decremented(status, old, &path, &mut errors);
    errors
}
