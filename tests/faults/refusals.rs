//! Families S and A: refusals with the bytes of the real server, answers of the plan, and orders to the run.

use crate::peer::{
    Answer, Ending, MAPS, cluster, connect, data, exchange, get, http2, map, request, rule, send, types,
};
use rehearsal::Cluster;
use rehearsal::faults::{Fault, Rule};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// The body of a `Status` as the real server writes it.
fn status(rest: &str) -> String {
    format!("{{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{{}},\"status\":\"Failure\",{rest}}}\n")
}

/// Checks code, content type, `Retry-After`, whether flow headers are there, and the body.
fn check(answer: &Answer, code: u16, kind: &str, retry_after: Option<&str>, flow: bool, body: &str) {
    assert_eq!((answer.code(), answer.text().as_str()), (code, body));
    assert_eq!(answer.header("content-type").as_deref(), Some(kind).filter(|kind| !kind.is_empty()));
    assert_eq!(answer.header("retry-after").as_deref(), retry_after);
    assert_eq!(answer.header("x-kubernetes-pf-flowschema-uid").is_some(), flow, "{}", answer.head());
    assert_eq!(answer.ending, Ending::Open);
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const THROTTLED: &str = "Too many requests, please try again later.\n";

/// The same refusal over HTTP/2: its body there.
async fn over_http2(rule: Rule, method: &str, path: &str, body: &str) -> String {
    let cluster = cluster(rule).await;
    let mut h2 = http2(&cluster).await;
    let stream = h2.send(method, path, body).await;
    data(&h2.answer(stream).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_too_many_inflight_is_text_without_flow_headers() {
    let cluster = cluster(rule("too-many-inflight").first(1)).await;
    let answer = get(&cluster, MAPS).await;
    check(&answer, 429, TEXT, Some("1"), false, THROTTLED);
    assert_eq!(answer.header("x-content-type-options").as_deref(), Some("nosniff"));
    assert!(answer.header("audit-id").is_some());
    assert_eq!(get(&cluster, MAPS).await.code(), 200);
    let journal = cluster.journal().entries();
    assert_eq!((journal[0].code, journal[0].faults.firings()[0].rule.as_str()), (429, "it"));
    assert!(journal[1].faults.is_empty());
    assert_eq!(over_http2(rule("too-many-inflight"), "POST", MAPS, &map("c")).await, THROTTLED);
}

#[tokio::test(flavor = "multi_thread")]
async fn s2_apf_reject_has_flow_headers_and_a_ramp() {
    let cluster = cluster(rule("apf-reject")).await;
    for seconds in ["1", "2", "4", "8", "16", "32", "32"] {
        let answer = get(&cluster, MAPS).await;
        check(&answer, 429, TEXT, Some(seconds), true, THROTTLED);
        assert!(answer.header("x-kubernetes-pf-prioritylevel-uid").is_some());
    }
    assert_eq!(over_http2(rule("apf-reject"), "GET", MAPS, "").await, THROTTLED);
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_cache_not_ready_is_a_status() {
    let cluster = cluster(rule(Fault::new("cache-not-ready").knob("retryAfter", 3u64))).await;
    let body = status(
        r#""message":"storage is (re)initializing","reason":"TooManyRequests","details":{"retryAfterSeconds":3},"code":429"#,
    );
    check(&get(&cluster, MAPS).await, 429, JSON, Some("3"), true, &body);
    assert!(over_http2(rule("cache-not-ready"), "GET", MAPS, "").await.contains("(re)initializing"));
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_shutdown_goes_through_its_stages_and_comes_back() {
    let clock = rehearsal::Clock::manual("2026-01-02T03:04:05Z".parse().unwrap());
    let fault = Fault::new("shutdown").knob("delay", "3s").knob("drain", "1s").knob("down", "5s");
    let cluster = crate::peer::with(Cluster::builder().clock(clock.clone()), rule(fault).verb("list").count(1)).await;
    let address = cluster.server().address();
    let advance = |seconds| assert!(clock.advance(jiff::SignedDuration::from_secs(seconds)));
    let mut watching = connect(&cluster).await;
    watching.write_all(&request("GET", &format!("{MAPS}?watch=1"), "")).await.unwrap();
    // It has begun before the signal, or it would be refused.
    let begun = async {
        while !cluster.journal().entries().iter().any(|entry| entry.uri.contains("watch=1")) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::peer::PATIENCE, begun).await.unwrap();
    let mut kept = connect(&cluster).await;
    // The signal: readyz fails at once, everything else is as always.
    assert_eq!(exchange(&mut kept, &request("GET", MAPS, "")).await.code(), 200);
    assert_eq!(get(&cluster, "/readyz").await.code(), 500);
    assert_eq!(get(&cluster, "/livez").await.code(), 200);
    assert_eq!(get(&cluster, MAPS).await.code(), 200);
    // The end of service: watches end cleanly, requests are refused and their connections closed.
    advance(4);
    let answer = crate::peer::read_while(&mut watching, |answer| !answer.is_terminated()).await;
    assert_eq!((types(&answer).len(), answer.ending), (2, Ending::Open));
    let refused = loop {
        let answer = get(&cluster, MAPS).await;
        if answer.code() == 429 {
            break answer;
        }
    };
    check(&refused, 429, TEXT, Some("5"), false, "The apiserver is shutting down, please try again later.\n");
    assert_eq!(refused.header("connection").as_deref(), Some("close"));
    assert_eq!(get(&cluster, "/livez").await.code(), 200);
    let mut h2 = http2(&cluster).await;
    h2.get(MAPS).await;
    let frames = h2.until(|frame| frame.kind == crate::peer::GOAWAY).await;
    assert_eq!(frames.last().unwrap().code(), 0);
    // The port closes, and what is connected ends.
    advance(2);
    let closed = async { while TcpStream::connect(address).await.is_ok() {} };
    tokio::time::timeout(crate::peer::PATIENCE, closed).await.unwrap();
    assert_ne!(crate::peer::read_to_end(&mut kept).await.ending, Ending::Open);
    // And it comes back.
    advance(6);
    let open = async { while TcpStream::connect(address).await.is_err() {} };
    tokio::time::timeout(crate::peer::PATIENCE, open).await.unwrap();
    assert_eq!(get(&cluster, "/readyz").await.code(), 200);
    assert_eq!(get(&cluster, MAPS).await.code(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_shutdown_answers_come_alone_too() {
    for (form, code, retry_after, body) in [
        ("refuse", 429, "5", "The apiserver is shutting down, please try again later.\n".to_owned()),
        (
            "late",
            503,
            "1",
            status(r#""message":"apiserver is shutting down","reason":"ServiceUnavailable","code":503"#) + "\n",
        ),
    ] {
        let cluster = cluster(rule(Fault::new("shutdown").knob("form", form))).await;
        let kind = if form == "refuse" { TEXT } else { JSON };
        check(&get(&cluster, MAPS).await, code, kind, Some(retry_after), false, &body);
    }
    let starting = cluster(rule(Fault::new("shutdown").knob("form", "starting"))).await;
    let answer = get(&starting, MAPS).await;
    assert_eq!((answer.code(), answer.header("retry-after").as_deref()), (503, Some("5")));
}

#[tokio::test(flavor = "multi_thread")]
async fn s5_internal_error_has_four_forms() {
    let of = |form: &str| cluster(rule(Fault::new("internal-error").knob("form", form).knob("text", "boom")));
    let internal = r#""message":"Internal error occurred: boom","reason":"InternalError","details":{"causes":[{"message":"boom"}]},"code":500"#;
    check(&get(&of("internal").await, MAPS).await, 500, JSON, None, true, &status(internal));
    check(&get(&of("storage").await, MAPS).await, 500, JSON, None, true, &status(r#""message":"boom","code":500"#));
    let timeout = r#""message":"The list operation against configmaps could not be completed at this time, please try again.","reason":"ServerTimeout","details":{"name":"list","kind":"configmaps","retryAfterSeconds":2},"code":500"#;
    check(&get(&of("server-timeout").await, MAPS).await, 500, JSON, Some("2"), true, &status(timeout));
    let panicked = "This request caused apiserver to panic. Look in the logs for details.\n";
    assert_eq!(get(&of("panic").await, MAPS).await.text(), panicked);
    assert!(over_http2(rule("internal-error"), "GET", MAPS, "").await.contains("etcdserver: request timed out"));
}

#[tokio::test(flavor = "multi_thread")]
async fn s6_gateway_error_is_a_page_of_somebody_else() {
    let cluster = cluster(rule(Fault::new("gateway-error").knob("status", 503u64))).await;
    let answer = get(&cluster, MAPS).await;
    assert_eq!((answer.code(), answer.header("content-type").as_deref()), (503, Some("text/html")));
    assert!(answer.text().starts_with("<html>"));
    assert_eq!((answer.header("audit-id"), answer.header("cache-control")), (None, None));
    let empty = Fault::new("gateway-error").knob("body", "empty");
    assert_eq!(over_http2(rule(empty), "GET", MAPS, "").await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn s7_request_timeout_is_json_that_says_text() {
    let filter = cluster(rule("request-timeout")).await;
    let body = "{\"metadata\":{},\"status\":\"Failure\",\"message\":\"Timeout: request did not complete within the allotted timeout\",\"reason\":\"Timeout\",\"details\":{},\"code\":504}\n";
    check(&get(&filter, MAPS).await, 504, TEXT, None, false, body);
    assert_eq!(over_http2(rule("request-timeout"), "GET", MAPS, "").await, body);
    let write = cluster(rule(Fault::new("request-timeout").knob("form", "write"))).await;
    let text = r#""message":"Timeout: request did not complete within requested timeout - context deadline exceeded","reason":"Timeout","details":{},"code":504"#;
    check(&send(&write, "POST", MAPS, &map("c")).await, 504, JSON, None, true, &status(text));
}

#[tokio::test(flavor = "multi_thread")]
async fn s8_aggregated_unavailable_is_text_or_a_group_that_is_gone() {
    let down = cluster(rule("aggregated-unavailable")).await;
    assert_eq!(get(&down, "/apis/apps/v1/deployments").await.text(), "service unavailable\n");
    let dial = cluster(rule(Fault::new("aggregated-unavailable").knob("form", "dial"))).await;
    let answer = get(&dial, "/apis/apps/v1/deployments").await;
    assert_eq!(answer.code(), 503);
    assert!(answer.text().starts_with("error trying to reach service: dial tcp "));
    let fault = Fault::new("aggregated-unavailable").knob("form", "hidden").knob("group", "apps");
    let hidden = cluster(rule(fault)).await;
    let groups = get(&hidden, "/apis").await.json();
    let names: Vec<_> = groups["groups"].as_array().unwrap().iter().map(|group| group["name"].clone()).collect();
    assert!(names.contains(&"batch".into()) && !names.contains(&"apps".into()), "{names:?}");
    let answer = get(&hidden, "/apis/apps/v1").await;
    assert_eq!((answer.code(), answer.text().as_str()), (503, "service unavailable\n"));
    assert_eq!(get(&hidden, "/apis/batch/v1").await.code(), 200);
    let aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let bytes = format!("GET /apis HTTP/1.1\r\nHost: x\r\nAccept: {aggregated}\r\n\r\n");
    let list = exchange(&mut connect(&hidden).await, bytes.as_bytes()).await.json();
    assert!(list["items"].as_array().unwrap().iter().all(|item| item["metadata"]["name"] != "apps"), "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn s9_unauthorized_has_no_flow_headers() {
    let cluster = cluster(rule("unauthorized")).await;
    let body = status(r#""message":"Unauthorized","reason":"Unauthorized","code":401"#);
    check(&get(&cluster, MAPS).await, 401, JSON, None, false, &body);
    assert_eq!(over_http2(rule("unauthorized"), "GET", MAPS, "").await, body);
}

#[tokio::test(flavor = "multi_thread")]
async fn s10_forbidden_quotes_who_wanted_what() {
    let cluster = cluster(rule("forbidden")).await;
    let answer = get(&cluster, MAPS).await;
    let text = answer.text();
    assert_eq!(answer.code(), 403);
    assert!(
        text.contains(r#"cannot list resource \"configmaps\" in API group \"\" in the namespace \"default\""#),
        "{text}"
    );
    assert!(text.contains("configmaps is forbidden: User \\\""), "{text}");
    assert!(!text.contains("User \\\"\\\""), "the user is named: {text}");
    assert_eq!(answer.header("x-content-type-options").as_deref(), Some("nosniff"));
    assert!(over_http2(rule("forbidden"), "GET", MAPS, "").await.contains("is forbidden"));
}

#[tokio::test(flavor = "multi_thread")]
async fn s11_conflict_says_that_the_object_was_modified() {
    let cluster = cluster(rule("conflict").first(2)).await;
    let body = status(
        r#""message":"Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again","reason":"Conflict","details":{"name":"a","kind":"configmaps"},"code":409"#,
    );
    let path = format!("{MAPS}/a");
    for _ in 0..2 {
        check(&send(&cluster, "PUT", &path, &map("a")).await, 409, JSON, None, true, &body);
    }
    assert_eq!(send(&cluster, "PUT", &path, &map("a")).await.code(), 200);
    assert_eq!(over_http2(rule("conflict"), "PUT", &path, &map("a")).await, body);
}

#[tokio::test(flavor = "multi_thread")]
async fn s12_already_exists_has_three_bodies() {
    let exists = cluster(rule("already-exists")).await;
    let body = status(
        r#""message":"configmaps \"c\" already exists","reason":"AlreadyExists","details":{"name":"c","kind":"configmaps"},"code":409"#,
    );
    check(&send(&exists, "POST", MAPS, &map("c")).await, 409, JSON, None, true, &body);
    assert_eq!(over_http2(rule("already-exists"), "POST", MAPS, &map("c")).await, body);
    let apply = cluster(rule(Fault::new("already-exists").knob("form", "apply"))).await;
    let text = send(&apply, "PUT", &format!("{MAPS}/a"), &map("a")).await.text();
    assert!(text.contains(r#"Apply failed with 1 conflict: conflict with \"kubectl\": .spec.replicas"#), "{text}");
    assert!(text.contains("FieldManagerConflict"), "{text}");
    let uid = cluster(rule(Fault::new("already-exists").knob("form", "uid"))).await;
    let found = get(&uid, &format!("{MAPS}/a")).await.json()["metadata"]["uid"].as_str().unwrap().to_owned();
    let text = send(&uid, "DELETE", &format!("{MAPS}/a"), "").await.text();
    assert!(text.contains(&found) && text.contains("Conflict"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn s13_not_found_and_gone() {
    let cluster = cluster(rule("not-found").verb("delete")).await;
    let body = status(
        r#""message":"configmaps \"a\" not found","reason":"NotFound","details":{"name":"a","kind":"configmaps"},"code":404"#,
    );
    check(&send(&cluster, "DELETE", &format!("{MAPS}/a"), "").await, 404, JSON, None, true, &body);
    assert_eq!(get(&cluster, &format!("{MAPS}/a")).await.code(), 200, "nothing was done");
    let gone = rule(Fault::new("not-found").knob("form", "gone"));
    assert!(over_http2(gone, "DELETE", &format!("{MAPS}/a"), "").await.contains("\"code\":410"));
}

#[tokio::test(flavor = "multi_thread")]
async fn s14_rejected_has_seven_codes() {
    for code in [400u16, 405, 406, 413, 415, 422, 431] {
        let cluster = cluster(rule(Fault::new("rejected").knob("status", u64::from(code)))).await;
        let answer = send(&cluster, "POST", MAPS, &map("c")).await;
        assert_eq!(answer.code(), code, "{}", answer.text());
        if code == 431 {
            assert_eq!(answer.text(), "431 Request Header Fields Too Large");
            assert_eq!(answer.header("connection").as_deref(), Some("close"));
        } else {
            assert_eq!(answer.json()["code"], code);
        }
    }
    assert!(over_http2(rule("rejected"), "POST", MAPS, &map("c")).await.contains("\"code\":422"));
}

#[tokio::test(flavor = "multi_thread")]
async fn s15_admission_failure_names_the_webhook() {
    let timeout = cluster(rule(Fault::new("admission-failure").knob("delay", "0s"))).await;
    let text = send(&timeout, "POST", MAPS, &map("c")).await.text();
    assert!(text.contains(r#"failed calling webhook \"webhook.example.com\""#), "{text}");
    assert!(text.contains("context deadline exceeded"), "{text}");
    let denied = cluster(rule(Fault::new("admission-failure").knob("form", "denied").knob("message", "no"))).await;
    let answer = send(&denied, "POST", MAPS, &map("c")).await;
    assert_eq!(answer.code(), 400);
    assert!(answer.text().contains(r#"admission webhook \"webhook.example.com\" denied the request: no"#));
    let rule = rule(Fault::new("admission-failure").knob("delay", "0s"));
    assert!(over_http2(rule, "POST", MAPS, &map("c")).await.contains("failed calling webhook"));
}

#[tokio::test(flavor = "multi_thread")]
async fn s16_retry_after_comes_in_every_shape() {
    for (shape, headers) in [
        ("0", &["0"][..]),
        ("60", &["60"]),
        ("-3", &["-3"]),
        ("absent", &[]),
        ("twice(1,9)", &["1", "9"]),
        ("text(soon)", &["soon"]),
    ] {
        let cluster = cluster(rule(Fault::new("retry-after").knob("retryAfter", shape))).await;
        let answer = get(&cluster, MAPS).await;
        assert_eq!(
            (answer.code(), answer.headers("retry-after")),
            (429, headers.iter().map(|h| (*h).to_owned()).collect())
        );
    }
    let clock = rehearsal::Clock::manual("2026-01-02T03:04:05Z".parse().unwrap());
    let fault = Fault::new("retry-after").knob("retryAfter", "date(5s)").knob("status", 503u64);
    let dated = crate::peer::with(Cluster::builder().clock(clock), rule(fault)).await;
    let answer = get(&dated, MAPS).await;
    let date = answer.header("retry-after");
    assert_eq!((answer.code(), date.as_deref()), (503, Some("fri, 02 jan 2026 03:04:10 gmt")));
    assert_eq!(over_http2(rule("retry-after"), "GET", MAPS, "").await, THROTTLED);
}

#[tokio::test(flavor = "multi_thread")]
async fn s17_warning_comes_with_the_proper_answer() {
    let fault = Fault::new("warning").knob("text", "say \"hi\"").knob("times", 2u64);
    let cluster = cluster(rule(fault)).await;
    let answer = get(&cluster, MAPS).await;
    assert_eq!((answer.code(), answer.headers("warning")), (200, vec![r#"299 - "say \"hi\"""#.to_owned(); 2]));
    assert!(over_http2(rule("warning"), "GET", MAPS, "").await.contains("ConfigMapList"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a1_respond_answers_what_the_plan_says() {
    let fault =
        Fault::new("respond").knob("status", 418u64).knob("body", "short and stout").knob("headers", "X-Tea: pot");
    let cluster = cluster(rule(fault)).await;
    let answer = get(&cluster, MAPS).await;
    assert_eq!((answer.code(), answer.text().as_str()), (418, "short and stout"));
    assert_eq!(answer.header("x-tea").as_deref(), Some("pot"));
    let generic = over_http2(rule(Fault::respond(503)), "GET", MAPS, "").await;
    assert!(generic.contains("\"code\":503"), "{generic}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a2_mark_opens_windows() {
    use rehearsal::faults::{Plan, Stage};
    let cluster = Cluster::start().await.unwrap();
    let plan = Plan::seed(1)
        .rule(Rule::new("noted").verb("create").at(Stage::AfterCommit).fault(Fault::new("mark").knob("name", "made")))
        .rule(Rule::new("then").verb("list").resource("configmaps").after_mark("made").fault("too-many-inflight"));
    let guard = cluster.faults().arm(&plan).unwrap();
    assert_eq!(get(&cluster, MAPS).await.code(), 200);
    assert_eq!(send(&cluster, "POST", MAPS, &map("c")).await.code(), 201);
    assert_eq!(get(&cluster, MAPS).await.code(), 429);
    guard.finish().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a3_fail_test_fails_the_guard() {
    let cluster = Cluster::start().await.unwrap();
    let fault = Fault::new("fail-test").knob("message", "nobody may delete");
    let guard = cluster.faults().inject(rule(fault).verb("delete")).unwrap();
    assert_eq!(send(&cluster, "DELETE", &format!("{MAPS}/none"), "").await.code(), 404);
    let failed = guard.finish().unwrap_err();
    assert!(failed.failures[0].starts_with("nobody may delete (reproduce: plan "), "{failed}");
}

/// An order to the supervised client, as whoever supervises it hears it.
async fn ordered(fault: &str) -> rehearsal::fault_wire::ClientSignal {
    let cluster = Cluster::start().await.unwrap();
    let mut signals = cluster.faults().signals();
    let _guard = cluster.faults().inject(rule(fault).verb("create")).unwrap();
    assert_eq!(send(&cluster, "POST", MAPS, &map("c")).await.code(), 201);
    signals.recv().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a4_kill_client_is_told_to_the_supervisor() {
    assert_eq!(ordered("kill-client").await.order, rehearsal::faults::ClientOrder::Kill);
}

#[tokio::test(flavor = "multi_thread")]
async fn a5_restart_client_is_told_to_the_supervisor() {
    let signal = ordered("restart-client").await;
    assert_eq!((signal.order, signal.lasts.as_secs()), (rehearsal::faults::ClientOrder::Restart, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a6_pause_client_is_told_to_the_supervisor() {
    let signal = ordered("pause-client").await;
    assert_eq!((signal.order, signal.lasts.as_secs()), (rehearsal::faults::ClientOrder::Pause, 30));
}
