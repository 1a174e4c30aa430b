//! What a row is, how it is played, and how the measurements of all rows become the table.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

/// A row: its number, the name of its test, and what plays it. Playing it fails where it does not measure what it must.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) number: u8,
    pub(crate) name: &'static str,
    pub(crate) play: fn() -> Vec<Case>,
}

/// Lists the rows of a module, and makes a test of each. `real` rows use sockets and record their waits, `paused` ones
/// tokio's paused clock.
macro_rules! rows {
    ($($clock:ident $number:literal $name:ident;)*) => {
        pub(crate) const ROWS: &[crate::harness::Row] = &[$(crate::harness::Row {
            number: $number,
            name: stringify!($name),
            play: || crate::harness::$clock($name()),
        }),*];

        mod tests {
            $(#[test]
            fn $name() {
                assert!(!crate::harness::$clock(super::$name()).is_empty());
            })*
        }
    };
}
pub(crate) use rows;

pub(crate) fn real(row: impl Future<Output = Vec<Case>>) -> Vec<Case> {
    play(row, false)
}

pub(crate) fn paused(row: impl Future<Output = Vec<Case>>) -> Vec<Case> {
    play(row, true)
}

fn play(row: impl Future<Output = Vec<Case>>, paused: bool) -> Vec<Case> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(paused).build().unwrap();
    runtime.block_on(row)
}

/// One thing done and what was measured.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    entry: String,
    stimulus: String,
    attempts: usize,
    gaps: Vec<Duration>,
    outcome: String,
}

impl Case {
    /// Something done, by way of an entry, against a stimulus; nothing is measured yet.
    pub(crate) fn new(entry: impl Into<String>, stimulus: impl Into<String>) -> Self {
        Self { entry: entry.into(), stimulus: stimulus.into(), attempts: 0, gaps: Vec::new(), outcome: String::new() }
    }

    /// Notes what was measured.
    pub(crate) fn measured(mut self, attempts: usize, gaps: Vec<Duration>, outcome: impl Into<String>) -> Self {
        (self.attempts, self.gaps, self.outcome) = (attempts, gaps, outcome.into());
        self
    }

    /// Says more about the outcome.
    pub(crate) fn with_outcome(mut self, outcome: String) -> Self {
        self.outcome = outcome;
        self
    }

    /// What must have been measured; the gaps as the table writes them.
    pub(crate) fn must_be(self, attempts: usize, gaps: &str, outcome: &str) -> Self {
        let measured = (self.attempts, text_of_gaps(&self.gaps), self.outcome.clone());
        assert_eq!(measured, (attempts, gaps.to_owned(), outcome.to_owned()), "{}: {}", self.entry, self.stimulus);
        self
    }
}

/// Equal neighbours as one: `1 s ×3, 2 s`; a dash for none.
fn text_of_gaps(gaps: &[Duration]) -> String {
    if gaps.is_empty() {
        return "—".into();
    }
    let runs = gaps.chunk_by(|a, b| a == b).map(|run| {
        let seconds = run[0].as_secs_f64();
        if run.len() == 1 { format!("{seconds} s") } else { format!("{seconds} s ×{}", run.len()) }
    });
    runs.collect::<Vec<_>>().join(", ")
}

const HEAD: &str = "# Retry conformance

What the client did in each row of client-go's retry behaviour, as measured by the last run of
`client/tests/retry_conformance`. **Do not edit:** `REHEARSAL_REGENERATE=1 cargo test -p rehearsal-client --test
retry_conformance` writes this file, and without the variable the same command fails when the file is stale. A row that
does not measure what it must fails its own test and the writing of this table.

Entries: **D** reads one whole answer (`send`, `do_raw`, `into`), **S** hands a body out (`stream`), **W** decodes a watch
(`watch`); *mr* is `max_retries`, 10 where nothing is said; *RA* is the header `Retry-After`. Attempts are requests as the
peer or the transport counted them. Gaps are the waits between attempts, recorded by the backoff manager or read from the
paused clock.

| # | Entry | Stimulus | Attempts | Gaps | Outcome |
|--:|---|---|--:|---|---|
";

/// Plays all rows, and writes the table of what they measured.
pub(crate) fn render(rows: &[Row]) -> String {
    let mut text = HEAD.to_owned();
    let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    for row in rows {
        for (index, case) in (row.play)().iter().enumerate() {
            let number = if index == 0 { row.number.to_string() } else { String::new() };
            let Case { entry, stimulus, attempts, gaps, outcome } = case;
            let (stimulus, gaps, outcome) = (cell(stimulus), text_of_gaps(gaps), cell(outcome));
            writeln!(text, "| {number} | {entry} | {stimulus} | {attempts} | {gaps} | {outcome} |").unwrap();
        }
    }
    text
}

/// Compares with the committed table, or writes it.
pub(crate) fn compare(measured: &str) {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/RETRY_CONFORMANCE.md"));
    if std::env::var("REHEARSAL_REGENERATE").is_ok_and(|v| v == "1") {
        // Another run must never read half a table.
        let partial = path.with_extension(format!("md.{}", std::process::id()));
        std::fs::write(&partial, measured).unwrap();
        std::fs::rename(&partial, &path).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let differing = measured.lines().zip(committed.lines()).find(|(a, b)| a != b);
    assert!(
        measured == committed,
        "docs/RETRY_CONFORMANCE.md is stale, run again with REHEARSAL_REGENERATE=1; first difference: {differing:?}"
    );
}
