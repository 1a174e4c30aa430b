//! Every row of the catalogue has its test over every version of HTTP that it exists on.
//!
//! What counts is the table that makes the tests (`wire_tests!`), and each of them fails when its row's fault has not fired
//! over its version. So nothing is covered by a name alone.

use crate::peer::Wire;
use crate::{connections, garbage, overload, proof, refusals, state, streams, watches, writes};
use rehearsal::faults::catalog::{self, Protocols, Row};
use std::collections::BTreeSet;

fn wires(row: &Row) -> &'static [Wire] {
    match row.protocols {
        Protocols::Any => &[Wire::Http1, Wire::Http2],
        Protocols::Http1 => &[Wire::Http1],
        Protocols::Http2 => &[Wire::Http2],
    }
}

#[test]
fn every_row_has_its_test_over_every_version_and_no_other() {
    let proved = [
        connections::PROVED,
        garbage::PROVED,
        overload::PROVED,
        refusals::PROVED,
        state::PROVED,
        streams::PROVED,
        watches::PROVED,
        writes::PROVED,
    ];
    let proved: BTreeSet<(String, Wire)> = proved
        .into_iter()
        .flatten()
        .flat_map(|(test, wires)| wires.iter().map(|wire| (proof::row_of(test).to_owned(), *wire)))
        .collect();
    let wanted: BTreeSet<(String, Wire)> =
        catalog::rows().flat_map(|row| wires(row).iter().map(|wire| (row.id.to_lowercase(), *wire))).collect();
    let missing: Vec<_> = wanted.difference(&proved).collect();
    assert!(missing.is_empty(), "no test for {missing:?}");
    let unknown: Vec<_> = proved.difference(&wanted).collect();
    assert!(unknown.is_empty(), "tests of what the catalogue has not: {unknown:?}");
}
