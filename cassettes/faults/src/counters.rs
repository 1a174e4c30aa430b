//! How often what has happened: tallies by rule and scope, in shards, so that lanes do not wait for each other.
//!
//! A tally is taken and updated under one lock, so two requests of one scope never see the same number. Tallies stay for
//! the life of the engine: their number is that of the scopes that rules have matched.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What is known of one scope of one rule.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) seen: u64,
    pub(crate) fired: u64,
    pub(crate) last_fired: Option<Duration>,
}

const SHARDS: usize = 16;

type Key = (usize, u128);

/// Tallies of one kind.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    shards: [Mutex<HashMap<Key, Tally>>; SHARDS],
}

impl Counters {
    /// Counts one more and lets `update` decide with the tally in hand.
    pub(crate) fn count<T>(&self, rule: usize, scope: u128, update: impl FnOnce(&mut Tally) -> T) -> T {
        let shard = &self.shards[(scope as usize ^ rule) % SHARDS];
        let mut tallies = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = tallies.entry((rule, scope)).or_default();
        tally.seen += 1;
        update(tally)
    }

    /// What [`count`](Self::count) would show next, counting nothing.
    pub(crate) fn next(&self, rule: usize, scope: u128) -> Tally {
        let shard = &self.shards[(scope as usize ^ rule) % SHARDS];
        let tallies = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = tallies.get(&(rule, scope)).copied().unwrap_or_default();
        Tally { seen: tally.seen + 1, ..tally }
    }
}

/// Turns of requests of one identity. Two that come at once must not overtake one another between two rules: which of
/// them is the second for one rule would then be the first for the next, and another run would decide otherwise.
#[derive(Debug, Default)]
pub(crate) struct Turns([Mutex<()>; SHARDS]);

impl Turns {
    /// Waits for the others of this identity; the turn ends with the guard.
    pub(crate) fn take(&self, identity: u128) -> MutexGuard<'_, ()> {
        self.0[identity as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
