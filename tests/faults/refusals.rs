//! Families S and A: refusals with the bytes of the real server, answers of the plan, and orders to the run.

use crate::peer::{Client, End, Ending, MAPS, PATIENCE, Seen, Wire, bare, cluster, doing, map, with};
use rehearsal::faults::{ClientOrder, Plan, Stage};
use rehearsal::{Clock, Cluster};
use tokio::net::TcpStream;
use tokio::time::timeout;

crate::proof::wire_tests! {
    s1_too_many_inflight_is_text_without_flow_headers: Http1, Http2;
    s2_apf_reject_has_flow_headers_and_a_ramp: Http1, Http2;
    s3_cache_not_ready_is_a_status: Http1, Http2;
    s4_shutdown_goes_through_its_stages_and_comes_back: Http1, Http2;
    s4_shutdown_answers_come_alone_too: Http1, Http2;
    s5_internal_error_has_four_forms: Http1, Http2;
    s6_gateway_error_is_a_page_of_somebody_else: Http1, Http2;
    s7_request_timeout_is_json_that_says_text: Http1, Http2;
    s8_aggregated_unavailable_is_text_or_a_group_that_is_gone: Http1, Http2;
    s9_unauthorized_has_no_flow_headers: Http1, Http2;
    s10_forbidden_quotes_who_wanted_what: Http1, Http2;
    s11_conflict_says_that_the_object_was_modified: Http1, Http2;
    s12_already_exists_has_three_bodies: Http1, Http2;
    s13_not_found_and_gone: Http1, Http2;
    s14_rejected_has_seven_codes: Http1, Http2;
    s15_admission_failure_names_the_webhook: Http1, Http2;
    s16_retry_after_comes_in_every_shape: Http1, Http2;
    s17_warning_comes_with_the_proper_answer: Http1, Http2;
    a1_respond_answers_what_the_plan_says: Http1, Http2;
    a2_mark_opens_windows: Http1, Http2;
    a3_fail_test_fails_the_guard: Http1, Http2;
    a4_kill_client_is_told_to_the_supervisor: Http1, Http2;
    a5_restart_client_is_told_to_the_supervisor: Http1, Http2;
    a6_pause_client_is_told_to_the_supervisor: Http1, Http2;
}

/// The body of a `Status` as the real server writes it.
fn status(rest: &str) -> String {
    format!("{{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{{}},\"status\":\"Failure\",{rest}}}\n")
}

/// Checks code, content type, `Retry-After`, whether flow headers are there, and the body; that the answer has its proper
/// end, and that the connection goes on.
fn check(seen: &Seen, code: u16, kind: &str, retry_after: Option<&str>, flow: bool, body: &str) {
    assert_eq!((seen.code, seen.text().as_str()), (code, body));
    assert_eq!(seen.header("content-type").as_deref(), Some(kind));
    assert_eq!(seen.header("retry-after").as_deref(), retry_after);
    for header in ["x-kubernetes-pf-flowschema-uid", "x-kubernetes-pf-prioritylevel-uid"] {
        assert_eq!(seen.header(header).is_some(), flow, "{header}: {seen:?}");
    }
    let nosniff = (kind == TEXT && body.starts_with(char::is_alphabetic)).then_some("nosniff");
    assert_eq!(seen.header("x-content-type-options").as_deref(), nosniff);
    assert_eq!((seen.end, seen.header("connection"), seen.goaway()), (End::Proper, None, None));
}

/// Checks that the connection is closed behind the answer: by a header and FIN, or by GOAWAY, which names its stream and has
/// nothing against anybody.
async fn check_closed(cluster: &Cluster, wire: Wire, method: &str, path: &str, body: &str) -> Seen {
    let mut running = wire.begin(cluster, method, path, body).await;
    let answered = running.all().await;
    let (seen, ending) = running.rest().await;
    assert_eq!((answered.end, ending), (End::Proper, Ending::Eof));
    match wire {
        Wire::Http1 => assert_eq!(seen.header("connection").as_deref(), Some("close")),
        Wire::Http2 => {
            assert_eq!(seen.header("connection"), None, "no header of HTTP/2");
            let goaway = seen.goaway().expect("GOAWAY");
            assert_eq!((goaway.code(), goaway.last_stream()), (0, running.stream));
        }
    }
    seen
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const THROTTLED: &str = "Too many requests, please try again later.\n";
const SHUTTING_DOWN: &str = "The apiserver is shutting down, please try again later.\n";

async fn s1_too_many_inflight_is_text_without_flow_headers(wire: Wire) {
    let cluster = cluster(doing("too-many-inflight", &[]).first(1)).await;
    let (client, seen) = Client::open(&cluster, wire).await.get(MAPS).await;
    check(&seen, 429, TEXT, Some("1"), false, THROTTLED);
    assert!(seen.header("audit-id").is_some());
    assert_eq!(client.get(MAPS).await.1.code, 200, "on the same connection");
    let journal = cluster.journal().entries();
    assert_eq!((journal[0].code, journal[0].faults.firings()[0].rule.as_str()), (429, "s1"));
    assert!(journal[1].faults.is_empty());
    // A write is refused before it is executed.
    check(&wire.send(&cluster, "POST", MAPS, &map("c")).await, 429, TEXT, Some("1"), false, THROTTLED);
    assert_eq!(cluster.snapshot().count("configmaps", "default/"), 2);
}

async fn s2_apf_reject_has_flow_headers_and_a_ramp(wire: Wire) {
    let cluster = cluster(doing("apf-reject", &[])).await;
    for seconds in ["1", "2", "4", "8", "16", "32", "32"] {
        check(&wire.get(&cluster, MAPS).await, 429, TEXT, Some(seconds), true, THROTTLED);
    }
}

async fn s3_cache_not_ready_is_a_status(wire: Wire) {
    let cluster = cluster(doing("cache-not-ready", &[("retryAfter", "3")])).await;
    let body = status(
        r#""message":"storage is (re)initializing","reason":"TooManyRequests","details":{"retryAfterSeconds":3},"code":429"#,
    );
    check(&wire.get(&cluster, MAPS).await, 429, JSON, Some("3"), true, &body);
    check(&wire.get(&cluster, &format!("{MAPS}?watch=1")).await, 429, JSON, Some("3"), true, &body);
}

async fn s4_shutdown_goes_through_its_stages_and_comes_back(wire: Wire) {
    let clock = Clock::manual("2026-01-02T03:04:05Z".parse().unwrap());
    let shutdown = doing("shutdown", &[("delay", "3s"), ("drain", "1s"), ("down", "5s")]).verb("list").count(1);
    let cluster = with(Cluster::builder().clock(clock.clone()), shutdown).await;
    let address = cluster.server().address();
    let advance = |seconds| assert!(clock.advance(jiff::SignedDuration::from_secs(seconds)));
    // It has begun before the signal, or it would be refused.
    let mut watch = wire.watch(&cluster, "", 2).await;
    // The signal: readyz fails at once, everything else is as always.
    let (kept, seen) = Client::open(&cluster, wire).await.get(MAPS).await;
    assert_eq!(seen.code, 200);
    assert_eq!(wire.get(&cluster, "/readyz").await.code, 500);
    assert_eq!(wire.get(&cluster, "/livez").await.code, 200);
    assert_eq!(wire.get(&cluster, MAPS).await.code, 200);
    // The end of service: watches end cleanly, requests are refused and their connections closed.
    advance(4);
    let seen = watch.all().await;
    assert_eq!((seen.types().len(), seen.end), (2, End::Proper));
    // The watch may have ended a moment before the others are refused.
    while wire.get(&cluster, MAPS).await.code != 429 {}
    let refused = check_closed(&cluster, wire, "GET", MAPS, "").await;
    assert_eq!((refused.code, refused.text().as_str()), (429, SHUTTING_DOWN));
    assert_eq!(refused.header("content-type").as_deref(), Some(TEXT));
    assert_eq!(refused.header("retry-after").as_deref(), Some("5"));
    assert_eq!(refused.header("x-kubernetes-pf-flowschema-uid"), None);
    assert_eq!(wire.get(&cluster, "/livez").await.code, 200);
    // The port closes, and what is connected ends.
    advance(2);
    let closed = async { while TcpStream::connect(address).await.is_ok() {} };
    timeout(PATIENCE, closed).await.unwrap();
    assert_ne!(kept.begin("GET", MAPS, &[], "").await.rest().await.1, Ending::Open);
    // And it comes back.
    advance(6);
    let open = async { while TcpStream::connect(address).await.is_err() {} };
    timeout(PATIENCE, open).await.unwrap();
    assert_eq!(wire.get(&cluster, "/readyz").await.code, 200);
    assert_eq!(wire.get(&cluster, MAPS).await.code, 200);
}

async fn s4_shutdown_answers_come_alone_too(wire: Wire) {
    let of = |form: &str| cluster(doing("shutdown", &[("form", form)]));
    let refused = check_closed(&of("refuse").await, wire, "GET", MAPS, "").await;
    assert_eq!((refused.code, refused.text().as_str()), (429, SHUTTING_DOWN));
    assert_eq!(refused.header("retry-after").as_deref(), Some("5"));
    let late = status(r#""message":"apiserver is shutting down","reason":"ServiceUnavailable","code":503"#) + "\n";
    let seen = wire.get(&of("late").await, MAPS).await;
    assert_eq!((seen.code, seen.text(), seen.end), (503, late, End::Proper));
    let headers = ["content-type", "retry-after", "x-content-type-options", "x-kubernetes-pf-flowschema-uid"];
    let values = headers.map(|name| seen.header(name));
    assert_eq!(values.each_ref().map(Option::as_deref), [Some(JSON), Some("1"), Some("nosniff"), None]);
    let starting = wire.get(&of("starting").await, MAPS).await;
    assert_eq!((starting.code, starting.header("retry-after").as_deref()), (503, Some("5")));
}

async fn s5_internal_error_has_four_forms(wire: Wire) {
    let of = async |form: &str| {
        wire.get(&cluster(doing("internal-error", &[("form", form), ("text", "boom")])).await, MAPS).await
    };
    let internal = r#""message":"Internal error occurred: boom","reason":"InternalError","details":{"causes":[{"message":"boom"}]},"code":500"#;
    check(&of("internal").await, 500, JSON, None, true, &status(internal));
    check(&of("storage").await, 500, JSON, None, true, &status(r#""message":"boom","code":500"#));
    let timeout = r#""message":"The list operation against configmaps could not be completed at this time, please try again.","reason":"ServerTimeout","details":{"name":"list","kind":"configmaps","retryAfterSeconds":2},"code":500"#;
    check(&of("server-timeout").await, 500, JSON, Some("2"), true, &status(timeout));
    let panicked = "This request caused apiserver to panic. Look in the logs for details.\n";
    assert_eq!(of("panic").await.text(), panicked);
}

async fn s6_gateway_error_is_a_page_of_somebody_else(wire: Wire) {
    let page = wire.get(&cluster(doing("gateway-error", &[("status", "503")])).await, MAPS).await;
    assert_eq!((page.code, page.header("content-type").as_deref()), (503, Some("text/html")));
    assert!(page.text().starts_with("<html>"));
    let empty = wire.get(&cluster(doing("gateway-error", &[("body", "empty")])).await, MAPS).await;
    assert_eq!((empty.code, empty.body.len(), empty.end), (502, 0, End::Proper));
    for seen in [page, empty] {
        for header in ["audit-id", "cache-control", "retry-after", "x-kubernetes-pf-flowschema-uid"] {
            assert_eq!(seen.header(header), None, "{header}");
        }
    }
}

async fn s7_request_timeout_is_json_that_says_text(wire: Wire) {
    let filter = cluster(doing("request-timeout", &[])).await;
    let body = "{\"metadata\":{},\"status\":\"Failure\",\"message\":\"Timeout: request did not complete within the allotted timeout\",\"reason\":\"Timeout\",\"details\":{},\"code\":504}\n";
    check(&wire.get(&filter, MAPS).await, 504, TEXT, None, false, body);
    let write = cluster(doing("request-timeout", &[("form", "write")])).await;
    let text = r#""message":"Timeout: request did not complete within requested timeout - context deadline exceeded","reason":"Timeout","details":{},"code":504"#;
    check(&wire.send(&write, "POST", MAPS, &map("c")).await, 504, JSON, None, true, &status(text));
}

async fn s8_aggregated_unavailable_is_text_or_a_group_that_is_gone(wire: Wire) {
    let path = "/apis/apps/v1/deployments";
    let down = wire.get(&cluster(doing("aggregated-unavailable", &[])).await, path).await;
    assert_eq!((down.code, down.text().as_str()), (503, "service unavailable\n"));
    let dial = wire.get(&cluster(doing("aggregated-unavailable", &[("form", "dial")])).await, path).await;
    assert_eq!(dial.code, 503);
    assert!(dial.text().starts_with("error trying to reach service: dial tcp "));
    let hidden = cluster(doing("aggregated-unavailable", &[("form", "hidden"), ("group", "apps")])).await;
    let groups = wire.get(&hidden, "/apis").await.json();
    let names: Vec<_> = groups["groups"].as_array().unwrap().iter().map(|group| group["name"].clone()).collect();
    assert!(names.contains(&"batch".into()) && !names.contains(&"apps".into()), "{names:?}");
    let gone = wire.get(&hidden, "/apis/apps/v1").await;
    assert_eq!((gone.code, gone.text().as_str()), (503, "service unavailable\n"));
    assert_eq!(wire.get(&hidden, "/apis/batch/v1").await.code, 200);
    let aggregated = [("Accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")];
    let client = Client::open(&hidden, wire).await;
    let list = client.begin("GET", "/apis", &aggregated, "").await.all().await.json();
    assert!(list["items"].as_array().unwrap().iter().all(|item| item["metadata"]["name"] != "apps"), "{list}");
}

async fn s9_unauthorized_has_no_flow_headers(wire: Wire) {
    let cluster = cluster(doing("unauthorized", &[])).await;
    let body = status(r#""message":"Unauthorized","reason":"Unauthorized","code":401"#);
    check(&wire.get(&cluster, MAPS).await, 401, JSON, None, false, &body);
}

async fn s10_forbidden_quotes_who_wanted_what(wire: Wire) {
    let cluster = cluster(doing("forbidden", &[])).await;
    let seen = wire.get(&cluster, MAPS).await;
    let text = seen.text();
    assert_eq!((seen.code, seen.header("content-type").as_deref(), seen.end), (403, Some(JSON), End::Proper));
    assert!(
        text.contains(r#"cannot list resource \"configmaps\" in API group \"\" in the namespace \"default\""#),
        "{text}"
    );
    assert!(text.contains("configmaps is forbidden: User \\\""), "{text}");
    assert!(!text.contains("User \\\"\\\""), "the user is named: {text}");
    assert_eq!(seen.header("x-content-type-options").as_deref(), Some("nosniff"));
}

async fn s11_conflict_says_that_the_object_was_modified(wire: Wire) {
    let cluster = cluster(doing("conflict", &[]).first(2)).await;
    let body = status(
        r#""message":"Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again","reason":"Conflict","details":{"name":"a","kind":"configmaps"},"code":409"#,
    );
    let path = format!("{MAPS}/a");
    for _ in 0..2 {
        check(&wire.send(&cluster, "PUT", &path, &map("a")).await, 409, JSON, None, true, &body);
    }
    assert_eq!(wire.send(&cluster, "PUT", &path, &map("a")).await.code, 200);
}

async fn s12_already_exists_has_three_bodies(wire: Wire) {
    let exists = cluster(doing("already-exists", &[])).await;
    let body = status(
        r#""message":"configmaps \"c\" already exists","reason":"AlreadyExists","details":{"name":"c","kind":"configmaps"},"code":409"#,
    );
    check(&wire.send(&exists, "POST", MAPS, &map("c")).await, 409, JSON, None, true, &body);
    let path = format!("{MAPS}/a");
    let apply = cluster(doing("already-exists", &[("form", "apply")])).await;
    let body = status(
        r#""message":"Apply failed with 1 conflict: conflict with \"kubectl\": .spec.replicas","reason":"Conflict","details":{"causes":[{"reason":"FieldManagerConflict","message":"conflict with \"kubectl\"","field":".spec.replicas"}]},"code":409"#,
    );
    check(&wire.send(&apply, "PUT", &path, &map("a")).await, 409, JSON, None, true, &body);
    let uid = cluster(doing("already-exists", &[("form", "uid")])).await;
    let found = wire.get(&uid, &path).await.json()["metadata"]["uid"].as_str().unwrap().to_owned();
    let seen = wire.send(&uid, "DELETE", &path, "").await;
    assert_eq!((seen.code, seen.json()["reason"].as_str()), (409, Some("Conflict")));
    let text = seen.text();
    assert!(text.contains(&format!("UID in object meta: {found}")) && text.contains("UID in precondition: "), "{text}");
}

async fn s13_not_found_and_gone(wire: Wire) {
    let path = format!("{MAPS}/a");
    let missing = cluster(doing("not-found", &[]).verb("delete")).await;
    let body = status(
        r#""message":"configmaps \"a\" not found","reason":"NotFound","details":{"name":"a","kind":"configmaps"},"code":404"#,
    );
    check(&wire.send(&missing, "DELETE", &path, "").await, 404, JSON, None, true, &body);
    assert_eq!(wire.get(&missing, &path).await.code, 200, "nothing was done");
    let gone = cluster(doing("not-found", &[("form", "gone")])).await;
    let seen = wire.send(&gone, "DELETE", &path, "").await;
    assert_eq!((seen.code, seen.json()["code"].as_u64()), (410, Some(410)));
}

async fn s14_rejected_has_seven_codes(wire: Wire) {
    let of = |code: &str| cluster(doing("rejected", &[("status", code)]));
    for code in ["400", "405", "406", "413", "415", "422"] {
        let seen = wire.send(&of(code).await, "POST", MAPS, &map("c")).await;
        assert_eq!((seen.code.to_string().as_str(), seen.end), (code, End::Proper), "{}", seen.text());
        assert_eq!(seen.json()["code"].to_string(), code);
    }
    // Go's server says it itself, for each version in its own way.
    let large = of("431").await;
    if wire == Wire::Http1 {
        let seen = check_closed(&large, wire, "POST", MAPS, &map("c")).await;
        assert_eq!((seen.code, seen.text().as_str()), (431, "431 Request Header Fields Too Large"));
        assert_eq!(seen.header("content-type").as_deref(), Some(TEXT));
        assert_eq!(seen.header("audit-id"), None);
    } else {
        let (client, seen) = Client::open(&large, wire).await.send("POST", MAPS, &map("c")).await;
        let page = "<h1>HTTP Error 431</h1><p>Request Header Field(s) Too Large</p>";
        assert_eq!((seen.code, seen.text().as_str(), seen.end), (431, page, End::Proper));
        assert_eq!(seen.header("content-type").as_deref(), Some("text/html; charset=utf-8"));
        assert_eq!((seen.header("audit-id"), seen.goaway()), (None, None));
        large.faults().clear();
        assert_eq!(client.get(MAPS).await.1.code, 200, "on the same connection");
    }
}

async fn s15_admission_failure_names_the_webhook(wire: Wire) {
    let times_out = cluster(doing("admission-failure", &[("delay", "0s")])).await;
    let seen = wire.send(&times_out, "POST", MAPS, &map("c")).await;
    let text = seen.text();
    assert_eq!((seen.code, seen.json()["reason"].as_str()), (500, Some("InternalError")));
    assert!(text.contains(r#"failed calling webhook \"webhook.example.com\""#), "{text}");
    assert!(text.contains("context deadline exceeded"), "{text}");
    let denied = cluster(doing("admission-failure", &[("form", "denied"), ("message", "no")])).await;
    let seen = wire.send(&denied, "POST", MAPS, &map("c")).await;
    assert_eq!(seen.code, 400);
    assert!(seen.text().contains(r#"admission webhook \"webhook.example.com\" denied the request: no"#));
}

async fn s16_retry_after_comes_in_every_shape(wire: Wire) {
    for (shape, headers) in [
        ("0", &["0"][..]),
        ("60", &["60"]),
        ("-3", &["-3"]),
        ("absent", &[]),
        ("twice(1,9)", &["1", "9"]),
        ("text(soon)", &["soon"]),
    ] {
        let cluster = cluster(doing("retry-after", &[("retryAfter", shape)])).await;
        let seen = wire.get(&cluster, MAPS).await;
        assert_eq!((seen.code, seen.text().as_str(), seen.headers("retry-after")), (429, THROTTLED, headers.to_vec()));
    }
    let clock = Clock::manual("2026-01-02T03:04:05Z".parse().unwrap());
    let rule = doing("retry-after", &[("retryAfter", "date(5s)"), ("status", "503")]);
    let seen = wire.get(&with(Cluster::builder().clock(clock), rule).await, MAPS).await;
    let date = seen.header("retry-after");
    assert_eq!((seen.code, date.as_deref()), (503, Some("Fri, 02 Jan 2026 03:04:10 GMT")));
}

async fn s17_warning_comes_with_the_proper_answer(wire: Wire) {
    let cluster = cluster(doing("warning", &[("text", "say \"hi\""), ("times", "2")])).await;
    let seen = wire.get(&cluster, MAPS).await;
    assert_eq!((seen.code, seen.headers("warning")), (200, vec![r#"299 - "say \"hi\"""#; 2]));
    assert_eq!(seen.json()["kind"], "ConfigMapList");
}

async fn a1_respond_answers_what_the_plan_says(wire: Wire) {
    let knobs = [("status", "418"), ("body", "short and stout"), ("headers", "X-Tea: pot")];
    let seen = wire.get(&cluster(doing("respond", &knobs)).await, MAPS).await;
    assert_eq!((seen.code, seen.text().as_str(), seen.end), (418, "short and stout", End::Proper));
    assert_eq!(seen.header("x-tea").as_deref(), Some("pot"));
    let generic = wire.get(&cluster(doing("respond", &[("status", "503")])).await, MAPS).await;
    assert_eq!((generic.code, generic.json()["code"].as_u64()), (503, Some(503)));
}

async fn a2_mark_opens_windows(wire: Wire) {
    let cluster = bare(Cluster::builder()).await;
    let refused = doing("too-many-inflight", &[]).verb("list").resource("configmaps").after_mark("made");
    let plan =
        Plan::seed(1).rule(doing("mark", &[("name", "made")]).verb("create").at(Stage::AfterCommit)).rule(refused);
    let guard = cluster.faults().arm(&plan).unwrap();
    assert_eq!(wire.get(&cluster, MAPS).await.code, 200);
    let marked = wire.send(&cluster, "POST", MAPS, &map("c")).await;
    assert_eq!((marked.code, marked.end), (201, End::Proper), "nothing on the wire");
    assert_eq!(wire.get(&cluster, MAPS).await.code, 429);
    guard.finish().unwrap();
}

async fn a3_fail_test_fails_the_guard(wire: Wire) {
    let cluster = bare(Cluster::builder()).await;
    let rule = doing("fail-test", &[("message", "nobody may delete")]).verb("delete");
    let guard = cluster.faults().inject(rule).unwrap();
    let seen = wire.send(&cluster, "DELETE", &format!("{MAPS}/none"), "").await;
    assert_eq!((seen.code, seen.end), (404, End::Proper), "nothing on the wire");
    let failed = guard.finish().unwrap_err();
    assert!(failed.failures[0].starts_with("nobody may delete (reproduce: plan "), "{failed}");
}

/// An order to the supervised client, as whoever supervises it hears it; nothing of it is on the wire.
async fn ordered(wire: Wire, fault: &str) -> (ClientOrder, u64) {
    let cluster = bare(Cluster::builder()).await;
    let mut signals = cluster.faults().signals();
    let _guard = cluster.faults().inject(doing(fault, &[]).verb("create")).unwrap();
    let seen = wire.send(&cluster, "POST", MAPS, &map("c")).await;
    assert_eq!((seen.code, seen.end), (201, End::Proper));
    let signal = timeout(PATIENCE, signals.recv()).await.unwrap().unwrap();
    (signal.order, signal.lasts.as_secs())
}

async fn a4_kill_client_is_told_to_the_supervisor(wire: Wire) {
    assert_eq!(ordered(wire, "kill-client").await.0, ClientOrder::Kill);
}

async fn a5_restart_client_is_told_to_the_supervisor(wire: Wire) {
    assert_eq!(ordered(wire, "restart-client").await, (ClientOrder::Restart, 0));
}

async fn a6_pause_client_is_told_to_the_supervisor(wire: Wire) {
    assert_eq!(ordered(wire, "pause-client").await, (ClientOrder::Pause, 30));
}
