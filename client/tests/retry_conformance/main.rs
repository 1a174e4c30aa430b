//! The rows of the retry conformance table over a real socket or a scripted transport, one test a row, and the table of
//! what they measured.
//!
//! Waits are recorded instead of slept, so that every row runs in no time; rows about deadlines use tokio's paused clock.
//! `docs/RETRY_CONFORMANCE.md` is what a run of all rows gives: the last test fails when the file says something else, and
//! writes it when `REHEARSAL_REGENERATE=1`.

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod clients;
mod connections;
mod deadlines;
mod harness;
mod http2;
mod measure;
mod statuses;
mod watches;

use harness::Row;

fn all() -> Vec<Row> {
    let modules =
        [statuses::ROWS, connections::ROWS, watches::ROWS, answers::ROWS, deadlines::ROWS, clients::ROWS, http2::ROWS];
    let mut rows = modules.concat();
    rows.sort_by_key(|row| row.number);
    rows
}

#[test]
fn every_row_has_one_test_with_its_number() {
    let numbers: Vec<_> = all().iter().map(|row| row.number).collect();
    assert_eq!(numbers, (1..=68).collect::<Vec<_>>());
    for row in all() {
        assert!(row.name.starts_with(&format!("row_{:02}_", row.number)), "{}", row.name);
    }
}

#[test]
fn the_table_says_what_a_run_of_all_rows_measures() {
    harness::compare(&harness::render(&all()));
}
