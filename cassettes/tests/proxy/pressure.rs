//! A slow tape and slow readers: everybody waits, nothing is lost, memory stays where it is.

use super::support::{Dial, Stage, Tape, scripted, until};
use http_body_util::BodyExt as _;
use rehearsal_cassettes::format::model::{Document, End, Sealed};
use rehearsal_cassettes::proxy::Policy;
use rehearsal_cassettes::record::{MemorySink, RecordError, Sink};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const FRAMES: usize = 12_000;
/// An event of two kilobytes.
const EVENT: usize = 2048;
const BUDGET: usize = 1 << 20;

/// What a flooding server knows of its events.
#[derive(Default)]
struct Flood {
    /// Bytes of events that were taken.
    taken: AtomicUsize,
    /// Whether the socket takes nothing more.
    blocked: AtomicBool,
}

/// Writes, and tells whether that has to wait.
async fn write_noting(flood: &Flood, stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    let mut writing = std::pin::pin!(stream.write_all(bytes));
    std::future::poll_fn(|cx| {
        let written = writing.as_mut().poll(cx);
        flood.blocked.store(written.is_pending(), Ordering::SeqCst);
        written
    })
    .await
}

/// A watch of many events, sent as fast as they are taken.
async fn flood(flood: Arc<Flood>) -> std::net::SocketAddr {
    scripted(move |_, mut stream| {
        let flood = flood.clone();
        async move {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
            let _ = stream.write_all(head.as_bytes()).await;
            let pad = "x".repeat(EVENT);
            for n in 0..FRAMES {
                let event = format!("{{\"type\":\"MODIFIED\",\"object\":{{\"n\":{n},\"pad\":\"{pad}\"}}}}\n");
                let chunk = format!("{:x}\r\n{event}\r\n", event.len());
                if write_noting(&flood, &mut stream, chunk.as_bytes()).await.is_err() {
                    return;
                }
                flood.taken.fetch_add(event.len(), Ordering::SeqCst);
            }
            let _ = stream.write_all(b"0\r\n\r\n").await;
        }
    })
    .await
}

/// Writes nothing before it is told to, and tells when it holds something back.
struct Held(mpsc::Receiver<()>, bool, MemorySink, Arc<AtomicBool>);

impl Sink for Held {
    fn write(&mut self, document: Document) -> Result<(), RecordError> {
        if matches!(document, Document::Frame(_)) && !self.1 {
            self.3.store(true, Ordering::SeqCst);
            // Answered once, it holds back no longer.
            let _ = self.0.recv();
            self.1 = true;
        }
        self.2.write(document)
    }

    fn seal(self: Box<Self>, sealed: Sealed) -> Result<(), RecordError> {
        Box::new(self.2).seal(sealed)
    }
}

/// Resident memory of this process, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<usize>().ok()).unwrap_or_default() * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tape_that_is_not_written_holds_the_watch_up_and_loses_nothing() {
    let flooding = Arc::new(Flood::default());
    let (go, held) = mpsc::channel();
    let sink = MemorySink::default();
    let upstream = Dial { address: flood(flooding.clone()).await, http2: false };
    let holding = Arc::new(AtomicBool::new(false));
    let writes = Held(held, false, sink.clone(), holding.clone());
    let stage = Stage::with(upstream, writes, sink, Policy::record(), |options| options.budget = BUDGET).await;
    let before = resident();
    let mut body = stage.send(stage.request("GET", "/api/v1/pods?watch=1", "")).await.unwrap().into_body();
    let reader = tokio::spawn(async move {
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            bytes += frame.unwrap().into_data().unwrap().len();
        }
        bytes
    });
    // While the sink holds back, who waits for the tape waits on; the rest of the way then fills up, as far as the server.
    // A proxy that did not wait would take everything, and the server would never be blocked for good.
    let recorder = stage.recorder.clone();
    until(|| holding.load(Ordering::SeqCst) && recorder.waiting() > 0).await;
    until(|| flooding.blocked.load(Ordering::SeqCst) || reader.is_finished()).await;
    let last = flooding.taken.load(Ordering::SeqCst);
    assert!(!reader.is_finished() && last < FRAMES * EVENT * 3 / 4, "{last} bytes passed a tape that stands still");
    let grown = resident().saturating_sub(before);
    assert!(grown < 24 << 20, "{grown} bytes more in memory");
    // A wait that can be told from none in the footer's milliseconds.
    let since = recorder.now();
    until(|| recorder.now() >= since + 2000).await;
    assert_eq!(recorder.waiting(), 1, "it waits for as long as the tape does");
    go.send(()).unwrap();
    drop(go);
    assert!(reader.await.unwrap() > FRAMES * EVENT);
    let summary = stage.recorder.seal().await.unwrap();
    assert_eq!((summary.sealed.frames, summary.sealed.drops), (FRAMES as u64, 0));
    assert!(summary.sealed.stalled_ms > 0);
    let tape = Tape(stage.sink.documents());
    assert_eq!((tape.frames().len(), tape.end()), (FRAMES, &End::Complete));
}

#[tokio::test]
async fn a_reader_that_does_not_read_holds_the_server_up() {
    let flooding = Arc::new(Flood::default());
    let stage = Stage::before(Dial { address: flood(flooding.clone()).await, http2: false }).await;
    let body = stage.send(stage.request("GET", "/api/v1/pods?watch=1", "")).await.unwrap().into_body();
    // Whoever is quick sees it blocked before all buffers are full; that makes the check weaker, never wrong.
    until(|| flooding.blocked.load(Ordering::SeqCst)).await;
    let last = flooding.taken.load(Ordering::SeqCst);
    assert!(last < FRAMES * EVENT * 3 / 4, "{last} bytes went to nobody");
    drop(body);
    stage.ended(1).await;
    assert_eq!(*stage.tape().await.end(), End::ClientCancel);
}

/// A disk that is full after a few documents.
struct Full(usize);

impl Sink for Full {
    fn write(&mut self, _: Document) -> Result<(), RecordError> {
        self.0 = self.0.checked_sub(1).ok_or_else(|| RecordError::write("x.tape.part: no space left on device"))?;
        Ok(())
    }

    fn seal(self: Box<Self>, _: Sealed) -> Result<(), RecordError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_full_disk_ends_watches_and_refuses_requests_with_the_reason() {
    let upstream = Dial { address: flood(Arc::default()).await, http2: false };
    let stage = Stage::with(upstream, Full(5), MemorySink::default(), Policy::record(), |_| ()).await;
    let (_, body) = stage.get("/api/v1/pods?watch=1").await;
    assert!(body.is_err(), "what cannot be recorded does not pass");
    assert!(stage.recorder.failed().await.to_string().contains("x.tape.part: no space left"));
    let (head, body) = stage.get("/api/v1/pods").await;
    assert_eq!(head.status(), 503);
    assert!(String::from_utf8_lossy(&body.unwrap()).contains("no space left"));
}
