//! Request heads: floods, smuggling, strange targets, other protocols.

use crate::wire::{MAPS, Victim, read_to_end};
use tokio::io::AsyncWriteExt;

/// Sends a head; an answer, if there is one, refuses.
async fn refused(victim: &Victim, what: &str, head: &[u8]) {
    if let Some(answer) = victim.send(head).await {
        assert!((400..500).contains(&answer.code), "{what}: {} {:.200}", answer.code, answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn header_floods_are_refused_or_cut() {
    let victim = Victim::start().await;
    let flood = |headers: String| format!("GET {MAPS} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").into_bytes();
    refused(&victim, "many", &flood((0..20_000).map(|i| format!("X-{i}: y\r\n")).collect())).await;
    refused(&victim, "huge", &flood(format!("X: {}\r\n", "y".repeat(4 << 20)))).await;
    refused(&victim, "long name", &flood(format!("{}: y\r\n", "x".repeat(2 << 20)))).await;
    refused(&victim, "no name", &flood(": y\r\n".into())).await;
    refused(&victim, "folded", &flood(" folded: y\r\n".into())).await;
    refused(&victim, "no colon", &flood("what\r\n".into())).await;
    refused(&victim, "NUL", &flood("X: a\0b\r\n".into())).await;
    victim.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicate_and_odd_headers_are_survived() {
    let victim = Victim::start().await;
    for headers in [
        "Host: y\r\n",
        "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n",
        "Authorization: Basic !!!\r\n",
        "Authorization: \r\n",
        "Accept: a/b\r\nAccept: application/json\r\n",
        "Accept: ;;;,,,q=\r\n",
        "Accept: application/json;as=Table;v=v99;g=nope\r\n",
        "Accept: */*;q=1e999\r\n",
        "Accept-Encoding: gzip;q=-1,, gzip\r\n",
        "Impersonate-User: \r\n",
        "Impersonate-Group: a\r\n",
        "User-Agent: \u{ff}\u{fe}\r\n",
        "Audit-ID: \u{ff}\r\n",
        "If-None-Match: \"\r\n",
        "Connection: upgrade\r\nUpgrade: websocket\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: !!\r\n",
    ] {
        let request = format!("GET {MAPS} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        if let Some(answer) = victim.send(request.as_bytes()).await {
            assert!(answer.code < 500, "{headers}: {} {:.200}", answer.code, answer.text());
        }
    }
    let types =
        ["", "a", "application/json; charset=\"", "application/json;;", "application/vnd.kubernetes.protobuf;x", "*/*"];
    for media in types {
        let answer = victim.request("POST", MAPS, media, b"{}").await;
        assert!((400..500).contains(&answer.code), "{media}: {} {:.200}", answer.code, answer.text());
    }
    victim.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strange_targets_lead_nowhere() {
    let victim = Victim::start().await;
    for path in [
        "/api/v1/namespaces/default/configmaps/%00",
        "/api/v1/namespaces/default/configmaps/a%2Fb",
        "/api/v1/namespaces/default/configmaps/..",
        "/api/v1/namespaces/default/configmaps/%2e%2e",
        "/api/v1/namespaces/default/configmaps/%ff%fe",
        "/api/v1/namespaces/default/configmaps/%zz",
        "/api/v1/namespaces/default/configmaps/%",
        "/api/v1/../../etc/passwd",
        "/%00",
        "/apis/%00/v1/x",
        "/api/v1/namespaces/default/pods/x/proxy/../../..",
        "//////",
        "/_rehearsal/v1/snapshots/%00/restore",
        "/_rehearsal/v1/../../api",
        "/_rehearsal/",
    ] {
        let answer = victim.get(path).await;
        assert!((400..500).contains(&answer.code), "{path}: {} {:.200}", answer.code, answer.text());
    }
    for target in [
        "http://elsewhere/api/v1/namespaces/default",
        "http://x:99999/api",
        "http:///api",
        "*",
        "api",
        "",
        "?",
        "/api v1",
        "elsewhere:443",
    ] {
        for method in ["GET", "CONNECT", "OPTIONS", "TRACE", "BREW", "get"] {
            let request = format!("{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n");
            if let Some(answer) = victim.send(request.as_bytes()).await {
                assert!(answer.code < 500, "{method} {target}: {} {:.200}", answer.code, answer.text());
            }
        }
    }
    let absolute = victim.send(b"GET http://elsewhere/api/v1/namespaces/default HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(absolute.unwrap().code, 200);
    victim.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn giant_targets_are_refused_or_cut() {
    let victim = Victim::start().await;
    for (what, target) in [
        ("query", format!("{MAPS}?x={}", "y".repeat(200_000))),
        ("pairs", format!("{MAPS}?{}", "a=b&".repeat(50_000))),
        ("path", format!("/api/v1/{}", "a/".repeat(100_000))),
        ("over the limit", format!("/{}", "a".repeat(2 << 20))),
    ] {
        refused(&victim, what, format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await;
    }
    let answer = victim.get(&format!("{MAPS}?{}", "a=b&".repeat(15_000))).await;
    assert_eq!(answer.code, 200);
    victim.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_protocols_are_cut() {
    let victim = Victim::start().await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let frames: [&[u8]; 7] = [
        &[0xff; 64],
        &[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1],
        // A header block that is no HPACK, a window of nothing, data on no stream, a ping of the wrong size.
        &[0, 0, 4, 1, 5, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff],
        &[0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0, 0, 1, 0, 0, 0, 0, 0, 9, 0],
        &[0, 0, 1, 6, 0, 0, 0, 0, 0, 0],
        b"GET / HTTP/1.1\r\n\r\n",
    ];
    for frame in frames {
        let mut stream = victim.connect().await;
        let _ = stream.write_all(&[&preface[..], &settings, frame].concat()).await;
        let _ = stream.shutdown().await;
        read_to_end(&mut stream).await;
    }
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00"[..],
        b"SSH-2.0-x\r\n",
        &[0; 4096],
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        b"\r\n\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ] {
        let mut stream = victim.connect().await;
        let _ = stream.write_all(garbage).await;
        let _ = stream.shutdown().await;
        read_to_end(&mut stream).await;
    }
    victim.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn giant_heads_are_not_remembered() {
    let victim = Victim::start().await;
    let agent = "a".repeat(500_000);
    for i in 0..20 {
        let request = format!("M{i} /readyz?{} HTTP/1.1\r\nHost: x\r\nUser-Agent: {agent}\r\n\r\n", "q".repeat(60_000));
        victim.send(request.as_bytes()).await.unwrap();
    }
    let entries = victim.0.journal().entries();
    assert!(entries.len() >= 20);
    let size = entries.iter().map(|e| e.uri.len() + e.user_agent.len() + e.method.len()).max().unwrap();
    assert!(size < 16 * 1024, "an entry of {size} bytes");
    let metrics = victim.get("/metrics").await.text();
    assert!(!metrics.contains("M19"), "methods of clients' invention are counted one by one");
    victim.is_well().await;
}
