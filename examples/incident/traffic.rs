//! What others do on the day of the incident, as a function.

use rehearsal_client::{
    Config, CreateOptions, DeleteOptions, DynamicClient, DynamicResource, Error, GroupVersionResource, ListOptions,
    PatchOptions, PatchType,
};
use serde_json::{Value, json};
use std::time::Duration;

/// Apps that are deployed with care: the next step waits for the claim.
const CAREFUL: [&str; 3] = ["cart", "search", "mail"];
/// The app of the incident: made and changed in one go.
const HASTY: &str = "checkout";

/// Plays the day.
///
/// # Errors
/// What the server refuses.
pub(crate) async fn run(config: &Config) -> Result<(), Error> {
    let client = DynamicClient::for_config(config)?;
    let core = |plural: &str| client.resource(&GroupVersionResource::new("", "v1", plural));
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    match core("namespaces").create(&namespace, &CreateOptions::default(), &[]).await {
        Err(error) if !error.is_already_exists() => return Err(error),
        _ => {}
    }
    let (maps, claims) = (core("configmaps").namespace("shop"), core("persistentvolumeclaims").namespace("shop"));
    for app in CAREFUL {
        create(&maps, &map(app, Some(app))).await?;
        until_claimed(&claims, app).await?;
        create(&maps, &map(&format!("{app}-flags"), None)).await?;
        roll_out(&maps, app, "2").await?;
    }
    create(&maps, &map(HASTY, Some(HASTY))).await?;
    roll_out(&maps, HASTY, "2").await?;
    for app in CAREFUL {
        roll_out(&maps, &format!("{app}-flags"), "3").await?;
        maps.delete(&format!("{app}-flags"), &DeleteOptions::default(), &[]).await?;
    }
    Ok(())
}

fn map(name: &str, app: Option<&str>) -> Value {
    let labels = app.map_or_else(|| json!({}), |app| json!({"app": app}));
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}, "data": {"version": "1"}})
}

async fn create(maps: &DynamicResource, object: &Value) -> Result<(), Error> {
    maps.create(object, &CreateOptions::default(), &[]).await.map(drop)
}

async fn roll_out(maps: &DynamicResource, name: &str, version: &str) -> Result<(), Error> {
    let patch = json!({"data": {"version": version}}).to_string();
    maps.patch(name, PatchType::Merge, patch, &PatchOptions::default(), &[]).await.map(drop)
}

async fn until_claimed(claims: &DynamicResource, app: &str) -> Result<(), Error> {
    let options = ListOptions::default().labels(&format!("app={app}"));
    while claims.list(&options).await?["items"].as_array().is_none_or(Vec::is_empty) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}
