//! The tape of `fixtures/v1.0.tape.yaml`: one of everything that format 1.0 can say. The file is never made anew; when
//! the format moves on, its converter is held to it.

use super::model::*;
use super::*;

const TEXT: &str = include_str!("../../fixtures/v1.0.tape.yaml");

fn json(text: &str) -> Body {
    let body = Body::from_json(text.as_bytes());
    assert!(matches!(body, Body::Json { .. }), "{text}");
    body
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn header() -> Header {
    let lane = |agent: &str, role| Lane {
        user_agent: agent.into(),
        auth: "redacted-0badcafe".into(),
        role,
        ..Lane::default()
    };
    Header {
        format: FormatVersion::default(),
        name: "golden".into(),
        recorded: Recorded {
            at: "2026-01-02T03:04:05Z".into(),
            tool: "rehearsal 0.1.0".into(),
            mode: "once".into(),
            placement: "proxy".into(),
            seed: 7,
            origin: "made by hand for this test".into(),
            ..Recorded::default()
        },
        server: ServerFacts {
            version: "v1.36.0".into(),
            platform: "linux/amd64".into(),
            discovery_hash: "0123abcd".into(),
            flags: vec!["pretty".into(), "watch-list".into()],
            ..ServerFacts::default()
        },
        lanes: [
            ("ambient".to_owned(), lane("kubelet/v1.36.0", Role::Ambient)),
            ("sut".to_owned(), lane("no", Role::Sut)),
            ("tester".to_owned(), lane("kubectl/v1.36.0", Role::Driver)),
        ]
        .into(),
        clock: Clock {
            start: "2026-01-02T03:04:05Z".into(),
            source: "monotonic".into(),
            resolution: 1,
            ..Clock::default()
        },
        redaction: Redaction { policy: "feed".into(), key_id: "k1".into(), passes: 2, ..Redaction::default() },
        plan: Some(PlanFacts { text: "seed: 7\nrules: []\n".into(), sha256: String::new(), extra: Vec::new() }),
        symbols: Vec::new(),
        pins: [("normal".to_owned(), "1".to_owned())].into(),
        extra: vec![("x-note".into(), Tree::from("kept"))],
    }
}

fn create() -> Call {
    let object = r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"c1","uid":"0b5f7a52-2d3c-4f0e-9a3b-0f6a5c1d2e3f","resourceVersion":"8"},"data":{"key":"\u003cvalue\u003e","empty":""}}"#;
    Call {
        id: 1,
        lane: "sut".into(),
        conn: 1,
        seq: Marks { req: 1, head: Some(6), end: 6 },
        t: Marks { req: 1_500, head: Some(9_000), end: 9_001 },
        request: Request {
            method: "POST".into(),
            path: "/api/v1/namespaces/demo/configmaps".into(),
            query: pairs(&[("fieldManager", "a b"), ("x", "2"), ("x", "1")]),
            headers: pairs(&[("accept", "application/json, */*"), ("content-type", "application/json")]),
            body: Some(json(
                r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"c1"},"data":{"key":"<value>"}}"#,
            )),
            extra: Vec::new(),
        },
        response: Some(Response {
            status: 201,
            headers: pairs(&[("content-type", "application/json")]),
            body: Some(json(&format!("{object}\n"))),
            extra: Vec::new(),
        }),
        faults: vec![Tree::from_json(br#"{"rule":"slow","n":1,"action":{"delay":"1s"}}"#).unwrap()],
        audit_id: Some("tape-1-1".into()),
        ..Call::default()
    }
}

fn watch() -> Call {
    let event = r#"{"type":"ADDED","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"c1","uid":"0b5f7a52-2d3c-4f0e-9a3b-0f6a5c1d2e3f","resourceVersion":"8"}}}"#;
    let frame = |seq: Seq, content: Body| Frame { seq, t: seq * 1000, content, ..Frame::default() };
    let proto = Body::Proto { bytes: b"k8s\0".to_vec(), summary: pairs(&[("type", "MODIFIED"), ("kind", "Pod")]) };
    Call {
        id: 2,
        lane: "tester".into(),
        conn: 2,
        seq: Marks { req: 2, head: Some(3), end: 10 },
        t: Marks { req: 2_000, head: Some(3_000), end: 10_000 },
        request: Request {
            method: "GET".into(),
            path: "/api/v1/configmaps".into(),
            query: pairs(&[("watch", "true")]),
            ..Request::default()
        },
        response: Some(Response { status: 200, ..Response::default() }),
        frames: vec![
            Frame {
                cause: vec![1],
                coalesced: Some(2),
                slices: vec![100, 61],
                ..frame(4, json(&format!("{event}\n")))
            },
            frame(5, json(r#"{"type":"BOOKMARK","object":{"f":1.5,"u":18446744073709551615,"n":null,"l":[[],{}]}}"#)),
            frame(7, proto),
            frame(8, Body::Text("half a li".into())),
        ],
        end: End::Reset { code: Some(8) },
        ..Call::default()
    }
}

fn others() -> Vec<Entry> {
    let call = |id: u64, body: Option<Body>, end: End| {
        let at = id * 10;
        Entry::Call(Call {
            id,
            lane: "ambient".into(),
            seq: Marks { req: at, head: body.as_ref().map(|_| at + 1), end: at + 2 },
            t: Marks { req: at * 1000, head: body.as_ref().map(|_| at * 1000 + 1), end: at * 1000 + 2 },
            request: Request { method: "GET".into(), path: "/openapi/v2".into(), ..Request::default() },
            response: body.map(|body| Response { status: 200, body: Some(body), ..Response::default() }),
            end,
            ..Call::default()
        })
    };
    let large = Body::Ref {
        hash: "0123456789abcdef".into(),
        bytes: 3_240_000,
        is: "json".into(),
        render: Render::PRETTY,
        summary: pairs(&[("kind", "List"), ("resourceVersion", "9")]),
    };
    vec![
        call(3, Some(large), End::Complete),
        call(4, Some(Body::Same { of: 1 }), End::EofNoNotify),
        call(5, Some(Body::Yaml("kind: Pod\n".into())), End::ServerGoaway),
        call(6, Some(Body::Bytes(vec![0, 255])), End::Timeout),
        call(7, None, End::Upstream { message: "connection refused".into() }),
        call(8, None, End::RecorderStop),
        Entry::Upgrade(Upgrade {
            id: 9,
            lane: "tester".into(),
            conn: 3,
            seq: Marks { req: 90, head: Some(91), end: 95 },
            t: Marks { req: 90_000, head: Some(91_000), end: 95_000 },
            request: Request {
                method: "GET".into(),
                path: "/api/v1/namespaces/demo/pods/a/exec".into(),
                ..Request::default()
            },
            response: Some(Response { status: 101, ..Response::default() }),
            protocol: "v5.channel.k8s.io".into(),
            channels: vec![ChannelBytes { channel: 1, sent: 0, received: 12 }],
            close_code: Some(1000),
            messages: vec![ChannelMessage {
                seq: 92,
                t: 92_000,
                channel: 1,
                from_client: false,
                content: Body::Text("hello\n".into()),
            }],
            end: End::ClientCancel,
            extra: Vec::new(),
        }),
        Entry::Mark(Mark { seq: 99, t: 99_000, what: "note".into(), text: "test step 3".into(), extra: Vec::new() }),
    ]
}

fn tape() -> Tape {
    let mut entries = vec![Entry::Call(create()), Entry::Call(watch())];
    entries.extend(others());
    let mut tape = Tape { header: header(), entries, sealed: None };
    seal(&mut tape);
    tape
}

#[test]
fn format_1_0_is_written_as_ever() {
    pretty(&to_text(&tape()));
}

#[test]
fn format_1_0_is_read_as_ever() {
    let loaded = load_bytes(TEXT.as_bytes()).unwrap();
    assert_eq!(loaded.tape, tape());
    assert_eq!(loaded.seal, Seal::Intact);
}

/// Compares line by line: one line is easier to read than two tapes.
fn pretty(text: &str) {
    for (line, (written, golden)) in text.lines().zip(TEXT.lines()).enumerate() {
        assert_eq!(written, golden, "line {}", line + 1);
    }
    assert_eq!(text.len(), TEXT.len());
}
