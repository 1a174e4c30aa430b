//! Values as refusals show them: the JSON of the server's internal Go struct.
//!
//! Internal types have the members of the versioned ones but no JSON tags, so every member is printed under its Go
//! name, in struct order, zero values included. Types of `meta/v1` are shared and keep their JSON names.

use rehearsal_apimachinery::Catalog;
use rehearsal_apimachinery::catalog::{Field, Form, Shape, TypeDef, Types};
use rehearsal_apimachinery::field::go_json;
use serde_json::Value;

/// JSON names whose Go name is more than the name with a capital letter.
const GO_NAMES: &[(&str, &str)] = &[
    ("apiGroup", "APIGroup"),
    ("apiGroups", "APIGroups"),
    ("apiVersion", "APIVersion"),
    ("apiVersions", "APIVersions"),
    ("caBundle", "CABundle"),
    ("fsType", "FSType"),
    ("ip", "IP"),
    ("ips", "IPs"),
    ("podCIDR", "PodCIDR"),
    ("uid", "UID"),
    ("url", "URL"),
    ("csi", "CSI"),
    ("nfs", "NFS"),
    ("tls", "TLS"),
    ("http", "HTTP"),
    ("cidr", "CIDR"),
    ("cidrs", "CIDRs"),
    ("awsElasticBlockStore", "AWSElasticBlockStore"),
    ("cephfs", "CephFS"),
    ("dnsConfig", "DNSConfig"),
    ("dnsPolicy", "DNSPolicy"),
    ("fc", "FC"),
    ("gcePersistentDisk", "GCEPersistentDisk"),
    ("grpc", "GRPC"),
    ("httpGet", "HTTPGet"),
    ("httpHeaders", "HTTPHeaders"),
    ("iscsi", "ISCSI"),
    ("os", "OS"),
    ("qosClass", "QOSClass"),
    ("rbd", "RBD"),
    ("seLinuxChangePolicy", "SELinuxChangePolicy"),
    ("seLinuxOptions", "SELinuxOptions"),
    ("storageos", "StorageOS"),
    ("tcpSocket", "TCPSocket"),
    ("ttlSecondsAfterFinished", "TTLSecondsAfterFinished"),
    ("tty", "TTY"),
];

/// The internal struct behind a value of the type with this OpenAPI name, as compact JSON.
pub(crate) fn internal_json(type_name: &str, value: &Value) -> String {
    let types = &Catalog::builtin().types;
    let mut out = String::new();
    match types.named(type_name) {
        Some(def) if !value.is_null() => write_struct(types, def, value, &mut out),
        _ => out.push_str(&go_json(value)),
    }
    out
}

fn write_struct(types: &Types, def: &TypeDef, value: &Value, out: &mut String) {
    let shared = def.name.starts_with("io.k8s.apimachinery.");
    let mut first = true;
    out.push('{');
    for field in &def.fields {
        let member = &value[field.name.as_str()];
        if shared && field.omit_empty && member.is_null() {
            continue;
        }
        if !first {
            out.push(',');
        }
        first = false;
        let name = if shared { field.name.clone() } else { go_name(&field.name) };
        out.push_str(&go_json(&Value::String(name)));
        out.push(':');
        write_member(types, field, member, out);
    }
    out.push('}');
}

fn go_name(name: &str) -> String {
    if let Some((_, go)) = GO_NAMES.iter().find(|(json, _)| *json == name) {
        return (*go).to_owned();
    }
    let mut chars = name.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn write_member(types: &Types, field: &Field, value: &Value, out: &mut String) {
    if !value.is_null() {
        write_value(types, &field.shape, value, out);
    } else if field.pointer {
        out.push_str("null");
    } else {
        write_zero(types, &field.shape, out);
    }
}

fn write_value(types: &Types, shape: &Shape, value: &Value, out: &mut String) {
    match (shape, value) {
        (Shape::Named { id, .. }, Value::Object(_)) if types[*id].form == Form::Struct => {
            write_struct(types, &types[*id], value, out);
        }
        (Shape::List { items, .. }, Value::Array(list)) => {
            out.push('[');
            for (i, item) in list.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_value(types, items, item, out);
            }
            out.push(']');
        }
        (Shape::Map { values, .. }, Value::Object(map)) => {
            out.push('{');
            for (i, (key, item)) in map.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&go_json(&Value::String(key.clone())));
                out.push(':');
                write_value(types, values, item, out);
            }
            out.push('}');
        }
        _ => out.push_str(&go_json(value)),
    }
}

fn write_zero(types: &Types, shape: &Shape, out: &mut String) {
    match shape {
        Shape::String => out.push_str("\"\""),
        Shape::Bool => out.push_str("false"),
        Shape::Int32 | Shape::Int64 | Shape::Double => out.push('0'),
        Shape::Named { id, .. } => match types[*id].form {
            Form::Struct => write_struct(types, &types[*id], &Value::Null, out),
            Form::Quantity => out.push_str("\"0\""),
            Form::IntOrString => out.push('0'),
            _ => out.push_str("null"),
        },
        Shape::Bytes | Shape::List { .. } | Shape::Map { .. } | Shape::Any => out.push_str("null"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_service_port_shows_all_members_in_go_order() {
        assert_eq!(
            internal_json("io.k8s.api.core.v1.ServicePort", &json!({"protocol": "TCP", "port": 80})),
            r#"{"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,"NodePort":0}"#
        );
    }

    #[test]
    fn a_label_selector_keeps_its_json_names() {
        assert_eq!(
            internal_json("io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector", &json!({"matchLabels": {"a": "b"}})),
            r#"{"matchLabels":{"a":"b"}}"#
        );
    }
}
