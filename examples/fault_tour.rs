//! A test of a controller that three things go wrong for: it is told to wait, an answer is lost, and its watch expires.
//!
//! Run it with `cargo run --example fault_tour`. The controller is below; the test is `main`, which a
//! `#[tokio::test]` can be just as well. The guard of the plan fails the test when a fault never happened.

use rehearsal::Cluster;
use rehearsal::client::k8s_openapi::api::core::v1::ConfigMap;
use rehearsal::client::{Clientset, CreateOptions, Error, ListOptions, TypedResource};
use rehearsal::faults::{Fault, Plan, Rule, Stage};
use serde_json::{from_value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cluster = Cluster::start().await?;
    let on = |id: &str, verb: &str| Rule::new(id).verb(verb).resource("configmaps").once();
    let plan = Plan::seed(7)
        .rule(on("busy", "list").fault(Fault::new("too-many-inflight").knob("retryAfter", 1_u64)))
        .rule(on("expired", "watch").fault("watch-expired"))
        .rule(on("lost", "create").at(Stage::AfterCommit).fault("reset"));
    let guard = cluster.faults().arm(&plan)?;
    let clients = cluster.clientset()?;
    let visitor = async {
        guard.fired("expired", 1).await;
        cluster.apply(config_map("visitor")).await.map_err(Error::from)
    };
    tokio::try_join!(greet(&clients), visitor)?;
    println!("{}", guard.finish()?);
    assert_eq!(cluster.snapshot().count("configmaps", "default/greeting"), 1);
    Ok(())
}

/// The controller under test: waits until the config map `visitor` is there, then makes `greeting`, once.
async fn greet(clients: &Clientset) -> Result<(), Error> {
    let maps = clients.core_v1().config_maps("default");
    wait_for(&maps, "visitor").await?;
    let greeting: ConfigMap = from_value(config_map("greeting")).expect("a config map");
    loop {
        match maps.create(&greeting, &CreateOptions::default()).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_already_exists() => {
                println!("controller: the greeting is there already, so the lost answer was a yes");
                return Ok(());
            }
            // The server may have stored it or not: asking again tells.
            Err(error) if error.status().is_none() => println!("controller: no answer ({error}), asking again"),
            Err(error) => return Err(error),
        }
    }
}

/// Lists, then watches from there; begins anew when the server has forgotten that far back.
async fn wait_for(maps: &TypedResource<ConfigMap>, name: &str) -> Result<(), Error> {
    let is_it = |map: &ConfigMap| map.metadata.name.as_deref() == Some(name);
    loop {
        // The client itself waits out a 429 for as long as its Retry-After says.
        let list = maps.list(&ListOptions::default()).await?;
        if list.iter().any(is_it) {
            return Ok(());
        }
        let mut watch = maps.watch(&ListOptions::default().resource_version(list.resource_version())).await?;
        while let Some(event) = watch.next().await {
            match event {
                Ok(event) if event.object().is_some_and(is_it) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.is_expired() => println!("controller: {error}; listing again"),
                Err(error) => return Err(error),
            }
        }
    }
}

fn config_map(name: &str) -> serde_json::Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}})
}
