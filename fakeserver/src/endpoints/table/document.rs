//! The `Table` document and its wire form.
//!
//! Counterpart: apimachinery `meta/v1.Table`.

use crate::catalog::ResourceInfo;
use crate::endpoints::{partial, wire};
use rehearsal_apimachinery::codec::json::encode;
use serde::Serialize;
use serde_json::Value;

/// A column definition; serialises in wire order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ColumnDefinition {
    /// Header.
    pub name: String,
    /// Type of the cells.
    #[serde(rename = "type")]
    pub kind: String,
    /// Format of the cells.
    pub format: String,
    /// Description.
    pub description: String,
    /// 0 is always shown, larger only in wide output.
    pub priority: i64,
}

impl ColumnDefinition {
    fn to_json(&self) -> Vec<u8> {
        wire::object([
            ("name", wire::text(&self.name)),
            ("type", wire::text(&self.kind)),
            ("format", wire::text(&self.format)),
            ("description", wire::text(&self.description)),
            ("priority", self.priority.to_string().into_bytes()),
        ])
    }
}

/// What a row says besides its cells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowCondition {
    /// `Completed`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// `True`.
    pub status: &'static str,
    /// One word.
    pub reason: &'static str,
    /// A sentence.
    pub message: &'static str,
}

impl RowCondition {
    fn to_json(&self) -> Vec<u8> {
        wire::object([
            ("type", wire::text(self.kind)),
            ("status", wire::text(self.status)),
            ("reason", wire::text(self.reason)),
            ("message", wire::text(self.message)),
        ])
    }
}

/// A row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Values, in the order of the columns.
    pub cells: Vec<Value>,
    /// What the row says besides its cells.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<RowCondition>,
    /// The object or its metadata; null when not asked for.
    pub object: Value,
}

impl Row {
    fn to_json(&self, info: &ResourceInfo) -> Vec<u8> {
        let cells = wire::list(self.cells.iter().map(|cell| encode(cell, None)));
        let object = match self.object.get("kind").and_then(Value::as_str) {
            None => b"null".to_vec(),
            Some("PartialObjectMetadata") => partial::to_json(&self.object),
            // Custom resources are written key-sorted, whatever their type knows of an order.
            Some(_) => encode(&self.object, info.root.filter(|_| !info.custom).map(|id| (&*info.types, id))),
        };
        if self.conditions.is_empty() {
            return wire::object([("cells", cells), ("object", object)]);
        }
        let conditions = wire::list(self.conditions.iter().map(RowCondition::to_json));
        wire::object([("cells", cells), ("conditions", conditions), ("object", object)])
    }
}

/// A table of the objects of one resource.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Table {
    /// `Table`.
    pub kind: &'static str,
    /// `meta.k8s.io/v1` or `meta.k8s.io/v1beta1`.
    pub api_version: String,
    /// List metadata.
    pub metadata: Value,
    /// Columns; null in all but the first event of a watch.
    pub column_definitions: Option<Vec<ColumnDefinition>>,
    /// Rows.
    pub rows: Vec<Row>,
}

impl Table {
    /// The table as a value, members sorted.
    #[must_use]
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The table as compact JSON in wire order. `info` is the resource whose objects the rows hold.
    #[must_use]
    pub fn to_json(&self, info: &ResourceInfo) -> Vec<u8> {
        let columns = self.column_definitions.as_ref();
        wire::object([
            ("kind", wire::text(self.kind)),
            ("apiVersion", wire::text(&self.api_version)),
            ("metadata", wire::typed(&self.metadata, "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta")),
            (
                "columnDefinitions",
                columns.map_or_else(|| b"null".to_vec(), |c| wire::list(c.iter().map(ColumnDefinition::to_json))),
            ),
            ("rows", wire::list(self.rows.iter().map(|row| row.to_json(info)))),
        ])
    }
}
