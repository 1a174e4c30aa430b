//! The custom resource that the programs here work with.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(CustomResource, Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Widget", namespaced, status = "WidgetStatus", shortname = "wd")]
pub struct WidgetSpec {
    pub size: i32,
    #[serde(default)]
    pub color: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct WidgetStatus {
    #[serde(default)]
    pub ready: bool,
    /// The size that the controller has seen to.
    #[serde(default)]
    pub size: i32,
}
