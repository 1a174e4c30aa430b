//! The score card: what was measured and judged of one client, and the points.

use super::driver::Outcome;
use super::measure::{Measured, Seen};
use super::protocol::Client;
use super::scenario::{Class, Group};
use super::verdict::{Judged, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the JSON report. Readers refuse others.
pub const SCHEMA: u32 = 1;

/// One client's card: the JSON report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Card {
    /// Version of this format.
    pub schema_version: u32,
    /// Version of the suite.
    pub suite: String,
    /// The profile.
    pub profile: String,
    /// The day of the run.
    pub date: String,
    /// How long all of it took, in milliseconds.
    pub took_ms: f64,
    /// Who was measured.
    pub client: Client,
    /// The scenarios, in order.
    pub scenarios: Vec<ScenarioResult>,
}

/// One scenario's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScenarioResult {
    /// Its name.
    pub id: String,
    /// What it is scored with.
    pub group: Group,
    /// What it is about.
    pub title: String,
    /// The fault plan.
    pub plan: String,
    /// How long it took, in milliseconds.
    pub took_ms: f64,
    /// What the client said.
    pub outcomes: Vec<Outcome>,
    /// What the server saw, in numbers.
    pub measured: Measured,
    /// What was expected, and what became of it.
    pub checks: Vec<Judged>,
    /// What the server saw, request by request; the first few hundred.
    pub timeline: Vec<Seen>,
}

impl ScenarioResult {
    /// The checks that were not met.
    pub fn failures(&self) -> impl Iterator<Item = &Judged> {
        self.checks.iter().filter(|c| c.verdict == Verdict::Fail)
    }
}

/// Points of one class or group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Points {
    /// Points earned.
    pub earned: u32,
    /// Points that could have been.
    pub possible: u32,
    /// Checks met.
    pub met: u32,
    /// Checks judged.
    pub judged: u32,
}

impl Points {
    fn count(&mut self, check: &Judged, void: bool) {
        let met = match check.verdict {
            Verdict::NotApplicable => return,
            Verdict::Pass => true,
            Verdict::Fail => false,
        };
        let weight = check.class.weight();
        self.judged += 1;
        self.possible += weight;
        self.met += u32::from(met);
        if met && !void {
            self.earned += weight;
        }
    }

    fn add(&mut self, other: Self) {
        self.earned += other.earned;
        self.possible += other.possible;
        self.met += other.met;
        self.judged += other.judged;
    }

    /// Points in percent; 100 where none were to be had.
    #[must_use]
    pub fn percent(&self) -> f64 {
        if self.possible == 0 { 100.0 } else { f64::from(self.earned) * 100.0 / f64::from(self.possible) }
    }
}

impl Card {
    /// The groups in order, with their points and whether a safety check of theirs failed.
    #[must_use]
    pub fn groups(&self) -> BTreeMap<Group, (Points, bool)> {
        let mut groups: BTreeMap<Group, (Points, bool)> = BTreeMap::new();
        for scenario in &self.scenarios {
            groups.entry(scenario.group).or_default().1 |= scenario.failures().any(|c| c.class == Class::Safety);
        }
        for scenario in &self.scenarios {
            let Some((points, void)) = groups.get_mut(&scenario.group) else { continue };
            scenario.checks.iter().for_each(|check| points.count(check, *void));
        }
        groups
    }

    /// The points of all groups.
    #[must_use]
    pub fn total(&self) -> Points {
        let mut total = Points::default();
        self.groups().values().for_each(|(points, _)| total.add(*points));
        total
    }

    /// How many checks of a class were met, out of those judged.
    #[must_use]
    pub fn class(&self, class: Class) -> Points {
        let mut points = Points::default();
        let checks = self.scenarios.iter().flat_map(|s| &s.checks).filter(|c| c.class == class);
        checks.for_each(|check| points.count(check, false));
        points
    }

    /// Whether the scenarios are scored at all.
    #[must_use]
    pub fn is_scored(&self) -> bool {
        self.scenarios.iter().any(|s| !s.checks.is_empty())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::score) fn judged(id: &str, class: Class, verdict: Verdict) -> Judged {
        Judged { id: id.into(), class, expected: "e".into(), verdict, found: "f".into() }
    }

    pub(in crate::score) fn scenario(id: &str, group: Group, checks: Vec<Judged>) -> ScenarioResult {
        ScenarioResult {
            id: id.into(),
            group,
            title: "t".into(),
            plan: String::new(),
            took_ms: 1.0,
            outcomes: Vec::new(),
            measured: Measured::default(),
            checks,
            timeline: Vec::new(),
        }
    }

    pub(in crate::score) fn card(scenarios: Vec<ScenarioResult>) -> Card {
        Card {
            schema_version: SCHEMA,
            suite: "0.0.0".into(),
            profile: "short".into(),
            date: "2026-01-01".into(),
            took_ms: 1.0,
            client: Client { name: "c".into(), version: "1".into(), ..Client::default() },
            scenarios,
        }
    }

    #[test]
    fn an_unsafe_group_is_worth_nothing_and_the_others_are_left_alone() {
        use Verdict::{Fail, NotApplicable, Pass};
        let card = card(vec![
            scenario("one", Group::Watches, vec![judged("a", Class::Liveness, Pass), judged("b", Class::Safety, Fail)]),
            scenario("two", Group::Watches, vec![judged("a", Class::Politeness, Pass)]),
            scenario(
                "three",
                Group::Garbage,
                vec![
                    judged("a", Class::Liveness, Pass),
                    judged("b", Class::Politeness, Fail),
                    judged("c", Class::Diagnostics, NotApplicable),
                ],
            ),
        ]);
        let total = card.total();
        assert_eq!((total.earned, total.possible), (3, 10));
        assert_eq!(card.groups()[&Group::Watches], (Points { earned: 0, possible: 5, met: 2, judged: 3 }, true));
        assert_eq!((card.class(Class::Safety).met, card.class(Class::Safety).judged), (0, 1));
    }

    #[test]
    fn a_card_survives_its_json() {
        let card = card(vec![scenario("one", Group::Watches, vec![judged("a", Class::Liveness, Verdict::Pass)])]);
        assert_eq!(serde_json::from_str::<Card>(&serde_json::to_string(&card).unwrap()).unwrap(), card);
    }
}
