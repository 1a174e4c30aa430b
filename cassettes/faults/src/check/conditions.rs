//! Conditions of a rule: can a request exist that meets them, and that the faults make sense for.

use super::faults::Used;
use super::objects;
use crate::action::Stage;
use crate::catalog::{Protocols, Traffic};
use crate::error::{Complaint, Path, ProblemKind};
use crate::event::EventPattern;
use crate::facts::{EventType, Protocol, qualified};
use crate::kinds;
use crate::matcher::{GET, READ_VERBS, VERBS, VerbSet, WATCH, WRITE_VERBS, When, split_resource, verb_index};
use crate::plan::{Plan, Rule};
use crate::schedule::Trigger;
use crate::words::nearest;

/// The verbs that both the rule and its faults are about.
pub(super) fn check(plan: &Plan, rule: &Rule, used: &Used, path: &Path, complaints: &mut Vec<Complaint>) -> VerbSet {
    let when = path.key("when");
    lanes(plan, rule, &when, complaints);
    resources(&rule.when, &when, complaints);
    subresources(&rule.when, &when, complaints);
    moments(rule, used, &when, complaints);
    protocols(&rule.when, used, &when, complaints);
    objects::check(&rule.when.object, &when, complaints);
    if let Some(Trigger::Event(pattern)) = &rule.schedule.trigger {
        event(pattern, &when.key("after").key("event"), complaints);
    }
    verbs(rule, used, &when, complaints)
}

/// An event that a rule or a state waits for.
pub(super) fn event(pattern: &EventPattern, path: &Path, complaints: &mut Vec<Complaint>) {
    if !pattern.resource.is_empty() {
        resource(&pattern.resource, &path.key("resource"), complaints);
    }
    objects::check(&pattern.object, path, complaints);
    let bare = matches!(pattern.event, Some(EventType::Bookmark | EventType::Error));
    if bare && (!pattern.name.is_empty() || !pattern.namespace.is_empty() || !pattern.object.is_empty()) {
        let message = "BOOKMARK and ERROR tell of no object";
        let complaint = Complaint::new(ProblemKind::Impossible, path.key("type"), message);
        complaints.push(complaint.suggest(Some("leave name, namespace and conditions on the object out")));
    }
}

fn did_you_mean(word: Option<impl std::fmt::Display>) -> Option<String> {
    word.map(|word| format!("did you mean `{word}`?"))
}

fn lanes(plan: &Plan, rule: &Rule, when: &Path, complaints: &mut Vec<Complaint>) {
    if plan.lanes.is_empty() {
        return;
    }
    for lane in rule.when.lane.iter().filter(|lane| !plan.lanes.contains_key(*lane)) {
        let meant = did_you_mean(nearest(lane, plan.lanes.keys().map(String::as_str)));
        let message = format!("there is no lane `{lane}` in `lanes`");
        complaints.push(Complaint::new(ProblemKind::Unknown, when.key("lane"), message).suggest(meant));
    }
}

fn resources(conditions: &When, when: &Path, complaints: &mut Vec<Complaint>) {
    let path = when.key("resource");
    for text in conditions.resource.iter().filter(|text| *text != "*") {
        let (_, group) = split_resource(text);
        if !resource(text, &path, complaints) {
            continue;
        }
        if let Some(group) = group.as_ref().filter(|g| !conditions.group.is_empty() && !conditions.group.contains(g)) {
            let message = format!("`{text}` is in group `{group}`, which `group` excludes");
            complaints.push(Complaint::new(ProblemKind::Impossible, when.key("group"), message));
        }
    }
    let cluster_scoped = |text: &String| {
        let (name, group) = split_resource(text);
        // The requests for a namespace itself carry its name as their namespace.
        let mut kinds = kinds::named(&name).filter(|k| group.as_deref().is_none_or(|g| g == k.group)).peekable();
        name != "namespaces" && kinds.peek().is_some() && kinds.all(|kind| !kind.namespaced)
    };
    let named = !conditions.resource.is_empty() && conditions.namespace.iter().any(|n| n != "*" && !n.is_empty());
    if named && conditions.resource.iter().all(cluster_scoped) {
        let message = format!("`{}` has no namespaces", conditions.resource.join("`, `"));
        complaints.push(Complaint::new(ProblemKind::Impossible, when.key("namespace"), message));
    }
}

/// Whether a resource exists, or may exist as a custom one.
fn resource(text: &str, path: &Path, complaints: &mut Vec<Complaint>) -> bool {
    let (name, group) = split_resource(text);
    let known: Vec<_> = kinds::named(&name).collect();
    let exists = match &group {
        Some(group) if kinds::is_builtin_group(group) => known.iter().any(|kind| kind.group == *group),
        Some(_) => is_plural(&name),
        None => !known.is_empty(),
    };
    if exists {
        return true;
    }
    let meant = match known.first() {
        Some(kind) => Some(qualified(kind.resource, kind.group)),
        None => kinds::suggest(text),
    };
    let hint = did_you_mean(meant).unwrap_or_else(|| "a custom resource is written `plural.group`".to_owned());
    let message = format!("there is no resource `{text}`");
    complaints.push(Complaint::new(ProblemKind::Impossible, path.clone(), message).suggest(Some(hint)));
    false
}

fn is_plural(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

fn subresources(conditions: &When, when: &Path, complaints: &mut Vec<Complaint>) {
    for text in
        conditions.subresource.iter().filter(|text| !text.is_empty() && !kinds::SUBRESOURCES.contains(&text.as_str()))
    {
        let meant = did_you_mean(nearest(text, kinds::SUBRESOURCES));
        let message = format!("there is no subresource `{text}`");
        complaints.push(Complaint::new(ProblemKind::Impossible, when.key("subresource"), message).suggest(meant));
    }
}

/// A connection has no request yet, and only frames have an event type.
fn moments(rule: &Rule, used: &Used, when: &Path, complaints: &mut Vec<Complaint>) {
    let conditions = &rule.when;
    let mut say = |key: &str, message: String, hint: &str| {
        complaints.push(Complaint::new(ProblemKind::Impossible, when.key(key), message).suggest(Some(hint.to_owned())));
    };
    if used.stage != Stage::Frame && !conditions.event.is_empty() {
        say("type", "`type` is about single watch frames".to_owned(), "add `at: frame`");
    }
    if used.stage != Stage::Connection {
        return;
    }
    let lists = [
        ("verb", &conditions.verb),
        ("resource", &conditions.resource),
        ("group", &conditions.group),
        ("version", &conditions.version),
        ("subresource", &conditions.subresource),
        ("namespace", &conditions.namespace),
        ("name", &conditions.name),
        ("userAgent", &conditions.user_agent),
        ("method", &conditions.method),
        ("path", &conditions.path),
    ];
    let given = lists.iter().filter(|(_, list)| !list.is_empty()).map(|(key, _)| *key);
    let given = given.chain(conditions.object.given());
    let numbers = [
        ("header", !conditions.header.is_empty()),
        ("dryRun", conditions.dry_run.is_some()),
        ("stream", conditions.stream.is_some()),
        ("protocol", conditions.protocol.is_some()),
    ];
    let given: Vec<_> = given.chain(numbers.iter().filter(|(_, given)| *given).map(|(key, _)| *key)).collect();
    for key in given {
        let message =
            format!("the fault happens before anything is read from a connection, so there is no `{key}` yet");
        say(key, message, "a connection is told by `lane` and `connection`");
    }
}

fn protocols(conditions: &When, used: &Used, when: &Path, complaints: &mut Vec<Complaint>) {
    let Some((protocol, row)) = conditions.protocol.zip(used.bound()) else { return };
    let fits = match row.protocols {
        Protocols::Http1 => protocol == Protocol::Http1,
        Protocols::Http2 => protocol == Protocol::Http2,
        Protocols::Any => true,
    };
    if !fits {
        let message = format!("`{}` exists on {} only", row.name, row.protocols);
        complaints.push(Complaint::new(ProblemKind::Impossible, when.key("protocol"), message));
    }
}

fn verbs(rule: &Rule, used: &Used, when: &Path, complaints: &mut Vec<Complaint>) -> VerbSet {
    let conditions = &rule.when;
    let mut asked: VerbSet = 0;
    for verb in &conditions.verb {
        match verb.as_str() {
            "*" => asked = VerbSet::MAX,
            known if VERBS.contains(&known) => asked |= 1 << verb_index(known),
            other => {
                let message = format!("there is no verb `{other}`");
                let meant = did_you_mean(nearest(other, VERBS));
                complaints.push(Complaint::new(ProblemKind::Impossible, when.key("verb"), message).suggest(meant));
                // One complaint a slip: the rest is judged as if any verb were meant.
                asked = VerbSet::MAX;
            }
        }
    }
    let asked = if conditions.verb.is_empty() { VerbSet::MAX } else { asked };
    let possible = if used.rows.is_empty() { VerbSet::MAX } else { verbs_of(used.on(), conditions) };
    let frames = if used.stage == Stage::Frame { WATCH } else { VerbSet::MAX };
    let verbs = asked & possible & frames;
    if verbs == 0 {
        complaints.push(no_verb(rule, used, possible, when));
    }
    if conditions.verb.iter().all(|verb| verb == "deletecollection")
        && !conditions.verb.is_empty()
        && !conditions.name.is_empty()
    {
        let message = "deletecollection names no object";
        complaints.push(Complaint::new(ProblemKind::Impossible, when.key("name"), message));
    }
    verbs
}

fn no_verb(rule: &Rule, used: &Used, possible: VerbSet, when: &Path) -> Complaint {
    let names: Vec<_> = used.rows.iter().map(|row| format!("`{}`", row.name)).collect();
    let names = names.join(" with ");
    if possible == 0 {
        let message = format!("{names} makes sense for no request at all");
        return Complaint::new(ProblemKind::Contradiction, when.key("verb"), message);
    }
    let asked = if rule.when.verb.is_empty() { "any".to_owned() } else { rule.when.verb.join(", ") };
    if used.stage == Stage::Frame {
        let message = format!("only a watch has frames; the rule is about {asked}");
        return Complaint::new(ProblemKind::Impossible, when.key("verb"), message);
    }
    let message = format!("{names} acts on {}; the rule is about {asked}", used.on());
    Complaint::new(ProblemKind::Impossible, when.key("verb"), message)
}

fn verbs_of(on: Traffic, conditions: &When) -> VerbSet {
    let logs = conditions.subresource.iter().any(|s| s == "log");
    let parts = [(on.reads, READ_VERBS), (on.writes, WRITE_VERBS), (on.streams, WATCH), (on.streams && logs, GET)];
    parts.iter().filter(|(has, _)| *has).fold(0, |all, (_, verbs)| all | verbs)
}
