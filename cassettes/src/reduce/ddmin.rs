//! Delta debugging (Zeller and Hildebrandt's ddmin), from coarse pieces to fine ones.

use super::units::{Level, Unit, units, without};
use super::{Judge, Judgement, OutOfBudget};
use crate::format::model::Tape;
use std::collections::BTreeSet;

/// The smallest tape found of which the judge still says that it fails. The tape itself is taken to fail. When the
/// judge has had enough, what was found by then; the flag says whether it came to the end.
pub fn minimize(tape: &Tape, judge: &mut dyn Judge) -> (Tape, bool) {
    minimize_levels(tape, &Level::ALL, judge)
}

/// As [`minimize`], with pieces of these levels.
pub fn minimize_levels(tape: &Tape, levels: &[Level], judge: &mut dyn Judge) -> (Tape, bool) {
    let mut best = tape.clone();
    // What was needed only by something that is gone now can go in the next round.
    loop {
        let before = best.clone();
        for level in levels {
            if reduce(&mut best, *level, judge).is_err() {
                return (best, false);
            }
        }
        if best == before {
            return (best, true);
        }
    }
}

fn reduce(best: &mut Tape, level: Level, judge: &mut dyn Judge) -> Result<(), OutOfBudget> {
    let mut needed = units(best, level);
    let mut parts = 2;
    while needed.len() > 1 || (parts == 2 && needed.len() == 1) {
        let size = needed.len().div_ceil(parts).max(1);
        let mut smaller = None;
        for (n, chunk) in needed.chunks(size).enumerate() {
            let gone: BTreeSet<Unit> = chunk.iter().cloned().collect();
            let candidate = without(best, &gone);
            if judge.judge(&candidate)? == Judgement::Fails {
                let left = needed.iter().enumerate().filter(|(at, _)| at / size != n).map(|(_, unit)| unit.clone());
                smaller = Some((left.collect::<Vec<_>>(), candidate));
                break;
            }
        }
        match smaller {
            Some((left, candidate)) => {
                (needed, *best) = (left, candidate);
                parts = (parts - 1).max(2);
            }
            None if size == 1 => return Ok(()),
            None => parts = (parts * 2).min(needed.len()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Tree;
    use crate::format::model::{Body, Call, Entry, Marks, Request, Response};

    /// Fails while both of two calls are there.
    struct Pair(usize, Option<usize>);

    impl Judge for Pair {
        fn judge(&mut self, tape: &Tape) -> Result<Judgement, OutOfBudget> {
            self.0 += 1;
            if self.1.is_some_and(|most| self.0 > most) {
                return Err(OutOfBudget);
            }
            let ids: Vec<_> = tape.calls().map(|call| call.id).collect();
            Ok(if ids.contains(&17) && ids.contains(&59) { Judgement::Fails } else { Judgement::Passes })
        }
    }

    fn tape() -> Tape {
        let call = |id: u64| {
            Entry::Call(Call {
                id,
                lane: format!("lane{}", id % 3),
                seq: Marks { req: id, head: Some(id), end: id },
                request: Request {
                    method: "GET".into(),
                    path: format!("/api/v1/namespaces/n{}/pods/p{id}", id % 5),
                    ..Request::default()
                },
                ..Call::default()
            })
        };
        Tape { entries: (1..=100).map(call).collect(), ..Tape::default() }
    }

    #[test]
    fn two_calls_of_a_hundred_are_found() {
        let mut judge = Pair(0, None);
        let (small, whole) = minimize(&tape(), &mut judge);
        assert_eq!(small.calls().map(|call| call.id).collect::<Vec<_>>(), [17, 59]);
        assert!(whole && judge.0 < 120, "{} runs", judge.0);
    }

    /// Fails while one fault fires and one field is there.
    struct Needed;

    impl Judge for Needed {
        fn judge(&mut self, tape: &Tape) -> Result<Judgement, OutOfBudget> {
            let calls = || tape.calls();
            let fires = calls().any(|call| call.faults.iter().any(|fault| fault.text_at(&["rule"]) == "b"));
            let shown = calls().any(|call| {
                let body = call.response.as_ref().and_then(|response| response.body.as_ref());
                body.and_then(|body| body.json()).is_some_and(|tree| tree.at(&["spec", "image"]).is_some())
            });
            Ok(if fires && shown { Judgement::Fails } else { Judgement::Passes })
        }
    }

    #[test]
    fn faults_and_fields_go_as_far_as_they_can() {
        let object =
            r#"{"kind":"Pod","metadata":{"name":"p1","labels":{"a":"b"}},"spec":{"image":"x","node":"y"},"status":{}}"#;
        let fault = |rule: &str| Tree::Map(vec![("rule".to_owned(), rule.into())]);
        let mut tape = tape();
        tape.entries.truncate(1);
        for call in tape.calls_mut() {
            call.faults = ["a", "b", "c"].map(fault).to_vec();
            let body = Some(Body::from_json(object.as_bytes()));
            call.response = Some(Response { status: 200, body, ..Response::default() });
        }
        let (small, _) = minimize_levels(&tape, &Level::WITH_FIELDS, &mut Needed);
        let call = small.calls().next().unwrap();
        assert_eq!(call.faults, [fault("b")]);
        let body = call.response.as_ref().unwrap().body.as_ref().unwrap().bytes().unwrap();
        let left = r#"{"kind":"Pod","metadata":{"name":"p1"},"spec":{"image":"x"}}"#;
        assert_eq!(String::from_utf8(body).unwrap(), left);
    }

    #[test]
    fn a_judge_that_has_had_enough_leaves_what_was_found() {
        let (small, whole) = minimize(&tape(), &mut Pair(0, Some(6)));
        assert!(!whole && small.entries.len() < 100);
    }
}
