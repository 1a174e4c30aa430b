//! Options of reading a log, as query parameters.
//!
//! Counterpart: `core/v1` `PodLogOptions`.

use crate::rest::QueryParams;
use jiff::Timestamp;

/// Options of reading a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodLogOptions {
    /// `container`: needed where there is more than one.
    pub container: String,
    /// `follow`: stay for what is written later.
    pub follow: bool,
    /// `previous`: of the container's last run.
    pub previous: bool,
    /// `sinceSeconds`: not older than this.
    pub since_seconds: Option<i64>,
    /// `sinceTime`: not older than this; whole seconds are sent.
    pub since_time: Option<Timestamp>,
    /// `timestamps`: before each line.
    pub timestamps: bool,
    /// `tailLines`: only so many from the end.
    pub tail_lines: Option<i64>,
    /// `limitBytes`: no more than this.
    pub limit_bytes: Option<i64>,
    /// `insecureSkipTLSVerifyBackend`: do not check the kubelet's certificate.
    pub insecure_skip_tls_verify_backend: bool,
    /// `stream`: `All`, `Stdout` or `Stderr`; empty for the server's choice.
    pub stream: String,
}

impl PodLogOptions {
    /// Sets `container`.
    #[must_use]
    pub fn container(mut self, name: impl Into<String>) -> Self {
        self.container = name.into();
        self
    }

    /// Sets `follow`.
    #[must_use]
    pub fn follow(mut self) -> Self {
        self.follow = true;
        self
    }

    /// Sets `previous`.
    #[must_use]
    pub fn previous(mut self) -> Self {
        self.previous = true;
        self
    }

    /// Sets `timestamps`.
    #[must_use]
    pub fn timestamps(mut self) -> Self {
        self.timestamps = true;
        self
    }

    /// Sets `tailLines`.
    #[must_use]
    pub fn tail_lines(mut self, lines: i64) -> Self {
        self.tail_lines = Some(lines);
        self
    }

    /// Sets `sinceSeconds`.
    #[must_use]
    pub fn since_seconds(mut self, seconds: i64) -> Self {
        self.since_seconds = Some(seconds);
        self
    }

    /// Sets `limitBytes`.
    #[must_use]
    pub fn limit_bytes(mut self, bytes: i64) -> Self {
        self.limit_bytes = Some(bytes);
        self
    }
}

impl QueryParams for PodLogOptions {
    fn query(&self) -> Vec<(String, String)> {
        let text = |value: &str| (!value.is_empty()).then(|| value.to_owned());
        let flag = |value: bool| value.then(|| "true".to_owned());
        let number = |value: Option<i64>| value.map(|v| v.to_string());
        let time = self.since_time.map(|t| t.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        let pairs = [
            ("container", text(&self.container)),
            ("follow", flag(self.follow)),
            ("insecureSkipTLSVerifyBackend", flag(self.insecure_skip_tls_verify_backend)),
            ("limitBytes", number(self.limit_bytes)),
            ("previous", flag(self.previous)),
            ("sinceSeconds", number(self.since_seconds)),
            ("sinceTime", time),
            ("stream", text(&self.stream)),
            ("tailLines", number(self.tail_lines)),
            ("timestamps", flag(self.timestamps)),
        ];
        pairs.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }
}
