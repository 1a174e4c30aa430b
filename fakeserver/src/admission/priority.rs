//! Priority: a pod's priority comes from its class; only one class may be the default.

use super::{Attributes, Operation};
use crate::strategies::WriteContext;
use crate::strategies::access::{bool_at, copy, has, int_at, set, spec, str_at};
use rehearsal_apimachinery::meta::ObjectMeta;
use rehearsal_apimachinery::status::Status;
use serde_json::Value;

const CLASSES: &str = "priorityclasses.scheduling.k8s.io";

pub(super) fn mutate(cx: &WriteContext<'_>, at: &Attributes<'_>, object: &mut Value) -> Result<(), Status> {
    if !at.is("", "pods") {
        return Ok(());
    }
    match (at.operation, at.old) {
        (Operation::Create, _) => create(cx, at, object),
        (Operation::Update, Some(old)) => {
            for name in ["priority", "preemptionPolicy"] {
                if !has(spec(object), name) && has(spec(old), name) {
                    copy(spec(old), &mut object["spec"], name);
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn create(cx: &WriteContext<'_>, at: &Attributes<'_>, object: &mut Value) -> Result<(), Status> {
    let name = str_at(spec(object), "priorityClassName").to_owned();
    let class = if name.is_empty() {
        let mut classes = cx.peek.list(CLASSES, "");
        classes.retain(|c| bool_at(c, "globalDefault"));
        classes.into_iter().min_by_key(|c| int_at(c, "value").unwrap_or_default())
    } else {
        let class = cx.peek.get(CLASSES, "", &name);
        if class.is_none() {
            return Err(at.forbidden(Some(object), format!("no PriorityClass with name {name} was found")));
        }
        class
    };
    let computed = class.as_ref().and_then(|c| int_at(c, "value")).unwrap_or_default();
    if let Some(own) = int_at(spec(object), "priority").filter(|own| *own != computed) {
        let why = format!(
            "the integer value of priority ({own}) must not be provided in pod spec; priority admission controller computed {computed} from the given PriorityClass name"
        );
        return Err(at.forbidden(Some(object), why));
    }
    let policy = class.as_ref().map_or("", |c| str_at(c, "preemptionPolicy"));
    let policy = if policy.is_empty() { "PreemptLowerPriority" } else { policy };
    let own = str_at(spec(object), "preemptionPolicy");
    if !own.is_empty() && own != policy {
        let why = format!(
            "the string value of PreemptionPolicy ({own}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name"
        );
        return Err(at.forbidden(Some(object), why));
    }
    let spec = &mut object["spec"];
    if let (true, Some(class)) = (name.is_empty(), &class) {
        set(spec, "priorityClassName", class.name());
    }
    set(spec, "priority", computed);
    set(spec, "preemptionPolicy", policy);
    Ok(())
}

pub(super) fn validate(cx: &WriteContext<'_>, at: &Attributes<'_>, object: &Value) -> Result<(), Status> {
    let writes = matches!(at.operation, Operation::Create | Operation::Update);
    if !writes || !at.is("scheduling.k8s.io", "priorityclasses") || !bool_at(object, "globalDefault") {
        return Ok(());
    }
    let classes = cx.peek.list(CLASSES, "");
    let other = classes.iter().find(|c| bool_at(c, "globalDefault") && c.name() != object.name());
    match other {
        Some(other) => {
            let name = other.name();
            let why = format!("PriorityClass {name} is already marked as default. Only one default can exist");
            Err(at.forbidden(Some(object), why))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Cluster, create};
    use super::*;
    use serde_json::json;

    #[test]
    fn the_class_decides() {
        let cluster = Cluster::new(vec![(
            CLASSES,
            json!({"metadata": {"name": "pc"}, "value": 1000, "preemptionPolicy": "Never"}),
        )]);
        let mut pod = json!({"spec": {"priorityClassName": "pc"}});
        mutate(&cluster.cx(), &create("pods"), &mut pod).unwrap();
        assert_eq!(pod["spec"], json!({"priorityClassName": "pc", "priority": 1000, "preemptionPolicy": "Never"}));
        let refusal = |mut pod: Value| mutate(&cluster.cx(), &create("pods"), &mut pod).unwrap_err().message;
        assert_eq!(
            refusal(json!({"spec": {"priorityClassName": "x"}})),
            "pods \"p\" is forbidden: no PriorityClass with name x was found"
        );
        assert_eq!(
            refusal(json!({"spec": {"priorityClassName": "pc", "priority": 5}})),
            "pods \"p\" is forbidden: the integer value of priority (5) must not be provided in pod spec; priority admission controller computed 1000 from the given PriorityClass name"
        );
    }
}
