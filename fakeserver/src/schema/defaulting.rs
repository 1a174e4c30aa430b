//! Defaults that data can say: a table of rules by type name, applied wherever a value of that type stands.
//!
//! Counterpart: `zz_generated.defaults.go` of the API groups. The rows are in `data/defaults.json`; what depends on
//! more than the members of one struct is done by the kind's strategy afterwards.

use rehearsal_apimachinery::catalog::{Field, Form, Shape, TypeDef, TypeId, Types};
use rehearsal_apimachinery::quantity::Quantity;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::LazyLock;

/// The rules of all types, by OpenAPI name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Defaults {
    types: HashMap<String, Entry>,
}

/// Either members that are always set, or rules in order.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Entry {
    Rules(Vec<Rule>),
    Always(Map<String, Value>),
}

/// A rule: what to set or drop, and when.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Rule {
    /// Members to fill where they are unset; objects are filled in depth.
    set: Map<String, Value>,
    /// Members to remove.
    drop: Vec<String>,
    /// All these members have this value, or one of a list of values.
    when: Map<String, Value>,
    /// At least one of these members is set.
    if_any: Vec<String>,
    /// None of these members is set.
    unless_any: Vec<String>,
    /// Only within objects of these kinds.
    only_for: Vec<String>,
}

impl Defaults {
    /// The table of the built-in types.
    ///
    /// # Panics
    /// If the embedded table does not parse, which the tests exclude.
    #[must_use]
    pub fn builtin() -> &'static Self {
        static BUILTIN: LazyLock<Defaults> = LazyLock::new(|| {
            serde_json::from_str(include_str!("../../data/defaults.json")).expect("defaults.json parses")
        });
        &BUILTIN
    }

    /// The names of the types that have rules.
    pub fn type_names(&self) -> impl Iterator<Item = &str> {
        self.types.keys().map(String::as_str)
    }
}

/// Applies the table to an object of a type, in place. Idempotent. Values that do not fit the type are left alone.
///
/// Also rounds resource lists up to thousandths, as the server's defaulting does.
pub fn apply_defaults(value: &mut Value, types: &Types, root: TypeId, table: &Defaults) {
    let walk = Walk { types, table, kind: types[root].short_name() };
    walk.named(value, &types[root]);
}

struct Walk<'w> {
    types: &'w Types,
    table: &'w Defaults,
    /// Kind of the root.
    kind: &'w str,
}

impl Walk<'_> {
    fn named(&self, value: &mut Value, def: &TypeDef) {
        let (Form::Struct, Value::Object(members)) = (def.form, value) else { return };
        match self.table.types.get(&def.name) {
            Some(Entry::Always(set)) => self.fill(members, set, Some(def)),
            Some(Entry::Rules(rules)) => rules.iter().for_each(|rule| self.rule(rule, members, def)),
            None => {}
        }
        for (name, value) in members.iter_mut().filter(|(_, value)| !value.is_null()) {
            if let Some(field) = def.field(name) {
                self.member(value, field);
            }
        }
        for field in def.fields.iter().filter(|field| matches!(field.shape, Shape::Named { .. }) && !field.pointer) {
            if members.get(&field.name).is_none_or(Value::is_null) {
                self.absent(members, field);
            }
        }
    }

    fn member(&self, value: &mut Value, field: &Field) {
        if field.go_type == "v1.ResourceList" {
            round_up(value);
        } else {
            self.shape(value, &field.shape);
        }
    }

    fn shape(&self, value: &mut Value, shape: &Shape) {
        match (shape, value) {
            (Shape::Named { id, .. }, value) => self.named(value, &self.types[*id]),
            (Shape::List { items, .. }, Value::Array(list)) if matches!(**items, Shape::Named { .. }) => {
                list.iter_mut().for_each(|item| self.shape(item, items));
            }
            (Shape::Map { values, .. }, Value::Object(map)) if matches!(**values, Shape::Named { .. }) => {
                map.values_mut().for_each(|v| self.shape(v, values));
            }
            _ => {}
        }
    }

    /// A struct that is no pointer is there even when nobody wrote it, and takes its defaults.
    fn absent(&self, members: &mut Map<String, Value>, field: &Field) {
        let Shape::Named { id, .. } = field.shape else { return };
        let def = &self.types[id];
        if field.pointer || field.omit_zero || def.form != Form::Struct || def.proto_only {
            return;
        }
        let mut value = Value::Object(Map::new());
        self.named(&mut value, def);
        if value.as_object().is_some_and(|m| !m.is_empty()) {
            members.insert(field.name.clone(), value);
        }
    }

    fn rule(&self, rule: &Rule, members: &mut Map<String, Value>, def: &TypeDef) {
        let set = |name: &String| members.get(name).is_some_and(|v| !is_unset(v, def.field(name)));
        let applies = (rule.only_for.is_empty() || rule.only_for.iter().any(|k| k == self.kind))
            && (rule.if_any.is_empty() || rule.if_any.iter().any(set))
            && !rule.unless_any.iter().any(set)
            && rule.when.iter().all(|(name, want)| matches(members.get(name), want));
        if applies {
            self.fill(members, &rule.set, Some(def));
            for name in &rule.drop {
                members.remove(name);
            }
        }
    }

    /// Sets members that are unset and goes into objects that are not.
    fn fill(&self, members: &mut Map<String, Value>, defaults: &Map<String, Value>, def: Option<&TypeDef>) {
        for (name, default) in defaults {
            let field = def.and_then(|d| d.field(name));
            match (members.get_mut(name), default) {
                (Some(Value::Object(inner)), Value::Object(default)) => {
                    let def = field.and_then(|f| match f.shape {
                        Shape::Named { id, .. } => Some(&self.types[id]),
                        _ => None,
                    });
                    self.fill(inner, default, def);
                }
                (Some(value), _) if !is_unset(value, field) => {}
                _ => {
                    members.insert(name.clone(), default.clone());
                }
            }
        }
    }
}

/// Whether a member counts as not given: absent, or the zero value of something that is no pointer.
fn is_unset(value: &Value, field: Option<&Field>) -> bool {
    let pointer = field.is_some_and(|f| f.pointer);
    match value {
        Value::Null => true,
        _ if pointer => false,
        Value::Bool(b) => !b,
        Value::String(s) => s.is_empty(),
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::Array(a) => a.is_empty(),
        Value::Object(_) => false,
    }
}

fn matches(value: Option<&Value>, want: &Value) -> bool {
    match (value, want) {
        (Some(value), Value::Array(any)) => any.contains(value),
        (Some(value), want) => value == want,
        (None, _) => false,
    }
}

fn round_up(list: &mut Value) {
    let Value::Object(list) = list else { return };
    for value in list.values_mut() {
        if let Some(quantity) = value.as_str().and_then(|s| s.parse::<Quantity>().ok()) {
            *value = Value::String(quantity.round_up_to_milli().to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rehearsal_apimachinery::Catalog;
    use rehearsal_apimachinery::gvk::GroupVersionKind;
    use serde_json::json;

    fn defaulted(group: &str, version: &str, kind: &str, mut object: Value) -> Value {
        let catalog = Catalog::builtin();
        let id = catalog.type_of(&GroupVersionKind::new(group, version, kind)).unwrap();
        apply_defaults(&mut object, &catalog.types, id, Defaults::builtin());
        let mut again = object.clone();
        apply_defaults(&mut again, &catalog.types, id, Defaults::builtin());
        assert_eq!(again, object, "idempotent");
        object
    }

    #[test]
    fn every_rule_is_about_members_of_a_known_type() {
        let types = &Catalog::builtin().types;
        for (name, entry) in &Defaults::builtin().types {
            let def = types.named(name).unwrap_or_else(|| panic!("no type {name}"));
            let check = |member: &String| assert!(def.field(member).is_some(), "{name} has no {member}");
            match entry {
                Entry::Always(set) => set.keys().for_each(check),
                Entry::Rules(rules) => rules.iter().for_each(|r| {
                    r.set.keys().chain(r.when.keys()).for_each(check);
                    r.drop.iter().chain(&r.if_any).chain(&r.unless_any).for_each(check);
                }),
            }
        }
    }

    #[test]
    fn a_pod_gets_its_own_defaults_and_those_of_its_containers() {
        let pod = defaulted(
            "",
            "v1",
            "Pod",
            json!({"spec": {"containers": [{
                "name": "c",
                "ports": [{"containerPort": 80}],
                "livenessProbe": {"httpGet": {"port": 80}, "periodSeconds": 5},
                "resources": {"limits": {"cpu": "1.00001"}}
            }], "volumes": [{"name": "s", "secret": {"secretName": "x"}}]}}),
        );
        let spec = &pod["spec"];
        assert_eq!(spec["restartPolicy"], "Always");
        assert_eq!(spec["terminationGracePeriodSeconds"], 30);
        assert_eq!(spec["securityContext"], json!({}));
        assert_eq!(spec["enableServiceLinks"], true);
        assert_eq!(spec["volumes"][0]["secret"]["defaultMode"], 420);
        let container = &spec["containers"][0];
        assert_eq!(container["terminationMessagePolicy"], "File");
        assert_eq!(container["ports"][0]["protocol"], "TCP");
        assert_eq!(container["resources"]["limits"]["cpu"], "1001m");
        assert_eq!(
            container["livenessProbe"],
            json!({"httpGet": {"path": "/", "port": 80, "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 5,
                "successThreshold": 1, "failureThreshold": 3})
        );
    }

    #[test]
    fn what_is_for_pods_alone_is_not_for_templates() {
        let deployment = defaulted("apps", "v1", "Deployment", json!({"spec": {"template": {"spec": {}}}}));
        assert_eq!(deployment["spec"]["template"]["spec"].get("enableServiceLinks"), None);
        assert_eq!(deployment["spec"]["template"]["spec"]["dnsPolicy"], "ClusterFirst");
        assert_eq!(deployment["spec"]["replicas"], 1);
        let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}});
        assert_eq!(deployment["spec"]["strategy"], strategy);
        let recreate = json!({"spec": {"replicas": 0, "strategy": {"type": "Recreate"}}});
        let deployment = defaulted("apps", "v1", "Deployment", recreate);
        assert_eq!(deployment["spec"]["strategy"], json!({"type": "Recreate"}));
        assert_eq!(deployment["spec"]["replicas"], 0);
    }

    #[test]
    fn jobs_count_once_unless_told_otherwise() {
        let job = defaulted("batch", "v1", "Job", json!({"spec": {}}));
        assert_eq!((&job["spec"]["completions"], &job["spec"]["parallelism"]), (&json!(1), &json!(1)));
        assert_eq!(job["spec"]["podReplacementPolicy"], "TerminatingOrFailed");
        let job =
            defaulted("batch", "v1", "Job", json!({"spec": {"parallelism": 2, "podFailurePolicy": {"rules": []}}}));
        assert_eq!(job["spec"].get("completions"), None);
        assert_eq!(job["spec"]["podReplacementPolicy"], "Failed");
        let cron = defaulted("batch", "v1", "CronJob", json!({"spec": {"jobTemplate": {"spec": {}}}}));
        assert_eq!(cron["spec"]["jobTemplate"]["spec"].get("backoffLimit"), None);
        assert_eq!(cron["spec"]["successfulJobsHistoryLimit"], 3);
    }

    #[test]
    fn services_differ_by_type() {
        let service = defaulted("", "v1", "Service", json!({"spec": {"ports": [{"port": 80}]}}));
        let spec = json!({"type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
            "ports": [{"port": 80, "protocol": "TCP"}]});
        assert_eq!(service["spec"], spec);
        let service =
            defaulted("", "v1", "Service", json!({"spec": {"type": "LoadBalancer", "sessionAffinity": "ClientIP"}}));
        assert_eq!(service["spec"]["externalTrafficPolicy"], "Cluster");
        assert_eq!(service["spec"]["allocateLoadBalancerNodePorts"], true);
        assert_eq!(service["spec"]["sessionAffinityConfig"], json!({"clientIP": {"timeoutSeconds": 10800}}));
        let service = defaulted("", "v1", "Service", json!({"spec": {"type": "ExternalName"}}));
        assert_eq!(service["spec"], json!({"type": "ExternalName", "sessionAffinity": "None"}));
    }

    #[test]
    fn subjects_and_roles_get_their_group() {
        let binding = defaulted(
            "rbac.authorization.k8s.io",
            "v1",
            "RoleBinding",
            json!({"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s"}]}),
        );
        assert_eq!(binding["roleRef"]["apiGroup"], "rbac.authorization.k8s.io");
        assert_eq!(binding["subjects"][0]["apiGroup"], "rbac.authorization.k8s.io");
        assert_eq!(binding["subjects"][1].get("apiGroup"), None);
    }

    #[test]
    fn autoscaler_behaviour_is_filled_in_depth_once_it_is_given() {
        let hpa = defaulted(
            "autoscaling",
            "v2",
            "HorizontalPodAutoscaler",
            json!({"spec": {"behavior": {"scaleUp": {"selectPolicy": "Min"}}}}),
        );
        let up = &hpa["spec"]["behavior"]["scaleUp"];
        assert_eq!((&up["selectPolicy"], &up["policies"][0]["value"]), (&json!("Min"), &json!(4)));
        assert_eq!(hpa["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 80);
        let hpa = defaulted("autoscaling", "v2", "HorizontalPodAutoscaler", json!({"spec": {}}));
        assert_eq!(hpa["spec"].get("behavior"), None);
    }
}
