//! OpenAPI v3: one document a group version, with the schemas that it refers to.

use super::operations::{Operation, Path};
use super::parameters::Parameter;
use super::schemas::{Dialect, gvk};
use super::v2::reason;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Puts a document together.
pub(super) fn document(version: &str, paths: &[Path], schemas: &BTreeMap<String, Value>) -> Value {
    let paths: Map<String, Value> = paths.iter().map(|p| (p.path.clone(), path_item(p))).collect();
    let mut components = json!({"securitySchemes": {"BearerToken": {
        "description": "Bearer Token authentication", "type": "apiKey", "name": "authorization", "in": "header"
    }}});
    if !schemas.is_empty() {
        components["schemas"] = json!(schemas);
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": version},
        "paths": paths,
        "components": components,
    })
}

fn path_item(path: &Path) -> Value {
    let mut item: Map<String, Value> = path.operations.iter().map(|o| (o.method.to_owned(), operation(o))).collect();
    if !path.parameters.is_empty() {
        item.insert("parameters".to_owned(), path.parameters.iter().map(parameter).collect());
    }
    Value::Object(item)
}

fn parameter(parameter: &Parameter) -> Value {
    let schema = json!({"type": parameter.kind, "uniqueItems": true});
    if parameter.in_path {
        return json!({"name": parameter.name, "in": "path", "required": true, "schema": schema});
    }
    json!({"name": parameter.name, "in": "query", "schema": schema})
}

fn content(media_types: &[&str], schema: &Value) -> Value {
    media_types.iter().map(|media_type| ((*media_type).to_owned(), json!({"schema": schema}))).collect()
}

fn operation(operation: &Operation) -> Value {
    let mut responses: Map<String, Value> = operation
        .responses
        .iter()
        .map(|(code, schema)| {
            let schema = schema.as_deref().map_or_else(|| json!({"type": "string"}), |s| Dialect::V3.reference(s));
            let content = content(operation.produces, &schema);
            (code.to_string(), json!({"description": reason(*code), "content": content}))
        })
        .collect();
    responses.insert("401".to_owned(), json!({"description": reason(401)}));
    let mut value = json!({"operationId": operation.id, "tags": [operation.tag], "responses": responses});
    if !operation.parameters.is_empty() {
        value["parameters"] = operation.parameters.iter().map(parameter).collect();
    }
    if let Some((schema, required)) = &operation.body {
        let mut body = json!({"content": content(operation.consumes, &Dialect::V3.reference(schema))});
        if *required {
            body["required"] = true.into();
        }
        value["requestBody"] = body;
    }
    if !operation.action.is_empty() {
        value["x-kubernetes-action"] = operation.action.into();
    }
    if let Some(kind) = &operation.gvk {
        value["x-kubernetes-group-version-kind"] = gvk(kind);
    }
    value
}
