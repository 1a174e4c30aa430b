//! Scans of tapes, side files and other files: what is found, where, and that nothing repeats it.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::*;
use crate::format::model::{Document, Header, Redaction};
use crate::format::write::document as emit_document;
use crate::redact::tests::{got, header, json as body, redactor, sent};

const CANARY: &str = "cnry-5f1c0Zk3vXq9LpT27aa";

fn scanner() -> Scanner {
    Scanner::try_new().unwrap()
}

fn classes(report: &ScanReport) -> Vec<&str> {
    report.findings.iter().map(|f| f.class).collect()
}

fn no_quotes(report: &ScanReport) {
    let all = format!("{report} {report:?} {} {}", report.to_json(), report.to_sarif());
    assert!(!all.contains(CANARY) && !all.contains(&STANDARD.encode(CANARY)), "{all}");
}

/// A tape of some calls, as it stands in a file.
fn tape(calls: Vec<crate::format::model::Call>) -> String {
    let mut header = Header { name: "t".into(), ..Header::default() };
    header.redaction = Redaction { passes: 2, ..redactor().facts() };
    let mut text = emit_document(&Document::Header(header));
    for (n, mut call) in calls.into_iter().enumerate() {
        call.id = n as u64 + 1;
        text.push_str(&emit_document(&Document::Call(call)));
    }
    text
}

#[test]
fn a_tape_gives_up_the_place_and_not_the_secret() {
    let secret = json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "s"}, "data": {"p": STANDARD.encode(CANARY)}});
    let calls = vec![
        got("/api/v1/namespaces/a/secrets/s", body(&secret)),
        sent("PATCH", "/api/v1/namespaces/a/secrets/s", body(&json!({"stringData": {"p": CANARY}}))),
        header("authorization", &format!("Bearer {CANARY}")),
    ];
    let text = tape(calls);
    let report = scanner().text("x.tape.yaml", &text);
    let places: Vec<_> = report
        .findings
        .iter()
        .filter(|f| f.class != "entropy")
        .map(|f| (f.call.unwrap(), f.path.as_str(), f.class))
        .collect();
    assert!(places.contains(&(1, "response.body$.data.p", "secret-data")), "{report}");
    assert!(places.contains(&(2, "request.body$.stringData.p", "secret-data")), "{report}");
    assert!(places.contains(&(3, "request.headers.authorization", "header")), "{report}");
    for finding in report.findings.iter().filter(|f| f.class == "secret-data" || f.class == "header") {
        let line = text.lines().nth(usize::try_from(finding.line).unwrap() - 1).unwrap();
        assert!(line.contains(CANARY) || line.contains(&STANDARD.encode(CANARY)[..20]), "{finding}: {line}");
    }
    assert_eq!(report.exit_code(), 1);
    no_quotes(&report);
}

#[test]
fn a_redacted_tape_is_clean() {
    let redactor = redactor();
    let secret = json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "s"}, "data": {"p": STANDARD.encode(CANARY)}});
    let pod = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "env": [{"name": "X", "value": CANARY}]}]}});
    let mut calls = vec![
        got("/api/v1/namespaces/a/pods/p", body(&pod)),
        got("/api/v1/namespaces/a/secrets/s", body(&secret)),
        header("authorization", &format!("Bearer {CANARY}")),
        header("cookie", &format!("session={CANARY}")),
    ];
    calls.iter_mut().for_each(|call| redactor.call(call));
    let sweeper = redactor.seal();
    calls.iter_mut().for_each(|call| {
        sweeper.call(call);
    });
    let report = scanner().text("x.tape.yaml", &tape(calls));
    assert_eq!((report.exit_code(), report.notes.len()), (0, 0), "{report}");
}

#[test]
fn known_secrets_are_found_in_every_encoding() {
    let mut known = Known::default();
    known.add(CANARY.as_bytes());
    let scanner = scanner().entropy(false).known(&known);
    let cases = [
        format!("a {CANARY} b"),
        STANDARD.encode(format!("ab{CANARY}")),
        STANDARD.encode(STANDARD.encode(CANARY)),
        CANARY.replace('-', "%2D"),
    ];
    for text in cases {
        let report = scanner.text("notes.txt", &format!("one\ntwo {text}\n"));
        assert!(classes(&report).contains(&"known"), "{text}");
        assert!(report.findings.iter().all(|f| f.line == 2), "{report}");
        no_quotes(&report);
    }
    assert_eq!(scanner.text("notes.txt", "nothing here").exit_code(), 0);
}

#[test]
fn hidden_content_is_looked_into_three_levels_deep() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(json!({"db": {"password": CANARY}}).to_string().as_bytes()).unwrap();
    let packed = STANDARD.encode(gzip.finish().unwrap());
    let report = scanner().entropy(false).text("release.txt", &format!("helm\n{packed}\n"));
    assert_eq!(report.findings[0].within, "base64 > gzip");
    assert_eq!((report.findings[0].line, report.findings[0].class), (2, "named-value"));
    no_quotes(&report);
}

#[test]
fn files_folders_and_side_files_are_scanned() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.tape.yaml"), tape(Vec::new())).unwrap();
    let aside = folder.path().join("x.tape.d");
    std::fs::create_dir(&aside).unwrap();
    let list = json!({"kind": "SecretList", "apiVersion": "v1", "items": [{"data": {"p": STANDARD.encode(CANARY)}}]});
    let packed = zstd::encode_all(list.to_string().as_bytes(), 3).unwrap();
    std::fs::write(aside.join("0123.json.zst"), packed).unwrap();
    let report = scanner().paths(&[folder.path().join("x.tape.yaml")]);
    assert!(classes(&report).contains(&"secret-data") && report.files == 2, "{report}");
    assert!(report.findings[0].file.ends_with("0123.json.zst"));
    no_quotes(&report);

    std::fs::write(aside.join("cut.json.zst"), [0x28, 0xb5, 0x2f, 0xfd, 1]).unwrap();
    let report = scanner().paths(&[folder.path().to_owned(), folder.path().join("missing")]);
    assert_eq!((report.exit_code(), report.problems.len()), (2, 2), "{report}");
}

#[test]
fn side_files_that_a_tape_shares_are_scanned_and_missing_ones_told() {
    use crate::format::model::{Body, Call, Entry, Request, Tape};
    let folder = tempfile::tempdir().unwrap();
    let shared = folder.path().join("_bodies");
    std::fs::create_dir(&shared).unwrap();
    let path = folder.path().join("x.tape.yaml");
    let text = format!("password={CANARY} {}", "filler ".repeat(6000));
    let request = Request { body: Some(Body::Text(text)), ..Request::default() };
    let tape = Tape { entries: vec![Entry::Call(Call { id: 1, request, ..Call::default() })], ..Tape::default() };
    crate::format::put(tape, &path, false, false).unwrap();
    let scan = || scanner().entropy(false).paths(std::slice::from_ref(&path));
    let report = scan();
    assert!(report.exit_code() == 1 && report.findings[0].file.contains("_bodies"), "{report}");
    std::fs::remove_dir_all(&shared).unwrap();
    let report = scan();
    assert!(report.exit_code() == 2 && report.problems[0].problem.contains("is missing"), "{report}");
}

#[test]
fn an_unswept_tape_says_so() {
    let mut header = Header::default();
    header.redaction.passes = 1;
    let report = scanner().text("x.tape.part", &emit_document(&Document::Header(header)));
    assert!(report.notes[0].contains("1 of 2 passes"), "{report}");
    assert_eq!(report.exit_code(), 0);
}

#[test]
fn manifests_logs_and_configurations_are_scanned_as_they_are() {
    let manifest = format!("# admin password: {CANARY}\napiVersion: v1\nkind: Secret\nstringData:\n  p: {CANARY}\n");
    let report = scanner().entropy(false).text("secret.yaml", &manifest);
    assert_eq!(
        report.findings.iter().map(|f| (f.line, f.class)).collect::<Vec<_>>(),
        [(1, "assignment"), (1, "secret-data")]
    );
    let log = format!("start\nAuthorization: Bearer {CANARY}\n");
    assert_eq!(classes(&scanner().entropy(false).text("x.log", &log)), ["bearer"]);
    let lines = format!("{{\"a\":1}}\n{{\"token\":\"{CANARY}\"}}\n");
    assert_eq!(classes(&scanner().entropy(false).text("x.jsonl", &lines)), ["named-value"]);
}

#[test]
fn only_what_looks_drawn_counts_as_random() {
    let random = scanner().text("x", "id Zk3vXq9LpT27aaRw8Yb1 here");
    assert_eq!(classes(&random), ["entropy"]);
    assert_eq!(random.to_sarif()["runs"][0]["results"][0]["level"], "warning");
    let innocent = [
        "0c3a9a9e-6a38-4f4b-9a3e-6c5c1f1ab001",
        "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "CertificateSigningRequestApproval",
        "kubectl.kubernetes.io/last-applied-configuration",
        "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MTIzLCJzdGFydCI6Indlbi0wIn0",
    ];
    for text in innocent {
        assert_eq!(scanner().text("x", text).exit_code(), 0, "{text}");
    }
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem();
    let map = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": certificate, "bundle": STANDARD.encode(&certificate)}});
    let report = scanner().text("x.tape.yaml", &tape(vec![got("/api/v1/namespaces/a/configmaps/c", body(&map))]));
    assert_eq!(report.exit_code(), 0, "{report}");
}

#[test]
fn known_secrets_come_from_kubeconfigs_environments_and_files() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    std::fs::write(folder.path().join("token"), "token-in-a-file-1\n").unwrap();
    std::fs::write(
        &config,
        format!("kind: Config\nusers:\n- name: a\n  user:\n    token: {CANARY}\n    tokenFile: token\n"),
    )
    .unwrap();
    let mut known = Known::default();
    known.add_kubeconfig(&config).unwrap();
    assert_eq!(known.len(), 2);
    known.add_env([("API_TOKEN".to_owned(), "t0ken-of-env".to_owned()), ("HOME".to_owned(), "/root".to_owned())]);
    assert_eq!(known.len(), 3);
    assert_eq!(format!("{known:?}"), "Known(3)");
    assert!(known.add_file(&folder.path().join("none")).is_err());
    std::fs::write(&config, "kind: Pod\n").unwrap();
    let error = known.add_kubeconfig(&config).unwrap_err().to_string();
    assert!(error.ends_with("is not a kubeconfig"), "{error}");
    let report = scanner().entropy(false).known(&known).text("x", "uses t0ken-of-env and token-in-a-file-1");
    assert_eq!(report.findings.len(), 1, "{report}");
}
