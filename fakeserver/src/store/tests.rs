//! The store against a model: every state it ever had, and every event that led there.

use super::*;
use crate::watch::{Cursor, CursorError};
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A draft of an object that holds a number.
pub(crate) fn draft(content: u64) -> Draft {
    let head = format!(r#"{{"data":{{"n":"{content}"}},"metadata":{{"resourceVersion":""#);
    let labels = vec![("n".to_owned(), content.to_string())];
    let header = Header { uid: format!("uid-{content}"), labels, ..Header::default() };
    Draft { hole: head.len(), json: format!("{head}\"}}}}").into_bytes(), header }
}

pub(crate) fn put(collection: &str, key: &str, content: u64, expect: Expect) -> Op {
    Op::Put { collection: collection.into(), key: key.into(), draft: draft(content), expect }
}

pub(crate) fn delete(collection: &str, key: &str) -> Op {
    Op::Delete { collection: collection.into(), key: key.into(), expect: Expect::Any }
}

/// Collection, key → JSON with resourceVersion.
type Model = BTreeMap<(String, String), String>;

fn model_of(snapshot: &Snapshot) -> Model {
    let of = |collection: &Collection| {
        let name = collection.to_string();
        let objects = snapshot.range(collection, "", "");
        objects.map(|(key, object)| ((name.clone(), key.to_owned()), json_of(object))).collect::<Vec<_>>()
    };
    snapshot.collections().flat_map(of).collect()
}

fn json_of(object: &StoredObject) -> String {
    String::from_utf8(object.bytes().to_vec()).unwrap()
}

fn drain(cursor: &mut Cursor) -> Vec<Arc<Event>> {
    std::iter::from_fn(|| cursor.try_next_batch().unwrap()).flatten().collect()
}

fn apply(model: &mut Model, collection: &str, event: &Event) {
    let id = (collection.to_owned(), event.key.to_string());
    match event.kind {
        EventKind::Put => model.insert(id, json_of(&event.object)),
        EventKind::Delete => model.remove(&id),
    };
}

const COLLECTIONS: [&str; 2] = ["pods", "secrets"];
const KEYS: [&str; 5] = ["a/x", "a-b/x", "a/y", "b/x", "node"];

fn any_op() -> impl Strategy<Value = Op> {
    (0..2usize, 0..5usize, 0..9u64, 0..4u8).prop_map(|(collection, key, content, choice)| match choice {
        0 => delete(COLLECTIONS[collection], KEYS[key]),
        1 => put(COLLECTIONS[collection], KEYS[key], content, Expect::Absent),
        2 => put(COLLECTIONS[collection], KEYS[key], content, Expect::Exists),
        _ => put(COLLECTIONS[collection], KEYS[key], content, Expect::Any),
    })
}

/// Runs transactions and returns the state at each revision that ended one.
fn run(store: &MemoryStorage, txns: Vec<Vec<Op>>) -> BTreeMap<Revision, Model> {
    let mut states = BTreeMap::from([(store.snapshot().revision(), model_of(&store.snapshot()))]);
    for ops in txns {
        let before = store.snapshot();
        match store.commit(ops) {
            Ok(committed) => assert_eq!(committed.revision, store.snapshot().revision()),
            Err(_) => assert_eq!(store.snapshot().revision(), before.revision()),
        }
        states.insert(store.snapshot().revision(), model_of(&store.snapshot()));
    }
    states
}

proptest! {
    #[test]
    fn every_past_state_can_be_read_again(txns in prop::collection::vec(prop::collection::vec(any_op(), 1..4), 1..30)) {
        let store = MemoryStorage::new();
        let states = run(&store, txns);
        for (revision, model) in &states {
            let past = store.snapshot_at(*revision).unwrap();
            prop_assert_eq!(past.revision(), *revision);
            prop_assert_eq!(&model_of(&past), model);
            for name in COLLECTIONS {
                let collection = Collection::new(name);
                let part = store.collection_at(&collection, *revision).unwrap();
                prop_assert_eq!(part.collection_revision(name), past.collection_revision(name));
                for prefix in ["", "a/", "a-b/", "b/", "a"] {
                    let keys: Vec<_> = part.range(name, prefix, "").map(|(key, _)| key).collect();
                    let expected: Vec<_> = model.keys()
                        .filter(|(c, key)| c == name && key.starts_with(prefix)).map(|(_, key)| key.as_str()).collect();
                    prop_assert_eq!(part.count(name, prefix), keys.len());
                    prop_assert_eq!(keys, expected);
                }
            }
        }
    }

    #[test]
    fn list_and_watch_add_up_to_the_state(txns in prop::collection::vec(prop::collection::vec(any_op(), 1..4), 1..30)) {
        let store = MemoryStorage::new();
        let states = run(&store, txns);
        let now = store.snapshot();
        for (revision, model) in states {
            let mut model = model;
            for name in COLLECTIONS {
                let mut cursor = store.watch(&name.into(), revision).unwrap();
                for event in drain(&mut cursor) {
                    prop_assert!(event.revision > revision);
                    apply(&mut model, name, &event);
                }
                prop_assert_eq!(cursor.progress(), now.revision());
            }
            prop_assert_eq!(model, model_of(&now));
        }
    }

    #[test]
    fn every_watch_is_a_suffix_of_the_log(txns in prop::collection::vec(prop::collection::vec(any_op(), 1..4), 1..30)) {
        let store = MemoryStorage::new();
        run(&store, txns);
        for name in COLLECTIONS {
            let all: Vec<_> = drain(&mut store.watch(&name.into(), 1).unwrap()).iter().map(|e| e.revision).collect();
            prop_assert!(all.is_sorted_by(|a, b| a < b));
            for from in 1..=store.snapshot().revision() {
                let mut cursor = store.watch(&name.into(), from).unwrap();
                let got: Vec<_> = drain(&mut cursor).iter().map(|e| e.revision).collect();
                let suffix: Vec<_> = all.iter().copied().filter(|r| *r > from).collect();
                prop_assert_eq!(got, suffix);
            }
        }
    }

    #[test]
    fn what_bounds_and_compaction_leave_is_whole(
        txns in prop::collection::vec((prop::collection::vec(any_op(), 1..4), prop::option::weighted(0.1, 0..40u64)), 1..30),
        events in 1..12usize,
        bytes in 0..4_000usize,
    ) {
        let store = MemoryStorage::new().with_limits(Limits { events, bytes, min_events: 2 });
        let mut reader = COLLECTIONS.map(|name| (store.watch(&name.into(), 1).unwrap(), Vec::new()));
        let mut states = BTreeMap::new();
        for (ops, compaction) in txns {
            states.extend(run(&store, vec![ops]));
            for (cursor, seen) in &mut reader {
                match cursor.try_next_batch() {
                    Ok(batch) => seen.extend(batch.into_iter().flatten().map(|event| event.revision)),
                    Err(error) => {
                        // A single transaction was longer than the history.
                        prop_assert_eq!(error, CursorError::Lagged);
                        return Ok(());
                    }
                }
            }
            compaction.into_iter().for_each(|revision| store.compact(revision));
        }
        for (revision, model) in &states {
            match store.snapshot_at(*revision) {
                Ok(past) => prop_assert_eq!(&model_of(&past), model),
                Err(AtError::Compacted { oldest }) => prop_assert!(oldest > *revision),
                Err(error) => prop_assert!(false, "{error}"),
            }
            for (name, (_, seen)) in COLLECTIONS.iter().zip(&reader) {
                let Ok(mut watch) = store.watch(&(*name).into(), *revision) else { continue };
                let got: Vec<_> = drain(&mut watch).iter().map(|event| event.revision).collect();
                let suffix: Vec<_> = seen.iter().copied().filter(|seen| seen > revision).collect();
                prop_assert_eq!(got, suffix);
            }
        }
        prop_assert!(store.snapshot_at(store.snapshot().revision()).is_ok());
    }

    #[test]
    fn headers_survive_packing(
        json in "[a-c]{0,40}",
        uid in "[a-c]{0,20}",
        pairs in prop::collection::vec(("[a-c]{0,20}", "[a-zé]{0,12}"), 0..4),
        owners in prop::collection::vec("[a-c]{0,200}", 0..3),
    ) {
        let fields = pairs.iter().map(|(k, v)| (k.clone().into(), v.clone())).collect();
        let header = Header { uid, labels: pairs.clone(), fields, owners };
        let object = StoredObject::new("k/é", &Draft { hole: json.len(), json: json.into_bytes(), header: header.clone() }, 1, 1);
        let owned = |(k, v): (&str, &str)| (k.to_owned(), v.to_owned());
        prop_assert_eq!((object.key(), object.uid()), ("k/é", header.uid.as_str()));
        prop_assert_eq!(object.labels().map(owned).collect::<Vec<_>>(), pairs.clone());
        prop_assert_eq!(object.fields().map(owned).collect::<Vec<_>>(), pairs);
        prop_assert_eq!(object.owners().collect::<Vec<_>>(), header.owners);
    }

    #[test]
    fn a_restored_state_goes_on_like_any_other(
        before in prop::collection::vec(prop::collection::vec(any_op(), 1..3), 1..8),
        between in prop::collection::vec(prop::collection::vec(any_op(), 1..3), 1..8),
        after in prop::collection::vec(prop::collection::vec(any_op(), 1..3), 1..8),
    ) {
        let store = MemoryStorage::new();
        run(&store, before);
        let saved = store.snapshot();
        let newest = *run(&store, between).last_key_value().unwrap().0;
        store.restore(&saved);
        prop_assert_eq!(model_of(&store.snapshot()), model_of(&saved));
        prop_assert!(store.snapshot().revision() > newest);
        for (revision, model) in run(&store, after) {
            prop_assert_eq!(model_of(&store.snapshot_at(revision).unwrap()), model);
        }
    }

    #[test]
    fn a_fork_and_its_origin_go_their_own_ways(
        before in prop::collection::vec(prop::collection::vec(any_op(), 1..3), 1..10),
        here in prop::collection::vec(prop::collection::vec(any_op(), 1..3), 1..10),
        there in prop::collection::vec(prop::collection::vec(any_op(), 1..3), 1..10),
    ) {
        let origin = MemoryStorage::new();
        let shared = run(&origin, before);
        let fork = origin.fork();
        let states = run(&origin, here);
        let forked = run(&fork, there);
        for (store, own) in [(&origin, &states), (&fork, &forked)] {
            for (revision, model) in shared.iter().chain(own) {
                prop_assert_eq!(&model_of(&store.snapshot_at(*revision).unwrap()), model);
            }
        }
    }
}

#[test]
fn each_op_takes_a_revision_and_finds_what_the_ones_before_left() {
    let store = MemoryStorage::new();
    let ops = vec![put("pods", "a/x", 1, Expect::Absent), put("pods", "a/x", 2, Expect::Exists), delete("pods", "a/x")];
    let committed = store.commit(ops).unwrap();
    assert_eq!(committed.revision, 4);
    let revisions: Vec<_> = committed.objects.iter().flatten().map(|o| (o.revision(), o.create_revision())).collect();
    assert_eq!(revisions, [(2, 2), (3, 2), (3, 2)]);
    assert_eq!(store.snapshot().count("pods", ""), 0);
}

#[test]
fn a_conflict_undoes_the_whole_transaction_and_shows_what_is_there() {
    let store = MemoryStorage::new();
    store.commit(vec![put("pods", "a/x", 1, Expect::Absent)]).unwrap();
    let ops = vec![put("pods", "a/y", 1, Expect::Absent), put("pods", "a/x", 2, Expect::Revision(99))];
    let Err(TxnError::Conflict { op, current }) = store.commit(ops) else { panic!("no conflict") };
    assert_eq!((op, current.unwrap().revision()), (1, 2));
    assert_eq!((store.snapshot().revision(), store.snapshot().count("pods", "a/")), (2, 1));
}

#[test]
fn deleting_nothing_takes_no_revision() {
    let store = MemoryStorage::new();
    let committed = store.commit(vec![delete("pods", "a/x")]).unwrap();
    assert_eq!((committed.revision, committed.objects.len()), (1, 1));
    assert!(committed.objects[0].is_none());
}

#[test]
fn compare_and_swap_loses_no_update() {
    const THREADS: u64 = 4;
    const TIMES: u64 = 100;
    let store = MemoryStorage::new();
    store.commit(vec![put("pods", "counter", 0, Expect::Absent)]).unwrap();
    let increment = || {
        let current = store.snapshot().get("pods", "counter").unwrap();
        let n: u64 = current.label("n").unwrap().parse().unwrap();
        store.commit(vec![put("pods", "counter", n + 1, Expect::Revision(current.revision()))]).is_ok()
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..TIMES).for_each(|_| while !increment() {}));
        }
    });
    let counter = store.snapshot().get("pods", "counter").unwrap();
    assert_eq!(counter.label("n"), Some((THREADS * TIMES).to_string().as_str()));
    assert_eq!(counter.revision(), THREADS * TIMES + 2);
}

#[test]
fn history_beyond_the_bounds_is_compacted() {
    let limits = Limits { events: 10, ..Limits::default() };
    let store = MemoryStorage::new().with_limits(limits);
    store.commit(vec![put("secrets", "a/x", 0, Expect::Absent)]).unwrap();
    let mut slow = store.watch(&"pods".into(), 2).unwrap();
    for n in 0..20 {
        store.commit(vec![put("pods", "a/x", n, Expect::Any)]).unwrap();
    }
    assert_eq!(store.watch(&"pods".into(), 11).err(), Some(AtError::Compacted { oldest: 12 }));
    assert_eq!(store.snapshot_at(11).err(), Some(AtError::Compacted { oldest: 12 }));
    assert_eq!(store.snapshot_at(23).err(), Some(AtError::Future { current: 22 }));
    assert_eq!(drain(&mut store.watch(&"pods".into(), 12).unwrap()).len(), 10);
    assert_eq!(store.snapshot_at(12).unwrap().get("pods", "a/x").unwrap().revision(), 12);
    assert_eq!(store.collection_at(&"secrets".into(), 3).unwrap().count("secrets", ""), 1);
    assert_eq!(slow.try_next_batch().err(), Some(CursorError::Lagged));
}

#[test]
fn history_is_bounded_by_bytes_but_not_below_the_minimum() {
    let limits = Limits { bytes: 1, min_events: 3, ..Limits::default() };
    let store = MemoryStorage::new().with_limits(limits);
    for n in 0..9 {
        store.commit(vec![put("pods", "a/x", n, Expect::Any)]).unwrap();
    }
    assert_eq!(store.watch(&"pods".into(), 1).err(), Some(AtError::Compacted { oldest: 7 }));
}

#[test]
fn compaction_spares_the_revision_itself_and_watches_that_are_ahead() {
    let store = MemoryStorage::new();
    for n in 0..4 {
        store.commit(vec![put("pods", "a/x", n, Expect::Any)]).unwrap();
    }
    let mut idle = store.watch(&"secrets".into(), 1).unwrap();
    let (mut behind, mut ahead) = (store.watch(&"pods".into(), 1).unwrap(), store.watch(&"pods".into(), 3).unwrap());
    store.snapshot_at(2).unwrap();
    store.compact(3);
    assert_eq!(store.snapshot_at(2).err(), Some(AtError::Compacted { oldest: 3 }));
    assert_eq!(store.watch(&"secrets".into(), 2).err(), Some(AtError::Compacted { oldest: 3 }));
    assert_eq!(model_of(&store.snapshot_at(3).unwrap()).len(), 1);
    assert_eq!(behind.try_next_batch().err(), Some(CursorError::Lagged));
    assert_eq!(drain(&mut ahead).len(), 2);
    assert!(idle.try_next_batch().unwrap().is_none());
}

#[test]
fn a_collection_that_begins_to_be_served_has_no_earlier_history() {
    let store = MemoryStorage::starting_at(50);
    store.bump();
    store.begin_history(&"widgets.example.com".into());
    let at = |from| store.watch(&"widgets.example.com".into(), from).err();
    assert_eq!(at(50), Some(AtError::Compacted { oldest: 51 }));
    assert_eq!(at(51), None);
}

#[test]
fn restore_brings_the_objects_back_and_the_revision_forward() {
    let store = MemoryStorage::new();
    store.commit(vec![put("pods", "a/x", 1, Expect::Absent)]).unwrap();
    let saved = store.snapshot();
    let mut cursor = store.watch(&"pods".into(), 2).unwrap();
    let mut future = store.watch(&"secrets".into(), 1000).unwrap();
    store.commit(vec![delete("pods", "a/x"), put("secrets", "a/x", 1, Expect::Absent)]).unwrap();
    store.restore(&saved);
    let now = store.snapshot();
    assert_eq!(now.revision(), 5);
    assert_eq!(model_of(&now), model_of(&saved));
    assert_eq!(now.collection_revision("secrets"), 5);
    assert_eq!(cursor.try_next_batch().err(), Some(CursorError::Closed));
    assert_eq!(future.try_next_batch().err(), Some(CursorError::Closed));
    assert_eq!(store.snapshot_at(3).err(), Some(AtError::Compacted { oldest: 5 }));
    assert!(store.watch(&"pods".into(), 5).is_ok());
}

#[test]
fn a_snapshot_of_a_fork_can_be_restored() {
    let store = MemoryStorage::new();
    let fork = store.fork();
    for n in 0..9 {
        fork.commit(vec![put("pods", "a/x", n, Expect::Any)]).unwrap();
    }
    store.restore(&fork.snapshot());
    assert_eq!(store.snapshot().revision(), 11);
    assert_eq!(model_of(&store.snapshot()), model_of(&fork.snapshot()));
}

#[test]
fn a_range_starts_at_a_key_and_stays_within_the_prefix() {
    let store = MemoryStorage::new();
    for key in ["a/1", "a/2", "a/3", "a-b/1", "b/1"] {
        store.commit(vec![put("pods", key, 0, Expect::Absent)]).unwrap();
    }
    let snapshot = store.snapshot();
    let keys = |prefix, start| snapshot.range("pods", prefix, start).map(|(key, _)| key).collect::<Vec<_>>();
    assert_eq!(keys("", ""), ["a-b/1", "a/1", "a/2", "a/3", "b/1"]);
    assert_eq!(keys("a/", ""), ["a/1", "a/2", "a/3"]);
    assert_eq!(keys("a/", "a/1\0"), ["a/2", "a/3"]);
    assert_eq!(keys("a/", "b/0"), Vec::<&str>::new());
    assert_eq!(snapshot.range("nodes", "", "").count(), 0);
}

#[tokio::test]
async fn waiting_for_a_revision_ends_with_it_or_with_the_time() {
    let store = Arc::new(MemoryStorage::new());
    let short = Duration::from_millis(1);
    assert_eq!(store.wait_for(2, short).await.err(), Some(AtError::Future { current: 1 }));
    let waiter = tokio::spawn({
        let store = store.clone();
        async move { store.wait_for(3, Duration::from_secs(60)).await }
    });
    tokio::task::yield_now().await;
    store.bump();
    store.txn(vec![put("pods", "a/x", 1, Expect::Absent)]).await.unwrap();
    assert_eq!(waiter.await.unwrap().unwrap().revision(), 3);
}

#[test]
fn a_revision_that_is_there_is_not_waited_for() {
    let store = MemoryStorage::new();
    let now = futures::executor::block_on(store.wait_for(1, Duration::from_secs(1)));
    assert_eq!(now.unwrap().revision(), 1);
}

#[test]
fn objects_tell_their_header_and_change_their_revision() {
    let mut draft = draft(7);
    draft.header = Header {
        uid: "u".repeat(300),
        labels: vec![("app".into(), "web".into()), ("empty".into(), String::new())],
        fields: vec![("status.phase".into(), "Running".into()), (String::from("spec.color").into(), "é".into())],
        owners: vec!["o1".into(), "o2".repeat(20_000)],
    };
    let object = StoredObject::new("a/x", &draft, 99, 5);
    assert_eq!((object.key(), object.uid()), ("a/x", draft.header.uid.as_str()));
    assert_eq!((object.label("app"), object.label("empty"), object.label("web")), (Some("web"), Some(""), None));
    assert_eq!((object.field("spec.color"), object.fields().count()), (Some("é"), 2));
    assert_eq!(object.owners().collect::<Vec<_>>(), draft.header.owners);
    assert_eq!(*object.value(), json!({"data": {"n": "7"}, "metadata": {"resourceVersion": "99"}}));
    let moved: serde_json::Value = serde_json::from_slice(&object.with_revision(100)).unwrap();
    assert_eq!(moved["metadata"]["resourceVersion"], "100");
    assert_eq!((object.revision(), object.create_revision()), (99, 5));
}

#[test]
fn a_header_may_stand_in_the_json_or_not() {
    let draft = Draft {
        json: br#"{"metadata":{"labels":{"application":"a long value"},"resourceVersion":""}}"#.to_vec(),
        hole: 72,
        header: Header {
            uid: "resourceVersion\":\"123456789".into(),
            labels: vec![("application".into(), "a long value".into()), ("not there".into(), "nor is this".into())],
            ..Header::default()
        },
    };
    let object = StoredObject::new("x", &draft, 123_456_789, 1);
    assert_eq!(object.uid(), draft.header.uid);
    let labels: Vec<_> = object.labels().collect();
    assert_eq!(labels, [("application", "a long value"), ("not there", "nor is this")]);
}

#[test]
fn an_object_without_header_has_none() {
    let object = StoredObject::new("a/x", &Draft { header: Header::default(), ..draft(1) }, 1, 1);
    assert_eq!((object.uid(), object.labels().count(), object.owners().count()), ("", 0, 0));
}

#[test]
fn same_content_looks_past_the_resource_version_only() {
    let object = StoredObject::new("a/x", &draft(7), 1_234, 5);
    assert!(object.same_content(&draft(7)));
    assert!(!object.same_content(&draft(8)));
    assert!(!object.same_content(&draft(70)));
    assert!(!object.same_content(&Draft { hole: 9_999, ..draft(7) }));
}
