//! Forks share nothing, and a restored state is the state that was taken.

use crate::api::{self, list, write};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn forks_go_their_own_ways(before in api::writes(15), here in api::writes(15), there in api::writes(15)) {
        api::run(async {
            let server = api::server().await;
            for w in &before {
                write(&server, w).await;
            }
            let fork = server.fork().await.unwrap();
            let at_fork = list(&server).await;
            assert_eq!(list(&fork).await, at_fork);
            for w in &here {
                write(&server, w).await;
            }
            assert_eq!(list(&fork).await, at_fork, "the fork follows its origin");
            let own = list(&server).await;
            for w in &there {
                write(&fork, w).await;
            }
            assert_eq!(list(&server).await, own, "the origin follows its fork");
        });
    }

    #[test]
    fn a_restored_state_is_the_one_that_was_taken(before in api::writes(15), after in api::writes(15), again in api::writes(10)) {
        api::run(async {
            let server = api::server().await;
            for w in &before {
                write(&server, w).await;
            }
            let snapshot = server.snapshot();
            let (taken, _) = list(&server).await;
            for w in &after {
                write(&server, w).await;
            }
            let (_, newest) = list(&server).await;
            server.restore(&snapshot).unwrap();
            let (restored, at) = list(&server).await;
            assert_eq!(restored, taken);
            assert!(at > newest, "revisions went back from {newest} to {at}");
            // The restored state is as good a beginning as any other.
            for w in &again {
                write(&server, w).await;
            }
            let changed = list(&server).await;
            server.restore(&snapshot).unwrap();
            assert_eq!(list(&server).await.0, taken);
            assert!(list(&server).await.1 > changed.1);
        });
    }
}
