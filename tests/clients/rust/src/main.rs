//! kube-rs against the fake API server: a derived custom resource, its CRD, server-side apply, a watch, a status patch.
//!
//! Runs against the cluster of `KUBECONFIG`, as in `rehearsal run -- cargo run`. Exits with 0 when all of it works.

mod widget;

use anyhow::{Context as _, ensure};
use futures::TryStreamExt as _;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Client, CustomResourceExt as _, ResourceExt as _};
use serde_json::json;
use std::time::Duration;
use widget::{Widget, WidgetSpec};

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tokio::time::timeout(PATIENCE, story()).await.context("took too long")??;
    println!("kube-rs: 1 passed, 0 failed");
    Ok(())
}

async fn story() -> anyhow::Result<()> {
    let client = Client::try_default().await?;
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let name = crds.create(&PostParams::default(), &Widget::crd()).await.context("create the CRD")?.name_any();
    await_condition(crds.clone(), &name, conditions::is_crd_established()).await.context("wait for the CRD")?;

    let widgets: Api<Widget> = Api::default_namespaced(client);
    let version =
        widgets.list(&Default::default()).await.context("list")?.metadata.resource_version.unwrap_or_default();
    let manager = PatchParams::apply("kube-rs");
    let wanted = Widget::new("one", WidgetSpec { size: 1, color: Some("red".into()) });
    let made = widgets.patch("one", &manager, &Patch::Apply(&wanted)).await.context("apply")?;
    ensure!(made.spec.size == 1 && made.managed_fields().len() == 1, "applied: {made:?}");

    let status = json!({"status": {"ready": true}});
    let patched =
        widgets.patch_status("one", &PatchParams::default(), &Patch::Merge(&status)).await.context("status")?;
    ensure!(patched.status.as_ref().is_some_and(|s| s.ready), "status: {patched:?}");
    ensure!(patched.spec.size == 1, "a status patch touches the status alone: {patched:?}");

    let events = widgets.watch(&WatchParams::default(), &version).await.context("watch")?;
    let seen: Vec<&str> = {
        let events: Vec<WatchEvent<Widget>> = take(events, 2).await?;
        events.iter().map(|e| if matches!(e, WatchEvent::Added(_)) { "added" } else { "other" }).collect()
    };
    ensure!(seen == ["added", "other"], "watched: {seen:?}");

    let other = PatchParams::apply("somebody-else");
    let clash =
        json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "one"}, "spec": {"size": 9}});
    match widgets.patch("one", &other, &Patch::Apply(&clash)).await {
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        answer => anyhow::bail!("a conflict was expected: {answer:?}"),
    }
    widgets.delete("one", &DeleteParams::default()).await.context("delete")?;
    ensure!(widgets.get_opt("one").await?.is_none(), "still there");
    Ok(())
}

async fn take<S, T, E>(stream: S, count: usize) -> anyhow::Result<Vec<T>>
where
    S: futures::Stream<Item = Result<T, E>>,
    E: std::error::Error + Send + Sync + 'static,
{
    let mut stream = std::pin::pin!(stream);
    let mut all = Vec::new();
    while all.len() < count {
        all.push(stream.try_next().await?.context("the watch ended")?);
    }
    Ok(all)
}
