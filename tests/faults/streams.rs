//! Family H: what only HTTP/2 has, frame by frame.

use crate::peer::{
    DATA, Ending, GOAWAY, HEADERS, MAPS, PATIENCE, PING, RST_STREAM, SETTINGS, cluster, data, get, http2, is_silent,
    map, rule,
};
use rehearsal::faults::Fault;
use std::time::Duration;
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn h1_goaway_names_the_stream_just_answered_and_the_watch_lives_on() {
    let cluster = cluster(rule("goaway").verb("list").count(1)).await;
    let mut h2 = http2(&cluster).await;
    let watch = h2.get(&format!("{MAPS}?watch=1")).await;
    h2.until(|frame| frame.stream == watch && frame.kind == DATA).await;
    let list = h2.get(MAPS).await;
    let mut frames = h2.until(|frame| frame.kind == GOAWAY).await;
    let goaway = frames.pop().unwrap();
    assert_eq!((goaway.code(), goaway.last_stream()), (0, list));
    assert!(frames.iter().any(|frame| frame.stream == list && frame.ends_stream()), "answered first");
    // A later stream is never answered, and the watch goes on.
    h2.get(MAPS).await;
    assert_eq!(crate::peer::send(&cluster, "POST", MAPS, &map("later")).await.code(), 201);
    let frames = h2.until(|frame| frame.stream == watch && frame.kind == DATA).await;
    assert!(data(&frames).contains("later"));
    assert!(frames.iter().all(|frame| frame.stream == watch), "{frames:?}");
    // Once the watch is over, so is the connection.
    h2.write(RST_STREAM, 0, watch, &8u32.to_be_bytes()).await;
    assert_eq!(timeout(PATIENCE, h2.rest()).await.unwrap().1, Ending::Eof);
    // HTTP/1.1 knows nothing of it.
    assert_eq!(get(&cluster, MAPS).await.code(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn h2_goaway_error_tells_its_code_and_ends_the_connection() {
    for (code, number) in [("ENHANCE_YOUR_CALM", 11), ("INTERNAL_ERROR", 2), ("PROTOCOL_ERROR", 1)] {
        let cluster = cluster(rule(Fault::new("goaway-error").knob("code", code))).await;
        let mut h2 = http2(&cluster).await;
        h2.get(MAPS).await;
        let (frames, ending) = h2.rest().await;
        let goaway = frames.iter().find(|frame| frame.kind == GOAWAY).expect(code);
        assert_eq!((goaway.code(), goaway.last_stream(), ending), (number, 1, Ending::Eof));
        assert!(!frames.iter().any(|frame| frame.kind == HEADERS));
        assert_eq!(get(&cluster, MAPS).await.code(), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h3_refused_stream_is_reset_with_code_7_and_not_executed() {
    let cluster = cluster(rule("refused-stream").verb("create").first(1)).await;
    let mut h2 = http2(&cluster).await;
    let stream = h2.send("POST", MAPS, &map("c")).await;
    let frames = h2.answer(stream).await;
    assert_eq!((frames.len(), frames[0].kind, frames[0].code()), (1, RST_STREAM, 7));
    assert_eq!(get(&cluster, &format!("{MAPS}/c")).await.code(), 404);
    let again = h2.send("POST", MAPS, &map("c")).await;
    assert!(h2.answer(again).await.last().unwrap().ends_stream());
}

#[tokio::test(flavor = "multi_thread")]
async fn h4_rst_stream_tells_its_code_and_the_connection_stays() {
    for (code, number) in [("INTERNAL_ERROR", 2), ("CANCEL", 8), ("STREAM_CLOSED", 5)] {
        let fault = Fault::new("rst-stream").knob("code", code).knob("afterBytes", 10u64);
        let cluster = cluster(rule(fault).verb("list").first(1).at(rehearsal::faults::Stage::Head)).await;
        let mut h2 = http2(&cluster).await;
        let stream = h2.get(MAPS).await;
        let frames = h2.answer(stream).await;
        assert_eq!(data(&frames), "{\"kind\":\"C");
        let last = frames.last().unwrap();
        assert_eq!((last.kind, last.code()), (RST_STREAM, number));
        let again = h2.get(MAPS).await;
        assert!(h2.answer(again).await.last().unwrap().ends_stream());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h5_h2_limits_show_in_settings_and_pings_stay_unanswered() {
    let fault = Fault::new("h2-limits").knob("streams", 1u64).knob("window", 7u64).knob("ping", "ignored");
    let cluster = cluster(rule(fault.knob("churn", "20ms"))).await;
    let mut stream = crate::peer::connect(&cluster).await;
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    let mut settings = Vec::new();
    // Those of the beginning, and those that keep coming.
    while settings.len() < 3 {
        let mut head = [0; 9];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut head).await.unwrap();
        let mut payload = vec![0; usize::from(head[2])];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut payload).await.unwrap();
        if head[3] == SETTINGS && head[4] == 0 {
            settings.push(payload);
        }
    }
    let has = |id: u16, value: u32| {
        let wanted = [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
        settings[0].chunks(6).any(|setting| setting == wanted)
    };
    assert!(has(3, 1) && has(4, 7), "{settings:?}");
    let ignoring = crate::peer::cluster(rule(Fault::new("h2-limits").knob("ping", "ignored"))).await;
    let mut h2 = http2(&ignoring).await;
    let stream = h2.get("/version").await;
    h2.answer(stream).await;
    h2.write(PING, 0, 0, &[1; 8]).await;
    let mut silent = false;
    for _ in 0..3 {
        silent |= is_silent(&mut h2.stream).await;
    }
    assert!(silent);
    // Without the fault a PING is answered.
    let plain = rehearsal::Cluster::start().await.unwrap();
    let mut h2 = http2(&plain).await;
    h2.write(PING, 0, 0, &[1; 8]).await;
    let frames = timeout(Duration::from_secs(60), h2.until(|frame| frame.kind == PING)).await.unwrap();
    assert_eq!(frames.last().unwrap().flags, 1);
}
