//! Lists the Deployments of the cluster that the kubeconfig names, or of the one this program runs in.
//!
//! `cargo build --example list_deployments && rehearsal run -- target/debug/examples/list_deployments`

use rehearsal::client::{ALL_NAMESPACES, ClientConfig, Clientset, ListOptions, LoadingRules, Resource as _};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // $KUBECONFIG, else ~/.kube/config; where both are silent, what a pod is given.
    let (kubeconfig, error) = ClientConfig::load(&LoadingRules::from_env());
    if let Some(error) = error {
        eprintln!("some of the kubeconfig could not be read: {error}");
    }
    let config = kubeconfig.client_config_or_in_cluster()?;
    let clientset = Clientset::for_config(&config)?;

    let deployments = clientset.apps_v1().deployments(ALL_NAMESPACES).list(&ListOptions::default()).await?;
    println!("there are {} deployments on {}", deployments.items.len(), config.host);
    for deployment in &deployments {
        let ready = deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or_default();
        let wanted = deployment.spec.replicas.unwrap_or(1);
        println!("{}/{}: {ready} of {wanted} replicas ready", deployment.namespace(), deployment.name());
    }
    Ok(())
}
