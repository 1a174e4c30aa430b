//! What the suite and an adapter say to one another: a line of JSON each, described in `docs/SCORECARD.md`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Version of the protocol; an adapter that knows another says so in its answer to `hello`.
pub const PROTOCOL: u32 = 1;

/// What the suite asks of an adapter.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Request<'a> {
    /// Repeated in the answer.
    pub id: u64,
    /// The operation.
    pub op: &'a str,
    /// Its arguments.
    pub args: &'a Value,
    /// The deadline that the client shall keep by its own means, in milliseconds from now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
}

/// What an adapter answers: a result, or an error with its class.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The number of the request.
    pub id: u64,
    /// What came of it; without it the operation failed.
    #[serde(default)]
    pub result: Option<Value>,
    /// Why it failed.
    #[serde(default)]
    pub error_class: Option<ErrorClass>,
    /// The HTTP status that the client reports.
    #[serde(default)]
    pub code: Option<u16>,
    /// The client's own words.
    #[serde(default)]
    pub message: String,
    /// Whatever the client tells of itself (attempts, retries); kept for comparison, never judged.
    #[serde(default)]
    pub observed: Option<Value>,
}

/// Classes of failures, as the client itself tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorClass {
    /// The server refused, and the client says with which status.
    Api,
    /// The connection failed or broke.
    Transport,
    /// A deadline passed.
    Timeout,
    /// An answer that could not be read.
    Decode,
    /// The client's own limiter refused.
    Throttled,
    /// A write that may or may not have happened, told as such.
    UnknownOutcome,
    /// The client has no such operation, or the adapter does not offer it.
    Unsupported,
    /// Anything else.
    #[serde(other)]
    Other,
}

/// Who the adapter drives: its answer to `hello`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Client {
    /// Name of the client library, such as `client-go`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Language and version of its runtime.
    pub runtime: String,
    /// Every option that differs from the client's defaults.
    pub options: Vec<String>,
    /// Version of the protocol; 1 when left out.
    pub protocol: Option<u32>,
}

impl Client {
    /// Name, version and options in a line.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} {}{}", self.name, self.version, self.said_options())
    }

    /// Name and options in a line.
    #[must_use]
    pub fn short_title(&self) -> String {
        format!("{}{}", self.name, self.said_options())
    }

    fn said_options(&self) -> String {
        if self.options.is_empty() { String::new() } else { format!(" ({})", self.options.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_need_no_more_than_their_number() {
        let answer: Answer = serde_json::from_str(r#"{"id":3}"#).unwrap();
        assert_eq!((answer.id, answer.result, answer.message.as_str()), (3, None, ""));
        let answer: Answer =
            serde_json::from_str(r#"{"id":4,"errorClass":"unknown-outcome","code":504,"message":"m"}"#).unwrap();
        assert_eq!((answer.error_class, answer.code), (Some(ErrorClass::UnknownOutcome), Some(504)));
    }

    #[test]
    fn classes_that_nobody_knows_are_other() {
        let answer: Answer = serde_json::from_str(r#"{"id":1,"errorClass":"cosmic-ray"}"#).unwrap();
        assert_eq!(answer.error_class, Some(ErrorClass::Other));
    }

    #[test]
    fn requests_leave_out_a_deadline_that_is_none() {
        let args = serde_json::json!({});
        let line = serde_json::to_string(&Request { id: 1, op: "get", args: &args, deadline_ms: None }).unwrap();
        assert_eq!(line, r#"{"id":1,"op":"get","args":{}}"#);
    }
}
