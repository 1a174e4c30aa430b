//! A rule of a running engine: what it is, and what has become of it so far.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::check::Prepared;
use crate::counters::Tally;
use crate::event::EventMatcher;
use crate::explain::Why;
use crate::matcher::Subject;
use crate::rng::Dice;
use crate::schedule::Trigger;

/// A rule, and its tallies.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) rule: Prepared,
    /// Position of the rule that this one waits for.
    pub(super) after: Option<usize>,
    /// The event that it waits for.
    pub(super) event: Option<EventMatcher>,
    pub(super) armed: AtomicBool,
    pub(super) triggered: AtomicBool,
    /// When a request last met the conditions, in nanoseconds; [`NEVER`] before the first.
    asked: AtomicU64,
    pub(super) matched: AtomicU64,
    fired: AtomicU64,
    pub(super) shadowed: AtomicU64,
    /// Firings by lane.
    lanes: Mutex<BTreeMap<String, u64>>,
}

const NEVER: u64 = u64::MAX;

impl Entry {
    pub(super) fn new(rule: Prepared, after: Option<usize>) -> Self {
        let event = match &rule.schedule.trigger {
            Some(Trigger::Event(pattern)) => Some(EventMatcher::new(pattern)),
            _ => None,
        };
        Self {
            rule,
            after,
            event,
            armed: AtomicBool::new(true),
            triggered: AtomicBool::new(false),
            asked: AtomicU64::new(NEVER),
            matched: AtomicU64::new(0),
            fired: AtomicU64::new(0),
            shadowed: AtomicU64::new(0),
            lanes: Mutex::default(),
        }
    }

    /// Notes that a request met the conditions, and whether none had for as long as the rule waits for.
    pub(super) fn asked_at(&self, now: Duration) {
        let Some(Trigger::Idle(wait)) = &self.rule.schedule.trigger else { return };
        let nanos = u64::try_from(now.as_nanos()).unwrap_or(NEVER - 1);
        let last = self.asked.swap(nanos, Ordering::AcqRel);
        if last != NEVER && u128::from(nanos.saturating_sub(last)) >= wait.as_nanos() {
            self.triggered.store(true, Ordering::Release);
        }
    }

    /// Notes that the rule has fired for a request of that lane.
    pub(super) fn fires_for(&self, lane: &str) {
        self.fired.fetch_add(1, Ordering::Release);
        *self.lanes.lock().unwrap_or_else(PoisonError::into_inner).entry(lane.to_owned()).or_default() += 1;
    }

    /// How often the rule has fired.
    pub(super) fn fired(&self) -> u64 {
        self.fired.load(Ordering::Acquire)
    }

    /// How often it has fired for requests of that lane.
    pub(super) fn fired_for(&self, lane: &str) -> u64 {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).get(lane).copied().unwrap_or(0)
    }

    /// Whether the conditions hold. Apart from the rest because nearly every answer is no.
    pub(super) fn is_about(&self, subject: &Subject<'_>) -> bool {
        self.rule.matcher.mismatch(subject).is_none()
    }

    /// The same with a reason. Only needed when every rule is asked, also those of other occasions.
    pub(super) fn why_not(&self, subject: &Subject<'_>) -> Option<Why> {
        if self.rule.moment() == subject.moment {
            self.rule.matcher.mismatch(subject).map(Why::Mismatch)
        } else {
            Some(Why::OtherMoment)
        }
    }
}

/// Whether this occurrence fires, by number, by chance, and by what is left.
pub(super) fn pick(rule: &Prepared, tally: &Tally, now: Duration, dice: &Dice) -> Result<(), Why> {
    if !rule.schedule.picks(tally.seen) {
        return Err(Why::Occurrence(tally.seen));
    }
    if rule.count.is_some_and(|count| tally.fired >= count) {
        return Err(Why::Spent);
    }
    let cooled = rule.cooldown.zip(tally.last_fired).is_none_or(|(wait, last)| now >= last.saturating_add(wait));
    if !cooled {
        return Err(Why::CoolingDown);
    }
    match rule.schedule.probability {
        Some(p) if p < 1.0 && dice.unit("p") >= p => Err(Why::Dice(dice.unit("p"))),
        _ => Ok(()),
    }
}
