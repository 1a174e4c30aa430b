//! Families C and K: views of the store that lag, expire or move, and a clock that is off.

use crate::peer::{Client, MAPS, Seen, Wire, advancing, bare, cluster, doing, map, plan, send, with};
use rehearsal::faults::{Lane, Plan, Stage};
use rehearsal::{Clock, Cluster};
use serde_json::Value;

crate::proof::wire_tests! {
    c1_stale_read_answers_from_the_past_where_that_is_allowed: Http1, Http2;
    c2_time_travel_moves_the_lane_to_a_server_that_stands_still: Http1, Http2;
    c3_future_revision_is_504_with_its_cause: Http1, Http2;
    c4_continue_expired_brings_a_token_for_the_rest: Http1, Http2;
    c5_page_mutation_changes_objects_between_pages: Http1, Http2;
    c6_late_visibility_hides_the_lanes_own_write: Http1, Http2;
    c7_recreate_gives_the_name_a_new_uid: Http1, Http2;
    c8_compact_makes_the_past_too_old: Http1, Http2;
    c9_freeze_replica_lets_a_view_stand_still: Http1, Http2;
    c10_thaw_replica_lets_it_catch_up: Http1, Http2;
    k1_skew_clock_shows_in_date_and_timestamps_of_this_cluster_only: Http1, Http2;
}

fn item_names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().cloned().unwrap_or_default();
    items.iter().map(|item| item["metadata"]["name"].as_str().unwrap_or_default().to_owned()).collect()
}

async fn list(cluster: &Cluster, wire: Wire, query: &str) -> Vec<String> {
    item_names(&wire.get(cluster, &format!("{MAPS}{query}")).await.json())
}

fn version(object: &Value) -> String {
    object["metadata"]["resourceVersion"].as_str().unwrap().to_owned()
}

async fn c1_stale_read_answers_from_the_past_where_that_is_allowed(wire: Wire) {
    let cluster = cluster(doing("stale-read", &[("revisions", "1")])).await;
    send(&cluster, "POST", MAPS, &map("c")).await;
    assert_eq!(list(&cluster, wire, "?resourceVersion=0").await, ["a", "b"]);
    // A consistent read is consistent.
    assert_eq!(list(&cluster, wire, "").await, ["a", "b", "c"]);
    assert_eq!(wire.get(&cluster, &format!("{MAPS}/c?resourceVersion=0")).await.code, 404);
    assert_eq!(wire.get(&cluster, &format!("{MAPS}/c")).await.code, 200);
    // A watch begins in the past and comes to the present.
    assert_eq!(wire.watched(&cluster, "&resourceVersion=0", 3).await.names(), ["a", "b", "c"]);
}

async fn c2_time_travel_moves_the_lane_to_a_server_that_stands_still(wire: Wire) {
    let cluster = bare(Cluster::builder()).await;
    for name in ["a", "b"] {
        send(&cluster, "POST", MAPS, &map(name)).await;
    }
    let travel = doing("time-travel", &[("revisions", "1")]).lane("sut").verb("list").resource("configmaps").count(1);
    let plan = Plan::seed(1).lane("sut", Lane::new().user_agent("raw*")).rule(travel);
    let guard = cluster.faults().arm(&plan).unwrap();
    assert_eq!(list(&cluster, wire, "?resourceVersion=0").await, ["a"]);
    send(&cluster, "POST", MAPS, &map("c")).await;
    assert_eq!(list(&cluster, wire, "?resourceVersion=0").await, ["a"], "and it stands still");
    assert_eq!(list(&cluster, wire, "").await, ["a", "b", "c"]);
    let mut watch = wire.watch(&cluster, "&resourceVersion=0", 1).await;
    assert!(watch.is_silent().await);
    assert_eq!(watch.seen().names(), ["a"]);
    // Another lane sees the present.
    let other = [("User-Agent", "other")];
    let path = format!("{MAPS}?resourceVersion=0");
    let seen = Client::open(&cluster, wire).await.begin("GET", &path, &other, "").await.all().await;
    assert_eq!(item_names(&seen.json()), ["a", "b", "c"]);
    // A version that the replica has not reached is too large for it.
    let now = cluster.snapshot().revision();
    let seen = wire.get(&cluster, &format!("{MAPS}?resourceVersion={now}")).await;
    assert_eq!((seen.code, seen.header("retry-after").as_deref()), (504, Some("1")));
    assert_eq!(seen.json()["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    guard.finish().unwrap();
    assert_eq!(watch.lines(3).await.names(), ["a", "b", "c"]);
    assert_eq!(list(&cluster, wire, "?resourceVersion=0").await, ["a", "b", "c"]);
}

async fn c3_future_revision_is_504_with_its_cause(wire: Wire) {
    let cluster = cluster(doing("future-revision", &[("delay", "0s")])).await;
    let now = cluster.snapshot().revision();
    let seen = wire.get(&cluster, &format!("{MAPS}?resourceVersion=999999")).await;
    assert_eq!((seen.code, seen.header("retry-after").as_deref()), (504, Some("1")));
    assert_eq!(seen.header("content-type").as_deref(), Some("application/json"));
    let status = seen.json();
    assert_eq!(status["message"], format!("Timeout: Too large resource version: 999999, current: {now}"));
    assert_eq!(status["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    assert_eq!(status["details"]["retryAfterSeconds"], 1);
}

async fn c4_continue_expired_brings_a_token_for_the_rest(wire: Wire) {
    let expired = cluster(doing("continue-expired", &[]).verb("list").nth(2)).await;
    let first = wire.get(&expired, &format!("{MAPS}?limit=1")).await.json();
    let token = first["metadata"]["continue"].as_str().unwrap();
    let seen = wire.get(&expired, &format!("{MAPS}?limit=1&continue={token}")).await;
    let status = seen.json();
    assert_eq!((seen.code, status["reason"].as_str()), (410, Some("Expired")));
    let fresh = status["metadata"]["continue"].as_str().unwrap();
    assert_ne!(fresh, token);
    assert_eq!(list(&expired, wire, &format!("?limit=1&continue={fresh}")).await, ["b"]);
    let compacted = cluster(doing("continue-expired", &[("form", "list")])).await;
    let seen = wire.get(&compacted, MAPS).await;
    let status = seen.json();
    assert_eq!((seen.code, status["reason"].as_str()), (410, Some("Expired")));
    assert_eq!(status["message"], "The resourceVersion for the provided list is too old.");
    assert_eq!(status["metadata"], serde_json::json!({}));
}

async fn c5_page_mutation_changes_objects_between_pages(wire: Wire) {
    let cluster = cluster(doing("page-mutation", &[]).verb("list").count(1)).await;
    let before = wire.get(&cluster, &format!("{MAPS}/b")).await.json();
    let first = wire.get(&cluster, &format!("{MAPS}?limit=1")).await.json();
    assert_eq!(item_names(&first), ["a"]);
    let after = wire.get(&cluster, &format!("{MAPS}/b")).await.json();
    assert_ne!(version(&before), version(&after));
    // The second page is of the first one's revision all the same.
    let token = first["metadata"]["continue"].as_str().unwrap();
    let second = wire.get(&cluster, &format!("{MAPS}?limit=1&continue={token}")).await.json();
    assert_eq!(version(&second["items"][0]), version(&before));
    assert_eq!(version(&second), version(&first));
}

async fn c6_late_visibility_hides_the_lanes_own_write(wire: Wire) {
    let clock = Clock::manual("2026-01-02T03:04:05Z".parse().unwrap());
    let rule = doing("late-visibility", &[("lasts", "5s")]).verb("create");
    let cluster = with(Cluster::builder().clock(clock.clone()), rule).await;
    let mut watch = wire.watch(&cluster, "&resourceVersion=0", 2).await;
    assert_eq!(wire.send(&cluster, "POST", MAPS, &map("c")).await.code, 201);
    assert_eq!(list(&cluster, wire, "?resourceVersion=0").await, ["a", "b"]);
    assert!(watch.is_silent().await);
    assert_eq!(advancing(&clock, watch.lines(3)).await.names(), ["a", "b", "c"]);
    assert_eq!(list(&cluster, wire, "?resourceVersion=0").await, ["a", "b", "c"]);
}

async fn c7_recreate_gives_the_name_a_new_uid(wire: Wire) {
    let cluster = cluster(doing("recreate", &[]).verb("get").count(1)).await;
    let uid = |object: &Value| object["metadata"]["uid"].as_str().unwrap().to_owned();
    let listed = wire.get(&cluster, MAPS).await.json();
    let mut watch = wire.watch(&cluster, "&resourceVersion=0", 2).await;
    let new = wire.get(&cluster, &format!("{MAPS}/a")).await.json();
    assert_ne!(uid(&new), uid(&listed["items"][0]));
    assert_eq!(new["data"]["text"], "grün");
    let seen = watch.lines(4).await;
    assert_eq!(seen.types()[2..], ["DELETED", "ADDED"]);
    assert_eq!(seen.names()[2..], ["a", "a"]);
}

async fn c8_compact_makes_the_past_too_old(wire: Wire) {
    let cluster = cluster(doing("compact", &[]).verb("get").count(1)).await;
    let before = version(&wire.get(&cluster, MAPS).await.json());
    send(&cluster, "POST", MAPS, &map("c")).await;
    assert_eq!(wire.get(&cluster, &format!("{MAPS}/a")).await.code, 200);
    let seen = wire.watched(&cluster, &format!("&resourceVersion={before}"), 9).await;
    assert_eq!((seen.code, seen.types()), (200, vec!["ERROR".to_owned()]));
    assert!(seen.text().contains("too old resource version"), "{}", seen.text());
    let path = format!("{MAPS}?resourceVersion={before}&resourceVersionMatch=Exact");
    let seen = wire.get(&cluster, &path).await;
    assert_eq!((seen.code, seen.json()["reason"].as_str()), (410, Some("Expired")));
}

async fn c9_freeze_replica_lets_a_view_stand_still(wire: Wire) {
    freeze_and_thaw(wire).await;
}

async fn c10_thaw_replica_lets_it_catch_up(wire: Wire) {
    freeze_and_thaw(wire).await;
}

/// A lane on replica `b`, which freezes when `b` is created, and thaws when `d` is.
async fn freeze_and_thaw(wire: Wire) {
    let cluster = bare(Cluster::builder()).await;
    let on =
        |name: &str, fault: &str| doing(fault, &[("replica", "b")]).verb("create").name(name).at(Stage::AfterCommit);
    let switch = doing("time-travel", &[("replica", "b"), ("revisions", "0")]);
    let plan = Plan::seed(1)
        .rule(on("b", "freeze-replica"))
        .rule(on("d", "thaw-replica"))
        .rule(switch.verb("list").resource("configmaps").count(1));
    let guard = cluster.faults().arm(&plan).unwrap();
    for name in ["a", "b", "c"] {
        assert_eq!(wire.send(&cluster, "POST", MAPS, &map(name)).await.code, 201);
    }
    assert_eq!(list(&cluster, wire, "?resourceVersion=0").await, ["a", "b"]);
    let mut watch = wire.watch(&cluster, "&resourceVersion=0", 2).await;
    assert!(watch.is_silent().await);
    assert_eq!(wire.send(&cluster, "POST", MAPS, &map("d")).await.code, 201);
    assert_eq!(list(&cluster, wire, "?resourceVersion=0").await, ["a", "b", "c", "d"]);
    assert_eq!(watch.lines(4).await.names(), ["a", "b", "c", "d"]);
    guard.finish().unwrap();
}

async fn k1_skew_clock_shows_in_date_and_timestamps_of_this_cluster_only(wire: Wire) {
    let clock = Clock::manual("2026-01-02T03:04:05Z".parse().unwrap());
    let builder = || Cluster::builder().clock(clock.clone());
    let skewed = with(builder(), doing("skew-clock", &[("offset", "-1h")]).count(1)).await;
    let other = bare(builder()).await;
    let made = async |cluster: &Cluster, name: &str| wire.send(cluster, "POST", MAPS, &map(name)).await;
    let stamp = |seen: &Seen| seen.json()["metadata"]["creationTimestamp"].as_str().unwrap().to_owned();
    let behind = made(&skewed, "c").await;
    assert_eq!(behind.header("date").as_deref(), Some("Fri, 02 Jan 2026 02:04:05 GMT"));
    assert_eq!(stamp(&behind), "2026-01-02T02:04:05Z");
    assert_eq!(stamp(&made(&other, "c").await), "2026-01-02T03:04:05Z");
    skewed.faults().clear();
    assert_eq!(stamp(&made(&skewed, "d").await), "2026-01-02T03:04:05Z");
    let drifting = doing("skew-clock", &[("offset", "10s"), ("over", "100s")]);
    skewed.faults().add(&plan(drifting.verb("list").count(1))).unwrap();
    wire.get(&skewed, MAPS).await;
    assert!(clock.advance(jiff::SignedDuration::from_secs(50)));
    let drifted = made(&skewed, "e").await;
    assert_eq!(drifted.header("date").as_deref(), Some("Fri, 02 Jan 2026 03:05:00 GMT"));
    assert_eq!(stamp(&drifted), "2026-01-02T03:05:00Z");
}
