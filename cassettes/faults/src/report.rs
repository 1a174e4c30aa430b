//! What came of a plan: which rules fired and which never did.

use std::fmt;

use serde::Serialize;

/// The tally of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The seed, for a repetition.
    pub seed: u64,
    /// One row a rule, in the order of the plan.
    pub rules: Vec<RuleReport>,
}

/// The tally of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleReport {
    /// Id of the rule.
    pub rule: String,
    /// How many requests met its conditions while it was switched on.
    pub matched: u64,
    /// How often it fired.
    pub fired: u64,
    /// How often it would have fired, had not an earlier rule settled the answer.
    pub shadowed: u64,
    /// The state of a scenario that it waits for, in words; `None` when it is armed.
    #[serde(rename = "waitsFor", skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
}

impl Report {
    /// The rules that never fired.
    pub fn never_fired(&self) -> impl Iterator<Item = &RuleReport> {
        self.rules.iter().filter(|rule| rule.fired == 0)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}", self.seed)?;
        for RuleReport { rule, matched, fired, shadowed, waits_for } in &self.rules {
            let waits = waits_for.as_ref().map_or_else(String::new, |state| format!("; {state}"));
            match (fired, matched, shadowed) {
                (0, 0, _) => writeln!(f, "{rule}: never fired; no request met its conditions{waits}")?,
                (0, _, 1..) => {
                    writeln!(f, "{rule}: never fired; an earlier rule answered first ({shadowed} times){waits}")?;
                }
                (0, ..) => writeln!(f, "{rule}: never fired; {matched} requests met its conditions{waits}")?,
                _ => writeln!(f, "{rule}: fired {fired} times; {matched} requests met its conditions{waits}")?,
            }
        }
        Ok(())
    }
}
