//! A cluster of one's own: load objects, look at them, fork, restore, and print what was asked of it.
//!
//! Run it with `cargo run --example ephemeral_cluster`.

use rehearsal::{Clock, Cluster};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let start = "2026-01-01T00:00:00Z".parse()?;
    let cluster = Cluster::builder().seed(7).clock(Clock::manual(start)).start().await?;
    println!("serving on {}", cluster.url());

    let empty = cluster.snapshot();
    for name in ["web", "worker"] {
        cluster
            .apply(json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": name, "namespace": "default"}, "data": {"replicas": "3"},
            }))
            .await?;
    }
    println!("{} config maps in default", cluster.snapshot().count("configmaps", "default/"));

    let fork = cluster.fork().await?;
    cluster.restore(&empty)?;
    println!(
        "after the restore: {} here, {} in the fork",
        cluster.snapshot().count("configmaps", "default/"),
        fork.snapshot().count("configmaps", "default/")
    );

    fork.shutdown().await;
    cluster.shutdown().await;
    Ok(())
}
