//! Judging: an expectation, and what happened.

use super::driver::{Exit, Outcome};
use super::expect::{Check, Expect};
use super::measure::Measured;
use super::protocol::ErrorClass;
use super::scenario::Class;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a wait may fall short of its length by: the way there and back, and clocks.
const TOLERANCE_MS: f64 = 20.0;

/// All that is known of a scenario after its end.
#[derive(Debug, Default)]
pub struct Evidence {
    /// What the client said, in order.
    pub outcomes: Vec<Outcome>,
    /// What the server saw.
    pub measured: Measured,
    /// Names and `data.v` of the ConfigMaps on the server.
    pub objects: BTreeMap<String, String>,
    /// The client's mirror, where it had one.
    pub mirror: Option<BTreeMap<String, String>>,
    /// The headers of requests that another host received.
    pub elsewhere: Vec<String>,
    /// Whether the fault happened at all; `true` where none was planned.
    pub faulty: bool,
}

/// What became of an expectation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It was met.
    Pass,
    /// It was not.
    Fail,
    /// It could not be judged: the client has no such thing, or never came into the situation.
    NotApplicable,
}

/// An expectation with its verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Judged {
    /// Name of the check.
    pub id: String,
    /// How it counts.
    pub class: Class,
    /// What was expected.
    pub expected: String,
    /// What became of it.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
}

impl Evidence {
    /// Judges one expectation.
    #[must_use]
    pub fn judge(&self, check: &Check) -> Judged {
        let (verdict, found) = self.verdict(&check.expect);
        Judged { id: check.id.to_owned(), class: check.class, expected: check.expect.to_string(), verdict, found }
    }

    fn verdict(&self, expect: &Expect) -> (Verdict, String) {
        if self.outcomes.iter().any(|o| o.exit == Exit::Unsupported) {
            return (Verdict::NotApplicable, "the client has no such operation".into());
        }
        if !self.faulty {
            return (Verdict::NotApplicable, "the fault never happened to this client".into());
        }
        match expect {
            Expect::Succeeds
            | Expect::SucceedsOrTells
            | Expect::Tells
            | Expect::Fails
            | Expect::FailsOrLists(_)
            | Expect::FailsOrReads(_)
            | Expect::Says(_)
            | Expect::SaysNot(_) => self.about_the_end(expect),
            Expect::SucceedsAt(n) => self.outcomes.get(*n).map_or_else(
                || (Verdict::Fail, format!("never asked; {}", self.ends())),
                |o| is(o.exit == Exit::Ok, format!("{:?} {}", o.exit, shortened(&o.message))),
            ),
            Expect::Settles => is(self.outcomes.iter().all(Outcome::is_settled), self.ends()),
            Expect::EndsWithin(time) => self.last(|o| {
                is(o.is_settled() && o.took_ms <= millis(*time), format!("{:?} after {:.0} ms", o.exit, o.took_ms))
            }),
            Expect::Stored(name, value) => {
                let found = self.objects.get(*name);
                is(found.is_some_and(|v| value.is_empty() || v == value), format!("{found:?}"))
            }
            Expect::AtMost(prefix, most) => {
                let count = self.objects.keys().filter(|name| name.starts_with(prefix)).count();
                is(count <= *most, format!("{count}"))
            }
            Expect::Mirrors => self.mirrors(),
            Expect::NoCredentialElsewhere => {
                let leaks = self.elsewhere.iter().filter(|h| h.to_lowercase().contains("authorization:")).count();
                is(leaks == 0, format!("{} requests elsewhere, {leaks} with a credential", self.elsewhere.len()))
            }
            _ => self.about_requests(expect),
        }
    }

    /// Expectations about the last operation's answer.
    fn about_the_end(&self, expect: &Expect) -> (Verdict, String) {
        self.last(|end| {
            let told = format!("{:?} {}", end.exit, shortened(&end.message));
            match expect {
                Expect::Succeeds => is(end.exit == Exit::Ok, told),
                Expect::SucceedsOrTells => is(end.exit == Exit::Ok || tells(end), told),
                Expect::Tells if end.exit == Exit::Ok => {
                    (Verdict::NotApplicable, "there was nothing to complain of".into())
                }
                Expect::Tells => is(tells(end), format!("{told} {:?}", end.error_class)),
                // Whoever never answers has not taken anything for a success.
                Expect::Fails => is(end.exit != Exit::Ok, told),
                Expect::FailsOrLists(count) => {
                    let listed = end.result.get("names").and_then(|n| n.as_array()).map_or(0, Vec::len);
                    is(end.exit != Exit::Ok || listed == *count, format!("{told}{listed} listed"))
                }
                Expect::FailsOrReads(value) => {
                    let read = end.result.pointer("/data/v").and_then(|v| v.as_str()).unwrap_or_default();
                    is(end.exit != Exit::Ok || read == value, format!("{told}{} bytes", read.len()))
                }
                Expect::Says(_) if end.exit == Exit::Ok => {
                    (Verdict::NotApplicable, "there was nothing to complain of".into())
                }
                Expect::SaysNot(words) => {
                    let message = end.message.to_lowercase();
                    is(!words.iter().any(|w| message.contains(w)), told)
                }
                Expect::Says(words) => {
                    let message = end.message.to_lowercase();
                    is(end.exit == Exit::Error && words.iter().any(|w| message.contains(w)), told)
                }
                _ => (Verdict::NotApplicable, String::new()),
            }
        })
    }

    /// Expectations about what the server saw.
    fn about_requests(&self, expect: &Expect) -> (Verdict, String) {
        let measured = &self.measured;
        let gaps = format!("{} requests, gaps {:.0?} ms", measured.attempts, measured.gaps_ms);
        let quiet = || (Verdict::NotApplicable, "nothing was repeated".into());
        match expect {
            Expect::Requests(low, high) => is((*low..=*high).contains(&measured.attempts), gaps),
            Expect::PerSecond(_) | Expect::Waits(_) if measured.gaps_ms.is_empty() => quiet(),
            Expect::Grows(_) if measured.gaps_ms.len() < 4 => (Verdict::NotApplicable, "too few waits".into()),
            Expect::Grows(factor) => {
                let (first, later) = measured.gaps_ms.split_at(measured.gaps_ms.len() / 2);
                let mean = |all: &[f64]| all.iter().sum::<f64>() / all.len().max(1) as f64;
                is(mean(later) >= factor * mean(first), gaps)
            }
            Expect::ConnectionsPerSecond(_) if measured.connection_gaps_ms.is_empty() => quiet(),
            Expect::ConnectionsPerSecond(most) => is(
                busiest_second(&measured.connection_gaps_ms) <= *most,
                format!("{} connections, gaps {:.0?} ms", measured.faulty_connections, measured.connection_gaps_ms),
            ),
            Expect::PluginRuns(most) => {
                let runs = measured.plugin_runs.unwrap_or_default();
                is(runs <= *most, format!("{runs}"))
            }
            Expect::PerSecond(most) => is(busiest_second(&measured.gaps_ms) <= *most, gaps),
            Expect::Waits(waits) => {
                let short = measured.gaps_ms.iter().zip(waits).any(|(gap, wait)| *gap + TOLERANCE_MS < millis(*wait));
                is(!short, gaps)
            }
            Expect::Jitter(least) => match measured.jitter {
                Some(jitter) => is(jitter > *least, format!("{jitter:.3}")),
                None => quiet(),
            },
            Expect::RequestsPerOperation(most) => {
                is(measured.requests_per_operation <= *most, format!("{:.2}", measured.requests_per_operation))
            }
            Expect::Lists(most) => is(measured.lists <= *most, format!("{}", measured.lists)),
            Expect::Watches(most) => is(measured.watches <= *most, format!("{}", measured.watches)),
            _ => (Verdict::NotApplicable, String::new()),
        }
    }

    /// The numbers that need more than the requests.
    #[must_use]
    pub fn completed(mut self, checks: &[Check]) -> Self {
        let lost = checks.iter().filter(|check| {
            matches!(check.expect, Expect::Stored(..)) && self.verdict(&check.expect).0 == Verdict::Fail
        });
        self.measured.lost_updates = lost.count();
        self.measured.divergence = self.mirror.as_ref().map(|mirror| {
            let names: BTreeSet<&String> = self.objects.keys().chain(mirror.keys()).collect();
            names.into_iter().filter(|name| self.objects.get(*name) != mirror.get(*name)).count()
        });
        self.measured.exit_class = self.outcomes.last().map(Outcome::class).unwrap_or_default();
        self
    }

    fn mirrors(&self) -> (Verdict, String) {
        let Some(mirror) = &self.mirror else { return (Verdict::Fail, format!("no mirror; {}", self.ends())) };
        let names: BTreeSet<&String> = self.objects.keys().chain(mirror.keys()).collect();
        let unlike = names.into_iter().filter(|name| self.objects.get(*name) != mirror.get(*name));
        let said = |value: Option<&String>| value.map_or_else(|| "nothing".to_owned(), |v| format!("{v:?}"));
        let differences: Vec<String> = unlike
            .map(|name| format!("{name} is {}, mirrored as {}", said(self.objects.get(name)), said(mirror.get(name))))
            .collect();
        is(differences.is_empty(), if differences.is_empty() { "alike".into() } else { differences.join("; ") })
    }

    fn last(&self, judge: impl FnOnce(&Outcome) -> (Verdict, String)) -> (Verdict, String) {
        self.outcomes.last().map_or_else(|| (Verdict::NotApplicable, "nothing was asked".into()), judge)
    }

    fn ends(&self) -> String {
        let ends: Vec<_> =
            self.outcomes.iter().map(|o| format!("{}: {:?} {}", o.op, o.exit, shortened(&o.message))).collect();
        ends.join("; ")
    }
}

/// Whether the client says that it cannot know.
fn tells(end: &Outcome) -> bool {
    end.exit == Exit::Error && end.error_class == Some(ErrorClass::UnknownOutcome)
}

fn is(met: bool, found: String) -> (Verdict, String) {
    (if met { Verdict::Pass } else { Verdict::Fail }, found)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The most requests in any second, by the gaps between them.
fn busiest_second(gaps_ms: &[f64]) -> usize {
    let count = |start: usize| {
        let mut within = 0.0;
        let followers = gaps_ms.iter().skip(start).take_while(|gap| {
            within += **gap;
            within < 1000.0
        });
        1 + followers.count()
    };
    (0..gaps_ms.len()).map(count).max().unwrap_or(1)
}

/// The beginning of a message.
fn shortened(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() > 200 { line.chars().take(200).chain("…".chars()).collect() } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn outcome(exit: Exit, message: &str) -> Outcome {
        serde_json::from_value(json!({"op": "get", "exit": exit, "message": message, "tookMs": 10.0})).unwrap()
    }

    fn evidence(exit: Exit, gaps_ms: &[f64]) -> Evidence {
        Evidence {
            outcomes: vec![outcome(exit, "Too Many Requests")],
            measured: Measured { attempts: gaps_ms.len() + 1, gaps_ms: gaps_ms.to_vec(), ..Measured::default() },
            faulty: true,
            ..Evidence::default()
        }
    }

    fn judge(evidence: &Evidence, expect: Expect) -> Verdict {
        evidence.judge(&Check { id: "x", class: Class::Politeness, expect }).verdict
    }

    #[test]
    fn waits_are_compared_one_by_one_and_a_little_may_be_missing() {
        let waits = || Expect::Waits(vec![Duration::from_secs(1), Duration::from_secs(2)]);
        assert_eq!(judge(&evidence(Exit::Ok, &[995.0, 2000.0, 1.0]), waits()), Verdict::Pass);
        assert_eq!(judge(&evidence(Exit::Ok, &[995.0, 1000.0]), waits()), Verdict::Fail);
        assert_eq!(judge(&evidence(Exit::Error, &[]), waits()), Verdict::NotApplicable);
    }

    #[test]
    fn a_hot_loop_is_many_requests_within_a_second() {
        assert_eq!(busiest_second(&[1.0; 10]), 11);
        assert_eq!(busiest_second(&[5.0, 995.0, 400.0, 400.0, 400.0]), 3);
        assert_eq!(busiest_second(&[]), 1);
    }

    #[test]
    fn waits_grow_when_the_later_half_is_longer() {
        assert_eq!(judge(&evidence(Exit::Ok, &[800.0, 1600.0, 3200.0, 5000.0]), Expect::Grows(1.5)), Verdict::Pass);
        assert_eq!(judge(&evidence(Exit::Ok, &[1000.0; 6]), Expect::Grows(1.5)), Verdict::Fail);
        assert_eq!(judge(&evidence(Exit::Ok, &[1000.0; 3]), Expect::Grows(1.5)), Verdict::NotApplicable);
    }

    #[test]
    fn an_unknown_outcome_is_told_by_its_class() {
        let mut evidence = evidence(Exit::Error, &[]);
        assert_eq!(judge(&evidence, Expect::SucceedsOrTells), Verdict::Fail);
        evidence.outcomes[0].error_class = Some(ErrorClass::UnknownOutcome);
        assert_eq!(judge(&evidence, Expect::SucceedsOrTells), Verdict::Pass);
        assert_eq!(judge(&evidence, Expect::Tells), Verdict::Pass);
        assert_eq!(judge(&evidence, Expect::SucceedsAt(0)), Verdict::Fail);
        assert_eq!(judge(&evidence, Expect::SaysNot(&["too many"])), Verdict::Fail);
    }

    #[test]
    fn what_is_lost_and_what_diverges_is_counted() {
        let mut found = evidence(Exit::Error, &[]);
        found.objects = BTreeMap::from([("a".into(), "1".into()), ("b".into(), "1".into())]);
        found.mirror = Some(BTreeMap::from([("a".into(), "0".into()), ("c".into(), "1".into())]));
        let stored = |value: &str| Check { id: "x", class: Class::Safety, expect: Expect::Stored("a", value.into()) };
        let found = found.completed(&[stored("1"), stored("2")]);
        assert_eq!((found.measured.lost_updates, found.measured.divergence), (1, Some(3)));
        assert_eq!(found.measured.exit_class, "error");
    }

    #[test]
    fn never_is_no_success_and_no_conclusion() {
        let never = evidence(Exit::Never, &[]);
        assert_eq!(judge(&never, Expect::Settles), Verdict::Fail);
        assert_eq!(judge(&never, Expect::FailsOrLists(3)), Verdict::Pass);
        assert_eq!(judge(&never, Expect::Succeeds), Verdict::Fail);
    }

    #[test]
    fn messages_are_searched_in_any_case() {
        assert_eq!(judge(&evidence(Exit::Error, &[]), Expect::Says(&["too many requests"])), Verdict::Pass);
        assert_eq!(judge(&evidence(Exit::Error, &[]), Expect::Says(&["503"])), Verdict::Fail);
        assert_eq!(judge(&evidence(Exit::Ok, &[]), Expect::Says(&["503"])), Verdict::NotApplicable);
    }

    #[test]
    fn a_credential_elsewhere_is_found_in_any_case() {
        let mut evidence = evidence(Exit::Ok, &[]);
        evidence.elsewhere = vec!["GET / HTTP/1.1\r\nhost: x\r\n".into()];
        assert_eq!(judge(&evidence, Expect::NoCredentialElsewhere), Verdict::Pass);
        evidence.elsewhere.push("GET / HTTP/1.1\r\nAuthorization: Bearer t\r\n".into());
        assert_eq!(judge(&evidence, Expect::NoCredentialElsewhere), Verdict::Fail);
    }

    #[test]
    fn what_never_happened_is_not_judged() {
        let mut evidence = evidence(Exit::Ok, &[]);
        evidence.faulty = false;
        assert_eq!(judge(&evidence, Expect::Succeeds), Verdict::NotApplicable);
    }

    #[test]
    fn mirrors_are_compared_by_value() {
        let mut evidence = evidence(Exit::Ok, &[]);
        evidence.objects = BTreeMap::from([("a".into(), "1".into())]);
        assert_eq!(judge(&evidence, Expect::Mirrors), Verdict::Fail);
        evidence.mirror = Some(evidence.objects.clone());
        assert_eq!(judge(&evidence, Expect::Mirrors), Verdict::Pass);
        evidence.mirror = Some(BTreeMap::from([("a".into(), "0".into())]));
        assert_eq!(judge(&evidence, Expect::Mirrors), Verdict::Fail);
    }
}
