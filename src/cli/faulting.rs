//! Fault plans of a run: reading and arming them, and what is said of them at the end.

use anyhow::{Context as _, bail};
use rehearsal_cassettes::firings::{self, Repetition};
use rehearsal_cassettes::format;
use rehearsal_cassettes::format::model::Tape;
use rehearsal_cassettes::proxy::{Abilities, proxy_faults};
use rehearsal_fault_wire::{Faults, State};
use rehearsal_faults::{Plan, Report};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The word that stands for the firings of the tape itself.
const RECORDED: &str = "recorded";

/// The plans of a run, armed.
pub(super) struct Faulting {
    pub(super) faults: Faults,
    /// As they were read; none for a repetition.
    pub(super) plans: Vec<Plan>,
    /// What lanes are called in recorded firings.
    pub(super) lanes: Option<BTreeMap<String, String>>,
    /// What is to be answered from, where firings are repeated.
    pub(super) tape: Option<Tape>,
    /// Recorded firings that are to happen again.
    expected: usize,
}

/// The token of a proxy's admin API: the one that was given, or one that nobody can guess.
///
/// # Errors
/// A machine without randomness.
pub(super) fn admin_token(given: Option<&String>) -> anyhow::Result<String> {
    use rand::TryRngCore as _;
    if let Some(token) = given.filter(|token| !token.is_empty()) {
        return Ok(token.clone());
    }
    let mut bytes = [0_u8; 24];
    rand::rngs::OsRng.try_fill_bytes(&mut bytes).context("randomness for the admin token")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Reads plans.
///
/// # Errors
/// Plans that cannot be read or do not make sense, each with its place, or that share the name of a rule.
pub(super) fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<Plan>> {
    let plans = paths.iter().map(|path| super::faults::read(path)).collect::<anyhow::Result<Vec<_>>>()?;
    match firings::shared_rule(&plans) {
        Some(rule) => bail!("the rule {rule:?} is in two fault plans: what it did could not be told apart"),
        None => Ok(plans),
    }
}

/// Reads plans and arms them.
///
/// # Errors
/// Plans that cannot be read, do not make sense, or are beyond a proxy, each with its place.
pub(super) fn armed(paths: &[PathBuf], abilities: Abilities) -> anyhow::Result<Faulting> {
    let plans = read(paths)?;
    let faults = proxy_faults(abilities);
    for plan in &plans {
        // The text of the error has files and places.
        faults.add(plan).map_err(|error| anyhow::anyhow!("{error}"))?;
    }
    Ok(Faulting { faults, plans, lanes: None, tape: None, expected: 0 })
}

/// The same for a replay, where `recorded` stands for what fired in the recording.
///
/// # Errors
/// As for [`armed`], and a tape whose firings cannot be repeated.
pub(super) fn for_replay(words: &[PathBuf], tape: &Tape, abilities: Abilities) -> anyhow::Result<Faulting> {
    if !words.iter().any(|word| word.as_os_str() == RECORDED) {
        if words.is_empty() && tape.calls().any(|call| !call.faults.is_empty()) {
            eprintln!("rehearsal replay: faults fired in this recording; `--faults recorded` lets them happen again");
        }
        return armed(words, abilities);
    }
    if words.len() > 1 {
        bail!("--faults recorded repeats what fired in the recording; other plans cannot be armed beside it");
    }
    let Repetition { tape, sets, lanes } = Repetition::of(tape)?;
    let faults = proxy_faults(abilities);
    let expected = sets.iter().map(|(_, firings)| firings.len()).sum();
    for (plan, firings) in &sets {
        faults.repeat(plan, firings).map_err(|error| anyhow::anyhow!("the fault plan on the tape: {error}"))?;
    }
    Ok(Faulting { faults, plans: Vec::new(), lanes, tape: Some(tape), expected })
}

/// What came of the plans; taken while they are armed.
pub(super) struct Tally {
    state: State,
    fired: usize,
    expected: usize,
    /// Hash, seed and first silent rule of each plan.
    silent: Vec<String>,
}

impl Faulting {
    /// What has come of the plans so far.
    pub(super) fn tally(&self) -> Tally {
        Tally::of(&self.faults, self.expected)
    }
}

impl Tally {
    /// What has come of these rules so far, of which so many firings are expected to be repeated.
    pub(super) fn of(faults: &Faults, expected: usize) -> Self {
        let state = faults.state();
        let silent = state
            .sets
            .iter()
            .flat_map(|set| {
                let rules = set.rules.iter().map(|rule| rule.tally.clone()).collect();
                let report = Report { seed: set.seed, rules };
                let text = report.to_string();
                let never: Vec<_> = report.never_fired().map(|rule| format!("{}: never fired", rule.rule)).collect();
                let lines = text.lines().filter(|line| never.iter().any(|begin| line.starts_with(begin)));
                lines.map(str::to_owned).collect::<Vec<_>>()
            })
            .collect();
        Self { fired: faults.firings().len(), state, expected, silent }
    }

    /// Says which rules never fired and which failed the run. `true`: everything that was to happen has.
    pub(super) fn tell(&self) -> bool {
        let repeated = self.expected > 0;
        if repeated {
            eprintln!("rehearsal: {} of {} recorded faults happened again", self.fired, self.expected);
        } else {
            self.silent.iter().for_each(|line| eprintln!("rehearsal: fault rule {line}"));
        }
        self.state.failures.iter().for_each(|failure| eprintln!("rehearsal: {failure}"));
        if repeated { self.fired >= self.expected } else { self.silent.is_empty() }
    }

    /// Whether a rule has failed the run.
    pub(super) fn has_failures(&self) -> bool {
        !self.state.failures.is_empty()
    }

    /// One line with all that a repetition needs; none where nothing was armed.
    pub(super) fn reproduction(&self, tape: Option<&Path>, command: &[OsString]) -> Option<String> {
        if self.state.sets.is_empty() {
            return None;
        }
        let mut line = "reproduce:".to_owned();
        if let Some(tape) = tape {
            let _ = write!(line, " rehearsal replay {} --faults recorded", tape.display());
            line += &command_of(command);
            if let Some(hash) = hash_of(tape) {
                let _ = write!(line, " # tape {hash}");
            }
        }
        Some(line + &self.plans(if tape.is_some() { "," } else { "" }))
    }

    /// The same for a run of our own server with these plans and this seed.
    pub(super) fn rerun(&self, plans: &[PathBuf], seed: u64, command: &[OsString]) -> Option<String> {
        if self.state.sets.is_empty() {
            return None;
        }
        let plans: String = plans.iter().map(|path| format!(" --faults {}", quoted(&path.to_string_lossy()))).collect();
        let command = command_of(command);
        Some(format!("reproduce: rehearsal run --seed {seed}{plans}{command} #{}", self.plans("")))
    }

    /// Hash and seed of each plan.
    fn plans(&self, before: &str) -> String {
        self.state.sets.iter().map(|set| format!("{before} plan {} seed {}", set.plan, set.seed)).collect()
    }
}

/// The beginning of the hash that seals a tape.
fn hash_of(tape: &Path) -> Option<String> {
    let sealed = format::load(tape).context("load").ok()?.tape.sealed?;
    Some(sealed.sha256.chars().take(16).collect())
}

/// A command behind `--`, as a shell takes it; nothing for none.
fn command_of(command: &[OsString]) -> String {
    let words: Vec<_> = command.iter().map(|word| quoted(&word.to_string_lossy())).collect();
    if words.is_empty() { String::new() } else { format!(" -- {}", words.join(" ")) }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_as_shells_want_them() {
        assert_eq!(quoted("a/b-c.sh"), "a/b-c.sh");
        assert_eq!(quoted("it's $HOME"), "'it'\\''s $HOME'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn two_plans_with_one_rule_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.yaml");
        std::fs::write(&path, "rules: [{id: slow, do: delay}]").unwrap();
        let error = armed(&[path.clone(), path], Abilities { tls: true, supervises: false }).err().unwrap().to_string();
        assert!(error.contains("\"slow\" is in two fault plans"), "{error}");
    }
}
