//! Response bodies that were there before: kept once, named by the call that has them.

use super::model::*;
use super::tree::Tree;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;

/// Shorter bodies are easier read where they are.
const MIN_BYTES: usize = 512;

/// Replaces response bodies that equal an earlier call's by [`Body::Same`].
pub(super) fn share(tape: &mut Tape) {
    let mut seen: HashMap<[u8; 32], u64> = HashMap::new();
    for call in tape.calls_mut() {
        let id = call.id;
        let Some(body) = call.response.as_mut().and_then(|response| response.body.as_mut()) else { continue };
        let kind = match body {
            Body::Json { .. } => 0u8,
            Body::Yaml(_) => 1,
            Body::Proto { .. } => 2,
            Body::Text(_) => 3,
            Body::Bytes(_) => 4,
            Body::Ref { .. } | Body::Same { .. } => continue,
        };
        if weight(body) < MIN_BYTES {
            continue;
        }
        let mut hash = Sha256::new();
        hash.update([kind]);
        hash.update(body.bytes().unwrap_or_default());
        match seen.entry(hash.finalize().into()) {
            std::collections::hash_map::Entry::Vacant(slot) => {
                slot.insert(id);
            }
            std::collections::hash_map::Entry::Occupied(first) => *body = Body::Same { of: *first.get() },
        }
    }
}

/// About how many bytes a body has, without making them.
fn weight(body: &Body) -> usize {
    fn of(tree: &Tree) -> usize {
        match tree {
            Tree::Text(text) => text.len() + 2,
            Tree::List(items) => items.iter().map(|item| of(item) + 1).sum::<usize>() + 2,
            Tree::Map(entries) => entries.iter().map(|(key, value)| key.len() + of(value) + 4).sum::<usize>() + 2,
            _ => 5,
        }
    }
    match body {
        Body::Json { tree, .. } => of(tree),
        Body::Yaml(text) | Body::Text(text) => text.len(),
        Body::Proto { bytes, .. } | Body::Bytes(bytes) => bytes.len(),
        Body::Ref { .. } | Body::Same { .. } => 0,
    }
}

impl Tape {
    /// The body that a body of this tape stands for: another call's response for [`Body::Same`], else itself.
    #[must_use]
    pub fn resolve<'t>(&'t self, body: &'t Body) -> Option<&'t Body> {
        match body {
            Body::Same { of } => {
                let call = self.calls().find(|call| call.id == *of)?;
                let body = call.response.as_ref()?.body.as_ref()?;
                // One step only: `share` makes no chains, and a hand-made circle must not hang anybody.
                (!matches!(body, Body::Same { .. })).then_some(body)
            }
            other => Some(other),
        }
    }

    /// Puts shared bodies back where they belong.
    pub fn unshare(&mut self) {
        let wanted: std::collections::HashSet<u64> = self
            .calls()
            .filter_map(|call| match call.response.as_ref()?.body.as_ref()? {
                Body::Same { of } => Some(*of),
                _ => None,
            })
            .collect();
        let bodies: HashMap<u64, Body> = self
            .calls()
            .filter(|call| wanted.contains(&call.id))
            .filter_map(|call| Some((call.id, call.response.as_ref()?.body.clone()?)))
            .collect();
        for call in self.calls_mut() {
            let Some(body) = call.response.as_mut().and_then(|response| response.body.as_mut()) else { continue };
            if let Body::Same { of } = body
                && let Some(whole) = bodies.get(of)
            {
                *body = whole.clone();
            }
        }
    }
}
