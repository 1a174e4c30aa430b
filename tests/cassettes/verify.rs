//! A tape recorded from one cluster, held against others.

use crate::support::{before, config, config_map, config_maps, create, sealed};
use rehearsal::recording::ConfigUpstream;
use rehearsal::verify::{VerifyOptions, verify};
use rehearsal::{Cluster, Controllers};
use rehearsal_cassettes::verify::{PlanOptions, VerifyReport};
use rehearsal_client::{CreateOptions, DeleteOptions, GetOptions, ListOptions, UpdateOptions};
use serde_json::json;
use std::path::Path;

async fn cluster(seed: u64) -> Cluster {
    Cluster::builder().controllers(Controllers::none()).seed(seed).start().await.unwrap()
}

/// Creates, changes, lists, watches and deletes; a generated name and a resourceVersion go from answers into requests.
async fn record(path: &Path) {
    let cluster = cluster(1).await;
    let (proxy, recording) = before(&config(&cluster.kubeconfig().unwrap()), path, &["sut"]).await;
    let maps = config_maps(&config(&proxy.kubeconfig("sut")));
    let listed = maps.list(&ListOptions::default()).await.unwrap();
    let from = ListOptions::default().resource_version(listed["metadata"]["resourceVersion"].as_str().unwrap());
    let mut watch = maps.watch(&from).await.unwrap();
    create(&maps, "a").await;
    watch.next().await.unwrap();
    let mut generated = config_map("");
    generated["metadata"] = json!({"generateName": "web-"});
    let made = maps.create(&generated, &CreateOptions::default(), &[]).await.unwrap();
    watch.next().await.unwrap();
    let name = made["metadata"]["name"].as_str().unwrap();
    let mut changed = maps.get(name, &GetOptions::default(), &[]).await.unwrap();
    changed["data"]["a"] = "changed".into();
    let stale = changed.clone();
    maps.update(&changed, &UpdateOptions::default(), &[]).await.unwrap();
    assert!(maps.update(&stale, &UpdateOptions::default(), &[]).await.is_err(), "a conflict is recorded too");
    watch.next().await.unwrap();
    maps.delete(name, &DeleteOptions::default(), &[]).await.unwrap();
    watch.next().await.unwrap();
    drop(watch);
    maps.list(&ListOptions::default()).await.unwrap();
    proxy.shutdown().await;
    recording.seal().await.unwrap();
    cluster.shutdown().await;
}

async fn against(cluster: Cluster, path: &Path) -> VerifyReport {
    let upstream = ConfigUpstream::new(&cluster.client_config().unwrap()).unwrap().pooled();
    let plan = PlanOptions { include_static: true, ..PlanOptions::default() };
    let report = verify(&sealed(path), &upstream, &VerifyOptions { plan, ..VerifyOptions::default() }).await.unwrap();
    cluster.shutdown().await;
    report
}

#[tokio::test]
async fn a_fresh_cluster_answers_as_the_recorded_one_and_another_state_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.tape.yaml");
    record(&path).await;

    let fresh = cluster(2).await;
    // Revisions begin elsewhere, and names are drawn otherwise.
    fresh.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}})).await.unwrap();
    let report = against(fresh, &path).await;
    assert!(report.is_equal(), "{report}");
    assert_eq!((report.compared, report.equal), (9, 9));

    let other = cluster(2).await;
    let mut there = config_map("a");
    there["metadata"]["namespace"] = "default".into();
    other.apply(there).await.unwrap();
    let report = against(other, &path).await;
    let text = report.to_string();
    assert!(!report.is_equal() && text.contains("POST /api/v1/namespaces/default/configmaps"), "{text}");
    assert!(text.contains("status: 201 on the tape, 409 now"), "{text}");
}

#[tokio::test]
async fn the_command_says_by_its_exit_code_what_came_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.tape.yaml");
    record(&path).await;
    let report = dir.path().join("report.json");
    let verify = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rehearsal"));
        command.arg("verify").arg(&path).args(arguments).arg("--report").arg(&report);
        command.output().unwrap()
    };
    let fresh = verify(&["--lane", "sut", "--controllers", "none"]);
    let said = String::from_utf8_lossy(&fresh.stderr);
    assert_eq!(fresh.status.code(), Some(0), "{said}");
    assert!(said.contains("answers compared"), "{said}");
    let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&report).unwrap()).unwrap();
    assert_eq!(json["compared"], json["equal"]);
    // Nobody listens on the port of a cluster that is gone.
    let gone = cluster(1).await;
    let url = gone.url();
    gone.shutdown().await;
    assert_eq!(verify(&["--server", &url]).status.code(), Some(2));
}
