//! Flags, the runtime, and measuring two things in turns.

use super::Outcome;
use super::stats::median;
use std::time::{Duration, Instant};

/// Flags behind `cargo bench --`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Put the results into docs/BENCHMARKS.md.
    pub(crate) record: bool,
    /// Fewer objects and rounds: a look, not a result.
    pub(crate) quick: bool,
}

impl Options {
    /// Reads the process's flags; those of cargo are ignored.
    pub(crate) fn parse() -> Self {
        let given = |flag: &str| std::env::args().skip(1).any(|arg| arg == flag);
        Self { record: given("--record"), quick: given("--quick") }
    }

    /// A number of objects or rounds, or the smaller one of a quick look.
    pub(crate) fn count(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }
}

/// A runtime as `rehearsal` has it: a worker per core.
pub(crate) fn runtime() -> Outcome<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// Calls each in turns for a while and returns the median rates, in calls a second, and the median of their ratios.
pub(crate) async fn in_turns(
    rounds: usize,
    ours: &mut impl AsyncFnMut() -> Outcome,
    theirs: &mut impl AsyncFnMut() -> Outcome,
) -> Outcome<Compared> {
    let (mut a, mut b, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    rate(ours, Duration::from_millis(300)).await?;
    rate(theirs, Duration::from_millis(300)).await?;
    for _ in 0..rounds {
        let one = rate(ours, Duration::from_millis(400)).await?;
        let other = rate(theirs, Duration::from_millis(400)).await?;
        a.push(one);
        b.push(other);
        ratios.push(one / other);
    }
    Ok(Compared { ours: median(&mut a), theirs: median(&mut b), ratio: median(&mut ratios) })
}

/// What [`in_turns`] found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compared {
    /// Calls a second.
    pub(crate) ours: f64,
    /// Calls a second.
    pub(crate) theirs: f64,
    /// The median of the rounds' ratios, ours to theirs.
    pub(crate) ratio: f64,
}

#[allow(clippy::cast_precision_loss)]
async fn rate(call: &mut impl AsyncFnMut() -> Outcome, time: Duration) -> Outcome<f64> {
    let begin = Instant::now();
    let mut calls = 0_u64;
    loop {
        call().await?;
        calls += 1;
        if begin.elapsed() >= time {
            return Ok(calls as f64 / begin.elapsed().as_secs_f64());
        }
    }
}
