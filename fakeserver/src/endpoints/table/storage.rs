//! Rows of volumes, claims, classes and CSI objects.

use super::cells::{NONE, UNSET, at, created, flag, joined, list, name, or, scalar, text, text_or};
use jiff::Timestamp;
use rehearsal_apimachinery::meta::ObjectMeta;
use serde_json::Value;

/// The annotation that named the class before there was a member for it.
const BETA_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

fn phase(object: &Value) -> &str {
    if object.is_deleting() { "Terminating" } else { text(object, "/status/phase") }
}

fn class(object: &Value) -> &str {
    object.annotation(BETA_CLASS).unwrap_or_else(|| text(object, "/spec/storageClassName"))
}

/// Access modes abbreviated, each once, in a fixed order.
fn access_modes(object: &Value, pointer: &str) -> String {
    let short =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let modes = list(object, pointer);
    let present = short.iter().filter(|(mode, _)| modes.iter().any(|m| m.as_str() == Some(mode)));
    present.map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}

pub(super) fn persistent_volume(object: &Value, now: Timestamp) -> Vec<Value> {
    let claim = at(object, "/spec/claimRef")
        .map(|c| format!("{}/{}", text(c, "/namespace"), text(c, "/name")))
        .unwrap_or_default();
    vec![
        name(object),
        scalar(object, "/spec/capacity/storage", "0").into(),
        access_modes(object, "/spec/accessModes").into(),
        text(object, "/spec/persistentVolumeReclaimPolicy").into(),
        phase(object).into(),
        claim.into(),
        class(object).into(),
        scalar(object, "/spec/volumeAttributesClassName", UNSET).into(),
        text(object, "/status/reason").into(),
        created(object, now),
        scalar(object, "/spec/volumeMode", UNSET).into(),
    ]
}

pub(super) fn persistent_volume_claim(object: &Value, now: Timestamp) -> Vec<Value> {
    let volume = text(object, "/spec/volumeName");
    let (capacity, modes) = match volume {
        "" => (String::new(), String::new()),
        _ => (scalar(object, "/status/capacity/storage", "0"), access_modes(object, "/status/accessModes")),
    };
    vec![
        name(object),
        phase(object).into(),
        volume.into(),
        capacity.into(),
        modes.into(),
        class(object).into(),
        scalar(object, "/spec/volumeAttributesClassName", UNSET).into(),
        created(object, now),
        scalar(object, "/spec/volumeMode", UNSET).into(),
    ]
}

pub(super) fn storage_class(object: &Value, now: Timestamp) -> Vec<Value> {
    let defaults = ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
    let is_default = defaults.iter().any(|key| object.annotation(key) == Some("true"));
    let name = format!("{}{}", object.name(), if is_default { " (default)" } else { "" });
    vec![
        name.into(),
        text(object, "/provisioner").into(),
        text_or(object, "/reclaimPolicy", "Delete").into(),
        text_or(object, "/volumeBindingMode", "Immediate").into(),
        flag(object, "/allowVolumeExpansion").into(),
        created(object, now),
    ]
}

pub(super) fn volume_attributes_class(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), text(object, "/driverName").into(), created(object, now)]
}

pub(super) fn volume_attachment(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(object),
        text(object, "/spec/attacher").into(),
        text(object, "/spec/source/persistentVolumeName").into(),
        text(object, "/spec/nodeName").into(),
        flag(object, "/status/attached").into(),
        created(object, now),
    ]
}

pub(super) fn csi_driver(object: &Value, now: Timestamp) -> Vec<Value> {
    let attach_required = at(object, "/spec/attachRequired").and_then(Value::as_bool).unwrap_or(true);
    let audiences = at(object, "/spec/tokenRequests").map_or_else(
        || UNSET.to_owned(),
        |_| list(object, "/spec/tokenRequests").iter().map(|t| text(t, "/audience")).collect::<Vec<_>>().join(","),
    );
    vec![
        name(object),
        attach_required.into(),
        flag(object, "/spec/podInfoOnMount").into(),
        flag(object, "/spec/storageCapacity").into(),
        audiences.into(),
        flag(object, "/spec/requiresRepublish").into(),
        or(&joined(object, "/spec/volumeLifecycleModes", ","), NONE).into(),
        created(object, now),
    ]
}

pub(super) fn csi_node(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), list(object, "/spec/drivers").len().into(), created(object, now)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn now() -> Timestamp {
        "2026-01-01T00:10:00Z".parse().unwrap()
    }

    #[test]
    fn claims_show_capacity_once_they_have_a_volume() {
        let mut object = json!({"metadata": {"name": "c"}, "spec": {"storageClassName": "s", "volumeMode": "Filesystem"},
            "status": {"phase": "Pending", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce"]}});
        let cells = persistent_volume_claim(&object, now());
        assert_eq!(cells[1..7], [json!("Pending"), json!(""), json!(""), json!(""), json!("s"), json!("<unset>")]);
        object["spec"]["volumeName"] = "pv".into();
        let cells = persistent_volume_claim(&object, now());
        assert_eq!(cells[2..5], [json!("pv"), json!("1Gi"), json!("RWO,RWX")]);
        object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert_eq!(persistent_volume_claim(&object, now())[1], json!("Terminating"));
    }

    #[test]
    fn the_default_class_is_marked() {
        let object = json!({"metadata": {"name": "s",
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}, "provisioner": "p"});
        let cells = storage_class(&object, now());
        assert_eq!(cells[..5], [json!("s (default)"), json!("p"), json!("Delete"), json!("Immediate"), json!(false)]);
    }

    #[test]
    fn drivers_print_their_defaults() {
        let cells = csi_driver(&json!({"metadata": {"name": "d"}, "spec": {}}), now());
        assert_eq!(
            cells[1..7],
            [json!(true), json!(false), json!(false), json!("<unset>"), json!(false), json!("<none>")]
        );
    }
}
