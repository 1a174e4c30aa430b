//! The first event with which a bug shows, when the tape ends there.

use super::{Judge, Judgement, OutOfBudget};
use crate::format::model::{Call, Entry, Tape};
use std::collections::BTreeSet;

/// How often a border is looked at from both sides.
const SURE: usize = 3;

/// Where the bug begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bisection {
    /// The `seq` of the first event with which it shows.
    pub seq: u64,
    /// Events up to and with it, and on the whole tape.
    pub events: (usize, usize),
    /// Whether the border held when it was looked at again.
    pub sure: bool,
}

fn events(tape: &Tape) -> Vec<u64> {
    let mut all = BTreeSet::new();
    for entry in &tape.entries {
        all.insert(entry.seq());
        if let Entry::Call(call) = entry {
            all.extend(call.frames.iter().map(|frame| frame.seq));
        }
    }
    all.into_iter().collect()
}

/// A tape up to an event. Calls that were going on then stay open: their later frames are not there.
#[must_use]
pub fn prefix(tape: &Tape, seq: u64) -> Tape {
    let mut left = tape.clone();
    left.sealed = None;
    left.entries.retain(|entry| entry.seq() <= seq);
    for call in left.calls_mut().filter(|call| call.seq.end > seq) {
        cut(call, seq);
    }
    left
}

fn cut(call: &mut Call, seq: u64) {
    use crate::format::model::End;
    let streamed = !call.frames.is_empty();
    call.frames.retain(|frame| frame.seq <= seq);
    if streamed || call.response.as_ref().is_some_and(|response| response.body.is_none()) {
        call.end = End::RecorderStop;
    }
}

/// Finds the first event with which the judge says that the tape fails. None when the whole tape passes.
///
/// # Errors
/// [`OutOfBudget`] when the judge has had enough before that.
pub fn bisect(tape: &Tape, judge: &mut dyn Judge) -> Result<Option<Bisection>, OutOfBudget> {
    let events = events(tape);
    let mut fails = |count: usize, again: bool, judge: &mut dyn Judge| -> Result<bool, OutOfBudget> {
        let Some(last) = count.checked_sub(1).and_then(|at| events.get(at)) else { return Ok(false) };
        let candidate = prefix(tape, *last);
        let verdict = if again { judge.again(&candidate)? } else { judge.judge(&candidate)? };
        Ok(verdict == Judgement::Fails)
    };
    if !fails(events.len(), false, judge)? {
        return Ok(None);
    }
    // `good` events pass, `bad` fail; halving finds a border, not always the first where the judge is not monotone.
    let (mut good, mut bad) = (0, events.len());
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        if fails(middle, false, judge)? { bad = middle } else { good = middle }
    }
    let mut sure = holds(good, bad, &mut fails, judge)?;
    if !sure {
        // From the beginning in growing steps to something that fails, and then one by one.
        let mut step = 1;
        while step < events.len() && !fails(step, true, judge)? {
            step *= 2;
        }
        for count in step / 2 + 1..=events.len() {
            if fails(count, true, judge)? {
                bad = count;
                break;
            }
        }
        sure = holds(bad - 1, bad, &mut fails, judge)?;
    }
    let seq = events.get(bad - 1).copied().unwrap_or_default();
    Ok(Some(Bisection { seq, events: (bad, events.len()), sure }))
}

type Fails<'a> = dyn FnMut(usize, bool, &mut dyn Judge) -> Result<bool, OutOfBudget> + 'a;

fn holds(good: usize, bad: usize, fails: &mut Fails<'_>, judge: &mut dyn Judge) -> Result<bool, OutOfBudget> {
    for _ in 1..SURE {
        if fails(good, true, judge)? || !fails(bad, true, judge)? {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::model::{Frame, Marks};

    fn tape() -> Tape {
        let call = Call {
            id: 1,
            seq: Marks { req: 1, head: Some(2), end: 200 },
            frames: (10..100).map(|seq| Frame { seq, ..Frame::default() }).collect(),
            ..Call::default()
        };
        Tape { entries: vec![Entry::Call(call)], ..Tape::default() }
    }

    struct From(u64, usize);

    impl Judge for From {
        fn judge(&mut self, tape: &Tape) -> Result<Judgement, OutOfBudget> {
            self.1 += 1;
            let last = tape.calls().flat_map(|call| call.frames.iter().map(|frame| frame.seq)).max();
            Ok(if last.is_some_and(|last| last >= self.0) { Judgement::Fails } else { Judgement::Passes })
        }
    }

    #[test]
    fn the_first_failing_event_is_found_and_looked_at_again() {
        let mut judge = From(42, 0);
        let found = bisect(&tape(), &mut judge).unwrap().unwrap();
        assert_eq!((found.seq, found.sure), (42, true));
        assert!(judge.1 < 15, "{} runs", judge.1);
        assert_eq!(bisect(&tape(), &mut From(1000, 0)), Ok(None));
    }
}
