//! The discovery client: asks the server itself.
//!
//! Counterpart: client-go `discovery.DiscoveryClient`.

use super::{ApiGroup, ApiResourceList, Discovered, Discovery, aggregated, legacy};
use crate::BoxFuture;
use crate::config::Config;
use crate::error::{DecodeError, Error};
use crate::flowcontrol::Burst;
use crate::rest::{MEDIA_JSON, Request, RestClient, RestResponse};
use bytes::Bytes;
use futures::StreamExt;
use rehearsal_apimachinery::GroupVersion;
use rehearsal_apimachinery::version::Info;
use serde_json::Value;
use std::time::Duration;

/// client-go `defaultTimeout` of discovery.
const TIMEOUT: Duration = Duration::from_secs(32);
/// client-go `defaultBurst` of discovery.
const BURST: Burst = Burst(300);
/// Requests under way at once in legacy discovery; the limiter bounds them further.
const PARALLEL: usize = 64;
/// client-go `defaultRetries`: attempts in all.
const ATTEMPTS: usize = 2;

/// Asks a server what it offers.
#[derive(Clone, Debug)]
pub struct DiscoveryClient {
    rest: RestClient,
    legacy: bool,
    no_peer: bool,
}

impl DiscoveryClient {
    /// A client of its own, with a burst of 300 and a timeout of 32 seconds unless the configuration sets them.
    ///
    /// # Errors
    /// When the configuration does not make a client.
    pub fn for_config(config: &Config) -> Result<Self, Error> {
        let mut config = config.clone();
        config.timeout = config.timeout.or(Some(TIMEOUT));
        if config.burst == Burst(0) {
            config.burst = BURST;
        }
        Ok(Self::new(&RestClient::unversioned(&config)?))
    }

    /// Uses another client's connections, limiter and credentials.
    #[must_use]
    pub fn new(rest: &RestClient) -> Self {
        Self { rest: rest.content(MEDIA_JSON, ""), legacy: false, no_peer: false }
    }

    /// Never asks for aggregated answers.
    #[must_use]
    pub fn legacy(mut self) -> Self {
        self.legacy = true;
        self
    }

    /// Asks only for what the answering server itself serves, where servers of several versions stand behind one address.
    /// Older servers answer as always. Counterpart: `WithNoPeerDiscovery`.
    #[must_use]
    pub fn no_peer(mut self) -> Self {
        self.no_peer = true;
        self
    }

    fn at(&self, path: &str) -> Request {
        self.rest.get().abs_path(&[path])
    }

    /// The groups, with resources where the server answered in aggregate.
    ///
    /// # Errors
    /// When `/apis` cannot be read; a missing `/api` is a server without core group.
    pub async fn groups(&self) -> Result<Discovered, Error> {
        Ok(self.top().await?.0)
    }

    /// Both top-level answers, and whether both were aggregated.
    async fn top(&self) -> Result<(Discovered, bool), Error> {
        let mut found = Discovered::default();
        let mut aggregated = !self.legacy;
        for path in ["/api", "/apis"] {
            let mut request = self.at(path);
            if !self.legacy {
                request = request.header("accept", &aggregated::accept(self.no_peer));
            }
            let response = request.send().await?;
            if let Some(error) = response.error() {
                // Servers that only aggregate have no core group.
                if path == "/api" && (error.is_not_found() || error.is_forbidden()) {
                    continue;
                }
                return Err(error);
            }
            let value = response.object()?;
            if !self.legacy && aggregated::is_aggregated(response.content_type()) {
                found.absorb(aggregated::read(&value));
            } else {
                aggregated = false;
                found.groups.extend(if path == "/api" {
                    legacy::core_group(&value).into_iter().collect()
                } else {
                    legacy::groups(&value)
                });
            }
        }
        Ok((found, aggregated))
    }

    /// The resources of one version.
    ///
    /// # Errors
    /// The server's refusal; for core v1 a 404 is an empty list.
    pub async fn resources_for(&self, gv: &GroupVersion) -> Result<ApiResourceList, Error> {
        let answer = match self.at(&legacy::path(gv)).send().await {
            Ok(response) => response.decode(),
            Err(error) => Err(error),
        };
        legacy::resources(gv, answer)
    }

    async fn once(&self) -> Result<Discovered, Error> {
        let (mut found, aggregated) = self.top().await?;
        if aggregated {
            return Ok(found);
        }
        found.resources.clear();
        let versions: Vec<_> = found.groups.iter().flat_map(ApiGroup::group_versions).collect();
        let answers: Vec<_> = futures::stream::iter(versions)
            .map(|gv| async move { (self.resources_for(&gv).await, gv) })
            .buffered(PARALLEL)
            .collect()
            .await;
        for (answer, gv) in answers {
            match answer {
                Ok(list) => drop(found.resources.insert(gv, list)),
                Err(error) => drop(found.failed.insert(gv, Box::new(error))),
            }
        }
        Ok(found)
    }

    /// `/version`.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn version(&self) -> Result<Info, Error> {
        self.at("/version").send().await?.decode()
    }

    /// The OpenAPI v2 document, as protobuf bytes.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn openapi_v2(&self) -> Result<Bytes, Error> {
        let accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
        self.at("/openapi/v2").header("accept", accept).do_raw().await
    }

    /// The index of OpenAPI v3 documents: path to URL, the latter with a hash.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn openapi_v3(&self) -> Result<Vec<(String, String)>, Error> {
        let index = self.at("/openapi/v3").send().await?;
        let index: Value = raw_json(&index)?;
        let paths = index.get("paths").and_then(Value::as_object).into_iter().flatten();
        let url = |v: &Value| v.get("serverRelativeURL").and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(paths.map(|(path, entry)| (path.clone(), url(entry))).collect())
    }

    /// One OpenAPI v3 document, by a URL of the index.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn openapi_v3_document(&self, url: &str) -> Result<Value, Error> {
        raw_json(&self.rest.get().request_uri(url).send().await?)
    }
}

fn raw_json(response: &RestResponse) -> Result<Value, Error> {
    let bytes = response.raw()?;
    serde_json::from_slice(&bytes)
        .map_err(|e| Error::Decode(DecodeError::Malformed { media_type: MEDIA_JSON.into(), message: e.to_string() }))
}

impl Discovery for DiscoveryClient {
    fn discover(&self) -> BoxFuture<'_, Result<Discovered, Error>> {
        Box::pin(async move {
            let mut found = self.once().await?;
            for _ in 1..ATTEMPTS {
                if found.failed.is_empty() {
                    break;
                }
                found = self.once().await?;
            }
            Ok(found)
        })
    }
}
