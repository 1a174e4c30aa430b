//! One Clientset, two groups: namespaces from `v1` and the Deployments in each of them from `apps/v1`.
//!
//! `cargo build --example clientset_two_groups && rehearsal run -- target/debug/examples/clientset_two_groups`

use rehearsal::client::{Clientset, Config, ListOptions, Resource as _};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clientset = Clientset::for_config(&Config::infer()?)?;
    // Both groups share connections, credentials and the one limiter.
    let (core, apps) = (clientset.core_v1(), clientset.apps_v1());

    for namespace in &core.namespaces().list(&ListOptions::default()).await? {
        let name = namespace.name();
        let deployments = apps.deployments(name).list(&ListOptions::default().limit(100)).await?;
        let pods = core.pods(name).list(&ListOptions::default().limit(100)).await?;
        println!("{name}: {} deployments, {} pods", deployments.items.len(), pods.items.len());
    }
    Ok(())
}
