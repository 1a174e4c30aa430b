//! Bodies: strict findings in the order of the document, and bodies that cannot be asked what they are.

use super::Server;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn json_findings_come_in_document_order() {
    let server = Server::start().await;
    let body = r#"{"metadata":{"foo":1,"name":"a"},"bar":1,"data":{"a":"1","a":"2"},"data":{"b":"1"}}"#;
    let refused = server.post(&format!("{CONFIG_MAPS}?fieldValidation=Strict"), body).await;
    let findings =
        r#"unknown field "metadata.foo", unknown field "bar", duplicate field "data.a", duplicate field "data""#;
    assert_eq!(
        refused.message(),
        format!(r#"ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: {findings}"#)
    );
    let made = server.post(CONFIG_MAPS, body).await;
    assert_eq!(made.warnings.len(), 4);
    assert_eq!(made.json()["data"], serde_json::json!({"a": "2", "b": "1"}), "a second map adds to the first");
}

#[tokio::test]
async fn every_duplicate_key_of_a_yaml_body_warns_for_itself() {
    let server = Server::start().await;
    let yaml = "metadata:\n  name: a\n  name: b\ndata:\n  x: \"1\"\n  x: \"2\"\n";
    let made = server.send("POST", CONFIG_MAPS, &[("content-type", "application/yaml")], yaml).await;
    assert_eq!(
        made.warnings,
        [r#"299 - "line 3: key \"name\" already set in map""#, r#"299 - "line 6: key \"x\" already set in map""#,]
    );
}

#[tokio::test]
async fn a_body_without_a_readable_kind_is_not_recognized() {
    let server = Server::start().await;
    let not_text = server.post(CONFIG_MAPS, r#"{"kind":1}"#).await;
    assert_eq!(
        not_text.message(),
        r#"the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: json: cannot unmarshal number into Go struct field .kind of type string ({"kind":1})"#
    );
    let slashes = server.post(CONFIG_MAPS, r#"{"apiVersion":"a/b/c"}"#).await;
    assert!(slashes.message().contains("unexpected GroupVersion string: a/b/c"), "{}", slashes.message());
}

#[tokio::test]
async fn patches_of_a_scale_are_validated_as_strictly_as_asked() {
    let server = Server::start().await;
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    let body = serde_json::json!({"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    assert_eq!(server.post(deployments, body.to_string()).await.code, 201);
    let merge = [("content-type", "application/merge-patch+json")];
    for (validation, code, warnings) in [("Strict", 422, 0), ("Warn", 200, 1), ("Ignore", 200, 0)] {
        let path = format!("{deployments}/d/scale?fieldValidation={validation}");
        let answer = server.send("PATCH", &path, &merge, r#"{"spec":{"foo":1}}"#).await;
        assert_eq!((answer.code, answer.warnings.len()), (code, warnings), "{validation}: {}", answer.text);
    }
}

#[tokio::test]
async fn empty_annotations_of_a_custom_resource_are_none() {
    // `kubectl diff` sends such a patch for every object it has not applied itself, and showed a difference.
    let server = Server::start().await;
    let schema = serde_json::json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let crd = serde_json::json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "gadgets.example.com"}, "spec": {"group": "example.com", "scope": "Cluster",
        "names": {"plural": "gadgets", "kind": "Gadget"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}});
    let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    assert_eq!(server.post(crds, crd.to_string()).await.code, 201);
    let object = r#"{"apiVersion":"example.com/v1","kind":"Gadget","metadata":{"name":"g"}}"#;
    let made = server.post("/apis/example.com/v1/gadgets", object.to_owned()).await.json();
    let merge = [("content-type", "application/merge-patch+json")];
    let patch = r#"{"metadata":{"annotations":{},"labels":{},"finalizers":[]}}"#;
    let patched = server.send("PATCH", "/apis/example.com/v1/gadgets/g", &merge, patch).await.json();
    assert_eq!(patched, made);
}
