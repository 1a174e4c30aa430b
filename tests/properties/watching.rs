//! A watch is the suffix of the log from where it begins: a list and what a watch says afterwards are the state.

use crate::api::{self, MAPS, Write, list, name, revision, write};
use axum::body::Body;
use http_body_util::BodyExt as _;
use proptest::prelude::*;
use rehearsal::FakeServer;
use serde_json::Value;
use std::collections::BTreeMap;

/// A watch that is read to the bookmark which a marker object sets.
struct Watch {
    body: Body,
    rest: Vec<u8>,
}

impl Watch {
    async fn open(server: &FakeServer, options: &str) -> Self {
        let path = format!("{MAPS}?watch=1&{options}");
        let answer = server.call(http::Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status(), 200);
        Self { body: answer.into_body(), rest: Vec::new() }
    }

    async fn event(&mut self) -> Value {
        loop {
            if let Some(end) = self.rest.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return serde_json::from_slice(&line).unwrap();
            }
            let frame = self.body.frame().await.expect("the watch goes on").unwrap();
            self.rest.extend_from_slice(frame.data_ref().unwrap());
        }
    }

    /// All events before the one that adds the marker.
    async fn until_marker(mut self) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let event = self.event().await;
            if name(&event["object"]) == "marker" {
                return events;
            }
            events.push(event);
        }
    }
}

async fn mark(server: &FakeServer) {
    let marker = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "marker", "labels": {"v": "0"}}});
    let (code, _) = api::call(server, "POST", MAPS, "application/json", &marker).await;
    assert_eq!(code, 201);
}

/// An object as lists have it: without its kind, which stands at the list.
fn bare(mut object: Value) -> Value {
    if let Value::Object(members) = &mut object {
        members.remove("kind");
        members.remove("apiVersion");
    }
    object
}

fn by_name(objects: Vec<Value>) -> BTreeMap<String, Value> {
    objects.into_iter().map(|o| (name(&o), bare(o))).collect()
}

/// Applies events to a state, as an informer does; each must fit the state it meets.
fn apply(state: &mut BTreeMap<String, Value>, events: Vec<Value>) {
    for event in events {
        let object = bare(event["object"].clone());
        let known = match event["type"].as_str().unwrap() {
            "ADDED" => state.insert(name(&object), object).is_none(),
            "MODIFIED" => state.insert(name(&object), object).is_some(),
            "DELETED" => state.remove(&name(&object)).is_some(),
            other => panic!("a frame of type {other}: {event}"),
        };
        assert!(known, "this does not follow from the state: {event}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_watch_is_the_suffix_of_the_log(before in api::writes(10), writes in api::writes(20)) {
        api::run(async {
            let server = api::server().await;
            for w in &before {
                write(&server, w).await;
            }
            let (state, start) = list(&server).await;
            let mut starts = vec![(start, by_name(state))];
            for w in &writes {
                write(&server, w).await;
                let (state, at) = list(&server).await;
                starts.push((at, by_name(state)));
            }
            mark(&server).await;
            let log = Watch::open(&server, &format!("resourceVersion={start}")).await.until_marker().await;
            let revisions: Vec<u64> = log.iter().map(|e| revision(&e["object"])).collect();
            assert!(revisions.is_sorted_by(|a, b| a < b), "{revisions:?}");
            let last = starts.last().unwrap().1.clone();
            for (at, mut state) in starts {
                let watch = Watch::open(&server, &format!("resourceVersion={at}")).await.until_marker().await;
                let suffix: Vec<Value> = log.iter().filter(|e| revision(&e["object"]) > at).cloned().collect();
                assert_eq!(watch, suffix, "from {at}");
                apply(&mut state, watch);
                assert_eq!(state, last, "list at {at} + watch");
            }
        });
    }

    #[test]
    fn a_selective_watch_keeps_a_selective_list(before in api::writes(10), writes in api::writes(25), streaming in any::<bool>()) {
        api::run(async {
            let server = api::server().await;
            for w in &before {
                write(&server, w).await;
            }
            let selector = "labelSelector=v+in+(0,2)";
            let (_, first) = api::get(&server, &format!("{MAPS}?{selector}")).await;
            let (options, mut state) = if streaming {
                let options = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true".to_owned();
                (options, BTreeMap::new())
            } else {
                (format!("resourceVersion={}", revision(&first)), by_name(api::items(&first)))
            };
            // Opened before the writes: events arrive live.
            let mut watch = Watch::open(&server, &format!("{selector}&{options}")).await;
            if streaming {
                loop {
                    let event = watch.event().await;
                    if event["type"] == "BOOKMARK" {
                        break;
                    }
                    apply(&mut state, vec![event]);
                }
                assert_eq!(state, by_name(api::items(&first)));
            }
            for w in writes.iter().filter(|w| !matches!(w, Write::Elsewhere)) {
                write(&server, w).await;
            }
            let (_, last) = api::get(&server, &format!("{MAPS}?{selector}")).await;
            mark(&server).await;
            apply(&mut state, watch.until_marker().await);
            assert_eq!(state, by_name(api::items(&last)));
        });
    }
}
