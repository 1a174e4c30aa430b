//! `rehearsal bench`: benchmarks against any API server.
//!
//! `throttle` drives the client through its limiter and compares what passed with an ideal bucket.

use crate::bench::{
    Checks, Load, Run, Server, Setup, Storm, Target, ThrottleReport, closed_loop, open_loop, received, simulate,
};
use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rehearsal_apimachinery::time::parse_duration;
use rehearsal_client::{Burst, Config, Qps, RestClient, RetryOptions, Throttle, TokenBucket};
use rehearsal_fakeserver::FakeServer;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Flags of `bench`.
#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    #[allow(missing_docs)]
    pub what: Bench,
}

/// The benchmarks.
#[derive(Clone, Debug, Subcommand)]
pub enum Bench {
    /// Requests let through by the client's limiter, against the ideal token bucket.
    Throttle(ThrottleArgs),
}

/// Shapes of a load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LoadKind {
    /// Evenly spaced requests.
    #[default]
    Constant,
    /// Independent arrivals.
    Poisson,
    /// A second of twice the rate, a second of silence.
    Burst,
    /// From nothing to twice the rate.
    Ramp,
    /// Workers that wait for their answers: for capacity only.
    Closed,
}

/// Flags of `bench throttle`.
#[derive(Clone, Debug, Args)]
pub struct ThrottleArgs {
    /// An API server; without one, and without a kubeconfig, a cluster of its own is started.
    #[arg(long, value_name = "URL", conflicts_with = "kubeconfig")]
    pub server: Option<String>,
    /// A kubeconfig that names the API server.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Requests a second that the limiter allows.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub qps: u32,
    /// Requests that may go at once after a quiet time.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub burst: u32,
    /// Requests a second that are meant to start; twice `--qps` by default.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Shape of the load.
    #[arg(long, value_enum, default_value_t)]
    pub load: LoadKind,
    /// How long requests are begun, such as 10s or 1m30s.
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub duration: Duration,
    /// Callers that share the limiter; workers of a closed loop.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub workers: u32,
    /// What each worker of a closed loop waits between an answer and the next request.
    #[arg(long, default_value = "0s", value_parser = duration)]
    pub think: Duration,
    /// What is asked for.
    #[arg(long, default_value = "/version")]
    pub path: String,
    /// In virtual time: no server, no waiting, the same result each time.
    #[arg(long = "virtual", conflicts_with_all = ["server", "kubeconfig"])]
    pub in_virtual_time: bool,
    /// Where to draw what was admitted and how long it took.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Where to write the report as JSON; `-` for standard output.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Seed of arrivals and jitter.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

fn duration(text: &str) -> Result<Duration, String> {
    let nanos = parse_duration(text)?;
    u64::try_from(nanos).map(Duration::from_nanos).map_err(|_| "must not be negative".into())
}

/// Runs a benchmark. What it finds is no failure: requests that a busy machine delays look like a limiter at fault.
pub(super) async fn bench(args: BenchArgs) -> anyhow::Result<ExitCode> {
    let Bench::Throttle(args) = args.what;
    let report = throttle(&args).await?;
    let json_to_stdout = args.json.as_ref().is_some_and(|path| path.as_os_str() == "-");
    if json_to_stdout {
        println!("{:#}", report.to_json());
    } else {
        print!("{}", report.to_text());
        if let Some(path) = &args.json {
            write(path, &format!("{:#}\n", report.to_json()))?;
        }
    }
    if let Some(path) = &args.svg {
        write(path, &report.to_svg())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn write(path: &std::path::Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

impl ThrottleArgs {
    fn load(&self) -> Load {
        let rate = self.rate.unwrap_or(f64::from(self.qps) * 2.0);
        match self.load {
            LoadKind::Constant => Load::Constant { rate },
            LoadKind::Poisson => Load::Poisson { rate },
            LoadKind::Burst => Load::Burst { rate },
            LoadKind::Ramp => Load::Ramp { rate },
            LoadKind::Closed => Load::Closed { workers: self.workers as usize, think: self.think },
        }
    }

    #[allow(clippy::cast_precision_loss)]
    fn qps(&self) -> f32 {
        self.qps as f32
    }

    fn in_virtual_time(&self) -> Run {
        let bucket = TokenBucket::new(self.qps(), self.burst);
        let server = Server { service: Duration::from_millis(1), freeze: None };
        simulate(self.load(), self.duration, self.seed, Some(bucket), self.workers, server)
    }
}

async fn throttle(args: &ThrottleArgs) -> anyhow::Result<ThrottleReport> {
    let (server, run) = if args.in_virtual_time {
        ("virtual time".to_owned(), args.in_virtual_time())
    } else {
        on_the_wall_clock(args).await?
    };
    let storm = |options| Storm::new(options, args.seed).play();
    Ok(ThrottleReport {
        setup: Setup { qps: args.qps, burst: args.burst, seed: args.seed, server },
        run,
        checks: Checks::run(args.qps, args.burst),
        storms: [
            ("client-go's rules", storm(RetryOptions::default())),
            ("improved rules", storm(RetryOptions::improved())),
        ],
    })
}

/// Against the server that the flags name, or against one of our own, which tells when requests arrived.
async fn on_the_wall_clock(args: &ThrottleArgs) -> anyhow::Result<(String, Run)> {
    let (mut config, own) = match (&args.server, &args.kubeconfig) {
        (None, None) => {
            let server = FakeServer::builder().tls(false).journal_capacity(1_000_000).start().await?;
            (Config::new(server.url()), Some(server))
        }
        (Some(url), _) => (Config::new(url.clone()), None),
        (None, Some(path)) => (Config::from_flags("", &path.display().to_string())?, None),
    };
    config.qps = Qps(-1.0);
    let client = RestClient::unversioned(&config).context("make a client")?;
    // The first connection is no part of it, and a server that is not there is told at once.
    client.get().abs_path(&[&args.path]).do_raw().await.with_context(|| format!("get {}", args.path))?;
    if let Some(own) = &own {
        own.journal().clear();
    }
    let mut run = drive(args, client).await;
    let Some(own) = own else { return Ok((config.host, run)) };
    run.received = received(&own.journal());
    own.shutdown().await;
    Ok(("a cluster of its own".into(), run))
}

async fn drive(args: &ThrottleArgs, client: RestClient) -> Run {
    let limiter = Arc::new(Throttle::new(Qps(args.qps()), Burst(args.burst)));
    let target = Target { client, path: args.path.clone(), limiter: Some(limiter) };
    let bar = progress(args.duration);
    let told = bar.clone();
    let tick = move || told.set_position(u64::try_from(told.elapsed().as_millis()).unwrap_or(u64::MAX));
    let run = match args.load() {
        Load::Closed { workers, think } => closed_loop(&target, workers, think, args.duration, tick).await,
        load => open_loop(&target, load, args.duration, args.seed, args.workers, tick).await,
    };
    bar.finish_and_clear();
    run
}

fn progress(duration: Duration) -> ProgressBar {
    let shown = std::io::stderr().is_terminal() && std::env::var_os("CI").is_none();
    let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)), target);
    match ProgressStyle::with_template("driving {bar:40} {elapsed}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
