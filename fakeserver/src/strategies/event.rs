//! Event, as both groups serve it: one stored object, two forms.
//!
//! Counterpart: `registry/core/event`, `ValidateEventCreate` and the conversion of `events.k8s.io/v1`. The storage
//! form is that of the core group; [`to_regarding`] and [`to_involved`] turn one form into the other.

use super::access::{has, str_at};
use super::checks::{immutable, one_of, qualified_name};
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::meta::ObjectMeta;
use rehearsal_apimachinery::validation::is_dns1123_subdomain;
use serde_json::Value;

/// Members that differ by name: core group, then `events.k8s.io`.
const NAMES: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// Hooks of Event, for one of the two groups.
#[derive(Clone, Copy, Debug)]
pub struct EventStrategy {
    regarding: bool,
}

/// Events of the core group.
pub static CORE: EventStrategy = EventStrategy { regarding: false };
/// Events of `events.k8s.io`.
pub static EVENTS: EventStrategy = EventStrategy { regarding: true };

/// The `events.k8s.io/v1` form of a core event.
#[must_use]
pub fn to_regarding(event: &Value) -> Value {
    renamed(event, "events.k8s.io/v1", |name| NAMES.iter().find(|(core, _)| *core == name).map(|(_, new)| *new))
}

/// The core form of an `events.k8s.io/v1` event.
#[must_use]
pub fn to_involved(event: &Value) -> Value {
    renamed(event, "v1", |name| NAMES.iter().find(|(_, new)| *new == name).map(|(core, _)| *core))
}

fn renamed(event: &Value, version: &str, rename: impl Fn(&str) -> Option<&'static str>) -> Value {
    let Some(map) = event.as_object() else { return event.clone() };
    let members = map.iter().map(|(name, value)| match name.as_str() {
        "apiVersion" => (name.clone(), Value::from(version)),
        _ => (rename(name).map_or_else(|| name.clone(), str::to_owned), value.clone()),
    });
    Value::Object(members.collect())
}

impl EventStrategy {
    fn name(self, core: &'static str) -> &'static str {
        let twin = NAMES.iter().find(|(name, _)| self.regarding && *name == core);
        twin.map_or(core, |(_, new)| *new)
    }

    fn common(self, event: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let namespace = event.namespace();
        let involved = str_at(&event[self.name("involvedObject")], "namespace");
        let fits =
            if involved.is_empty() { matches!(namespace, "default" | "kube-system") } else { involved == namespace };
        if !fits {
            errors.push(FieldError::invalid("involvedObject.namespace", involved, "does not match event.namespace"));
        }
        if !has(event, "eventTime") {
            return errors;
        }
        let controller = str_at(event, self.name("reportingComponent"));
        let path = Path::new(self.name("reportingComponent"));
        if controller.is_empty() {
            errors.push(FieldError::required(&path, ""));
        }
        errors.extend(qualified_name(&path, controller));
        for name in ["reportingInstance", "action", "reason"] {
            let value = str_at(event, name);
            if value.is_empty() {
                errors.push(FieldError::required(name, ""));
            } else if value.len() > 128 {
                errors.push(FieldError::invalid(name, "", "can have at most 128 characters"));
            }
        }
        if str_at(event, self.name("message")).len() > 1024 {
            errors.push(FieldError::invalid("message", "", "can have at most 1024 characters"));
        }
        errors.extend(
            is_dns1123_subdomain(namespace).into_iter().map(|m| FieldError::invalid("namespace", namespace, m)),
        );
        errors
    }
}

impl Strategy for EventStrategy {
    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = self.common(object);
        if !self.regarding {
            return errors;
        }
        if !has(object, "eventTime") {
            errors.push(FieldError::required("eventTime", ""));
        }
        let kind = str_at(object, "type");
        if one_of(&Path::new("type"), kind, &["Normal", "Warning"]).is_some() {
            errors.push(FieldError::invalid("type", "", format!("has invalid value: {kind}")));
        }
        for (core, name) in &NAMES[2..6] {
            let set = match &object[*name] {
                Value::Null => false,
                Value::Object(source) => !source.is_empty(),
                Value::Number(n) => n.as_i64() != Some(0),
                _ => true,
            };
            if set {
                errors.push(FieldError::invalid(*core, "", "needs to be unset"));
            }
        }
        errors
    }

    fn validate_update(&self, _cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = self.common(object);
        if self.regarding {
            let fixed = ["involvedObject", "reason", "message", "type", "eventTime", "action", "related"];
            for name in fixed.into_iter().chain(["reportingComponent", "reportingInstance"]) {
                let shown = if name == "reportingComponent" { "reportingController" } else { name };
                let own = self.name(name);
                errors.extend(immutable(&Path::new(shown), &object[own], &old[own]));
            }
        }
        errors
    }

    fn selectable_fields(&self, object: &Value) -> Vec<(&'static str, String)> {
        let involved = &object[self.name("involvedObject")];
        let component = str_at(object, self.name("reportingComponent"));
        let source = match str_at(&object[self.name("source")], "component") {
            "" => component,
            source => source,
        };
        let prefix: [(&'static str, &str); 7] = if self.regarding {
            [
                ("regarding.kind", "kind"),
                ("regarding.namespace", "namespace"),
                ("regarding.name", "name"),
                ("regarding.uid", "uid"),
                ("regarding.apiVersion", "apiVersion"),
                ("regarding.resourceVersion", "resourceVersion"),
                ("regarding.fieldPath", "fieldPath"),
            ]
        } else {
            [
                ("involvedObject.kind", "kind"),
                ("involvedObject.namespace", "namespace"),
                ("involvedObject.name", "name"),
                ("involvedObject.uid", "uid"),
                ("involvedObject.apiVersion", "apiVersion"),
                ("involvedObject.resourceVersion", "resourceVersion"),
                ("involvedObject.fieldPath", "fieldPath"),
            ]
        };
        let mut fields: Vec<_> =
            prefix.iter().map(|(label, member)| (*label, str_at(involved, member).into())).collect();
        fields.push(("reason", str_at(object, "reason").into()));
        fields.push((self.name("reportingComponent"), component.into()));
        fields.push(("source", source.into()));
        fields.push(("type", str_at(object, "type").into()));
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_two_forms_convert_into_each_other() {
        let core = json!({"apiVersion": "v1", "kind": "Event", "involvedObject": {"name": "p"}, "message": "m", "count": 2, "reason": "r"});
        let new = to_regarding(&core);
        assert_eq!(
            new,
            json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "regarding": {"name": "p"}, "note": "m", "deprecatedCount": 2, "reason": "r"})
        );
        assert_eq!(to_involved(&new), core);
    }

    #[test]
    fn an_event_lives_where_its_object_lives() {
        let event = json!({"metadata": {"namespace": "a"}, "involvedObject": {"namespace": "other"}});
        assert_eq!(
            CORE.common(&event)[0].to_string(),
            "involvedObject.namespace: Invalid value: \"other\": does not match event.namespace"
        );
        let cluster = json!({"metadata": {"namespace": "default"}, "involvedObject": {"kind": "Node"}});
        assert!(CORE.common(&cluster).is_empty());
    }

    #[test]
    fn the_source_falls_back_to_the_controller() {
        let event = json!({"reportingComponent": "c", "source": {}});
        assert!(CORE.selectable_fields(&event).contains(&("source", "c".to_owned())));
    }
}
