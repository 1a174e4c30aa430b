//! The whole of redaction: canaries in every surface, and the laws it keeps.

mod canaries;
mod laws;

use serde_json::Value;

use super::*;
use crate::format::model::Render;

/// A redactor whose placeholders are the same in every run.
pub(super) fn redactor() -> Redactor {
    ruled("")
}

pub(super) fn ruled(policy: &str) -> Redactor {
    Redactor::new(Policy::from_yaml(policy).unwrap(), &Key::from_secret(b"a key for the tests").unwrap())
}

pub(super) fn json(value: &Value) -> Body {
    Body::Json { tree: Tree::from(value), render: Render::default() }
}

/// A call with a request body.
pub(super) fn sent(method: &str, path: &str, body: Body) -> Call {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let query = rehearsal_apimachinery::request_info::parse_query(query);
    let request = Request { method: method.into(), path: path.into(), query, body: Some(body), ..Request::default() };
    Call { lane: "sut".into(), request, ..Call::default() }
}

/// A call with an answer.
pub(super) fn got(path: &str, body: Body) -> Call {
    let mut call = sent("GET", path, Body::default());
    call.request.body = None;
    call.response = Some(Response { status: 200, body: Some(body), ..Response::default() });
    call
}

/// A watch with one frame.
pub(super) fn watched(path: &str, content: Body) -> Call {
    let mut call = got(path, Body::default());
    call.response = Some(Response { status: 200, ..Response::default() });
    call.frames.push(Frame { content, ..Frame::default() });
    call
}

/// A request with a header.
pub(super) fn header(name: &str, value: &str) -> Call {
    let mut call = got("/api/v1/pods", Body::default());
    call.request.headers.push((name.into(), value.into()));
    call
}

/// A tree of a call's answer as a value.
pub(super) fn answer(call: &Call) -> Value {
    match call.response.as_ref().unwrap().body.as_ref().unwrap() {
        Body::Json { tree, .. } => Value::from(tree),
        other => panic!("{other:?}"),
    }
}

#[test]
fn equal_secrets_stay_equal_in_every_encoding() {
    let redactor = redactor();
    let secret = serde_json::json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "db"}, "data": {"p": "czNjcjN0LVZhbHVl"}});
    let mut one = got("/api/v1/namespaces/a/secrets/db", json(&secret));
    let mut two = got(
        "/api/v1/namespaces/a/configmaps/c",
        json(
            &serde_json::json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "c"}, "data": {"plain": "it is s3cr3t-Value here", "b64": "eHMzY3IzdC1WYWx1ZXg"}}),
        ),
    );
    redactor.call(&mut one);
    redactor.call(&mut two);
    assert!(redactor.seal().call(&mut two));
    let placeholder = redactor.core.names.flat(b"s3cr3t-Value");
    assert_eq!(detect::decode_base64(answer(&one)["data"]["p"].as_str().unwrap()).unwrap(), placeholder.as_bytes());
    assert_eq!(answer(&two)["data"]["plain"], format!("it is {placeholder} here"));
    assert_eq!(
        detect::decode_base64(answer(&two)["data"]["b64"].as_str().unwrap()).unwrap(),
        format!("x{placeholder}x").as_bytes()
    );
}

#[test]
fn names_and_references_still_match() {
    let redactor = redactor();
    let secret = serde_json::json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "db-main"}, "stringData": {"host": "db-main", "p": "s3cr3t-Value"}});
    let mut call = sent("POST", "/api/v1/namespaces/a/secrets", json(&secret));
    redactor.call(&mut call);
    let pod = serde_json::json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "env": [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "db-main", "key": "p"}}}]}]}});
    let mut pod = got("/api/v1/namespaces/a/pods/p", json(&pod));
    let before = pod.clone();
    redactor.call(&mut pod);
    redactor.seal().call(&mut pod);
    assert_eq!(pod, before);
}

#[test]
fn rules_come_first() {
    let redactor = ruled(
        "rules:\n\
         - {match: {gvk: v1/Secret, path: $.data.public}, action: keep, why: it is on the web site}\n\
         - {match: {gvk: v1/Secret, path: $.data.gone}, action: drop}\n\
         - {match: {gvk: v1/Secret, path: $.data.hashed}, action: hash}\n\
         - {match: {path: $.spec.note}, action: constant, value: nothing}\n\
         - {match: {header: x-tenant}, action: pseudonym}\n\
         - {match: {regex: 'acct-[0-9]+'}, action: pseudonym}\n",
    );
    let secret = serde_json::json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "a"}, "data": {"public": "cHVibGlj", "gone": "Z29uZQ==", "hashed": "aGFzaGVk", "p": "czNjcjN0"}});
    let mut call = got("/api/v1/namespaces/a/secrets/a", json(&secret));
    call.request.headers.push(("x-tenant".into(), "acme-corp".into()));
    redactor.call(&mut call);
    let data = answer(&call)["data"].clone();
    assert_eq!(data["public"], "cHVibGlj");
    assert!(data.get("gone").is_none());
    assert!(detect::decode_base64(data["hashed"].as_str().unwrap()).unwrap().starts_with(b"hmac-sha256:"));
    assert_eq!(call.request.headers[0].1, redactor.core.names.flat(b"acme-corp"));
    let other = serde_json::json!({"kind": "Thing", "apiVersion": "x.io/v1", "metadata": {"name": "a"}, "spec": {"note": "of acct-77", "more": "see acct-77."}});
    let mut call = got("/apis/x.io/v1/things/a", json(&other));
    redactor.call(&mut call);
    assert_eq!(answer(&call)["spec"]["note"], "nothing");
    assert_eq!(answer(&call)["spec"]["more"], format!("see {}.", redactor.core.names.flat(b"acct-77")));
}

#[test]
fn key_names_and_last_applied_go_when_asked() {
    let redactor = ruled("redactKeys: true\ndropLastApplied: true\n");
    let secret = serde_json::json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "a", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "x": "y"}}, "data": {"telling": "czNjcjN0"}});
    let mut call = got("/api/v1/namespaces/a/secrets/a", json(&secret));
    redactor.call(&mut call);
    let text = answer(&call).to_string();
    assert!(!text.contains("telling") && !text.contains("last-applied") && text.contains(r#""x":"y""#), "{text}");
}

#[test]
fn what_cannot_be_read_is_not_kept() {
    let cases = [
        Body::Proto { bytes: b"k8s\0\x0a\x0c\x0a\x02v1\x12\x06Secret\x12\x05canar".to_vec(), summary: Vec::new() },
        Body::Bytes(b"\xd9\xd9\xf7\xa1canary".to_vec()),
        Body::Text("{\"kind\":\"Secret\",\"data\":{\"a\":\"canary".into()),
    ];
    for body in cases {
        let mut call = got("/api/v1/namespaces/a/secrets/s", body.clone());
        redactor().call(&mut call);
        let note = answer(&call);
        assert_eq!((&note["kind"], &note["name"]), (&"Secret".into(), &"s".into()), "{body:?}");
        assert!(note["bytes"].as_u64().is_some_and(|n| n >= 10) && note["hmac"].is_string());
        // Elsewhere it is nobody's secret.
        let mut call = got("/api/v1/namespaces/a/pods/s", Body::Bytes(b"\xd9\xd9\xf7\xa1canary".to_vec()));
        let before = call.clone();
        redactor().call(&mut call);
        assert_eq!(call, before);
    }
}

#[test]
fn messages_keep_their_meaning() {
    let redactor = redactor();
    let mut text = "deployments.apps is forbidden: User \"alice@corp.com\" cannot list".to_owned();
    redactor.message(&mut text);
    let pseudonym = redactor.core.names.flat(b"alice@corp.com");
    assert_eq!(text, format!("deployments.apps is forbidden: User \"{pseudonym}\" cannot list"));
    let mut own = "User \"system:serviceaccount:a:b\" cannot list".to_owned();
    redactor.message(&mut own);
    assert_eq!(own, "User \"system:serviceaccount:a:b\" cannot list");
}

#[test]
fn debug_output_counts_and_never_quotes() {
    let redactor = redactor();
    redactor.learn(b"s3cr3t-Value");
    assert_eq!(format!("{:?}", redactor.seal()), "Sweeper(1 secrets)");
    let text = format!("{redactor:?}");
    assert!(text.starts_with("Redactor(key ") && text.ends_with(", 1 secrets)"), "{text}");
    assert_eq!(redactor.facts().passes, 1);
}

#[test]
fn a_key_that_is_logged_line_by_line_goes_with_all_its_lines() {
    let redactor = redactor();
    let lines = [
        "start\n",
        "-----BEGIN RSA PRIVATE KEY-----\n",
        "MIIEcanary1\n",
        "canary2==\n",
        "-----END RSA PRIVATE KEY-----\n",
        "done\n",
    ];
    let mut call = got("/api/v1/namespaces/a/pods/p/log?follow=true", Body::default());
    call.frames =
        lines.iter().map(|line| Frame { content: Body::Text((*line).to_owned()), ..Frame::default() }).collect();
    redactor.call(&mut call);
    let text: String =
        call.frames.iter().filter_map(|f| f.content.bytes()).map(|b| String::from_utf8(b).unwrap()).collect();
    assert!(text.starts_with("start\n") && text.ends_with("\ndone\n") && !text.contains("canary"), "{text}");
}

#[test]
fn the_second_pass_reads_side_files_and_says_so_in_the_header() {
    let redactor = redactor();
    redactor.learn(b"s3cr3t-Value");
    let aside = || Body::Ref {
        hash: "0123".into(),
        bytes: 9,
        is: "text".into(),
        render: Render::default(),
        summary: Vec::new(),
    };
    let call = got("/api/v1/pods", aside());
    let mut tape =
        crate::format::model::Tape { entries: vec![crate::format::model::Entry::Call(call)], ..Default::default() };
    assert!(!redactor.seal().tape(&mut tape, &mut |_| None));
    assert_eq!(tape.header.redaction.passes, 0);
    assert!(redactor.seal().tape(&mut tape, &mut |_| Some(Body::Text("a s3cr3t-Value".into()))));
    assert_eq!(tape.header.redaction.passes, 2);
    let crate::format::model::Entry::Call(call) = &tape.entries[0] else { panic!("the entry is a call") };
    let body = call.response.as_ref().unwrap().body.as_ref().unwrap();
    assert_eq!(body.bytes().unwrap(), format!("a {}", redactor.core.names.flat(b"s3cr3t-Value")).into_bytes());
}

#[test]
fn key_names_go_from_patches_and_field_ownership_too() {
    let redactor = ruled("redactKeys: true\n");
    let mut call = sent(
        "PATCH",
        "/api/v1/namespaces/a/secrets/a",
        json(&serde_json::json!([{"op": "remove", "path": "/data/telling"}])),
    );
    redactor.call(&mut call);
    let owned = serde_json::json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "a", "managedFields": [{"fieldsV1": {"f:data": {".": {}, "f:telling": {}}}}]}});
    call.response = Some(Response { status: 200, body: Some(json(&owned)), ..Response::default() });
    redactor.call(&mut call);
    let text = format!("{call:?}");
    assert!(!text.contains("telling") && text.contains("f:redacted-") && text.contains("/data/redacted-"), "{text}");
}

#[test]
fn refusals_about_secrets_keep_what_is_no_secret() {
    let status = |message: &str, field: &str| serde_json::json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": format!("Secret \"a\" is invalid: {field}: {message}"), "details": {"causes": [{"message": message, "field": field}]}});
    let redacted = |message: &str, field: &str| {
        let mut call = got("/api/v1/namespaces/a/secrets/a", json(&status(message, field)));
        redactor().call(&mut call);
        answer(&call)
    };
    let kept = "Invalid value: \"example.com/x\": field is immutable";
    assert_eq!(redacted(kept, "type"), status(kept, "type"));
    let gone = redacted("Invalid value: \"s3cr3t\": no", "data[p]");
    let pseudonym = redactor().core.names.flat(b"s3cr3t");
    assert_eq!(gone, status(&format!("Invalid value: \"{pseudonym}\": no"), "data[p]"));
}
