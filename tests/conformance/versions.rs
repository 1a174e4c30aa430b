//! One object in two versions: horizontal pod autoscalers.

use super::Server;
use axum::body::Body;
use serde_json::json;

#[tokio::test]
async fn an_autoscaler_written_in_v2_reads_in_v1_and_back() {
    let server = Server::start().await;
    let path = |version: &str| format!("/apis/autoscaling/{version}/namespaces/default/horizontalpodautoscalers");
    let metrics = json!([
        {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}},
        {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}},
    ]);
    let body = json!({"metadata": {"name": "h"}, "spec": {"maxReplicas": 5, "metrics": metrics,
        "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}}});
    assert_eq!(server.post(&path("v2"), body.to_string()).await.code, 201);

    let v1 = server.get(&format!("{}/h", path("v1"))).await.json();
    assert_eq!(v1["spec"]["targetCPUUtilizationPercentage"], 70);
    assert_eq!(v1["status"], json!({"currentReplicas": 0, "desiredReplicas": 0}));
    assert_eq!(
        v1["metadata"]["annotations"],
        json!({"autoscaling.alpha.kubernetes.io/metrics":
            r#"[{"type":"Resource","resource":{"name":"memory","targetAverageValue":"1Gi"}}]"#})
    );

    let merge = [("content-type", "application/merge-patch+json")];
    let patch = json!({"spec": {"maxReplicas": 6}}).to_string();
    assert_eq!(server.send("PATCH", &format!("{}/h", path("v1")), &merge, Body::from(patch)).await.code, 200);
    let v2 = server.get(&format!("{}/h", path("v2"))).await.json();
    assert_eq!((&v2["spec"]["maxReplicas"], &v2["spec"]["metrics"]), (&json!(6), &metrics));
    assert_eq!(v2["metadata"].get("annotations"), None);
    assert_eq!(v2["status"], json!({"desiredReplicas": 0, "currentMetrics": null}));
}
