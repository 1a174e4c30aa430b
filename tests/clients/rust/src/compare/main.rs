//! Our client, kube-rs and a bare hyper client in turns against the same server: GET, LIST of 1,000 pods, WATCH.
//!
//! `cargo run --release --features compare --bin compare` starts a server of its own; `--server URL` takes another, which
//! gets two namespaces. All three read into the same `Pod` type of k8s-openapi, over HTTP/1.1, JSON, uncompressed, and
//! nobody is throttled. `--quick` is a look, not a result; `--only ours|kube|hyper` and `--work
//! GET|LIST|WATCH` run one against bytes from memory, for a profiler.

mod bare;
mod load;
mod rivals;

use anyhow::Context as _;
use rivals::{Bare, Kube, Ours, Rival};
use std::time::{Duration, Instant};

/// Pods of the namespace that is listed.
const LISTED: usize = 1000;
/// Pods of the namespace that is watched: events of a watch from the beginning.
const WATCHED: usize = 5000;

/// A client's turn, and what goes before the first.
const TURN: Duration = Duration::from_millis(80);
const WARM_UP: Duration = Duration::from_millis(300);

/// One of the three measurements: what it is called, how much a call counts, and in which unit.
#[derive(Clone, Copy)]
enum Work {
    Get,
    List,
    Watch,
}

const WORK: [Work; 3] = [Work::Get, Work::List, Work::Watch];

impl Work {
    fn unit(self) -> (f64, &'static str) {
        match self {
            Self::Get => (1.0, "requests/s"),
            Self::List => (1.0, "lists/s"),
            Self::Watch => (WATCHED as f64, "events/s"),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Get => "GET one pod",
            Self::List => "LIST of 1,000 pods",
            Self::Watch => "WATCH of 5,000 pods",
        }
    }

    async fn run(self, rival: &dyn Rival) -> anyhow::Result<()> {
        match self {
            Self::Get => rival.get().await,
            Self::List => rival.list(LISTED).await,
            Self::Watch => rival.watch(WATCHED).await,
        }
    }
}

fn main() -> anyhow::Result<()> {
    let flags: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| flags.iter().position(|f| f == name).and_then(|at| flags.get(at + 1)).cloned();
    let quick = flags.iter().any(|f| f == "--quick");
    let (url, _server) = match value("--server") {
        Some(url) => (url, None),
        None => load::server()?,
    };
    // The client has a thread of its own, so that the three differ in nothing but themselves.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        load::pods(&url, LISTED, WATCHED).await.context("create the pods")?;
        let replay = bare::replaying(&url).await?;
        if let Some(only) = value("--only") {
            return profiled(&replay, &only, value("--work")).await;
        }
        measure("rehearsal", &url, quick).await?;
        measure("bytes from memory", &replay, quick).await
    })
}

fn rivals(url: &str) -> anyhow::Result<[Box<dyn Rival>; 3]> {
    Ok([Box::new(Ours::new(url)?), Box::new(Kube::new(url)?), Box::new(Bare::new(url)?)])
}

/// A table against one server.
async fn measure(server: &str, url: &str, quick: bool) -> anyhow::Result<()> {
    let rivals = rivals(url)?;
    println!("\nserver: {server}");
    println!("| figure | ours | kube | hyper | ours to kube | ours to hyper |\n|---|---|---|---|---|---|");
    for work in WORK {
        let found = in_turns(work, &rivals, if quick { 21 } else { 121 }).await?;
        let (scale, unit) = work.unit();
        let [ours, kube, hyper] = found.rates.each_ref().map(|r| median(r) * scale);
        let [to_kube, to_hyper] = ratios(&found.rates);
        let name = work.name();
        println!("| {name}, {unit} | {ours:.0} | {kube:.0} | {hyper:.0} | {to_kube:.2}× | {to_hyper:.2}× |");
        let [ours, kube, hyper] = found.work.each_ref().map(|r| median(r) * scale);
        let [to_kube, to_hyper] = ratios(&found.work);
        println!(
            "| the same by the client's CPU time | {ours:.0} | {kube:.0} | {hyper:.0} | {to_kube:.2}× | {to_hyper:.2}× |"
        );
    }
    Ok(())
}

/// One client for ten seconds.
async fn profiled(url: &str, only: &str, work: Option<String>) -> anyhow::Result<()> {
    let rivals = rivals(url)?;
    let rival = rivals.iter().find(|r| r.name() == only).context("--only takes ours, kube or hyper")?;
    for work in WORK.into_iter().filter(|w| work.as_ref().is_none_or(|name| w.name().starts_with(name))) {
        let (rate, cpu) = rate(work, rival.as_ref(), Duration::from_secs(10)).await?;
        let (scale, unit) = work.unit();
        println!("{:<22} {:>12.0} {unit}, {:.0} by CPU time", work.name(), rate * scale, cpu * scale);
    }
    Ok(())
}

/// Calls a second of each client in each round: of the wall clock, and of the CPU time that the client's thread used.
#[derive(Default)]
struct Found {
    rates: [Vec<f64>; 3],
    work: [Vec<f64>; 3],
}

/// Short rounds in changing order, so that a noisy machine is equally noisy for all.
async fn in_turns(work: Work, rivals: &[Box<dyn Rival>; 3], rounds: usize) -> anyhow::Result<Found> {
    let mut found = Found::default();
    for rival in rivals {
        rate(work, rival.as_ref(), WARM_UP).await?;
    }
    for round in 0..rounds {
        for turn in 0..3 {
            let at = (round + turn) % 3;
            let (rate, work) = rate(work, rivals[at].as_ref(), TURN).await?;
            found.rates[at].push(rate);
            found.work[at].push(work);
        }
    }
    Ok(found)
}

/// Calls a second of wall time and of CPU time.
async fn rate(work: Work, rival: &dyn Rival, time: Duration) -> anyhow::Result<(f64, f64)> {
    let (begin, used) = (Instant::now(), cpu_time()?);
    let mut calls = 0.0;
    loop {
        work.run(rival).await?;
        calls += 1.0;
        let passed = begin.elapsed();
        if passed >= time {
            return Ok((calls / passed.as_secs_f64(), calls / (cpu_time()? - used).max(1e-9)));
        }
    }
}

/// Seconds of CPU that this thread has used.
fn cpu_time() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").context("read the thread's CPU time")?;
    let nanos: f64 = stat.split_whitespace().next().context("no CPU time")?.parse()?;
    Ok(nanos / 1e9)
}

/// Medians of the rounds' ratios, ours to kube's and to hyper's.
fn ratios(of: &[Vec<f64>; 3]) -> [f64; 2] {
    let [ours, kube, hyper] = of;
    let to = |other: &[f64]| median(&ours.iter().zip(other).map(|(a, b)| a / b).collect::<Vec<_>>());
    [to(kube), to(hyper)]
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
