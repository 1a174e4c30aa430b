//! `rehearsal replay TAPE`: a tape answers, to a command or to anybody, and says at the end what did not fit.
//!
//! Exit codes: the command's own when it failed; else 3 for requests that the tape did not answer, 4 (strict) for
//! recorded calls that nobody made, 5 (hydrate) for a client that did something else than in the recording, 6 for a fault
//! that did not happen.

use super::faulting;
use super::record::{supervise, write_kubeconfigs};
use crate::hydrate::{Fork, Hydrate, HydrateOptions};
use crate::recording;
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use futures::future::BoxFuture;
use rehearsal_cassettes::Mode;
use rehearsal_cassettes::format::model::{Body, Role, Tape};
use rehearsal_cassettes::format::{self, SideFiles};
use rehearsal_cassettes::proxy::{
    Abilities, Channel, Lanes, Policy, Proxy, ProxyBuilder, Upstream, UpstreamError, UpstreamFailure,
};
use rehearsal_cassettes::replay::{Manner, Options, Pace, Player, ReplayService, Verdict};
use rehearsal_fakeserver::auth::write_atomically;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Requests that the tape did not answer.
const UNMATCHED: u8 = 3;
/// Recorded calls that nobody made.
const UNUSED: u8 = 4;
/// A client that took another way.
const DIVERGED: u8 = 5;

/// A fault that was to happen and did not.
const UNFIRED: u8 = 6;

/// How a tape answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReplayMode {
    /// Recorded answers, in the order of the recording, each once.
    Strict,
    /// Recorded answers by route; reads as often as liked.
    Lenient,
    /// A living cluster with the objects of the tape, in which others do again what they did.
    #[default]
    Hydrate,
}

/// When what others did happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReplayPace {
    /// As soon as what it followed has happened.
    Asap,
    /// As long after its beginning as in the recording, and not before what it followed has happened.
    Recorded,
    /// A moment after what it followed in the recording.
    #[default]
    Gated,
}

/// What to do with the recorded future when the client takes another way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ForkWord {
    /// It goes on, as changes to whatever is there.
    #[default]
    Rebase,
    /// Objects that the client treated otherwise are left alone.
    DropFuture,
    /// Nothing more happens by itself.
    Stop,
}

/// Flags of `replay`.
#[derive(Clone, Debug, Args)]
pub struct ReplayArgs {
    /// The tape.
    #[arg(value_name = "TAPE")]
    pub tape: PathBuf,
    /// How the tape answers.
    #[arg(long, value_enum, default_value_t)]
    pub mode: ReplayMode,
    /// When what others did happens.
    #[arg(long, value_enum, default_value_t)]
    pub pace: ReplayPace,
    /// Stretches recorded time (with --pace recorded): 0.1 is ten times as fast.
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR")]
    pub stretch: f64,
    /// A lane under test (repeatable; default: all that the tape names so). What other lanes wrote happens by itself.
    #[arg(long, value_name = "NAME")]
    pub lane: Vec<String>,
    /// What to do with the recorded future when the client takes another way (hydrate).
    #[arg(long, value_enum, default_value_t)]
    pub fork: ForkWord,
    /// Milliseconds to wait for what the recording had next before going on without it.
    #[arg(long, default_value_t = 2000, value_name = "MS")]
    pub patience: u64,
    /// A client that takes another way is no failure (hydrate).
    #[arg(long)]
    pub allow_divergence: bool,
    /// Fields in which requests may differ: a mask that `tape learn` made (repeatable).
    #[arg(long, value_name = "MASK")]
    pub mask: Vec<PathBuf>,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Write which recorded calls were used, a line each: equal for two replays of one tape by the same programs.
    #[arg(long, value_name = "FILE")]
    pub transcript: Option<PathBuf>,
    /// `recorded`: what fault rules did in the recording happens again, at the same requests, and no rule is asked.
    /// Otherwise a fault plan, which is asked anew (repeatable).
    #[arg(long, value_name = "recorded|PLAN")]
    pub faults: Vec<PathBuf>,
    /// Token of the admin API at `/_rehearsal/v1/faults`; random by default, and given to the command as
    /// REHEARSAL_ADMIN_TOKEN.
    #[arg(long, env = "REHEARSAL_ADMIN_TOKEN", hide_env_values = true)]
    pub admin_token: Option<String>,
    /// Port to listen on; 0 picks a free one.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Where to write the kubeconfig (default: in the temporary directory).
    #[arg(long, value_name = "FILE")]
    pub kubeconfig_out: Option<PathBuf>,
    /// The command with its arguments, after `--`.
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// Whoever answers.
enum Engine {
    Player { service: ReplayService, strict: bool },
    Hydrate(Hydrate),
}

/// Nobody: a replay opens no connection to a server.
struct Nobody;

impl Upstream for Nobody {
    fn channel(&self, _: bool) -> Result<Arc<dyn Channel>, UpstreamError> {
        Ok(Arc::new(Self))
    }
}

impl Channel for Nobody {
    fn send(
        &self,
        _: http::Request<rehearsal_cassettes::proxy::ProxyBody>,
    ) -> BoxFuture<'static, Result<http::Response<rehearsal_cassettes::proxy::ProxyBody>, UpstreamError>> {
        Box::pin(async { Err(UpstreamError::new(UpstreamFailure::Unreachable, "a replay has no server")) })
    }
}

/// Reads a tape with everything in it: symbols put back, repeated bodies repeated, side files opened.
///
/// # Errors
/// An unreadable tape or side file, with its place.
pub(super) fn whole_tape(path: &Path) -> anyhow::Result<Tape> {
    let mut tape = format::load(path)?.tape;
    format::literal(&mut tape);
    tape.unshare();
    tape.inline(&SideFiles::of(path))?;
    Ok(tape)
}

/// Replays.
pub(super) async fn replay(args: ReplayArgs) -> anyhow::Result<ExitCode> {
    let tape = whole_tape(&args.tape)?;
    let abilities = Abilities { tls: true, supervises: !args.command.is_empty() };
    let mut faulting = faulting::for_replay(&args.faults, &tape, abilities)?;
    let tape = faulting.tape.take().unwrap_or(tape);
    if let Ok(Some(why)) = recording::is_expired(&tape.header, None, recording::now()) {
        eprintln!("rehearsal: {}: {why}", args.tape.display());
    }
    let names = lanes(&args, &tape);
    let lanes = Lanes::new(names.iter().map(String::as_str))?;
    let (builder, engine) = start(&args, &tape, lanes).await?;
    let token = faulting::admin_token(args.admin_token.as_ref())?;
    let builder = builder.port(args.port).faults(faulting.faults.clone()).admin_token(&token);
    let builder = match faulting.lanes.take() {
        Some(told) => builder.fault_lanes(told),
        None => builder,
    };
    let proxy = builder.start(recording::now()).await?;
    let code = attend(&args, &proxy, &token).await;
    let tally = faulting.tally();
    proxy.shutdown().await;
    let verdict = match conclude(&args, &engine).await? {
        0 if tally.has_failures() => 1,
        verdict => verdict,
    };
    let verdict = if tally.tell() || verdict != 0 { verdict } else { UNFIRED };
    let code = code?;
    // A command that failed has said why; what the tape thinks of it is on stderr.
    let code = if code == ExitCode::SUCCESS { ExitCode::from(verdict) } else { code };
    if let Some(line) = tally.reproduction(None, &[]).filter(|_| code != ExitCode::SUCCESS) {
        eprintln!("{line}");
    }
    Ok(code)
}

/// The lanes that get a kubeconfig: the ones under test first.
fn lanes(args: &ReplayArgs, tape: &Tape) -> Vec<String> {
    if !args.lane.is_empty() {
        return args.lane.clone();
    }
    let under_test = tape.header.lanes.iter().filter(|(_, lane)| lane.role == Role::Sut);
    under_test.map(|(name, _)| name.clone()).collect()
}

async fn start(args: &ReplayArgs, tape: &Tape, lanes: Lanes) -> anyhow::Result<(ProxyBuilder, Engine)> {
    let patience = Duration::from_millis(args.patience);
    let mask = super::review::read_masks(&args.mask)?;
    let under_test = (!args.lane.is_empty()).then(|| args.lane.iter().cloned().collect::<BTreeSet<_>>());
    if args.mode == ReplayMode::Hydrate {
        let fork = match args.fork {
            ForkWord::Rebase => Fork::Rebase,
            ForkWord::DropFuture => Fork::DropFuture,
            ForkWord::Stop => Fork::Stop,
        };
        let options =
            HydrateOptions { lanes: under_test, fork, patience, pace: pace(args), mask, ..HydrateOptions::default() };
        let hydrate = Hydrate::start(tape, options).await?;
        let policy = Policy { mode: Mode::Passthrough, fresh: true, replay: Some(Arc::new(hydrate.clone())) };
        let builder = Proxy::builder(Arc::new(hydrate.clone()), lanes).policy(policy);
        return Ok((builder, Engine::Hydrate(hydrate)));
    }
    let strict = args.mode == ReplayMode::Strict;
    let manner = if strict { Manner::Strict } else { Manner::Lenient };
    let player = Player::new(tape, Options { manner, pace: pace(args), lanes: under_test }).masked(&mask);
    let service = ReplayService::with_patience(player, patience, |body: &Body| Some(body.clone()));
    let policy = Policy { mode: Mode::None, fresh: false, replay: Some(Arc::new(service.clone())) };
    Ok((Proxy::builder(Arc::new(Nobody), lanes).policy(policy), Engine::Player { service, strict }))
}

fn pace(args: &ReplayArgs) -> Pace {
    match args.pace {
        ReplayPace::Asap => Pace::Asap,
        ReplayPace::Recorded => Pace::Recorded(args.stretch),
        ReplayPace::Gated => Pace::Gated,
    }
}

async fn attend(args: &ReplayArgs, proxy: &Proxy, token: &str) -> anyhow::Result<ExitCode> {
    let dir = tempfile::Builder::new().prefix("rehearsal-").tempdir().context("make a temporary directory")?;
    let kubeconfig = args.kubeconfig_out.clone().unwrap_or_else(|| dir.path().join("kubeconfig"));
    let configs = write_kubeconfigs(proxy, &kubeconfig, dir.path())?;
    if let Some((program, arguments)) = args.command.split_first() {
        return supervise(program, arguments, proxy, token, &kubeconfig, &configs).await;
    }
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    for (lane, path) in &configs {
        eprintln!("lane {lane}: export KUBECONFIG={}", path.display());
    }
    let mut out = std::io::stdout();
    writeln!(out, "ready url={} kubeconfig={}", proxy.url(), kubeconfig.display())?;
    out.flush()?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Says what the replay came to; gives the exit code.
async fn conclude(args: &ReplayArgs, engine: &Engine) -> anyhow::Result<u8> {
    let (text, json, code) = match engine {
        Engine::Player { service, strict } => {
            if let Some(path) = &args.transcript {
                write_atomically(path, &service.transcript()).with_context(|| format!("write {}", path.display()))?;
            }
            let report = service.report();
            let code = match report.verdict(*strict) {
                Verdict::Pass => 0,
                Verdict::Unused => UNUSED,
                Verdict::Unmatched => UNMATCHED,
            };
            (report.to_string(), serde_json::to_string_pretty(&report)?, code)
        }
        Engine::Hydrate(hydrate) => {
            let report = hydrate.report().await;
            if let Some(path) = &args.transcript {
                let lines = hydrate.transcript().await;
                write_atomically(path, &lines).with_context(|| format!("write {}", path.display()))?;
            }
            let faithful = report.is_faithful() || args.allow_divergence;
            (report.to_string(), serde_json::to_string_pretty(&report)?, if faithful { 0 } else { DIVERGED })
        }
    };
    eprintln!("rehearsal replay: {text}");
    if let Some(path) = &args.report {
        write_atomically(path, &json).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(code)
}
