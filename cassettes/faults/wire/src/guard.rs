//! [`Guard`]: a plan that is armed for as long as it is held, and a complaint when a rule of it never fired.

use crate::control::Faults;
use crate::ruleset::{Reproduction, RuleSet};
use rehearsal_faults::Report;
use std::fmt;
use std::sync::Arc;

/// Keeps a plan armed. Dropping it disarms the plan; nothing of it fires afterwards.
///
/// A test whose fault never happened has tested nothing, so a rule that never fired is a failure:
/// [`finish`](Self::finish) returns it, and a guard that is merely dropped panics, unless a panic is under way or
/// [`lenient`](Self::lenient) was called.
#[must_use = "dropping the guard disarms the plan"]
#[derive(Debug)]
pub struct Guard {
    faults: Faults,
    set: Option<Arc<RuleSet>>,
    lenient: bool,
}

/// Rules that never fired, and failures that rules have called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct NeverFired {
    /// One line a rule that never fired.
    pub rules: Vec<String>,
    /// What `fail-test` rules said.
    pub failures: Vec<String>,
    /// The first rule that never fired, for a repetition.
    pub reproduction: Option<Reproduction>,
}

impl fmt::Display for NeverFired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.rules.iter().chain(&self.failures) {
            writeln!(f, "{line}")?;
        }
        match &self.reproduction {
            Some(reproduction) => write!(f, "{reproduction}"),
            None => Ok(()),
        }
    }
}

impl Guard {
    pub(crate) fn new(faults: Faults, set: Arc<RuleSet>) -> Self {
        Self { faults, set: Some(set), lenient: false }
    }

    /// Lets rules be that never fired.
    pub fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }

    /// What has fired so far.
    #[must_use]
    pub fn report(&self) -> Report {
        match &self.set {
            Some(set) => set.engine.report(),
            None => Report { seed: 0, rules: Vec::new() },
        }
    }

    /// How often a rule has fired; 0 for one that the plan does not have.
    #[must_use]
    pub fn count(&self, rule: &str) -> u64 {
        self.report().rules.iter().find(|row| row.rule == rule).map_or(0, |row| row.fired)
    }

    /// Waits until a rule has fired so often; for ever when the plan has no such rule. Cancel-safe.
    pub async fn fired(&self, rule: &str, times: u64) {
        loop {
            let changed = self.faults.changed();
            let mut changed = std::pin::pin!(changed);
            if futures::poll!(changed.as_mut()).is_ready() {
                continue;
            }
            if self.count(rule) >= times {
                return;
            }
            changed.await;
        }
    }

    /// Disarms the plan.
    ///
    /// # Errors
    /// Rules that never fired (unless [`lenient`](Self::lenient)), and failures that rules have called.
    pub fn finish(mut self) -> Result<Report, NeverFired> {
        let report = self.report();
        let outcome = self.verdict(&report);
        self.disarm();
        outcome.map(|()| report)
    }

    fn verdict(&self, report: &Report) -> Result<(), NeverFired> {
        let silent: Vec<_> = report.never_fired().filter(|_| !self.lenient).collect();
        let failures = self.faults.failures();
        if silent.is_empty() && failures.is_empty() {
            return Ok(());
        }
        let text = report.to_string();
        let line = |rule: &str| text.lines().find(|line| line.starts_with(&format!("{rule}: "))).map(str::to_owned);
        let reproduction = silent.first().and_then(|rule| Some(self.set.as_ref()?.reproduction(&rule.rule)));
        Err(NeverFired { rules: silent.iter().filter_map(|rule| line(&rule.rule)).collect(), failures, reproduction })
    }

    fn disarm(&mut self) {
        if let Some(set) = self.set.take() {
            self.faults.remove(set.id);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.set.is_none() {
            return;
        }
        let report = self.report();
        let outcome = self.verdict(&report);
        self.disarm();
        if let Err(silent) = outcome {
            assert!(std::thread::panicking(), "{silent}");
            eprintln!("{silent}");
        }
    }
}
