//! What pods have beyond the verbs: eviction, binding, logs, ephemeral containers, resizing.
//!
//! Counterpart: client-go `kubernetes/typed/core/v1/pod_expansion.go`. Exec, attach and port forwarding speak other
//! protocols and are in `stream/`; requests through a pod are in `proxy.rs`.

use super::TypedResource;
use super::handle::{in_json, settled};
use crate::error::Error;
use crate::rest::{ByteStream, Request};
use crate::scheme::FromQuery;
use http::Method;
use k8s_openapi::api::core::v1::{Binding, Pod};
use k8s_openapi::api::policy::v1::Eviction;
use rehearsal_apimachinery::options::{parse_int, query_bool};
use rehearsal_apimachinery::{CreateOptions, UpdateOptions};

pub use crate::stream::PodLogOptions;

impl FromQuery for PodLogOptions {
    fn from_query(pairs: &[(String, String)]) -> Result<Self, String> {
        let first = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let text = |name| first(name).unwrap_or_default().to_owned();
        let flag = |name| first(name).is_some_and(query_bool);
        let number = |name| first(name).map(parse_int).transpose();
        Ok(Self {
            container: text("container"),
            follow: flag("follow"),
            previous: flag("previous"),
            since_seconds: number("sinceSeconds")?,
            since_time: first("sinceTime").map(|t| t.parse().map_err(|e: jiff::Error| e.to_string())).transpose()?,
            timestamps: flag("timestamps"),
            tail_lines: number("tailLines")?,
            limit_bytes: number("limitBytes")?,
            insecure_skip_tls_verify_backend: flag("insecureSkipTLSVerifyBackend"),
            stream: text("stream"),
        })
    }
}

impl TypedResource<Pod> {
    /// Asks for the pod that the eviction names to be evicted. A disruption budget may refuse it for now, with a 429.
    ///
    /// # Errors
    /// The server's refusal, or what kept its answer from arriving.
    pub async fn evict(&self, eviction: &Eviction) -> Result<(), Error> {
        let name = eviction.metadata.name.as_deref().unwrap_or_default();
        settled(&in_json(self.object(Method::POST, name, &["eviction"])?, eviction)).await
    }

    /// Binds the pod that the binding is named after to a node.
    ///
    /// # Errors
    /// As [`TypedResource::evict`].
    pub async fn bind(&self, binding: &Binding, options: &CreateOptions) -> Result<(), Error> {
        let name = binding.metadata.name.as_deref().unwrap_or_default();
        let request = self.object(Method::POST, name, &["binding"])?.params(options);
        settled(&in_json(request, binding)).await
    }

    /// The request of a log, unsent: `stream()` hands it out as it comes, `do_raw()` reads it whole.
    ///
    /// # Errors
    /// A handle without a namespace.
    pub fn log_request(&self, name: &str, options: &PodLogOptions) -> Result<Request, Error> {
        Ok(self.object(Method::GET, name, &["log"])?.header("accept", ANY).params(options))
    }

    /// A log, as it comes.
    ///
    /// # Errors
    /// As [`TypedResource::evict`].
    pub async fn get_logs(&self, name: &str, options: &PodLogOptions) -> Result<ByteStream, Error> {
        self.log_request(name, options)?.stream().await
    }

    /// Replaces the ephemeral containers.
    ///
    /// # Errors
    /// As [`TypedResource::evict`].
    pub async fn update_ephemeral_containers(
        &self,
        name: &str,
        pod: &Pod,
        options: &UpdateOptions,
    ) -> Result<Pod, Error> {
        self.put(name, pod, options, &["ephemeralcontainers"]).await
    }

    /// Replaces the resources of running containers.
    ///
    /// # Errors
    /// As [`TypedResource::evict`].
    pub async fn update_resize(&self, name: &str, pod: &Pod, options: &UpdateOptions) -> Result<Pod, Error> {
        self.put(name, pod, options, &["resize"]).await
    }
}

/// client-go's default `Accept`, which a log is asked for with whatever the client speaks.
const ANY: &str = "application/json, */*";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::QueryParams as _;
    use crate::scheme::ParameterCodec;

    #[test]
    fn log_options_leave_out_what_is_unset_and_come_back() {
        assert!(PodLogOptions::default().query().is_empty());
        let options = PodLogOptions {
            since_time: Some("2026-01-02T03:04:05Z".parse().unwrap()),
            stream: "Stdout".into(),
            ..PodLogOptions::default().container("a").follow().previous().timestamps().tail_lines(0).limit_bytes(9)
        };
        let pairs = ParameterCodec.encode(&options);
        assert!(pairs.contains(&("sinceTime".into(), "2026-01-02T03:04:05Z".into())));
        assert!(pairs.contains(&("tailLines".into(), "0".into())));
        assert_eq!(ParameterCodec.decode::<PodLogOptions>(&pairs).unwrap(), options);
    }
}
