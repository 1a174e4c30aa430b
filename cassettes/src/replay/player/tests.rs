//! The player on small tapes made by hand.

use super::*;
use crate::format::Tree;
use crate::format::model::{Entry, Frame, Marks, Render, Response};

fn json(text: &str) -> Body {
    Body::Json { tree: Tree::from_json(text.as_bytes()).unwrap(), render: Render::default() }
}

fn request(line: &str, body: Option<&str>) -> Request {
    let (method, url) = line.split_once(' ').unwrap();
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    Request {
        method: method.into(),
        path: path.into(),
        query: rehearsal_apimachinery::request_info::parse_query(query),
        body: body.map(json),
        ..Request::default()
    }
}

/// A call of lane `sut` from `req` to `end`.
fn call(id: u64, (req, end): (u64, u64), line: &str, body: Option<&str>, answer: &str) -> Call {
    Call {
        id,
        lane: "sut".into(),
        seq: Marks { req, head: Some(end), end },
        request: request(line, body),
        response: Some(Response { status: 200, body: Some(json(answer)), ..Response::default() }),
        ..Call::default()
    }
}

fn event(seq: u64, revision: &str, cause: &[u64]) -> Frame {
    let object = format!(r#"{{"type":"ADDED","object":{{"metadata":{{"resourceVersion":"{revision}"}}}}}}"#);
    Frame { seq, content: json(&object), cause: cause.to_vec(), ..Frame::default() }
}

fn player(calls: &[Call], manner: Manner) -> Player {
    let entries = calls.iter().cloned().map(Entry::Call).collect();
    Player::new(&Tape { entries, ..Tape::default() }, Options { manner, ..Options::default() })
}

fn answered(answer: &Answer) -> u64 {
    match answer {
        Answer::Call { call, .. } => call.id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_field_that_a_mask_hides_may_be_another() {
    let body = |node: &str| format!(r#"{{"kind":"Pod","metadata":{{"name":"a"}},"spec":{{"nodeName":"{node}"}}}}"#);
    let story = [call(1, (1, 2), "POST /api/v1/namespaces/d/pods", Some(&body("x")), POD)];
    let asked = request("POST /api/v1/namespaces/d/pods", Some(&body("y")));
    assert!(matches!(player(&story, Manner::Strict).answer("sut", &asked, false), Answer::Refuse(_)));
    let mut mask = Mask::default();
    mask.add("pods", "spec.nodeName");
    assert_eq!(answered(&player(&story, Manner::Strict).masked(&mask).answer("sut", &asked, false)), 1);
}

const POD: &str = r#"{"kind":"Pod","metadata":{"name":"a"}}"#;

fn story() -> Vec<Call> {
    vec![
        call(1, (1, 2), "GET /api/v1/namespaces/d/pods/a", None, r#"{"code":404}"#),
        call(2, (3, 4), "POST /api/v1/namespaces/d/pods", Some(POD), POD),
        call(3, (5, 6), "GET /api/v1/namespaces/d/pods/a", None, POD),
    ]
}

#[test]
fn a_poll_before_the_write_sees_what_it_saw_last() {
    let mut player = player(&story(), Manner::Lenient);
    let get = request("GET /api/v1/namespaces/d/pods/a", None);
    assert_eq!(answered(&player.answer("sut", &get, true)), 1);
    assert_eq!(answered(&player.answer("sut", &get, true)), 1);
    let post = request("POST /api/v1/namespaces/d/pods", Some(r#"{"metadata":{"name":"a","uid":"x"},"kind":"Pod"}"#));
    assert_eq!(answered(&player.answer("sut", &post, true)), 2);
    assert_eq!(answered(&player.answer("sut", &get, true)), 3);
    let report = player.report();
    assert_eq!((report.answered, report.repeated, report.unused.len()), (4, 1, 0));
}

#[test]
fn strict_waits_for_what_came_before_and_then_refuses() {
    let mut player = player(&story(), Manner::Strict);
    let post = request("POST /api/v1/namespaces/d/pods", Some(POD));
    assert!(matches!(player.answer("sut", &post, true), Answer::Wait));
    let Answer::Refuse(why) = player.answer("sut", &post, false) else { panic!("accepted") };
    assert_eq!(why.candidates[0].state, "it comes after #1, which has not been sent");
    assert_eq!(player.report().verdict(true), crate::replay::Verdict::Unmatched);
}

#[test]
fn another_body_is_refused_with_the_place() {
    let mut player = player(&story(), Manner::Lenient);
    let post =
        request("POST /api/v1/namespaces/d/pods", Some(r#"{"kind":"Pod","metadata":{"name":"a","labels":{"x":"1"}}}"#));
    let Answer::Refuse(why) = player.answer("sut", &post, true) else { panic!("accepted") };
    assert_eq!(why.candidates[0].call, 2);
    assert_eq!(why.candidates[0].differences, [r#"metadata.labels: nothing on the tape, {"x":"1"} now"#]);
}

#[test]
fn concurrent_calls_come_in_any_order() {
    let calls = [
        call(1, (1, 4), "GET /api/v1/pods", None, "{}"),
        call(2, (2, 3), "GET /api/v1/services", None, "{}"),
        call(3, (5, 6), "GET /api/v1/nodes", None, "{}"),
    ];
    let mut player = player(&calls, Manner::Strict);
    assert!(matches!(player.answer("sut", &request("GET /api/v1/nodes", None), true), Answer::Wait));
    assert_eq!(answered(&player.answer("sut", &request("GET /api/v1/services", None), true)), 2);
    assert_eq!(answered(&player.answer("sut", &request("GET /api/v1/pods", None), true)), 1);
    assert_eq!(answered(&player.answer("sut", &request("GET /api/v1/nodes", None), true)), 3);
}

#[test]
fn a_frame_waits_for_the_write_that_caused_it() {
    let mut watch = call(1, (1, 9), "GET /api/v1/pods?watch=1&resourceVersion=5", None, "{}");
    watch.frames = vec![event(2, "6", &[]), event(4, "7", &[2])];
    watch.end = End::RecorderStop;
    let mut player =
        player(&[watch, call(2, (3, 5), "POST /api/v1/namespaces/d/pods", Some(POD), POD)], Manner::Lenient);
    let again = request("GET /api/v1/pods?watch=true&resourceVersion=5&timeoutSeconds=400", None);
    let Answer::Watch(stream) = player.answer("sut", &again, true) else { panic!("no stream") };
    assert!(stream.open && stream.frames.len() == 2);
    assert_eq!(player.gate(1, 0), FrameGate::AfterAMoment);
    assert_eq!(player.gate(1, 1), FrameGate::Behind(2));
    player.answer("sut", &request("POST /api/v1/namespaces/d/pods", Some(POD)), true);
    assert_eq!(player.gate(1, 1), FrameGate::Open);
}

#[test]
fn a_watch_that_resumes_gets_what_it_has_not_seen() {
    let mut watch = call(1, (1, 9), "GET /api/v1/pods?watch=1&resourceVersion=5", None, "{}");
    watch.frames = vec![event(2, "6", &[]), event(4, "7", &[])];
    let mut player = player(&[watch], Manner::Strict);
    let first = request("GET /api/v1/pods?watch=1&resourceVersion=5", None);
    assert!(matches!(player.answer("sut", &first, true), Answer::Watch(s) if s.frames.len() == 2));
    let resumed = request("GET /api/v1/pods?watch=1&resourceVersion=6", None);
    assert!(matches!(player.answer("sut", &resumed, true), Answer::Watch(s) if s.open && s.frames.len() == 1));
}

#[test]
fn a_frame_that_followed_a_write_of_its_lane_follows_it_again_whoever_caused_it() {
    let mut watch = call(1, (1, 90), "GET /api/v1/pods?watch=1&resourceVersion=1", None, "{}");
    watch.frames = vec![event(3, "2", &[]), event(6, "4", &[])];
    let calls = [watch, call(2, (4, 5), "POST /api/v1/namespaces/d/pods", Some(POD), POD)];
    let mut player = player(&calls, Manner::Lenient);
    player.answer("sut", &calls[0].request, true);
    assert_eq!([player.gate(1, 0), player.gate(1, 1)], [FrameGate::AfterAMoment, FrameGate::Behind(2)]);
    player.answer("sut", &calls[1].request, true);
    assert_eq!(player.gate(1, 1), FrameGate::AfterAMoment);
}

#[test]
fn at_any_pace_a_frame_comes_after_the_write_of_the_client_that_made_it() {
    let mut watch = call(1, (1, 9), "GET /api/v1/pods?watch=1&resourceVersion=5", None, "{}");
    watch.frames = vec![event(4, "7", &[2]), event(6, "8", &[])];
    let calls = [watch, call(2, (3, 5), "POST /api/v1/namespaces/d/pods", Some(POD), POD)];
    for pace in [Pace::Asap, Pace::Recorded(0.0), Pace::Gated] {
        let entries = calls.iter().cloned().map(Entry::Call).collect();
        let mut player = Player::new(&Tape { entries, ..Tape::default() }, Options { pace, ..Options::default() });
        player.answer("sut", &calls[0].request, true);
        assert_eq!(player.gate(1, 0), FrameGate::Behind(2), "{pace:?}");
        player.answer("sut", &calls[1].request, true);
        assert!(!matches!(player.gate(1, 0), FrameGate::Behind(_)), "{pace:?}");
    }
}

/// `kubectl get -w`: rows instead of objects, with the resourceVersion of the change for the table's own.
#[test]
fn a_row_of_a_table_comes_after_the_write_that_made_it() {
    let table = |kind: &str, revision: &str| {
        let row = r#"{"cells":["a"],"object":{"metadata":{"name":"a","uid":"u"}}}"#;
        let text = format!(
            r#"{{"type":"{kind}","object":{{"kind":"Table","metadata":{{"resourceVersion":"{revision}"}},"rows":[{row}]}}}}"#
        );
        Frame { seq: 9, content: json(&text), ..Frame::default() }
    };
    let made = r#"{"kind":"Pod","metadata":{"name":"a","uid":"u","resourceVersion":"7"}}"#;
    let mut watch = call(1, (1, 90), "GET /api/v1/pods?watch=1", None, "{}");
    watch.frames = vec![table("ADDED", "7"), table("DELETED", "9")];
    let gone = r#"{"kind":"Status","details":{"name":"a","uid":"u"}}"#;
    let calls = [
        watch,
        call(2, (3, 4), "POST /api/v1/namespaces/d/pods", Some(POD), made),
        call(3, (5, 6), "DELETE /api/v1/namespaces/d/pods/a", None, gone),
    ];
    let entries = calls.iter().cloned().map(Entry::Call).collect();
    let options = Options { pace: Pace::Asap, ..Options::default() };
    let mut player = Player::new(&Tape { entries, ..Tape::default() }, options);
    player.answer("sut", &calls[0].request, true);
    assert_eq!([player.gate(1, 0), player.gate(1, 1)], [FrameGate::Behind(2), FrameGate::Behind(3)]);
}

/// Two informers: the second was begun after the first, and told of a service between two pods.
fn two_streams() -> [Call; 2] {
    let mut pods = call(1, (1, 90), "GET /api/v1/pods?watch=1&resourceVersion=1", None, "{}");
    pods.frames = vec![event(3, "2", &[]), event(7, "4", &[])];
    let mut services = call(2, (4, 91), "GET /api/v1/services?watch=1&resourceVersion=1", None, "{}");
    services.seq.head = Some(5);
    services.frames = vec![event(6, "3", &[])];
    (pods.end, services.end) = (End::ClientCancel, End::ClientCancel);
    pods.seq.head = Some(2);
    [pods, services]
}

#[test]
fn the_streams_of_a_lane_speak_in_the_order_of_the_recording() {
    let calls = two_streams();
    let mut player = player(&calls, Manner::Lenient);
    player.answer("sut", &calls[0].request, true);
    assert_eq!(player.gate(1, 0), FrameGate::AfterAMoment);
    player.sent(1, 0);
    assert_eq!(player.gate(1, 1), FrameGate::NotItsTurn(2), "the second informer has not begun");
    player.answer("sut", &calls[1].request, true);
    assert_eq!(player.gate(1, 1), FrameGate::NotItsTurn(2), "nor been told");
    assert_eq!(player.gate(2, 0), FrameGate::AfterAMoment);
    player.sent(2, 0);
    assert_eq!(player.gate(1, 1), FrameGate::AfterAMoment);
}

#[test]
fn a_stream_that_is_closed_or_never_begun_holds_up_nobody_for_long() {
    let calls = two_streams();
    let mut player = player(&calls, Manner::Lenient);
    player.answer("sut", &calls[0].request, true);
    player.sent(1, 0);
    let mut changed = player.clone();
    changed.give_up(1, 1);
    assert_eq!(changed.gate(1, 1), FrameGate::AfterAMoment, "nobody watches services any more");
    player.answer("sut", &calls[1].request, true);
    player.closed(&BTreeSet::from([2]));
    assert_eq!(player.gate(1, 1), FrameGate::AfterAMoment);
}

#[test]
fn a_stream_that_resumes_does_not_wait_for_what_its_client_knows() {
    let calls = two_streams();
    let mut player = player(&calls, Manner::Lenient);
    player.answer("sut", &calls[0].request, true);
    let later = request("GET /api/v1/services?watch=1&resourceVersion=3", None);
    player.answer("sut", &later, true);
    player.sent(1, 0);
    assert_eq!(player.gate(1, 1), FrameGate::AfterAMoment);
}

#[test]
fn a_list_in_pages_is_read_again_page_by_page() {
    let page = |id: u64, url: &str| call(id, (id * 2, id * 2 + 1), url, None, "{}");
    let calls = [page(1, "GET /api/v1/pods?limit=1"), page(2, "GET /api/v1/pods?limit=1&continue=abc")];
    let mut player = player(&calls, Manner::Lenient);
    for _ in 0..2 {
        let pages = calls.iter().map(|call| answered(&player.answer("sut", &call.request, true)));
        assert_eq!(pages.collect::<Vec<_>>(), [1, 2]);
    }
}

/// A typed client's DELETE carries its options in protobuf, and the uid that it means is another in every run.
#[test]
fn bodies_in_protobuf_are_compared_and_not_passed_over() {
    use rehearsal_apimachinery::catalog::Catalog;
    use rehearsal_apimachinery::codec::protobuf::encode_object;
    let options = |seconds: u32, uid: &str| {
        let object = serde_json::json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": seconds,
            "preconditions": {"uid": uid}});
        Body::Proto { bytes: encode_object(&object, Catalog::builtin()).unwrap(), summary: Vec::new() }
    };
    let delete = |body: Body| Request { body: Some(body), ..request("DELETE /api/v1/namespaces/d/pods/a", None) };
    let mut recorded = call(1, (1, 2), "DELETE /api/v1/namespaces/d/pods/a", None, "{}");
    recorded.request = delete(options(30, "u"));
    let mut other = player(&[recorded.clone()], Manner::Lenient);
    assert!(matches!(other.answer("sut", &delete(options(0, "u")), true), Answer::Refuse(_)));
    let mut player = player(&[recorded], Manner::Lenient);
    assert_eq!(answered(&player.answer("sut", &delete(options(30, "v")), true)), 1);
    // Of a kind that nobody here knows the bytes are what there is.
    let unknown = |last: u8| Body::Proto { bytes: [b"k8s\0\xff", &[last][..]].concat(), summary: Vec::new() };
    let meanings = [1, 1, 2].map(|last| crate::replay::body_meaning(&unknown(last)).unwrap());
    assert!(meanings[0] == meanings[1] && meanings[1] != meanings[2], "{meanings:?}");
}

#[test]
fn a_connection_that_changed_protocol_is_played_again_and_no_answer_is_mistaken_for_it() {
    let exec = |lane: &str, headers: &[(&str, &str)]| Request {
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        ..request(&format!("GET /api/v1/namespaces/d/pods/{lane}/exec?command=true"), None)
    };
    let socket = [("upgrade", "websocket"), ("sec-websocket-protocol", "v5.channel.k8s.io")];
    let upgrade = Upgrade {
        id: 1,
        lane: "sut".into(),
        seq: crate::format::model::Marks { req: 1, head: Some(2), end: 3 },
        request: exec("a", &socket),
        response: Some(Response { status: 101, ..Response::default() }),
        protocol: "v5.channel.k8s.io".into(),
        ..Upgrade::default()
    };
    let mut refused = call(2, (4, 5), "GET /x", None, "{}");
    refused.request = exec("b", &socket);
    let entries = vec![Entry::Upgrade(upgrade), Entry::Call(refused)];
    let tape = Tape { entries, ..Tape::default() };
    let mut player = Player::new(&tape, Options { manner: Manner::Strict, ..Options::default() });
    assert_eq!(player.report().unused.len(), 2);
    let spdy = [("upgrade", "SPDY/3.1")];
    let Answer::Refuse(why) = player.answer("sut", &exec("a", &spdy), false) else { panic!("played as SPDY") };
    assert_eq!(why.candidates[0].state, "another protocol");
    let old = [("upgrade", "websocket"), ("sec-websocket-protocol", "v4.channel.k8s.io")];
    let Answer::Refuse(why) = player.answer("sut", &exec("a", &old), false) else { panic!("played as v4") };
    assert!(why.candidates[0].state.contains("does not offer"), "{why}");
    assert!(matches!(player.answer("sut", &exec("b", &socket), true), Answer::Wait), "the first comes first");
    assert!(matches!(player.answer("sut", &exec("a", &socket), true), Answer::Talk(upgrade) if upgrade.id == 1));
    assert_eq!(answered(&player.answer("sut", &exec("b", &socket), true)), 2);
    assert_eq!(player.report().unused, [""; 0]);
}

#[test]
fn a_transcript_leaves_out_what_is_a_matter_of_speed() {
    let mut calls = story();
    calls.push(call(4, (7, 8), "PUT /apis/coordination.k8s.io/v1/namespaces/d/leases/l", Some("{}"), "{}"));
    calls.push(call(5, (9, 10), "GET /apis", None, "{}"));
    let transcript = |polls: usize| {
        let mut player = player(&calls, Manner::Lenient);
        for call in &calls {
            for _ in 0..if call.request.method == "POST" { 1 } else { polls } {
                player.answer("sut", &call.request, true);
            }
        }
        player.transcript()
    };
    assert_eq!(transcript(1), transcript(3));
    assert_eq!(transcript(1).lines().next(), Some("#1 sut: get pods d/a 200"));
    assert_eq!(transcript(1).lines().count(), 3);
}

#[test]
fn to_apply_the_same_twice_is_no_other_way_unless_every_request_counts() {
    let mut apply = call(1, (1, 2), "PATCH /api/v1/namespaces/d/pods/a", Some(POD), POD);
    apply.request.headers = vec![("content-type".into(), "application/apply-patch+yaml".into())];
    let mut merge = call(2, (3, 4), "PATCH /api/v1/namespaces/d/pods/b", Some(POD), POD);
    merge.request.headers = vec![("content-type".into(), "application/merge-patch+json".into())];
    for (manner, call, again) in
        [(Manner::Lenient, &apply, true), (Manner::Strict, &apply, false), (Manner::Lenient, &merge, false)]
    {
        let mut player = player(&[call.clone()], manner);
        player.answer("sut", &call.request, true);
        assert_eq!(matches!(player.answer("sut", &call.request, true), Answer::Call { .. }), again, "{manner:?}");
    }
}
