//! The life of CustomResourceDefinitions: names accepted, served, terminating, gone.
//!
//! Counterpart: the naming, establishing, approval and finalizing controllers of apiextensions-apiserver and the map of
//! its custom resource handler. Here they run to the end after the write that concerns them, before that is answered.

use super::{Change, Deleted, ListQuery, Mode, Registry, Target, Write};
use crate::catalog::{ResourceInfo, ResourceTable, crd};
use crate::schema::custom::Life;
use crate::store::{Collection, Revision};
use crate::strategies::UserInfo;
use crate::strategies::custom_resource_definition::{approval, names};
use parking_lot::Mutex;
use rehearsal_apimachinery::options::DeleteOptions;
use rehearsal_apimachinery::{ObjectMeta, ObjectMetaMut};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Where CRDs are stored.
pub(crate) const COLLECTION: &str = "customresourcedefinitions.apiextensions.k8s.io";
/// Holds a CRD until its objects are gone.
pub(crate) const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Compiled rows of the CRDs with what they were compiled from, by the name of the CRD.
#[derive(Default)]
pub(super) struct CustomRows {
    /// Only one request at a time plays the controllers.
    turn: tokio::sync::Mutex<()>,
    compiled: Mutex<HashMap<String, Compiled>>,
    /// The stored CRDs, parsed, by name.
    parsed: Mutex<BTreeMap<String, (Revision, Arc<Value>)>>,
}

struct Compiled {
    from: Arc<Value>,
    rows: Vec<Arc<ResourceInfo>>,
    life: Life,
}

impl Compiled {
    /// Whether the rows of a CRD differ in nothing but that it began to terminate.
    fn goes_on(&self, crd: &Value) -> bool {
        let established = |c: &Value| crd::is_condition_true(c, "Established");
        let old = &*self.from;
        old.uid() == crd.uid()
            && established(old) == established(crd)
            && old["status"]["acceptedNames"] == crd["status"]["acceptedNames"]
            && old["spec"] == crd["spec"]
    }

    /// Whether the rows are those of this CRD.
    fn is_of(&self, crd: &Value) -> bool {
        // Revisions are never used twice.
        self.from.resource_version() == crd.resource_version()
            || self.from.is_deleting() == crd.is_deleting() && self.goes_on(crd)
    }
}

impl Registry {
    /// All stored CRDs, in name order.
    fn stored_crds(&self) -> Vec<Arc<Value>> {
        let snapshot = self.snapshot();
        let mut parsed = self.custom.parsed.lock();
        let all: BTreeMap<String, (Revision, Arc<Value>)> = snapshot
            .range(COLLECTION, "", "")
            .map(|(name, stored)| {
                let known = parsed.get(name).filter(|(revision, _)| *revision == stored.revision());
                (name.to_owned(), (stored.revision(), known.map_or_else(|| stored.value(), |(_, value)| value.clone())))
            })
            .collect();
        *parsed = all;
        parsed.values().map(|(_, value)| value.clone()).collect()
    }

    /// Rebuilds the table of kinds from the stored CRDs. Watches of what is no longer served end.
    pub(crate) fn refresh_custom(&self) {
        let crds = self.stored_crds();
        let mut compiled = self.custom.compiled.lock();
        let mut rows = Vec::new();
        let mut names = HashSet::new();
        for crd in &crds {
            names.insert(crd.name().to_owned());
            let known = compiled.get(crd.name());
            if let Some(known) = known.filter(|k| k.is_of(crd)) {
                rows.extend(known.rows.iter().cloned());
                continue;
            }
            // Whoever watches goes on watching a resource that is being removed, to see its objects go.
            let life = match known {
                Some(old) if old.goes_on(crd) => old.life.clone(),
                _ => {
                    known.inspect(|old| old.life.gone.cancel());
                    Life { gone: CancellationToken::new(), since: self.snapshot().revision() }
                }
            };
            let fresh: Vec<Arc<ResourceInfo>> = crd::rows(crd, &life).into_iter().map(Arc::new).collect();
            rows.extend(fresh.iter().cloned());
            compiled.insert(crd.name().to_owned(), Compiled { from: crd.clone(), rows: fresh, life });
        }
        compiled.retain(|name, old| {
            let kept = names.contains(name);
            if !kept {
                old.life.gone.cancel();
            }
            kept
        });
        self.publish(rows);
    }

    fn publish(&self, rows: Vec<Arc<ResourceInfo>>) {
        let before: HashSet<String> = self.table().rows().iter().map(|r| r.collection_name()).collect();
        let table = if rows.is_empty() { ResourceTable::builtin() } else { Arc::new(ResourceTable::with_custom(rows)) };
        for row in table.rows().iter().filter(|r| r.custom) {
            let name = row.collection_name();
            if !before.contains(&name) {
                self.storage.begin_history(&Collection::new(&name));
            }
        }
        self.table.store(table);
    }

    /// What follows a write of this kind, to be called after each: CRDs take effect, and those that wait for their
    /// objects to go look again. Costs nothing for all other kinds.
    pub(crate) async fn after_write(&self, info: &ResourceInfo) {
        let is_terminating = || {
            let row = self.table().lookup(&info.group, &info.version, &info.resource);
            row.is_some_and(|row| row.terminating)
        };
        if info.resource == "customresourcedefinitions" || info.custom && is_terminating() {
            self.settle_custom().await;
        }
    }

    /// Plays the controllers of CRDs until nothing is left to do, and serves the outcome.
    pub(crate) async fn settle_custom(&self) {
        let _turn = self.custom.turn.lock().await;
        let mut crds = self.stored_crds();
        // Every round brings a CRD further; a removed one may free names for another.
        for _ in 0..crds.len() * 3 + 3 {
            let mut changed = false;
            for crd in crds.clone() {
                let this =
                    if crd.is_deleting() { self.finalize_crd(&crd).await } else { self.accept_crd(&crd, &crds).await };
                if this {
                    changed = true;
                    crds = self.stored_crds();
                }
            }
            self.refresh_custom();
            if !changed {
                return;
            }
        }
    }

    /// Settles names and conditions of a CRD. Returns whether anything changed.
    async fn accept_crd(&self, crd: &Value, all: &[Arc<Value>]) -> bool {
        if names::are_settled(crd) && !approval::is_protected(crd) {
            return false;
        }
        let group = crd["spec"]["group"].as_str().unwrap_or_default();
        let taken: Vec<&Value> = all
            .iter()
            .filter(|c| c["spec"]["group"] == group && c.name() != crd.name())
            .map(|c| &c["status"]["acceptedNames"])
            .collect();
        let now = self.clock.now_rfc3339();
        let mut status = names::accept(crd, &taken, &now);
        approval::condition(crd, &mut status, &now);
        if crd.get("status") == Some(&status) {
            return false;
        }
        self.write_crd(crd.name(), "status", &move |live: &mut Value| live["status"] = status.clone()).await
    }

    /// Removes the objects of a CRD and, when none is left, the CRD. Returns whether anything changed.
    async fn finalize_crd(&self, crd: &Value) -> bool {
        let finalizers = crd.finalizers();
        if !finalizers.contains(&CLEANUP) {
            return false;
        }
        let now = self.clock.now_rfc3339();
        let reason = "InstanceDeletionInProgress";
        let pending = crd["status"]["conditions"]
            .as_array()
            .is_none_or(|all| !all.iter().any(|c| c["type"] == "Terminating" && c["reason"] == reason));
        let mut changed = false;
        if pending {
            let mark = |live: &mut Value| {
                names::set_condition(
                    &mut live["status"],
                    &names::condition("Terminating", true, reason, "CustomResource deletion is in progress"),
                    &now,
                );
            };
            changed |= self.write_crd(crd.name(), "status", &mark).await;
        }
        self.refresh_custom();
        changed |= self.delete_instances(crd).await;
        if self.snapshot().count(crd.name(), "") > 0 {
            return changed;
        }
        let release = |live: &mut Value| {
            let rest: Vec<String> =
                live.finalizers().iter().filter(|f| **f != CLEANUP).map(ToString::to_string).collect();
            if rest.is_empty() {
                drop(live.remove_meta("finalizers"));
            } else {
                live.set_meta("finalizers", json!(rest));
            }
        };
        self.write_crd(crd.name(), "", &release).await || changed
    }

    /// Deletes all objects of a CRD; those with finalizers stay. Returns whether any was touched.
    async fn delete_instances(&self, crd: &Value) -> bool {
        let table = self.table();
        let row = table.rows().iter().find(|r| r.custom && r.collection_name() == crd.name());
        let Some(info) = row.cloned() else { return false };
        let target = Target { info, namespace: String::new(), name: String::new(), subresource: String::new() };
        let Ok(found) = self.list(&target, &ListQuery::default()).await else { return false };
        let user = server();
        let mut touched = false;
        for object in &found.items {
            let value = object.value();
            if value.is_deleting() && !value.finalizers().is_empty() {
                continue;
            }
            let one =
                Target { namespace: value.namespace().to_owned(), name: value.name().to_owned(), ..target.clone() };
            let done = self.delete(&one, &DeleteOptions::default(), &mut write(&user)).await;
            touched |= matches!(done, Ok(Deleted::Gone(_) | Deleted::Pending(_)));
        }
        touched
    }

    async fn write_crd(&self, name: &str, subresource: &str, edit: &(dyn Fn(&mut Value) + Send + Sync)) -> bool {
        let Some(target) = self.internal_target(COLLECTION, "", name) else { return false };
        let target = Target { subresource: subresource.to_owned(), ..target };
        let user = server();
        let change = |live: Option<&Value>| {
            let mut new = live.cloned().unwrap_or_default();
            edit(&mut new);
            Ok(Change::To(new))
        };
        let outcome = self.update(&target, Mode::Internal, &mut write(&user), &change).await;
        if let Err(status) = &outcome {
            tracing::warn!("CustomResourceDefinition {name}: {}", status.message);
        }
        outcome.is_ok()
    }
}

/// The user the server itself acts as.
fn server() -> UserInfo {
    UserInfo { name: "system:apiserver".into(), groups: vec!["system:masters".into()], ..UserInfo::default() }
}

fn write(user: &UserInfo) -> Write<'_> {
    Write { user, manager: "kube-apiserver".into(), dry_run: false, warnings: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::FakeServer;
    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt;

    const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    const FOOS: &str = "/apis/example.com/v1/namespaces/default/foos";

    async fn call(server: &FakeServer, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let content = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let request = Request::builder().method(method).uri(path).header("content-type", content).body(body).unwrap();
        let answer = server.call(request).await;
        let code = answer.status().as_u16();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        (code, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    fn crd(plural: &str, kind: &str) -> Value {
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.example.com")},
            "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": plural, "kind": kind},
                "versions": [{"name": "v1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object"}}}]},
        })
    }

    fn foo(finalizers: &[&str]) -> Value {
        let metadata = json!({"name": "a", "finalizers": finalizers});
        json!({"apiVersion": "example.com/v1", "kind": "Foo", "metadata": metadata})
    }

    #[tokio::test]
    async fn a_crd_is_served_at_once_and_says_so_one_revision_later() {
        let server = FakeServer::builder().start().await.unwrap();
        let (code, made) = call(&server, "POST", CRDS, &crd("foos", "Foo")).await;
        assert_eq!((code, &made["status"]["conditions"]), (201, &Value::Null));
        let (_, read) = call(&server, "GET", &format!("{CRDS}/foos.example.com"), &Value::Null).await;
        assert!(crd::is_condition_true(&read, "Established"));
        assert_ne!(read["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);
        assert_eq!(call(&server, "POST", FOOS, &foo(&[])).await.0, 201);
    }

    #[tokio::test]
    async fn a_crd_waits_for_the_finalizers_of_its_objects() {
        let server = FakeServer::builder().start().await.unwrap();
        call(&server, "POST", CRDS, &crd("foos", "Foo")).await;
        call(&server, "POST", FOOS, &foo(&["example.com/hold"])).await;
        let own = format!("{CRDS}/foos.example.com");
        let (code, deleted) = call(&server, "DELETE", &own, &Value::Null).await;
        assert_eq!((code, &deleted["metadata"]["finalizers"]), (200, &json!([CLEANUP])));
        let (code, refused) = call(&server, "POST", FOOS, &foo(&[])).await;
        assert_eq!(code, 403, "{refused}");
        let release = json!({"metadata": {"finalizers": null}});
        assert_eq!(call(&server, "PATCH", &format!("{FOOS}/a"), &release).await.0, 200);
        assert_eq!(call(&server, "GET", &own, &Value::Null).await.0, 404);
        assert_eq!(call(&server, "GET", FOOS, &Value::Null).await.0, 404);
    }

    #[tokio::test]
    async fn names_become_free_with_their_holder() {
        let server = FakeServer::builder().start().await.unwrap();
        call(&server, "POST", CRDS, &crd("foos", "Foo")).await;
        call(&server, "POST", CRDS, &crd("others", "Foo")).await;
        let others = "/apis/example.com/v1/namespaces/default/others";
        assert_eq!(call(&server, "GET", others, &Value::Null).await.0, 404);
        call(&server, "DELETE", &format!("{CRDS}/foos.example.com"), &Value::Null).await;
        assert_eq!(call(&server, "GET", others, &Value::Null).await.0, 200);
    }
}
