//! What makes a test about a row of the catalogue: it is registered with [`wire_tests`], and at its end the row's fault must
//! have fired, over the version of HTTP that the test is for.

use crate::peer::Wire;
use parking_lot::Mutex;
use rehearsal::faults::{Firing, Stage, catalog};
use rehearsal::{Cluster, Faults, Journal};
use std::collections::BTreeSet;
use std::sync::Arc;

tokio::task_local! {
    static EVIDENCE: Arc<Evidence>;
}

/// What a test has done.
#[derive(Default)]
struct Evidence {
    /// What its observers have spoken.
    spoken: Mutex<BTreeSet<Wire>>,
    /// What the clusters remember that it has met.
    clusters: Mutex<Vec<(Faults, Journal)>>,
}

/// Notes that an observer speaks this version.
pub(crate) fn spoken(wire: Wire) {
    let _ = EVIDENCE.try_with(|evidence| evidence.spoken.lock().insert(wire));
}

/// Notes a cluster whose faults count.
pub(crate) fn met(cluster: &Cluster) {
    let _ = EVIDENCE.try_with(|evidence| evidence.clusters.lock().push((cluster.faults().clone(), cluster.journal())));
}

/// The row that a test is named after, in lower case.
pub(crate) fn row_of(test: &str) -> &str {
    test.split('_').next().unwrap_or_default()
}

/// Runs a test, and looks for the traces of its row's fault.
pub(crate) async fn prove(test: &str, wire: Wire, run: impl Future<Output = ()>) {
    let evidence = Arc::new(Evidence::default());
    EVIDENCE.scope(evidence.clone(), run).await;
    let id = row_of(test);
    let row = catalog::find(id).unwrap_or_else(|| panic!("{test} is not named after a row"));
    let of_row = |firing: &Firing| firing.rule == id;
    assert!(evidence.spoken.lock().contains(&wire), "nobody has spoken {wire:?}");
    let clusters = evidence.clusters.lock();
    let fired = clusters.iter().any(|(faults, journal)| {
        if row.stages == [Stage::Connection] {
            // Nothing is known yet of a connection; what was spoken on it must do.
            return faults.firings().iter().any(of_row);
        }
        let mine = journal.entries().into_iter().filter(|entry| entry.user_agent == wire.user_agent());
        mine.into_iter().any(|entry| entry.faults.firings().iter().any(of_row))
    });
    assert!(fired, "{row:?} has not fired over {wire:?}");
}

/// Registers functions of a [`Wire`] that are named after rows, each over the versions that are named behind it: makes the
/// tests, and the table `PROVED` of what there are tests for.
macro_rules! wire_tests {
    ($($test:ident: $($wire:ident),+;)+) => {
        /// Tests, and the versions that they are for.
        pub(crate) const PROVED: &[(&str, &[$crate::peer::Wire])] =
            &[$((stringify!($test), &[$($crate::peer::Wire::$wire),+])),+];

        $(mod $test {
            $(
                #[tokio::test(flavor = "multi_thread")]
                #[allow(non_snake_case, reason = "named as the version is")]
                async fn $wire() {
                    let wire = $crate::peer::Wire::$wire;
                    $crate::proof::prove(stringify!($test), wire, Box::pin(super::$test(wire))).await;
                }
            )+
        })+
    };
}
pub(crate) use wire_tests;
