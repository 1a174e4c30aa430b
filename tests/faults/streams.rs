//! Family H: what only HTTP/2 has, frame by frame.

use crate::peer::{
    DATA, Ending, GOAWAY, HEADERS, MAPS, PATIENCE, PING, RST_STREAM, SETTINGS, Wire, bare, cluster, connect, data,
    doing, get, http2, is_silent, map,
};
use rehearsal::Cluster;
use rehearsal::faults::Stage;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

crate::proof::wire_tests! {
    h1_goaway_names_the_stream_just_answered_and_the_watch_lives_on: Http2;
    h2_goaway_error_tells_its_code_and_ends_the_connection: Http2;
    h3_refused_stream_is_reset_with_code_7_and_not_executed: Http2;
    h4_rst_stream_tells_its_code_and_the_connection_stays: Http2;
    h5_h2_limits_show_in_settings_and_pings_stay_unanswered: Http2;
}

async fn h1_goaway_names_the_stream_just_answered_and_the_watch_lives_on(_: Wire) {
    let cluster = cluster(doing("goaway", &[]).verb("list").count(1)).await;
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

async fn h2_goaway_error_tells_its_code_and_ends_the_connection(_: Wire) {
    for (code, number) in [("ENHANCE_YOUR_CALM", 11), ("INTERNAL_ERROR", 2), ("PROTOCOL_ERROR", 1)] {
        let cluster = cluster(doing("goaway-error", &[("code", code)])).await;
        let mut h2 = http2(&cluster).await;
        h2.get(MAPS).await;
        let (frames, ending) = h2.rest().await;
        let goaway = frames.iter().find(|frame| frame.kind == GOAWAY).expect(code);
        assert_eq!((goaway.code(), goaway.last_stream(), ending), (number, 1, Ending::Eof));
        assert!(!frames.iter().any(|frame| frame.kind == HEADERS));
        assert_eq!(get(&cluster, MAPS).await.code(), 200);
    }
}

async fn h3_refused_stream_is_reset_with_code_7_and_not_executed(_: Wire) {
    let cluster = cluster(doing("refused-stream", &[]).verb("create").first(1)).await;
    let mut h2 = http2(&cluster).await;
    let stream = h2.send("POST", MAPS, &map("c")).await;
    let frames = h2.answer(stream).await;
    assert_eq!((frames.len(), frames[0].kind, frames[0].code()), (1, RST_STREAM, 7));
    assert_eq!(get(&cluster, &format!("{MAPS}/c")).await.code(), 404);
    let again = h2.send("POST", MAPS, &map("c")).await;
    assert!(h2.answer(again).await.last().unwrap().ends_stream());
}

async fn h4_rst_stream_tells_its_code_and_the_connection_stays(_: Wire) {
    for (code, number) in [("INTERNAL_ERROR", 2), ("CANCEL", 8), ("STREAM_CLOSED", 5)] {
        let rule = doing("rst-stream", &[("code", code), ("afterBytes", "10")]);
        let cluster = cluster(rule.verb("list").first(1).at(Stage::Head)).await;
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

async fn h5_h2_limits_show_in_settings_and_pings_stay_unanswered(_: Wire) {
    let knobs = [("streams", "1"), ("window", "7"), ("ping", "ignored"), ("churn", "20ms")];
    let limited = cluster(doing("h2-limits", &knobs)).await;
    let mut stream = connect(&limited).await;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut settings = Vec::new();
    // Those of the beginning, and those that keep coming.
    while settings.len() < 3 {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let mut payload = vec![0; usize::from(head[2])];
        stream.read_exact(&mut payload).await.unwrap();
        if head[3] == SETTINGS && head[4] == 0 {
            settings.push(payload);
        }
    }
    let has = |id: u16, value: u32| {
        let wanted = [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
        settings[0].chunks(6).any(|setting| setting == wanted)
    };
    assert!(has(3, 1) && has(4, 7), "{settings:?}");
    let ignoring = cluster(doing("h2-limits", &[("ping", "ignored")])).await;
    let mut h2 = http2(&ignoring).await;
    let stream = h2.get("/version").await;
    h2.answer(stream).await;
    h2.write(PING, 0, 0, &[1; 8]).await;
    // Requests that came later are answered, and the PING is not.
    let stream = h2.get("/version").await;
    assert!(h2.until(|frame| frame.stream == stream && frame.ends_stream()).await.iter().all(|f| f.kind != PING));
    assert!(is_silent(&mut h2.stream).await);
    // Without the fault a PING is answered, and the limits are those of the real server.
    let plain = bare(Cluster::builder()).await;
    let mut h2 = http2(&plain).await;
    h2.write(PING, 0, 0, &[1; 8]).await;
    let frames = timeout(PATIENCE, h2.until(|frame| frame.kind == PING)).await.unwrap();
    assert_eq!(frames.last().unwrap().flags, 1);
}
