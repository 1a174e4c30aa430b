//! The clientset on the wire: paths, verbs, queries and media types of every method, and what is refused beforehand.

mod support;

use http::Method;
use rehearsal_client::k8s_openapi::api::apps::v1::Deployment;
use rehearsal_client::k8s_openapi::api::authentication::v1::TokenRequest;
use rehearsal_client::k8s_openapi::api::core::v1::{Binding, Event, Namespace, ObjectReference, Pod};
use rehearsal_client::k8s_openapi::api::policy::v1::Eviction;
use rehearsal_client::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use support::{Peer, json as json_answer};

const DEPLOYMENT: &str = r#"{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"web"}}"#;
const POD: &str = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web"}}"#;
const SUCCESS: &str = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success"}"#;

fn clientset(peer: &Peer) -> Clientset {
    Clientset::for_config(&peer.config()).unwrap()
}

fn named<K: Resource + Default>(name: &str) -> K {
    let mut object = K::default();
    object.metadata_mut().name = Some(name.into());
    object
}

fn lines(peer: &Peer) -> Vec<String> {
    peer.received().iter().map(|r| r.line.clone()).collect()
}

#[tokio::test]
async fn a_typed_handle_asks_as_client_go_does() {
    let peer = Peer::start([json_answer(200, DEPLOYMENT)]).await;
    let deployments = clientset(&peer).apps_v1().deployments("ns");
    let object = named::<Deployment>("web");
    deployments.create(&object, &CreateOptions::default().field_manager("me")).await.unwrap();
    deployments.update(&object, &UpdateOptions::default()).await.unwrap();
    deployments.update_status(&object, &UpdateOptions::default()).await.unwrap();
    assert_eq!(Resource::name(&deployments.get("web", &GetOptions::default()).await.unwrap()), "web");
    deployments.patch("web", PatchType::Strategic, "{}", &PatchOptions::default(), &["status"]).await.unwrap();
    let manager = PatchOptions::default().field_manager("me");
    deployments.apply(&json!({"metadata": {"name": "web"}}), &manager).await.unwrap();
    deployments.apply_status(&object, &manager.clone().force(true)).await.unwrap();
    deployments.delete("web", &DeleteOptions::default()).await.unwrap();
    deployments.delete_collection(&DeleteOptions::default(), &ListOptions::default().limit(3)).await.unwrap();
    assert_eq!(
        lines(&peer),
        [
            "POST /apis/apps/v1/namespaces/ns/deployments?fieldManager=me",
            "PUT /apis/apps/v1/namespaces/ns/deployments/web",
            "PUT /apis/apps/v1/namespaces/ns/deployments/web/status",
            "GET /apis/apps/v1/namespaces/ns/deployments/web",
            "PATCH /apis/apps/v1/namespaces/ns/deployments/web/status",
            "PATCH /apis/apps/v1/namespaces/ns/deployments/web?fieldManager=me&force=false",
            "PATCH /apis/apps/v1/namespaces/ns/deployments/web/status?fieldManager=me&force=true",
            "DELETE /apis/apps/v1/namespaces/ns/deployments/web",
            "DELETE /apis/apps/v1/namespaces/ns/deployments?limit=3",
        ]
    );
    let seen = peer.received();
    let body: Value = serde_json::from_slice(&seen[5].body).unwrap();
    assert_eq!(body, json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}));
    assert_eq!(seen[5].header("content-type"), Some("application/apply-patch+yaml"));
    assert_eq!(seen[0].header("accept"), Some("application/json, */*"));
}

#[tokio::test]
async fn lists_and_watches_send_the_timeout_they_are_given_and_no_other() {
    let list = r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"5"},"items":[{"metadata":{"name":"a"}}]}"#;
    let peer = Peer::start([json_answer(200, list)]).await;
    let config = Config { timeout: Some(std::time::Duration::from_secs(60)), ..peer.config() };
    let pods = Clientset::for_config(&config).unwrap().core_v1().pods(ALL_NAMESPACES);
    let seen = pods.list(&ListOptions::default()).await.unwrap();
    assert_eq!((seen.resource_version(), seen.items.len()), ("5", 1));
    pods.list(&ListOptions::default().timeout_seconds(7)).await.unwrap();
    drop(pods.watch(&ListOptions::default().bookmarks()).await.unwrap());
    assert_eq!(
        lines(&peer),
        [
            "GET /api/v1/pods",
            "GET /api/v1/pods?timeout=7s&timeoutSeconds=7",
            "GET /api/v1/pods?allowWatchBookmarks=true&watch=true",
        ]
    );
}

#[tokio::test]
async fn scales_are_read_written_and_applied() {
    let scale = r#"{"kind":"Scale","apiVersion":"autoscaling/v1","metadata":{"name":"web"},"spec":{"replicas":3}}"#;
    let peer = Peer::start([json_answer(200, scale)]).await;
    let deployments = clientset(&peer).apps_v1().deployments("ns");
    let read = deployments.get_scale("web", &GetOptions::default()).await.unwrap();
    assert_eq!(read.spec.as_ref().unwrap().replicas, Some(3));
    deployments.update_scale("web", &read, &UpdateOptions::default()).await.unwrap();
    let manager = PatchOptions::default().field_manager("me");
    deployments.apply_scale("web", &json!({"spec": {"replicas": 2}}), &manager).await.unwrap();
    assert_eq!(
        lines(&peer),
        [
            "GET /apis/apps/v1/namespaces/ns/deployments/web/scale",
            "PUT /apis/apps/v1/namespaces/ns/deployments/web/scale",
            "PATCH /apis/apps/v1/namespaces/ns/deployments/web/scale?fieldManager=me&force=false",
        ]
    );
    let body: Value = serde_json::from_slice(&peer.received()[2].body).unwrap();
    assert_eq!(body["kind"], "Scale");
}

#[tokio::test]
async fn pods_are_evicted_bound_and_read_through() {
    let peer = Peer::start([
        json_answer(201, SUCCESS),
        json_answer(201, SUCCESS),
        json_answer(201, SUCCESS),
        json_answer(200, POD),
    ])
    .await;
    let clients = Clientset::for_config(&peer.config().protobuf()).unwrap();
    let pods = clients.core_v1().pods("ns");
    let mut eviction = Eviction::default();
    eviction.metadata.name = Some("web".into());
    pods.evict(&eviction).await.unwrap();
    clients.policy_v1().evictions("ns").evict(&eviction).await.unwrap();
    let mut binding = Binding::default();
    binding.metadata.name = Some("web".into());
    pods.bind(&binding, &CreateOptions::default().dry_run()).await.unwrap();
    pods.update_ephemeral_containers("web", &named("web"), &UpdateOptions::default()).await.unwrap();
    pods.update_resize("web", &named("web"), &UpdateOptions::default()).await.unwrap();
    pods.get_logs("web", &PodLogOptions::default().container("a").tail_lines(5)).await.unwrap();
    pods.proxy_get("https", "web", "8443", "a/b", &[("x", "1")]).unwrap().do_raw().await.unwrap();
    clients.core_v1().services("ns").proxy_get("", "web", "http", "", &[]).unwrap().do_raw().await.unwrap();
    clients.core_v1().nodes().proxy_get("", "n1", "", "metrics", &[]).unwrap().do_raw().await.unwrap();
    assert_eq!(
        lines(&peer),
        [
            "POST /api/v1/namespaces/ns/pods/web/eviction",
            "POST /api/v1/namespaces/ns/pods/web/eviction",
            "POST /api/v1/namespaces/ns/pods/web/binding?dryRun=All",
            "PUT /api/v1/namespaces/ns/pods/web/ephemeralcontainers",
            "PUT /api/v1/namespaces/ns/pods/web/resize",
            "GET /api/v1/namespaces/ns/pods/web/log?container=a&tailLines=5",
            "GET /api/v1/namespaces/ns/pods/https:web:8443/proxy/a/b?x=1",
            "GET /api/v1/namespaces/ns/services/web:http/proxy",
            "GET /api/v1/nodes/n1/proxy/metrics",
        ]
    );
    let media: Vec<_> = peer.received().iter().map(|r| r.header("content-type").map(str::to_owned)).collect();
    let protobuf = Some(MEDIA_PROTOBUF.to_owned());
    let json = Some(MEDIA_JSON.to_owned());
    assert_eq!(media[..5], [json.clone(), json.clone(), json, protobuf.clone(), protobuf]);
    assert_eq!(peer.received()[5].header("accept"), Some("application/json, */*"));
}

#[tokio::test]
async fn tokens_approvals_and_finalizers_have_paths_of_their_own() {
    let token = r#"{"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","metadata":{},"spec":{"audiences":[]},"status":{"expirationTimestamp":"2026-01-01T00:00:00Z","token":"t"}}"#;
    let namespace = r#"{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"a"}}"#;
    let csr = r#"{"kind":"CertificateSigningRequest","apiVersion":"certificates.k8s.io/v1","metadata":{"name":"a"},"spec":{"request":"","signerName":"s"}}"#;
    let node = r#"{"kind":"Node","apiVersion":"v1","metadata":{"name":"n"}}"#;
    let peer = Peer::start([token, namespace, csr, node].map(|body| json_answer(200, body))).await;
    let clients = clientset(&peer);
    let accounts = clients.core_v1().service_accounts("ns");
    let issued = accounts.create_token("sa", &TokenRequest::default(), &CreateOptions::default()).await.unwrap();
    assert_eq!(issued.status.unwrap().token.as_deref(), Some("t"));
    clients.core_v1().namespaces().finalize(&named::<Namespace>("a"), &UpdateOptions::default()).await.unwrap();
    let csrs = clients.certificates_v1().certificate_signing_requests();
    csrs.update_approval("a", &named("a"), &UpdateOptions::default()).await.unwrap();
    clients.core_v1().nodes().patch_status("n", "{}").await.unwrap();
    assert_eq!(
        lines(&peer),
        [
            "POST /api/v1/namespaces/ns/serviceaccounts/sa/token",
            "PUT /api/v1/namespaces/a/finalize",
            "PUT /apis/certificates.k8s.io/v1/certificatesigningrequests/a/approval",
            "PATCH /api/v1/nodes/n/status",
        ]
    );
}

#[tokio::test]
async fn events_are_written_where_they_belong_and_found_by_their_object() {
    let event = r#"{"kind":"Event","apiVersion":"v1","metadata":{"name":"e","namespace":"ns"},"involvedObject":{}}"#;
    let list = r#"{"kind":"EventList","apiVersion":"v1","metadata":{},"items":[]}"#;
    let peer = Peer::start([event, event, event, list].map(|body| json_answer(200, body))).await;
    let events = clientset(&peer).core_v1().events(ALL_NAMESPACES);
    let mut event = named::<Event>("e");
    event.metadata.namespace = Some("ns".into());
    events.create_with_event_namespace(&event).await.unwrap();
    events.update_with_event_namespace(&event).await.unwrap();
    events.patch_with_event_namespace(&event, "{}").await.unwrap();
    let about = ObjectReference { kind: Some("Pod".into()), name: Some("web".into()), ..ObjectReference::default() };
    events.search(&about).await.unwrap();
    let elsewhere = clientset(&peer).core_v1().events("other");
    assert!(elsewhere.create_with_event_namespace(&event).await.unwrap_err().to_string().contains("\"other\""));
    assert_eq!(
        lines(&peer),
        [
            "POST /api/v1/namespaces/ns/events",
            "PUT /api/v1/namespaces/ns/events/e",
            "PATCH /api/v1/namespaces/ns/events/e",
            "GET /api/v1/events?fieldSelector=involvedObject.kind%3DPod%2CinvolvedObject.name%3Dweb",
        ]
    );
}

#[tokio::test]
async fn nothing_is_sent_where_a_namespace_or_a_name_is_missing() {
    let peer = Peer::start([json_answer(200, POD)]).await;
    let everywhere = clientset(&peer).core_v1().pods(ALL_NAMESPACES);
    let manager = PatchOptions::default().field_manager("me");
    let refused = [
        everywhere.create(&Pod::default(), &CreateOptions::default()).await.err(),
        everywhere.get("a", &GetOptions::default()).await.err(),
        everywhere.delete("a", &DeleteOptions::default()).await.err(),
        everywhere.delete_collection(&DeleteOptions::default(), &ListOptions::default()).await.err(),
    ];
    for error in refused {
        assert!(error.unwrap().to_string().contains("an empty namespace may not be set"));
    }
    let pods = clientset(&peer).core_v1().pods("ns");
    assert!(pods.get("", &GetOptions::default()).await.is_err());
    assert!(pods.update(&Pod::default(), &UpdateOptions::default()).await.is_err());
    assert!(pods.apply(&json!({}), &manager).await.unwrap_err().to_string().contains("name is required"));
    assert!(pods.apply(&json!({"kind": "Node", "metadata": {"name": "a"}}), &manager).await.is_err());
    assert!(pods.apply(&json!([]), &manager).await.is_err());
    let managed = json!({"metadata": {"name": "a", "managedFields": []}});
    assert!(pods.apply(&managed, &manager).await.unwrap_err().to_string().contains("managed fields"));
    assert_eq!(peer.attempts(), 0);
}

#[tokio::test]
async fn an_answer_of_another_kind_is_an_error_and_so_is_a_failure_under_a_success_code() {
    let failure = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","reason":"NotFound","code":404,"message":"gone"}"#;
    let peer = Peer::start([json_answer(200, POD), json_answer(200, failure), json_answer(200, "")]).await;
    let deployments = clientset(&peer).apps_v1().deployments("ns");
    let get = async || deployments.get("web", &GetOptions::default()).await.unwrap_err();
    let error = get().await;
    assert!(error.to_string().contains("v1, Kind=Pod") && matches!(error, Error::Decode(_)), "{error}");
    assert!(get().await.is_not_found());
    assert!(matches!(get().await, Error::Decode(DecodeError::Empty { code: 200 })));
}

#[tokio::test]
async fn error_events_are_errors_and_the_stream_goes_on() {
    let events = [
        r#"{"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"}}}"#,
        r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410,"message":"old"}}"#,
        r#"{"type":"BOOKMARK","object":{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"9"}}}"#,
        r#"{"type":"ADDED","object":{"kind":"Node"}}"#,
        r#"{"type":"ADDED","object":{"kind":"Pod"}}"#,
    ];
    let peer = Peer::start([json_answer(200, &events.join("\n"))]).await;
    let mut watch = clientset(&peer).core_v1().pods("ns").watch(&ListOptions::default()).await.unwrap();
    let added = watch.next().await.unwrap().unwrap();
    assert_eq!(added.object().map(Resource::name), Some("a"));
    assert!(watch.next().await.unwrap().unwrap_err().is_expired());
    assert_eq!(watch.next().await.unwrap().unwrap().resource_version(), "9");
    let unreadable = watch.next().await.unwrap().unwrap_err();
    assert!(unreadable.to_string().contains("unable to decode an event"), "{unreadable}");
    assert!(watch.next().await.is_none(), "after bytes that cannot be read the stream has ended");
}

#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[resource(group = "demo.io", version = "v1", kind = "Widget", plural = "widgets", derive(Default, PartialEq))]
struct WidgetSpec {
    #[serde(default)]
    size: i32,
}

#[tokio::test]
async fn protobuf_is_spoken_with_built_in_kinds_and_json_with_custom_ones() {
    let widget = r#"{"kind":"Widget","apiVersion":"demo.io/v1","metadata":{"name":"a"},"spec":{"size":3}}"#;
    let pod = ProtobufCodec.encode(&serde_json::from_str(POD).unwrap()).unwrap();
    let head = support::head(200, &[("content-type", MEDIA_PROTOBUF)], Some(pod.len()));
    let peer = Peer::start([support::Act::Answer([head, pod].concat()), json_answer(200, widget)]).await;
    let clients = Clientset::for_config(&peer.config().protobuf()).unwrap();
    let pod = clients.core_v1().pods("ns").create(&named("web"), &CreateOptions::default()).await.unwrap();
    assert_eq!(pod.metadata.name.as_deref(), Some("web"));
    let widgets = clients.namespaced::<Widget>("ns");
    let made = widgets.create(&Widget::new("a", WidgetSpec { size: 3 }), &CreateOptions::default()).await.unwrap();
    assert_eq!(made.spec.size, 3);
    widgets.delete("a", &DeleteOptions::default()).await.unwrap();
    let seen = peer.received();
    assert!(seen[0].body.starts_with(b"k8s\0"));
    assert_eq!(seen[0].header("accept"), Some("application/vnd.kubernetes.protobuf,application/json"));
    assert_eq!(seen[1].header("accept"), Some("application/json"));
    assert_eq!(seen[1].header("content-type"), Some("application/json"));
    assert!(seen[2].body.starts_with(b"{"), "a custom resource's endpoint reads no protobuf options");
    // A RESTClient that was told to speak protobuf says what it can in it, and the rest in JSON.
    let rest = RestClient::unversioned(&peer.config().protobuf()).unwrap();
    rest.post().abs_path(&["/x"]).object(&made).send().await.unwrap();
    assert_eq!(peer.received()[3].header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn delete_options_are_sent_even_empty_and_with_the_version_of_the_group() {
    let peer = Peer::start([json_answer(200, SUCCESS)]).await;
    let delete = async |config: Config| {
        let clients = Clientset::for_config(&config).unwrap();
        clients.apps_v1().deployments("ns").delete("web", &DeleteOptions::default()).await.unwrap();
    };
    delete(peer.config()).await;
    delete(peer.config().protobuf()).await;
    let seen = peer.received();
    let body: Value = serde_json::from_slice(&seen[0].body).unwrap();
    assert_eq!(body, json!({"kind": "DeleteOptions", "apiVersion": "apps/v1"}));
    assert_eq!(seen[1].body.len(), 36, "as client-go writes it");
}

#[tokio::test]
async fn row_65_a_clientset_with_a_rate_and_no_burst_cannot_be_made() {
    let config = Config { qps: Qps(5.0), burst: Burst(0), ..Config::new("http://localhost") };
    let error = Clientset::for_config(&config).unwrap_err();
    assert!(error.to_string().contains("burst is required to be greater than 0"), "{error}");
}

#[tokio::test]
async fn all_groups_of_a_clientset_share_one_limiter() {
    let clients = Clientset::for_config(&Config::new("http://localhost")).unwrap();
    let limiter = |rest: &RestClient| std::sync::Arc::as_ptr(rest.rate_limiter().unwrap()).cast::<()>();
    let shared = limiter(clients.core_v1().rest_client());
    assert_eq!(shared, limiter(clients.apps_v1().rest_client()));
    assert_eq!(shared, limiter(clients.namespaced::<Widget>("ns").rest_client()));
    assert_eq!(clients.core_v1().pods("ns").collection(Method::GET).path_and_query(), "/api/v1/namespaces/ns/pods");
}

#[test]
fn a_custom_resource_reads_and_writes_its_kind() {
    let widget = Widget::new("a", WidgetSpec { size: 1 });
    let json = serde_json::to_value(&widget).unwrap();
    assert_eq!(
        json,
        json!({"apiVersion": "demo.io/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": {"size": 1}})
    );
    assert_eq!(serde_json::from_value::<Widget>(json).unwrap(), widget);
    let foreign = json!({"apiVersion": "demo.io/v2", "kind": "Widget", "spec": {}});
    assert!(serde_json::from_value::<Widget>(foreign).unwrap_err().to_string().contains("demo.io/v1, Kind=Widget"));
    let with_status = json!({"spec": {}, "status": {"anything": [1]}});
    assert!(serde_json::from_value::<Widget>(with_status).is_ok());
}

#[test]
fn schemes_take_built_in_and_custom_types() {
    let mut scheme = Scheme::builtin();
    assert!(scheme.kinds().count() > 90);
    assert!(scheme.recognizes(&Deployment::gvk()) && !scheme.recognizes(&Widget::gvk()));
    Widget::register(&mut scheme).unwrap();
    Widget::register(&mut scheme).unwrap();
    assert_eq!(scheme.get(&Widget::gvk()).unwrap().gvr(), Widget::gvr());
    for known in scheme.kinds() {
        let empty = scheme.new_object(&known.gvk).unwrap();
        assert_eq!(empty.kind(), known.gvk);
        let json = empty.to_unstructured().unwrap();
        assert_eq!(scheme.to_object(&json).unwrap().kind(), known.gvk);
    }
}
