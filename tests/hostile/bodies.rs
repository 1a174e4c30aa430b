//! Bodies that are whole but bad: syntax, depth, size, numbers, text, base64.

use crate::wire::{MAPS, Victim};

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const DEEP: usize = 10_500;

fn in_config_map(data: &str) -> String {
    format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"x"}},"data":{data}}}"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_documents_are_bad_requests() {
    let victim = Victim::start().await;
    let json = [
        "",
        "{",
        "}",
        "[",
        "nul",
        "\"",
        "{\"a\"",
        "{\"a\":}",
        "{}{}",
        "\u{feff}{}",
        "{'a':1}",
        "\0",
        "[1,]",
        "1e",
        "-",
    ];
    for body in json {
        let answer = victim.request("POST", MAPS, JSON, body.as_bytes()).await;
        answer.refuses(400, "");
    }
    for body in [
        "a: [1",
        "a: b: c",
        "\ta: 1",
        "- a\nb",
        "a: *x",
        "a: &x [*x]",
        "!!binary |\n  %%",
        "%YAML 9.9\n---\na",
        "{",
        "'",
    ] {
        let answer = victim.request("POST", MAPS, YAML, body.as_bytes()).await;
        assert!((400..500).contains(&answer.code), "{body:?}: {} {}", answer.code, answer.text());
    }
    victim.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_of_other_shapes_are_bad_requests() {
    let victim = Victim::start().await;
    for body in ["null", "1", "\"text\"", "[]", "[{}]", "true", r#"{"metadata":[]}"#, r#"{"metadata":{"labels":[1]}}"#]
    {
        for path in [MAPS, "/api/v1/namespaces/default/pods", "/apis/apps/v1/namespaces/default/deployments"] {
            let answer = victim.request("POST", path, JSON, body.as_bytes()).await;
            assert!((400..500).contains(&answer.code), "{path} {body}: {} {}", answer.code, answer.text());
        }
        let answer = victim.request("DELETE", &format!("{MAPS}/none"), JSON, body.as_bytes()).await;
        assert!((400..500).contains(&answer.code), "delete {body}: {} {}", answer.code, answer.text());
    }
    victim.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_documents_are_refused_in_every_language() {
    let victim = Victim::start().await;
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(DEEP), close.repeat(DEEP));
        for body in [deep.clone(), open.repeat(DEEP), in_config_map(&deep)] {
            for media in [JSON, YAML] {
                let answer = victim.request("POST", MAPS, media, body.as_bytes()).await;
                answer.refuses(400, "");
            }
        }
    }
    let blocks: String = (0..1500).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
    victim.request("POST", MAPS, YAML, blocks.as_bytes()).await.refuses(400, "");
    victim.request("POST", MAPS, YAML, "- ".repeat(DEEP).as_bytes()).await.refuses(400, "");
    let options = "[".repeat(DEEP);
    victim.request("DELETE", &format!("{MAPS}/x"), JSON, options.as_bytes()).await.refuses(400, "");
    victim.is_well().await;
}

/// Wraps bytes in a length-delimited field.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(bytes);
    out
}

fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
    [b"k8s\0".to_vec(), field(1, &meta), field(2, raw)].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn protobuf_garbage_is_refused() {
    let victim = Victim::start().await;
    // Nested groups, nested messages of a recursive type (JSONSchemaProps.not), lengths beyond the end, endless varints.
    let groups = vec![0x0b; DEEP];
    let mut schema = Vec::new();
    for _ in 0..2_000 {
        schema = field(21, &schema);
    }
    let bodies = [
        Vec::new(),
        b"k8s\0".to_vec(),
        b"k8s".to_vec(),
        vec![0xff; 4096],
        envelope("v1", "ConfigMap", &groups),
        envelope("v1", "ConfigMap", &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
        envelope("v1", "ConfigMap", &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        envelope("v1", "ConfigMap", &[0x80; 64]),
        envelope("v1", "ConfigMap", &field(1, &[0xff; 9])),
        envelope("", "", &schema),
        envelope("apiextensions.k8s.io/v1", "CustomResourceDefinition", &field(2, &field(7, &field(3, &schema)))),
    ];
    for (i, body) in bodies.iter().enumerate() {
        for path in [MAPS, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"] {
            let answer = victim.request("POST", path, PROTOBUF, body).await;
            assert!((400..500).contains(&answer.code), "{i} at {path}: {} {}", answer.code, answer.text());
        }
    }
    victim.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_numbers_are_refused_or_kept_out() {
    let victim = Victim::start().await;
    let digits = "9".repeat(100_000);
    let numbers = [&digits, "1e400", "-1e400", "18446744073709551616", "9223372036854775808", "1e-400", "0.5", "-0"];
    for number in numbers {
        let body = format!(
            r#"{{"apiVersion":"apps/v1","kind":"Deployment","metadata":{{"name":"x","generation":{number}}},"spec":{{"replicas":{number}}}}}"#
        );
        for media in [JSON, YAML] {
            let answer =
                victim.request("POST", "/apis/apps/v1/namespaces/default/deployments", media, body.as_bytes()).await;
            assert!((400..500).contains(&answer.code), "{number:.30}: {} {:.300}", answer.code, answer.text());
        }
    }
    for quantity in
        [digits.as_str(), "1e99999999999", "1E9999", "-1e-99999999999999999999", "0.0000000000000000000000001", "1Ei1"]
    {
        let pod = format!(
            r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"q"}},"spec":{{"containers":[{{"name":"a","image":"a","resources":{{"limits":{{"cpu":"{quantity}"}}}}}}]}}}}"#
        );
        let answer = victim.request("POST", "/api/v1/namespaces/default/pods?dryRun=All", JSON, pod.as_bytes()).await;
        assert!(answer.code < 500, "{quantity:.30}: {} {:.300}", answer.code, answer.text());
    }
    victim.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_text_never_reaches_the_store() {
    let victim = Victim::start().await;
    for bad in [&b"\xff"[..], b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x28"] {
        let body =
            [br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"x"},"data":{"k":""#, bad, b"\"}}"]
                .concat();
        let answer = victim.request("POST", MAPS, JSON, &body).await;
        assert!(answer.code == 201 || answer.code == 400, "{} {}", answer.code, answer.text());
        std::str::from_utf8(&answer.body).unwrap();
        let yaml =
            [b"apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: y}\ndata: {k: \"", bad, b"\"}"].concat();
        victim.request("POST", MAPS, YAML, &yaml).await.refuses(400, "");
    }
    std::str::from_utf8(&victim.get(MAPS).await.body).unwrap();
    victim.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_base64_is_refused() {
    let victim = Victim::start().await;
    for bad in ["!", "a", "ab=c", "====", "YQ", "YQ==YQ==", "\\u0000"] {
        let body = format!(r#"{{"apiVersion":"v1","kind":"Secret","metadata":{{"name":"x"}},"data":{{"k":"{bad}"}}}}"#);
        victim
            .request("POST", "/api/v1/namespaces/default/secrets", JSON, body.as_bytes())
            .await
            .refuses(400, "base64");
    }
    victim.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_mebibytes_are_too_large() {
    let victim = Victim::start().await;
    let body = in_config_map(&format!(r#"{{"k":"{}"}}"#, "x".repeat(4 << 20)));
    for (method, path, media) in [
        ("POST", MAPS.to_owned(), JSON),
        ("POST", MAPS.to_owned(), YAML),
        ("PUT", format!("{MAPS}/x"), JSON),
        ("PATCH", format!("{MAPS}/x"), "application/merge-patch+json"),
        ("PATCH", format!("{MAPS}/x?fieldManager=m"), "application/apply-patch+yaml"),
        ("DELETE", format!("{MAPS}/x"), JSON),
    ] {
        victim.request(method, &path, media, body.as_bytes()).await.refuses(413, "limit is 3145728");
    }
    let answer = victim.request("POST", "/_rehearsal/v1/snapshots", JSON, body.as_bytes()).await;
    assert_eq!(answer.code, 401);
    victim.is_well().await;
}

/// That their cost grows no faster than they do is measured in `benches/server.rs`.
#[tokio::test(flavor = "multi_thread")]
async fn wide_documents_are_answered_or_refused() {
    let victim = Victim::start().await;
    let (long, many) = ("k".repeat(1 << 20), vec!["0"; 500_000].join(","));
    let long_key = in_config_map(&format!(r#"{{"{long}":[{many}]}}"#));
    let members: String = (0..100_000).map(|i| format!(r#""k{}":"","#, i % 50_000)).collect();
    let repeated = in_config_map(&format!(r#"{{{members}"end":""}}"#));
    let unknown: String = (0..100_000).map(|i| format!(r#""u{i}":1,"#)).collect();
    let unknown = format!(r#"{{{unknown}"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"u"}}}}"#);
    for body in [&long_key, &repeated, &unknown] {
        for media in [JSON, YAML] {
            let answer = victim.request("POST", &format!("{MAPS}?dryRun=All"), media, body.as_bytes()).await;
            assert!(answer.code < 500, "{} {:.300}", answer.code, answer.text());
        }
        for media in
            ["application/merge-patch+json", "application/strategic-merge-patch+json", "application/json-patch+json"]
        {
            let answer =
                victim.request("PATCH", &format!("{MAPS}/kube-root-ca.crt?dryRun=All"), media, body.as_bytes()).await;
            assert!(answer.code < 500, "{media}: {} {:.300}", answer.code, answer.text());
        }
    }
    victim.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_do_not_multiply() {
    let victim = Victim::start().await;
    let mut bomb = String::from("apiVersion: v1\nkind: ConfigMap\na0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for i in 1..30 {
        let many = vec![format!("*a{}", i - 1); 9].join(",");
        bomb += &format!("a{i}: &a{i} [{many}]\n");
    }
    victim.request("POST", MAPS, YAML, bomb.as_bytes()).await.refuses(400, "");
    victim
        .request("PATCH", &format!("{MAPS}/x?fieldManager=m"), "application/apply-patch+yaml", bomb.as_bytes())
        .await
        .refuses(400, "");
    victim.is_well().await;
}
