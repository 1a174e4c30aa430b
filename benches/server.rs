//! Start-up, memory, and the rate of GET, list and create against a bare handler that has the same bytes in memory.

#![allow(clippy::disallowed_methods, reason = "benchmarks measure the machine's own time")]

mod support;

use bytes::Bytes;
use http::Method;
use rehearsal::{Cluster, Controllers};
use std::time::{Duration, Instant};
use support::client::Client;
use support::process::Server;
use support::runner::in_turns;
use support::stats::{median, ms};
use support::{Options, Outcome, Report, Target, bare, objects, runtime};

fn main() -> Outcome {
    let options = Options::parse();
    let mut report = Report::new("server");
    start_up(&options, &mut report)?;
    let runtime = runtime()?;
    runtime.block_on(in_process(&options, &mut report))?;
    runtime.block_on(requests(&options, &mut report))?;
    report.finish(options.record)
}

/// From the start of the process to the first good answer, and the memory it has then.
fn start_up(options: &Options, report: &mut Report) -> Outcome {
    for (flags, what) in [(&["--http"][..], "plain HTTP"), (&[][..], "TLS")] {
        let (mut times, mut sizes) = (Vec::new(), Vec::new());
        for _ in 0..options.count(41, 9) {
            let begin = Instant::now();
            let server = Server::start(flags)?;
            // Over TLS the line on stdout has to do, which comes when the socket is open.
            if what == "plain HTTP" {
                wait_ready(&server.address)?;
            }
            times.push(ms(begin.elapsed()));
            sizes.push(server.resident()? / 1e6);
        }
        report.figure(
            format!("process start to ready, {what}, median"),
            Target::AtMost(25.0, "ms"),
            median(&mut times),
        );
        report.figure(format!("resident memory then, {what}, median"), Target::AtMost(20.0, "MB"), median(&mut sizes));
    }
    Ok(())
}

fn wait_ready(address: &str) -> Outcome {
    use std::io::{Read as _, Write as _};
    loop {
        let Ok(mut stream) = std::net::TcpStream::connect(address) else { continue };
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        if answer.starts_with("HTTP/1.1 200") {
            return Ok(());
        }
    }
}

/// Starting and forking clusters within a process.
async fn in_process(options: &Options, report: &mut Report) -> Outcome {
    let first = Instant::now();
    Cluster::start().await?.shutdown().await;
    report.figure("first in-process cluster, which loads the catalogue", Target::Shown("ms"), ms(first.elapsed()));
    let mut times = Vec::new();
    for _ in 0..options.count(101, 21) {
        let begin = Instant::now();
        let cluster = Cluster::start().await?;
        times.push(ms(begin.elapsed()));
        cluster.shutdown().await;
    }
    report.figure("a fresh in-process cluster, median", Target::AtMost(1.0, "ms"), median(&mut times));
    let objects = options.count(100_000, 10_000);
    let cluster = Cluster::builder().controllers(Controllers::none()).start().await?;
    for n in 0..objects {
        cluster.apply(objects::config_map("default", &format!("c{n}"))).await?;
    }
    let mut times = Vec::new();
    for _ in 0..options.count(41, 9) {
        let begin = Instant::now();
        let fork = cluster.fork().await?;
        times.push(ms(begin.elapsed()));
        fork.shutdown().await;
    }
    report.figure(
        format!("fork of a cluster with {objects} objects, median"),
        Target::AtMost(1.0, "ms"),
        median(&mut times),
    );
    Ok(())
}

/// Requests against the cluster and the bare handler in turns, one keep-alive connection each.
async fn requests(options: &Options, report: &mut Report) -> Outcome {
    let rounds = options.count(21, 5);
    let cluster = Cluster::builder().controllers(Controllers::none()).start().await?;
    for n in 0..options.count(5000, 500) {
        cluster.apply(objects::pod("default", &format!("web-{n:05}"))).await?;
    }
    let ours = cluster.url().replace("http://", "");
    read(&ours, "/api/v1/namespaces/default/pods/web-00000", "GET one pod", rounds, report).await?;
    read(&ours, "/api/v1/namespaces/default/pods", "list of 5,000 pods", rounds, report).await?;
    create(&ours, rounds, report).await?;
    wide(&ours, rounds, report).await?;
    tokio::time::sleep(Duration::from_millis(1)).await;
    cluster.shutdown().await;
    Ok(())
}

async fn read(ours: &str, path: &str, what: &str, rounds: usize, report: &mut Report) -> Outcome {
    let mut client = Client::connect(ours).await?;
    let bytes = client.get(path).await?;
    let length = bytes.len();
    let mut other = Client::connect(&bare::serve(bytes).await?).await?;
    let found =
        in_turns(rounds, &mut async || client.get(path).await.map(drop), &mut async || other.get(path).await.map(drop))
            .await?;
    report.figure(format!("{what}, against a bare handler"), Target::AtLeast(0.6, "×"), found.ratio);
    rates(report, what, found.ours, found.theirs, length);
    Ok(())
}

#[allow(clippy::cast_precision_loss)]
fn rates(report: &mut Report, what: &str, ours: f64, theirs: f64, length: usize) {
    let large = length > 1_000_000;
    let (scale, unit) = if large { (length as f64 / 1e6, "MB/s") } else { (1.0, "requests/s") };
    report.figure(format!("{what}: rehearsal"), Target::Shown(unit), ours * scale);
    report.figure(format!("{what}: bare handler"), Target::Shown(unit), theirs * scale);
}

async fn create(ours: &str, rounds: usize, report: &mut Report) -> Outcome {
    for (path, what, make) in [
        ("/api/v1/namespaces/default/configmaps", "create a config map", objects::config_map as fn(&str, &str) -> _),
        ("/api/v1/namespaces/default/pods", "create a pod", objects::pod),
    ] {
        let mut client = Client::connect(ours).await?;
        let body = |n: u64| Bytes::from(make("default", &format!("new-{n:08}")).to_string());
        let answer = client.call(Method::POST, path, body(0)).await?;
        let mut other = Client::connect(&bare::serve(answer).await?).await?;
        // Making the bodies is no part of it, so there is a stock of them.
        let stock: Vec<Bytes> = (1..=400_000).map(body).collect();
        let mut bodies = stock.iter().cloned();
        let mut same = stock.iter().cloned().cycle();
        let found = in_turns(
            rounds,
            &mut async || client.call(Method::POST, path, bodies.next().ok_or("out of bodies")?).await.map(drop),
            &mut async || other.call(Method::POST, path, same.next().ok_or("out of bodies")?).await.map(drop),
        )
        .await?;
        report.figure(format!("{what}, against a bare handler"), Target::AtLeast(0.3, "×"), found.ratio);
        rates(report, what, found.ours, found.theirs, 0);
    }
    Ok(())
}

/// What a document with twice as many members costs: hostile input must not buy quadratic time.
async fn wide(ours: &str, rounds: usize, report: &mut Report) -> Outcome {
    let body = |members: usize| {
        let unknown: String = (0..members).map(|n| format!(r#""u{n}":1,"#)).collect();
        Bytes::from(format!(r#"{{{unknown}"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"wide"}}}}"#))
    };
    let path = "/api/v1/namespaces/default/configmaps?dryRun=All";
    let (twice, once) = (body(40_000), body(20_000));
    let mut client = Client::connect(ours).await?;
    let mut other = Client::connect(ours).await?;
    let found = in_turns(
        rounds,
        &mut async || client.call(Method::POST, path, twice.clone()).await.map(drop),
        &mut async || other.call(Method::POST, path, once.clone()).await.map(drop),
    )
    .await?;
    report.figure("documents with 40,000 members, in those with 20,000", Target::AtMost(3.0, "×"), 1.0 / found.ratio);
    Ok(())
}
