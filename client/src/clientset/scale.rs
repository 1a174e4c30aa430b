//! The `scale` subresource of typed resources that have one.
//!
//! Counterpart: the methods `GetScale`, `UpdateScale` and `ApplyScale` of client-go. For resources whose types are not
//! known there is [`ScaleClient`](crate::ScaleClient).

use super::TypedResource;
use super::handle::ask;
use crate::error::Error;
use crate::scheme::verbs::HasScale;
use http::Method;
use k8s_openapi::api::autoscaling::v1::Scale;
use rehearsal_apimachinery::{GetOptions, PatchOptions, UpdateOptions};
use serde::Serialize;

impl<K: HasScale> TypedResource<K> {
    /// Reads the scale of an object.
    ///
    /// # Errors
    /// The server's refusal, or what kept its answer from arriving.
    pub async fn get_scale(&self, name: &str, options: &GetOptions) -> Result<Scale, Error> {
        ask(&self.object(Method::GET, name, &["scale"])?.params(options)).await
    }

    /// Writes the scale of an object.
    ///
    /// # Errors
    /// As [`TypedResource::get_scale`].
    pub async fn update_scale(&self, name: &str, scale: &Scale, options: &UpdateOptions) -> Result<Scale, Error> {
        ask(&self.object(Method::PUT, name, &["scale"])?.params(options).object(scale)).await
    }

    /// Applies to the scale of an object.
    ///
    /// # Errors
    /// As [`TypedResource::apply`], but the name is the one given here.
    pub async fn apply_scale(
        &self,
        name: &str,
        configuration: &impl Serialize,
        options: &PatchOptions,
    ) -> Result<Scale, Error> {
        self.apply_to_scale(name, configuration, options).await
    }
}
