//! From a plan to the nodes of a plan file. The reverse of reading, field by field; defaults are left out.

use std::collections::BTreeMap;

use crate::event::EventPattern;
use crate::object::ObjectConditions;
use crate::plan::{Byzantine, Fault, Lane, Plan, Rule};
use crate::scenario::{Advance, Scenario, State};
use crate::schedule::{Schedule, Trigger, Window};
use crate::units::duration_text;
use crate::yaml::Node;

/// A map under construction that leaves out what is not given.
#[derive(Default)]
struct Members(Vec<(String, Node)>);

impl Members {
    fn put(mut self, key: &str, value: Option<Node>) -> Self {
        self.0.extend(value.map(|value| (key.to_owned(), value)));
        self
    }

    fn text(self, key: &str, value: Option<impl ToString>) -> Self {
        self.put(key, value.map(|value| Node::text(value.to_string())))
    }

    fn texts<T: ToString>(self, key: &str, values: &[T]) -> Self {
        let node = |value: &T| Node::text(value.to_string());
        let value = match values {
            [] => None,
            [one] => Some(node(one)),
            many => Some(Node::List(many.iter().map(node).collect())),
        };
        self.put(key, value)
    }

    fn map(self, key: &str, values: &BTreeMap<String, String>) -> Self {
        self.put(key, (!values.is_empty()).then(|| map(values)))
    }

    fn object(self, object: &ObjectConditions) -> Self {
        self.map("labels", &object.labels)
            .texts("labelSelector", &object.label_selector)
            .texts("fieldSelector", &object.field_selector)
            .map("object", &object.members)
            .texts("filter", &object.filter)
    }

    fn done(self) -> Option<Node> {
        (!self.0.is_empty()).then_some(Node::Map(self.0))
    }
}

fn map(values: &BTreeMap<String, String>) -> Node {
    Node::Map(values.iter().map(|(key, value)| (key.clone(), Node::text(value))).collect())
}

pub(crate) fn plan(plan: &Plan) -> Node {
    let lanes = plan.lanes.iter().map(|(name, lane)| (name.clone(), self::lane(lane))).collect::<Vec<_>>();
    let members = Members::default()
        .text("seed", Some(plan.seed))
        .text("byzantine", (plan.byzantine == Byzantine::Allowed).then_some("allowed"))
        .put("lanes", (!lanes.is_empty()).then_some(Node::Map(lanes)))
        .put("rules", Some(Node::List(plan.rules.iter().map(rule).collect())))
        .put("scenarios", (!plan.scenarios.is_empty()).then(|| scenarios(&plan.scenarios)));
    Node::Map(members.0)
}

fn scenarios(scenarios: &BTreeMap<String, Scenario>) -> Node {
    let scenario = |scenario: &Scenario| {
        let states = Node::List(scenario.states.iter().map(state).collect());
        match scenario.repeat {
            false => states,
            true => Node::Map(vec![("states".to_owned(), states), ("repeat".to_owned(), Node::text("true"))]),
        }
    };
    Node::Map(scenarios.iter().map(|(name, one)| (name.clone(), scenario(one))).collect())
}

fn state(state: &State) -> Node {
    let Advance { mark, count, event, after } = &state.on;
    let on = Members::default()
        .text("mark", mark.as_ref())
        .text("count", *count)
        .put("event", event.as_ref().map(self::event))
        .text("after", after.map(duration_text));
    match (on.done(), state.rules.as_slice()) {
        (None, [rules]) => Node::text(rules),
        (on, rules) => Node::Map(Members::default().texts("rules", rules).put("on", on).0),
    }
}

fn event(event: &EventPattern) -> Node {
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    let members = Members::default()
        .text("type", event.event)
        .text("resource", some(&event.resource))
        .text("namespace", some(&event.namespace))
        .text("name", some(&event.name));
    Node::Map(members.object(&event.object).0)
}

fn lane(lane: &Lane) -> Node {
    Node::Map(Members::default().text("auth", lane.auth.as_ref()).text("userAgent", lane.user_agent.as_ref()).0)
}

fn rule(rule: &Rule) -> Node {
    let members = Members::default()
        .text("id", Some(&rule.id))
        .text("set", rule.set.as_ref())
        .put("when", when(rule))
        .text("at", rule.at)
        .put("do", Some(faults(&rule.faults)))
        .text("count", rule.count)
        .text("cooldown", rule.cooldown.map(duration_text))
        .text("then", rule.then);
    Node::Map(members.0)
}

fn when(rule: &Rule) -> Option<Node> {
    let (when, schedule) = (&rule.when, &rule.schedule);
    Members::default()
        .texts("verb", &when.verb)
        .texts("resource", &when.resource)
        .texts("group", &when.group)
        .texts("version", &when.version)
        .texts("subresource", &when.subresource)
        .texts("namespace", &when.namespace)
        .texts("name", &when.name)
        .texts("lane", &when.lane)
        .texts("userAgent", &when.user_agent)
        .texts("method", &when.method)
        .texts("path", &when.path)
        .map("header", &when.header)
        .object(&when.object)
        .text("protocol", when.protocol)
        .text("dryRun", when.dry_run)
        .text("connection", when.connection)
        .text("stream", when.stream)
        .texts("type", &when.event)
        .text("nth", schedule.nth)
        .text("every", schedule.every)
        .text("first", schedule.first)
        .put("after", after(schedule))
        .put("between", schedule.window.as_ref().map(window))
        .text("p", schedule.probability)
        .text("per", schedule.per)
        .done()
}

fn after(schedule: &Schedule) -> Option<Node> {
    let members = Members::default().text("occurrences", schedule.skip);
    match (&schedule.trigger, schedule.skip) {
        (None, skip) => skip.map(|n| Node::text(n.to_string())),
        (Some(Trigger::Rule(id)), _) => members.text("rule", Some(id)).done(),
        (Some(Trigger::Mark(name)), _) => members.text("mark", Some(name)).done(),
        (Some(Trigger::Event(event)), _) => members.put("event", Some(self::event(event))).done(),
        (Some(Trigger::Idle(wait)), _) => members.text("idle", Some(duration_text(*wait))).done(),
    }
}

fn window(window: &Window) -> Node {
    let members = Members::default()
        .text("from", window.from.map(duration_text))
        .text("until", window.until.map(duration_text))
        .text("mark", window.mark.as_ref())
        .text("untilMark", window.until_mark.as_ref())
        .text("for", window.lasts.map(duration_text));
    Node::Map(members.0)
}

fn faults(faults: &[Fault]) -> Node {
    match faults {
        [one] => fault(one),
        many => Node::List(many.iter().map(fault).collect()),
    }
}

fn fault(fault: &Fault) -> Node {
    if fault.knobs.is_empty() {
        Node::text(&fault.name)
    } else {
        Node::Map(vec![(fault.name.clone(), map(&fault.knobs))])
    }
}
