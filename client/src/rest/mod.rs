//! RESTClient: requests built step by step, sent with throttling and retries, answered with typed errors.
//!
//! Counterpart: client-go `rest/`. `request.rs` builds, `send.rs` sends, `retry.rs` decides, `response.rs` reads.

mod backoff;
mod client;
pub(crate) mod codec;
mod head;
mod lines;
mod metrics;
mod protobuf;
mod request;
mod response;
mod retry;
mod send;
pub(crate) mod url;
mod warnings;

pub use backoff::{BackoffManager, NoBackoff, UrlBackoff};
pub use client::RestClient;
pub(crate) use client::share_limiter;
pub use codec::{Codecs, JsonCodec, MEDIA_CBOR, MEDIA_JSON, MEDIA_PROTOBUF, MEDIA_YAML, ObjectCodec, YamlCodec};
pub use lines::Lines;
pub use metrics::{NoMetrics, RequestMetrics};
pub use protobuf::ProtobufCodec;
pub use request::{PatchType, QueryParams, Request, RequestBody};
pub use response::{ObjectKind, RestResponse};
pub use retry::{Decision, Entry, Outcome, Retries, RetryOptions, RetryReason};
pub use send::ByteStream;
pub use warnings::{LogWarnings, NoWarnings, Warning, WarningHandler, WriteWarnings};
