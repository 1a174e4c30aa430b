//! Rows of events.
//!
//! Counterpart: `printEvent` in kubernetes `pkg/printers/internalversion`.

use super::age;
use super::cells::{at, int, name, or, text, text_or};
use jiff::Timestamp;
use serde_json::Value;

/// Events of both groups; those of `events.k8s.io` carry the old members under `deprecated…` names.
pub(super) fn event(object: &Value, now: Timestamp) -> Vec<Value> {
    let either = |core: &str, new: &str| at(object, core).or_else(|| at(object, new));
    let string = |core: &str, new: &str| either(core, new).and_then(Value::as_str).unwrap_or_default();
    let first = either("/firstTimestamp", "/deprecatedFirstTimestamp").or_else(|| at(object, "/eventTime"));
    let series = at(object, "/series");
    let last = match series {
        Some(series) => at(series, "/lastObservedTime"),
        None => either("/lastTimestamp", "/deprecatedLastTimestamp").or(first),
    };
    let count = match series {
        Some(series) => int(series, "/count"),
        None => either("/count", "/deprecatedCount").and_then(Value::as_i64).filter(|c| *c != 0).unwrap_or(1),
    };
    let kind = string("/involvedObject/kind", "/regarding/kind").to_lowercase();
    let target = match string("/involvedObject/name", "/regarding/name") {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    let component = string("/source/component", "/deprecatedSource/component");
    let component = or(component, string("/reportingComponent", "/reportingController"));
    let host = string("/source/host", "/deprecatedSource/host");
    let instance = or(host, text_or(object, "/reportingInstance", ""));
    let source = if instance.is_empty() { component.to_owned() } else { format!("{component}, {instance}") };
    vec![
        age::since(last, now).into(),
        text(object, "/type").into(),
        text(object, "/reason").into(),
        target.into(),
        string("/involvedObject/fieldPath", "/regarding/fieldPath").into(),
        source.into(),
        string("/message", "/note").trim().into(),
        age::since(first, now).into(),
        count.into(),
        name(object),
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
    fn events_of_both_groups_print_alike() {
        let core = json!({"metadata": {"name": "e"}, "type": "Normal", "reason": "R", "message": " m ",
            "involvedObject": {"kind": "Pod", "name": "p"}, "source": {"component": "kubelet", "host": "n1"},
            "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:09:00Z", "count": 3});
        let new = json!({"metadata": {"name": "e"}, "type": "Normal", "reason": "R", "note": " m ",
            "regarding": {"kind": "Pod", "name": "p"}, "deprecatedSource": {"component": "kubelet", "host": "n1"},
            "deprecatedFirstTimestamp": "2026-01-01T00:00:00Z", "deprecatedLastTimestamp": "2026-01-01T00:09:00Z",
            "deprecatedCount": 3});
        let expected = json!(["60s", "Normal", "R", "pod/p", "", "kubelet, n1", "m", "10m", 3, "e"]);
        assert_eq!(json!(event(&core, now())), expected);
        assert_eq!(json!(event(&new, now())), expected);
        let series = json!({"eventTime": "2026-01-01T00:00:00.000000Z", "reportingComponent": "c",
            "series": {"count": 7, "lastObservedTime": "2026-01-01T00:09:30.000000Z"}});
        let cells = event(&series, now());
        assert_eq!(
            (&cells[0], &cells[5], &cells[7], &cells[8]),
            (&json!("30s"), &json!("c"), &json!("10m"), &json!(7))
        );
    }
}
