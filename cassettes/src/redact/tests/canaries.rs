//! A thousand unique secrets, planted in every surface there is. None may be found again, in any encoding, in what the
//! two passes leave.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rehearsal_apimachinery::catalog::Catalog;
use rehearsal_apimachinery::codec::frames::protobuf_event;
use rehearsal_apimachinery::codec::protobuf::encode_object;
use serde_json::{Value, json as j};

use super::super::encodings::forms;
use super::*;
use crate::format::model::{End, Entry, Header, Tape};

const SECRETS: &str = "/api/v1/namespaces/demo/secrets";
const PODS: &str = "/api/v1/namespaces/demo/pods";
const MAPS: &str = "/api/v1/namespaces/demo/configmaps";

fn b64(text: &str) -> String {
    STANDARD.encode(text)
}

fn secret(data: &Value) -> Value {
    j!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "s", "namespace": "demo"}, "data": data})
}

fn pod(spec: &Value) -> Value {
    j!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p"}, "spec": {"containers": [spec]}})
}

fn map(value: &str) -> Value {
    j!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "c"}, "data": {"file": value}})
}

fn annotated(value: &str) -> Value {
    j!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "c", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": value}}})
}

fn status(message: &str) -> Value {
    j!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": 422})
}

fn proto(value: &Value) -> Body {
    Body::Proto { bytes: encode_object(value, Catalog::builtin()).unwrap(), summary: Vec::new() }
}

fn jwt(canary: &str) -> String {
    let part = |v: Value| URL_SAFE_NO_PAD.encode(v.to_string());
    format!("{}.{}.{}", part(j!({"alg": "RS256"})), part(j!({"exp": 1, "sub": canary})), URL_SAFE_NO_PAD.encode(canary))
}

fn pem(label: &str, canary: &str) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", b64(canary))
}

fn kubeconfig(canary: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\nclusters: []\nusers:\n- name: a\n  user:\n    token: {canary}\n    client-key-data: {}\n",
        b64(&pem("EC PRIVATE KEY", canary))
    )
}

fn with(mut call: Call, key: &str, value: &str) -> Call {
    call.request.query.push((key.into(), value.into()));
    call
}

fn response_header(name: &str, value: &str) -> Call {
    let mut call = got("/api/v1/pods", Body::default());
    call.response.as_mut().unwrap().headers.push((name.into(), value.into()));
    call
}

/// The secret in a Secret, and once more somewhere that gives no hint.
fn twice(canary: &str, elsewhere: Call) -> Vec<Call> {
    vec![elsewhere, got(&format!("{SECRETS}/s"), json(&secret(&j!({"p": b64(canary)}))))]
}

type Plant = (&'static str, fn(&str) -> Vec<Call>);

const HEADERS: &[Plant] = &[
    ("bearer", |c| vec![header("authorization", &format!("Bearer {c}"))]),
    ("basic", |c| vec![header("authorization", &format!("Basic {}", b64(&format!("me:{c}"))))]),
    ("proxy", |c| vec![header("proxy-authorization", &format!("Digest {c}"))]),
    ("cookie", |c| vec![header("cookie", &format!("a=b; session={c}"))]),
    ("set-cookie", |c| vec![response_header("set-cookie", &format!("session={c}; Path=/"))]),
    ("remote user", |c| vec![header("x-remote-user", c)]),
    ("remote extra", |c| vec![header("x-remote-extra-scopes", c)]),
    ("impersonate", |c| vec![header("impersonate-user", c)]),
    ("impersonate group", |c| vec![header("Impersonate-Group", c)]),
    ("impersonate extra", |c| vec![header("impersonate-extra-reason", c)]),
    ("client certificate", |c| vec![header("x-forwarded-client-cert", &pem("CERTIFICATE", c))]),
    ("api key", |c| vec![header("x-api-key", c)]),
    ("websocket", |c| {
        let token = URL_SAFE_NO_PAD.encode(c);
        vec![header(
            "sec-websocket-protocol",
            &format!("base64url.bearer.authorization.k8s.io.{token}, v5.channel.k8s.io"),
        )]
    }),
    ("query token", |c| vec![with(got(PODS, Body::default()), "access_token", c)]),
    ("query signature", |c| vec![with(got(PODS, Body::default()), "X-Amz-Signature", c)]),
    ("exec command", |c| vec![with(got(PODS, Body::default()), "command", &format!("--password={c}"))]),
    ("userinfo", |c| vec![with(got(PODS, Body::default()), "target", &format!("https://me:{c}@host/x"))]),
    ("warning", |c| vec![response_header("warning", &format!("299 - \"token={c} is deprecated\""))]),
];

const SECRET_BODIES: &[Plant] = &[
    ("get", |c| vec![got(&format!("{SECRETS}/s"), json(&secret(&j!({"p": b64(c)}))))]),
    ("newline", |c| vec![got(&format!("{SECRETS}/s"), json(&secret(&j!({"p": b64(&format!("{c}\n"))}))))]),
    ("list", |c| {
        let item = j!({"metadata": {"name": "s"}, "data": {"p": b64(c)}, "type": "Opaque"});
        vec![got(SECRETS, json(&j!({"kind": "SecretList", "apiVersion": "v1", "metadata": {}, "items": [item]})))]
    }),
    ("mixed list", |c| {
        vec![got(SECRETS, json(&j!({"kind": "List", "apiVersion": "v1", "items": [secret(&j!({"p": b64(c)}))]})))]
    }),
    ("watch", |c| vec![watched(SECRETS, json(&j!({"type": "ADDED", "object": secret(&j!({"p": b64(c)}))})))]),
    ("create", |c| vec![sent("POST", SECRETS, json(&secret(&j!({"p": b64(c)}))))]),
    ("string data", |c| {
        vec![sent("POST", SECRETS, json(&j!({"kind": "Secret", "apiVersion": "v1", "stringData": {"p": c}})))]
    }),
    ("wrong kind", |c| {
        vec![sent("POST", SECRETS, json(&j!({"kind": "Sekret", "apiVersion": "v1", "stringData": {"p": c}})))]
    }),
    ("invalid base64", |c| vec![sent("POST", SECRETS, json(&secret(&j!({"p": format!("!{c}")}))))]),
    ("invalid shape", |c| vec![sent("POST", SECRETS, json(&j!({"kind": "Secret", "apiVersion": "v1", "data": [c]})))]),
    ("merge patch", |c| {
        vec![sent("PATCH", &format!("{SECRETS}/s"), json(&j!({"data": {"p": b64(c)}, "stringData": {"q": c}})))]
    }),
    ("json patch", |c| {
        vec![sent("PATCH", &format!("{SECRETS}/s"), json(&j!([{"op": "add", "path": "/data/p", "value": b64(c)}])))]
    }),
    ("json patch of data", |c| {
        vec![sent(
            "PATCH",
            &format!("{SECRETS}/s"),
            json(&j!([{"op": "replace", "path": "/stringData", "value": {"p": c}}])),
        )]
    }),
    ("json patch of all", |c| {
        vec![sent(
            "PATCH",
            &format!("{SECRETS}/s"),
            json(&j!([{"op": "replace", "path": "", "value": secret(&j!({"p": b64(c)}))}])),
        )]
    }),
    ("json patch test", |c| {
        vec![sent("PATCH", &format!("{SECRETS}/s"), json(&j!([{"op": "test", "path": "/data/1", "value": b64(c)}])))]
    }),
    ("apply yaml", |c| {
        let text = format!("apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\nstringData:\n  p: \"{c}\" # {c}\n");
        vec![sent("PATCH", &format!("{SECRETS}/s?fieldManager=me"), Body::Yaml(text))]
    }),
    ("yaml answer", |c| {
        vec![got(
            &format!("{SECRETS}/s"),
            Body::Text(format!("apiVersion: v1\ndata:\n  p: {}\nkind: Secret\n", b64(c))),
        )]
    }),
    ("short broken frame", |c| vec![watched(SECRETS, Body::Text(format!("{{\"p\":\"{c}")))]),
    ("doubled key elsewhere", |c| {
        vec![sent("POST", MAPS, Body::Text(format!(r#"{{"password":"{c}","password":"$(X)"}}"#)))]
    }),
    ("broken yaml", |c| vec![sent("POST", SECRETS, Body::Yaml(format!("data: [\n  {c}")))]),
    ("broken json", |c| vec![sent("POST", SECRETS, Body::Text(format!("{{\"data\":{{\"p\":\"{c}")))]),
    ("doubled keys", |c| {
        let text = format!(r#"{{"kind":"Secret","apiVersion":"v1","stringData":{{"p":"{c}","p":"{c}"}}}}"#);
        vec![sent("POST", SECRETS, Body::Text(text))]
    }),
    ("metadata", |c| {
        let applied = secret(&j!({"p": b64(c)})).to_string();
        let meta = j!({"name": "s", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": applied}});
        vec![got(
            SECRETS,
            json(
                &j!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "items": [{"metadata": meta}]}),
            ),
        )]
    }),
    ("table", |c| {
        let row = j!({"cells": ["s"], "object": secret(&j!({"p": b64(c)}))});
        vec![got(
            SECRETS,
            json(
                &j!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "columnDefinitions": [{"name": "Name"}], "rows": [row]}),
            ),
        )]
    }),
    ("table cell", |c| {
        let table = j!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "columnDefinitions": [{"name": "Name"}, {"name": "Admin Password"}], "rows": [{"cells": ["s", c]}]});
        vec![got("/apis/x.io/v1/namespaces/demo/things", json(&table))]
    }),
    ("protobuf", |c| vec![got(&format!("{SECRETS}/s"), proto(&secret(&j!({"p": b64(c)}))))]),
    ("protobuf list", |c| {
        let list = j!({"kind": "SecretList", "apiVersion": "v1", "metadata": {}, "items": [{"metadata": {"name": "s"}, "data": {"p": b64(c)}}]});
        vec![got(SECRETS, proto(&list))]
    }),
    ("protobuf watch", |c| {
        let bytes = protobuf_event("MODIFIED", &secret(&j!({"p": b64(c)})), Catalog::builtin()).unwrap();
        vec![watched(SECRETS, Body::Proto { bytes: bytes[4..].to_vec(), summary: Vec::new() })]
    }),
    ("broken protobuf", |c| {
        vec![got(SECRETS, Body::Proto { bytes: format!("k8s\0{c}").into_bytes(), summary: Vec::new() })]
    }),
    ("cbor", |c| vec![got(SECRETS, Body::Bytes(format!("\u{7f}{c}").into_bytes()))]),
    ("docker", |c| {
        let config =
            j!({"auths": {"r.io": {"username": "u", "password": c, "auth": b64(&format!("u:{c}"))}}}).to_string();
        vec![got(&format!("{SECRETS}/s"), json(&secret(&j!({".dockerconfigjson": b64(&config)}))))]
    }),
    ("update", |c| vec![sent("PUT", &format!("{SECRETS}/s"), proto(&secret(&j!({"p": b64(c)}))))]),
    ("strategic patch", |c| {
        let patch = j!({"$setElementOrder/x": [], "data": {"p": b64(c), "q": Value::Null}, "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": secret(&j!({"p": b64(c)})).to_string()}}});
        vec![sent("PATCH", &format!("{SECRETS}/s"), json(&patch))]
    }),
    ("apply json", |c| {
        vec![sent(
            "PATCH",
            &format!("{SECRETS}/s?fieldManager=x"),
            Body::Text(format!(r#"{{"apiVersion":"v1","kind":"Secret","stringData":{{"p":"{c}"}}}}"#)),
        )]
    }),
    ("collection in yaml", |c| {
        let text = format!(
            "kind: ConfigMap\n---\napiVersion: v1\nkind: List\nitems:\n- kind: Secret\n  apiVersion: v1\n  data: {{p: {}}}\n",
            b64(c)
        );
        vec![sent("POST", SECRETS, Body::Yaml(text))]
    }),
    ("watch of metadata", |c| {
        let meta = j!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": secret(&j!({"p": b64(c)})).to_string()}}});
        vec![watched(SECRETS, json(&j!({"type": "MODIFIED", "object": meta})))]
    }),
    ("admission", |c| {
        vec![sent(
            "POST",
            "/hook",
            json(
                &j!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {"object": secret(&j!({"p": b64(c)}))}}),
            ),
        )]
    }),
];

const API_BODIES: &[Plant] = &[
    ("token request", |c| {
        let body = j!({"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "status": {"token": jwt(c), "expirationTimestamp": "x"}});
        vec![got("/api/v1/namespaces/demo/serviceaccounts/a/token", json(&body))]
    }),
    ("opaque token", |c| {
        let body = j!({"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": {"audiences": []}, "status": {"token": c}});
        vec![got("/api/v1/namespaces/demo/serviceaccounts/a/token", proto(&body))]
    }),
    ("token review", |c| {
        let path = "/apis/authentication.k8s.io/v1/tokenreviews";
        let body = j!({"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "spec": {"token": c}});
        let error = j!({"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "spec": {"token": c}, "status": {"error": format!("no {c} here")}});
        vec![sent("POST", path, json(&body)), got(path, json(&error))]
    }),
    ("reviewed user", |c| {
        let body = j!({"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "status": {"user": {"username": c, "uid": c, "groups": [c, "system:masters"], "extra": {"k": [c]}}}});
        vec![got("/apis/authentication.k8s.io/v1/tokenreviews", json(&body))]
    }),
    ("self", |c| {
        let body = j!({"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1", "status": {"userInfo": {"username": c}}});
        vec![got("/apis/authentication.k8s.io/v1/selfsubjectreviews", json(&body))]
    }),
    ("certificate request", |c| {
        let body = j!({"kind": "CertificateSigningRequest", "apiVersion": "certificates.k8s.io/v1", "metadata": {"name": "x"}, "spec": {"request": b64(&pem("CERTIFICATE REQUEST", c)), "username": c}, "status": {"certificate": b64(&pem("CERTIFICATE", c))}});
        vec![got("/apis/certificates.k8s.io/v1/certificatesigningrequests/x", json(&body))]
    }),
    ("kubeconfig", |c| vec![got(MAPS, json(&map(&kubeconfig(c))))]),
    ("kubeconfig as json", |c| {
        let config = j!({"kind": "Config", "apiVersion": "v1", "users": [{"name": "a", "user": {"password": c, "auth-provider": {"config": {"id-token": c}}}}]});
        vec![got(MAPS, json(&map(&config.to_string())))]
    }),
    ("kubeconfig in protobuf", |c| vec![got(MAPS, proto(&map(&kubeconfig(c))))]),
    ("bootstrap", |c| {
        let text = format!("join --token abcdef.{}", tail(c, 16));
        vec![got(&format!("{PODS}/p/log"), Body::Text(text))]
    }),
    ("properties", |c| vec![got(MAPS, json(&map(&format!("user=x\ndb.password={c}\n"))))]),
    ("yaml file", |c| vec![got(MAPS, json(&map(&format!("db:\n  user: x\n  password: {c}\n"))))]),
    ("json file", |c| vec![got(MAPS, json(&map(&j!({"db": {"password": c}}).to_string())))]),
    ("last applied", |c| {
        vec![got(
            MAPS,
            json(&annotated(&j!({"kind": "Secret", "apiVersion": "v1", "stringData": {"p": c}}).to_string())),
        )]
    }),
    ("last applied twice", |c| {
        let inner = annotated(&secret(&j!({"p": b64(c)})).to_string()).to_string();
        vec![got(MAPS, json(&annotated(&inner)))]
    }),
    ("last applied broken", |c| {
        let mut object = secret(&j!({}));
        object["metadata"]["annotations"] = j!({"kubectl.kubernetes.io/last-applied-configuration": format!("{{\"kind\":\"Secret\",\"stringData\":{{\"a\":\"{c}")});
        vec![got(&format!("{SECRETS}/s"), json(&object))]
    }),
    ("last applied environment", |c| {
        let inner = pod(&j!({"name": "c", "env": [{"name": "DB_PASSWORD", "value": c}]})).to_string();
        vec![got(MAPS, json(&annotated(&inner)))]
    }),
    ("custom resource", |c| {
        let body =
            j!({"kind": "Thing", "apiVersion": "x.io/v1", "metadata": {"name": "a"}, "spec": {"adminPassword": c}});
        vec![got("/apis/x.io/v1/namespaces/demo/things/a", json(&body))]
    }),
    ("template", |c| {
        let body = j!({"kind": "Thing", "apiVersion": "x.io/v1", "metadata": {"name": "a"}, "spec": {"objects": [secret(&j!({"p": b64(c)}))]}});
        vec![watched("/apis/x.io/v1/things", json(&j!({"type": "ADDED", "object": body})))]
    }),
];

const TEXTS: &[Plant] = &[
    ("password of several words", |c| {
        vec![sent("POST", PODS, json(&pod(&j!({"env": [{"name": "PASSWORD", "value": format!("my {c} is long")}]}))))]
    }),
    ("header of a probe", |c| {
        let headers = j!([{"name": "Authorization", "value": format!("Token {c}")}]);
        vec![sent("POST", PODS, json(&pod(&j!({"livenessProbe": {"httpGet": {"httpHeaders": headers}}}))))]
    }),
    ("exec flag", |c| {
        let mut call = with(got(PODS, Body::default()), "command", "--token");
        call.request.query.push(("command".into(), c.into()));
        vec![call]
    }),
    ("binary data", |c| {
        let data = b64(&format!("#!/bin/sh\nexport DB_PASSWORD={c}\n"));
        vec![got(MAPS, json(&j!({"kind": "ConfigMap", "apiVersion": "v1", "binaryData": {"x": data}})))]
    }),
    ("form", |c| vec![sent("POST", "/token", Body::Text(format!("grant_type=x&client_secret={c}&a=b")))]),
    ("environment", |c| vec![sent("POST", PODS, json(&pod(&j!({"env": [{"name": "API_TOKEN", "value": c}]}))))]),
    ("environment in protobuf", |c| {
        vec![sent("POST", PODS, proto(&pod(&j!({"name": "c", "env": [{"name": "API_TOKEN", "value": c}]}))))]
    }),
    ("database url", |c| {
        vec![sent(
            "POST",
            PODS,
            json(&pod(&j!({"env": [{"name": "DATABASE_URL", "value": format!("postgres://u:{c}@db/x")}]}))),
        )]
    }),
    ("argument", |c| vec![sent("POST", PODS, json(&pod(&j!({"args": [format!("--db-password={c}")]}))))]),
    ("argument pair", |c| vec![sent("POST", PODS, json(&pod(&j!({"command": ["x", "--token", c]}))))]),
    ("shell", |c| {
        vec![sent(
            "POST",
            PODS,
            json(&pod(&j!({"command": ["sh", "-c", format!("curl -H 'Authorization: Bearer {c}' x")]}))),
        )]
    }),
    ("environment patch", |c| {
        let ops = j!([{"op": "add", "path": "/spec/template/spec/containers/0/env/-", "value": {"name": "PASSWORD", "value": c}}]);
        vec![sent("PATCH", "/apis/apps/v1/namespaces/demo/deployments/d", json(&ops))]
    }),
    ("log", |c| vec![got(&format!("{PODS}/p/log"), Body::Text(format!("starting\npassword={c}\ndone\n")))]),
    ("log token", |c| vec![got(&format!("{PODS}/p/log"), Body::Text(format!("got {}\n", jwt(c))))]),
    ("log key", |c| vec![got(&format!("{PODS}/p/log"), Body::Text(format!("x\n{}y\n", pem("RSA PRIVATE KEY", c))))]),
    ("log cloud key", |c| vec![got(&format!("{PODS}/p/log"), Body::Text(format!("using ghp_{}", tail(c, 24))))]),
    ("log frame", |c| {
        vec![watched(&format!("{PODS}/p/log"), Body::Text(format!("{{\"msg\":\"x\",\"apiKey\":\"{c}\"}}\n")))]
    }),
    ("denial", |c| {
        vec![got(PODS, json(&status(&format!("admission webhook \"x\" denied the request: token: \"{c}\" is weak"))))]
    }),
    ("user in a refusal", |c| {
        vec![got(PODS, json(&status(&format!("pods is forbidden: User \"{c}\" cannot list resource"))))]
    }),
    ("invalid value", |c| {
        vec![got(
            &format!("{SECRETS}/s"),
            json(&status(&format!("Secret \"s\" is invalid: data[p]: Invalid value: \"{c}\": no"))),
        )]
    }),
    ("event", |c| {
        let event = j!({"kind": "Event", "apiVersion": "v1", "metadata": {"name": "e"}, "message": format!("dial amqp://me:{c}@mq:5672 failed")});
        vec![watched("/api/v1/events", json(&j!({"type": "ADDED", "object": event})))]
    }),
    ("upstream", |c| {
        let mut call = got(PODS, Body::default());
        call.end = End::Upstream { message: format!("connect to https://me:{c}@host: refused") };
        vec![call]
    }),
];

const SWEPT: &[Plant] = &[
    ("file in a secret", |c| {
        let file = format!("[db]\nname: x\npassword: {c}\n");
        twice(&file, got(MAPS, json(&map(&format!("see {c}"))))).into_iter().rev().collect()
    }),
    ("before its secret", |c| twice(c, sent("POST", PODS, json(&pod(&j!({"env": [{"name": "X", "value": c}]})))))),
    ("in protobuf", |c| {
        twice(c, sent("POST", PODS, proto(&pod(&j!({"name": "c", "env": [{"name": "X", "value": c}]})))))
    }),
    ("in a sentence", |c| twice(c, got(PODS, json(&status(&format!("denied: {c} was used before")))))),
    ("in base64", |c| twice(c, got(MAPS, json(&map(&b64(&format!("a{c}z"))))))),
    ("in base64 further on", |c| twice(c, got(MAPS, json(&map(&b64(&format!("ab{c}"))))))),
    ("in base64url", |c| twice(c, got(MAPS, json(&map(&URL_SAFE_NO_PAD.encode(format!("???{c}>>>"))))))),
    ("in base64 twice", |c| twice(c, got(MAPS, json(&map(&b64(&b64(c))))))),
    ("percent", |c| {
        let text = utf8_percent_encode(&format!("{c}/x"), NON_ALPHANUMERIC).to_string();
        twice(&format!("{c}/x"), got(&format!("/api/v1/namespaces/demo/services/a/proxy/{text}"), Body::default()))
    }),
    ("escaped", |c| twice(&format!("{c}\"<x>"), got(MAPS, json(&map(&j!({"v": format!("{c}\"<x>")}).to_string()))))),
    ("as a key", |c| twice(c, got(MAPS, json(&j!({"kind": "ConfigMap", "apiVersion": "v1", "data": {c: "x"}}))))),
    ("in a header", |c| twice(c, header("user-agent", &format!("agent/{c}")))),
    ("in a binary", |c| twice(c, got(&format!("{PODS}/p/log"), Body::Bytes(format!("\u{1}{c}").into_bytes())))),
    ("in a label", |c| {
        twice(
            c,
            got(
                MAPS,
                json(&j!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "x", "labels": {"a": c}}})),
            ),
        )
    }),
];

/// A secret that nobody could take for anything else; several styles of them.
fn canary(n: usize) -> String {
    let digest = crate::redact::pseudonym::sha256(format!("canary {n}").as_bytes());
    let cut = &digest[..24];
    match n % 4 {
        0 => format!("cnry-{cut}"),
        1 => format!("Cn!{cut}"),
        2 => format!("cnry_{}", cut.to_uppercase().replace(|c: char| c.is_ascii_uppercase(), "k")),
        _ => format!("zK{cut}"),
    }
}

/// The last characters of a canary, for the forms that take letters and digits only.
fn tail(canary: &str, length: usize) -> &str {
    &canary[canary.len() - length..]
}

/// Everything a tape would hold of a call: bodies as they are written, the whole as it prints, and what base64 hides.
fn remains(call: &Call) -> Vec<u8> {
    let mut out = Vec::new();
    let mut body = |body: &Body| match body {
        Body::Json { tree, .. } => out.extend(serde_json::to_vec(tree).unwrap()),
        Body::Yaml(text) | Body::Text(text) => out.extend(text.as_bytes()),
        Body::Proto { bytes, .. } | Body::Bytes(bytes) => out.extend(bytes),
        _ => {}
    };
    call.request.body.iter().for_each(&mut body);
    call.response.iter().filter_map(|r| r.body.as_ref()).for_each(&mut body);
    call.frames.iter().for_each(|f| body(&f.content));
    out.extend(format!("{call:?}").into_bytes());
    let hidden = decoded(&out, 3);
    out.extend(hidden);
    out
}

/// What the base64 in a text says, and the base64 in that.
fn decoded(text: &[u8], depth: u8) -> Vec<u8> {
    let own = |b: &u8| b.is_ascii_alphanumeric() || b"+/-_".contains(b);
    let mut out = Vec::new();
    for run in text.split(|b| !own(b)).filter(|run| run.len() >= 12 && depth > 0) {
        if let Some(plain) = detect::decode_base64(std::str::from_utf8(run).unwrap()) {
            out.extend(decoded(&plain, depth - 1));
            out.extend(plain);
            out.push(b' ');
        }
    }
    out
}

fn survives(canary: &str, remains: &[u8]) -> bool {
    let whole = forms(canary.as_bytes()).iter().any(|(_, form)| memchr::memmem::find(remains, form).is_some());
    whole || memchr::memmem::find(remains, tail(canary, 16).as_bytes()).is_some()
}

#[test]
fn a_thousand_canaries_in_every_surface_leave_no_trace() {
    let plants: Vec<&Plant> = [HEADERS, SECRET_BODIES, API_BODIES, TEXTS, SWEPT].into_iter().flatten().collect();
    let redactor = redactor();
    let mut calls = Vec::new();
    let mut planted = Vec::new();
    for n in 0..1040 {
        let (name, plant) = plants[n % plants.len()];
        let canary = canary(n);
        let mut seen = false;
        for mut call in plant(&canary) {
            seen |= n > 4 * plants.len() || survives(&canary, &remains(&call));
            redactor.call(&mut call);
            calls.push((*name, call));
        }
        assert!(seen, "{name} plants nothing");
        planted.push((*name, canary));
    }
    let sweeper = redactor.seal();
    let printed = format!("{redactor:?} {sweeper:?} {:?} {:?}", redactor.core.policy, redactor.core.names);
    let kept: Vec<_> = calls
        .iter_mut()
        .map(|(name, call)| {
            sweeper.call(call);
            (*name, remains(call))
        })
        .collect();
    let survivor = |(name, canary): &&(&str, String)| {
        // Only calls of the same surface can hold it.
        kept.iter().any(|(of, text)| of == name && survives(canary, text)) || printed.contains(canary.as_str())
    };
    let mut failures: Vec<_> =
        planted.iter().filter(survivor).map(|(name, canary)| format!("{name}: {canary}")).collect();
    let count = failures.len();
    failures.truncate(40);
    assert!(failures.is_empty(), "{count} of {} survive:\n{}", planted.len(), failures.join("\n"));
}

#[test]
fn the_first_pass_alone_leaves_only_what_nothing_gave_away() {
    for (name, plant) in [HEADERS, SECRET_BODIES, API_BODIES, TEXTS].into_iter().flatten() {
        let canary = canary(3);
        let redactor = redactor();
        for mut call in plant(&canary) {
            redactor.call(&mut call);
            assert!(!survives(&canary, &remains(&call)), "{name}: {call:?}");
        }
    }
}

#[test]
fn a_tape_of_all_canaries_scans_clean() {
    let redactor = redactor();
    let mut known = scan::Known::default();
    let mut tape = Tape { header: Header { redaction: redactor.facts(), ..Header::default() }, ..Tape::default() };
    let all = [HEADERS, SECRET_BODIES, API_BODIES, TEXTS, SWEPT].into_iter().flatten();
    for (n, (_, plant)) in all.enumerate() {
        let canary = canary(n);
        known.add(canary.as_bytes());
        for mut call in plant(&canary) {
            call.id = tape.entries.len() as u64 + 1;
            redactor.call(&mut call);
            tape.entries.push(Entry::Call(call));
        }
    }
    assert!(redactor.seal().tape(&mut tape, &mut |_| None));
    let scanner = scan::Scanner::try_new().unwrap().known(&known);
    let journal: String = tape.entries.iter().map(crate::format::write::entry).collect();
    for text in [crate::format::to_text(&tape), journal] {
        let report = scanner.text("x.tape.yaml", &text);
        let lines: Vec<_> = report.findings.iter().filter_map(|f| text.lines().nth(f.line as usize - 1)).collect();
        assert!(report.findings.is_empty(), "{report}\n{lines:#?}");
    }
}
