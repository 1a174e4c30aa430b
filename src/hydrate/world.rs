//! The objects of a tape put into a server: kinds it does not know first, then namespaces, then everything at its own
//! resourceVersion.

use rehearsal_cassettes::history::{Collection, History, Key, Version};
use rehearsal_fakeserver::FakeServer;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Puts states into a server, as they were. Gives what could not be put, a sentence each. `stride`: live
/// resourceVersions are the recorded ones times this; one that the server has passed already becomes its next.
///
/// # Errors
/// When a kind that the tape shows cannot be served.
pub async fn load_state(
    server: &FakeServer,
    history: &History,
    states: &[(&Key, &Version)],
    stride: u64,
) -> anyhow::Result<Vec<String>> {
    let mut sorted: Vec<_> = states.to_vec();
    sorted.sort_by_key(|(key, version)| (rank(key), version.revision));
    let mut refused = Vec::new();
    let kinds = sorted.iter().take_while(|(key, _)| rank(key) == 0).count();
    let (definitions, rest) = sorted.split_at(kinds);
    put(server, definitions, stride, &mut refused).await;
    let born = born(history, "customresourcedefinitions");
    for (collection, (kind, namespaced)) in &history.kinds {
        // Whoever defines it on the tape defines it again.
        if born.contains(format!("{}.{}", collection.resource, collection.group).as_str()) {
            continue;
        }
        if let Err(why) = ensure_kind(server, collection, kind, *namespaced).await {
            refused.push(why);
        }
    }
    ensure_namespaces(server, history, rest).await;
    put(server, rest, stride, &mut refused).await;
    Ok(refused)
}

/// What others need comes first.
fn rank(key: &Key) -> u8 {
    match key.collection.resource.as_str() {
        "customresourcedefinitions" => 0,
        "namespaces" => 1,
        _ => 2,
    }
}

async fn put(server: &FakeServer, states: &[(&Key, &Version)], stride: u64, refused: &mut Vec<String>) {
    for (key, version) in states {
        let Some(object) = &version.object else { continue };
        server.advance((version.revision * stride).saturating_sub(1));
        if let Err(status) = server.registry().imprint(Value::from(object)).await {
            refused.push(format!("{key}: {}", status.message));
        }
    }
}

/// Serves a kind that the tape shows and the server does not know, as a custom resource of any form.
async fn ensure_kind(server: &FakeServer, collection: &Collection, kind: &str, namespaced: bool) -> Result<(), String> {
    let gvk = rehearsal_apimachinery::GroupVersion::new(&collection.group, &collection.version).kind(kind);
    if server.registry().table().by_kind(&gvk).is_some() {
        return Ok(());
    }
    if collection.group.is_empty() {
        return Err(format!("{collection}: no such kind in the core group"));
    }
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{}.{}", collection.resource, collection.group)},
        "spec": {
            "group": collection.group,
            "scope": if namespaced { "Namespaced" } else { "Cluster" },
            "names": {"kind": kind, "listKind": format!("{kind}List"), "plural": collection.resource,
                "singular": kind.to_lowercase()},
            "versions": [{
                "name": collection.version, "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    });
    server.apply(definition).await.map_err(|status| format!("{collection}: {}", status.message))
}

/// What comes into being on the tape, and so is not there before.
fn born<'h>(history: &'h History, resource: &str) -> BTreeSet<&'h str> {
    let objects = history.objects.iter().filter(|(key, _)| key.collection.resource == resource);
    let born = objects.filter(|(_, versions)| versions.first().is_some_and(|version| !version.initial));
    born.map(|(key, _)| key.name.as_str()).collect()
}

/// Objects need their namespaces, seen or not.
async fn ensure_namespaces(server: &FakeServer, history: &History, states: &[(&Key, &Version)]) {
    let seen: BTreeSet<&str> = states
        .iter()
        .filter(|(key, _)| key.collection.resource == "namespaces")
        .map(|(key, _)| key.name.as_str())
        .collect();
    let born = born(history, "namespaces");
    let wanted: BTreeSet<&str> = history.objects.keys().map(|key| key.namespace.as_str()).collect();
    for name in wanted.into_iter().filter(|name| !name.is_empty() && !seen.contains(name) && !born.contains(name)) {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        if let Ok(Some(_)) = server.registry().present(&namespace) {
            continue;
        }
        if let Err(status) = server.apply(namespace).await {
            tracing::warn!(target: "rehearsal::hydrate", namespace = name, "{}", status.message);
        }
    }
}
