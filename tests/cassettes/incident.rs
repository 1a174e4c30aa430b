//! The recorded incident of `examples/incident`: the bug shows on the tape, the fix does not have it, and little of the
//! tape is needed to show it.

#[path = "../../examples/incident/controller.rs"]
mod controller;

use crate::support::{Engine, answering, config, whole};
use controller::{Outcome, Settings, run};
use rehearsal::hydrate::{Hydrate, HydrateOptions, HydrateReport};
use rehearsal_cassettes::format::model::Tape;
use rehearsal_cassettes::format::{Seal, load, load_bytes, seal, to_text};
use rehearsal_cassettes::reduce::{Judge, Judgement, OutOfBudget, minimize, size};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

const LANE: &str = "controller";

fn path() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/incident/incident.tape.yaml")
}

async fn play(tape: &Tape, fixed: bool, quiet: u64) -> (Outcome, HydrateReport) {
    let options = HydrateOptions {
        lanes: Some(BTreeSet::from([LANE.to_owned()])),
        patience: Duration::from_millis(quiet / 3),
        ..HydrateOptions::default()
    };
    let hydrate = Hydrate::start(tape, options).await.unwrap();
    let proxy = answering(&Engine::Living(hydrate.clone()), &[LANE]).await;
    let settings = Settings { fixed, quiet: Duration::from_millis(quiet) };
    let outcome = run(&config(&proxy.kubeconfig(LANE)), settings).await.unwrap();
    let report = hydrate.report().await;
    proxy.shutdown().await;
    (outcome, report)
}

/// Runs the controller with the bug.
struct Controller {
    runtime: tokio::runtime::Runtime,
    runs: usize,
    /// Milliseconds without an event after which nothing is taken to come any more.
    quiet: u64,
}

impl Judge for Controller {
    fn judge(&mut self, candidate: &Tape) -> Result<Judgement, OutOfBudget> {
        self.runs += 1;
        // As a file would be read again: what minimising leaves must be a tape.
        let mut sealed = candidate.clone();
        seal(&mut sealed);
        let tape = load_bytes(to_text(&sealed).as_bytes()).unwrap().tape;
        let (outcome, _) = self.runtime.block_on(play(&tape, false, self.quiet));
        Ok(if matches!(outcome, Outcome::TwoClaims(_)) { Judgement::Fails } else { Judgement::Passes })
    }
}

#[tokio::test]
async fn the_bug_shows_on_the_tape_and_the_fix_does_not_have_it() {
    assert_eq!(load(&path()).unwrap().seal, Seal::Intact);
    let tape = whole(&path());
    // The bug is a race: on a busy machine it may strike another app than it did. Then it is played again.
    let wanted = Outcome::TwoClaims("checkout".to_owned());
    let (mut outcome, mut report) = play(&tape, false, 2000).await;
    for _ in 0..9 {
        if outcome == wanted {
            break;
        }
        (outcome, report) = play(&tape, false, 2000).await;
    }
    assert_eq!(outcome, wanted, "{report}");
    assert!(report.is_faithful(), "{report}");
    let (outcome, report) = play(&tape, true, 2000).await;
    assert_eq!(outcome, Outcome::Calm(4), "{report}");
    assert!(report.diverged.is_empty() && report.missed.len() == 1, "{report}");
}

#[test]
fn a_handful_of_interactions_shows_the_bug() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut judge = Controller { runtime, runs: 0, quiet: 2000 };
    let tape = whole(&path());
    // A busy machine takes its time: no pause within the whole tape is longer than the whole takes now.
    let began = tokio::time::Instant::now();
    assert_eq!(judge.judge(&tape), Ok(Judgement::Fails));
    judge.quiet = u64::try_from(began.elapsed().as_millis()).unwrap().clamp(150, 2000);
    let (small, done) = minimize(&tape, &mut judge);
    let (calls, frames) = size(&small);
    judge.quiet = 2000;
    let began = tokio::time::Instant::now();
    assert_eq!(judge.judge(&small), Ok(Judgement::Fails));
    println!(
        "{:?} to {calls} calls, {frames} frames in {} runs; shows in {:?}",
        size(&tape),
        judge.runs,
        began.elapsed()
    );
    assert!(done && calls <= 10, "{calls} calls left");
}
