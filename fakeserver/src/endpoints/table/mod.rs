//! Tables: what `kubectl get` prints, computed by the server from whole objects.
//!
//! [`render`] makes a [`Table`] of the rows of any resource; the cells of built-in types come from the printers in the
//! files beside this one, those of custom resources from JSON paths. Counterpart: kubernetes
//! `pkg/printers/internalversion` and apimachinery `meta/v1.Table`.

mod age;
mod cells;
mod core;
pub(crate) mod descriptions;
mod document;
mod events;
mod misc;
mod network;
mod pods;
mod rbac;
mod storage;
mod workloads;

pub use document::{ColumnDefinition, Row, RowCondition, Table};

use super::partial::partial_object;
use crate::catalog::{Columns, ResourceInfo};
use crate::strategies::autoscaling_v1;
use jiff::Timestamp;
use rehearsal_apimachinery::status::Status;
use serde_json::Value;

/// How much of each object its row carries (`?includeObject=`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IncludeObject {
    /// `object: null`.
    None,
    /// The metadata, as `PartialObjectMetadata`.
    #[default]
    Metadata,
    /// The whole object.
    Object,
}

impl IncludeObject {
    /// Reads the query parameter.
    ///
    /// # Errors
    /// 400 for words that it does not know.
    pub fn parse(parameter: &str) -> Result<Self, Status> {
        match parameter {
            "" | "Metadata" => Ok(Self::Metadata),
            "None" => Ok(Self::None),
            "Object" => Ok(Self::Object),
            other => Err(Status::bad_request(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: {}: must be 'Metadata', \
                 'Object', 'None', or empty",
                Value::from(other)
            ))),
        }
    }
}

/// What a table is made of besides its rows.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// How much of each object its row carries.
    pub include: IncludeObject,
    /// Version of `meta.k8s.io`: `v1` or `v1beta1`.
    pub version: &'a str,
    /// Metadata of the list; of a single object its `resourceVersion` alone is used.
    pub metadata: &'a Value,
    /// Whether columns are announced; a watch does so once.
    pub columns: bool,
    /// The time against which ages are told.
    pub now: Timestamp,
}

/// Renders objects of a resource as a table.
#[must_use]
pub fn render<'a>(info: &ResourceInfo, objects: impl IntoIterator<Item = &'a Value>, options: &Options<'_>) -> Table {
    let mut objects: Vec<&Value> = objects.into_iter().collect();
    if info.group == "flowcontrol.apiserver.k8s.io" && info.resource == "flowschemas" {
        // Flow schemas come in the order in which they are matched.
        objects.sort_by_key(|o| (cells::int(o, "/spec/matchingPrecedence"), cells::text(o, "/metadata/name")));
    }
    let is_pod = info.group.is_empty() && info.kind == "Pod";
    let rows = objects.into_iter().map(|object| Row {
        cells: row(info, object, options.now),
        conditions: if is_pod { pods::conditions(object).into_iter().collect() } else { Vec::new() },
        object: match options.include {
            IncludeObject::None => Value::Null,
            IncludeObject::Metadata => partial_object(object, options.version),
            IncludeObject::Object => whole(info, object),
        },
    });
    Table {
        kind: "Table",
        api_version: format!("meta.k8s.io/{}", options.version),
        metadata: list_meta(options.metadata),
        column_definitions: options.columns.then(|| columns(info)),
        rows: rows.collect(),
    }
}

/// Items of lists of built-in kinds do not say what they are; within a table they do.
fn whole(info: &ResourceInfo, object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(map) = object.as_object_mut() {
        map.insert("kind".to_owned(), info.kind.clone().into());
        map.insert("apiVersion".to_owned(), info.group_version().to_string().into());
    }
    object
}

fn list_meta(metadata: &Value) -> Value {
    let kept = ["resourceVersion", "continue", "remainingItemCount"];
    let members = kept.iter().filter_map(|key| {
        let value = metadata.get(key).filter(|v| !v.is_null() && v.as_str() != Some(""))?;
        Some(((*key).to_owned(), value.clone()))
    });
    Value::Object(members.collect())
}

/// The columns of a resource.
#[must_use]
pub fn columns(info: &ResourceInfo) -> Vec<ColumnDefinition> {
    match &info.columns {
        Columns::Builtin(columns) => columns
            .iter()
            .map(|c| ColumnDefinition {
                name: c.name.clone(),
                kind: c.kind.clone(),
                format: c.format.clone(),
                description: descriptions::describe(&info.kind, &c.name),
                priority: c.priority.into(),
            })
            .collect(),
        Columns::JsonPath(columns) => {
            let name = ColumnDefinition {
                name: "Name".to_owned(),
                kind: "string".to_owned(),
                format: "name".to_owned(),
                description: descriptions::NAME.to_owned(),
                priority: 0,
            };
            let others = columns.iter().map(|c| ColumnDefinition {
                name: c.name.clone(),
                kind: c.kind.clone(),
                format: c.format.clone(),
                description: c.description.clone(),
                priority: c.priority,
            });
            std::iter::once(name).chain(others).collect()
        }
    }
}

/// The cells of an object.
#[must_use]
pub fn row(info: &ResourceInfo, object: &Value, now: Timestamp) -> Vec<Value> {
    match &info.columns {
        Columns::JsonPath(columns) => {
            std::iter::once(cells::name(object)).chain(columns.iter().map(|c| c.cell(object, now))).collect()
        }
        Columns::Builtin(_) => builtin_row(info, object, now),
    }
}

/// One arm a kind; kinds without a printer of their own show when they were created.
fn builtin_row(info: &ResourceInfo, object: &Value, now: Timestamp) -> Vec<Value> {
    match info.kind.as_str() {
        "Pod" => pods::pod(object, now),
        "Deployment" => workloads::deployment(object, now),
        "ReplicaSet" => workloads::replica_set(object, now),
        "ReplicationController" => workloads::replication_controller(object, now),
        "StatefulSet" => workloads::stateful_set(object, now),
        "DaemonSet" => workloads::daemon_set(object, now),
        "ControllerRevision" => workloads::controller_revision(object, now),
        "PodTemplate" => workloads::pod_template(object),
        "Job" => workloads::job(object, now),
        "CronJob" => workloads::cron_job(object, now),
        "PodDisruptionBudget" => workloads::pod_disruption_budget(object, now),
        // Cells are told from the stored version, whichever is served.
        "HorizontalPodAutoscaler" if info.version == "v1" => {
            workloads::horizontal_pod_autoscaler(&autoscaling_v1::v1_to_v2(object), now)
        }
        "HorizontalPodAutoscaler" => workloads::horizontal_pod_autoscaler(object, now),
        "Scale" => workloads::scale(object, now),
        "Event" => events::event(object, now),
        "Namespace" => core::namespace(object, now),
        "ConfigMap" => core::config_map(object, now),
        "Secret" => core::secret(object, now),
        "Node" => core::node(object, now),
        "ResourceQuota" => core::resource_quota(object, now),
        "ComponentStatus" => core::component_status(object),
        "ServiceAccount" | "DeviceClass" | "ResourceClaimTemplate" => core::name_and_age(object, now),
        "Service" => network::service(object, now),
        "Endpoints" => network::endpoints(object, now),
        "EndpointSlice" => network::endpoint_slice(object, now),
        "Ingress" => network::ingress(object, now),
        "IngressClass" => network::ingress_class(object, now),
        "NetworkPolicy" => network::network_policy(object, now),
        "ServiceCIDR" => network::service_cidr(object, now),
        "IPAddress" => network::ip_address(object, now),
        "PersistentVolume" => storage::persistent_volume(object, now),
        "PersistentVolumeClaim" => storage::persistent_volume_claim(object, now),
        "StorageClass" => storage::storage_class(object, now),
        "VolumeAttributesClass" => storage::volume_attributes_class(object, now),
        "VolumeAttachment" => storage::volume_attachment(object, now),
        "CSIDriver" => storage::csi_driver(object, now),
        "CSINode" => storage::csi_node(object, now),
        "RoleBinding" | "ClusterRoleBinding" => rbac::role_binding(object, now),
        "CertificateSigningRequest" => rbac::certificate_signing_request(object, now),
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => rbac::webhook_configuration(object, now),
        "ValidatingAdmissionPolicy" => rbac::admission_policy(object, "/spec/validations", now),
        "MutatingAdmissionPolicy" => rbac::admission_policy(object, "/spec/mutations", now),
        "ValidatingAdmissionPolicyBinding" | "MutatingAdmissionPolicyBinding" => {
            rbac::admission_policy_binding(object, now)
        }
        "Lease" => misc::lease(object, now),
        "PriorityClass" => misc::priority_class(object, now),
        "RuntimeClass" => misc::runtime_class(object, now),
        "APIService" => misc::api_service(object, now),
        "FlowSchema" => misc::flow_schema(object, now),
        "PriorityLevelConfiguration" => misc::priority_level(object, now),
        "ResourceClaim" => misc::resource_claim(object, now),
        "ResourceSlice" => misc::resource_slice(object, now),
        _ => misc::name_and_creation(object),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::ResourceTable;
    use serde_json::json;
    use std::sync::Arc;

    fn options(metadata: &Value) -> Options<'_> {
        Options {
            include: IncludeObject::Metadata,
            version: "v1",
            metadata,
            columns: true,
            now: "2026-01-01T00:00:30Z".parse().unwrap(),
        }
    }

    fn row_of(group: &str, version: &str, resource: &str) -> Arc<ResourceInfo> {
        ResourceTable::builtin().lookup(group, version, resource).unwrap()
    }

    #[test]
    fn every_builtin_row_has_a_cell_for_every_column() {
        let object = json!({"metadata": {"name": "x", "creationTimestamp": "2026-01-01T00:00:00Z"}});
        for info in ResourceTable::builtin().rows().iter().map(|row| &**row).chain([crate::catalog::scale()]) {
            let cells = row(info, &object, options(&json!({})).now);
            // The real printer of addresses gives one more than it announces.
            let extra = usize::from(info.resource == "ipaddresses");
            assert_eq!(cells.len(), columns(info).len() + extra, "{}", info.resource);
        }
    }

    #[test]
    fn a_table_comes_in_wire_order() {
        let pod = json!({"metadata": {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"containers": [{}]}, "status": {"phase": "Succeeded"}});
        let metadata = json!({"resourceVersion": "7", "continue": ""});
        let info = row_of("", "v1", "pods");
        let mut table = render(&info, [&pod], &Options { columns: false, ..options(&metadata) });
        let text = String::from_utf8(table.to_json(&info)).unwrap();
        assert_eq!(
            text,
            r#"{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"7"},"columnDefinitions":null,"rows":[{"cells":["p","0/1","Succeeded","0","30s","\u003cnone\u003e","\u003cnone\u003e","\u003cnone\u003e","\u003cnone\u003e"],"conditions":[{"type":"Completed","status":"True","reason":"Succeeded","message":"The pod has completed successfully."}],"object":{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"p","creationTimestamp":"2026-01-01T00:00:00Z"}}}]}"#
        );
        table.rows[0].object = Value::Null;
        let text = String::from_utf8(table.to_json(&info)).unwrap();
        assert!(text.ends_with("\"object\":null}]}"), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), table.to_value());
    }

    #[test]
    fn an_empty_table_has_an_empty_list_of_rows() {
        let metadata = json!({});
        let table = render(&row_of("apps", "v1", "daemonsets"), [], &options(&metadata)).to_value();
        assert_eq!(table["rows"], json!([]));
        assert_eq!(table["columnDefinitions"][0]["format"], "name");
    }

    #[test]
    fn whole_objects_say_what_they_are() {
        let metadata = json!({});
        let object = json!({"metadata": {"name": "a"}, "data": {"k": "v"}});
        let options = Options { include: IncludeObject::Object, ..options(&metadata) };
        let table = render(&row_of("", "v1", "configmaps"), [&object], &options);
        assert_eq!(
            table.rows[0].object,
            json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a"}, "data": {"k": "v"}})
        );
    }

    #[test]
    fn flow_schemas_are_sorted_by_precedence() {
        let metadata = json!({});
        let schema = |name: &str, n: i64| json!({"metadata": {"name": name}, "spec": {"matchingPrecedence": n}});
        let (a, b) = (schema("a", 900), schema("b", 1));
        let info = row_of("flowcontrol.apiserver.k8s.io", "v1", "flowschemas");
        let table = render(&info, [&a, &b], &options(&metadata));
        assert_eq!(table.rows[0].cells[0], json!("b"));
    }

    #[test]
    fn include_object_knows_three_words() {
        assert_eq!(IncludeObject::parse("").unwrap(), IncludeObject::Metadata);
        assert_eq!(IncludeObject::parse("None").unwrap(), IncludeObject::None);
        assert_eq!(
            IncludeObject::parse("Some").unwrap_err().message,
            "Unable to convert to Table as requested: includeObject: Invalid value: \"Some\": must be 'Metadata', \
             'Object', 'None', or empty"
        );
    }
}
