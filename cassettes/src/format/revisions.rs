//! The resourceVersions that a tape has seen, by resource.

use super::model::*;
use super::symbols::Symbols;
use rehearsal_apimachinery::request_info::RequestInfo;
use std::collections::BTreeMap;

/// First and last resourceVersion of each resource, in their order as numbers; others are left out.
pub(super) fn of(tape: &Tape) -> BTreeMap<String, (String, String)> {
    let symbols = Symbols::of(&tape.header);
    let mut ranges: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for call in tape.calls() {
        let Some(resource) = resource(&call.request) else { continue };
        let Some(range) = range(call, &symbols) else { continue };
        ranges
            .entry(resource)
            .and_modify(|known| *known = (known.0.min(range.0), known.1.max(range.1)))
            .or_insert(range);
    }
    ranges.into_iter().map(|(name, (first, last))| (name, (first.to_string(), last.to_string()))).collect()
}

/// `pods`, `deployments.apps`; none for paths that are no resource.
#[must_use]
pub fn resource(request: &Request) -> Option<String> {
    let info = RequestInfo::parse(&request.method, &request.path, &request.query).ok()?;
    if !info.is_resource || info.resource.is_empty() {
        return None;
    }
    Some(if info.group.is_empty() { info.resource } else { format!("{}.{}", info.resource, info.group) })
}

/// Every resourceVersion that an answer gave, with its place: none for the response, an index for a frame.
pub(super) fn versions<'c>(call: &'c Call, symbols: &'c Symbols) -> impl Iterator<Item = (Option<usize>, u64)> + 'c {
    let number = |body: &Body| symbols.value(body.fact("resourceVersion")).parse().ok().filter(|version| *version > 0);
    let response = call.response.as_ref().and_then(|response| response.body.as_ref());
    let response = response.and_then(number).map(|version| (None, version));
    let frames = call.frames.iter().enumerate();
    response.into_iter().chain(frames.filter_map(move |(at, frame)| Some((Some(at), number(&frame.content)?))))
}

fn range(call: &Call, symbols: &Symbols) -> Option<(u64, u64)> {
    versions(call, symbols).map(|(_, version)| (version, version)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}
