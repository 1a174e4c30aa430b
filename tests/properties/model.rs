//! Any interleaving of writes does what a map in memory would do.

use crate::api::{self, MAPS, Write, call, get, list, map, name, path, revision};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What a config map should hold, and the revision of its last change.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    data: BTreeMap<String, String>,
    revision: u64,
    uid: String,
}

fn data(object: &Value) -> BTreeMap<String, String> {
    serde_json::from_value(object["data"].clone()).unwrap_or_default()
}

fn entry(object: &Value) -> Entry {
    let uid = object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    Entry { data: data(object), revision: revision(object), uid }
}

/// What the model says of a write: the code, and the data afterwards.
fn expected(model: &BTreeMap<u8, Entry>, write: &Write) -> (u16, Option<BTreeMap<String, String>>) {
    let value = |v: &u8| BTreeMap::from([("v".to_owned(), v.to_string())]);
    match write {
        Write::Create(n, _) if model.contains_key(n) => (409, None),
        Write::Create(_, v) => (201, Some(value(v))),
        // Config maps are not created by an update.
        Write::Update(n, _, _) | Write::Patch(n, _) | Write::Delete(n) if !model.contains_key(n) => (404, None),
        Write::Update(_, _, true) => (409, None),
        Write::Update(_, v, false) => (200, Some(value(v))),
        Write::Patch(n, v) => {
            let mut data = model[n].data.clone();
            data.insert("p".into(), v.to_string());
            (200, Some(data))
        }
        Write::Delete(_) => (200, None),
        Write::Elsewhere => (201, None),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn writes_do_what_a_map_does(writes in api::writes(40)) {
        api::run(async {
            let server = api::server().await;
            let mut model: BTreeMap<u8, Entry> = BTreeMap::new();
            let (_, mut newest) = list(&server).await;
            for write in &writes {
                let (code, after) = expected(&model, write);
                let (got, object) = api::write(&server, write).await;
                assert_eq!(got, code, "{write:?}: {object}");
                if let (Some(after), Write::Create(n, _) | Write::Update(n, ..) | Write::Patch(n, _)) = (after, write) {
                    let new = entry(&object);
                    assert_eq!(new.data, after, "{write:?}");
                    match model.insert(*n, new.clone()) {
                        // A write that changes nothing takes no revision; labels count, so compare through the server.
                        Some(old) if old.revision == new.revision => assert_eq!(old.data, new.data),
                        old => {
                            assert!(new.revision > newest, "{write:?}: {} after {newest}", new.revision);
                            assert!(old.is_none_or(|old| old.uid == new.uid));
                            newest = new.revision;
                        }
                    }
                } else if code == 200 && let Write::Delete(n) = write {
                    model.remove(n);
                }
                let (_, now) = list(&server).await;
                assert!(now >= newest, "the list went back from {newest} to {now}");
                assert_eq!(now > newest, got < 300 && matches!(write, Write::Delete(_) | Write::Elsewhere));
                newest = now;
            }
            let (items, _) = list(&server).await;
            let found: BTreeMap<String, Entry> = items.iter().map(|o| (name(o), entry(o))).collect();
            let model: BTreeMap<String, Entry> = model.into_iter().map(|(n, e)| (format!("m{n}"), e)).collect();
            assert_eq!(found, model);
        });
    }

    #[test]
    fn no_update_under_compare_and_swap_is_lost(writers in 2usize..8, rounds in 1usize..6) {
        api::run(async {
            let server = api::server().await;
            call(&server, "POST", MAPS, "application/json", &map(0, 0)).await;
            // Each writer adds one to a counter, again and again until it goes through.
            let add = async || {
                for _ in 0..rounds {
                    loop {
                        let (_, mut seen) = get(&server, &path(0)).await;
                        let count: usize = seen["data"]["v"].as_str().unwrap().parse().unwrap();
                        seen["data"]["v"] = json!((count + 1).to_string());
                        tokio::task::yield_now().await;
                        let (code, _) = call(&server, "PUT", &path(0), "application/json", &seen).await;
                        assert!(code == 200 || code == 409);
                        if code == 200 {
                            break;
                        }
                    }
                }
            };
            let mut all: Vec<_> = (0..writers).map(|_| Box::pin(add())).collect();
            std::future::poll_fn(|cx| {
                all.retain_mut(|writer| writer.as_mut().poll(cx).is_pending());
                if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            }).await;
            let (_, last) = get(&server, &path(0)).await;
            assert_eq!(data(&last)["v"], (writers * rounds).to_string());
        });
    }
}
