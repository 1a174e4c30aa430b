//! Priority and fairness in small: seats, fair queues, and a Retry-After that follows what is turned away.
//!
//! A state machine that is told the time. Counterpart: `apiserver/pkg/util/flowcontrol` (queue sets, shuffle sharding,
//! the tracker of dropped requests) for requests of width one. Parking requests is for whoever applies the fault.

mod drops;
#[cfg(test)]
mod tests;

pub use drops::DroppedRequests;

use crate::rng::Sip;
use crate::words::words;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How long a request is taken to execute while nobody knows.
const ESTIMATE: i128 = 3_000_000;

words! {
    /// What becomes of a request that finds no seat.
    pub enum LimitResponse {
        /// It waits in a queue (`limitResponse: Queue`).
        Queue = "queue",
        /// It is turned away at once (`limitResponse: Reject`).
        Reject = "reject",
        /// It is turned away by the filter of old: a number in flight, no flows, and a Retry-After that stays 1.
        Inflight = "inflight",
    }
}

words! {
    /// What tells the flows of a priority level apart.
    pub enum FlowDistinguisher {
        /// The user (`ByUser`).
        User = "user",
        /// The namespace (`ByNamespace`).
        Namespace = "namespace",
        /// The lane of the plan.
        Lane = "lane",
    }
}

/// The numbers of a priority level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// How many requests execute at a time. Of a level without any, one does.
    pub seats: u64,
    /// How many queues there are; none where nobody waits.
    pub queues: u64,
    /// How many of them a flow may use.
    pub hand_size: u64,
    /// How many requests wait in a queue at most.
    pub queue_length: u64,
}

/// A request in a priority level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// What becomes of a request that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It executes.
    Seated(Ticket),
    /// It waits until [`PriorityLevel::leave`] of another names it.
    Queued(Ticket),
    /// It is turned away.
    Rejected,
}

/// How a priority level is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Load {
    /// Requests that execute.
    pub executing: u64,
    /// Requests that wait.
    pub waiting: u64,
    /// Requests that were turned away, ever.
    pub rejected: u64,
    /// The Retry-After of the next one, in seconds.
    pub retry_after: u64,
}

/// Seats and queues. Every method is told the time since some fixed moment; it never runs backwards.
#[derive(Clone, Debug)]
pub struct PriorityLevel {
    limits: Limits,
    queues: Vec<Queue>,
    executing: BTreeMap<Ticket, Executing>,
    /// Who waits, and in which queue.
    waiting: BTreeMap<Ticket, usize>,
    next: u64,
    /// The progress that a queue has made which was never idle, in seat-nanoseconds.
    progress: i128,
    /// When that was last brought up to date.
    at: Duration,
    /// The queue that was served last.
    served: usize,
    rejected: u64,
    drops: DroppedRequests,
}

#[derive(Clone, Debug, Default)]
struct Queue {
    /// Who waits, and what the progress was when he came.
    waiting: VecDeque<(Ticket, i128)>,
    executing: u64,
    /// The progress at which the next one would begin if all were served evenly.
    next_start: i128,
}

#[derive(Clone, Copy, Debug)]
struct Executing {
    queue: Option<usize>,
    since: Duration,
}

impl PriorityLevel {
    /// An empty one.
    #[must_use]
    pub fn new(limits: Limits, now: Duration) -> Self {
        Self {
            limits,
            queues: vec![Queue::default(); usize::try_from(limits.queues).unwrap_or(usize::MAX)],
            executing: BTreeMap::new(),
            waiting: BTreeMap::new(),
            next: 0,
            progress: 0,
            at: now,
            served: 0,
            rejected: 0,
            drops: DroppedRequests::new(now),
        }
    }

    /// A request of a flow comes in. Whoever is rejected is to be told of by [`drop_one`](Self::drop_one).
    pub fn arrive(&mut self, flow: &str, now: Duration) -> Arrival {
        self.advance(now);
        let has_room = self.has_room();
        let ticket = Ticket(self.next);
        let Some(chosen) = self.shortest(flow) else {
            if !has_room {
                return Arrival::Rejected;
            }
            self.next += 1;
            self.executing.insert(ticket, Executing { queue: None, since: now });
            return Arrival::Seated(ticket);
        };
        let progress = self.progress;
        let Some(queue) = self.queues.get_mut(chosen) else { return Arrival::Rejected };
        if !has_room && queue.waiting.len() as u64 >= self.limits.queue_length {
            return Arrival::Rejected;
        }
        self.next += 1;
        if queue.is_idle() {
            queue.next_start = progress;
        }
        queue.waiting.push_back((ticket, progress));
        self.waiting.insert(ticket, chosen);
        // Where there is room nobody else waits, so it is this one that is seated.
        if self.seat_next(now).is_some() { Arrival::Seated(ticket) } else { Arrival::Queued(ticket) }
    }

    /// A request has been executed, or waits no longer. Returns who is seated in its place.
    pub fn leave(&mut self, ticket: Ticket, now: Duration) -> Vec<Ticket> {
        self.advance(now);
        if let Some(chosen) = self.waiting.remove(&ticket)
            && let Some(queue) = self.queues.get_mut(chosen)
        {
            queue.waiting.retain(|(other, _)| *other != ticket);
        }
        if let Some(done) = self.executing.remove(&ticket)
            && let Some(queue) = done.queue.and_then(|chosen| self.queues.get_mut(chosen))
        {
            queue.executing = queue.executing.saturating_sub(1);
            // What it has taken instead of what it was thought to take.
            queue.next_start += nanos(now.saturating_sub(done.since)) - ESTIMATE;
            queue.catch_up();
        }
        std::iter::from_fn(|| self.seat_next(now)).collect()
    }

    /// A request has waited for as long as it may: whether it is turned away. Otherwise it was seated just before.
    pub fn give_up(&mut self, ticket: Ticket, now: Duration) -> bool {
        let waits = self.waiting.contains_key(&ticket);
        if waits {
            self.leave(ticket, now);
        }
        waits
    }

    /// Counts a request that is turned away. Returns its Retry-After, in seconds.
    pub fn drop_one(&mut self, now: Duration) -> u64 {
        self.rejected += 1;
        self.drops.record(now.as_secs());
        self.drops.retry_after()
    }

    /// How it is doing.
    #[must_use]
    pub fn load(&self) -> Load {
        Load {
            executing: self.executing.len() as u64,
            waiting: self.waiting.len() as u64,
            rejected: self.rejected,
            retry_after: self.drops.retry_after(),
        }
    }

    /// One request may always execute, even where there is no seat.
    fn has_room(&self) -> bool {
        self.executing.is_empty() || (self.executing.len() as u64) < self.limits.seats
    }

    /// The queue of the flow's hand with the least to do.
    fn shortest(&self, flow: &str) -> Option<usize> {
        let hand = hand(flow, self.limits.queues, self.limits.hand_size);
        hand.into_iter().min_by_key(|n| self.queues.get(*n).map_or(usize::MAX, |queue| queue.waiting.len()))
    }

    /// Seats the request whose queue is furthest behind.
    fn seat_next(&mut self, now: Duration) -> Option<Ticket> {
        if self.waiting.is_empty() || !self.has_room() {
            return None;
        }
        let count = self.queues.len();
        let behind = |n: &usize| self.queues.get(*n).map_or(i128::MAX, |queue| queue.next_start);
        let waits = |n: &usize| self.queues.get(*n).is_some_and(|queue| !queue.waiting.is_empty());
        let turns = (1..=count).map(|n| (self.served + n) % count);
        let chosen = turns.filter(waits).min_by_key(behind)?;
        let queue = self.queues.get_mut(chosen)?;
        let (ticket, _) = queue.waiting.pop_front()?;
        queue.executing += 1;
        queue.next_start += ESTIMATE;
        queue.catch_up();
        self.served = chosen;
        self.waiting.remove(&ticket);
        self.executing.insert(ticket, Executing { queue: Some(chosen), since: now });
        Some(ticket)
    }

    /// Brings the progress up to date: seats in use, shared among the queues that have something to do.
    fn advance(&mut self, now: Duration) {
        let passed = nanos(now.saturating_sub(self.at));
        self.at = self.at.max(now);
        let busy = self.queues.iter().filter(|queue| !queue.is_idle()).count();
        if busy > 0 {
            let wanted = (self.executing.len() + self.waiting.len()) as i128;
            let used = wanted.min(i128::from(self.limits.seats.max(1)));
            self.progress += passed * used / busy as i128;
        }
    }
}

impl Queue {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.executing == 0
    }

    /// A queue earns nothing for the time in which it had nothing to do.
    fn catch_up(&mut self) {
        if let Some((_, arrived)) = self.waiting.front() {
            self.next_start = self.next_start.max(*arrived);
        }
    }
}

fn nanos(time: Duration) -> i128 {
    i128::try_from(time.as_nanos()).unwrap_or(i128::MAX)
}

/// The queues that a flow may use, all different: cards dealt by its hash (`util/shufflesharding`).
#[must_use]
fn hand(flow: &str, queues: u64, size: u64) -> Vec<usize> {
    let mut hash = Sip::new(0, 0).field(flow).finish();
    let mut cards: Vec<u64> = Vec::new();
    for n in 0..size.min(queues) {
        let left = queues - n;
        let mut card = hash % left;
        hash /= left;
        // What is left of the deck, counted past the cards that are gone.
        let mut gone = cards.clone();
        gone.sort_unstable();
        for other in gone {
            card += u64::from(card >= other);
        }
        cards.push(card);
    }
    cards.into_iter().filter_map(|card| usize::try_from(card).ok()).collect()
}
