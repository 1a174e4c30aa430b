//! The nearest miss: which recorded call a request without an answer was most like, and why that one does not serve.

use super::normal;
use super::report::Candidate;
use super::route::Route;
use super::slot::{self, Slot};
use super::talk;
use crate::format::model::Request;
use serde_json::Value;

/// Likeness of two routes; 0 where they have nothing in common.
fn likeness(recorded: &Route, live: &Route) -> u32 {
    let same_resource = recorded.collection() == live.collection();
    let mut score = 0;
    if same_resource && recorded.verb == live.verb {
        score += 8;
    } else if same_resource {
        score += 4;
    } else {
        return 0;
    }
    for (a, b) in [
        (&recorded.name, &live.name),
        (&recorded.namespace, &live.namespace),
        (&recorded.subresource, &live.subresource),
    ] {
        score += u32::from(a == b);
    }
    let place = recorded.name == live.name && recorded.namespace == live.namespace;
    score += u32::from(place && recorded.subresource == live.subresource);
    score + 2 * u32::from(recorded.selectors == live.selectors)
}

/// The three best candidates.
pub(super) fn nearest(
    slots: &[Slot],
    (lane, route, request): (&str, &Route, &Request),
    body: Option<&Value>,
    behind: impl Fn(usize) -> Option<u64>,
) -> Vec<Candidate> {
    let mut scored: Vec<(u32, usize)> = Vec::new();
    for (at, slot) in slots.iter().enumerate() {
        let base = likeness(&slot.route, route);
        if base == 0 {
            continue;
        }
        let bodies = match (&slot.body, body) {
            (Some(a), Some(b)) => 4 - u32::try_from(normal::differences(a, b, 4).len()).unwrap_or(4).min(4),
            (None, None) => 4,
            _ => 0,
        };
        scored.push((base + bodies, at));
    }
    // An unused call is a better hint than a used one of the same likeness.
    scored.sort_by_key(|(score, at)| (std::cmp::Reverse(*score), slots[*at].used > 0, *at));
    scored.truncate(3);
    let candidate = |(score, at): (u32, usize)| {
        let slot = &slots[at];
        let differences = match (&slot.body, body) {
            (Some(a), Some(b)) => normal::differences(a, b, 10),
            _ => Vec::new(),
        };
        let state = state(slot, (lane, route, request), !differences.is_empty(), behind(at));
        let differences = Candidate::lines(&differences);
        Candidate { call: slot.call.id, route: slot.route.to_string(), score, state, differences }
    };
    scored.into_iter().map(candidate).collect()
}

fn state(
    slot: &Slot,
    (lane, route, request): (&str, &Route, &Request),
    other_body: bool,
    behind: Option<u64>,
) -> String {
    let untold = slot.upgrade.as_ref().and_then(|upgrade| talk::can_be_said_to(upgrade, request).err());
    if slot.route.verb != route.verb {
        "another verb".to_owned()
    } else if (&slot.route.name, &slot.route.namespace) != (&route.name, &route.namespace) {
        "another object".to_owned()
    } else if slot.route.subresource != route.subresource {
        "another subresource".to_owned()
    } else if slot.route.options != route.options {
        format!("asked with {:?}, not {:?}", slot.route.options, route.options)
    } else if slot::wanted_protocol(&slot.call.request) != slot::wanted_protocol(request) {
        "another protocol".to_owned()
    } else if let Some(why) = untold {
        why
    } else if slot.route.selectors != route.selectors {
        "other selectors".to_owned()
    } else if !slot.route.accept.serves(route.accept) {
        format!("recorded for a client that accepts {:?}, asked for {:?}", slot.route.accept, route.accept)
    } else if slot.used > 0 {
        "already used".to_owned()
    } else if slot.call.lane != lane {
        format!("it belongs to lane {}", slot.call.lane)
    } else if let Some(id) = behind {
        format!("it comes after #{id}, which has not been sent")
    } else if other_body {
        "another body".to_owned()
    } else {
        "something else differs".to_owned()
    }
}
