//! When a matching request is the one: by occurrence, by time, by trigger, by chance.

use std::time::Duration;

use crate::event::EventPattern;
use crate::words::words;

words! {
    /// What occurrences are counted by, and what `count` and `cooldown` hold for.
    pub enum Per {
        /// One lane's requests of one verb for one object. The default.
        Object = "object",
        /// One lane's requests of one verb for one resource, in whatever namespace.
        Route = "route",
        /// All of one lane's requests that match.
        Lane = "lane",
        /// All requests that match: depends on the order in which lanes arrive.
        Rule = "rule",
    }
}

/// What arms a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// Another rule has fired.
    Rule(String),
    /// A mark was set.
    Mark(String),
    /// Such an event was sent to a watch.
    Event(EventPattern),
    /// No request that the rule is about has come for this long.
    Idle(Duration),
}

/// A time in which a rule is armed. Times count from the start of the engine's clock, or from a mark.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) from: Option<Duration>,
    pub(crate) until: Option<Duration>,
    pub(crate) mark: Option<String>,
    pub(crate) until_mark: Option<String>,
    pub(crate) lasts: Option<Duration>,
}

impl Window {
    /// Whether the window is open at `now`, given when a mark was last set.
    pub(crate) fn is_open(&self, now: Duration, mark: impl Fn(&str) -> Option<Duration>) -> bool {
        let opened = match &self.mark {
            Some(name) => mark(name).map(|at| at.saturating_add(self.from.unwrap_or_default())),
            None => Some(self.from.unwrap_or_default()),
        };
        let Some(opened) = opened.filter(|opened| *opened <= now) else {
            return false;
        };
        let closed_by_mark = self.until_mark.as_deref().and_then(&mark).is_some_and(|at| at >= opened && at <= now);
        let until = self.lasts.map(|lasts| opened.saturating_add(lasts)).or(self.until);
        !closed_by_mark && until.is_none_or(|until| now < until)
    }
}

/// The occurrence part of a rule. Occurrences count from 1, in the scope of [`Per`], while the rule is armed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Schedule {
    pub(crate) nth: Option<u64>,
    pub(crate) every: Option<u64>,
    pub(crate) first: Option<u64>,
    pub(crate) skip: Option<u64>,
    pub(crate) trigger: Option<Trigger>,
    pub(crate) window: Option<Window>,
    pub(crate) probability: Option<f64>,
    pub(crate) per: Option<Per>,
}

impl Schedule {
    pub(crate) fn per(&self) -> Per {
        self.per.unwrap_or(Per::Object)
    }

    /// Whether the occurrence with that number is one of those asked for.
    pub(crate) fn picks(&self, occurrence: u64) -> bool {
        let Some(n) = occurrence.checked_sub(self.skip.unwrap_or(0)).filter(|n| *n > 0) else {
            return false;
        };
        self.nth.is_none_or(|nth| n == nth)
            && self.first.is_none_or(|first| n <= first)
            && self.every.is_none_or(|every| n.is_multiple_of(every))
    }

    /// Whether every matching request is picked, always.
    pub(crate) fn is_unconditional(&self) -> bool {
        self.nth.is_none()
            && self.first.is_none()
            && self.every.is_none_or(|n| n == 1)
            && self.skip.is_none_or(|n| n == 0)
            && self.trigger.is_none()
            && self.window.is_none()
            && self.probability.is_none_or(|p| p >= 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked(schedule: &Schedule) -> Vec<u64> {
        (1..=8).filter(|n| schedule.picks(*n)).collect()
    }

    #[test]
    fn occurrences_are_picked_as_asked() {
        let all = Schedule::default();
        assert_eq!(picked(&all).len(), 8);
        assert_eq!(picked(&Schedule { nth: Some(2), ..all.clone() }), [2]);
        assert_eq!(picked(&Schedule { first: Some(2), ..all.clone() }), [1, 2]);
        assert_eq!(picked(&Schedule { every: Some(3), ..all.clone() }), [3, 6]);
        assert_eq!(picked(&Schedule { skip: Some(6), ..all.clone() }), [7, 8]);
        assert_eq!(picked(&Schedule { skip: Some(3), first: Some(2), ..all.clone() }), [4, 5]);
        assert_eq!(picked(&Schedule { skip: Some(1), nth: Some(2), ..all }), [3]);
    }

    #[test]
    fn windows_open_and_close_by_time_and_mark() {
        let s = Duration::from_secs;
        let none = |_: &str| None;
        let at_ten = |name: &str| (name == "steady").then(|| s(10));
        let timed = Window { from: Some(s(5)), until: Some(s(7)), ..Window::default() };
        assert_eq!([4, 5, 6, 7].map(|t| timed.is_open(s(t), none)), [false, true, true, false]);
        let marked = Window { mark: Some("steady".into()), lasts: Some(s(30)), ..Window::default() };
        assert!(!marked.is_open(s(12), none), "the mark was never set");
        assert_eq!([9, 10, 39, 40].map(|t| marked.is_open(s(t), at_ten)), [false, true, true, false]);
        let ended = Window { until_mark: Some("steady".into()), ..Window::default() };
        assert_eq!([9, 10].map(|t| ended.is_open(s(t), at_ten)), [true, false]);
    }
}
