//! ServiceAccount: a pod runs as an account that exists, with its pull secrets and a token where it wants one.

use super::Attributes;
use crate::strategies::WriteContext;
use crate::strategies::access::{ensure_list, is_empty_at, list_at, list_mut, set, spec, str_at};
use rehearsal_apimachinery::meta::ObjectMeta;
use rehearsal_apimachinery::status::Status;
use serde_json::{Value, json};
use std::sync::Arc;

const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME_PREFIX: &str = "kube-api-access-";
const MIRROR: &str = "kubernetes.io/config.mirror";
const TOKEN_SECONDS: i64 = 3607;

fn account(cx: &WriteContext<'_>, at: &Attributes<'_>, object: &Value) -> Result<Arc<Value>, Status> {
    let name = str_at(spec(object), "serviceAccountName");
    cx.peek.get("serviceaccounts", at.namespace, name).ok_or_else(|| {
        let namespace = at.namespace;
        let why = format!("error looking up service account {namespace}/{name}: serviceaccount {name:?} not found");
        at.forbidden(Some(object), why)
    })
}

pub(super) fn mutate(cx: &WriteContext<'_>, at: &Attributes<'_>, object: &mut Value) -> Result<(), Status> {
    if !at.is_create("", "pods") || object.annotation(MIRROR).is_some() {
        return Ok(());
    }
    if is_empty_at(spec(object), "serviceAccountName") {
        set(&mut object["spec"], "serviceAccountName", "default");
    }
    let name = spec(object)["serviceAccountName"].clone();
    set(&mut object["spec"], "serviceAccount", name);
    let account = account(cx, at, object)?;
    let wanted = [&spec(object)["automountServiceAccountToken"], &account["automountServiceAccountToken"]];
    if wanted.iter().find_map(|v| v.as_bool()).unwrap_or(true) {
        mount_token(cx, &mut object["spec"]);
    }
    if is_empty_at(spec(object), "imagePullSecrets") && !is_empty_at(&account, "imagePullSecrets") {
        set(&mut object["spec"], "imagePullSecrets", account["imagePullSecrets"].clone());
    }
    Ok(())
}

fn mount_token(cx: &WriteContext<'_>, spec: &mut Value) {
    let existing = list_at(spec, "volumes")
        .iter()
        .find(|v| v["projected"].is_object() && str_at(v, "name").starts_with(VOLUME_PREFIX))
        .map(|v| str_at(v, "name").to_owned());
    let is_new = existing.is_none();
    let volume = existing.unwrap_or_else(|| cx.ids.name_from(VOLUME_PREFIX));
    let mut needed = false;
    for member in ["initContainers", "containers"] {
        for container in list_mut(spec, member) {
            if list_at(container, "volumeMounts").iter().any(|m| str_at(m, "mountPath") == MOUNT_PATH) {
                continue;
            }
            if let Some(mounts) = ensure_list(container, "volumeMounts") {
                mounts.push(json!({"name": volume, "readOnly": true, "mountPath": MOUNT_PATH}));
                needed = true;
            }
        }
    }
    if needed
        && is_new
        && let Some(volumes) = ensure_list(spec, "volumes")
    {
        volumes.push(token_volume(&volume));
    }
}

fn token_volume(name: &str) -> Value {
    json!({"name": name, "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [
            {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
        ]}},
    ]}})
}

pub(super) fn validate(cx: &WriteContext<'_>, at: &Attributes<'_>, object: &Value) -> Result<(), Status> {
    if !at.is_create("", "pods") {
        return Ok(());
    }
    if object.annotation(MIRROR).is_none() {
        return account(cx, at, object).map(|_| ());
    }
    let why = if is_empty_at(spec(object), "serviceAccountName") {
        let secret = |v: &Value| v["secret"].is_object();
        if !list_at(spec(object), "volumes").iter().any(secret) {
            return Ok(());
        }
        "a mirror pod may not reference secrets"
    } else {
        "a mirror pod may not reference service accounts"
    };
    Err(at.forbidden(Some(object), why))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Cluster, create};
    use super::*;

    fn cluster() -> Cluster {
        Cluster::new(vec![("serviceaccounts", json!({"metadata": {"name": "default", "namespace": "n"}}))])
    }

    #[test]
    fn a_pod_gets_the_account_and_its_token() {
        let mut pod = json!({"spec": {"containers": [{"name": "c"}]}});
        mutate(&cluster().cx(), &create("pods"), &mut pod).unwrap();
        assert_eq!(pod["spec"]["serviceAccount"], "default");
        let volume = str_at(&pod["spec"]["volumes"][0], "name").to_owned();
        assert_eq!(volume.len(), VOLUME_PREFIX.len() + 5);
        assert_eq!(pod["spec"]["containers"][0]["volumeMounts"][0]["name"], volume.as_str());
    }

    #[test]
    fn a_taken_path_and_an_unwilling_pod_get_none() {
        let mount = json!([{"name": "tok", "mountPath": MOUNT_PATH}]);
        for mut pod in [
            json!({"spec": {"containers": [{"name": "c", "volumeMounts": mount}]}}),
            json!({"spec": {"containers": [{"name": "c"}], "automountServiceAccountToken": false}}),
        ] {
            mutate(&cluster().cx(), &create("pods"), &mut pod).unwrap();
            assert!(pod["spec"]["volumes"].is_null());
        }
    }

    #[test]
    fn an_unknown_account_is_refused() {
        let mut pod = json!({"spec": {"serviceAccountName": "nosuch"}});
        let refusal = mutate(&cluster().cx(), &create("pods"), &mut pod).unwrap_err();
        assert_eq!(
            refusal.message,
            "pods \"p\" is forbidden: error looking up service account n/nosuch: serviceaccount \"nosuch\" not found"
        );
    }
}
