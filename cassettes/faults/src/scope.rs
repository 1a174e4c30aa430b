//! Identities: what makes two requests the same one, and what a rule counts by.
//!
//! Hashes decide, texts are for people and for records; both are made of the same parts.

use crate::facts::qualified;
use crate::matcher::{Moment, Subject};
use crate::rng::Sip;
use crate::schedule::Per;

/// The parts of an identity, the same for hash and text.
fn parts<'a>(subject: &'a Subject<'_>, per: Per) -> [&'a str; 8] {
    let facts = &subject.facts;
    let verb = if subject.moment == Moment::Connection { "connect" } else { facts.verb };
    let path = if facts.resource.is_empty() { facts.path } else { "" };
    match per {
        Per::Object => {
            [facts.lane, verb, facts.resource, facts.group, facts.subresource, facts.namespace, facts.name, path]
        }
        Per::Route => [facts.lane, verb, facts.resource, facts.group, facts.subresource, "", "", path],
        Per::Lane => [facts.lane, "", "", "", "", "", "", ""],
        Per::Rule => [""; 8],
    }
}

/// 128 bits, so that no two scopes of a run ever share a tally.
pub(crate) fn hash(subject: &Subject<'_>, per: Per) -> u128 {
    let mut low = Sip::new(0x5265_6865, per as u64);
    let mut high = Sip::new(0x6172_7361, per as u64);
    for part in parts(subject, per) {
        low.field(part);
        high.field(part);
    }
    u128::from(high.finish()) << 64 | u128::from(low.finish())
}

/// `sut create statefulsets.apps/status demo/web`; a dash stands for an unknown lane.
pub(crate) fn text(subject: &Subject<'_>, per: Per) -> String {
    let [lane, verb, resource, group, subresource, namespace, name, path] = parts(subject, per);
    let lane = if lane.is_empty() { "-" } else { lane };
    let mut words = match per {
        Per::Rule => return "all".to_owned(),
        _ => vec![lane.to_owned()],
    };
    words.extend((!verb.is_empty()).then(|| verb.to_owned()));
    let what = if resource.is_empty() { path.to_owned() } else { qualified(resource, group) };
    let what = if subresource.is_empty() { what } else { format!("{what}/{subresource}") };
    words.extend(Some(what).filter(|what| !what.is_empty()));
    let object = if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") };
    words.extend(Some(object).filter(|object| !object.is_empty()));
    words.join(" ")
}
