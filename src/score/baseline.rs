//! Baselines: what a client was found to do, without times, and what has become worse since.

use super::card::Card;
use super::table;
use super::verdict::Verdict;
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// What is kept of a card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Baseline {
    /// The client, with its version and options.
    pub client: String,
    /// The profile.
    pub profile: String,
    /// By scenario and check whether it was met; checks that could not be judged are left out.
    pub checks: BTreeMap<String, BTreeMap<String, bool>>,
    /// By cell of the table what was found.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cells: BTreeMap<String, String>,
}

impl From<&Card> for Baseline {
    fn from(card: &Card) -> Self {
        let mut checks: BTreeMap<String, BTreeMap<String, bool>> = BTreeMap::new();
        let mut cells = BTreeMap::new();
        for scenario in &card.scenarios {
            if scenario.checks.is_empty() {
                cells.insert(scenario.id.clone(), table::verdict(scenario));
            }
            for check in scenario.checks.iter().filter(|c| c.verdict != Verdict::NotApplicable) {
                let met = check.verdict == Verdict::Pass;
                checks.entry(scenario.id.clone()).or_default().insert(check.id.clone(), met);
            }
        }
        Self { client: card.client.title(), profile: card.profile.clone(), checks, cells }
    }
}

/// How a card differs from its baseline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drift {
    /// Was met, and is not any more; or a cell that says something else.
    pub worse: Vec<String>,
    /// Was not met, and is now.
    pub better: Vec<String>,
    /// Not in the baseline.
    pub new: Vec<String>,
}

impl Baseline {
    /// Reads one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("parse {}", path.display()))
    }

    /// The text of its file.
    ///
    /// # Errors
    /// Never in practice: everything in it can be written.
    pub fn text(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Compares a card with this. Scenarios that were not run are not missed.
    #[must_use]
    pub fn drift(&self, card: &Card) -> Drift {
        let now = Self::from(card);
        let mut drift = Drift::default();
        for (scenario, checks) in &now.checks {
            for (check, met) in checks {
                let name = format!("{scenario}/{check}");
                match (self.checks.get(scenario).and_then(|c| c.get(check)), met) {
                    (Some(true), false) => drift.worse.push(name),
                    (Some(false), true) => drift.better.push(name),
                    (None, _) => drift.new.push(name),
                    _ => {}
                }
            }
        }
        for (id, found) in &now.cells {
            match self.cells.get(id) {
                None => drift.new.push(id.clone()),
                Some(before) if before != found => drift.worse.push(format!("{id}: {found}, not {before}")),
                Some(_) => {}
            }
        }
        drift
    }
}

#[cfg(test)]
mod tests {
    use super::super::card::tests::{card, judged, scenario};
    use super::super::scenario::{Class, Group};
    use super::*;

    #[test]
    fn only_what_was_met_can_become_worse() {
        let of = |a, b| {
            card(vec![scenario(
                "s",
                Group::Watches,
                vec![judged("a", Class::Liveness, a), judged("b", Class::Liveness, b)],
            )])
        };
        let before = Baseline::from(&of(Verdict::Pass, Verdict::Fail));
        assert_eq!(before.drift(&of(Verdict::Pass, Verdict::Fail)), Drift::default());
        let drift = before.drift(&of(Verdict::Fail, Verdict::Pass));
        assert_eq!((drift.worse, drift.better), (vec!["s/a".to_owned()], vec!["s/b".to_owned()]));
        // Whether a check applies may depend on the run.
        assert_eq!(before.drift(&of(Verdict::NotApplicable, Verdict::NotApplicable)), Drift::default());
    }

    #[test]
    fn a_baseline_survives_its_file() {
        let before = Baseline::from(&card(vec![scenario("cell", Group::Table, Vec::new())]));
        assert_eq!(serde_json::from_str::<Baseline>(&before.text().unwrap()).unwrap(), before);
        assert_eq!(before.cells["cell"], "not measured");
    }
}
