//! Rows of the remaining types, and the default row of types without columns of their own.

use super::cells::{NONE, at, condition, created, flag, int, list, name, scalar, text, text_or};
use jiff::Timestamp;
use rehearsal_apimachinery::meta::ObjectMeta;
use serde_json::Value;

/// Name and creation time as it is, of types for which the real server has no printer.
pub(super) fn name_and_creation(object: &Value) -> Vec<Value> {
    // Go's zero time, as the real server prints it of objects that were never stored.
    vec![name(object), text_or(object, "/metadata/creationTimestamp", "0001-01-01T00:00:00Z").into()]
}

pub(super) fn lease(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), text(object, "/spec/holderIdentity").into(), created(object, now)]
}

pub(super) fn priority_class(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(object),
        int(object, "/value").into(),
        flag(object, "/globalDefault").into(),
        created(object, now),
        text(object, "/preemptionPolicy").into(),
    ]
}

pub(super) fn runtime_class(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), text(object, "/handler").into(), created(object, now)]
}

pub(super) fn api_service(object: &Value, now: Timestamp) -> Vec<Value> {
    let service = at(object, "/spec/service")
        .map_or_else(|| "Local".to_owned(), |s| format!("{}/{}", text(s, "/namespace"), text(s, "/name")));
    let available = match condition(object, "/status/conditions", "Available") {
        None => "Unknown".to_owned(),
        Some(c) if text(c, "/status") == "True" => "True".to_owned(),
        Some(c) => format!("{} ({})", text(c, "/status"), text(c, "/reason")),
    };
    vec![name(object), service.into(), available.into(), created(object, now)]
}

// === flow control ===

pub(super) fn flow_schema(object: &Value, now: Timestamp) -> Vec<Value> {
    let dangling = condition(object, "/status/conditions", "Dangling").map_or("?", |c| text(c, "/status"));
    vec![
        name(object),
        text(object, "/spec/priorityLevelConfiguration/name").into(),
        int(object, "/spec/matchingPrecedence").into(),
        scalar(object, "/spec/distinguisherMethod/type", NONE).into(),
        created(object, now),
        dangling.into(),
    ]
}

pub(super) fn priority_level(object: &Value, now: Timestamp) -> Vec<Value> {
    let number = |of: &str, member: &str| -> Value {
        match at(object, of) {
            Some(parent) => int(parent, member).into(),
            None => NONE.into(),
        }
    };
    let queuing = "/spec/limited/limitResponse/queuing";
    vec![
        name(object),
        text(object, "/spec/type").into(),
        number("/spec/limited", "/nominalConcurrencyShares"),
        number(queuing, "/queues"),
        number(queuing, "/handSize"),
        number(queuing, "/queueLengthLimit"),
        created(object, now),
    ]
}

// === dynamic resources ===

pub(super) fn resource_claim(object: &Value, now: Timestamp) -> Vec<Value> {
    let mut states = Vec::new();
    if object.is_deleting() {
        states.push("deleted");
    }
    if at(object, "/status/allocation").is_some() {
        states.push("allocated");
        if !list(object, "/status/reservedFor").is_empty() {
            states.push("reserved");
        }
    } else if states.is_empty() {
        states.push("pending");
    }
    vec![name(object), states.join(",").into(), created(object, now)]
}

pub(super) fn resource_slice(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(object),
        text(object, "/spec/nodeName").into(),
        text(object, "/spec/driver").into(),
        text(object, "/spec/pool/name").into(),
        created(object, now),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn now() -> Timestamp {
        "2026-01-01T00:10:00Z".parse().unwrap()
    }

    #[test]
    fn api_services_tell_why_they_are_not_available() {
        let object = json!({"metadata": {"name": "v1.x"}, "spec": {"service": {"namespace": "n", "name": "s"}},
            "status": {"conditions": [{"type": "Available", "status": "False", "reason": "ServiceNotFound"}]}});
        assert_eq!(api_service(&object, now())[1..3], [json!("n/s"), json!("False (ServiceNotFound)")]);
        assert_eq!(api_service(&json!({}), now())[1..3], [json!("Local"), json!("Unknown")]);
    }

    #[test]
    fn priority_levels_without_limits_print_none() {
        let object = json!({"metadata": {"name": "exempt"}, "spec": {"type": "Exempt"}});
        assert_eq!(priority_level(&object, now())[1..4], [json!("Exempt"), json!("<none>"), json!("<none>")]);
        let queued = json!({"spec": {"type": "Limited", "limited": {"nominalConcurrencyShares": 30,
            "limitResponse": {"queuing": {"queues": 64, "handSize": 6, "queueLengthLimit": 50}}}}});
        assert_eq!(priority_level(&queued, now())[2..6], [json!(30), json!(64), json!(6), json!(50)]);
    }

    #[test]
    fn claims_sum_up_their_state() {
        let state = |object: &Value| resource_claim(object, now())[1].clone();
        assert_eq!(state(&json!({})), json!("pending"));
        assert_eq!(state(&json!({"status": {"allocation": {}, "reservedFor": [{}]}})), json!("allocated,reserved"));
        assert_eq!(state(&json!({"metadata": {"deletionTimestamp": "x"}})), json!("deleted"));
    }
}
