//! The refusals of workload kinds against those of a real server, as recorded in its transcripts.

use super::{Peek, Strategy, UserInfo, WriteContext};
use crate::clock::Clock;
use crate::ids::Ids;
use rehearsal_apimachinery::field::aggregate;
use serde_json::{Value, json};
use std::sync::Arc;

/// A cluster without objects.
struct Nothing;

impl Peek for Nothing {
    fn get(&self, _: &str, _: &str, _: &str) -> Option<Arc<Value>> {
        None
    }

    fn list(&self, _: &str, _: &str) -> Vec<Arc<Value>> {
        Vec::new()
    }
}

fn with_context<T>(subresource: &str, run: impl FnOnce(&WriteContext<'_>) -> T) -> T {
    let (clock, ids, user) = (Clock::real(), Ids::seeded(1), UserInfo::default());
    let cx = WriteContext { clock: &clock, ids: &ids, peek: &Nothing, user: &user, subresource, dry_run: false };
    run(&cx)
}

/// Creates as the registry does: defaults, uid, preparation, validation. Gives the object and the refusal.
fn create(strategy: &dyn Strategy, object: &Value) -> (Value, String) {
    let mut object = object.clone();
    strategy.default(&mut object);
    object["metadata"]["uid"] = json!("u-1");
    with_context("", |cx| {
        strategy.prepare_create(cx, &mut object);
        let errors = strategy.validate_create(cx, &object);
        let text = if errors.is_empty() { String::new() } else { aggregate(&errors) };
        (object, text)
    })
}

/// Updates `old` through a subresource and gives the object and the refusal.
fn update(strategy: &dyn Strategy, subresource: &str, old: &Value, object: &Value) -> (Value, String) {
    let mut object = object.clone();
    strategy.default(&mut object);
    with_context(subresource, |cx| {
        strategy.prepare_update(cx, &mut object, old);
        let errors = strategy.validate_update(cx, &object, old);
        let text = if errors.is_empty() { String::new() } else { aggregate(&errors) };
        (object, text)
    })
}

fn pod(spec: &Value) -> Value {
    json!({"metadata": {"name": "a"}, "spec": spec})
}

/// A container with these members beside name and image.
fn container(members: &Value) -> Value {
    let mut container = json!({"name": "c", "image": "x"});
    for (name, value) in members.as_object().into_iter().flatten() {
        container[name.as_str()] = value.clone();
    }
    container
}

fn refused(strategy: &dyn Strategy, cases: &[(Value, &str)]) {
    for (object, want) in cases {
        assert_eq!(create(strategy, object).1, *want, "{object}");
    }
}

#[test]
fn new_pods_are_refused_in_the_servers_words() {
    let ports = json!([
        {"containerPort": 0}, {"containerPort": 70000}, {"name": "UPPER", "containerPort": 1},
        {"name": "this-name-is-too-long", "containerPort": 2}, {"containerPort": 3, "protocol": "tcp"},
        {"containerPort": 4, "hostPort": 70000},
    ]);
    let only = |members: Value| pod(&json!({"containers": [container(&members)]}));
    refused(
        &super::pod::PodStrategy,
        &[
            (json!({"metadata": {"name": "a"}}), "spec.containers: Required value"),
            (
                pod(&json!({"containers": [{}]})),
                "[spec.containers[0].name: Required value, spec.containers[0].image: Required value]",
            ),
            (
                only(json!({"ports": ports})),
                r#"[spec.containers[0].ports[0].containerPort: Required value, spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive, spec.containers[0].ports[2].name: Invalid value: "UPPER": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-), spec.containers[0].ports[2].name: Invalid value: "UPPER": must contain at least one letter (a-z), spec.containers[0].ports[3].name: Invalid value: "this-name-is-too-long": must be no more than 15 characters, spec.containers[0].ports[4].protocol: Unsupported value: "tcp": supported values: "SCTP", "TCP", "UDP", spec.containers[0].ports[5].hostPort: Invalid value: 70000: must be between 1 and 65535, inclusive]"#,
            ),
            (
                only(json!({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}})),
                r#"spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1"#,
            ),
            (
                only(json!({"resources": {"requests": {"memory": "-1"}}})),
                r#"spec.containers[0].resources.requests[memory]: Invalid value: "-1": must be greater than or equal to 0"#,
            ),
            (
                only(json!({"resources": {"limits": {"gadgets": "1"}}})),
                r#"[spec.containers[0].resources.limits[gadgets]: Invalid value: "gadgets": must be a standard resource type or fully qualified, spec.containers[0].resources.limits[gadgets]: Invalid value: "gadgets": must be a standard resource for containers, spec.containers[0].resources.requests[gadgets]: Invalid value: "gadgets": must be a standard resource type or fully qualified, spec.containers[0].resources.requests[gadgets]: Invalid value: "gadgets": must be a standard resource for containers]"#,
            ),
            (
                only(json!({"resources": {"requests": {"example.com/gpu": "1"}}})),
                "spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources",
            ),
            (
                pod(
                    &json!({"hostNetwork": true, "containers": [container(&json!({"ports": [{"containerPort": 80, "hostPort": 81}]}))]}),
                ),
                "spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is true",
            ),
            (
                pod(
                    &json!({"containers": [container(&json!({}))], "ephemeralContainers": [{"name": "d", "image": "x"}]}),
                ),
                "spec.ephemeralContainers: Forbidden: cannot be set on create",
            ),
        ],
    );
}

#[test]
fn pods_change_only_where_they_may() {
    let strategy = super::pod::PodStrategy;
    let (old, _) = create(&strategy, &pod(&json!({"restartPolicy": "Always", "containers": [container(&json!({}))]})));
    let mut image = old.clone();
    image["spec"]["containers"][0]["image"] = json!("y");
    assert_eq!(update(&strategy, "", &old, &image).1, "");
    let mut renamed = old.clone();
    renamed["spec"]["containers"] = json!([container(&json!({})), {"name": "d", "image": "y"}]);
    let text = "spec.containers: Forbidden: pod updates may not add or remove containers";
    assert_eq!(update(&strategy, "", &old, &renamed).1, text);
    let mut policy = old.clone();
    policy["spec"]["restartPolicy"] = json!("Never");
    let refusal = update(&strategy, "", &old, &policy).1;
    let head = "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n@@ ";
    assert!(refusal.starts_with(head), "{refusal}");
}

#[test]
fn subresources_of_pods_take_only_their_part() {
    let strategy = super::pod::PodStrategy;
    let resources = json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "200m"}});
    let (old, _) = create(&strategy, &pod(&json!({"containers": [container(&json!({"resources": resources}))]})));

    let mut debugged = old.clone();
    debugged["spec"]["ephemeralContainers"] = json!([{"name": "debug", "image": "b", "targetContainerName": "c"}]);
    debugged["spec"]["containers"][0]["image"] = json!("other");
    let (debugged, refusal) = update(&strategy, "ephemeralcontainers", &old, &debugged);
    assert_eq!((refusal.as_str(), &debugged["spec"]["containers"][0]["image"]), ("", &json!("x")));
    let (_, refusal) = update(&strategy, "ephemeralcontainers", &debugged, &old);
    let text = "spec.ephemeralContainers: Forbidden: existing ephemeral containers \"debug\" may not be removed\n";
    assert_eq!(refusal, text);

    let mut resized = old.clone();
    resized["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "150m"}, "limits": {"cpu": "300m"}});
    resized["spec"]["containers"][0]["image"] = json!("other");
    let (resized, refusal) = update(&strategy, "resize", &old, &resized);
    assert_eq!((refusal.as_str(), &resized["spec"]["containers"][0]["image"]), ("", &json!("x")));
    let mut freed = old.clone();
    freed["spec"]["containers"][0]["resources"] = json!({});
    let (_, refusal) = update(&strategy, "resize", &old, &freed);
    assert!(
        refusal.contains("spec: Invalid value: \"Burstable\": Pod QOS Class may not change as a result of resizing"),
        "{refusal}"
    );
}

#[test]
fn selectors_and_templates_must_fit() {
    let spec = |members: Value| {
        let mut spec = json!({"template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [container(&json!({}))]}}});
        for (name, value) in members.as_object().into_iter().flatten() {
            spec[name.as_str()] = value.clone();
        }
        json!({"metadata": {"name": "a"}, "spec": spec})
    };
    let mismatch =
        "spec.template.metadata.labels: Invalid value: {\"app\":\"a\"}: `selector` does not match template `labels`";
    refused(
        &super::deployment::DeploymentStrategy,
        &[
            (spec(json!({})), format!("[spec.selector: Required value, {mismatch}]").as_str()),
            (
                spec(json!({"selector": {}})),
                "spec.selector: Invalid value: {}: empty selector is invalid for deployment",
            ),
            (
                json!({"metadata": {"name": "a"}}),
                "[spec.selector: Required value, spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`, spec.template.spec.containers: Required value]",
            ),
            (spec(json!({"selector": {"matchLabels": {"app": "b"}}})), mismatch),
            (
                spec(
                    json!({"selector": {"matchLabels": {"app": "a"}}, "strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}}),
                ),
                "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
            ),
        ],
    );
    refused(
        &super::stateful_set::StatefulSetStrategy,
        &[(spec(json!({"selector": {"matchLabels": {"app": "b"}}})), mismatch)],
    );
    refused(
        &super::daemon_set::DaemonSetStrategy,
        &[(spec(json!({"selector": {"matchLabels": {"app": "b"}}})), mismatch)],
    );
}

#[test]
fn updates_of_controllers_keep_what_identifies_them() {
    let template = json!({"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [container(&json!({}))]}});
    let object =
        json!({"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"app": "d"}}, "template": template}});
    let deployment = super::deployment::DeploymentStrategy;
    let (old, _) = create(&deployment, &object);
    let mut changed = old.clone();
    changed["spec"]["selector"] = json!({"matchLabels": {"app": "e"}});
    assert_eq!(
        update(&deployment, "", &old, &changed).1,
        "[spec.template.metadata.labels: Invalid value: {\"app\":\"d\"}: `selector` does not match template `labels`, spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"e\"}}: field is immutable]"
    );
    let stateful = super::stateful_set::StatefulSetStrategy;
    let (old, refusal) = create(&stateful, &object);
    assert_eq!(refusal, "");
    let mut changed = old.clone();
    changed["spec"]["serviceName"] = json!("b");
    assert_eq!(
        update(&stateful, "", &old, &changed).1,
        "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
    );
    let daemon = super::daemon_set::DaemonSetStrategy;
    let (old, _) = create(&daemon, &object);
    let mut changed = old.clone();
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = json!("y");
    let (changed, refusal) = update(&daemon, "", &old, &changed);
    let generation = &changed["metadata"]["annotations"]["deprecated.daemonset.template.generation"];
    assert_eq!((refusal.as_str(), generation), ("", &json!("2")));
}

#[test]
fn jobs_get_their_selector_and_keep_it() {
    let strategy = super::job::JobStrategy;
    let job = |members: Value| {
        let mut spec = json!({"template": {"spec": {"restartPolicy": "Never", "containers": [container(&json!({}))]}}});
        for (name, value) in members.as_object().into_iter().flatten() {
            spec[name.as_str()] = value.clone();
        }
        json!({"metadata": {"name": "b"}, "spec": spec})
    };
    let labels = json!({"batch.kubernetes.io/controller-uid": "u-1", "batch.kubernetes.io/job-name": "b", "controller-uid": "u-1", "job-name": "b"});
    let (old, refusal) = create(&strategy, &job(json!({})));
    assert_eq!(refusal, "");
    assert_eq!(old["metadata"]["labels"], labels);
    assert_eq!(old["spec"]["template"]["metadata"]["labels"], labels);
    assert_eq!(old["spec"]["selector"], json!({"matchLabels": {"batch.kubernetes.io/controller-uid": "u-1"}}));
    let mut more = old.clone();
    more["spec"]["completions"] = json!(5);
    assert_eq!(update(&strategy, "", &old, &more).1, "spec.completions: Invalid value: 5: field is immutable");
    refused(
        &strategy,
        &[
            (
                job(
                    json!({"selector": {"matchLabels": {"x": "y"}}, "template": {"metadata": {"labels": {"x": "y"}}, "spec": {"restartPolicy": "Never", "containers": [container(&json!({}))]}}}),
                ),
                "spec.selector: Invalid value: {\"matchLabels\":{\"batch.kubernetes.io/controller-uid\":\"u-1\",\"x\":\"y\"}}: `selector` not auto-generated",
            ),
            (
                job(json!({"parallelism": -1, "completionMode": "Indexed", "backoffLimit": -2})),
                "[spec.parallelism: Invalid value: -1: must be greater than or equal to 0, spec.backoffLimit: Invalid value: -2: must be greater than or equal to 0, spec.completions: Required value: when completion mode is Indexed]",
            ),
            (
                job(json!({"template": {"spec": {"restartPolicy": "Always", "containers": [container(&json!({}))]}}})),
                "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"",
            ),
        ],
    );
}

#[test]
fn cron_jobs_are_refused_in_the_servers_words() {
    let cron = |members: Value, policy: &str| {
        let job =
            json!({"spec": {"template": {"spec": {"restartPolicy": policy, "containers": [container(&json!({}))]}}}});
        let mut spec = json!({"jobTemplate": job});
        for (name, value) in members.as_object().into_iter().flatten() {
            spec[name.as_str()] = value.clone();
        }
        json!({"metadata": {"name": "a"}, "spec": spec})
    };
    refused(
        &super::cron_job::CronJobStrategy,
        &[
            (
                cron(json!({"schedule": "every day"}), "OnFailure"),
                "spec.schedule: Invalid value: \"every day\": expected exactly 5 fields, found 2: [every day]",
            ),
            (
                cron(
                    json!({"schedule": "61 * * * *", "timeZone": "Mars/Olympus", "concurrencyPolicy": "Often"}),
                    "OnFailure",
                ),
                "[spec.schedule: Invalid value: \"61 * * * *\": end of range (61) above maximum (59): 61, spec.timeZone: Invalid value: \"Mars/Olympus\": unknown time zone Mars/Olympus, spec.concurrencyPolicy: Unsupported value: \"Often\": supported values: \"Allow\", \"Forbid\", \"Replace\"]",
            ),
            (
                cron(json!({}), "Always"),
                "[spec.schedule: Required value, spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"]",
            ),
            (
                cron(json!({"schedule": "TZ=UTC 0 0 * * *"}), "OnFailure"),
                "spec.schedule: Invalid value: \"TZ=UTC 0 0 * * *\": cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
            ),
            (cron(json!({"schedule": "0 0 * * *", "timeZone": "Europe/Berlin"}), "OnFailure"), ""),
        ],
    );
}

#[test]
fn replication_controllers_take_selector_and_labels_from_their_template() {
    let strategy = super::replication_controller::ReplicationControllerStrategy;
    let template = json!({"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [container(&json!({}))]}});
    let (object, refusal) = create(&strategy, &json!({"metadata": {"name": "a"}, "spec": {"template": template}}));
    assert_eq!((refusal.as_str(), &object["spec"]["selector"]), ("", &json!({"app": "a"})));
    assert_eq!(object["metadata"]["labels"], json!({"app": "a"}));
    refused(
        &strategy,
        &[(
            json!({"metadata": {"name": "a"}, "spec": {"replicas": -1}}),
            "[spec.selector: Required value, spec.replicas: Invalid value: -1: must be greater than or equal to 0, spec.template: Required value]",
        )],
    );
}

#[test]
fn budgets_are_a_share_or_a_number_of_one_kind() {
    let budget = |spec: Value| json!({"metadata": {"name": "a"}, "spec": spec});
    refused(
        &super::pod_disruption_budget::PodDisruptionBudgetStrategy,
        &[
            (budget(json!({"minAvailable": 1, "selector": {}})), ""),
            (
                budget(json!({"minAvailable": "120%"})),
                "spec.minAvailable: Invalid value: \"120%\": must not be greater than 100%",
            ),
            (
                budget(json!({"minAvailable": 1, "maxUnavailable": 1})),
                "spec: Invalid value: {\"MinAvailable\":1,\"Selector\":null,\"MaxUnavailable\":1,\"UnhealthyPodEvictionPolicy\":null}: minAvailable and maxUnavailable cannot be both set",
            ),
            (
                budget(json!({"unhealthyPodEvictionPolicy": "Maybe"})),
                "spec.unhealthyPodEvictionPolicy: Unsupported value: \"Maybe\": supported values: \"AlwaysAllow\", \"IfHealthyBudget\"",
            ),
        ],
    );
}

#[test]
fn status_writes_must_be_plausible() {
    let template = json!({"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [container(&json!({}))]}});
    let object =
        json!({"metadata": {"name": "a"}, "spec": {"selector": {"matchLabels": {"app": "a"}}, "template": template}});
    let deployment = super::deployment::DeploymentStrategy;
    let (old, _) = create(&deployment, &object);
    let mut status = old.clone();
    status["status"] = json!({"replicas": 1, "readyReplicas": 2});
    status["spec"]["replicas"] = json!(9);
    let (written, refusal) = update(&deployment, "status", &old, &status);
    assert_eq!(refusal, "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas");
    assert!(written["spec"]["replicas"].is_null());

    let pods = super::pod::PodStrategy;
    let (old, _) = create(&pods, &pod(&json!({"restartPolicy": "Never", "containers": [container(&json!({}))]})));
    let mut running = old.clone();
    running["status"] = json!({"phase": "Running", "podIP": "10.0.0.1"});
    running["metadata"]["labels"] = json!({"x": "y"});
    let (running, refusal) = update(&pods, "status", &old, &running);
    assert_eq!(refusal, "");
    assert_eq!(running["status"]["qosClass"], "BestEffort");
    assert_eq!(running["status"]["podIPs"], json!([{"ip": "10.0.0.1"}]));
    assert_eq!(running["metadata"]["labels"], json!({"x": "y"}));
    let mut promoted = running.clone();
    promoted["status"]["qosClass"] = json!("Guaranteed");
    let text = "status.qosClass: Invalid value: \"Guaranteed\": field is immutable";
    assert_eq!(update(&pods, "status", &running, &promoted).1, text);
}
