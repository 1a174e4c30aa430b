//! Every row of the catalogue has a test that is named after it.

use rehearsal::faults::catalog;
use std::collections::BTreeSet;

/// The sources of these tests.
const SOURCES: [&str; 8] = [
    include_str!("connections.rs"),
    include_str!("garbage.rs"),
    include_str!("overload.rs"),
    include_str!("refusals.rs"),
    include_str!("state.rs"),
    include_str!("streams.rs"),
    include_str!("watches.rs"),
    include_str!("writes.rs"),
];

#[test]
fn every_row_of_the_catalogue_has_its_test() {
    let tests: BTreeSet<String> = SOURCES
        .iter()
        .flat_map(|source| source.lines())
        .filter_map(|line| line.trim().strip_prefix("async fn ")?.split('_').next().map(str::to_owned))
        .collect();
    let missing: Vec<_> = catalog::rows().filter(|row| !tests.contains(&row.id.to_lowercase())).collect();
    assert!(missing.is_empty(), "no test for {missing:?}");
}
