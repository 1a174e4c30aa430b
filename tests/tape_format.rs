//! Tapes at the rim: bodies of a server come back byte for byte, and `rehearsal tape` does what scripts rely on.

use axum::body::Body as HttpBody;
use http::Request;
use http_body_util::BodyExt as _;
use rehearsal::FakeServer;
use rehearsal::cassettes::format::model::{Body, Document, Header, Mark, ReqDoc, Request as Asked};
use rehearsal::cassettes::format::{JournalWriter, load, paths};
use serde_json::json;
use std::path::Path;
use std::process::{Command, Output};

const PATHS: [&str; 14] = [
    "/version",
    "/api",
    "/apis",
    "/api/v1",
    "/apis/apps/v1",
    "/api/v1/namespaces",
    "/api/v1/namespaces/default",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "/openapi/v2",
    "/openapi/v3",
    "/api/v1/namespaces/default/pods/missing",
    "/api/v1/pods?limit=x",
    "/api/v1/namespaces/default/configmaps/odd",
];

async fn send(server: &FakeServer, request: Request<HttpBody>) -> Vec<u8> {
    server.call(request).await.into_body().collect().await.unwrap().to_bytes().to_vec()
}

#[tokio::test]
async fn json_bodies_of_a_server_are_kept_as_trees_and_come_back_byte_for_byte() {
    let server = FakeServer::builder().seed(1).start().await.unwrap();
    let odd = json!({"metadata": {"name": "odd"}, "data": {"html": "<a>&\u{2028}", "lines": "a\nb\t\u{1}", "é": "😀"}});
    let create = Request::post("/api/v1/namespaces/default/configmaps").header("content-type", "application/json");
    send(&server, create.body(odd.to_string().into()).unwrap()).await;
    for agent in ["curl/8.5.0", "kubectl/v1.36.0"] {
        for path in PATHS {
            let request = Request::get(path).header("user-agent", agent).header("accept", "application/json");
            let bytes = send(&server, request.body(HttpBody::empty()).unwrap()).await;
            let body = Body::from_json(&bytes);
            assert!(matches!(body, Body::Json { .. }), "{agent} {path}: {}", String::from_utf8_lossy(&bytes));
            assert!(body.bytes().unwrap() == bytes, "{agent} {path}");
        }
    }
    server.shutdown().await;
}

fn tape(args: &[&str], path: &Path) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_rehearsal")).arg("tape").args(args).arg(path).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// A journal whose recorder died in the middle of a document.
fn crashed(dir: &Path) -> std::path::PathBuf {
    let path = paths::part(&dir.join("x.tape.yaml"));
    let mut journal = JournalWriter::create(&path, &Header { name: "x".into(), ..Header::default() }).unwrap();
    let request = Asked { method: "GET".into(), path: "/version".into(), ..Asked::default() };
    journal.append(&Document::Req(ReqDoc { of: 1, seq: 1, request, ..ReqDoc::default() })).unwrap();
    journal.append(&Document::Mark(Mark { seq: 2, what: "note".into(), ..Mark::default() })).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
    path
}

#[test]
fn a_journal_becomes_a_tape_that_is_checked_and_shown() {
    let dir = tempfile::tempdir().unwrap();
    let part = crashed(dir.path());
    let canonical = paths::canonical(&part);
    let (code, _, err) = tape(&["fmt"], &part);
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("x.tape.part: ") && err.contains(" bytes hold no whole document"), "{err}");
    assert!(part.exists());
    assert_eq!(load(&canonical).unwrap().tape.calls().count(), 1);
    assert_eq!(tape(&["fmt", "--check"], &canonical).0, Some(0));
    let (code, _, err) = tape(&["fmt"], &part);
    assert!(code == Some(1) && err.contains("is there already"), "{err}");

    let (code, out, _) = tape(&["lint"], &canonical);
    assert!(code == Some(0) && out.contains("warning: not sealed"), "{out}");
    assert_eq!(tape(&["lint", "--require-seal"], &canonical).0, Some(1));
    assert_eq!(tape(&["fmt", "--seal"], &canonical).0, Some(0));
    assert_eq!(tape(&["lint", "--require-seal"], &canonical).0, Some(0));

    let (code, out, _) = tape(&["show"], &canonical);
    assert!(code == Some(0) && out.contains("#1 GET /version no answer  [recorder-crash]"), "{out}");
    let (code, _, err) = tape(&["show", "--id", "7"], &canonical);
    assert!(code == Some(1) && err.contains("no call 7"), "{err}");
}

#[test]
fn a_hand_is_told_the_file_and_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.tape.yaml");
    std::fs::write(&path, "---\nkind: Tape\nformat: {major: 1}\n---\nkind: Call\nid: 1\nseq: {req: one}\n").unwrap();
    for command in ["fmt", "show"] {
        let (code, _, err) = tape(&[command], &path);
        assert_eq!(code, Some(1));
        assert!(err.contains("x.tape.yaml:7 (document 2): seq.req: expected a whole number"), "{err}");
    }
    std::fs::write(&path, "---\nkind: Tape\nformat: {major: 1}\nname: \"a\"\n").unwrap();
    assert_eq!(tape(&["fmt", "--check"], &path), (Some(1), format!("{}\n", path.display()), String::new()));
    assert_eq!(tape(&["fmt"], &path).0, Some(0));
    assert_eq!(tape(&["fmt", "--check"], &path).0, Some(0));
}
