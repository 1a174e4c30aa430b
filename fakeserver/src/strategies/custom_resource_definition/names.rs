//! Which names of a CRD are accepted, and the conditions that follow.
//!
//! Counterpart: apiextensions-apiserver `controller/status` and `controller/establish`.

use serde_json::{Map, Value, json};

/// The status of a CRD given the names that others of its group hold.
pub(crate) fn accept(crd: &Value, taken: &[&Value], now: &str) -> Value {
    let wanted = &crd["spec"]["names"];
    let mut status = crd.get("status").filter(|s| s.is_object()).cloned().unwrap_or_else(|| json!({}));
    let mut accepted = status.get("acceptedNames").and_then(Value::as_object).cloned().unwrap_or_default();
    let verdict = Verdict::of(wanted, &mut accepted, taken);
    status["acceptedNames"] = Value::Object(accepted);
    let established = is_true(&status, "Established");
    match verdict.conflict {
        Some((reason, message)) => {
            set_condition(&mut status, &condition("NamesAccepted", false, reason, &message), now);
            if !has(&status, "Established") {
                let refused = condition("Established", false, "NotAccepted", "not all names are accepted");
                set_condition(&mut status, &refused, now);
            }
        }
        None => {
            set_condition(&mut status, &condition("NamesAccepted", true, "NoConflicts", "no conflicts found"), now);
            if !established {
                let text = "the initial names have been accepted";
                set_condition(&mut status, &condition("Established", true, "InitialNamesAccepted", text), now);
            }
        }
    }
    status
}

/// Whether a CRD holds all the names it wants and is established.
pub(crate) fn are_settled(crd: &Value) -> bool {
    let status = &crd["status"];
    is_true(status, "Established")
        && is_true(status, "NamesAccepted")
        && status["acceptedNames"] == crd["spec"]["names"]
}

struct Verdict {
    /// Reason and message of the last name that somebody else holds.
    conflict: Option<(&'static str, String)>,
}

impl Verdict {
    fn of(wanted: &Value, accepted: &mut Map<String, Value>, taken: &[&Value]) -> Self {
        let mut verdict = Self { conflict: None };
        let resources: Vec<&str> = taken.iter().flat_map(|n| resources_of(n)).collect();
        let kinds: Vec<&str> = taken.iter().flat_map(|n| texts(n, &["kind", "listKind"])).collect();
        verdict.name(wanted, accepted, "plural", &resources, "PluralConflict");
        verdict.name(wanted, accepted, "singular", &resources, "SingularConflict");
        verdict.short_names(wanted, accepted, &resources);
        verdict.name(wanted, accepted, "kind", &kinds, "KindConflict");
        verdict.name(wanted, accepted, "listKind", &kinds, "ListKindConflict");
        put(accepted, "categories", wanted.get("categories"));
        verdict
    }

    fn name(
        &mut self,
        wanted: &Value,
        accepted: &mut Map<String, Value>,
        key: &str,
        taken: &[&str],
        reason: &'static str,
    ) {
        let name = wanted.get(key).and_then(Value::as_str).unwrap_or_default();
        let own = accepted.get(key).and_then(Value::as_str).unwrap_or_default();
        if name != own && taken.contains(&name) {
            self.conflict = Some((reason, format!("{name:?} is already in use")));
        } else {
            put(accepted, key, wanted.get(key));
        }
    }

    fn short_names(&mut self, wanted: &Value, accepted: &mut Map<String, Value>, taken: &[&str]) {
        let own = list(accepted.get("shortNames"));
        let clashes: Vec<String> = list(wanted.get("shortNames"))
            .into_iter()
            .filter(|n| !own.contains(n) && taken.contains(n))
            .map(|n| format!("{n:?} is already in use"))
            .collect();
        match clashes.as_slice() {
            [] => put(accepted, "shortNames", wanted.get("shortNames")),
            [one] => self.conflict = Some(("ShortNamesConflict", one.clone())),
            many => self.conflict = Some(("ShortNamesConflict", format!("[{}]", many.join(", ")))),
        }
    }
}

fn put(map: &mut Map<String, Value>, key: &str, value: Option<&Value>) {
    match value {
        Some(value) => drop(map.insert(key.to_owned(), value.clone())),
        None => drop(map.remove(key)),
    }
}

fn resources_of(names: &Value) -> Vec<&str> {
    let mut all = texts(names, &["plural", "singular"]);
    all.extend(list(names.get("shortNames")));
    all
}

fn texts<'v>(names: &'v Value, keys: &[&str]) -> Vec<&'v str> {
    keys.iter().filter_map(|k| names.get(*k).and_then(Value::as_str)).filter(|t| !t.is_empty()).collect()
}

fn list(value: Option<&Value>) -> Vec<&str> {
    value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default().iter().filter_map(Value::as_str).collect()
}

/// A condition without its time.
pub(crate) fn condition(kind: &str, is: bool, reason: &str, message: &str) -> Value {
    json!({"type": kind, "status": if is { "True" } else { "False" }, "reason": reason, "message": message})
}

fn has(status: &Value, kind: &str) -> bool {
    status["conditions"].as_array().is_some_and(|all| all.iter().any(|c| c["type"] == kind))
}

fn is_true(status: &Value, kind: &str) -> bool {
    status["conditions"].as_array().is_some_and(|all| all.iter().any(|c| c["type"] == kind && c["status"] == "True"))
}

/// Sets a condition; its time changes only with its status.
pub(crate) fn set_condition(status: &mut Value, condition: &Value, now: &str) {
    if !status.is_object() {
        *status = json!({});
    }
    if !status["conditions"].is_array() {
        status["conditions"] = json!([]);
    }
    let Some(all) = status["conditions"].as_array_mut() else { return };
    let mut new = condition.clone();
    new["lastTransitionTime"] = now.into();
    match all.iter_mut().find(|c| c["type"] == condition["type"]) {
        Some(old) => {
            if old["status"] == new["status"] {
                new["lastTransitionTime"] = old["lastTransitionTime"].clone();
            }
            *old = new;
        }
        None => all.push(new),
    }
}
