//! Live control: arming over HTTP and in Rust, guards, marks, waits, and what the admin API says to nonsense.

use crate::peer::{Ending, MAPS, connect, exchange, get, request_with, rule};
use rehearsal::Cluster;
use serde_json::{Value, json};

async fn admin(cluster: &Cluster, method: &str, route: &str, body: &str) -> (u16, Value) {
    let bytes = format!(
        "{method} /_rehearsal/v1/{route} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n{body}",
        cluster.admin_token(),
        body.len()
    );
    let answer = exchange(&mut connect(cluster).await, bytes.as_bytes()).await;
    (answer.code(), answer.json())
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_come_and_go_over_http() {
    let cluster = Cluster::start().await.unwrap();
    let plan = "seed: 7\nrules:\n  - {id: lose, when: {verb: list, resource: configmaps}, do: reset}\n";
    let (code, made) = admin(&cluster, "POST", "faults", plan).await;
    assert_eq!(code, 201, "{made}");
    assert_eq!(get(&cluster, MAPS).await.ending, Ending::Reset);
    let (_, fired) = admin(&cluster, "GET", "faults/rules/lose/fired?count=1&timeout=30s", "").await;
    assert_eq!(fired, json!({"rule": "lose", "fired": 1, "reached": true}));
    let (_, fired) = admin(&cluster, "GET", "faults/rules/lose/fired?count=9&timeout=1ms", "").await;
    assert_eq!(fired["reached"], false);
    let of_sut = request_with("GET", MAPS, &[("X-Rehearsal-Lane", "sut")], "");
    assert_eq!(exchange(&mut connect(&cluster).await, &of_sut).await.ending, Ending::Reset);
    for (lane, fired) in [("sut", 1), ("other", 0)] {
        let (_, told) = admin(&cluster, "GET", &format!("faults/rules/lose/fired?lane={lane}&timeout=1ms"), "").await;
        assert_eq!(told, json!({"rule": "lose", "fired": fired, "reached": fired > 0}));
    }
    let (_, state) = admin(&cluster, "GET", "faults", "").await;
    assert_eq!(state["sets"][0]["rules"][0]["fired"], 2);
    assert_eq!(state["sets"][0]["seed"], 7);
    assert_eq!(admin(&cluster, "POST", "faults/rules/lose/disarm", "").await.0, 200);
    assert_eq!(get(&cluster, MAPS).await.code(), 200);
    assert_eq!(admin(&cluster, "POST", "faults/rules/lose/arm", "").await.0, 200);
    assert_eq!(get(&cluster, MAPS).await.ending, Ending::Reset);
    assert_eq!(admin(&cluster, "DELETE", "faults", "").await.0, 200);
    assert_eq!(get(&cluster, MAPS).await.code(), 200);
    let (code, status) =
        admin(&cluster, "PUT", "faults", "rules:\n  - {id: x, when: {resource: pod}, do: reset}\n").await;
    assert_eq!(code, 400);
    let message = status["message"].as_str().unwrap();
    assert!(message.starts_with("body:2:"), "{message}");
    assert!(
        message.ends_with(": rules[0].when.resource: there is no resource `pod`; did you mean `pods`?"),
        "{message}"
    );
    assert_eq!(admin(&cluster, "POST", "faults/rules/none/arm", "").await.0, 404);
    assert_eq!(admin(&cluster, "PATCH", "faults", "").await.0, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_disarms_and_says_what_never_fired() {
    let cluster = Cluster::start().await.unwrap();
    let guard = cluster.faults().inject(rule("reset").resource("configmaps")).unwrap();
    assert_eq!(get(&cluster, MAPS).await.ending, Ending::Reset);
    guard.fired("it", 1).await;
    assert_eq!(guard.finish().unwrap().rules[0].fired, 1);
    assert_eq!(get(&cluster, MAPS).await.code(), 200);
    let guard = cluster.faults().inject(rule("reset").resource("pods")).unwrap();
    let silent = guard.finish().unwrap_err();
    let text = silent.to_string();
    assert!(text.starts_with("it: never fired; no request met its conditions\nreproduce: plan "), "{text}");
    assert!(text.ends_with(" seed 0 rule it"), "{text}");
    let dropped = std::thread::spawn(move || drop(cluster.faults().inject(rule("reset")).unwrap())).join();
    assert!(dropped.is_err());
}
