//! What knows no types: RESTClient, dynamic, metadata and scale clients, discovery, mapper, pager, RetryWatcher.

use crate::place::{Place, everywhere};
use rehearsal::client::*;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

fn map(name: &str, value: &str) -> Value {
    json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name, "labels": {"by": "rest"}}, "data": {"k": value}})
}

fn deployment(name: &str) -> Value {
    json!({"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": name},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": name}}, "template": {
            "metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}}})
}

/// The maps that a body makes; others are the server's own.
fn own() -> ListOptions {
    ListOptions::default().labels("by=rest")
}

#[tokio::test]
async fn a_rest_client_does_every_verb() {
    everywhere(async |place: Place| {
        let core = place.core();
        let maps = |request: Request| request.namespace(&place.namespace).resource("configmaps");
        let made = maps(core.post()).object(&map("a", "1")).send().await.unwrap();
        assert!(made.was_created());
        let mut made = made.object().unwrap();
        let taken = maps(core.post()).object(&map("a", "1")).send().await.unwrap().error().unwrap();
        assert!(taken.is_already_exists(), "{taken}");
        made["data"]["k"] = "2".into();
        let put = |object: &Value| maps(core.put()).name("a").object(object);
        assert_eq!(put(&made).send().await.unwrap().object().unwrap()["data"]["k"], "2");
        assert!(put(&made).send().await.unwrap().error().unwrap().is_conflict());
        let merge = maps(core.patch(PatchType::Merge)).name("a").body(r#"{"data":{"k":"3"}}"#);
        assert_eq!(merge.send().await.unwrap().object().unwrap()["data"]["k"], "3");
        let json_patch = r#"[{"op":"replace","path":"/data/k","value":"4"}]"#;
        maps(core.patch(PatchType::Json)).name("a").body(json_patch).send().await.unwrap().object().unwrap();
        let got = maps(core.get()).name("a").timeout(Duration::from_secs(30)).send().await.unwrap();
        assert_eq!((got.content_type(), &got.object().unwrap()["data"]["k"]), ("application/json", &json!("4")));
        let list = maps(core.get()).params(&own()).send().await.unwrap().object().unwrap();
        assert_eq!((list["kind"].as_str(), list["items"].as_array().unwrap().len()), (Some("ConfigMapList"), 1));
        let deleted = maps(core.delete()).name("a").delete_options(&DeleteOptions::default());
        assert_eq!(deleted.send().await.unwrap().object().unwrap()["status"], "Success");
        let gone = maps(core.get()).name("a").send().await.unwrap().error().unwrap();
        assert!(gone.is_not_found());
        assert_eq!(gone.status().unwrap().details.as_ref().unwrap().name, "a");
        let invalid = maps(core.post()).object(&map("Not_A_Name", "1")).send().await.unwrap().error().unwrap();
        assert!(invalid.is_invalid() && invalid.cause("FieldValueInvalid").is_some(), "{invalid}");
        assert_eq!(core.get().abs_path(&["/readyz"]).do_raw().await.unwrap(), "ok");
        let html = core.get().abs_path(&["/no/such/path"]).do_raw().await.unwrap_err();
        assert!(html.is_not_found());
    })
    .await;
}

#[tokio::test]
async fn a_rest_client_watches_and_streams() {
    everywhere(async |place: Place| {
        let core = place.core();
        let maps = |request: Request| request.namespace(&place.namespace).resource("configmaps");
        let list = maps(core.get()).params(&own()).send().await.unwrap().object().unwrap();
        let from = list["metadata"]["resourceVersion"].as_str().unwrap();
        let options = ListOptions { watch: true, ..own().resource_version(from) };
        let mut watch = maps(core.get()).params(&options).watch().await.unwrap();
        maps(core.post()).object(&map("a", "1")).send().await.unwrap().object().unwrap();
        let added = watch.until(|event| Ok(event.kind == WatchEventType::Added)).await.unwrap();
        assert_eq!(added.object["metadata"]["name"], "a");
        let bytes = maps(core.get()).params(&own()).stream().await.unwrap().bytes().await.unwrap();
        let streamed: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(streamed["items"].as_array().unwrap().len(), 1);
        let old = ListOptions { watch: true, ..own().resource_version("not-a-version") };
        assert!(maps(core.get()).params(&old).watch().await.unwrap_err().status().is_some());
    })
    .await;
}

#[tokio::test]
async fn the_dynamic_client_does_every_verb() {
    everywhere(async |place: Place| {
        let maps = place.dynamic("", "v1", "configmaps");
        let mut made = maps.create(&map("a", "1"), &CreateOptions::default(), &[]).await.unwrap();
        made["data"]["k"] = "2".into();
        let updated = maps.update(&made, &UpdateOptions::default(), &[]).await.unwrap();
        assert_ne!(updated["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);
        let mine = PatchOptions::default().field_manager("me");
        let refused = maps.apply("a", &map("a", "3"), &mine, &[]).await.unwrap_err();
        assert!(refused.is_conflict() && refused.cause("FieldManagerConflict").is_some(), "{refused}");
        let forced = maps.apply("a", &map("a", "3"), &mine.force(true), &[]).await.unwrap();
        assert_eq!(forced["data"]["k"], "3");
        let deployments = place.dynamic("apps", "v1", "deployments");
        deployments.create(&deployment("web"), &CreateOptions::default(), &[]).await.unwrap();
        // A controller may write too.
        let written = retry_on_conflict(DEFAULT_BACKOFF, || async {
            let mut web = deployments.get("web", &GetOptions::default(), &[]).await?;
            web["status"]["replicas"] = 0.into();
            web["spec"]["replicas"] = 9.into();
            deployments.update_status(&web, &UpdateOptions::default()).await
        });
        assert_eq!(written.await.unwrap()["spec"]["replicas"], 0, "only the status is written");
        let everywhere = maps.clone().namespace("").list(&own()).await.unwrap();
        assert!(everywhere["items"].as_array().unwrap().iter().any(|m| m["metadata"]["namespace"] == *place.namespace));
        maps.delete_collection(&DeleteOptions::default(), &own()).await.unwrap();
        assert!(maps.list(&own()).await.unwrap()["items"].as_array().unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_conflict_is_retried_with_what_the_other_wrote() {
    everywhere(async |place: Place| {
        let maps = place.dynamic("", "v1", "configmaps");
        maps.create(&map("a", "0"), &CreateOptions::default(), &[]).await.unwrap();
        let increment = || {
            let maps = maps.clone();
            let backoff = Backoff { steps: 50, ..DEFAULT_RETRY };
            tokio::spawn(retry_on_conflict(backoff, move || {
                let maps = maps.clone();
                async move {
                    let mut a = maps.get("a", &GetOptions::default(), &[]).await?;
                    let number: u32 = a["data"]["k"].as_str().unwrap().parse().unwrap();
                    a["data"]["k"] = (number + 1).to_string().into();
                    maps.update(&a, &UpdateOptions::default(), &[]).await
                }
            }))
        };
        for writer in [increment(), increment(), increment(), increment(), increment()] {
            writer.await.unwrap().unwrap();
        }
        assert_eq!(maps.get("a", &GetOptions::default(), &[]).await.unwrap()["data"]["k"], "5");
    })
    .await;
}

#[tokio::test]
async fn the_metadata_client_transfers_metadata_only() {
    everywhere(async |place: Place| {
        let maps = place.dynamic("", "v1", "configmaps");
        maps.create(&map("a", "1"), &CreateOptions::default(), &[]).await.unwrap();
        let client = MetadataClient::for_config(&place.config).unwrap();
        let metadata = client.resource(&GroupVersionResource::new("", "v1", "configmaps")).namespace(&place.namespace);
        let got = metadata.get("a", &GetOptions::default(), &[]).await.unwrap();
        assert_eq!((&got["kind"], got.get("data")), (&json!("PartialObjectMetadata"), None));
        let list = metadata.list(&own()).await.unwrap();
        assert_eq!((&list["kind"], list["items"].as_array().unwrap().len()), (&json!("PartialObjectMetadataList"), 1));
        let labels = r#"{"metadata":{"labels":{"new":"yes"}}}"#;
        let patched = metadata.patch("a", PatchType::Merge, labels, &PatchOptions::default(), &[]).await.unwrap();
        assert_eq!(patched["metadata"]["labels"]["new"], "yes");
        metadata.delete("a", &DeleteOptions::default(), &[]).await.unwrap();
        assert!(metadata.get("a", &GetOptions::default(), &[]).await.unwrap_err().is_not_found());
    })
    .await;
}

#[tokio::test]
async fn the_scale_client_scales_what_the_mapper_knows() {
    everywhere(async |place: Place| {
        place
            .dynamic("apps", "v1", "deployments")
            .create(&deployment("web"), &CreateOptions::default(), &[])
            .await
            .unwrap();
        let discovered = DiscoveryClient::for_config(&place.config).unwrap().discover().await.unwrap();
        let client = ScaleClient::new(&place.core(), RestMapper::new(&discovered));
        let deployments = GroupResource::new("apps", "deployments");
        let mut scale = client.get(&deployments, &place.namespace, "web", &GetOptions::default()).await.unwrap();
        assert_eq!((&scale["apiVersion"], &scale["status"]["selector"]), (&json!("autoscaling/v1"), &json!("app=web")));
        scale["spec"]["replicas"] = 0.into();
        // A controller may have written in between.
        scale["metadata"].as_object_mut().unwrap().remove("resourceVersion");
        client.update(&deployments, &place.namespace, &scale, &UpdateOptions::default()).await.unwrap();
        let unknown = GroupResource::new("apps", "nothings");
        let unknown = client.get(&unknown, &place.namespace, "web", &GetOptions::default()).await;
        assert!(matches!(unknown.unwrap_err(), Error::Mapping(_)));
    })
    .await;
}

#[tokio::test]
async fn discovery_says_the_same_in_both_flavours_and_from_caches() {
    everywhere(async |place: Place| {
        let client = DiscoveryClient::for_config(&place.config).unwrap();
        assert_eq!(client.version().await.unwrap().major, "1");
        let aggregated = client.discover().await.unwrap().complete().unwrap();
        let legacy = client.clone().legacy().discover().await.unwrap().complete().unwrap();
        let names =
            |found: &Discovered| found.groups.iter().map(|g| (g.name.clone(), g.versions.clone())).collect::<Vec<_>>();
        assert_eq!(names(&aggregated), names(&legacy));
        let v1 = GroupVersion::new("", "v1");
        for found in [&aggregated, &legacy] {
            let pods = found.resources[&v1].resources.iter().find(|r| r.name == "pods").unwrap();
            assert!(pods.namespaced && pods.kind == "Pod" && pods.short_names == ["po"], "{pods:?}");
            assert!(pods.categories.contains(&"all".to_owned()) && pods.verbs.contains(&"watch".to_owned()));
        }
        assert!(!client.openapi_v2().await.unwrap().is_empty());
        let documents = client.openapi_v3().await.unwrap();
        let (_, url) = documents.iter().find(|(path, _)| path == "api/v1").unwrap();
        assert!(client.openapi_v3_document(url).await.unwrap()["paths"].is_object());
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let (files, http) = (dir.path().join("discovery"), dir.path().join("http"));
            let cache = DiskCache::for_config(&place.config, &files, Some(&http), Duration::from_secs(600)).unwrap();
            cache.invalidate();
            assert_eq!(names(&cache.discover().await.unwrap()), names(&aggregated));
        }
        let memory = MemoryCache::new(Arc::new(client));
        assert!(memory.resources_for(&v1).await.unwrap().resources.iter().any(|r| r.name == "configmaps"));
        assert!(memory.resources_for(&GroupVersion::new("no.such", "v1")).await.unwrap_err().is_not_found());
    })
    .await;
}

#[tokio::test]
async fn the_mapper_knows_kinds_resources_and_short_names() {
    everywhere(async |place: Place| {
        let discovery = Arc::new(MemoryCache::new(Arc::new(DiscoveryClient::for_config(&place.config).unwrap())));
        let mapper = DeferredRestMapper::new(discovery);
        let mapping = mapper.rest_mapping(&GroupKind::new("apps", "Deployment"), &[]).await.unwrap();
        assert_eq!((mapping.resource.resource.as_str(), mapping.namespaced), ("deployments", true));
        let short = mapper.resource_for(&GroupVersionResource::new("", "", "deploy")).await.unwrap();
        assert_eq!(short, GroupVersionResource::new("apps", "v1", "deployments"));
        let node = mapper.kind_for(&GroupVersionResource::new("", "", "node")).await.unwrap();
        assert_eq!(node, GroupVersionKind::new("", "v1", "Node"));
        let all = mapper.mapper().await.unwrap().category("all");
        assert!(all.contains(&GroupResource::new("", "pods")) && all.contains(&GroupResource::new("batch", "jobs")));
        let unknown = mapper.rest_mapping(&GroupKind::new("no.such", "Thing"), &[]).await.unwrap_err();
        assert!(matches!(&unknown, Error::Mapping(error) if error.is_no_match()), "{unknown}");
    })
    .await;
}

#[tokio::test]
async fn a_pager_reads_everything_once() {
    everywhere(async |place: Place| {
        let maps = place.dynamic("", "v1", "configmaps");
        for name in ["a", "b", "c", "d", "e", "f", "g"] {
            maps.create(&map(name, "1"), &CreateOptions::default(), &[]).await.unwrap();
        }
        let pager = Pager::new(maps).page_size(3);
        let (list, paginated) = pager.list(&own()).await.unwrap();
        let names = |list: &[Value]| {
            list.iter().map(|m| m["metadata"]["name"].as_str().unwrap().to_owned()).collect::<String>()
        };
        assert!(paginated && list["metadata"].get("continue").is_none());
        assert_eq!(names(list["items"].as_array().unwrap()), "abcdefg");
        let mut seen = Vec::new();
        pager
            .each(&own(), |item| {
                seen.push(item);
                Ok(())
            })
            .await
            .unwrap();
        assert_eq!(names(&seen), "abcdefg");
    })
    .await;
}

/// Tells how often it was started.
struct Started(DynamicResource, watch::Sender<usize>);

impl StartWatch for Started {
    fn start<'a>(&'a self, options: &'a ListOptions) -> BoxFuture<'a, Result<WatchStream, Error>> {
        self.1.send_modify(|starts| *starts += 1);
        Box::pin(self.0.watch(options))
    }
}

#[tokio::test]
async fn a_retry_watcher_sees_each_change_once() {
    everywhere(async |place: Place| {
        let maps = place.dynamic("", "v1", "configmaps");
        let list = maps.list(&own()).await.unwrap();
        let from = list["metadata"]["resourceVersion"].as_str().unwrap();
        // The server ends each stream after a second; the watcher goes on where it ended.
        let options = own().resource_version(from).timeout_seconds(1);
        let (tell, mut starts) = watch::channel(0);
        let mut watcher = RetryWatcher::try_new(Started(maps.clone(), tell), options).unwrap();
        let writer = tokio::spawn(async move {
            maps.create(&map("a", "0"), &CreateOptions::default(), &[]).await.unwrap();
            for start in 2..4 {
                starts.wait_for(|starts| *starts >= start).await.unwrap();
                let patch = format!(r#"{{"data":{{"k":"{start}"}}}}"#);
                maps.patch("a", PatchType::Merge, patch, &PatchOptions::default(), &[]).await.unwrap();
            }
            maps.delete("a", &DeleteOptions::default(), &[]).await.unwrap();
        });
        let mut seen = Vec::new();
        let deleted = watcher.until(|event| {
            seen.push(event.object["data"]["k"].as_str().unwrap().to_owned());
            Ok(event.kind == WatchEventType::Deleted)
        });
        deleted.await.unwrap();
        assert_eq!(seen, ["0", "2", "3", "3"]);
        writer.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn streams_of_a_pod_without_a_node_are_refused_as_statuses() {
    everywhere(async |place: Place| {
        // Where a controller makes it, it may have come first.
        let account = json!({"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "default"}});
        let accounts = place.dynamic("", "v1", "serviceaccounts");
        let made = accounts.create(&account, &CreateOptions::default(), &[]).await;
        assert!(made.as_ref().err().is_none_or(Error::is_already_exists), "{made:?}");
        let pod = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "web"},
            "spec": {"schedulerName": "nobody", "containers": [{"name": "c", "image": "nginx"}]}});
        place.dynamic("", "v1", "pods").create(&pod, &CreateOptions::default(), &[]).await.unwrap();
        let (client, namespace) = (place.core(), &place.namespace);
        let ports = stream::PodPortForwardOptions::new([80]);
        for error in [
            stream::exec(&client, namespace, "web", &stream::PodExecOptions::new(["ls"])).await.unwrap_err(),
            stream::attach(&client, namespace, "web", &stream::PodAttachOptions::default()).await.unwrap_err(),
            stream::port_forward(&client, namespace, "web", &ports).await.unwrap_err(),
        ] {
            assert!(error.is_bad_request() && error.to_string().contains("does not have a host assigned"), "{error}");
        }
        let missing = stream::exec(&client, namespace, "none", &stream::PodExecOptions::new(["ls"])).await;
        assert!(missing.unwrap_err().is_not_found());
        let mut lines = stream::logs(&client, namespace, "web", &PodLogOptions::default()).await.unwrap().lines();
        assert!(lines.next().await.is_none(), "nothing was written yet");
    })
    .await;
}

#[tokio::test]
async fn the_kubeconfig_of_a_place_names_its_server_and_its_user() {
    everywhere(async |place: Place| {
        let (client, error) = ClientConfig::load(&LoadingRules::explicit(&place.kubeconfig));
        assert_eq!(error, None);
        let config = client.client_config().unwrap();
        assert_eq!(config.host, place.config.host);
        let again = ClientConfig::new(Kubeconfig::parse(client.raw().to_yaml().as_bytes()).unwrap());
        assert_eq!(again.client_config().unwrap().host, config.host, "what is written back reads the same");
        let review = json!({"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
            "spec": {"resourceAttributes": {"verb": "list", "resource": "pods", "namespace": place.namespace}}});
        let gvr = GroupVersionResource::new("authorization.k8s.io", "v1", "selfsubjectaccessreviews");
        let reviews = DynamicClient::for_config(&config).unwrap().resource(&gvr);
        let answer = reviews.create(&review, &CreateOptions::default(), &[]).await.unwrap();
        assert_eq!(answer["status"]["allowed"], true);
    })
    .await;
}
