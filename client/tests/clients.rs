//! The runtime-typed clients on the wire: which requests they make and what they refuse.

mod support;

use rehearsal_client::*;
use serde_json::json;
use std::sync::Arc;
use support::{Peer, answer, json as json_answer};

fn deployments(peer: &Peer) -> DynamicResource {
    DynamicClient::for_config(&peer.config())
        .unwrap()
        .resource(&GroupVersionResource::new("apps", "v1", "deployments"))
        .namespace("ns")
}

const OBJECT: &str = r#"{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"web"}}"#;

#[tokio::test]
async fn the_dynamic_client_asks_as_client_go_does() {
    let peer = Peer::start([json_answer(200, OBJECT)]).await;
    let client = deployments(&peer);
    let object = json!({"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "web"}});
    let manager = PatchOptions::default().field_manager("me");
    client.create(&object, &CreateOptions::default().field_manager("me"), &[]).await.unwrap();
    client.update_status(&object, &UpdateOptions::default()).await.unwrap();
    client.get("web", &GetOptions::default(), &["scale"]).await.unwrap();
    client.list(&ListOptions::default().limit(5)).await.unwrap();
    client.patch("web", PatchType::Merge, "{}", &PatchOptions::default(), &[]).await.unwrap();
    client.apply("web", &object, &manager, &[]).await.unwrap();
    client.delete("web", &DeleteOptions::default(), &[]).await.unwrap();
    client.delete_collection(&DeleteOptions::default(), &ListOptions::default().labels("a=b")).await.unwrap();
    let lines: Vec<_> = peer.received().iter().map(|r| r.line.clone()).collect();
    assert_eq!(
        lines,
        [
            "POST /apis/apps/v1/namespaces/ns/deployments?fieldManager=me",
            "PUT /apis/apps/v1/namespaces/ns/deployments/web/status",
            "GET /apis/apps/v1/namespaces/ns/deployments/web/scale",
            "GET /apis/apps/v1/namespaces/ns/deployments?limit=5",
            "PATCH /apis/apps/v1/namespaces/ns/deployments/web",
            "PATCH /apis/apps/v1/namespaces/ns/deployments/web?fieldManager=me&force=false",
            "DELETE /apis/apps/v1/namespaces/ns/deployments/web",
            "DELETE /apis/apps/v1/namespaces/ns/deployments?labelSelector=a%3Db",
        ]
    );
    let seen = peer.received();
    assert!(seen.iter().all(|r| r.header("accept") == Some("application/json")));
    assert_eq!(seen[4].header("content-type"), Some("application/merge-patch+json"));
    assert_eq!(seen[5].header("content-type"), Some("application/apply-patch+yaml"));
    assert!(seen[6].body.starts_with(b"{"), "delete options travel as a body, even empty ones");
}

#[tokio::test]
async fn the_dynamic_client_refuses_what_cannot_work() {
    let peer = Peer::start([json_answer(200, r#"{"metadata":{}}"#)]).await;
    let client = deployments(&peer);
    let manager = PatchOptions::default().field_manager("me");
    assert!(client.get("", &GetOptions::default(), &[]).await.is_err());
    assert!(client.apply("a", &json!({"metadata": {"managedFields": []}}), &manager, &[]).await.is_err());
    assert!(client.apply("a", &json!({"metadata": {"name": "b"}}), &manager, &[]).await.is_err());
    assert_eq!(peer.attempts(), 0);
    assert!(matches!(client.get("a", &GetOptions::default(), &[]).await, Err(Error::Decode(_))), "no kind");
}

#[tokio::test]
async fn the_metadata_client_wants_metadata_and_nothing_else() {
    let partial = r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"web"}}"#;
    let peer = Peer::start([json_answer(200, partial), json_answer(200, OBJECT)]).await;
    let client = MetadataClient::for_config(&peer.config()).unwrap();
    let client = client.resource(&GroupVersionResource::new("apps", "v1", "deployments")).namespace("ns");
    client.get("web", &GetOptions::default(), &[]).await.unwrap();
    assert_eq!(
        peer.received()[0].header("accept"),
        Some(
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,\
             application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
        )
    );
    let error = client.get("web", &GetOptions::default(), &[]).await.unwrap_err();
    assert!(matches!(error, Error::Decode(DecodeError::KindMismatch { .. })));
}

const AGGREGATED: (&str, &str) =
    ("content-type", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");

fn group(name: &str, resource: &str, kind: &str) -> String {
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": [{"metadata": {"name": name},
        "versions": [{"version": "v1", "freshness": "Current", "resources": [{"resource": resource, "scope": "Namespaced",
        "responseKind": {"group": name, "version": "v1", "kind": kind}, "singularResource": "", "verbs": ["get"]}]}]}]})
    .to_string()
}

#[tokio::test]
async fn aggregated_discovery_takes_two_requests_and_feeds_mapper_and_scale() {
    let scale = r#"{"kind":"Scale","apiVersion":"autoscaling/v1","metadata":{"name":"web"}}"#;
    let peer = Peer::start([
        answer(200, &[AGGREGATED], &group("", "pods", "Pod")),
        answer(200, &[AGGREGATED], &group("apps", "deployments", "Deployment")),
        json_answer(200, scale),
    ])
    .await;
    let discovery = DiscoveryClient::for_config(&peer.config()).unwrap();
    let found = discovery.discover().await.unwrap().complete().unwrap();
    assert_eq!(peer.attempts(), 2);
    assert!(
        peer.received()[0].header("accept").unwrap().starts_with("application/json;g=apidiscovery.k8s.io;v=v2;as=")
    );
    assert!(peer.received()[0].line.ends_with("/api?timeout=32s"));
    let rest = RestClient::unversioned(&peer.config()).unwrap();
    let client = ScaleClient::new(&rest, RestMapper::new(&found));
    client.get(&GroupResource::new("apps", "deployments"), "ns", "web", &GetOptions::default()).await.unwrap();
    assert_eq!(peer.received()[2].line, "GET /apis/apps/v1/namespaces/ns/deployments/web/scale");
}

#[tokio::test]
async fn legacy_discovery_tells_the_good_part_beside_the_bad_one() {
    let groups = json!({"kind": "APIGroupList", "groups": [{"name": "bad.io", "versions": [{"groupVersion": "bad.io/v1", "version": "v1"}],
        "preferredVersion": {"version": "v1"}}]});
    let core = json!({"kind": "APIResourceList", "groupVersion": "v1", "resources": [{"name": "pods", "singularName": "pod", "namespaced": true, "kind": "Pod", "verbs": ["get"]}]});
    let versions = r#"{"kind":"APIVersions","versions":["v1"]}"#.to_owned();
    let round =
        [json_answer(200, &versions), json_answer(200, &groups.to_string()), json_answer(200, &core.to_string())];
    // The order in which the two versions are asked for is not fixed, so the failing one is told by its path.
    let peer = Peer::by_path(move |path| match path {
        "/api" => round[0].clone(),
        "/apis" => round[1].clone(),
        "/api/v1" => round[2].clone(),
        _ => answer(503, &[], ""),
    })
    .await;
    let discovery = DiscoveryClient::new(&RestClient::unversioned(&peer.config()).unwrap());
    let found = discovery.discover().await.unwrap();
    assert_eq!(found.resources[&GroupVersion::new("", "v1")].resources[0].kind, "Pod");
    assert!(found.failed[&GroupVersion::new("bad.io", "v1")].is_service_unavailable());
    assert!(matches!(found.complete(), Err(Error::Discovery(_))));
    assert_eq!(peer.attempts(), 8, "a partial failure is tried twice");
}

#[tokio::test]
async fn a_server_without_a_core_group_can_be_discovered() {
    let peer = Peer::by_path(|path| match path {
        "/apis" => answer(200, &[AGGREGATED], &group("apps", "deployments", "Deployment")),
        _ => answer(404, &[], ""),
    })
    .await;
    let discovery = Arc::new(DiscoveryClient::new(&RestClient::unversioned(&peer.config()).unwrap()));
    let mapper = DeferredRestMapper::new(Arc::new(MemoryCache::new(discovery)));
    let mapping = mapper.rest_mapping(&GroupKind::new("apps", "Deployment"), &[]).await.unwrap();
    assert_eq!(mapping.resource.resource, "deployments");
}

#[tokio::test]
async fn a_kubeconfig_leads_to_an_object() {
    let peer = Peer::start([json_answer(201, OBJECT)]).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config");
    let text = format!(
        "current-context: c\nclusters: [{{name: c, cluster: {{server: 'http://{}/prefix'}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: ''}}}}]\n",
        peer.address
    );
    std::fs::write(&file, text).unwrap();
    let config = Config::from_flags("", file.to_str().unwrap()).unwrap();
    let object = json!({"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "web"}});
    let client = DynamicClient::for_config(&config).unwrap();
    let client = client.resource(&GroupVersionResource::new("apps", "v1", "deployments")).namespace("default");
    client.create(&object, &CreateOptions::default(), &[]).await.unwrap();
    assert_eq!(peer.received()[0].line, "POST /prefix/apis/apps/v1/namespaces/default/deployments");
}

/// Stands for a protobuf codec: reads JSON.
struct Stand;

impl ObjectCodec for Stand {
    fn media_type(&self) -> &str {
        MEDIA_PROTOBUF
    }
    fn encode(&self, object: &serde_json::Value) -> Result<Vec<u8>, String> {
        JsonCodec.encode(object)
    }
    fn decode(&self, body: &[u8]) -> Result<serde_json::Value, String> {
        JsonCodec.decode(body)
    }
}

#[tokio::test]
async fn a_codec_of_the_configuration_is_asked_for_and_used() {
    let partial = r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"web"}}"#;
    let peer = Peer::start([answer(200, &[("content-type", MEDIA_PROTOBUF)], partial)]).await;
    let config = Config { codecs: Codecs::default().with(Arc::new(Stand)), ..peer.config() };
    let pods = GroupVersionResource::new("", "v1", "pods");
    let client = MetadataClient::for_config(&config).unwrap().resource(&pods);
    client.get("web", &GetOptions::default(), &[]).await.unwrap();
    assert!(peer.received()[0].header("accept").unwrap().starts_with("application/vnd.kubernetes.protobuf;as="));
    let typed = RestClient::unversioned(&config).unwrap().content(MEDIA_PROTOBUF, MEDIA_PROTOBUF);
    typed.post().object(&json!({"kind": "Pod"})).send().await.unwrap().object().unwrap();
    assert_eq!(peer.received()[1].header("content-type"), Some(MEDIA_PROTOBUF));
}

#[tokio::test]
async fn warnings_are_heard_and_kept() {
    let warned = [("content-type", "application/json"), ("warning", r#"299 - "old""#)];
    let peer = Peer::start([answer(200, &warned, OBJECT)]).await;
    #[derive(Default)]
    struct Heard(parking_lot::Mutex<Vec<String>>);
    impl WarningHandler for Heard {
        fn handle(&self, warning: &Warning) {
            self.0.lock().push(warning.text.clone());
        }
    }
    let heard = Arc::new(Heard::default());
    let config = Config { warning_handler: Some(heard.clone()), ..peer.config() };
    let response = RestClient::unversioned(&config).unwrap().get().send().await.unwrap();
    assert_eq!(response.warnings()[0].code, 299);
    assert_eq!(*heard.0.lock(), ["old"]);
}

#[tokio::test]
async fn discovery_can_ask_for_what_the_server_itself_serves() {
    let peer = Peer::start([json_answer(200, r#"{"groups":[]}"#)]).await;
    DiscoveryClient::for_config(&peer.config()).unwrap().no_peer().groups().await.unwrap();
    let accept = peer.received()[0].header("accept").unwrap().to_owned();
    assert!(
        accept.starts_with("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList;profile=nopeer,"),
        "{accept}"
    );
    assert!(accept.ends_with(",application/json"));
}

#[tokio::test]
async fn a_disk_cache_asks_about_documents_by_their_tags() {
    let tagged = [("content-type", "application/json"), ("etag", "\"1\""), ("cache-control", "no-cache")];
    let groups = r#"{"groups":[{"name":"apps","versions":[{"version":"v1"}],"preferredVersion":{"version":"v1"}}]}"#;
    let peer = Peer::by_path(move |path| match path {
        "/apis" => answer(200, &tagged, groups),
        "/apis/apps/v1" => answer(200, &tagged, r#"{"resources":[{"name":"deployments","kind":"Deployment"}]}"#),
        _ => answer(404, &[], ""),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let (files, http) = (dir.path().join("discovery"), dir.path().join("http"));
    for _ in 0..2 {
        let cache =
            DiskCache::for_config(&peer.config(), &files, Some(&http), std::time::Duration::from_secs(600)).unwrap();
        cache.invalidate();
        assert_eq!(cache.discover().await.unwrap().groups[0].name, "apps");
    }
    let asked: Vec<_> = peer.received().into_iter().filter(|r| r.line != "GET /api?timeout=32s").collect();
    let tags: Vec<_> = asked.iter().map(|r| r.header("if-none-match")).collect();
    assert_eq!(tags, [None, None, Some("\"1\""), Some("\"1\"")], "{asked:?}");
}
