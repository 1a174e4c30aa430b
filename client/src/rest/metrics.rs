//! What a client can tell about its requests.
//!
//! Counterpart: client-go `tools/metrics`. URLs come as templates, without names and values.

use std::time::Duration;

/// Hears of requests. Every method does nothing unless overridden.
pub trait RequestMetrics: Send + Sync {
    /// A whole request took this long. (`rest_client_request_duration_seconds`)
    fn latency(&self, verb: &str, url: &str, took: Duration) {
        let _ = (verb, url, took);
    }

    /// The limiter held a request back. (`rest_client_rate_limiter_duration_seconds`)
    fn throttled(&self, verb: &str, url: &str, waited: Duration) {
        let _ = (verb, url, waited);
    }

    /// A request whose answer was read whole had a body of this many bytes. (`rest_client_request_size_bytes`)
    fn request_size(&self, verb: &str, host: &str, bytes: usize) {
        let _ = (verb, host, bytes);
    }

    /// The body of an answer that was read whole had this many bytes. (`rest_client_response_size_bytes`)
    fn response_size(&self, verb: &str, host: &str, bytes: usize) {
        let _ = (verb, host, bytes);
    }

    /// An attempt ended with this code, `<error>` without one. (`rest_client_requests_total`)
    fn result(&self, code: &str, method: &str, host: &str) {
        let _ = (code, method, host);
    }

    /// So did an attempt that was not the first. (`rest_client_request_retries_total`)
    fn retry(&self, code: &str, method: &str, host: &str) {
        let _ = (code, method, host);
    }
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoMetrics;

impl RequestMetrics for NoMetrics {}
