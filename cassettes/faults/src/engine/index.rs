//! Which rules are asked at all, by occasion, verb and resource.

use std::collections::{BTreeSet, HashMap};

use crate::check::Prepared;
use crate::matcher::{Moment, Subject};

/// Which rules can be about a request, by verb and resource: most requests are about none of them.
#[derive(Debug, Default)]
pub(super) struct Index {
    verbs: Vec<ByResource>,
    pub(super) connections: Vec<usize>,
    frames: ByResource,
}

/// Rules in order; those of any resource are in every list.
#[derive(Debug, Default, Clone)]
struct ByResource {
    named: HashMap<String, Vec<usize>>,
    any: Vec<usize>,
}

impl ByResource {
    fn new(rules: &[(usize, &Prepared)]) -> Self {
        let names: BTreeSet<&String> =
            rules.iter().flat_map(|(_, rule)| rule.matcher.resources.iter().map(|(name, _)| name)).collect();
        let about = |rule: &Prepared, name: &str| {
            rule.matcher.resources.is_empty() || rule.matcher.resources.iter().any(|(resource, _)| resource == name)
        };
        let list =
            |name: &str| rules.iter().filter(|(_, rule)| about(rule, name)).map(|(position, _)| *position).collect();
        Self { named: names.into_iter().map(|name| (name.clone(), list(name))).collect(), any: list("") }
    }

    fn get(&self, resource: &str) -> &[usize] {
        self.named.get(resource).unwrap_or(&self.any)
    }
}

impl Index {
    pub(super) fn new(prepared: &[Prepared]) -> Self {
        let of = |moment| prepared.iter().enumerate().filter(move |(_, rule)| rule.moment() == moment);
        let by_verb = |verb: usize| {
            ByResource::new(
                &of(Moment::Request).filter(|(_, r)| r.matcher.verbs & (1 << verb) != 0).collect::<Vec<_>>(),
            )
        };
        Self {
            verbs: (0..16).map(by_verb).collect(),
            connections: of(Moment::Connection).map(|(position, _)| position).collect(),
            frames: ByResource::new(&of(Moment::Frame).collect::<Vec<_>>()),
        }
    }

    pub(super) fn candidates(&self, subject: &Subject<'_>) -> &[usize] {
        match subject.moment {
            Moment::Connection => &self.connections,
            Moment::Frame => self.frames.get(subject.facts.resource),
            Moment::Request => self.verbs.get(subject.verb()).map_or(&[], |rules| rules.get(subject.facts.resource)),
        }
    }
}
