//! Typed handles end to end: CRUD, status, apply, watch, protobuf, a derived custom resource, special methods.

use rehearsal::Cluster;
use rehearsal::client::k8s_openapi::api::apps::v1::Deployment;
use rehearsal::client::k8s_openapi::api::authentication::v1::TokenRequest;
use rehearsal::client::k8s_openapi::api::core::v1::{Binding, ConfigMap, Namespace, Node, Pod};
use rehearsal::client::k8s_openapi::api::policy::v1::Eviction;
use rehearsal::client::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::future::Future;
use std::time::Duration;

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("within a minute")
}

fn of<K: DeserializeOwned>(json: Value) -> K {
    serde_json::from_value(json).unwrap()
}

fn config_map(name: &str, value: &str) -> ConfigMap {
    of(json!({"metadata": {"name": name}, "data": {"k": value}}))
}

fn pod(name: &str) -> Pod {
    of(
        json!({"metadata": {"name": name, "labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}),
    )
}

fn deployment(name: &str) -> Deployment {
    of(json!({"metadata": {"name": name}, "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}}}))
}

/// Both media types, each with a cluster of its own.
async fn in_both(body: impl AsyncFn(Clientset)) {
    for protobuf in [false, true] {
        let cluster = Cluster::start().await.unwrap();
        let config = cluster.client_config().unwrap();
        let config = if protobuf { config.protobuf() } else { config };
        soon(body(Clientset::for_config(&config).unwrap())).await;
        cluster.shutdown().await;
    }
}

#[tokio::test]
async fn objects_are_created_read_changed_listed_and_deleted() {
    in_both(async |clients| {
        let maps = clients.core_v1().config_maps("default");
        let mut made = maps.create(&config_map("a", "1"), &CreateOptions::default()).await.unwrap();
        assert!(made.metadata.uid.is_some());
        let again = maps.create(&config_map("a", "1"), &CreateOptions::default()).await.unwrap_err();
        assert!(again.is_already_exists(), "{again}");
        made.data.as_mut().unwrap().insert("k".into(), "2".into());
        let changed = maps.update(&made, &UpdateOptions::default()).await.unwrap();
        assert!(maps.update(&made, &UpdateOptions::default()).await.unwrap_err().is_conflict());
        assert_eq!(maps.get("a", &GetOptions::default()).await.unwrap(), changed);
        let patched = maps.patch("a", PatchType::Merge, r#"{"data":{"k":"3"}}"#, &PatchOptions::default(), &[]).await;
        assert_eq!(patched.unwrap().data.unwrap()["k"], "3");
        maps.create(&config_map("b", "1"), &CreateOptions::default()).await.unwrap();
        let list = clients.core_v1().config_maps(ALL_NAMESPACES).list(&ListOptions::default().limit(1)).await.unwrap();
        assert_eq!((list.items.len(), list.continue_token().is_empty()), (1, false));
        maps.delete("a", &DeleteOptions::default()).await.unwrap();
        assert!(maps.get("a", &GetOptions::default()).await.unwrap_err().is_not_found());
        let just_b = ListOptions { field_selector: "metadata.name=b".into(), ..ListOptions::default() };
        maps.delete_collection(&DeleteOptions::default(), &just_b).await.unwrap();
        assert!(maps.list(&just_b).await.unwrap().items.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_pager_reads_typed_collections_in_pages() {
    let cluster = Cluster::start().await.unwrap();
    let namespaces = cluster.clientset().unwrap().core_v1().namespaces();
    let (list, paginated) = soon(Pager::new(namespaces).page_size(2).list(&ListOptions::default())).await.unwrap();
    assert!(paginated && list["items"].as_array().unwrap().len() >= 4);
}

#[tokio::test]
async fn status_and_scale_are_written_by_way_of_their_subresources() {
    in_both(async |clients| {
        let deployments = clients.apps_v1().deployments("default");
        let mut web = deployments.create(&deployment("web"), &CreateOptions::default()).await.unwrap();
        web.status.get_or_insert_default().replicas = Some(2);
        web.spec.replicas = Some(9);
        let web = deployments.update_status(&web, &UpdateOptions::default()).await.unwrap();
        assert_eq!((web.status.unwrap().replicas, web.spec.replicas), (Some(2), Some(2)));
        let mut scale = deployments.get_scale("web", &GetOptions::default()).await.unwrap();
        assert_eq!(scale.status.as_ref().unwrap().replicas, 2);
        scale.spec.get_or_insert_default().replicas = Some(5);
        deployments.update_scale("web", &scale, &UpdateOptions::default()).await.unwrap();
        let manager = PatchOptions::default().field_manager("me").force(true);
        let applied = deployments.apply_scale("web", &json!({"spec": {"replicas": 7}}), &manager).await.unwrap();
        assert_eq!(applied.spec.unwrap().replicas, Some(7));
        assert_eq!(deployments.get("web", &GetOptions::default()).await.unwrap().spec.replicas, Some(7));
    })
    .await;
}

#[tokio::test]
async fn what_is_applied_is_owned_and_others_have_to_force() {
    in_both(async |clients| {
        let maps = clients.core_v1().config_maps("default");
        let mine = PatchOptions::default().field_manager("me");
        let wanted = json!({"metadata": {"name": "a"}, "data": {"k": "1"}});
        assert_eq!(maps.apply(&wanted, &mine).await.unwrap().data.unwrap()["k"], "1");
        let theirs = PatchOptions::default().field_manager("you");
        let error = maps.apply(&config_map("a", "2"), &theirs).await.unwrap_err();
        assert!(error.is_conflict(), "{error}");
        let forced = maps.apply(&config_map("a", "2"), &theirs.force(true)).await.unwrap();
        assert_eq!(forced.data.as_ref().unwrap()["k"], "2");
        let managed = maps.apply(&forced, &mine).await.unwrap_err();
        assert!(managed.to_string().contains("managed fields"), "{managed}");
    })
    .await;
}

#[tokio::test]
async fn a_watch_hands_out_typed_events() {
    in_both(async |clients| {
        let maps = clients.core_v1().config_maps("default");
        let list = maps.list(&ListOptions::default()).await.unwrap();
        let from = ListOptions::default().resource_version(list.resource_version()).bookmarks();
        let mut watch = maps.watch(&from).await.unwrap();
        let made = maps.create(&config_map("a", "1"), &CreateOptions::default()).await.unwrap();
        maps.patch("a", PatchType::Merge, r#"{"data":{"k":"2"}}"#, &PatchOptions::default(), &[]).await.unwrap();
        maps.delete("a", &DeleteOptions::default()).await.unwrap();
        let mut seen = Vec::new();
        while seen.len() < 3 {
            let event = watch.next().await.unwrap().unwrap();
            if event.object().is_some_and(|map| map.name() == "a") {
                seen.push(event);
            }
        }
        assert_eq!(seen[0], TypedEvent::Added(made));
        assert!(matches!(&seen[1], TypedEvent::Modified(map) if map.data.as_ref().unwrap()["k"] == "2"));
        assert!(matches!(&seen[2], TypedEvent::Deleted(_)));
    })
    .await;
}

#[tokio::test]
async fn a_streaming_list_ends_with_its_bookmark() {
    in_both(async |clients| {
        let options =
            ListOptions::default().bookmarks().send_initial_events(true).resource_version_match("NotOlderThan");
        let mut watch = clients.core_v1().namespaces().watch(&options).await.unwrap();
        let mut names = Vec::new();
        loop {
            match watch.next().await.unwrap().unwrap() {
                TypedEvent::Bookmark(mark) if mark.ends_initial_events() => break,
                event => names.extend(event.into_object().and_then(|n: Namespace| n.metadata.name)),
            }
        }
        assert!(names.contains(&"default".to_owned()), "{names:?}");
    })
    .await;
}

#[tokio::test]
async fn metadata_comes_in_protobuf_alone() {
    let cluster = Cluster::start().await.unwrap();
    let client = MetadataClient::for_config(&cluster.client_config().unwrap()).unwrap();
    let namespaces = client.resource(&GroupVersionResource::new("", "v1", "namespaces"));
    let list = soon(namespaces.list(&ListOptions::default())).await.unwrap();
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    let mut watch = soon(namespaces.watch(&ListOptions::default())).await.unwrap();
    let event = soon(watch.next()).await.unwrap();
    assert_eq!((event.kind, &event.object["kind"]), (WatchEventType::Added, &json!("PartialObjectMetadata")));
}

#[tokio::test]
async fn pods_are_bound_debugged_and_evicted() {
    in_both(async |clients| {
        let nodes = clients.core_v1().nodes();
        nodes.create(&of::<Node>(json!({"metadata": {"name": "n1"}})), &CreateOptions::default()).await.unwrap();
        let ready = r#"{"status":{"conditions":[{"type":"Ready","status":"True"}]}}"#;
        assert!(nodes.patch_status("n1", ready).await.unwrap().status.unwrap().conditions.is_some());
        let pods = clients.core_v1().pods("default");
        let made = pods.create(&pod("web"), &CreateOptions::default()).await.unwrap();
        let log = pods.get_logs("web", &PodLogOptions::default().tail_lines(1)).await.unwrap();
        assert!(log.bytes().await.unwrap().is_empty(), "a pod without a node has no log");
        assert!(pods.get_logs("web", &PodLogOptions::default().container("x")).await.unwrap_err().is_bad_request());
        let binding = of::<Binding>(json!({"metadata": {"name": "web"}, "target": {"kind": "Node", "name": "n1"}}));
        pods.bind(&binding, &CreateOptions::default()).await.unwrap();
        let mut bound = pods.get("web", &GetOptions::default()).await.unwrap();
        assert_eq!(bound.spec.as_ref().unwrap().node_name.as_deref(), Some("n1"));
        assert_eq!(bound.metadata.uid, made.metadata.uid);
        let debugger = of(json!({"name": "debugger", "image": "busybox"}));
        bound.spec.as_mut().unwrap().ephemeral_containers = Some(vec![debugger]);
        let debugged = pods.update_ephemeral_containers("web", &bound, &UpdateOptions::default()).await.unwrap();
        assert_eq!(debugged.spec.unwrap().ephemeral_containers.unwrap().len(), 1);
        let eviction = of::<Eviction>(
            json!({"metadata": {"name": "web", "namespace": "default"}, "deleteOptions": {"gracePeriodSeconds": 0}}),
        );
        pods.evict(&eviction).await.unwrap();
        assert!(pods.get("web", &GetOptions::default()).await.unwrap_err().is_not_found());
    })
    .await;
}

#[tokio::test]
async fn a_budget_refuses_an_eviction_for_now() {
    let cluster = Cluster::start().await.unwrap();
    let clients = cluster.clientset().unwrap();
    let budget =
        json!({"metadata": {"name": "all"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}});
    let budgets = clients.policy_v1().pod_disruption_budgets("default");
    soon(budgets.create(&of(budget), &CreateOptions::default())).await.unwrap();
    let pods = clients.core_v1().pods("default");
    let mut web = soon(pods.create(&pod("web"), &CreateOptions::default())).await.unwrap();
    web.status.get_or_insert_default().phase = Some("Running".into());
    let ready = of(json!({"type": "Ready", "status": "True"}));
    web.status.get_or_insert_default().conditions = Some(vec![ready]);
    soon(pods.update_status(&web, &UpdateOptions::default())).await.unwrap();
    let mut observed = soon(budgets.get("all", &GetOptions::default())).await.unwrap();
    let status = observed.status.get_or_insert_default();
    status.observed_generation = observed.metadata.generation;
    soon(budgets.update_status(&observed, &UpdateOptions::default())).await.unwrap();
    let eviction = of::<Eviction>(json!({"metadata": {"name": "web", "namespace": "default"}}));
    let error = soon(clients.policy_v1().evictions("default").evict(&eviction)).await.unwrap_err();
    assert!(error.is_too_many_requests(), "{error}");
}

#[tokio::test]
async fn service_accounts_get_tokens_and_namespaces_are_finalized() {
    in_both(async |clients| {
        let accounts = clients.core_v1().service_accounts("default");
        let account = of(json!({"metadata": {"name": "robot"}}));
        accounts.create(&account, &CreateOptions::default()).await.unwrap();
        let request = of::<TokenRequest>(json!({"spec": {"audiences": [], "expirationSeconds": 3600}}));
        let issued = accounts.create_token("robot", &request, &CreateOptions::default()).await.unwrap();
        assert_eq!(issued.status.unwrap().token.unwrap().split('.').count(), 3);
        let namespaces = clients.core_v1().namespaces();
        let held = of(json!({"metadata": {"name": "held"}}));
        let mut held: Namespace = namespaces.create(&held, &CreateOptions::default()).await.unwrap();
        assert_eq!(held.spec.as_ref().unwrap().finalizers.as_ref().unwrap().len(), 1);
        held.spec.as_mut().unwrap().finalizers = Some(vec!["demo.io/hold".into()]);
        let done = namespaces.finalize(&held, &UpdateOptions::default()).await.unwrap();
        assert_eq!(done.spec.unwrap().finalizers.unwrap(), ["demo.io/hold"]);
    })
    .await;
}

#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
struct WidgetStatus {
    replicas: i32,
    selector: String,
}

/// The OpenAPI schema of a [`WidgetSpec`].
fn widget_schema() -> Value {
    json!({"type": "object", "required": ["size"], "properties": {
        "size": {"type": "integer", "minimum": 1}, "replicas": {"type": "integer", "default": 1}}})
}

#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[resource(
    group = "demo.io",
    version = "v1",
    kind = "Widget",
    plural = "widgets",
    status = "WidgetStatus",
    scale(spec = ".spec.replicas", status = ".status.replicas", selector = ".status.selector"),
    short_names("wd"),
    categories("all"),
    column(name = "Size", type = "integer", path = ".spec.size"),
    schema = "widget_schema",
    derive(PartialEq)
)]
struct WidgetSpec {
    size: i32,
    replicas: Option<i32>,
}

/// Waits until the kind is served: establishing takes a moment.
async fn define<K: Resource + verbs::List>(cluster: &Cluster, crd: Value, widgets: &TypedResource<K>) {
    let crds = cluster.dynamic().unwrap();
    let crds = crds.resource(&GroupVersionResource::new("apiextensions.k8s.io", "v1", "customresourcedefinitions"));
    crds.create(&crd, &CreateOptions::default(), &[]).await.unwrap();
    while widgets.list(&ListOptions::default()).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_derived_custom_resource_lives_a_whole_life() {
    for protobuf in [false, true] {
        let cluster = Cluster::start().await.unwrap();
        let config = cluster.client_config().unwrap();
        let clients = Clientset::for_config(&if protobuf { config.protobuf() } else { config }).unwrap();
        let widgets = clients.namespaced::<Widget>("default");
        soon(define(&cluster, Widget::crd(), &widgets)).await;
        soon(live(&widgets)).await;
        cluster.shutdown().await;
    }
}

async fn live(widgets: &TypedResource<Widget>) {
    let invalid = Widget::new("a", WidgetSpec { size: 0, replicas: None });
    let refused = widgets.create(&invalid, &CreateOptions::default()).await.unwrap_err();
    assert!(refused.is_invalid(), "{refused}");
    let list = widgets.list(&ListOptions::default()).await.unwrap();
    let from = ListOptions::default().resource_version(list.resource_version());
    let mut watch = widgets.watch(&from).await.unwrap();
    let fresh = Widget::new("a", WidgetSpec { size: 3, replicas: None });
    let mut made = widgets.create(&fresh, &CreateOptions::default()).await.unwrap();
    assert_eq!(made.spec.replicas, Some(1), "the schema's default");
    assert_eq!(watch.next().await.unwrap().unwrap(), TypedEvent::Added(made.clone()));
    made.status = Some(WidgetStatus { replicas: 1, selector: "app=a".into() });
    let told = widgets.update_status(&made, &UpdateOptions::default()).await.unwrap();
    assert_eq!(told.status.as_ref().unwrap().replicas, 1);
    let mut scale = widgets.get_scale("a", &GetOptions::default()).await.unwrap();
    assert_eq!(scale.status.as_ref().unwrap().selector.as_deref(), Some("app=a"));
    scale.spec.get_or_insert_default().replicas = Some(4);
    widgets.update_scale("a", &scale, &UpdateOptions::default()).await.unwrap();
    let manager = PatchOptions::default().field_manager("me").force(true);
    let applied = widgets.apply(&json!({"metadata": {"name": "a"}, "spec": {"size": 5}}), &manager).await.unwrap();
    assert_eq!((applied.spec.size, applied.spec.replicas), (5, Some(4)));
    let status = json!({"metadata": {"name": "a"}, "status": {"replicas": 4}});
    assert_eq!(widgets.apply_status(&status, &manager).await.unwrap().status.unwrap().replicas, 4);
    widgets.delete("a", &DeleteOptions::default()).await.unwrap();
    assert!(widgets.list(&ListOptions::default()).await.unwrap().items.is_empty());
}
