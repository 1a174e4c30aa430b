//! Families C and K: views of the store that lag, expire or move, and a clock that is off.

use crate::peer::{MAPS, cluster, get, http2, is_silent, map, names, plan, rule, send, watch};
use rehearsal::Cluster;
use rehearsal::faults::{Fault, Lane, Plan, Rule, Stage};
use serde_json::Value;

fn item_names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().cloned().unwrap_or_default();
    items.iter().map(|item| item["metadata"]["name"].as_str().unwrap_or_default().to_owned()).collect()
}

async fn list(cluster: &Cluster, query: &str) -> Vec<String> {
    item_names(&get(cluster, &format!("{MAPS}{query}")).await.json())
}

#[tokio::test(flavor = "multi_thread")]
async fn c1_stale_read_answers_from_the_past_where_that_is_allowed() {
    let cluster = cluster(rule(Fault::new("stale-read").knob("revisions", 1u64))).await;
    send(&cluster, "POST", MAPS, &map("c")).await;
    assert_eq!(list(&cluster, "?resourceVersion=0").await, ["a", "b"]);
    // A consistent read is consistent.
    assert_eq!(list(&cluster, "").await, ["a", "b", "c"]);
    assert_eq!(get(&cluster, &format!("{MAPS}/c?resourceVersion=0")).await.code(), 404);
    assert_eq!(get(&cluster, &format!("{MAPS}/c")).await.code(), 200);
    // A watch begins in the past and comes to the present.
    let (_, answer) = watch(&cluster, "&resourceVersion=0", 3).await;
    assert_eq!(names(&answer), ["a", "b", "c"]);
    let mut h2 = http2(&cluster).await;
    let stream = h2.get(&format!("{MAPS}?resourceVersion=0")).await;
    assert!(!crate::peer::data(&h2.answer(stream).await).contains("\"name\":\"c\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn c2_time_travel_moves_the_lane_to_a_server_that_stands_still() {
    let cluster = Cluster::builder().controllers(rehearsal::Controllers::none()).start().await.unwrap();
    for name in ["a", "b"] {
        send(&cluster, "POST", MAPS, &map(name)).await;
    }
    let fault = Fault::new("time-travel").knob("revisions", 1u64);
    let travel = Rule::new("it").lane("sut").verb("list").resource("configmaps").fault(fault).count(1);
    let plan = Plan::seed(1).lane("sut", Lane::new().user_agent("raw")).rule(travel);
    let guard = cluster.faults().arm(&plan).unwrap();
    assert_eq!(list(&cluster, "?resourceVersion=0").await, ["a"]);
    send(&cluster, "POST", MAPS, &map("c")).await;
    assert_eq!(list(&cluster, "?resourceVersion=0").await, ["a"], "and it stands still");
    assert_eq!(list(&cluster, "").await, ["a", "b", "c"]);
    let (mut stream, answer) = watch(&cluster, "&resourceVersion=0", 1).await;
    assert_eq!(names(&answer), ["a"]);
    assert!(is_silent(&mut stream).await);
    // Another lane sees the present.
    let other = format!("GET {MAPS}?resourceVersion=0 HTTP/1.1\r\nHost: x\r\nUser-Agent: other\r\n\r\n");
    let answer = crate::peer::exchange(&mut crate::peer::connect(&cluster).await, other.as_bytes()).await;
    assert_eq!(item_names(&answer.json()), ["a", "b", "c"]);
    // A version that the replica has not reached is too large for it.
    let now = cluster.snapshot().revision();
    let answer = get(&cluster, &format!("{MAPS}?resourceVersion={now}")).await;
    assert_eq!(
        (answer.code(), answer.json()["details"]["causes"][0]["reason"].as_str()),
        (504, Some("ResourceVersionTooLarge"))
    );
    guard.finish().unwrap();
    let more =
        crate::peer::read_while(&mut stream, |answer| String::from_utf8_lossy(&answer.raw).lines().count() < 4).await;
    let text = String::from_utf8_lossy(&more.raw).into_owned();
    assert!(text.contains("\"name\":\"b\"") && text.contains("\"name\":\"c\""), "{text}");
    assert_eq!(list(&cluster, "?resourceVersion=0").await, ["a", "b", "c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn c3_future_revision_is_504_with_its_cause() {
    let cluster = cluster(rule(Fault::new("future-revision").knob("delay", "0s"))).await;
    let now = cluster.snapshot().revision();
    let answer = get(&cluster, &format!("{MAPS}?resourceVersion=999999")).await;
    assert_eq!((answer.code(), answer.header("retry-after").as_deref()), (504, Some("1")));
    let status = answer.json();
    assert_eq!(status["message"], format!("Timeout: Too large resource version: 999999, current: {now}"));
    assert_eq!(status["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    let mut h2 = http2(&cluster).await;
    let stream = h2.get(MAPS).await;
    assert!(crate::peer::data(&h2.answer(stream).await).contains("ResourceVersionTooLarge"));
}

#[tokio::test(flavor = "multi_thread")]
async fn c4_continue_expired_brings_a_token_for_the_rest() {
    let cluster = cluster(rule("continue-expired").verb("list").nth(2)).await;
    let first = get(&cluster, &format!("{MAPS}?limit=1")).await.json();
    let token = first["metadata"]["continue"].as_str().unwrap();
    let answer = get(&cluster, &format!("{MAPS}?limit=1&continue={token}")).await;
    let status = answer.json();
    assert_eq!((answer.code(), status["reason"].as_str()), (410, Some("Expired")));
    let fresh = status["metadata"]["continue"].as_str().unwrap();
    assert_ne!(fresh, token);
    assert_eq!(list(&cluster, &format!("?limit=1&continue={fresh}")).await, ["b"]);
    let compacted = crate::peer::cluster(rule(Fault::new("continue-expired").knob("form", "list"))).await;
    let answer = get(&compacted, MAPS).await.json();
    assert_eq!(answer["message"], "The resourceVersion for the provided list is too old.");
    let mut h2 = http2(&compacted).await;
    let stream = h2.get(MAPS).await;
    assert!(crate::peer::data(&h2.answer(stream).await).contains("\"code\":410"));
}

#[tokio::test(flavor = "multi_thread")]
async fn c5_page_mutation_changes_objects_between_pages() {
    let cluster = cluster(rule("page-mutation").verb("list").count(1)).await;
    let before = get(&cluster, &format!("{MAPS}/b")).await.json();
    let first = get(&cluster, &format!("{MAPS}?limit=1")).await.json();
    assert_eq!(item_names(&first), ["a"]);
    let after = get(&cluster, &format!("{MAPS}/b")).await.json();
    assert_ne!(before["metadata"]["resourceVersion"], after["metadata"]["resourceVersion"]);
    // The second page is of the first one's revision all the same.
    let token = first["metadata"]["continue"].as_str().unwrap();
    let second = get(&cluster, &format!("{MAPS}?limit=1&continue={token}")).await.json();
    assert_eq!(second["items"][0]["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn c6_late_visibility_hides_the_lanes_own_write() {
    let clock = rehearsal::Clock::manual("2026-01-02T03:04:05Z".parse().unwrap());
    let rule = rule(Fault::new("late-visibility").knob("lasts", "5s")).verb("create");
    let cluster = crate::peer::with(Cluster::builder().clock(clock.clone()), rule).await;
    let (mut stream, answer) = watch(&cluster, "&resourceVersion=0", 2).await;
    assert_eq!(names(&answer), ["a", "b"]);
    assert_eq!(send(&cluster, "POST", MAPS, &map("c")).await.code(), 201);
    assert_eq!(list(&cluster, "?resourceVersion=0").await, ["a", "b"]);
    assert!(is_silent(&mut stream).await);
    assert!(clock.advance(jiff::SignedDuration::from_secs(6)));
    let event = crate::peer::read_while(&mut stream, |answer| !answer.raw.ends_with(b"\n\r\n")).await;
    assert!(String::from_utf8_lossy(&event.raw).contains("\"name\":\"c\""));
    assert_eq!(list(&cluster, "?resourceVersion=0").await, ["a", "b", "c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn c7_recreate_gives_the_name_a_new_uid() {
    let cluster = cluster(rule("recreate").verb("get").count(1)).await;
    let uid = |object: Value| object["metadata"]["uid"].as_str().unwrap().to_owned();
    let listed = get(&cluster, MAPS).await.json();
    let old = uid(listed["items"][0].clone());
    let (mut stream, _) = watch(&cluster, "&resourceVersion=0", 2).await;
    let new = get(&cluster, &format!("{MAPS}/a")).await.json();
    assert_ne!(uid(new.clone()), old);
    assert_eq!(new["data"]["text"], "grün");
    let seen = crate::peer::read_while(&mut stream, |answer| {
        String::from_utf8_lossy(&answer.raw).matches("\"type\"").count() < 2
    })
    .await;
    let text = String::from_utf8_lossy(&seen.raw).into_owned();
    assert!(text.find("DELETED").unwrap() < text.find("ADDED").unwrap(), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn c8_compact_makes_the_past_too_old() {
    let cluster = cluster(rule("compact").verb("get").count(1)).await;
    let before = get(&cluster, MAPS).await.json()["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    send(&cluster, "POST", MAPS, &map("c")).await;
    assert_eq!(get(&cluster, &format!("{MAPS}/a")).await.code(), 200);
    let (_, answer) = watch(&cluster, &format!("&resourceVersion={before}"), 9).await;
    assert!(answer.text().contains("too old resource version"), "{}", answer.text());
    let list = get(&cluster, &format!("{MAPS}?resourceVersion={before}&resourceVersionMatch=Exact")).await;
    assert_eq!(list.code(), 410);
}

#[tokio::test(flavor = "multi_thread")]
async fn c9_freeze_replica_lets_a_view_stand_still() {
    freeze_and_thaw().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c10_thaw_replica_lets_it_catch_up() {
    freeze_and_thaw().await;
}

/// A lane on replica `b`, which freezes when `b` is created, and thaws when `d` is.
async fn freeze_and_thaw() {
    let cluster = Cluster::builder().controllers(rehearsal::Controllers::none()).start().await.unwrap();
    let on = |id: &str, name: &str, fault: &str| {
        Rule::new(id).verb("create").name(name).at(Stage::AfterCommit).fault(Fault::new(fault).knob("replica", "b"))
    };
    let switch = Fault::new("time-travel").knob("replica", "b").knob("revisions", 0u64);
    let plan = Plan::seed(1)
        .rule(on("freeze", "b", "freeze-replica"))
        .rule(on("thaw", "d", "thaw-replica"))
        .rule(Rule::new("switch").verb("list").resource("configmaps").fault(switch).count(1));
    let guard = cluster.faults().arm(&plan).unwrap();
    for name in ["a", "b", "c"] {
        send(&cluster, "POST", MAPS, &map(name)).await;
    }
    assert_eq!(list(&cluster, "?resourceVersion=0").await, ["a", "b"]);
    send(&cluster, "POST", MAPS, &map("d")).await;
    assert_eq!(list(&cluster, "?resourceVersion=0").await, ["a", "b", "c", "d"]);
    guard.finish().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn k1_skew_clock_shows_in_date_and_timestamps_of_this_cluster_only() {
    let clock = rehearsal::Clock::manual("2026-01-02T03:04:05Z".parse().unwrap());
    let builder = || Cluster::builder().clock(clock.clone());
    let skewed = crate::peer::with(builder(), rule(Fault::new("skew-clock").knob("offset", "-1h")).count(1)).await;
    let other = builder().start().await.unwrap();
    let answer = send(&skewed, "POST", MAPS, &map("c")).await;
    assert_eq!(answer.header("date").as_deref(), Some("fri, 02 jan 2026 02:04:05 gmt"));
    assert_eq!(answer.json()["metadata"]["creationTimestamp"], "2026-01-02T02:04:05Z");
    let answer = send(&other, "POST", MAPS, &map("c")).await;
    assert_eq!(answer.json()["metadata"]["creationTimestamp"], "2026-01-02T03:04:05Z");
    skewed.faults().clear();
    let answer = send(&skewed, "POST", MAPS, &map("d")).await;
    assert_eq!(answer.json()["metadata"]["creationTimestamp"], "2026-01-02T03:04:05Z");
    let drifting = Fault::new("skew-clock").knob("offset", "10s").knob("over", "100s");
    skewed.faults().add(&plan(rule(drifting).verb("list").count(1))).unwrap();
    get(&skewed, MAPS).await;
    assert!(clock.advance(jiff::SignedDuration::from_secs(50)));
    let answer = send(&skewed, "POST", MAPS, &map("e")).await;
    assert_eq!(answer.json()["metadata"]["creationTimestamp"], "2026-01-02T03:05:00Z");
}
