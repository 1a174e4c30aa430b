//! What a recorder costs: the same requests through the recording proxy and without it, and how many watch frames a
//! second go on a tape. What a tape costs its readers: answers of a replay against those of the server, and the time to
//! open a large one.

#![allow(clippy::disallowed_methods, reason = "benchmarks measure the machine's own time")]

mod support;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rehearsal::recording::{self, ConfigUpstream, Recording, RecordingOptions};
use rehearsal_cassettes::Mode;
use rehearsal_cassettes::format::model::{Body, Call, Entry, Frame, Marks, Response as Answer, Tape};
use rehearsal_cassettes::format::{self, SideFiles, TapeFile};
use rehearsal_cassettes::proxy::{Lanes, Policy, Proxy};
use rehearsal_cassettes::replay::{Options as PlayerOptions, Player, ReplayService};
use rehearsal_client::Config;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::client::Client;
use support::process::{Server, resident};
use support::stats::{median, ms, percentile};
use support::{Options, Outcome, Report, Target, objects, runtime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn main() -> Outcome {
    let options = Options::parse();
    let mut report = Report::new("cassettes");
    let runtime = runtime()?;
    runtime.block_on(requests(&options, &mut report))?;
    runtime.block_on(first_event(&options, &mut report))?;
    runtime.block_on(frames(&options, &mut report))?;
    runtime.block_on(replay(&options, &mut report))?;
    open(&options, &mut report)?;
    report.finish(options.record)
}

/// A recording proxy over plain HTTP, into a tape in a directory of its own.
struct Recorded {
    proxy: Proxy,
    recording: Recording,
    dir: tempfile::TempDir,
}

impl Recorded {
    async fn before(address: &str) -> Outcome<Self> {
        let dir = tempfile::tempdir()?;
        let options = RecordingOptions { path: dir.path().join("bench.tape.yaml"), ..RecordingOptions::default() };
        let recording = recording::start(options)?;
        let upstream = ConfigUpstream::new(&Config::new(format!("http://{address}")))?;
        let proxy = Proxy::builder(Arc::new(upstream), Lanes::new([])?)
            .recorder(recording.recorder().clone())
            .tls(false)
            .start(jiff::Timestamp::now())
            .await?;
        Ok(Self { proxy, recording, dir })
    }

    fn address(&self) -> String {
        self.proxy.address().to_string()
    }

    fn token(&self) -> String {
        self.proxy.lanes().token("sut").unwrap_or_default().to_owned()
    }

    /// Ends it and reads its tape, with everything in it.
    async fn tape(self) -> Outcome<Tape> {
        self.proxy.shutdown().await;
        let path = self.recording.path().to_owned();
        self.recording.seal().await?;
        let mut tape = format::load(&path)?.tape;
        format::literal(&mut tape);
        tape.unshare();
        tape.inline(&SideFiles::of(&path))?;
        Ok(tape)
    }

    /// Ends it; the tape goes with its directory.
    async fn end(self) -> Outcome<rehearsal_cassettes::record::Summary> {
        self.proxy.shutdown().await;
        let summary = self.recording.seal().await?;
        drop(self.dir);
        Ok(summary)
    }
}

/// A keep-alive connection that sends one request again and again.
struct Caller {
    sender: SendRequest<Full<Bytes>>,
    path: String,
    token: String,
}

impl Caller {
    async fn connect(address: &str, path: &str, token: &str) -> Outcome<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, path: path.to_owned(), token: token.to_owned() })
    }

    async fn call(&mut self) -> Outcome {
        let request = Request::builder()
            .uri(&self.path)
            .header("host", "x")
            .header("user-agent", "bench")
            .header("accept", "application/json")
            .header("authorization", format!("Bearer {}", self.token))
            .body(Full::new(Bytes::new()))?;
        self.sender.ready().await?;
        let response: Response<_> = self.sender.send_request(request).await?;
        if !response.status().is_success() {
            return Err(format!("{}: {}", self.path, response.status()).into());
        }
        response.into_body().collect().await?;
        Ok(())
    }
}

/// Calls a second of several connections at once.
#[allow(clippy::cast_precision_loss)]
fn throughput<'a>(address: &'a str, path: &'a str, token: &'a str, time: Duration) -> BoxFuture<'a, Outcome<f64>> {
    Box::pin(async move {
        let begin = Instant::now();
        let mut callers = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let mut caller = Caller::connect(address, path, token).await?;
            callers.spawn(async move {
                let mut calls = 0_u64;
                while begin.elapsed() < time {
                    caller.call().await?;
                    calls += 1;
                }
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(calls)
            });
        }
        let mut calls = 0;
        while let Some(outcome) = callers.join_next().await {
            calls += outcome??;
        }
        Ok(calls as f64 / begin.elapsed().as_secs_f64())
    })
}

/// GET and LIST, direct and recorded, in turns: rates of eight connections, latencies of one.
async fn requests(options: &Options, report: &mut Report) -> Outcome {
    let server = Server::start(&["--http"])?;
    let mut setup = Client::connect(&server.address).await?;
    for n in 0..500 {
        let object = objects::config_map("default", &format!("c{n}"));
        setup.call(Method::POST, MAPS, Bytes::from(object.to_string())).await?;
    }
    let get = format!("{MAPS}/c1");
    for (what, path, rounds) in [("GET", get.as_str(), 11), ("LIST of 500", MAPS, 7)] {
        let recorded = Recorded::before(&server.address).await?;
        let (address, token) = (recorded.address(), recorded.token());
        let time = Duration::from_millis(300);
        let (mut ours, mut ratios) = (Vec::new(), Vec::new());
        throughput(&address, path, &token, time).await?;
        for _ in 0..options.count(rounds, 3) {
            let one = throughput(&address, path, &token, time).await?;
            let other = throughput(&server.address, path, "none", time).await?;
            ours.push(one);
            ratios.push(one / other);
        }
        let ratio = median(&mut ratios);
        report.figure(
            format!("{what} of eight connections, recorded against direct"),
            Target::AtLeast(0.7, "×"),
            ratio,
        );
        report.figure(format!("{what}, recorded"), Target::Shown("1/s"), median(&mut ours));
        recorded.end().await?;
    }
    let recorded = Recorded::before(&server.address).await?;
    let mut through = Caller::connect(&recorded.address(), &get, &recorded.token()).await?;
    let mut direct = Caller::connect(&server.address, &get, "none").await?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..options.count(3000, 500) {
        for (caller, times) in [(&mut through, &mut ours), (&mut direct, &mut theirs)] {
            let begin = Instant::now();
            caller.call().await?;
            times.push(ms(begin.elapsed()) * 1000.0);
        }
    }
    let added = percentile(&mut ours, 0.5) - percentile(&mut theirs, 0.5);
    report.figure("added to the p50 of a GET", Target::AtMost(150.0, "µs"), added);
    let added = percentile(&mut ours, 0.99) - percentile(&mut theirs, 0.99);
    report.figure("added to the p99 of a GET", Target::Shown("µs"), added);
    recorded.end().await?;
    Ok(())
}

/// From the request to the first byte of the first event of a watch.
async fn first_event(options: &Options, report: &mut Report) -> Outcome {
    let server = Server::start(&["--http"])?;
    let mut setup = Client::connect(&server.address).await?;
    let object = objects::config_map("default", "c");
    setup.call(Method::POST, MAPS, Bytes::from(object.to_string())).await?;
    let recorded = Recorded::before(&server.address).await?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..options.count(200, 40) {
        for (address, token, times) in [
            (recorded.address(), recorded.token(), &mut ours),
            (server.address.clone(), "none".to_owned(), &mut theirs),
        ] {
            let mut stream = TcpStream::connect(&address).await?;
            stream.set_nodelay(true)?;
            let begin = Instant::now();
            let request = format!("GET {MAPS}?watch=1 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let (mut heard, mut buffer) = (Vec::new(), [0; 4096]);
            while !heard.windows(7).any(|w| w == b"\"ADDED\"") {
                match stream.read(&mut buffer).await? {
                    0 => return Err("the watch ended".into()),
                    n => heard.extend_from_slice(&buffer[..n]),
                }
            }
            times.push(ms(begin.elapsed()));
        }
    }
    let added = percentile(&mut ours, 0.5) - percentile(&mut theirs, 0.5);
    report.figure("added to the first event of a watch, p50", Target::AtMost(1.0, "ms"), added);
    recorded.end().await?;
    Ok(())
}

/// A watch of many frames, as fast as they are taken.
#[allow(clippy::cast_precision_loss)]
async fn frames(options: &Options, report: &mut Report) -> Outcome {
    let count = options.count(100_000, 10_000);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(flood(stream, count));
        }
    });
    let recorded = Recorded::before(&address).await?;
    let before = resident("self")?;
    let mut stream = TcpStream::connect(recorded.address()).await?;
    let token = recorded.token();
    let begin = Instant::now();
    let request = format!("GET {MAPS}?watch=1 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let (mut buffer, mut tail) = (vec![0; 64 << 10], Vec::new());
    let mut most = before;
    let mut reads = 0_u64;
    while !tail.ends_with(b"0\r\n\r\n") {
        let length = match stream.read(&mut buffer).await? {
            0 => return Err("the watch ended early".into()),
            length => length,
        };
        tail.extend_from_slice(&buffer[..length]);
        let keep = tail.len().saturating_sub(8);
        tail.drain(..keep);
        reads += 1;
        if reads.is_multiple_of(64) {
            most = most.max(resident("self")?);
        }
    }
    let time = begin.elapsed().as_secs_f64();
    let memory = (most.max(resident("self")?) - before) / 1e6;
    let summary = recorded.end().await?.sealed;
    if summary.frames != count as u64 || summary.drops != 0 {
        return Err(format!("{} frames of {count} are on the tape", summary.frames).into());
    }
    report.figure("watch frames recorded", Target::AtLeast(10_000.0, "1/s"), count as f64 / time);
    report.figure("memory that grows meanwhile", Target::AtMost(64.0, "MB"), memory);
    Ok(())
}

/// Reads a request head and sends frames of a kilobyte, a chunk each.
async fn flood(mut stream: TcpStream, count: usize) -> Outcome {
    let mut buffer = [0; 4096];
    let _ = stream.read(&mut buffer).await?;
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
        .await?;
    let pad = "x".repeat(600);
    for n in 0..count {
        let event = event(n, &pad);
        stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await?;
    }
    stream.write_all(b"0\r\n\r\n").await?;
    stream.flush().await?;
    // The reader hangs up.
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// GET from a tape and from the server it was recorded from, in turns, eight connections each.
async fn replay(options: &Options, report: &mut Report) -> Outcome {
    let server = Server::start(&["--http"])?;
    let mut setup = Client::connect(&server.address).await?;
    let recorded = Recorded::before(&server.address).await?;
    for n in 0..100 {
        let object = objects::config_map("default", &format!("c{n}"));
        setup.call(Method::POST, MAPS, Bytes::from(object.to_string())).await?;
        Caller::connect(&recorded.address(), &format!("{MAPS}/c{n}"), &recorded.token()).await?.call().await?;
    }
    let tape = recorded.tape().await?;
    let service = ReplayService::new(Player::new(&tape, PlayerOptions::default()), |_| None);
    let policy = Policy { mode: Mode::None, fresh: false, replay: Some(Arc::new(service)) };
    let upstream = ConfigUpstream::new(&Config::new(format!("http://{}", server.address)))?;
    let proxy = Proxy::builder(Arc::new(upstream), Lanes::new([])?)
        .policy(policy)
        .tls(false)
        .start(jiff::Timestamp::now())
        .await?;
    let (address, token) = (proxy.address().to_string(), proxy.lanes().token("sut").unwrap_or_default().to_owned());
    let (get, time) = (format!("{MAPS}/c1"), Duration::from_millis(300));
    let (mut ours, mut ratios) = (Vec::new(), Vec::new());
    throughput(&address, &get, &token, time).await?;
    for _ in 0..options.count(11, 3) {
        let one = throughput(&address, &get, &token, time).await?;
        let other = throughput(&server.address, &get, "none", time).await?;
        ours.push(one);
        ratios.push(one / other);
    }
    report.figure("GET from a tape, against the server", Target::AtLeast(0.7, "×"), median(&mut ratios));
    report.figure("GET from a tape", Target::Shown("1/s"), median(&mut ours));
    proxy.shutdown().await;
    Ok(())
}

/// Opening a tape of 500 MB: once to make its index, then by its index.
fn open(options: &Options, report: &mut Report) -> Outcome {
    let size = options.count(500, 50) as u64 * 1_000_000;
    let dir = tempfile::tempdir()?;
    let (path, cache) = (dir.path().join("large.tape.yaml"), dir.path().join("cache"));
    write_large(&path, size)?;
    let begin = Instant::now();
    TapeFile::open_with_cache(&path, Some(&cache))?;
    let first = begin.elapsed().as_secs_f64();
    let (mut opens, mut reads) = (Vec::new(), Vec::new());
    for round in 0..11 {
        let begin = Instant::now();
        let tape = TapeFile::open_with_cache(&path, Some(&cache))?;
        opens.push(ms(begin.elapsed()));
        let row = tape.rows().len() / 11 * round;
        let begin = Instant::now();
        tape.entry(row)?;
        reads.push(ms(begin.elapsed()));
    }
    let what = format!("opening a tape of {} MB by its index", size / 1_000_000);
    report.figure(what, Target::AtMost(100.0, "ms"), median(&mut opens));
    report.figure("the same for the first time, which makes the index", Target::Shown("s"), first);
    report.figure("reading one watch of a hundred frames of it", Target::Shown("ms"), median(&mut reads));
    Ok(())
}

/// Watches of a hundred frames of a kilobyte, up to a size.
fn write_large(path: &std::path::Path, size: u64) -> Outcome {
    use std::io::Write as _;
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    let head = format::to_text(&Tape::default());
    file.write_all(head.as_bytes())?;
    let (mut written, mut seq, mut id) = (head.len() as u64, 0, 0);
    while written < size {
        id += 1;
        let begin = seq + 1;
        let frames = (0..100).map(|n| {
            let event = event(begin as usize + 1 + n, &"x".repeat(600));
            let content = Body::from_json(event.as_bytes());
            Frame { seq: begin + 2 + n as u64, t: (begin + 2 + n as u64) * 10, content, ..Frame::default() }
        });
        let mut call = Call { id, lane: "sut".into(), frames: frames.collect(), ..Call::default() };
        call.seq = Marks { req: begin, head: Some(begin + 1), end: begin + 102 };
        call.t = Marks { req: begin * 10, head: Some(begin * 10 + 10), end: begin * 10 + 1020 };
        call.request.method = "GET".into();
        call.request.path = MAPS.into();
        call.request.query = vec![("watch".into(), "1".into())];
        call.response = Some(Answer { status: 200, ..Answer::default() });
        seq = begin + 102;
        let text = format::write::entry(&Entry::Call(call));
        file.write_all(text.as_bytes())?;
        written += text.len() as u64;
    }
    file.flush()?;
    Ok(())
}

/// A watch event of a config map.
fn event(n: usize, pad: &str) -> String {
    format!(
        "{{\"type\":\"MODIFIED\",\"object\":{{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{{\"name\":\"c{}\",\"namespace\":\"default\",\"uid\":\"00000000-0000-0000-0000-{:012}\",\"resourceVersion\":\"{n}\",\"creationTimestamp\":\"2026-01-01T00:00:00Z\"}},\"data\":{{\"key\":\"{pad}\"}}}}}}\n",
        n % 1000,
        n % 1000
    )
}
