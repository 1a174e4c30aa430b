//! What passes through untouched, and how it is written down.

use super::support::{Dial, Stage, Tape, says, scripted};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use jiff::Timestamp;
use parking_lot::Mutex;
use rehearsal_cassettes::format::model::{Body, End, Header};
use rehearsal_cassettes::proxy::{Lanes, Proxy};
use rehearsal_cassettes::record::{MemorySink, Recorder, RecorderOptions, SystemClock};
use rustls::pki_types::pem::PemObject as _;
use std::io::Write as _;
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::Notify;

fn json(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\naudit-id: up\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn an_answer_comes_as_it_was_sent_and_is_on_the_tape() {
    let stage = Stage::before(Dial { address: says(json("{\"kind\":\"Pod\"}\n")).await, http2: false }).await;
    let (head, body) = stage.get("/api/v1/namespaces/d/pods/p?b=2&a=1").await;
    assert_eq!((head.status().as_u16(), body.unwrap()), (200, Bytes::from_static(b"{\"kind\":\"Pod\"}\n")));
    assert!(!head.headers().contains_key("audit-id"), "the recorder's own");
    let tape = stage.tape().await;
    let (reqs, heads) = (tape.reqs(), tape.heads());
    assert_eq!(reqs[0].request.path, "/api/v1/namespaces/d/pods/p");
    assert_eq!(reqs[0].request.query, [("a".into(), "1".into()), ("b".into(), "2".into())]);
    assert_eq!((reqs[0].lane.as_str(), reqs[0].audit_id.as_deref()), ("sut", Some("tape-t-1")));
    assert!(matches!(&heads[0].response.body, Some(Body::Json { .. })));
    assert_eq!(*tape.end(), End::Complete);
    assert!(reqs[0].seq < heads[0].seq && heads[0].seq < tape.ends()[0].seq);
}

#[tokio::test]
async fn the_upstream_sees_the_clients_headers_and_never_its_token() {
    let seen = Arc::new(Mutex::new(String::new()));
    let noted = seen.clone();
    let address = scripted(move |head, mut stream| {
        *noted.lock() = head;
        async move {
            let _ = stream.write_all(json("{}").as_bytes()).await;
        }
    })
    .await;
    let stage = Stage::before(Dial { address, http2: false }).await;
    let mut request = stage.request("POST", "/apis/x/v1/ys", "{\"a\":1}");
    let headers = request.headers_mut();
    headers.insert("user-agent", "probe/1".parse().unwrap());
    headers.insert("accept-encoding", "br;q=1, gzip".parse().unwrap());
    headers.insert("connection", "close, x-private".parse().unwrap());
    headers.insert("x-private", "1".parse().unwrap());
    stage.send(request).await.unwrap().into_body().collect().await.unwrap();
    let seen = seen.lock().to_ascii_lowercase();
    for line in [
        "user-agent: probe/1",
        "accept: application/json",
        "accept-encoding: br;q=1, gzip",
        "audit-id: tape-t-1",
        "content-length: 7",
    ] {
        assert!(seen.contains(line), "{line} in {seen}");
    }
    for line in ["authorization", "x-private", "rehearsal-lane"] {
        assert!(!seen.contains(line), "{line} in {seen}");
    }
    let tape = stage.tape().await;
    assert!(!format!("{:?}", tape.0).contains("rehearsal-lane"));
    assert!(matches!(&tape.reqs()[0].request.body, Some(Body::Json { .. })));
}

#[tokio::test]
async fn without_a_lane_nothing_passes() {
    let stage = Stage::before(Dial { address: says(json("{}")).await, http2: false }).await;
    for value in ["Bearer stolen", "Basic YTpi", ""] {
        let mut request = stage.request("GET", "/api", "");
        request.headers_mut().insert("authorization", value.parse().unwrap());
        assert_eq!(stage.send(request).await.unwrap().status(), 401);
    }
    assert!(stage.tape().await.reqs().is_empty());
}

#[tokio::test]
async fn a_packed_answer_reaches_the_client_packed_and_the_tape_plain() {
    let text = format!("{{\"a\":\"{}\"}}\n", "x".repeat(5000));
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    let packed = encoder.finish().unwrap();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        packed.len()
    );
    let address = says([head.as_bytes(), &packed].concat()).await;
    let stage = Stage::before(Dial { address, http2: false }).await;
    let (head, body) = stage.get("/api").await;
    assert_eq!((head.headers()["content-encoding"].as_bytes(), body.unwrap()), (&b"gzip"[..], Bytes::from(packed)));
    let tape = stage.tape().await;
    assert_eq!(tape.heads()[0].response.body.as_ref().unwrap().bytes().unwrap(), text.as_bytes());
}

#[tokio::test]
async fn a_watch_event_passes_before_the_next_one_exists() {
    let go = Arc::new(Notify::new());
    let wait = go.clone();
    let address = scripted(move |_, mut stream| {
        let wait = wait.clone();
        async move {
            stream.set_nodelay(true).unwrap();
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
            let _ = stream.write_all(head.as_bytes()).await;
            for n in 0..5 {
                let event = format!("{{\"type\":\"ADDED\",\"object\":{{\"n\":{n}}}}}\n");
                let _ = stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await;
                wait.notified().await;
            }
            let _ = stream.write_all(b"0\r\n\r\n").await;
        }
    })
    .await;
    let stage = Stage::before(Dial { address, http2: false }).await;
    let mut body = stage.send(stage.request("GET", "/api/v1/pods?watch=1", "")).await.unwrap().into_body();
    for n in 0..5 {
        let event = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(String::from_utf8_lossy(&event).contains(&format!("\"n\":{n}")));
        go.notify_one();
    }
    assert!(body.frame().await.is_none());
    let tape = stage.tape().await;
    assert_eq!((tape.frames().len(), tape.end()), (5, &End::Complete));
    assert!(tape.heads()[0].response.body.is_none());
    let seqs: Vec<_> = tape.frames().iter().map(|f| f.frame.seq).collect();
    assert!(seqs.windows(2).all(|w| w[0] < w[1]) && tape.heads()[0].seq < seqs[0]);
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_watch_upstream() {
    let gone = Arc::new(Notify::new());
    let tell = gone.clone();
    let address = scripted(move |_, mut stream| {
        let tell = tell.clone();
        async move {
            let head =
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{}\n\r\n";
            let _ = stream.write_all(head.as_bytes()).await;
            let mut rest = Vec::new();
            let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest).await;
            tell.notify_one();
        }
    })
    .await;
    let stage = Stage::before(Dial { address, http2: false }).await;
    let mut body = stage.send(stage.request("GET", "/api/v1/pods?watch=1", "")).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    gone.notified().await;
    stage.ended(1).await;
    assert_eq!(*stage.tape().await.end(), End::ClientCancel);
}

#[tokio::test]
async fn what_is_open_when_the_recorder_stops_has_that_as_its_end() {
    let address = scripted(|_, mut stream| async move {
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{}\n\r\n";
        let _ = stream.write_all(head.as_bytes()).await;
        std::future::pending::<()>().await;
    })
    .await;
    let stage = Stage::before(Dial { address, http2: false }).await;
    let mut body = stage.send(stage.request("GET", "/api/v1/pods?watch=1", "")).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    let summary = stage.recorder.seal().await.unwrap();
    assert_eq!((summary.sealed.calls, summary.sealed.frames, summary.sealed.open), (1, 1, 1));
    assert_eq!(*Tape(stage.sink.documents()).end(), End::RecorderStop);
}

/// TLS, HTTP/2 on both sides, and the proxy's own authority as the only one that is trusted.
#[tokio::test]
async fn http2_passes_end_to_end_under_the_proxys_own_authority() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = hyper::service::service_fn(|_| async {
                Ok::<_, std::convert::Infallible>(
                    http::Response::builder()
                        .header("content-type", "application/json")
                        .body(Full::new(Bytes::from_static(b"{\"over\":2}\n")))
                        .unwrap(),
                )
            });
            tokio::spawn(
                hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), answer),
            );
        }
    });
    let sink = MemorySink::default();
    let clock = Arc::new(SystemClock::start());
    #[allow(clippy::disallowed_methods, reason = "certificates are checked against the machine's clock")]
    let now = Timestamp::now();
    let recorder =
        Recorder::start(RecorderOptions::new(Header::default(), clock, "t"), Box::new(sink.clone())).unwrap();
    let proxy = Proxy::builder(Arc::new(Dial { address, http2: true }), Lanes::new(["a", "b"]).unwrap())
        .recorder(recorder.clone())
        .start(now)
        .await
        .unwrap();

    let mut roots = rustls::RootCertStore::empty();
    let ca = rustls::pki_types::CertificateDer::from_pem_slice(proxy.ca_pem().unwrap().as_bytes()).unwrap();
    roots.add(ca).unwrap();
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    for name in ["127.0.0.1", "localhost", "::1"] {
        let stream = TcpStream::connect(proxy.address()).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config.clone()));
        let stream = connector.connect(name.try_into().unwrap(), stream).await.unwrap();
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::builder()
            .uri("https://x/api/v1/pods")
            .header("authorization", format!("Bearer {}", proxy.lanes().token("b").unwrap()))
            .body(Full::new(Bytes::new()))
            .unwrap();
        let body = sender.send_request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "{\"over\":2}\n");
    }
    proxy.shutdown().await;
    recorder.seal().await.unwrap();
    let tape = Tape(sink.documents());
    let lanes: Vec<_> = tape.reqs().iter().map(|req| (req.lane.clone(), req.conn)).collect();
    assert_eq!(lanes, [("b".to_owned(), 1), ("b".to_owned(), 2), ("b".to_owned(), 3)]);
    assert!(tape.ends().iter().all(|end| end.end == End::Complete), "{:?}", tape.ends());
}
