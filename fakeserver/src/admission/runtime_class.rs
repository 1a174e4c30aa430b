//! RuntimeClass: a pod gets the overhead and the scheduling constraints of its class.

use super::Attributes;
use crate::strategies::WriteContext;
use crate::strategies::access::{ensure_list, entries_at, has, list_at, semantic_eq, set, spec, str_at};
use rehearsal_apimachinery::status::Status;
use serde_json::Value;
use std::sync::Arc;

fn class_of(cx: &WriteContext<'_>, at: &Attributes<'_>, object: &Value) -> Result<Option<Arc<Value>>, Status> {
    let name = str_at(spec(object), "runtimeClassName");
    if name.is_empty() {
        return Ok(None);
    }
    let class = cx.peek.get("runtimeclasses.node.k8s.io", "", name);
    class.map(Some).ok_or_else(|| at.forbidden(Some(object), format!("pod rejected: RuntimeClass {name:?} not found")))
}

pub(super) fn mutate(cx: &WriteContext<'_>, at: &Attributes<'_>, object: &mut Value) -> Result<(), Status> {
    if !at.is_create("", "pods") {
        return Ok(());
    }
    let Some(class) = class_of(cx, at, object)? else { return Ok(()) };
    let overhead = &class["overhead"]["podFixed"];
    if has(&class["overhead"], "podFixed") {
        if has(spec(object), "overhead") && !semantic_eq(&spec(object)["overhead"], overhead) {
            let why = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";
            return Err(at.forbidden(Some(object), why));
        }
        set(&mut object["spec"], "overhead", overhead.clone());
    }
    let selector: Vec<(String, Value)> =
        entries_at(&class["scheduling"], "nodeSelector").map(|(k, v)| (k.to_owned(), v.clone())).collect();
    for (key, value) in selector {
        let own = spec(object)["nodeSelector"][key.as_str()].clone();
        if !own.is_null() && own != value {
            let (value, own) = (value.as_str().unwrap_or_default(), own.as_str().unwrap_or_default());
            let why = format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = {own}"
            );
            return Err(at.forbidden(Some(object), why));
        }
        set(&mut object["spec"]["nodeSelector"], &key, value);
    }
    let extra = list_at(&class["scheduling"], "tolerations");
    if !extra.is_empty()
        && let Some(own) = ensure_list(&mut object["spec"], "tolerations")
    {
        own.extend(extra.iter().filter(|t| !own.contains(t)).cloned().collect::<Vec<_>>());
    }
    Ok(())
}

pub(super) fn validate(cx: &WriteContext<'_>, at: &Attributes<'_>, object: &Value) -> Result<(), Status> {
    if !at.is_create("", "pods") || !has(spec(object), "overhead") {
        return Ok(());
    }
    let class = class_of(cx, at, object)?;
    if class.is_some_and(|c| has(&c["overhead"], "podFixed")) {
        return Ok(());
    }
    let why = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";
    Err(at.forbidden(Some(object), why))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Cluster, create};
    use super::*;
    use serde_json::json;

    #[test]
    fn an_unknown_class_is_refused() {
        let mut pod = json!({"spec": {"runtimeClassName": "nosuch"}});
        let refusal = mutate(&Cluster::new(vec![]).cx(), &create("pods"), &mut pod).unwrap_err();
        assert_eq!(refusal.message, "pods \"p\" is forbidden: pod rejected: RuntimeClass \"nosuch\" not found");
    }
}
