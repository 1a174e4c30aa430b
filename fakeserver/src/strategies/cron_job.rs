//! CronJobs.
//!
//! Counterpart: `registry/batch/cronjob`, `SetDefaults_CronJob`, `validateCronJobSpec`.

use super::access::{ensure_path, has, is_empty_at, path_mut, set, set_default, str_at};
use super::job_spec::{job_spec, job_warnings};
use super::pod_spec::defaults;
use super::rules::{Errors, non_negative_at, required_one_of};
use super::templated::{keep_other_half, name_warning};
use super::{Strategy, WriteContext, cron_schedule, job};
use rehearsal_apimachinery::field::{FieldError, Path};
use serde_json::Value;
use std::sync::LazyLock;

/// Longest name: a Job appends eleven characters and may have 63.
const MAX_NAME: usize = 52;
/// Names of the IANA time zone database, one a line, sorted.
static TIME_ZONES: LazyLock<Vec<&str>> = LazyLock::new(|| include_str!("../../data/time-zones.txt").lines().collect());

/// The strategy of `cronjobs.batch`.
pub struct CronJobStrategy;

impl Strategy for CronJobStrategy {
    fn default(&self, object: &mut Value) {
        defaults::template(object, &["spec", "jobTemplate", "spec", "template", "spec"]);
        if let Some(spec) = path_mut(object, &["spec", "jobTemplate", "spec"]) {
            job::failure_policy(spec);
        }
        let Some(spec) = ensure_path(object, &["spec"]) else { return };
        if is_empty_at(spec, "concurrencyPolicy") {
            set(spec, "concurrencyPolicy", "Allow");
        }
        set_default(spec, "suspend", false);
        set_default(spec, "successfulJobsHistoryLimit", 3);
        set_default(spec, "failedJobsHistoryLimit", 1);
    }

    fn prepare_update(&self, cx: &WriteContext<'_>, object: &mut Value, old: &Value) {
        keep_other_half(cx.subresource, object, old);
    }

    fn validate_create(&self, _: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        cron_job_spec(&object["spec"], None, &mut errors);
        let name = str_at(&object["metadata"], "name");
        if name.len() > MAX_NAME {
            let text = format!("must be no more than {MAX_NAME} characters");
            errors.push(FieldError::invalid("metadata.name", name, text));
        }
        errors
    }

    fn validate_update(&self, cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        if cx.subresource != "status" {
            cron_job_spec(&object["spec"], Some(&old["spec"]), &mut errors);
        }
        errors
    }

    fn warnings(&self, _: &WriteContext<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        let path = Path::new("spec");
        let spec = &object["spec"];
        let mut warnings: Vec<String> = name_warning(object, "Pod names and hostnames", old).into_iter().collect();
        let template = path.child("jobTemplate").child("spec");
        warnings.extend(job_warnings(&spec["jobTemplate"]["spec"], &template, object, old));
        if old.is_some() && str_at(spec, "schedule").contains("TZ") {
            // The server says spec twice.
            let path = path.child("spec").child("schedule");
            warnings.push(format!("cannot use TZ or CRON_TZ in {path}, use timeZone instead, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"));
        }
        warnings
    }
}

fn cron_job_spec(spec: &Value, old: Option<&Value>, errors: &mut Errors) {
    let path = Path::new("spec");
    if str_at(spec, "schedule").is_empty() {
        errors.push(FieldError::required(path.child("schedule"), ""));
    } else {
        let zoned_before = old.is_some_and(|old| str_at(old, "schedule").contains("TZ"));
        schedule(spec, zoned_before, &path.child("schedule"), errors);
    }
    non_negative_at(spec, &["startingDeadlineSeconds"], &path, errors);
    if let Some(zone) = spec["timeZone"].as_str()
        && old.is_none_or(|old| old["timeZone"] != spec["timeZone"])
    {
        time_zone(zone, &path.child("timeZone"), errors);
    }
    if has(spec, "concurrencyPolicy") {
        let policies = ["Allow", "Forbid", "Replace"];
        required_one_of(str_at(spec, "concurrencyPolicy"), &policies, &path.child("concurrencyPolicy"), errors);
    }
    job_template(&spec["jobTemplate"]["spec"], &path.child("jobTemplate").child("spec"), errors);
    non_negative_at(spec, &["successfulJobsHistoryLimit", "failedJobsHistoryLimit"], &path, errors);
}

fn schedule(spec: &Value, zoned_before: bool, path: &Path, errors: &mut Errors) {
    let schedule = str_at(spec, "schedule");
    if let Err(text) = cron_schedule::check(schedule, is_time_zone) {
        errors.push(FieldError::invalid(path, schedule, text));
    }
    if schedule.contains("TZ") && !zoned_before {
        let text = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
        errors.push(FieldError::invalid(path, schedule, text));
    } else if schedule.contains("TZ") && has(spec, "timeZone") {
        let text = "cannot use both timeZone field and TZ or CRON_TZ in schedule";
        errors.push(FieldError::invalid(path, schedule, text));
    }
}

fn is_time_zone(name: &str) -> bool {
    name == "UTC" || TIME_ZONES.binary_search(&name).is_ok()
}

fn time_zone(zone: &str, path: &Path, errors: &mut Errors) {
    if zone.is_empty() {
        errors.push(FieldError::invalid(path, zone, "timeZone must be nil or non-empty string"));
        return;
    }
    let explicit = !zone.eq_ignore_ascii_case("local");
    if !explicit {
        let text = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        errors.push(FieldError::invalid(path, zone, text));
    }
    if !is_time_zone(zone) && zone != "Local" {
        errors.push(FieldError::invalid(path, zone, format!("unknown time zone {zone}")));
    }
}

fn job_template(spec: &Value, path: &Path, errors: &mut Errors) {
    job_spec(spec, path, errors);
    if has(spec, "selector") {
        let text = "`selector` will be auto-generated";
        errors.push(FieldError::invalid(path.child("selector"), spec["selector"].clone(), text));
    }
    if spec["manualSelector"] == true {
        errors.push(FieldError::not_supported(path.child("manualSelector"), true, &["nil", "false"]));
    }
}
