//! Scenarios, and the events and objects that they and rules wait for.

use super::{Fields, Reader};
use crate::error::{Path, ProblemKind};
use crate::event::EventPattern;
use crate::object::ObjectConditions;
use crate::plan::Plan;
use crate::scenario::{Advance, Scenario, State};
use crate::yaml::Node;

const SCENARIO: [&str; 2] = ["states", "repeat"];
const STATE: [&str; 2] = ["rules", "on"];
const ON: [&str; 4] = ["mark", "count", "event", "after"];
const EVENT: [&str; 10] =
    ["type", "key", "resource", "namespace", "name", "labels", "labelSelector", "fieldSelector", "object", "filter"];

impl Reader {
    pub(super) fn scenarios(&mut self, found: Option<(&Node, Path)>, plan: Plan) -> Plan {
        let Some((node, path)) = found else { return plan };
        let Node::Map(members) = node else {
            self.say(ProblemKind::Syntax, path, format!("scenarios are a map, not {}", node.shape()));
            return plan;
        };
        members.iter().fold(plan, |plan, (name, node)| {
            let scenario = self.scenario(node, path.key(name));
            plan.scenario(name, scenario)
        })
    }

    /// A list of states, or a map that holds one.
    fn scenario(&mut self, node: &Node, path: Path) -> Scenario {
        if let Node::List(states) = node {
            return Scenario { states: self.states(states, &path), repeat: false };
        }
        let fields = self.fields(node, path, &SCENARIO, "a scenario");
        let states = match fields.get("states") {
            Some((Node::List(states), path)) => self.states(states, &path),
            Some((other, path)) => {
                self.say(ProblemKind::Syntax, path, format!("states are a list, not {}", other.shape()));
                Vec::new()
            }
            None => Vec::new(),
        };
        Scenario { states, repeat: self.number(fields.get("repeat"), "true or false").unwrap_or(false) }
    }

    fn states(&mut self, nodes: &[Node], path: &Path) -> Vec<State> {
        nodes.iter().enumerate().map(|(index, node)| self.state(node, path.index(index))).collect()
    }

    /// The name of a rule set, or a map.
    fn state(&mut self, node: &Node, path: Path) -> State {
        if let Node::Scalar(rules) = node {
            return State::of(rules);
        }
        let fields = self.fields(node, path, &STATE, "a state");
        State { rules: self.texts(fields.get("rules")), on: self.advance(fields.get("on")) }
    }

    fn advance(&mut self, found: Option<(&Node, Path)>) -> Advance {
        let Some((node, path)) = found else { return Advance::default() };
        let fields = self.fields(node, path.clone(), &ON, "`on`");
        let on = Advance {
            mark: self.text(fields.get("mark")),
            count: self.count(fields.get("count")),
            event: fields.get("event").map(|(node, path)| self.event(node, &path)),
            after: self.duration(fields.get("after")),
        };
        if matches!(node, Node::Map(members) if members.is_empty()) {
            self.say(ProblemKind::Value, path, "`on` says what ends the state: a mark, count, event or after");
        }
        on
    }

    pub(super) fn event(&mut self, node: &Node, path: &Path) -> EventPattern {
        let fields = self.fields(node, path.clone(), &EVENT, "`event`");
        let mut event = EventPattern {
            resource: self.text(fields.get("resource")).unwrap_or_default(),
            namespace: self.text(fields.get("namespace")).unwrap_or_default(),
            name: self.text(fields.get("name")).unwrap_or_default(),
            event: self.word(fields.get("type")),
            object: self.object(&fields),
        };
        if let Some((key, path)) = self.scalar(fields.get("key")) {
            let said = ["resource", "namespace", "name"].into_iter().find(|field| fields.get(field).is_some());
            match (said, key.split('/').collect::<Vec<_>>().as_slice()) {
                (Some(field), _) => {
                    let message = format!("`key` says resource, namespace and name already; leave `{field}` out");
                    self.say(ProblemKind::Contradiction, path, message);
                }
                (None, [resource, namespace, name]) => {
                    event = event.resource(*resource).namespace(*namespace).name(*name);
                }
                (None, [resource, name]) => event = event.resource(*resource).name(*name),
                (None, _) => {
                    let message = format!("`{key}` is no key; write `resource/namespace/name` or `resource/name`");
                    self.say(ProblemKind::Value, path, message);
                }
            }
        }
        event
    }

    /// The conditions on an object, wherever they may stand.
    pub(super) fn object(&mut self, fields: &Fields<'_>) -> ObjectConditions {
        ObjectConditions {
            labels: self.map(fields.get("labels"), "`labels`"),
            label_selector: self.texts(fields.get("labelSelector")),
            field_selector: self.texts(fields.get("fieldSelector")),
            members: self.map(fields.get("object"), "`object`"),
            filter: self.texts(fields.get("filter")),
        }
    }
}
