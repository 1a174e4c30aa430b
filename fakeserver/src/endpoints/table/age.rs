//! Times of objects as cells.
//!
//! Counterpart: `translateTimestampSince` of the printers.

use jiff::Timestamp;
use rehearsal_apimachinery::time::{human_duration, parse_time};
use serde_json::Value;

/// A time member of an object; `None` when it is missing, null or no time.
pub(super) fn time(value: Option<&Value>) -> Option<Timestamp> {
    value.and_then(Value::as_str).and_then(|text| parse_time(text).ok())
}

/// The time between two instants, for people.
pub(super) fn between(start: Timestamp, end: Timestamp) -> String {
    human_duration(end.duration_since(start).as_secs())
}

/// How long ago a time member was; `<unknown>` when it is not set.
pub(super) fn since(value: Option<&Value>, now: Timestamp) -> String {
    time(value).map_or_else(|| "<unknown>".to_owned(), |then| between(then, now))
}
