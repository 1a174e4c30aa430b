//! Lists pods with a bare RESTClient: the path is put together by hand, the answer read into a type.
//!
//! `cargo build --example raw_rest_client && rehearsal run -- target/debug/examples/raw_rest_client`

use rehearsal::client::k8s_openapi::api::core::v1::Pod;
use rehearsal::client::{Config, ContentConfig, GroupVersion, List, ListOptions, Resource as _, RestClient};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let core = ContentConfig { group_version: Some(GroupVersion::new("", "v1")), ..ContentConfig::default() };
    let config = Config { content: core, ..Config::infer()? };
    let client = RestClient::for_config(&config)?;

    let request = client.get().namespace("default").resource("pods").params(&ListOptions::default().limit(500));
    println!("GET {}", request.path_and_query());
    let pods: List<Pod> = request.send().await?.decode()?;

    println!("there are {} pods in default at version {}", pods.items.len(), pods.resource_version());
    for pod in &pods {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Unknown");
        println!("{}: {phase}", pod.name());
    }
    Ok(())
}
