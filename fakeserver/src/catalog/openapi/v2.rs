//! OpenAPI v2 (Swagger 2.0): all paths and definitions in one document.

use super::operations::{Operation, Path};
use super::parameters::Parameter;
use super::schemas::{Dialect, gvk};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Puts a document together.
pub(super) fn document(version: &str, paths: &[Path], definitions: &BTreeMap<String, Value>) -> Value {
    let paths: Map<String, Value> = paths.iter().map(|p| (p.path.clone(), path_item(p))).collect();
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": version},
        "paths": paths,
        "definitions": definitions,
        "securityDefinitions": {"BearerToken": {
            "description": "Bearer Token authentication", "type": "apiKey", "name": "authorization", "in": "header"
        }},
        "security": [{"BearerToken": []}],
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
    let mut value = json!({"name": parameter.name, "in": "query", "type": parameter.kind, "uniqueItems": true});
    if parameter.in_path {
        value["in"] = "path".into();
        value["required"] = true.into();
    }
    value
}

fn operation(operation: &Operation) -> Value {
    let mut parameters: Vec<Value> = operation.parameters.iter().map(parameter).collect();
    if let Some((schema, required)) = &operation.body {
        let mut body = json!({"name": "body", "in": "body", "schema": Dialect::V2.reference(schema)});
        if *required {
            body["required"] = true.into();
        }
        parameters.push(body);
    }
    let mut responses: Map<String, Value> = operation
        .responses
        .iter()
        .map(|(code, schema)| {
            let schema = schema.as_deref().map_or_else(|| json!({"type": "string"}), |s| Dialect::V2.reference(s));
            (code.to_string(), json!({"description": reason(*code), "schema": schema}))
        })
        .collect();
    responses.insert("401".to_owned(), json!({"description": reason(401)}));
    let mut value = json!({
        "operationId": operation.id,
        "tags": [operation.tag],
        "schemes": ["https"],
        "consumes": operation.consumes,
        "produces": operation.produces,
        "responses": responses,
    });
    if !parameters.is_empty() {
        value["parameters"] = parameters.into();
    }
    if !operation.action.is_empty() {
        value["x-kubernetes-action"] = operation.action.into();
    }
    if let Some(kind) = &operation.gvk {
        value["x-kubernetes-group-version-kind"] = gvk(kind);
    }
    value
}

/// The words for a status code.
pub(super) fn reason(code: u16) -> &'static str {
    match code {
        201 => "Created",
        202 => "Accepted",
        401 => "Unauthorized",
        _ => "OK",
    }
}
