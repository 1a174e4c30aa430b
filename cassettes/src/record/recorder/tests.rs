//! The recorder alone: order, room, failures, the end.

use super::*;
use crate::record::{MemorySink, SystemClock};
use bytes::Bytes;

fn recorder(sink: impl Sink + 'static, budget: usize) -> Recorder {
    let clock = Arc::new(SystemClock::start());
    let mut options = RecorderOptions::new(Header::default(), clock, "r");
    options.budget = budget;
    Recorder::start(options, Box::new(sink)).unwrap()
}

#[tokio::test]
async fn documents_are_numbered_in_the_order_they_are_written() {
    let sink = MemorySink::default();
    let recorder = recorder(sink.clone(), BUDGET);
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..50 {
        let recorder = recorder.clone();
        tasks.spawn(async move { recorder.mark("note", &n.to_string()).await });
    }
    while let Some(outcome) = tasks.join_next().await {
        outcome.unwrap().unwrap();
    }
    recorder.seal().await.unwrap();
    let written = sink.documents();
    let seqs: Vec<_> =
        written.iter().filter_map(|d| if let Document::Mark(m) = d { Some(m.seq) } else { None }).collect();
    assert_eq!(seqs, (1..=50).collect::<Vec<_>>());
    assert!(matches!((&written[0], written.last()), (Document::Header(_), Some(Document::Sealed(_)))));
    assert!(recorder.mark("note", "late").await.is_err());
}

#[tokio::test]
async fn a_recording_that_has_reached_its_limit_ends_and_traffic_goes_on() {
    let sink = MemorySink::default();
    let mut options = RecorderOptions::new(Header::default(), Arc::new(SystemClock::start()), "r");
    options.limits.bytes = Some(1500);
    let recorder = Recorder::start(options, Box::new(sink.clone())).unwrap();
    for n in 0..10 {
        recorder.mark("note", &n.to_string()).await.unwrap();
    }
    assert_eq!(recorder.retired().await, "1500 bytes were recorded");
    let summary = recorder.seal().await.unwrap();
    let documents = sink.documents();
    let texts: Vec<_> =
        documents.iter().filter_map(|d| if let Document::Mark(m) = d { Some(m.text.as_str()) } else { None }).collect();
    assert_eq!(texts, ["0", "1", "2", "the recording ended: 1500 bytes were recorded"]);
    assert_eq!((summary.sealed.drops, documents.len()), (0, 6));
}

/// Takes a document for every word it is given.
struct Slow(std::sync::mpsc::Receiver<()>, MemorySink);

impl Sink for Slow {
    fn write(&mut self, document: Document) -> Result<(), RecordError> {
        if !matches!(document, Document::Header(_)) {
            let _ = self.0.recv();
        }
        self.1.write(document)
    }

    fn seal(self: Box<Self>, sealed: Sealed) -> Result<(), RecordError> {
        Box::new(self.1).seal(sealed)
    }
}

#[tokio::test]
async fn who_finds_the_queue_full_waits_and_nothing_is_lost() {
    let (go, wait) = std::sync::mpsc::channel();
    let sink = MemorySink::default();
    let recorder = recorder(Slow(wait, sink.clone()), 1 << 16);
    let writer = recorder.clone();
    let writing = tokio::spawn(async move {
        for _ in 0..1000 {
            writer.mark("note", "").await.unwrap();
        }
    });
    // As many as have room are in, and no more.
    while recorder.0.budget.available_permits() >= 512 {
        tokio::task::yield_now().await;
    }
    assert!(!writing.is_finished());
    for _ in 0..1000 {
        go.send(()).unwrap();
    }
    writing.await.unwrap();
    recorder.seal().await.unwrap();
    assert_eq!(sink.documents().len(), 1002);
}

/// Writes at once, and tells which threads did it and how often it was flushed.
#[derive(Clone, Default)]
struct Prompt(MemorySink, Arc<Mutex<Vec<std::thread::ThreadId>>>, Arc<AtomicUsize>);

impl Sink for Prompt {
    fn write(&mut self, document: Document) -> Result<(), RecordError> {
        assert!(!matches!(&document, Document::Mark(mark) if mark.text == "panic"), "as it was told");
        self.1.lock().push(std::thread::current().id());
        self.0.write(document)
    }

    fn flush(&mut self) -> Result<(), RecordError> {
        self.2.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn is_prompt(&self) -> bool {
        true
    }

    fn seal(self: Box<Self>, sealed: Sealed) -> Result<(), RecordError> {
        Box::new(self.0).seal(sealed)
    }
}

#[tokio::test]
async fn a_prompt_sink_is_written_by_who_waits_and_much_by_the_thread() {
    let sink = Prompt::default();
    let recorder = recorder(sink.clone(), BUDGET);
    recorder.mark("note", "").await.unwrap();
    assert_eq!(*sink.1.lock(), [std::thread::current().id(); 2], "the header, and the mark before anybody waited");
    let body = Some(Bytes::from(vec![b' '; SOON]));
    let head = crate::record::RequestHead {
        method: http::Method::POST,
        uri: "/api/v1/pods".parse().unwrap(),
        headers: http::HeaderMap::new(),
    };
    let (lane, trail) = ("a".into(), crate::record::Trail::default());
    let session = recorder
        .begin(Exchange { id: recorder.next_id(), lane, conn: 0, head: head.clone(), body, audit_id: None, trail })
        .await
        .unwrap();
    assert_ne!(sink.1.lock().last(), Some(&std::thread::current().id()));
    drop(session);
    recorder.seal().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_who_write_for_one_another_keep_the_order_and_flush_for_several() {
    let sink = Prompt::default();
    let recorder = recorder(sink.clone(), 1 << 16);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let recorder = recorder.clone();
        tasks.spawn(async move {
            for _ in 0..250 {
                let seq = recorder.push(Event::Mark { t: 0, what: "note".into(), text: String::new() }).await.unwrap();
                recorder.safe(seq).await.unwrap();
            }
        });
    }
    while let Some(outcome) = tasks.join_next().await {
        outcome.unwrap();
    }
    recorder.seal().await.unwrap();
    let written = sink.0.documents();
    let seqs: Vec<_> =
        written.iter().filter_map(|d| if let Document::Mark(m) = d { Some(m.seq) } else { None }).collect();
    assert_eq!(seqs, (1..=4000).collect::<Vec<_>>());
    assert!(sink.2.load(Ordering::Relaxed) <= 4001);
}

#[tokio::test]
async fn a_sink_that_panics_ends_the_recording_and_leaves_nobody_waiting() {
    let recorder = recorder(Prompt::default(), BUDGET);
    let panicking = recorder.clone();
    let outcome = tokio::spawn(async move { panicking.mark("note", "panic").await }).await;
    assert!(outcome.unwrap_err().is_panic());
    assert!(recorder.failed().await.to_string().contains("panicked"));
    assert!(recorder.mark("note", "").await.is_err() && recorder.seal().await.is_err());
}

#[tokio::test]
async fn an_answer_that_was_given_before_is_a_reference_where_that_is_wanted() {
    use crate::format::model::Body;
    use crate::record::{Exchange, RequestHead, Trail};
    let sink = MemorySink::default();
    let mut options = RecorderOptions::new(Header::default(), Arc::new(SystemClock::start()), "r");
    options.share = true;
    let recorder = Recorder::start(options, Box::new(sink.clone())).unwrap();
    let answer = bytes::Bytes::from(format!("{{\"a\":\"{}\"}}", "x".repeat(300)));
    for path in ["/a", "/a", "/b"] {
        let head = RequestHead { method: http::Method::GET, uri: path.parse().unwrap(), headers: Default::default() };
        let (id, trail) = (recorder.next_id(), Trail::default());
        let exchange =
            Exchange { id, lane: "l".into(), conn: 1, head, body: Some(Default::default()), audit_id: None, trail };
        let mut session = recorder.begin(exchange).await.unwrap();
        session.head(200, &http::HeaderMap::new());
        session.data(&answer);
        session.end(End::Complete);
    }
    recorder.seal().await.unwrap();
    let written = sink.documents();
    let bodies = written.iter().filter_map(|d| if let Document::Head(h) = d { h.response.body.as_ref() } else { None });
    let same: Vec<_> = bodies.map(|b| if let Body::Same { of } = b { Some(*of) } else { None }).collect();
    assert_eq!(same, [None, Some(1), None]);
}

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
async fn a_full_disk_stops_the_recording_and_says_where() {
    let recorder = recorder(Full(3), BUDGET);
    for _ in 0..3 {
        let _ = recorder.mark("note", "").await;
    }
    assert!(recorder.failed().await.to_string().contains("x.tape.part: no space left"));
    assert!(recorder.mark("note", "").await.unwrap_err().to_string().contains("no space left"));
    assert!(recorder.seal().await.unwrap_err().to_string().contains("no space left"));
}
