//! `rehearsal tape redact|convert|at|learn|diff|fmt --delta|timeline --perfetto` as processes, on tapes made by hand.

use crate::process::Rehearsal;
use crate::support::{sealed, whole};
use rehearsal_cassettes::format::model::{Body, Call, Entry, Frame, Mark, Marks, Request, Response, Tape};
use rehearsal_cassettes::format::{self, Seal, load};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Runs a command to its end: exit code, standard output, standard error.
fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let (status, out, err) = Rehearsal::start(args).end();
    (status.code(), out.join("\n"), err.join("\n"))
}

fn name(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn seal(mut tape: Tape, path: &Path) {
    format::seal(&mut tape);
    format::save(&tape, path).unwrap();
}

fn json(text: &str) -> Body {
    Body::from_json(text.as_bytes())
}

fn map(revision: u64, data: &str) -> String {
    format!(
        r#"{{"kind":"ConfigMap","apiVersion":"v1","metadata":{{"name":"a","namespace":"d","uid":"6ba7b810-9dad-11d1-80b4-00c04fd430c8","resourceVersion":"{revision}"}},"data":{{"a":"{data}","filler":"{}"}}}}"#,
        "x".repeat(300)
    )
}

fn write(id: u64, seq: u64, method: &str, revision: u64, data: &str) -> Call {
    let mut path = "/api/v1/namespaces/d/configmaps".to_owned();
    if method == "PUT" {
        path.push_str("/a");
    }
    Call {
        id,
        lane: "sut".into(),
        seq: Marks { req: seq, head: Some(seq + 1), end: seq + 2 },
        t: Marks { req: seq * 1000, head: Some(seq * 1000 + 500), end: seq * 1000 + 600 },
        request: Request { method: method.into(), path, body: Some(json(&map(0, data))), ..Request::default() },
        response: Some(Response { status: 200, body: Some(json(&map(revision, data))), ..Response::default() }),
        ..Call::default()
    }
}

/// A creation, a mark, a change, and a watch that saw both.
fn story(second: &str) -> Tape {
    let event = |seq: u64, kind: &str, revision: u64, data: &str, cause: u64| Frame {
        seq,
        t: seq * 1000,
        content: json(&format!("{{\"type\":\"{kind}\",\"object\":{}}}\n", map(revision, data))),
        cause: vec![cause],
        ..Frame::default()
    };
    let watch = Call {
        id: 1,
        lane: "sut".into(),
        seq: Marks { req: 1, head: Some(2), end: 40 },
        t: Marks { req: 1000, head: Some(2000), end: 40_000 },
        request: Request {
            method: "GET".into(),
            path: "/api/v1/namespaces/d/configmaps".into(),
            query: vec![("resourceVersion".into(), "4".into()), ("watch".into(), "1".into())],
            ..Request::default()
        },
        response: Some(Response { status: 200, ..Response::default() }),
        frames: vec![event(13, "ADDED", 5, "first", 2), event(33, "MODIFIED", 9, second, 3)],
        ..Call::default()
    };
    let mark = Mark { seq: 20, t: 20_000, what: "note".into(), text: "step 1 is done".into(), ..Mark::default() };
    let entries = vec![
        Entry::Call(watch),
        Entry::Call(write(2, 10, "POST", 5, "first")),
        Entry::Mark(mark),
        Entry::Call(write(3, 30, "PUT", 9, second)),
    ];
    Tape { entries, ..Tape::default() }
}

fn tape_in(dir: &tempfile::TempDir, file: &str, second: &str) -> PathBuf {
    let path = dir.path().join(file);
    seal(story(second), &path);
    path
}

#[test]
fn an_old_tape_is_redacted_with_its_side_files_and_a_second_time_nothing_changes() {
    let dir = tempfile::tempdir().unwrap();
    let (path, out) = (dir.path().join("old.tape.yaml"), dir.path().join("new.tape.yaml"));
    let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkiLCJleHAiOjF9.c2lnbmF0dXJlLW9mLWEtY2FuYXJ5";
    let secret = format!(
        r#"{{"kind":"Secret","apiVersion":"v1","metadata":{{"name":"s","namespace":"d"}},"stringData":{{"big":"{}","password":"correct-horse-battery"}}}}"#,
        "canary-value ".repeat(4000)
    );
    let mut call = write(1, 1, "POST", 5, "x");
    call.request.path = "/api/v1/namespaces/d/secrets".into();
    call.request.body = Some(json(&secret));
    call.response =
        Some(Response { status: 500, body: Some(Body::Text(format!("no: Bearer {token}"))), ..Response::default() });
    let mark = Mark { seq: 9, text: "logged in with correct-horse-battery".into(), ..Mark::default() };
    let tape = Tape { entries: vec![Entry::Call(call), Entry::Mark(mark)], ..Tape::default() };
    format::put(tape, &path, false, true).unwrap();

    let (code, stdout, err) = run(&["tape", "redact", name(&path), "-o", name(&out)]);
    assert_eq!(code, Some(0), "{stdout}{err}");
    assert!(
        err.contains("taken out: ") && err.contains("secret-data") && stdout.starts_with("0 secrets in "),
        "{stdout}{err}"
    );
    let text = format!("{:?}", whole(&out));
    for left in ["correct-horse-battery", token, "canary-value"] {
        assert!(!text.contains(left), "{left}");
    }
    assert_eq!((load(&out).unwrap().seal, load(&out).unwrap().tape.header.redaction.passes), (Seal::Intact, 2));
    let first = std::fs::read(&out).unwrap();
    let (code, _, err) = run(&["tape", "redact", name(&out), "-o", name(&out)]);
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("nothing to take out") && std::fs::read(&out).unwrap() == first, "{err}");

    let rules = dir.path().join("rules.yaml");
    std::fs::write(&rules, "rules: [{match: {path: $.a}, action: melt}]").unwrap();
    let (code, _, err) = run(&["tape", "redact", name(&out), "-o", name(&out), "--rules", name(&rules)]);
    assert_eq!(code, Some(1));
    assert!(err.contains("rules.yaml") && err.contains("rule 1: unknown action melt"), "{err}");
}

#[test]
fn state_is_shown_at_a_revision_a_place_or_a_mark_and_can_be_served() {
    let dir = tempfile::tempdir().unwrap();
    let path = tape_in(&dir, "x.tape.yaml", "second");
    let at = |args: &[&str]| run(&[&["tape", "at", name(&path)], args].concat());
    for (args, data) in [
        (&["--rv", "5"][..], "first"),
        (&["--rv", "8"], "first"),
        (&["--seq", "29"], "first"),
        (&["--mark", "step 1"], "first"),
        (&["--seq", "33"], "second"),
        (&[], "second"),
    ] {
        let (code, out, err) = at(args);
        assert_eq!(code, Some(0), "{err}");
        assert!(out.contains(&format!("  a: {data}\n")) && out.contains(": 1 objects"), "{args:?}: {out}");
    }
    let (code, _, err) = at(&["--mark", "step 2"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("x.tape.yaml: no mark says \"step 2\"; there are: \"step 1 is done\""), "{err}");
    assert_eq!(at(&["--rv", "1", "--seq", "2"]).0, Some(2), "one moment only");

    let args = ["tape", "at", name(&path), "--mark", "step 1", "--serve", "--", "--http"];
    let served = Rehearsal::start(args);
    let (url, _) = served.ready();
    let answer = crate::process::get(&url, "/api/v1/namespaces/d/configmaps/a");
    assert!(answer.contains("first"), "{answer}");
    served.signal("TERM");
    assert_eq!(served.end().0.code(), Some(0));
}

#[test]
fn fields_that_differ_from_run_to_run_are_learnt_and_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (tape_in(&dir, "a.tape.yaml", "drawn-1"), tape_in(&dir, "b.tape.yaml", "drawn-2"));
    let mask = dir.path().join("x.tape.mask.yaml");
    assert_eq!(run(&["tape", "diff", name(&one), name(&two)]).0, Some(1));
    let (code, _, err) = run(&["tape", "learn", name(&one), name(&two), "-o", name(&mask)]);
    assert_eq!(code, Some(0), "{err}");
    let text = std::fs::read_to_string(&mask).unwrap();
    assert!(text.contains("  configmaps:\n  - data.a\n"), "{text}");
    let (code, out, err) = run(&["tape", "diff", name(&one), name(&two), "--mask", name(&mask)]);
    assert_eq!((code, out.as_str()), (Some(0), ""), "{err}");
    std::fs::write(&mask, "kind: Mask\nversion: 3\n").unwrap();
    let (code, _, err) = run(&["tape", "diff", name(&one), name(&two), "--mask", name(&mask)]);
    assert_eq!(code, Some(1));
    assert!(err.contains("x.tape.mask.yaml") && err.contains("version 3"), "{err}");
}

#[test]
fn events_become_differences_and_whole_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = tape_in(&dir, "x.tape.yaml", "second");
    let before = std::fs::read(&path).unwrap();
    assert_eq!(run(&["tape", "fmt", "--delta", name(&path)]).0, Some(0));
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("base: 13") && text.contains("requires: [delta]"), "{text}");
    assert_eq!((sealed(&path).entries, run(&["tape", "lint", name(&path)]).0), (story("second").entries, Some(0)));
    assert_eq!(run(&["tape", "fmt", "--whole", name(&path)]).0, Some(0));
    assert!(std::fs::read(&path).unwrap() == before);
    std::fs::write(&path, text.replace("[delta]", "[delta, smell]")).unwrap();
    let (code, _, err) = run(&["tape", "show", name(&path)]);
    assert_eq!(code, Some(1));
    assert!(err.contains("x.tape.yaml:") && err.contains("the tape requires smell"), "{err}");
}

#[test]
fn har_comes_in_redacted_and_goes_out_again() {
    let dir = tempfile::tempdir().unwrap();
    let (har, tape) = (dir.path().join("x.har"), dir.path().join("x.tape.yaml"));
    let entry = |url: &str| {
        serde_json::json!({
            "startedDateTime": "2026-01-02T03:04:05.100Z", "time": 5, "timings": {"send": 0, "wait": 5, "receive": 0},
            "request": {"method": "GET", "url": url, "headers": [
                {"name": "Authorization", "value": "Bearer a-secret-of-the-browser"}, {"name": "User-Agent", "value": "Mozilla"}]},
            "response": {"status": 200, "headers": [{"name": "content-type", "value": "application/json"}],
                "content": {"mimeType": "application/json", "text": map(7, "x")}},
        })
    };
    let write = |entries: Vec<Value>| {
        let log = serde_json::json!({"log": {"version": "1.2", "creator": {"name": "t", "version": "1"}, "entries": entries}});
        std::fs::write(&har, log.to_string()).unwrap();
    };
    write(vec![entry("https://c:6443/api/v1/namespaces/d/configmaps/a"), entry("https://cdn.example/x.js")]);
    let convert =
        |more: &[&str]| run(&[&["tape", "convert", "--from", "har", name(&har), "-o", name(&tape)], more].concat());
    let (code, _, err) = convert(&[]);
    assert_eq!(code, Some(1));
    assert!(err.contains("x.har: it has requests to several servers"), "{err}");
    let (code, _, err) = convert(&["--server", "https://c:6443"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("left out: 1 to another server"), "{err}");
    let made = sealed(&tape);
    assert!(!std::fs::read_to_string(&tape).unwrap().contains("a-secret-of-the-browser"));
    assert_eq!((made.calls().count(), made.header.redaction.passes), (1, 2));
    let (code, out, _) = run(&["tape", "convert", "--to", "har", name(&tape)]);
    assert_eq!(code, Some(0));
    let back: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(back["log"]["entries"][0]["request"]["url"], "https://kubernetes/api/v1/namespaces/d/configmaps/a");
    std::fs::write(&har, "{\"log\": {\n").unwrap();
    let (code, _, err) = convert(&[]);
    assert_eq!(code, Some(1));
    assert!(err.contains("x.har: line 2, column"), "{err}");
}

#[test]
fn manifests_become_a_tape_that_gives_them_back() {
    let dir = tempfile::tempdir().unwrap();
    let (manifests, tape) = (dir.path().join("m.yaml"), dir.path().join("m.tape.yaml"));
    let text = "---\napiVersion: v1\ndata:\n  a: b\nkind: ConfigMap\nmetadata:\n  name: a\n  namespace: d\n";
    std::fs::write(&manifests, text).unwrap();
    let (code, _, err) = run(&["tape", "convert", "--from", "manifests", name(&manifests), "-o", name(&tape)]);
    assert_eq!(code, Some(0), "{err}");
    let (code, out, err) = run(&["tape", "convert", "--to", "manifests", name(&tape)]);
    assert_eq!((code, out.as_str()), (Some(0), text.trim_end()), "{err}");
    std::fs::write(&manifests, format!("{text}---\nkind: Pod\n")).unwrap();
    let (code, _, err) = run(&["tape", "convert", "--from", "manifests", name(&manifests), "-o", name(&tape)]);
    assert_eq!(code, Some(1));
    assert!(err.contains("m.yaml: document 2: an object needs apiVersion"), "{err}");
}

#[test]
fn a_trace_for_perfetto_has_slices_and_arrows() {
    let dir = tempfile::tempdir().unwrap();
    let (path, trace) = (tape_in(&dir, "x.tape.yaml", "second"), dir.path().join("x.json"));
    let (code, out, err) = run(&["tape", "timeline", name(&path), "--perfetto", name(&trace)]);
    assert_eq!((code, out.as_str()), (Some(0), ""), "{err}");
    let trace: Value = serde_json::from_slice(&std::fs::read(&trace).unwrap()).unwrap();
    let phases = |ph: &str| trace["traceEvents"].as_array().unwrap().iter().filter(|event| event["ph"] == ph).count();
    // Three calls and two states; two events and a mark; two causes.
    assert_eq!((phases("X"), phases("i"), phases("s"), phases("f")), (5, 3, 2, 2));
}
