//! From the nodes of a plan file to a plan. Complains about unknown fields and wrong shapes, not about sense.

mod scenarios;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::action::Stage;
use crate::catalog;
use crate::error::{Complaint, Path, ProblemKind};
use crate::matcher::When;
use crate::plan::{Byzantine, Fault, Lane, Plan, Rule};
use crate::schedule::{Schedule, Trigger, Window};
use crate::units::parse_duration;
use crate::words::{Word, nearest};
use crate::yaml::Node;

const PLAN: [&str; 5] = ["seed", "byzantine", "lanes", "rules", "scenarios"];
const RULE: [&str; 8] = ["id", "set", "when", "at", "do", "count", "cooldown", "then"];
const WHEN: [&str; 29] = [
    "verb",
    "resource",
    "group",
    "version",
    "subresource",
    "namespace",
    "name",
    "lane",
    "userAgent",
    "method",
    "path",
    "header",
    "labels",
    "labelSelector",
    "fieldSelector",
    "object",
    "filter",
    "protocol",
    "dryRun",
    "connection",
    "stream",
    "type",
    "nth",
    "every",
    "first",
    "after",
    "between",
    "p",
    "per",
];
const AFTER: [&str; 5] = ["occurrences", "rule", "mark", "event", "idle"];
const BETWEEN: [&str; 5] = ["from", "until", "mark", "untilMark", "for"];

/// The plan as far as it could be read, and everything that could not.
pub(crate) fn plan(node: &Node) -> (Plan, Vec<Complaint>) {
    let mut reader = Reader::default();
    let plan = reader.plan(node);
    (plan, reader.complaints)
}

#[derive(Default)]
struct Reader {
    complaints: Vec<Complaint>,
}

/// A map of known fields.
struct Fields<'n> {
    members: &'n [(String, Node)],
    path: Path,
}

impl<'n> Fields<'n> {
    /// The value and path of a field; a field without a value counts as not given.
    fn get(&self, key: &str) -> Option<(&'n Node, Path)> {
        let (_, node) = self.members.iter().find(|(name, _)| name == key)?;
        (*node != Node::Null).then(|| (node, self.path.key(key)))
    }
}

impl Reader {
    fn say(&mut self, kind: ProblemKind, path: Path, message: impl Into<String>) {
        self.complaints.push(Complaint::new(kind, path, message));
    }

    fn fields<'n>(&mut self, node: &'n Node, path: Path, known: &[&str], what: &str) -> Fields<'n> {
        let members = match node {
            Node::Map(members) => members.as_slice(),
            Node::Null => &[],
            other => {
                let message = format!("{what} is a map, not {}", other.shape());
                self.say(ProblemKind::Syntax, path.clone(), message);
                &[]
            }
        };
        for (key, _) in members.iter().filter(|(key, _)| !known.contains(&key.as_str())) {
            let meant = nearest(key, known.iter().copied()).map(|word| format!("did you mean `{word}`?"));
            let hint = meant.unwrap_or_else(|| format!("known are {}", known.join(", ")));
            let message = format!("{what} has no field `{key}`");
            self.complaints.push(Complaint::new(ProblemKind::Unknown, path.key(key), message).suggest(Some(hint)));
        }
        Fields { members, path }
    }

    fn scalar<'n>(&mut self, found: Option<(&'n Node, Path)>) -> Option<(&'n str, Path)> {
        let (node, path) = found?;
        match node {
            Node::Scalar(text) => Some((text, path)),
            other => {
                let message = format!("this is one value, not {}", other.shape());
                self.say(ProblemKind::Syntax, path, message);
                None
            }
        }
    }

    fn text(&mut self, found: Option<(&Node, Path)>) -> Option<String> {
        self.scalar(found).map(|(text, _)| text.to_owned())
    }

    fn number<T: std::str::FromStr>(&mut self, found: Option<(&Node, Path)>, what: &str) -> Option<T> {
        let (text, path) = self.scalar(found)?;
        let number = text.parse().ok();
        if number.is_none() {
            self.say(ProblemKind::Value, path, format!("`{text}` is not {what}"));
        }
        number
    }

    fn count(&mut self, found: Option<(&Node, Path)>) -> Option<u64> {
        self.number(found, "a whole number")
    }

    fn duration(&mut self, found: Option<(&Node, Path)>) -> Option<Duration> {
        let (text, path) = self.scalar(found)?;
        parse_duration(text).map_err(|message| self.say(ProblemKind::Value, path, message)).ok()
    }

    fn word<W: Word>(&mut self, found: Option<(&Node, Path)>) -> Option<W> {
        let (text, path) = self.scalar(found)?;
        let word = W::from_word(text);
        if word.is_none() {
            let meant = nearest(text, W::WORDS.iter().copied()).map(|word| format!("did you mean `{word}`?"));
            let message = format!("`{text}` is none of {}", W::WORDS.join(", "));
            self.complaints.push(Complaint::new(ProblemKind::Value, path, message).suggest(meant));
        }
        word
    }

    /// One value, or a list of them.
    fn texts(&mut self, found: Option<(&Node, Path)>) -> Vec<String> {
        let Some((node, path)) = found else { return Vec::new() };
        match node {
            Node::List(items) => {
                if items.is_empty() {
                    self.say(
                        ProblemKind::NeverFires,
                        path.clone(),
                        "an empty list matches nothing; leave the field out",
                    );
                }
                let items = items.iter().enumerate();
                items.filter_map(|(index, item)| self.text(Some((item, path.index(index))))).collect()
            }
            _ => self.text(Some((node, path))).into_iter().collect(),
        }
    }

    fn words<W: Word>(&mut self, found: Option<(&Node, Path)>) -> Vec<W> {
        match found {
            Some((Node::List(items), path)) => items
                .iter()
                .enumerate()
                .filter_map(|(index, item)| self.word(Some((item, path.index(index)))))
                .collect(),
            one => self.word(one).into_iter().collect(),
        }
    }

    fn map(&mut self, found: Option<(&Node, Path)>, what: &str) -> BTreeMap<String, String> {
        let Some((node, path)) = found else { return BTreeMap::new() };
        let Node::Map(members) = node else {
            self.say(ProblemKind::Syntax, path, format!("{what} is a map, not {}", node.shape()));
            return BTreeMap::new();
        };
        let pair = |(key, value): &(String, Node)| Some((key.clone(), self.text(Some((value, path.key(key))))?));
        members.iter().filter_map(pair).collect()
    }

    fn plan(&mut self, node: &Node) -> Plan {
        let fields = self.fields(node, Path::default(), &PLAN, "a plan");
        let mut plan = Plan::seed(self.count(fields.get("seed")).unwrap_or(0));
        if let Some((text, path)) = self.scalar(fields.get("byzantine")) {
            match text {
                "allowed" => plan = plan.byzantine(Byzantine::Allowed),
                "refused" => {}
                _ => self.say(ProblemKind::Value, path, format!("`{text}` is none of allowed, refused")),
            }
        }
        if let Some((node, path)) = fields.get("lanes") {
            match node {
                Node::Map(members) => {
                    for (name, node) in members {
                        plan = plan.lane(name, self.lane(node, path.key(name)));
                    }
                }
                other => self.say(ProblemKind::Syntax, path, format!("lanes are a map, not {}", other.shape())),
            }
        }
        let plan = self.rules(fields.get("rules"), plan);
        self.scenarios(fields.get("scenarios"), plan)
    }

    fn rules(&mut self, found: Option<(&Node, Path)>, mut plan: Plan) -> Plan {
        match found {
            Some((Node::List(items), path)) if !items.is_empty() => {
                for (index, item) in items.iter().enumerate() {
                    plan = plan.rule(self.rule(item, path.index(index)));
                }
            }
            Some((Node::List(_), path)) => self.say(ProblemKind::NeverFires, path, "the plan has no rules"),
            Some((other, path)) => {
                self.say(ProblemKind::Syntax, path, format!("rules are a list, not {}", other.shape()));
            }
            None => self.say(ProblemKind::NeverFires, Path::default(), "the plan has no rules"),
        }
        plan
    }

    fn lane(&mut self, node: &Node, path: Path) -> Lane {
        let fields = self.fields(node, path, &["auth", "userAgent"], "a lane");
        Lane { auth: self.text(fields.get("auth")), user_agent: self.text(fields.get("userAgent")) }
    }

    fn rule(&mut self, node: &Node, path: Path) -> Rule {
        let fields = self.fields(node, path, &RULE, "a rule");
        let when = fields.get("when").map(|(node, path)| self.fields(node, path, &WHEN, "`when`"));
        let (conditions, schedule) =
            when.map_or_else(Default::default, |when| (self.when(&when), self.schedule(&when)));
        Rule {
            id: self.text(fields.get("id")).unwrap_or_default(),
            set: self.text(fields.get("set")),
            when: conditions,
            schedule,
            at: self.word::<Stage>(fields.get("at")),
            faults: fields.get("do").map(|(node, path)| self.faults(node, &path)).unwrap_or_default(),
            count: self.count(fields.get("count")),
            cooldown: self.duration(fields.get("cooldown")),
            then: self.word(fields.get("then")),
        }
    }

    fn when(&mut self, fields: &Fields<'_>) -> When {
        When {
            verb: self.texts(fields.get("verb")),
            resource: self.texts(fields.get("resource")),
            group: self.texts(fields.get("group")),
            version: self.texts(fields.get("version")),
            subresource: self.texts(fields.get("subresource")),
            namespace: self.texts(fields.get("namespace")),
            name: self.texts(fields.get("name")),
            lane: self.texts(fields.get("lane")),
            user_agent: self.texts(fields.get("userAgent")),
            method: self.texts(fields.get("method")),
            path: self.texts(fields.get("path")),
            header: self.map(fields.get("header"), "`header`"),
            object: self.object(fields),
            protocol: self.word(fields.get("protocol")),
            dry_run: self.number(fields.get("dryRun"), "true or false"),
            connection: self.count(fields.get("connection")),
            stream: self.count(fields.get("stream")),
            event: self.words(fields.get("type")),
        }
    }

    fn schedule(&mut self, fields: &Fields<'_>) -> Schedule {
        let (skip, trigger) = self.after(fields.get("after"));
        Schedule {
            nth: self.count(fields.get("nth")),
            every: self.count(fields.get("every")),
            first: self.count(fields.get("first")),
            skip,
            trigger,
            window: fields.get("between").map(|(node, path)| self.window(node, path)),
            probability: self.number(fields.get("p"), "a probability"),
            per: self.word(fields.get("per")),
        }
    }

    /// A number of occurrences, or a map that names what to wait for.
    fn after(&mut self, found: Option<(&Node, Path)>) -> (Option<u64>, Option<Trigger>) {
        let Some((node, path)) = found else { return (None, None) };
        if let Node::Scalar(_) = node {
            return (self.count(Some((node, path))), None);
        }
        let fields = self.fields(node, path.clone(), &AFTER, "`after`");
        let triggers = [
            self.text(fields.get("rule")).map(Trigger::Rule),
            self.text(fields.get("mark")).map(Trigger::Mark),
            fields.get("event").map(|(node, path)| Trigger::Event(self.event(node, &path))),
            self.duration(fields.get("idle")).map(Trigger::Idle),
        ];
        let mut triggers = triggers.into_iter().flatten();
        let trigger = triggers.next();
        if triggers.next().is_some() {
            self.say(
                ProblemKind::Contradiction,
                path,
                "`after` waits for one thing: a rule, a mark, an event or idleness",
            );
        }
        (self.count(fields.get("occurrences")), trigger)
    }

    fn window(&mut self, node: &Node, path: Path) -> Window {
        let fields = self.fields(node, path, &BETWEEN, "`between`");
        Window {
            from: self.duration(fields.get("from")),
            until: self.duration(fields.get("until")),
            mark: self.text(fields.get("mark")),
            until_mark: self.text(fields.get("untilMark")),
            lasts: self.duration(fields.get("for")),
        }
    }

    /// A name, a map from names to knobs, or a list of such. A map with `status` is one written-out answer.
    fn faults(&mut self, node: &Node, path: &Path) -> Vec<Fault> {
        match node {
            Node::Null => Vec::new(),
            Node::Scalar(name) => vec![Fault::new(name)],
            Node::List(items) => {
                items.iter().enumerate().flat_map(|(index, item)| self.faults(item, &path.index(index))).collect()
            }
            Node::Map(members) if members.iter().any(|(key, _)| key == "status") => {
                vec![Fault { name: "respond".to_owned(), knobs: self.knobs(members, path) }]
            }
            Node::Map(members) => members.iter().map(|(name, node)| self.fault(name, node, &path.key(name))).collect(),
        }
    }

    fn fault(&mut self, name: &str, node: &Node, path: &Path) -> Fault {
        match node {
            Node::Null => Fault::new(name),
            Node::Map(members) => Fault { name: name.to_owned(), knobs: self.knobs(members, path) },
            Node::Scalar(text) => match catalog::find(name).map(|row| row.knobs.first()) {
                Some(Some(first)) => Fault::new(name).knob(first.name, text.as_str()),
                Some(None) => {
                    self.say(ProblemKind::Value, path.clone(), format!("`{name}` has no knobs, so it takes no value"));
                    Fault::new(name)
                }
                // The check says that there is no such fault.
                None => Fault::new(name),
            },
            Node::List(_) => {
                self.say(ProblemKind::Syntax, path.clone(), "knobs are a map, not a list");
                Fault::new(name)
            }
        }
    }

    fn knobs(&mut self, members: &[(String, Node)], path: &Path) -> BTreeMap<String, String> {
        let mut knobs = BTreeMap::new();
        for (name, node) in members {
            let text = match node {
                // Headers read best as a map; as a knob they are lines.
                Node::Map(lines) if name == "headers" => {
                    let lines = lines.iter().filter_map(|(key, value)| {
                        let value = self.text(Some((value, path.key(name).key(key))))?;
                        Some(format!("{key}: {value}"))
                    });
                    Some(lines.collect::<Vec<_>>().join("\n"))
                }
                Node::Null => Some(String::new()),
                _ => self.text(Some((node, path.key(name)))),
            };
            knobs.extend(text.map(|text| (name.clone(), text)));
        }
        knobs
    }
}
