//! Family B: what no correct server sends.

use crate::peer::{Answer, HEADERS, MAPS, cluster, connect, data, exchange, get, http2, request, rule, types, watch};
use rehearsal::faults::Fault;

async fn garbled(form: &str) -> Answer {
    get(&cluster(rule(Fault::new("garbage-body").knob("form", form))).await, MAPS).await
}

#[tokio::test(flavor = "multi_thread")]
async fn b1_garbage_body_does_not_parse() {
    for form in ["json", "nan"] {
        let answer = garbled(form).await;
        assert_eq!((answer.code(), answer.header("content-type").as_deref()), (200, Some("application/json")));
        assert!(serde_json::from_slice::<serde_json::Value>(&answer.body()).is_err(), "{form}");
    }
    let protobuf = garbled("protobuf").await;
    assert_eq!(protobuf.header("content-type").as_deref(), Some("application/vnd.kubernetes.protobuf"));
    assert!(protobuf.body().starts_with(b"k8s\0"));
    let html = garbled("content-type").await;
    assert_eq!(html.header("content-type").as_deref(), Some("text/html; charset=utf-8"));
    assert_eq!(html.json()["kind"], "ConfigMapList");
    assert_eq!(garbled("empty").await.body(), b"");
    let zipped = garbled("gzip-cut").await;
    assert_eq!(zipped.header("content-encoding").as_deref(), Some("gzip"));
    assert!(zipped.body().starts_with(&[0x1f, 0x8b]));
    assert!(garbled("byte-order-mark").await.body().starts_with(b"\xef\xbb\xbf{\"kind\""));
    let cluster = cluster(rule("garbage-body")).await;
    let (_, answer) = watch(&cluster, "", 9).await;
    assert!(types(&answer).is_empty() && answer.is_terminated());
    let mut h2 = http2(&cluster).await;
    let stream = h2.get(MAPS).await;
    assert!(data(&h2.answer(stream).await).ends_with("\"apiVersion\":}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn b2_oversized_is_big_in_four_ways() {
    let of = |what: &str, size: u64| cluster(rule(Fault::new("oversized").knob("what", what).knob("size", size)));
    let head = get(&of("header", 100_000).await, MAPS).await;
    assert_eq!(head.header("x-rehearsal-oversized").map(|value| value.len()), Some(100_000));
    let line = get(&of("line", 1_000_000).await, MAPS).await;
    assert!(line.body().len() > 1_000_000 && line.json()["kind"] == "ConfigMapList");
    let (_, frame) = watch(&of("line", 1_000_000).await, "", 3).await;
    assert!(frame.text().lines().next().unwrap().len() > 1_000_000);
    let list = get(&of("list", 10_000).await, MAPS).await;
    assert_eq!(list.json()["items"].as_array().map(Vec::len), Some(10_000));
    let deep = get(&of("nesting", 5_000).await, MAPS).await;
    assert!(deep.text().starts_with(&"{\"a\":".repeat(5_000)));
    let cluster = of("line", 300_000).await;
    let mut h2 = http2(&cluster).await;
    // Room for what comes.
    h2.write(8, 0, 0, &1_000_000u32.to_be_bytes()).await;
    let stream = h2.get(MAPS).await;
    h2.write(8, 0, stream, &1_000_000u32.to_be_bytes()).await;
    assert!(data(&h2.answer(stream).await).len() > 300_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn b3_http_oddity_redirects_interrupts_contradicts_and_trails() {
    let of = |form: &str| cluster(rule(Fault::new("http-oddity").knob("form", form)));
    let redirect = get(&of("redirect").await, MAPS).await;
    assert_eq!((redirect.code(), redirect.header("location").as_deref()), (307, Some("https://elsewhere.example/")));
    let interim = of("informational").await;
    let mut stream = connect(&interim).await;
    let first = exchange(&mut stream, &request("GET", MAPS, "")).await;
    let text = String::from_utf8_lossy(&first.raw).into_owned();
    assert!(text.starts_with("HTTP/1.1 103 Early Hints\r\n") && first.code() == 103, "{text}");
    let rest = if text.contains("HTTP/1.1 200 OK") {
        text
    } else {
        String::from_utf8_lossy(&crate::peer::read_while(&mut stream, |a| a.raw.is_empty()).await.raw).into_owned()
    };
    assert!(rest.contains("HTTP/1.1 200 OK"));
    let mut h2 = http2(&interim).await;
    let stream = h2.get(MAPS).await;
    let frames = h2.answer(stream).await;
    let heads: Vec<_> = frames.iter().filter(|frame| frame.kind == HEADERS).collect();
    assert_eq!((heads.len(), heads[0].payload.as_slice()), (2, &[8, 3, b'1', b'0', b'3'][..]));
    let twice = get(&of("duplicate-length").await, MAPS).await;
    let lengths = twice.headers("content-length");
    assert_eq!((lengths.len(), lengths[0].as_str()), (2, "1"));
    let trailing = of("trailers").await;
    let bytes = format!("GET {MAPS} HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: close\r\n\r\n");
    let mut stream = connect(&trailing).await;
    tokio::io::AsyncWriteExt::write_all(&mut stream, bytes.as_bytes()).await.unwrap();
    let answer = crate::peer::read_to_end(&mut stream).await;
    let text = String::from_utf8_lossy(&answer.raw).into_owned();
    assert!(text.contains("0\r\nx-rehearsal-trailer: unannounced\r\n\r\n"), "{text}");
    let mut h2 = http2(&trailing).await;
    let stream = h2.get(MAPS).await;
    let frames = h2.answer(stream).await;
    assert!(frames.last().unwrap().kind == HEADERS && frames.last().unwrap().ends_stream());
}
