//! A thousand watchers of one collection: is every event delivered, how late, and what does an idle watcher cost?

#![allow(clippy::disallowed_methods, reason = "benchmarks measure the machine's own time")]

mod support;

use bytes::Bytes;
use http::Method;
use rehearsal::{Cluster, Controllers};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::client::Client;
use support::process::Server;
use support::stats::percentile;
use support::{Options, Outcome, Report, Target, objects, runtime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const PATH: &str = "/api/v1/namespaces/default/configmaps";

fn main() -> Outcome {
    let options = Options::parse();
    let mut report = Report::new("watch_fanout");
    let runtime = runtime()?;
    runtime.block_on(idle(&options, &mut report))?;
    runtime.block_on(fan_out(&options, &mut report))?;
    report.finish(options.record)
}

/// Resident memory of a server process before and after the watchers came.
#[allow(clippy::cast_precision_loss)]
async fn idle(options: &Options, report: &mut Report) -> Outcome {
    let watchers = options.count(1000, 200);
    for (flags, what) in [(&["--http"][..], "HTTP/1.1")] {
        let server = Server::start(flags)?;
        // The first connection brings code and buffers that are not its own.
        let mut streams = vec![watch(&server.address).await?];
        let before = server.resident()?;
        for _ in 0..watchers {
            streams.push(watch(&server.address).await?);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        let each = (server.resident()? - before) / watchers as f64 / 1024.0;
        report.figure(format!("memory of each of {watchers} idle watchers, {what}"), Target::AtMost(16.0, "KiB"), each);
    }
    Ok(())
}

/// Opens a watch of the config maps of a namespace and reads the head of the answer.
async fn watch(address: &str) -> Outcome<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let request = format!(
        "GET {PATH}?watch=1&resourceVersion=0&sendInitialEvents=false&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true HTTP/1.1\r\nhost: x\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let (mut head, mut buffer) = (Vec::new(), [0; 512]);
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        match stream.read(&mut buffer).await? {
            0 => return Err("the watch ended".into()),
            n => head.extend_from_slice(&buffer[..n]),
        }
    }
    if head.starts_with(b"HTTP/1.1 200") { Ok(stream) } else { Err(String::from_utf8_lossy(&head).into_owned().into()) }
}

/// When the lines of one update arrived, of all readers.
struct Readers {
    arrivals: mpsc::UnboundedReceiver<Instant>,
    received: Arc<AtomicUsize>,
    count: usize,
}

impl Readers {
    /// Reads each stream and notes the arrival of every frame: a line that ends in a brace.
    fn of(streams: Vec<TcpStream>) -> Self {
        let (sender, arrivals) = mpsc::unbounded_channel();
        let received = Arc::new(AtomicUsize::new(0));
        let count = streams.len();
        for mut stream in streams {
            let (sender, received) = (sender.clone(), received.clone());
            tokio::spawn(async move {
                let (mut buffer, mut last) = (vec![0; 16 << 10], 0);
                while let Ok(n) = stream.read(&mut buffer).await {
                    if n == 0 {
                        return;
                    }
                    let now = Instant::now();
                    for byte in &buffer[..n] {
                        if (last, *byte) == (b'}', b'\n') {
                            received.fetch_add(1, Ordering::Relaxed);
                            let _ = sender.send(now);
                        }
                        last = *byte;
                    }
                }
            });
        }
        Self { arrivals, received, count }
    }

    /// Waits for one frame at every reader; adds how long after `begin` each came, in milliseconds.
    async fn collect(&mut self, begin: Instant, latencies: &mut Vec<f64>) -> Outcome {
        for _ in 0..self.count {
            let arrival = tokio::time::timeout(Duration::from_secs(10), self.arrivals.recv()).await;
            let arrival = arrival.map_err(|_| "an event was not delivered")?.ok_or("all readers ended")?;
            latencies.push(support::stats::ms(arrival.saturating_duration_since(begin)));
        }
        Ok(())
    }
}

/// 200 updates one after the other, each delivered to all before the next; then as many at once.
#[allow(clippy::cast_precision_loss)]
async fn fan_out(options: &Options, report: &mut Report) -> Outcome {
    let (watchers, updates) = (options.count(1000, 200), options.count(200, 50));
    let cluster = Cluster::builder().controllers(Controllers::none()).start().await?;
    cluster.apply(objects::config_map("default", "watched")).await?;
    let address = cluster.url().replace("http://", "");
    let mut streams = Vec::new();
    for _ in 0..watchers {
        streams.push(watch(&address).await?);
    }
    let mut readers = Readers::of(streams);
    let mut client = Client::connect(&address).await?;
    let mut ours = Vec::new();
    let mut plain = Plain::new(watchers).await?;
    let mut theirs = Vec::new();
    let mut ratios = Vec::new();
    let path = format!("{PATH}/watched");
    let blocks = 10;
    for block in 0..blocks {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for n in 0..updates / blocks {
            let begin = Instant::now();
            let answer = client.call(Method::PUT, &path, body(block * updates + n)).await?;
            readers.collect(begin, &mut a).await?;
            let begin = Instant::now();
            plain.write(&answer).await?;
            plain.readers.collect(begin, &mut b).await?;
        }
        ratios.push(percentile(&mut a, 0.99) / percentile(&mut b, 0.99));
        ours.append(&mut a);
        theirs.append(&mut b);
    }
    report.figure(
        format!("events delivered of {updates} updates to {watchers} watchers"),
        Target::AtLeast((updates * watchers) as f64, "events"),
        readers.received.load(Ordering::Relaxed) as f64,
    );
    let ratio = percentile(&mut ours, 0.99) / percentile(&mut theirs, 0.99);
    report.figure("p99 from the request to the watcher, against plain sockets", Target::AtMost(5.0, "×"), ratio);
    report.figure("the same, median of ten blocks", Target::Shown("×"), support::stats::median(&mut ratios));
    report.figure("p99: rehearsal", Target::Shown("ms"), percentile(&mut ours, 0.99));
    report.figure("p99: plain sockets", Target::Shown("ms"), percentile(&mut theirs, 0.99));
    burst(&mut client, &mut readers, &path, updates, report).await?;
    cluster.shutdown().await;
    Ok(())
}

/// All updates as fast as one client can send them.
#[allow(clippy::cast_precision_loss)]
async fn burst(client: &mut Client, readers: &mut Readers, path: &str, updates: usize, report: &mut Report) -> Outcome {
    let begin = Instant::now();
    for n in 0..updates {
        client.call(Method::PUT, path, body(1_000_000 + n)).await?;
    }
    let mut latencies = Vec::new();
    for _ in 0..updates {
        readers.collect(begin, &mut latencies).await?;
    }
    let time = support::stats::ms(begin.elapsed());
    report.figure(
        format!("{updates} updates in a burst, until the last event of the last watcher"),
        Target::Shown("ms"),
        time,
    );
    Ok(())
}

fn body(n: usize) -> Bytes {
    let mut object = objects::config_map("default", "watched");
    object["data"]["key"] = format!("{n:012}").into();
    Bytes::from(object.to_string())
}

/// As many sockets that are written to in a loop.
struct Plain {
    writers: Vec<TcpStream>,
    readers: Readers,
}

impl Plain {
    async fn new(count: usize) -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (mut writers, mut streams) = (Vec::new(), Vec::new());
        for _ in 0..count {
            streams.push(TcpStream::connect(address).await?);
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            writers.push(stream);
        }
        Ok(Self { writers, readers: Readers::of(streams) })
    }

    /// Writes the frame of a MODIFIED event about this object to all.
    async fn write(&mut self, object: &[u8]) -> Outcome {
        let object = object.strip_suffix(b"\n").unwrap_or(object);
        let line = [b"{\"type\":\"MODIFIED\",\"object\":", object, b"}\n"].concat();
        let chunk = [format!("{:X}\r\n", line.len()).as_bytes(), &line, b"\r\n"].concat();
        for writer in &mut self.writers {
            writer.write_all(&chunk).await?;
        }
        Ok(())
    }
}
