//! Laws: redaction is idempotent, and leaves alone what holds no secret.

use base64::Engine as _;
use proptest::prelude::*;
use serde_json::json as j;

use super::*;

/// Ordinary traffic, full of words that sound like secrets.
fn innocent() -> Vec<Call> {
    let pod = j!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "web-0", "namespace": "demo", "uid": "0c3a9a9e-6a38-4f4b-9a3e-6c5c1f1ab001",
        "labels": {"app": "token-service", "pod-template-hash": "7d4b8c9f6d"},
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"spec\":{\"containers\":[{\"name\":\"c\",\"env\":[{\"name\":\"DB_PASSWORD\",\"valueFrom\":{\"secretKeyRef\":{\"name\":\"db-secret\",\"key\":\"password\"}}}]}]}}\n"},
        "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:data": {"f:password": {}}, "f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {"f:env": {"k:{\"name\":\"DB_PASSWORD\"}": {}}}}}}}]},
        "spec": {"automountServiceAccountToken": true, "serviceAccountName": "default", "imagePullSecrets": [{"name": "registry-secret"}],
            "containers": [{"name": "c", "image": "docker.io/library/nginx@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                "args": ["--token-file=/var/run/secrets/token", "--secret-name=db-secret", "--v=4"],
                "env": [{"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db-secret", "key": "password"}}}, {"name": "TOKEN_TTL", "value": "3h"}, {"name": "PASSWORD_FILE", "value": "/etc/x/password"}]}],
            "volumes": [{"name": "s", "secret": {"secretName": "db-secret", "items": [{"key": "token", "path": "token"}]}},
                {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}]}}]}});
    let ca = "-----BEGIN CERTIFICATE-----\nMIIBdjCCAR2gAwIBAgIBADAKBggqhkjOPQQDAjAjMSEwHwYDVQQDDBhrM3Mtc2Vy\n-----END CERTIFICATE-----\n";
    let map =
        j!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": ca}});
    let crd = j!({"kind": "CustomResourceDefinition", "apiVersion": "apiextensions.k8s.io/v1", "metadata": {"name": "things.x.io"}, "spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": {"type": "object", "properties": {"password": {"type": "string", "description": "The password: secret of the user."}, "token": {"type": "string"}}}}}]}});
    let webhook = j!({"kind": "ValidatingWebhookConfiguration", "apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": "w"}, "webhooks": [{"name": "a.b.c", "clientConfig": {"caBundle": detect::BASE64.encode(ca)}}]});
    let empty = j!({"kind": "SecretList", "apiVersion": "v1", "metadata": {"resourceVersion": "123456", "continue": "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MTIzLCJzdGFydCI6Indlbi0wIn0"}, "items": []});
    let refused = j!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403, "message": "secrets \"db-secret\" is forbidden: User \"system:serviceaccount:demo:default\" cannot get resource \"secrets\" in API group \"\" in the namespace \"demo\""});
    let role = j!({"kind": "Role", "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "r"}, "rules": [{"apiGroups": [""], "resources": ["secrets", "serviceaccounts/token"], "verbs": ["get"]}]});
    let mut calls = vec![
        got("/api/v1/namespaces/demo/pods/web-0", json(&pod)),
        sent("POST", "/api/v1/namespaces/demo/pods", json(&pod)),
        got("/api/v1/namespaces/demo/configmaps/kube-root-ca.crt", json(&map)),
        got("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.x.io", json(&crd)),
        got("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/w", json(&webhook)),
        got("/api/v1/secrets?continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MTIzfQ&limit=500", json(&empty)),
        got("/api/v1/namespaces/demo/secrets/db-secret", json(&refused)),
        got("/apis/rbac.authorization.k8s.io/v1/namespaces/demo/roles/r", json(&role)),
        got("/api/v1/secrets", Body::Text("Too many requests, please try again later.\n".into())),
        got(
            "/api/v1/namespaces/demo/pods/web-0/log",
            Body::Text("I1122 token_controller.go:30] \"Syncing\" secret=\"demo/db-secret\"\n".into()),
        ),
        sent(
            "PATCH",
            "/api/v1/namespaces/demo/pods/web-0",
            Body::Yaml("# apply\napiVersion: v1\nkind: Pod\nmetadata: {name: web-0}\n".into()),
        ),
    ];
    calls.push(header("user-agent", "kubectl/v1.36.0 (linux/amd64) kubernetes/0123456"));
    calls.push(header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"));
    calls
}

#[test]
fn traffic_without_secrets_is_left_as_it_is() {
    for call in innocent() {
        let redactor = redactor();
        let mut after = call.clone();
        redactor.call(&mut after);
        assert_eq!(after, call);
        assert!(!redactor.seal().call(&mut after));
        assert_eq!(redactor.secrets(), 0, "{call:?}");
    }
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9+/_.=-]{0,24}",
        "[ -~]{0,30}",
        Just("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n".to_owned()),
        Just("eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjF9.c2lnbmF0dXJl".to_owned()),
        Just("abcdef.0123456789abcdef".to_owned()),
        Just("password: hunter2\ntoken: \"x y\"\n".to_owned()),
        Just(r#"{"auths":{"r.io":{"auth":"dTpw"}}}"#.to_owned()),
        Just("Authorization: Basic dXNlcjpwYXNz and Bearer abc123def456".to_owned()),
        Just("postgres://u:p%40ss@db/x?token=a1b2c3d4".to_owned()),
    ]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("password".to_owned()),
        Just("data".to_owned()),
        Just("token".to_owned()),
        Just("name".to_owned()),
        Just("value".to_owned()),
        Just("client-key-data".to_owned()),
        Just("kind".to_owned()),
        "[a-z]{1,6}",
    ]
}

fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![word().prop_map(Value::from), any::<i32>().prop_map(Value::from), Just(Value::Null)];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key(), inner, 0..5).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn redacting_twice_changes_nothing_more(value in tree(), kind in prop_oneof![Just("Secret"), Just("ConfigMap"), Just("TokenReview")], data in tree()) {
        let object = j!({"kind": kind, "apiVersion": "v1", "metadata": {"name": "a", "annotations": value}, "data": data, "stringData": data, "spec": {"token": data}});
        let redactor = redactor();
        let mut once = got("/api/v1/namespaces/a/configmaps/a", json(&object));
        redactor.call(&mut once);
        let mut again = once.clone();
        redactor.call(&mut again);
        prop_assert_eq!(&again, &once);
        let sweeper = redactor.seal();
        sweeper.call(&mut once);
        let mut again = once.clone();
        sweeper.call(&mut again);
        prop_assert_eq!(again, once);
    }

    #[test]
    fn a_known_secret_goes_in_every_encoding_and_its_surroundings_stay(
        secret in "[A-Z][0-9][ -~]{10,60}[A-Z0-9]", before in "[a-z ]{0,7}", after in "[a-z ]{0,7}", url in any::<bool>(), pad in any::<bool>(),
    ) {
        let redactor = redactor();
        redactor.learn(secret.as_bytes());
        let sweeper = redactor.seal();
        let placeholder = redactor.core.names.shaped(secret.as_bytes());
        let plain = format!("{before}{secret}{after}");
        let want = format!("{before}{placeholder}{after}");
        let mut text = plain.clone();
        prop_assert!(sweeper.text(&mut text));
        prop_assert_eq!(&text, &want);
        let mut text = Value::from(plain.as_str()).to_string();
        prop_assert!(sweeper.text(&mut text));
        prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), Value::from(want.as_str()));
        let engine = match (url, pad) {
            (false, true) => base64::engine::general_purpose::STANDARD,
            (false, false) => base64::engine::general_purpose::STANDARD_NO_PAD,
            (true, true) => base64::engine::general_purpose::URL_SAFE,
            (true, false) => base64::engine::general_purpose::URL_SAFE_NO_PAD,
        };
        let mut text = format!("\"{}\"", engine.encode(&plain));
        prop_assert!(sweeper.text(&mut text));
        let read = match (url, pad) {
            (false, true) => engine.decode(text.trim_matches('"')).ok(),
            // What is a whole number of groups long may come back padded.
            _ => detect::decode_base64(text.trim_matches('"')),
        };
        prop_assert_eq!(read, Some(want.into_bytes()), "{}", text);
    }

    #[test]
    fn any_text_and_any_bytes_are_survived(text in word(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let redactor = redactor();
        redactor.learn(text.as_bytes());
        let mut message = text.clone();
        redactor.message(&mut message);
        let mut call = got("/api/v1/namespaces/a/secrets/a", Body::Proto { bytes: bytes.clone(), summary: Vec::new() });
        redactor.call(&mut call);
        let sweeper = redactor.seal();
        let mut text = String::from_utf8_lossy(&bytes).into_owned() + &message;
        sweeper.text(&mut text);
        let _ = sweeper.side_file("proto", &bytes);
    }

    #[test]
    fn every_secret_value_goes_and_keeps_its_name(values in prop::collection::btree_map("[a-z]{1,8}", prop::collection::vec(any::<u8>(), 1..40), 1..6)) {
        let data: serde_json::Map<_, _> = values.iter().map(|(k, v)| (k.clone(), detect::BASE64.encode(v).into())).collect();
        let mut call = got("/api/v1/namespaces/a/secrets/a", json(&j!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "a"}, "data": data})));
        redactor().call(&mut call);
        let after = answer(&call);
        for key in values.keys() {
            let plain = detect::decode_base64(after["data"][key].as_str().unwrap()).unwrap();
            prop_assert!(is_placeholder(&String::from_utf8(plain).unwrap()));
        }
    }
}
