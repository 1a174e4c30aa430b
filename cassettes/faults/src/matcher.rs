//! Which requests a rule is about: the conditions as a plan says them, and compiled for asking.
//!
//! Conditions of different kinds must all hold; of one kind, any of the listed values will do.

mod look;

use std::collections::BTreeMap;

pub(crate) use self::look::{Looks, Sight};

use crate::action::Stage;
use crate::facts::{EventType, Protocol, RequestFacts};
use crate::glob::Pattern;
use crate::object::{ObjectConditions, ObjectMatcher};

/// The Kubernetes verbs, and the methods of non-resource paths.
pub(crate) const VERBS: [&str; 12] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "head",
    "options",
    "post",
    "put",
];

/// A set of verbs; bit 15 is every verb that is not listed.
pub(crate) type VerbSet = u16;

pub(crate) const READ_VERBS: VerbSet = bits(&[0, 1, 8, 9]) | 1 << 15;
pub(crate) const WRITE_VERBS: VerbSet = bits(&[3, 4, 5, 6, 7, 10, 11]);
pub(crate) const WATCH: VerbSet = bits(&[2]);
pub(crate) const GET: VerbSet = bits(&[0]);

const fn bits(positions: &[usize]) -> VerbSet {
    let (mut set, mut i) = (0, 0);
    while i < positions.len() {
        set |= 1 << positions[i];
        i += 1;
    }
    set
}

pub(crate) fn verb_index(verb: &str) -> usize {
    VERBS.iter().position(|known| *known == verb).unwrap_or(15)
}

/// The conditions of a rule, as written. Empty ones hold for everything.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct When {
    pub(crate) verb: Vec<String>,
    pub(crate) resource: Vec<String>,
    pub(crate) group: Vec<String>,
    pub(crate) version: Vec<String>,
    pub(crate) subresource: Vec<String>,
    pub(crate) namespace: Vec<String>,
    pub(crate) name: Vec<String>,
    pub(crate) lane: Vec<String>,
    pub(crate) user_agent: Vec<String>,
    pub(crate) method: Vec<String>,
    pub(crate) path: Vec<String>,
    pub(crate) header: BTreeMap<String, String>,
    pub(crate) object: ObjectConditions,
    pub(crate) protocol: Option<Protocol>,
    pub(crate) dry_run: Option<bool>,
    pub(crate) connection: Option<u64>,
    pub(crate) stream: Option<u64>,
    pub(crate) event: Vec<EventType>,
}

/// What a rule is asked about.
pub(crate) struct Subject<'a> {
    pub(crate) moment: Moment,
    pub(crate) facts: RequestFacts<'a>,
    pub(crate) event: Option<EventType>,
    verb: usize,
    sight: Sight,
}

impl<'a> Subject<'a> {
    pub(crate) fn new(moment: Moment, facts: &RequestFacts<'a>, event: Option<EventType>) -> Self {
        Self { moment, facts: *facts, event, verb: verb_index(facts.verb), sight: Sight::new(facts) }
    }

    /// The position of the verb, as [`verb_index`] gives it.
    pub(crate) fn verb(&self) -> usize {
        self.verb
    }

    /// Whether a closer look at a rule is worth while.
    pub(crate) fn may_be_of(&self, looks: &Looks, rule: usize) -> bool {
        looks.admit(rule, &self.sight) && looks.admit_members(rule, &self.sight, &self.facts)
    }
}

/// The three occasions on which an engine is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Connection,
    Request,
    Frame,
}

impl From<Stage> for Moment {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::Connection => Self::Connection,
            Stage::Frame => Self::Frame,
            _ => Self::Request,
        }
    }
}

/// Compiled conditions.
#[derive(Debug)]
pub(crate) struct Matcher {
    pub(crate) verbs: VerbSet,
    /// Resource and, when it was given, group.
    pub(crate) resources: Vec<(String, Option<String>)>,
    exact: Vec<(Part, Vec<String>)>,
    globs: Vec<(Part, Vec<Pattern>)>,
    headers: Vec<(String, Pattern)>,
    object: ObjectMatcher,
    protocol: Option<Protocol>,
    dry_run: Option<bool>,
    connection: Option<u64>,
    stream: Option<u64>,
    event: Vec<EventType>,
}

/// A textual part of a request.
#[derive(Debug, Clone, Copy)]
enum Part {
    Group,
    Version,
    Subresource,
    Lane,
    Method,
    Namespace,
    Name,
    UserAgent,
    Path,
}

impl Part {
    fn of<'a>(self, facts: &RequestFacts<'a>) -> &'a str {
        match self {
            Self::Group => facts.group,
            Self::Version => facts.version,
            Self::Subresource => facts.subresource,
            Self::Lane => facts.lane,
            Self::Method => facts.method,
            Self::Namespace => facts.namespace,
            Self::Name => facts.name,
            Self::UserAgent => facts.user_agent,
            Self::Path => facts.path,
        }
    }

    fn field(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Version => "version",
            Self::Subresource => "subresource",
            Self::Lane => "lane",
            Self::Method => "method",
            Self::Namespace => "namespace",
            Self::Name => "name",
            Self::UserAgent => "userAgent",
            Self::Path => "path",
        }
    }
}

impl Matcher {
    /// Whether there are conditions on the object itself.
    pub(crate) fn looks_at_objects(&self) -> bool {
        !self.object.is_empty()
    }

    /// `verbs` are those that both the rule and its faults are about.
    pub(crate) fn new(when: &When, verbs: VerbSet) -> Self {
        let exact = [
            (Part::Group, &when.group),
            (Part::Version, &when.version),
            (Part::Subresource, &when.subresource),
            (Part::Lane, &when.lane),
            (Part::Method, &when.method),
        ];
        let globs = [
            (Part::Namespace, &when.namespace),
            (Part::Name, &when.name),
            (Part::UserAgent, &when.user_agent),
            (Part::Path, &when.path),
        ];
        let any_resource = when.resource.iter().any(|resource| resource == "*");
        let resources = when.resource.iter().map(|resource| split_resource(resource));
        Self {
            verbs,
            resources: if any_resource { Vec::new() } else { resources.collect() },
            exact: exact.into_iter().filter(|(_, v)| !v.is_empty()).map(|(part, v)| (part, v.clone())).collect(),
            globs: globs
                .into_iter()
                .filter(|(_, v)| !v.is_empty())
                .map(|(part, v)| (part, v.iter().map(|text| Pattern::new(text)).collect()))
                .collect(),
            headers: when.header.iter().map(|(k, v)| (k.to_ascii_lowercase(), Pattern::new(v))).collect(),
            object: ObjectMatcher::new(&when.object),
            protocol: when.protocol,
            dry_run: when.dry_run,
            connection: when.connection,
            stream: when.stream,
            event: when.event.clone(),
        }
    }

    /// The first field that does not match; `None` when all do. Cheap conditions come first.
    pub(crate) fn mismatch(&self, subject: &Subject<'_>) -> Option<&'static str> {
        let facts = &subject.facts;
        if subject.moment != Moment::Connection {
            if self.verbs & (1 << subject.verb) == 0 {
                return Some("verb");
            }
            if !self.resources.is_empty() && !self.resources.iter().any(|wanted| is_resource(wanted, facts)) {
                return Some("resource");
            }
        }
        self.texts(facts).or_else(|| self.numbers(subject)).or_else(|| self.inside(facts))
    }

    fn texts(&self, facts: &RequestFacts<'_>) -> Option<&'static str> {
        let exact = self.exact.iter().find(|(part, wanted)| !wanted.iter().any(|w| w == part.of(facts)));
        exact.map(|(part, _)| part.field()).or_else(|| {
            let glob = self.globs.iter().find(|(part, wanted)| !wanted.iter().any(|w| w.matches(part.of(facts))));
            glob.map(|(part, _)| part.field())
        })
    }

    fn numbers(&self, subject: &Subject<'_>) -> Option<&'static str> {
        let facts = &subject.facts;
        if self.protocol.is_some_and(|protocol| protocol != facts.protocol) {
            Some("protocol")
        } else if self.dry_run.is_some_and(|dry_run| dry_run != facts.dry_run) {
            Some("dryRun")
        } else if self.connection.is_some_and(|n| n != facts.connection) {
            Some("connection")
        } else if self.stream.is_some_and(|n| n != facts.stream) {
            Some("stream")
        } else if !self.event.is_empty() && !subject.event.is_some_and(|event| self.event.contains(&event)) {
            Some("type")
        } else {
            None
        }
    }

    fn inside(&self, facts: &RequestFacts<'_>) -> Option<&'static str> {
        let header = |(name, wanted): &(String, Pattern)| {
            facts.headers.iter().any(|(key, value)| key.eq_ignore_ascii_case(name) && wanted.matches(value))
        };
        if self.headers.iter().all(header) { self.object.mismatch(facts.object) } else { Some("header") }
    }
}

fn is_resource((resource, group): &(String, Option<String>), facts: &RequestFacts<'_>) -> bool {
    resource == facts.resource && group.as_ref().is_none_or(|group| group == facts.group)
}

/// `deployments.apps` is resource and group; `pods` is a resource in any group.
pub(crate) fn split_resource(text: &str) -> (String, Option<String>) {
    match text.split_once('.') {
        Some((resource, group)) => (resource.to_owned(), Some(group.to_owned())),
        None => (text.to_owned(), None),
    }
}

impl When {
    /// Whether everything that `other` can match is matched by this one too. May say no where the truth is yes.
    pub(crate) fn covers(&self, other: &When) -> bool {
        fn list(mine: &[String], theirs: &[String]) -> bool {
            let open = mine.is_empty() || mine.iter().any(|pattern| pattern == "*");
            open || (!theirs.is_empty() && theirs.iter().all(|one| mine.contains(one)))
        }
        fn map(mine: &BTreeMap<String, String>, theirs: &BTreeMap<String, String>) -> bool {
            mine.iter().all(|(key, value)| theirs.get(key) == Some(value))
        }
        fn one<T: PartialEq + Copy>(mine: Option<T>, theirs: Option<T>) -> bool {
            mine.is_none() || mine == theirs
        }
        let lists = [
            (&self.resource, &other.resource),
            (&self.group, &other.group),
            (&self.version, &other.version),
            (&self.subresource, &other.subresource),
            (&self.namespace, &other.namespace),
            (&self.name, &other.name),
            (&self.lane, &other.lane),
            (&self.user_agent, &other.user_agent),
            (&self.method, &other.method),
            (&self.path, &other.path),
        ];
        lists.into_iter().all(|(mine, theirs)| list(mine, theirs))
            && map(&self.header, &other.header)
            && self.object.covers(&other.object)
            && one(self.protocol, other.protocol)
            && one(self.dry_run, other.dry_run)
            && one(self.connection, other.connection)
            && one(self.stream, other.stream)
            && (self.event.is_empty()
                || (!other.event.is_empty() && other.event.iter().all(|e| self.event.contains(e))))
    }
}

#[cfg(test)]
mod tests;
