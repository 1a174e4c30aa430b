//! Family B: what no correct server sends.

use crate::peer::{CONTINUATION, Client, End, HEADERS, MAPS, Seen, Wire, cluster, doing};

crate::proof::wire_tests! {
    b1_garbage_body_does_not_parse: Http1, Http2;
    b2_oversized_is_big_in_four_ways: Http1, Http2;
    b3_http_oddity_redirects_interrupts_contradicts_and_trails: Http1, Http2;
}

async fn b1_garbage_body_does_not_parse(wire: Wire) {
    let garbled = async |form: &str| {
        let seen = wire.get(&cluster(doing("garbage-body", &[("form", form)])).await, MAPS).await;
        assert_eq!((seen.code, seen.end), (200, End::Proper), "{form}");
        seen
    };
    let kind = |seen: &Seen| seen.header("content-type").unwrap();
    for form in ["json", "nan"] {
        let seen = garbled(form).await;
        assert_eq!(kind(&seen), "application/json");
        assert!(serde_json::from_slice::<serde_json::Value>(&seen.body).is_err(), "{form}");
    }
    let protobuf = garbled("protobuf").await;
    assert_eq!(kind(&protobuf), "application/vnd.kubernetes.protobuf");
    assert!(protobuf.body.starts_with(b"k8s\0"));
    let html = garbled("content-type").await;
    assert_eq!(kind(&html), "text/html; charset=utf-8");
    assert_eq!(html.json()["kind"], "ConfigMapList");
    assert_eq!(garbled("empty").await.body, b"");
    let zipped = garbled("gzip-cut").await;
    assert_eq!(zipped.header("content-encoding").as_deref(), Some("gzip"));
    assert!(zipped.body.starts_with(&[0x1f, 0x8b]));
    assert!(garbled("byte-order-mark").await.body.starts_with(b"\xef\xbb\xbf{\"kind\""));
    let cluster = cluster(doing("garbage-body", &[])).await;
    let seen = wire.watched(&cluster, "", 9).await;
    assert_eq!((seen.types().len(), seen.end), (0, End::Proper));
    assert!(seen.text().ends_with("\"apiVersion\":}\n"));
}

async fn b2_oversized_is_big_in_four_ways(wire: Wire) {
    let of = |what: &str, size: &str| cluster(doing("oversized", &[("what", what), ("size", size)]));
    let head = wire.get(&of("header", "100000").await, MAPS).await;
    assert_eq!(head.header("x-rehearsal-oversized").map(|value| value.len()), Some(100_000));
    if wire == Wire::Http2 {
        // No frame holds it alone.
        assert!(head.frames.iter().any(|frame| frame.kind == CONTINUATION));
    }
    let line = wire.get(&of("line", "1000000").await, MAPS).await;
    assert!(line.body.len() > 1_000_000 && line.json()["kind"] == "ConfigMapList");
    let watched = wire.watched(&of("line", "1000000").await, "", 3).await;
    assert!(watched.text().lines().next().unwrap().len() > 1_000_000);
    assert_eq!(watched.names(), ["a", "b"]);
    let list = wire.get(&of("list", "10000").await, MAPS).await;
    assert_eq!(list.json()["items"].as_array().map(Vec::len), Some(10_000));
    let deep = wire.get(&of("nesting", "5000").await, MAPS).await;
    assert!(deep.text().starts_with(&"{\"a\":".repeat(5_000)));
}

async fn b3_http_oddity_redirects_interrupts_contradicts_and_trails(wire: Wire) {
    let of = |form: &str| cluster(doing("http-oddity", &[("form", form)]));
    let redirect = wire.get(&of("redirect").await, MAPS).await;
    assert_eq!((redirect.code, redirect.header("location").as_deref()), (307, Some("https://elsewhere.example/")));
    // An interim answer, then the proper one.
    let interim = wire.get(&of("informational").await, MAPS).await;
    assert_eq!((interim.interim.as_slice(), interim.code, interim.end), (&[103][..], 200, End::Proper));
    match wire {
        Wire::Http1 => assert!(interim.bytes.starts_with(b"HTTP/1.1 103 Early Hints\r\n")),
        Wire::Http2 => {
            let heads: Vec<_> = interim.frames.iter().filter(|frame| frame.kind == HEADERS).collect();
            assert_eq!((heads.len(), heads[0].ends_stream()), (2, false));
            // A literal, so that no table changes.
            assert_eq!(heads[0].payload, [8, 3, b'1', b'0', b'3']);
        }
    }
    let twice = wire.get(&of("duplicate-length").await, MAPS).await;
    let lengths = twice.headers("content-length");
    assert_eq!(lengths.len(), 2);
    assert!(lengths.contains(&"1") && lengths.iter().any(|length| *length != "1"), "{lengths:?}");
    let trailing = of("trailers").await;
    let client = Client::open(&trailing, wire).await;
    let trailers = client.begin("GET", MAPS, &[("TE", "trailers")], "").await.all().await;
    assert_eq!(trailers.trailers, [("x-rehearsal-trailer".to_owned(), "unannounced".to_owned())]);
    assert_eq!((trailers.json()["kind"].as_str(), trailers.end), (Some("ConfigMapList"), End::Proper));
    if wire == Wire::Http2 {
        let last = trailers.frames.last().unwrap();
        assert!(last.kind == HEADERS && last.ends_stream());
    }
}
