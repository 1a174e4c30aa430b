//! Pages of a list, read while the collection changes, are the list as it was at the first page.

use crate::api::{self, MAPS, get, items, list, revision, write};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pages_are_the_snapshot_of_the_first(
        before in api::writes(20),
        between in proptest::collection::vec(api::writes(5), 1..4),
        limit in 1usize..5,
        selected in any::<bool>(),
    ) {
        api::run(async {
            let server = api::server().await;
            for w in &before {
                write(&server, w).await;
            }
            let selector = if selected { "&labelSelector=v+in+(0,1)" } else { "" };
            let (_, whole) = get(&server, &format!("{MAPS}?x=1{selector}")).await;
            let (mut pages, mut token, mut turn) = (Vec::new(), String::new(), between.iter().cycle());
            loop {
                let more = if token.is_empty() { String::new() } else { format!("&continue={token}") };
                let (code, page) = get(&server, &format!("{MAPS}?limit={limit}{selector}{more}")).await;
                assert_eq!(code, 200, "{page}");
                assert_eq!(revision(&page), revision(&whole));
                let some = items(&page);
                pages.extend(some.iter().cloned());
                token = page["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
                if !token.is_empty() {
                    assert_eq!(some.len(), limit, "a page before the last is full");
                }
                if let Some(left) = page["metadata"]["remainingItemCount"].as_u64() {
                    assert_eq!(left as usize, items(&whole).len() - pages.len());
                }
                if token.is_empty() {
                    break;
                }
                for w in turn.next().into_iter().flatten() {
                    write(&server, w).await;
                }
            }
            assert_eq!(pages, items(&whole));
        });
    }

    #[test]
    fn a_list_at_a_revision_is_the_list_of_then(before in api::writes(15), after in api::writes(15)) {
        api::run(async {
            let server = api::server().await;
            for w in &before {
                write(&server, w).await;
            }
            let (then, at) = list(&server).await;
            for w in &after {
                write(&server, w).await;
            }
            let path = format!("{MAPS}?resourceVersion={at}&resourceVersionMatch=Exact");
            let (code, exact) = get(&server, &path).await;
            assert_eq!((code, items(&exact)), (200, then));
            assert_eq!(revision(&exact), at);
        });
    }
}
