//! Controllers against a whole server, without sockets and without sleeping.

use super::*;
use crate::registry::{Change, Deleted, Mode, Target, Write};
use crate::serve::FakeServer;
use crate::strategies::{Peek as _, UserInfo};
use rehearsal_apimachinery::options::DeleteOptions;
use rehearsal_apimachinery::{ObjectMeta, ObjectMetaMut};
use serde_json::{Value, json};

/// A server and an administrator.
struct Cluster(FakeServer);

impl Cluster {
    async fn with(controllers: Controllers) -> Self {
        let cluster = Self(FakeServer::builder().controllers(controllers).start().await.unwrap());
        cluster.0.settle().await;
        cluster
    }

    async fn essential() -> Self {
        Self::with(Controllers::essential()).await
    }

    fn target(&self, resource: &str, key: &str) -> Target {
        let (namespace, name) = crate::store::split_key(key);
        self.0.registry().internal_target(resource, namespace, name).unwrap()
    }

    /// Creates an object and returns its uid.
    async fn create(&self, resource: &str, key: &str, mut object: Value) -> String {
        let target = self.target(resource, key);
        object["kind"] = json!(target.info.kind);
        object["apiVersion"] = json!(target.info.gvk().api_version());
        object.set_meta("name", target.name.as_str());
        let user = UserInfo::default();
        let made = self.0.registry().create(&target, object, &mut write(&user)).await.unwrap();
        made.uid()
    }

    async fn namespace(&self, name: &str) {
        self.create("namespaces", name, json!({"spec": {"finalizers": ["kubernetes"]}})).await;
        self.0.settle().await;
    }

    async fn delete(&self, resource: &str, key: &str, policy: Option<&str>) -> Deleted {
        let user = UserInfo::default();
        let options = DeleteOptions { propagation_policy: policy.map(str::to_owned), ..DeleteOptions::default() };
        let target = self.target(resource, key);
        let deleted = self.0.registry().delete(&target, &options, &mut write(&user)).await.unwrap();
        self.0.settle().await;
        deleted
    }

    async fn delete_now(&self, resource: &str, key: &str) {
        let user = UserInfo::default();
        let options = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
        self.0.registry().delete(&self.target(resource, key), &options, &mut write(&user)).await.unwrap();
        self.0.settle().await;
    }

    async fn edit(&self, resource: &str, key: &str, change: impl Fn(&mut Value) + Send + Sync) {
        let user = UserInfo::default();
        let edit = |live: Option<&Value>| {
            let mut new = live.cloned().unwrap();
            change(&mut new);
            Ok(Change::To(new))
        };
        let target = self.target(resource, key);
        self.0.registry().update(&target, Mode::Patch, &mut write(&user), &edit).await.unwrap();
        self.0.settle().await;
    }

    fn get(&self, resource: &str, key: &str) -> Option<Value> {
        let (namespace, name) = crate::store::split_key(key);
        self.0.registry().peek().get(resource, namespace, name).map(|object| (*object).clone())
    }

    fn exists(&self, resource: &str, key: &str) -> bool {
        self.get(resource, key).is_some()
    }
}

fn write(user: &UserInfo) -> Write<'_> {
    Write { user, manager: "test".into(), dry_run: false, warnings: Vec::new() }
}

/// Metadata with owners among ConfigMaps, as (name, uid, blockOwnerDeletion).
fn owned(owners: &[(&str, &str, bool)]) -> Value {
    let owners: Vec<Value> = owners
        .iter()
        .map(|(name, uid, block)| {
            let mut reference = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid});
            if *block {
                reference["blockOwnerDeletion"] = json!(true);
            }
            reference
        })
        .collect();
    json!({"metadata": {"ownerReferences": owners}})
}

fn unfinalize(object: &mut Value) {
    object.remove_meta("finalizers");
}

#[test]
fn sets_are_read_from_names() {
    assert_eq!(Controllers::parse("none"), Ok(Controllers::none()));
    assert_eq!(Controllers::parse("default"), Ok(Controllers::essential()));
    assert_eq!(Controllers::parse("all"), Ok(Controllers::all()));
    let two = Controllers::parse("namespace, root-ca").unwrap();
    assert!(two.has("namespace") && two.has("root-ca") && !two.has("garbage-collector"));
}

#[test]
fn an_unknown_name_is_refused_with_advice() {
    let refusal = |text: &str| Controllers::parse(text).unwrap_err().to_string();
    assert_eq!(refusal("namespaces"), r#"unknown controller "namespaces": did you mean "namespace"?"#);
    assert_eq!(
        refusal("all,garbagecollector"),
        r#"unknown controller "garbagecollector": did you mean "garbage-collector"?"#
    );
    assert!(refusal("x").starts_with(r#"unknown controller "x": choose among none, default, all, service-account, "#));
}

#[tokio::test]
async fn a_namespace_has_an_account_and_a_ca_and_gets_them_back() {
    let cluster = Cluster::essential().await;
    cluster.namespace("a").await;
    for namespace in ["a", "default", "kube-system"] {
        let account = cluster.get("serviceaccounts", &format!("{namespace}/default")).unwrap();
        let ca = cluster.get("configmaps", &format!("{namespace}/kube-root-ca.crt")).unwrap();
        assert!(ca["data"]["ca.crt"].is_string());
        cluster.delete("serviceaccounts", &format!("{namespace}/default"), None).await;
        cluster.delete("configmaps", &format!("{namespace}/kube-root-ca.crt"), None).await;
        assert_ne!(cluster.get("serviceaccounts", &format!("{namespace}/default")).unwrap().uid(), account.uid());
        assert_ne!(cluster.get("configmaps", &format!("{namespace}/kube-root-ca.crt")).unwrap().uid(), ca.uid());
    }
}

#[tokio::test]
async fn a_changed_ca_is_put_back() {
    let cluster = Cluster::essential().await;
    let before = cluster.get("configmaps", "default/kube-root-ca.crt").unwrap();
    cluster.edit("configmaps", "default/kube-root-ca.crt", |ca| ca["data"] = json!({"ca.crt": "mine"})).await;
    assert_eq!(cluster.get("configmaps", "default/kube-root-ca.crt").unwrap()["data"], before["data"]);
}

#[tokio::test]
async fn a_deleted_namespace_goes_with_its_content() {
    let cluster = Cluster::essential().await;
    cluster.namespace("a").await;
    cluster.create("configmaps", "a/x", json!({})).await;
    cluster.create("leases.coordination.k8s.io", "a/x", json!({})).await;
    cluster.delete("namespaces", "a", None).await;
    assert!(!cluster.exists("namespaces", "a"));
    assert_eq!(cluster.0.registry().peek().list("configmaps", "a").len(), 0);
    assert_eq!(cluster.0.registry().peek().list("leases.coordination.k8s.io", "a").len(), 0);
    assert!(!cluster.exists("serviceaccounts", "a/default"));
}

#[tokio::test]
async fn a_namespace_waits_for_the_finalizers_of_its_content() {
    let cluster = Cluster::essential().await;
    cluster.namespace("a").await;
    cluster.create("configmaps", "a/held", json!({"metadata": {"finalizers": ["example.com/hold"]}})).await;
    cluster.create("configmaps", "a/free", json!({})).await;
    cluster.delete("namespaces", "a", None).await;
    assert!(cluster.exists("configmaps", "a/held") && !cluster.exists("configmaps", "a/free"));
    let status = cluster.get("namespaces", "a").unwrap()["status"].clone();
    assert_eq!(status["phase"], "Terminating");
    let told: Vec<(&str, &str, &str)> = status["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (c["status"].as_str().unwrap(), c["reason"].as_str().unwrap(), c["message"].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            ("False", "ResourcesDiscovered", "All resources successfully discovered"),
            ("False", "ParsedGroupVersions", "All legacy kube types successfully parsed"),
            ("False", "ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
            ("True", "SomeResourcesRemain", "Some resources are remaining: configmaps. has 1 resource instances"),
            (
                "True",
                "SomeFinalizersRemain",
                "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"
            ),
        ]
    );
    cluster.edit("configmaps", "a/held", unfinalize).await;
    assert!(!cluster.exists("namespaces", "a"));
}

#[tokio::test]
async fn pods_go_before_the_rest_of_a_namespace() {
    let cluster = Cluster::with(Controllers::parse("namespace").unwrap()).await;
    cluster.namespace("a").await;
    let spec = json!({"containers": [{"name": "c", "image": "x"}]});
    cluster.create("pods", "a/p", json!({"metadata": {"finalizers": ["example.com/hold"]}, "spec": spec})).await;
    cluster.create("configmaps", "a/x", json!({})).await;
    cluster.delete("namespaces", "a", None).await;
    assert!(cluster.exists("configmaps", "a/x"));
    cluster.edit("pods", "a/p", unfinalize).await;
    assert!(!cluster.exists("namespaces", "a") && !cluster.exists("configmaps", "a/x"));
}

#[tokio::test]
async fn dependents_go_after_their_owner_along_a_chain() {
    let cluster = Cluster::essential().await;
    let a = cluster.create("configmaps", "default/a", json!({})).await;
    let b = cluster.create("configmaps", "default/b", owned(&[("a", &a, false)])).await;
    cluster.create("secrets", "default/c", owned(&[("b", &b, false)])).await;
    cluster.0.settle().await;
    assert!(cluster.exists("secrets", "default/c"));
    let gone = cluster.delete("configmaps", "default/a", Some("Background")).await;
    assert!(matches!(gone, Deleted::Gone(_)));
    assert!(!cluster.exists("configmaps", "default/b") && !cluster.exists("secrets", "default/c"));
}

#[tokio::test]
async fn a_foreground_owner_waits_for_the_dependents_that_block_it() {
    let cluster = Cluster::essential().await;
    let uid = cluster.create("configmaps", "default/owner", json!({})).await;
    let mut held = owned(&[("owner", &uid, true)]);
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    cluster.create("configmaps", "default/held", held).await;
    cluster.create("configmaps", "default/free", owned(&[("owner", &uid, true)])).await;
    cluster.create("configmaps", "default/indifferent", owned(&[("owner", &uid, false)])).await;
    cluster.delete("configmaps", "default/owner", Some("Foreground")).await;
    assert!(!cluster.exists("configmaps", "default/free") && !cluster.exists("configmaps", "default/indifferent"));
    assert!(cluster.get("configmaps", "default/held").unwrap().is_deleting());
    assert_eq!(cluster.get("configmaps", "default/owner").unwrap().finalizers(), ["foregroundDeletion"]);
    cluster.edit("configmaps", "default/held", unfinalize).await;
    assert!(!cluster.exists("configmaps", "default/held") && !cluster.exists("configmaps", "default/owner"));
}

#[tokio::test]
async fn a_foreground_owner_goes_when_a_dependent_no_longer_blocks_it() {
    let cluster = Cluster::essential().await;
    let uid = cluster.create("configmaps", "default/owner", json!({})).await;
    let mut held = owned(&[("owner", &uid, true)]);
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    cluster.create("configmaps", "default/held", held).await;
    cluster.delete("configmaps", "default/owner", Some("Foreground")).await;
    assert!(cluster.exists("configmaps", "default/owner"));
    let unblock = |held: &mut Value| held["metadata"]["ownerReferences"][0]["blockOwnerDeletion"] = json!(false);
    cluster.edit("configmaps", "default/held", unblock).await;
    assert!(!cluster.exists("configmaps", "default/owner") && cluster.exists("configmaps", "default/held"));
}

#[tokio::test]
async fn a_circle_of_blocking_owners_is_broken() {
    let cluster = Cluster::essential().await;
    let a = cluster.create("configmaps", "default/a", json!({})).await;
    let b = cluster.create("configmaps", "default/b", owned(&[("a", &a, true)])).await;
    let owner = owned(&[("b", &b, true)])["metadata"]["ownerReferences"].clone();
    cluster.edit("configmaps", "default/a", |a| a.set_meta("ownerReferences", owner.clone())).await;
    cluster.delete("configmaps", "default/a", Some("Foreground")).await;
    assert!(!cluster.exists("configmaps", "default/a") && !cluster.exists("configmaps", "default/b"));
}

#[tokio::test]
async fn orphans_lose_their_references_and_stay() {
    let cluster = Cluster::essential().await;
    let uid = cluster.create("configmaps", "default/owner", json!({})).await;
    cluster.create("configmaps", "default/dep", owned(&[("owner", &uid, true)])).await;
    let pending = cluster.delete("configmaps", "default/owner", Some("Orphan")).await;
    assert!(matches!(pending, Deleted::Pending(_)));
    assert!(!cluster.exists("configmaps", "default/owner"));
    let dependent = cluster.get("configmaps", "default/dep").unwrap();
    assert!(dependent.owner_references().is_empty() && !dependent.is_deleting());
}

#[tokio::test]
async fn owners_are_looked_up_by_name_and_compared_by_uid() {
    let cluster = Cluster::essential().await;
    cluster.namespace("other").await;
    let uid = cluster.create("configmaps", "default/owner", json!({})).await;
    let elsewhere = cluster.create("configmaps", "other/far", json!({})).await;
    cluster.create("configmaps", "default/right", owned(&[("owner", &uid, false)])).await;
    cluster
        .create("configmaps", "default/wrong", owned(&[("owner", "00000000-0000-4000-8000-000000000000", false)]))
        .await;
    cluster.create("configmaps", "default/absent", owned(&[("nosuch", &uid, false)])).await;
    cluster.create("configmaps", "default/far", owned(&[("far", &elsewhere, false)])).await;
    cluster.0.settle().await;
    let there = ["right", "wrong", "absent", "far"].map(|n| cluster.exists("configmaps", &format!("default/{n}")));
    assert_eq!(there, [true, false, false, false]);
}

#[tokio::test]
async fn a_cluster_scoped_dependent_of_a_namespaced_owner_is_left_alone() {
    let cluster = Cluster::essential().await;
    cluster
        .create("priorityclasses.scheduling.k8s.io", "p", {
            let mut class = owned(&[("nosuch", "u", false)]);
            class["value"] = json!(1);
            class
        })
        .await;
    cluster.0.settle().await;
    assert!(cluster.exists("priorityclasses.scheduling.k8s.io", "p"));
}

#[tokio::test]
async fn owners_of_an_unknown_kind_keep_their_dependents() {
    let cluster = Cluster::essential().await;
    let owner = json!([{"apiVersion": "example.com/v1", "kind": "Widget", "name": "w", "uid": "u"}]);
    cluster.create("configmaps", "default/dep", json!({"metadata": {"ownerReferences": owner}})).await;
    cluster.0.settle().await;
    assert!(cluster.exists("configmaps", "default/dep"));
}

#[tokio::test]
async fn of_two_owners_the_absent_one_is_dropped() {
    let cluster = Cluster::essential().await;
    let first = cluster.create("configmaps", "default/first", json!({})).await;
    let second = cluster.create("configmaps", "default/second", json!({})).await;
    cluster.create("configmaps", "default/dep", owned(&[("first", &first, false), ("second", &second, false)])).await;
    cluster.delete("configmaps", "default/first", None).await;
    let dependent = cluster.get("configmaps", "default/dep").unwrap();
    assert_eq!(dependent.owner_references().len(), 1);
    assert_eq!(dependent.owner_references()[0]["name"], "second");
    cluster.delete("configmaps", "default/second", None).await;
    assert!(!cluster.exists("configmaps", "default/dep"));
}

#[tokio::test]
async fn aggregated_roles_follow_their_parts() {
    const ROLES: &str = "clusterroles.rbac.authorization.k8s.io";
    let cluster = Cluster::essential().await;
    assert!(cluster.get(ROLES, "view").unwrap()["rules"].as_array().is_some_and(|rules| !rules.is_empty()));
    let rule = json!([{"verbs": ["list"], "apiGroups": ["x"], "resources": ["widgets"]}]);
    let selectors = json!({"clusterRoleSelectors": [{"matchLabels": {"agg": "yes"}}]});
    cluster.create(ROLES, "sum", json!({"aggregationRule": selectors, "rules": rule})).await;
    cluster.0.settle().await;
    assert_eq!(cluster.get(ROLES, "sum").unwrap()["rules"], Value::Null);
    cluster.create(ROLES, "part", json!({"metadata": {"labels": {"agg": "yes"}}, "rules": rule})).await;
    cluster.0.settle().await;
    assert_eq!(cluster.get(ROLES, "sum").unwrap()["rules"], rule);
}

#[tokio::test]
async fn a_restored_state_is_looked_at_as_a_whole() {
    let cluster = Cluster::essential().await;
    let uid = cluster.create("configmaps", "default/owner", json!({})).await;
    cluster.create("configmaps", "default/dep", owned(&[("owner", &uid, false)])).await;
    cluster.0.settle().await;
    let both = cluster.0.snapshot();
    cluster.delete("configmaps", "default/owner", None).await;
    assert!(!cluster.exists("configmaps", "default/dep"));
    cluster.0.restore(&both).unwrap();
    cluster.0.settle().await;
    assert!(cluster.exists("configmaps", "default/dep"));
    cluster.delete("configmaps", "default/owner", None).await;
    assert!(!cluster.exists("configmaps", "default/dep"));
}

#[tokio::test]
async fn a_fork_goes_on_by_itself() {
    let cluster = Cluster::essential().await;
    let uid = cluster.create("configmaps", "default/owner", json!({})).await;
    cluster.create("configmaps", "default/dep", owned(&[("owner", &uid, false)])).await;
    let fork = Cluster(cluster.0.fork().await.unwrap());
    fork.delete("configmaps", "default/owner", None).await;
    assert!(!fork.exists("configmaps", "default/dep") && cluster.exists("configmaps", "default/dep"));
}

#[tokio::test]
async fn nothing_is_written_when_nothing_happens() {
    let cluster = Cluster::essential().await;
    let revision = cluster.0.snapshot().revision();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    cluster.create("configmaps", "default/x", json!({})).await;
    cluster.0.settle().await;
    assert_eq!(cluster.0.snapshot().revision(), revision + 1);
}

#[tokio::test]
async fn without_controllers_nothing_acts() {
    let cluster = Cluster::with(Controllers::none()).await;
    cluster.namespace("a").await;
    assert!(!cluster.exists("serviceaccounts", "a/default"));
    cluster.delete("namespaces", "a", None).await;
    assert!(cluster.exists("namespaces", "a"));
}

#[tokio::test]
async fn the_loop_ends_when_it_is_stopped() {
    let cluster = Cluster::with(Controllers::none()).await;
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let parts = Parts {
        registry: cluster.0.registry().clone(),
        ca_pem: String::new(),
        tokens: Arc::new(TokenIssuer::new("https://kubernetes.default.svc")),
    };
    let progress = start(&Controllers::essential(), &parts, &tasks, &stop);
    progress.settled().await;
    assert!(cluster.exists("serviceaccounts", "default/default"));
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    cluster.delete("serviceaccounts", "default/default", None).await;
    progress.settled().await;
    assert!(!cluster.exists("serviceaccounts", "default/default"));
}

#[tokio::test]
async fn claims_and_volumes_are_kept_while_they_are_in_use() {
    let cluster = Cluster::with(Controllers::parse("pvc-protection,pv-protection").unwrap()).await;
    let claim = json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    cluster.create("persistentvolumeclaims", "default/free", claim.clone()).await;
    cluster.create("persistentvolumeclaims", "default/used", claim).await;
    let volumes = json!([{"name": "v", "persistentVolumeClaim": {"claimName": "used"}}]);
    let spec = json!({"nodeName": "n", "containers": [{"name": "c", "image": "x"}], "volumes": volumes});
    cluster.create("pods", "default/p", json!({"spec": spec})).await;
    cluster.0.settle().await;
    cluster.delete("persistentvolumeclaims", "default/free", None).await;
    cluster.delete("persistentvolumeclaims", "default/used", None).await;
    assert!(!cluster.exists("persistentvolumeclaims", "default/free"));
    assert!(cluster.get("persistentvolumeclaims", "default/used").unwrap().is_deleting());
    cluster.delete_now("pods", "default/p").await;
    assert!(!cluster.exists("persistentvolumeclaims", "default/used"));
}

#[tokio::test]
async fn token_secrets_are_filled_and_go_with_their_account() {
    let cluster = Cluster::with(Controllers::parse("service-account-token").unwrap()).await;
    let uid = cluster.create("serviceaccounts", "default/robot", json!({})).await;
    let annotations = json!({"kubernetes.io/service-account.name": "robot"});
    let secret = json!({"type": "kubernetes.io/service-account-token", "metadata": {"annotations": annotations}});
    cluster.create("secrets", "default/token", secret.clone()).await;
    cluster.0.settle().await;
    let filled = cluster.get("secrets", "default/token").unwrap();
    assert_eq!(filled.annotation("kubernetes.io/service-account.uid"), Some(uid.as_str()));
    assert_eq!(filled["data"]["namespace"], "ZGVmYXVsdA==");
    assert!(filled["data"]["token"].as_str().is_some_and(|token| !token.is_empty()));
    cluster.delete("serviceaccounts", "default/robot", None).await;
    assert!(!cluster.exists("secrets", "default/token"));
}

#[tokio::test]
async fn finished_jobs_go_when_their_time_is_over() {
    let clock = crate::clock::Clock::manual(jiff::Timestamp::from_second(1_700_000_000).unwrap());
    let builder = FakeServer::builder().clock(clock.clone());
    let cluster =
        Cluster(builder.controllers(Controllers::parse("ttl-after-finished").unwrap()).start().await.unwrap());
    let template = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}});
    cluster
        .create("jobs.batch", "default/j", json!({"spec": {"ttlSecondsAfterFinished": 60, "template": template}}))
        .await;
    let uid = cluster.get("jobs.batch", "default/j").unwrap().uid().to_owned();
    let now = clock.now_rfc3339();
    let condition = |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": now});
    let finished = json!([condition("FailureTarget"), condition("Failed")]);
    let mut status = cluster.target("jobs.batch", "default/j");
    status.subresource = "status".into();
    let agent = agent::Agent::new(cluster.0.registry(), "test");
    let finish = |job: &mut Value| job["status"] = json!({"startTime": now, "conditions": finished});
    agent.patch(&status, &uid, finish).await.unwrap();
    assert!(clock.advance(jiff::SignedDuration::from_secs(59)));
    cluster.0.settle().await;
    assert!(!cluster.get("jobs.batch", "default/j").unwrap().is_deleting());
    assert!(clock.advance(jiff::SignedDuration::from_secs(1)));
    cluster.0.settle().await;
    assert!(cluster.get("jobs.batch", "default/j").unwrap().is_deleting());
}

#[tokio::test]
async fn quotas_count_what_there_is() {
    let cluster = Cluster::with(Controllers::parse("resource-quota").unwrap()).await;
    let hard = json!({"secrets": "2", "pods": "1", "requests.cpu": "1", "count/leases.coordination.k8s.io": "5"});
    cluster.create("secrets", "default/before", json!({})).await;
    cluster.create("resourcequotas", "default/q", json!({"spec": {"hard": hard}})).await;
    cluster.0.settle().await;
    let status = || cluster.get("resourcequotas", "default/q").unwrap()["status"].clone();
    assert_eq!(status()["hard"], hard);
    let none = json!({"secrets": "1", "pods": "0", "requests.cpu": "0", "count/leases.coordination.k8s.io": "0"});
    assert_eq!(status()["used"], none);
    let resources = json!({"requests": {"cpu": "100m"}});
    let pod = json!({"spec": {"containers": [{"name": "c", "image": "x", "resources": resources}]}});
    cluster.create("pods", "default/p", pod).await;
    cluster.create("leases.coordination.k8s.io", "default/l", json!({})).await;
    cluster.0.settle().await;
    let some = json!({"secrets": "1", "pods": "1", "requests.cpu": "100m", "count/leases.coordination.k8s.io": "1"});
    assert_eq!(status()["used"], some);
    cluster.delete("secrets", "default/before", None).await;
    cluster.delete_now("pods", "default/p").await;
    let left = json!({"secrets": "0", "pods": "0", "requests.cpu": "0", "count/leases.coordination.k8s.io": "1"});
    assert_eq!(status()["used"], left);
}

#[tokio::test]
async fn budgets_tell_how_many_pods_may_go() {
    const BUDGET: &str = "poddisruptionbudgets.policy";
    let cluster = Cluster::with(Controllers::parse("disruption").unwrap()).await;
    let selector = json!({"matchLabels": {"app": "web"}});
    cluster.create(BUDGET, "default/b", json!({"spec": {"minAvailable": 1, "selector": selector}})).await;
    let agent = agent::Agent::new(cluster.0.registry(), "test");
    for name in ["default/p", "default/q"] {
        let spec = json!({"nodeName": "n", "containers": [{"name": "c", "image": "x"}]});
        let uid = cluster.create("pods", name, json!({"metadata": {"labels": {"app": "web"}}, "spec": spec})).await;
        let status = Target { subresource: "status".into(), ..cluster.target("pods", name) };
        let ready = |pod: &mut Value| {
            pod["status"]["phase"] = json!("Running");
            pod["status"]["conditions"] = json!([{"type": "Ready", "status": "True"}]);
        };
        agent.patch(&status, &uid, ready).await.unwrap();
    }
    cluster.0.settle().await;
    let status = || cluster.get(BUDGET, "default/b").unwrap()["status"].clone();
    let figures = |status: &Value| {
        ["currentHealthy", "desiredHealthy", "expectedPods", "disruptionsAllowed"].map(|k| status[k].as_i64().unwrap())
    };
    assert_eq!(figures(&status()), [2, 1, 2, 1]);
    assert_eq!(status()["conditions"][0]["reason"], "SufficientPods");
    cluster.delete("pods", "default/q", None).await;
    assert_eq!(figures(&status()), [1, 1, 2, 0]);
    assert_eq!(status()["conditions"][0]["reason"], "InsufficientPods");
    cluster.delete_now("pods", "default/q").await;
    assert_eq!(figures(&status()), [1, 1, 1, 0]);
}

#[tokio::test]
async fn services_have_the_endpoints_of_their_pods() {
    const SLICES: &str = "endpointslices.discovery.k8s.io";
    let names = "endpoints,endpointslice,garbage-collector";
    let cluster = Cluster::with(Controllers::parse(names).unwrap()).await;
    let ports = json!([{"name": "http", "port": 80, "targetPort": "web"}]);
    cluster.create("services", "default/svc", json!({"spec": {"selector": {"app": "web"}, "ports": ports}})).await;
    cluster.0.settle().await;
    assert_eq!(cluster.get("endpoints", "default/svc").unwrap().get("subsets"), None);
    let container = json!({"name": "c", "image": "x", "ports": [{"name": "web", "containerPort": 8080}]});
    let pod = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"nodeName": "n", "containers": [container]}});
    let uid = cluster.create("pods", "default/p", pod).await;
    let status = Target { subresource: "status".into(), ..cluster.target("pods", "default/p") };
    let run = |pod: &mut Value| {
        let conditions = json!([{"type": "Ready", "status": "True"}]);
        pod["status"] =
            json!({"phase": "Running", "podIP": "10.9.8.7", "podIPs": [{"ip": "10.9.8.7"}], "conditions": conditions});
    };
    agent::Agent::new(cluster.0.registry(), "test").patch(&status, &uid, run).await.unwrap();
    cluster.0.settle().await;
    let port = json!([{"name": "http", "port": 8080, "protocol": "TCP"}]);
    let subset = cluster.get("endpoints", "default/svc").unwrap()["subsets"][0].clone();
    assert_eq!((&subset["addresses"][0]["ip"], &subset["ports"]), (&json!("10.9.8.7"), &port));
    let slices = || {
        let all = cluster.0.registry().peek().list(SLICES, "default");
        all.into_iter().filter(|s| s.label("kubernetes.io/service-name") == Some("svc")).collect::<Vec<_>>()
    };
    let all = slices();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0]["ports"], port);
    let endpoint = &all[0]["endpoints"][0];
    assert_eq!(endpoint["conditions"], json!({"ready": true, "serving": true, "terminating": false}));
    assert_eq!((&endpoint["targetRef"]["uid"], &endpoint["nodeName"]), (&json!(uid), &json!("n")));
    cluster.delete("services", "default/svc", None).await;
    assert!(slices().is_empty() && !cluster.exists("endpoints", "default/svc"));
    assert!(cluster.exists("endpoints", "default/kubernetes"));
}
