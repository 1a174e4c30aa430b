//! Rows of workloads: controllers of pods, jobs, autoscalers, disruption budgets.

use super::age;
use super::cells::{
    NONE, UNKNOWN, UNSET, at, condition, containers, created, flag_text, int, labels, list, name, scalar, selector,
    selector_text, text,
};
use jiff::Timestamp;
use rehearsal_apimachinery::gvk::{GroupKind, GroupVersion};
use rehearsal_apimachinery::meta::ObjectMeta;
use serde_json::Value;

const TEMPLATE_CONTAINERS: &str = "/spec/template/spec/containers";

fn with_template(mut cells: Vec<Value>, object: &Value, selector: String) -> Vec<Value> {
    cells.extend(containers(object, TEMPLATE_CONTAINERS));
    cells.push(selector.into());
    cells
}

fn ready_of_desired(object: &Value) -> Value {
    format!("{}/{}", int(object, "/status/readyReplicas"), int(object, "/spec/replicas")).into()
}

pub(super) fn deployment(object: &Value, now: Timestamp) -> Vec<Value> {
    let cells = vec![
        name(object),
        ready_of_desired(object),
        int(object, "/status/updatedReplicas").into(),
        int(object, "/status/availableReplicas").into(),
        created(object, now),
    ];
    let selector = at(object, "/spec/selector").map_or(Some(String::new()), selector_text);
    with_template(cells, object, selector.unwrap_or_else(|| "<invalid>".to_owned()))
}

fn replicas(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(object),
        int(object, "/spec/replicas").into(),
        int(object, "/status/replicas").into(),
        int(object, "/status/readyReplicas").into(),
        created(object, now),
    ]
}

pub(super) fn replica_set(object: &Value, now: Timestamp) -> Vec<Value> {
    with_template(replicas(object, now), object, selector(object, "/spec/selector"))
}

pub(super) fn replication_controller(object: &Value, now: Timestamp) -> Vec<Value> {
    with_template(replicas(object, now), object, labels(object, "/spec/selector"))
}

pub(super) fn stateful_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let mut cells = vec![name(object), ready_of_desired(object), created(object, now)];
    cells.extend(containers(object, TEMPLATE_CONTAINERS));
    cells
}

pub(super) fn daemon_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let cells = vec![
        name(object),
        int(object, "/status/desiredNumberScheduled").into(),
        int(object, "/status/currentNumberScheduled").into(),
        int(object, "/status/numberReady").into(),
        int(object, "/status/updatedNumberScheduled").into(),
        int(object, "/status/numberAvailable").into(),
        labels(object, "/spec/template/spec/nodeSelector").into(),
        created(object, now),
    ];
    with_template(cells, object, selector(object, "/spec/selector"))
}

pub(super) fn scale(object: &Value, now: Timestamp) -> Vec<Value> {
    let (desired, available) = (int(object, "/spec/replicas"), int(object, "/status/replicas"));
    vec![name(object), desired.into(), available.into(), created(object, now)]
}

pub(super) fn controller_revision(object: &Value, now: Timestamp) -> Vec<Value> {
    let controller = object.owner_references().iter().find(|r| r.get("controller") == Some(&Value::Bool(true)));
    let owner = controller.map_or_else(
        || NONE.to_owned(),
        |r| {
            let group = GroupVersion::parse(text(r, "/apiVersion")).unwrap_or_default().group;
            let kind = GroupKind::new(group, text(r, "/kind")).to_string().to_lowercase();
            format!("{kind}/{}", text(r, "/name"))
        },
    );
    vec![name(object), owner.into(), int(object, "/revision").into(), created(object, now)]
}

pub(super) fn pod_template(object: &Value) -> Vec<Value> {
    let mut cells = vec![name(object)];
    cells.extend(containers(object, "/template/spec/containers"));
    cells.push(labels(object, "/template/metadata/labels").into());
    cells
}

// === jobs ===

pub(super) fn job(object: &Value, now: Timestamp) -> Vec<Value> {
    let cells = vec![
        name(object),
        job_status(object).into(),
        completions(object).into(),
        job_duration(object, now).into(),
        created(object, now),
    ];
    with_template(cells, object, selector(object, "/spec/selector"))
}

fn job_status(object: &Value) -> &'static str {
    let has = |kind| condition(object, "/status/conditions", kind).is_some_and(|c| text(c, "/status") == "True");
    match () {
        () if has("Complete") => "Complete",
        () if has("Failed") => "Failed",
        () if object.is_deleting() => "Terminating",
        () if has("Suspended") => "Suspended",
        () if has("FailureTarget") => "FailureTarget",
        () if has("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}

fn completions(object: &Value) -> String {
    let succeeded = int(object, "/status/succeeded");
    match (at(object, "/spec/completions"), int(object, "/spec/parallelism")) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    }
}

fn job_duration(object: &Value, now: Timestamp) -> String {
    let Some(start) = age::time(at(object, "/status/startTime")) else { return String::new() };
    let end = age::time(at(object, "/status/completionTime")).unwrap_or(now);
    age::between(start, end)
}

pub(super) fn cron_job(object: &Value, now: Timestamp) -> Vec<Value> {
    let last = at(object, "/status/lastScheduleTime").map_or_else(|| NONE.to_owned(), |t| age::since(Some(t), now));
    let mut cells = vec![
        name(object),
        text(object, "/spec/schedule").into(),
        at(object, "/spec/timeZone").and_then(Value::as_str).unwrap_or(NONE).into(),
        flag_text(object, "/spec/suspend").into(),
        list(object, "/status/active").len().into(),
        last.into(),
        created(object, now),
    ];
    cells.extend(containers(object, "/spec/jobTemplate/spec/template/spec/containers"));
    cells.push(selector(object, "/spec/jobTemplate/spec/selector").into());
    cells
}

// === budgets and autoscalers ===

pub(super) fn pod_disruption_budget(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(object),
        scalar(object, "/spec/minAvailable", "N/A").into(),
        scalar(object, "/spec/maxUnavailable", "N/A").into(),
        int(object, "/status/disruptionsAllowed").into(),
        created(object, now),
    ]
}

pub(super) fn horizontal_pod_autoscaler(object: &Value, now: Timestamp) -> Vec<Value> {
    let target = format!("{}/{}", text(object, "/spec/scaleTargetRef/kind"), text(object, "/spec/scaleTargetRef/name"));
    vec![
        name(object),
        target.into(),
        metrics(object).into(),
        scalar(object, "/spec/minReplicas", UNSET).into(),
        int(object, "/spec/maxReplicas").into(),
        int(object, "/status/currentReplicas").into(),
        created(object, now),
    ]
}

/// The first two metrics as `current/target`.
fn metrics(object: &Value) -> String {
    const SHOWN: usize = 2;
    let mut printed: Vec<String> = list(object, "/spec/metrics")
        .iter()
        .enumerate()
        .map(|(i, spec)| metric(spec, list(object, "/status/currentMetrics").get(i)))
        .collect();
    // autoscaling/v1 says the same of its only metric in two plain fields.
    if let Some(target) = at(object, "/spec/targetCPUUtilizationPercentage") {
        let current = at(object, "/status/currentCPUUtilizationPercentage");
        printed.push(format!("cpu: {}/{target}%", percent(current, UNKNOWN)));
    }
    let total = printed.len();
    if total == 0 {
        return NONE.to_owned();
    }
    printed.truncate(SHOWN);
    let text = printed.join(", ");
    if total > SHOWN { format!("{text} + {} more...", total - SHOWN) } else { text }
}

fn percent(value: Option<&Value>, missing: &str) -> String {
    value.map_or_else(|| missing.to_owned(), |v| format!("{v}%"))
}

fn metric(spec: &Value, status: Option<&Value>) -> String {
    let (member, named, marked) = match text(spec, "/type") {
        "External" => ("external", false, true),
        "Object" => ("object", false, true),
        "Pods" => ("pods", false, false),
        "Resource" => ("resource", true, false),
        "ContainerResource" => ("containerResource", true, false),
        _ => return "<unknown type>".to_owned(),
    };
    let missing = Value::Null;
    let source = at(spec, &format!("/{member}")).unwrap_or(&missing);
    let current = status.and_then(|s| at(s, &format!("/{member}/current")));
    let value = |key: &str| current.map_or_else(|| UNKNOWN.to_owned(), |c| scalar(c, key, "0"));
    let average = at(source, "/target/averageValue").is_some();
    let printed = if average || member == "pods" {
        // The average of an external or object metric may be missing where its plain value is there.
        let current = match current {
            Some(c) if !marked || at(c, "/averageValue").is_some() => scalar(c, "/averageValue", "0"),
            _ => UNKNOWN.to_owned(),
        };
        format!("{current}/{}{}", scalar(source, "/target/averageValue", "0"), if marked { " (avg)" } else { "" })
    } else if marked {
        format!("{}/{}", value("/value"), scalar(source, "/target/value", "0"))
    } else {
        let current = percent(current.and_then(|c| at(c, "/averageUtilization")), UNKNOWN);
        format!("{current}/{}", percent(at(source, "/target/averageUtilization"), "<auto>"))
    };
    if named { format!("{}: {printed}", text(source, "/name")) } else { printed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn now() -> Timestamp {
        "2026-01-01T00:10:00Z".parse().unwrap()
    }

    #[test]
    fn jobs_tell_completions_and_duration() {
        let object = json!({"metadata": {"name": "j"}, "spec": {"completions": 3, "parallelism": 2},
            "status": {"succeeded": 1, "startTime": "2026-01-01T00:05:00Z"}});
        assert_eq!(job(&object, now())[1..4], [json!("Running"), json!("1/3"), json!("5m")]);
        let done = json!({"spec": {"parallelism": 4}, "status": {"succeeded": 1,
            "startTime": "2026-01-01T00:05:00Z", "completionTime": "2026-01-01T00:05:09Z",
            "conditions": [{"type": "Complete", "status": "True"}]}});
        assert_eq!(job(&done, now())[1..4], [json!("Complete"), json!("1/1 of 4"), json!("9s")]);
        assert_eq!(job(&json!({}), now())[1..4], [json!("Running"), json!("0/1"), json!("")]);
    }

    #[test]
    fn cron_jobs_print_what_is_not_set() {
        let cells = cron_job(&json!({"spec": {"schedule": "* * * * *", "suspend": false}}), now());
        assert_eq!(cells[1..6], [json!("* * * * *"), json!("<none>"), json!("False"), json!(0), json!("<none>")]);
    }

    #[test]
    fn autoscalers_print_two_metrics_and_count_the_rest() {
        let object = json!({
            "spec": {"metrics": [
                {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 50}}},
                {"type": "External", "external": {"target": {"averageValue": "10"}}},
                {"type": "Pods", "pods": {"target": {"averageValue": "3"}}}
            ]},
            "status": {"currentMetrics": [{"type": "Resource", "resource": {"current": {"averageUtilization": 42}}}]}
        });
        assert_eq!(metrics(&object), "cpu: 42%/50%, <unknown>/10 (avg) + 1 more...");
        assert_eq!(metrics(&json!({})), "<none>");
        assert_eq!(metrics(&json!({"spec": {"targetCPUUtilizationPercentage": 80}})), "cpu: <unknown>/80%");
    }

    #[test]
    fn controller_revisions_name_their_controller() {
        let object = json!({"metadata": {"name": "r", "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "s", "controller": true}]}, "revision": 2});
        assert_eq!(controller_revision(&object, now())[1..3], [json!("statefulset.apps/s"), json!(2)]);
    }
}
