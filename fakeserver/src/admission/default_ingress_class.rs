//! DefaultIngressClass: an ingress without a class gets the newest default class.

use super::Attributes;
use super::default_storage_class::newest_default;
use crate::strategies::WriteContext;
use crate::strategies::access::{has, set, spec};
use rehearsal_apimachinery::meta::ObjectMeta;
use serde_json::Value;

pub(super) fn mutate(cx: &WriteContext<'_>, at: &Attributes<'_>, object: &mut Value) {
    if !at.is_create("networking.k8s.io", "ingresses")
        || has(spec(object), "ingressClassName")
        || object.annotation("kubernetes.io/ingress.class").is_some()
    {
        return;
    }
    let classes = cx.peek.list("ingressclasses.networking.k8s.io", "");
    if let Some(class) = newest_default(&classes, &["ingressclass.kubernetes.io/is-default-class"]) {
        set(&mut object["spec"], "ingressClassName", class.name());
    }
}
