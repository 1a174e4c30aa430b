//! Recording through the library: the proxy, the layer around a client, the layer around the fake server.

use crate::support::{before, calls, config, config_map, config_maps, create, sealed};
use rehearsal::{Cluster, Controllers};
use rehearsal_cassettes::format::model::{Body, End};
use rehearsal_cassettes::record::{Names, RecordLayer};
use rehearsal_client::{
    Body as ClientBody, CreateOptions, DeleteOptions, DynamicClient, GetOptions, GroupVersionResource, ListOptions,
    Transport, TransportError, TransportKind,
};
use serde_json::json;
use std::sync::Arc;
use tower::{Layer as _, ServiceExt as _};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn a_client_certificate_stays_with_the_proxy_and_a_watch_is_recorded_with_its_causes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.tape.yaml");
    let cluster = Cluster::builder()
        .controllers(Controllers::none())
        .tls(true)
        .auth(rehearsal::AuthMode::Rbac)
        .start()
        .await
        .unwrap();
    let (proxy, recording) = before(&config(&cluster.kubeconfig().unwrap()), &path, &["writer", "reader"]).await;
    let kubeconfig = proxy.kubeconfig("writer");
    let real = cluster.kubeconfig().unwrap();
    let key = real.lines().find_map(|line| line.trim().strip_prefix("client-key-data: ")).unwrap().trim_matches('"');
    assert!(!kubeconfig.contains(key) && !kubeconfig.contains(&cluster.url()));

    let (writer, reader) = (config_maps(&config(&kubeconfig)), config_maps(&config(&proxy.kubeconfig("reader"))));
    let listed = reader.list(&ListOptions::default()).await.unwrap();
    let from = ListOptions::default().resource_version(listed["metadata"]["resourceVersion"].as_str().unwrap());
    let mut watch = reader.watch(&from).await.unwrap();
    for name in ["a", "b"] {
        create(&writer, name).await;
        assert_eq!(watch.next().await.unwrap().object["metadata"]["name"], name);
    }
    writer.delete("a", &DeleteOptions::default(), &[]).await.unwrap();
    watch.next().await.unwrap();
    drop(watch);
    assert!(writer.get("a", &GetOptions::default(), &[]).await.unwrap_err().is_not_found());
    proxy.shutdown().await;
    let summary = recording.seal().await.unwrap();
    assert_eq!((summary.sealed.calls, summary.sealed.frames, summary.sealed.drops), (6, 3, 0));

    let tape = sealed(&path);
    let creates = calls(&tape, "POST", MAPS);
    let watch = calls(&tape, "GET", MAPS).into_iter().find(|call| !call.frames.is_empty()).unwrap();
    assert_eq!((creates.len(), creates[0].lane.as_str(), watch.lane.as_str()), (2, "writer", "reader"));
    let causes: Vec<_> = watch.frames.iter().take(2).map(|frame| frame.cause.clone()).collect();
    assert_eq!(causes, [vec![creates[0].id], vec![creates[1].id]]);
    assert_eq!(watch.end, End::ClientCancel);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("rehearsal-lane") && text.contains("auth: redacted-"));
    assert!(!dir.path().join("x.tape.part").exists());
    cluster.shutdown().await;
}

#[tokio::test]
async fn secrets_are_not_on_the_tape_and_not_in_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.tape.yaml");
    let cluster = Cluster::builder().controllers(Controllers::none()).start().await.unwrap();
    let (proxy, recording) = before(&config(&cluster.kubeconfig().unwrap()), &path, &[]).await;
    let client = DynamicClient::for_config(&config(&proxy.kubeconfig("sut"))).unwrap();
    // Seen in a place of no interest before anybody knows that it is a secret.
    let mut early = config_map("early");
    early["data"]["note"] = "Tr0ub4dor&3-canary".into();
    let maps = client.resource(&GroupVersionResource::new("", "v1", "configmaps")).namespace("default");
    maps.create(&early, &CreateOptions::default(), &[]).await.unwrap();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"pw": "Tr0ub4dor&3-canary"}});
    let secrets = client.resource(&GroupVersionResource::new("", "v1", "secrets")).namespace("default");
    secrets.create(&secret, &CreateOptions::default(), &[]).await.unwrap();
    let got = secrets.get("s", &GetOptions::default(), &[]).await.unwrap();
    assert_eq!(got["data"]["pw"], "VHIwdWI0ZG9yJjMtY2FuYXJ5", "the client sees the real one");
    let journal = std::fs::read_to_string(dir.path().join("x.tape.part")).unwrap();
    proxy.shutdown().await;
    recording.seal().await.unwrap();
    let tape = std::fs::read_to_string(&path).unwrap();
    for (place, text) in [("journal", journal.replace("note: \"Tr0ub4dor&3-canary\"", "")), ("tape", tape)] {
        assert!(!text.contains("Tr0ub4dor") && !text.contains("VHIwdWI0ZG9y"), "{place}:\n{text}");
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_client_is_recorded_without_a_socket_between() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.tape.yaml");
    let cluster = Cluster::builder().controllers(Controllers::none()).start().await.unwrap();
    let options =
        rehearsal::recording::RecordingOptions { path: path.clone(), placement: "layer".into(), ..Default::default() };
    let recording = rehearsal::recording::start(options).unwrap();
    let layer = RecordLayer::new(recording.recorder().clone(), Names::fixed("controller"))
        .outcome(rehearsal::recording::outcome_of());
    let mut config = config(&cluster.kubeconfig().unwrap());
    config.wrap_transport = Some(Arc::new(move |inner: Transport| {
        let inner = tower::service_fn(move |request: http::Request<_>| {
            let inner = inner.clone();
            async move { inner.send(request.map(ClientBody::wrap)).await }
        });
        let recorded = layer.layer(inner);
        Transport::new(tower::service_fn(move |request| {
            let recorded = recorded.clone();
            async move {
                let response = recorded.oneshot(request).await;
                response
                    .map(|response| response.map(ClientBody::wrap))
                    .map_err(|error| TransportError::with_source(TransportKind::Other, error))
            }
        }))
    }));
    let client = config_maps(&config);
    let mut watch = client.watch(&ListOptions::default()).await.unwrap();
    create(&client, "a").await;
    watch.next().await.unwrap();
    drop(watch);
    recording.seal().await.unwrap();
    let tape = sealed(&path);
    assert_eq!(tape.header.recorded.placement, "layer");
    assert_eq!((calls(&tape, "POST", MAPS).len(), calls(&tape, "GET", MAPS)[0].frames.len()), (1, 1));
    assert!(tape.calls().all(|call| call.lane == "controller" && call.audit_id.is_some()));
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_cluster_records_itself_under_its_own_clock_and_leaves_its_admin_api_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.tape.yaml");
    let clock = rehearsal::Clock::manual("2030-01-01T00:00:00Z".parse().unwrap());
    let cluster = Cluster::builder().controllers(Controllers::none()).clock(clock).record(&path).start().await.unwrap();
    let mut config = config(&cluster.kubeconfig().unwrap());
    config.user_agent = "probe/v1 (test)".into();
    let client = config_maps(&config);
    let mut watch = client.watch(&ListOptions::default()).await.unwrap();
    create(&client, "a").await;
    watch.next().await.unwrap();
    let mut admin = config.clone();
    admin.bearer_token = cluster.admin_token().into();
    let rest = rehearsal_client::RestClient::unversioned(&admin).unwrap();
    let _ = rest.get().abs_path(&["/_rehearsal/v1/journal"]).send().await;
    drop(watch);
    let summary = cluster.end().await.unwrap().unwrap();
    assert_eq!((summary.sealed.calls, summary.sealed.frames), (2, 1));
    let tape = sealed(&path);
    assert_eq!((tape.header.clock.source.as_str(), tape.header.recorded.placement.as_str()), ("manual", "server"));
    assert_eq!(tape.header.clock.start, "2030-01-01T00:00:00Z");
    let create = calls(&tape, "POST", MAPS)[0];
    assert_eq!((create.lane.as_str(), create.t.req), ("probe", 0));
    assert!(matches!(&create.response.as_ref().unwrap().body, Some(Body::Json { .. } | Body::Same { .. })));
}
