//! `rehearsal record`: a recording reverse proxy in front of a cluster, and the command whose traffic is wanted.
//!
//! With a command the proxy lives as long as it, and its exit code is ours; without one until a signal comes. Either way
//! the tape is sealed at the end. What kills the recorder leaves the journal beside the tape.

use super::faulting;
use super::run::{self, Ended, exit_code};
use super::scope::{PlaceArgs, ScopeArgs};
use crate::process::end_group;
use crate::recording::{self, ConfigUpstream, JsonOnly, Recording, RecordingOptions, RedactionOptions, Start};
use anyhow::Context as _;
use clap::Args;
use futures::future::BoxFuture;
use http::{Request, Response};
use parking_lot::Mutex;
use rehearsal_cassettes::Mode;
use rehearsal_cassettes::format::model::{Header, Role};
use rehearsal_cassettes::proxy::{
    Abilities, Channel, CompareSink, Lanes, Policy, Proxy, ProxyBody, ProxyBuilder, Replay, TapeComparer, Upstream,
    UpstreamError, UpstreamFailure,
};
use rehearsal_cassettes::record::{Recorder, RecorderOptions, Summary, SystemClock};
use rehearsal_cassettes::replay::{Options, Player, ReplayService, Verdict};
use rehearsal_client::{ClientConfig, Config, LoadingRules, Overrides, Secret};
use rehearsal_fakeserver::auth::write_atomically;
use rehearsal_faults::Plan;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

/// Flags of `record`.
#[derive(Clone, Debug, Args)]
pub struct RecordArgs {
    /// Kubeconfig of the cluster to record (default: as kubectl finds it).
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig (default: its current one).
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Address of the server instead of the kubeconfig's.
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// The tape, such as incident.tape.yaml.
    #[arg(short, long, value_name = "TAPE")]
    pub output: PathBuf,
    /// What happens to requests: once, none, new_episodes, all, passthrough or compare.
    #[arg(long, default_value = "once", value_name = "MODE")]
    pub mode: Mode,
    /// A logical client, with a token and a kubeconfig of its own (repeatable; default: sut). `NAME=driver` for one that
    /// drives the scenario and `NAME=ambient` for one that is merely there: a replay does by itself what they did.
    #[arg(long, value_name = "NAME[=ROLE]")]
    pub lane: Vec<String>,
    /// Keep what passes through exec, attach and port-forward; otherwise bytes are counted only.
    #[arg(long)]
    pub record_streams: bool,
    /// Note the sizes of the pieces that watch events came in.
    #[arg(long)]
    pub wire: bool,
    /// Ask the cluster for JSON where clients would rather have protobuf, so that the tape can be read.
    #[arg(long)]
    pub force_json: bool,
    /// Redact the names of a Secret's keys too.
    #[arg(long)]
    pub redact_keys: bool,
    /// Take last-applied-configuration annotations out whole.
    #[arg(long)]
    pub drop_last_applied: bool,
    /// Rules of redaction of your own, beside the built-in ones.
    #[arg(long, value_name = "FILE")]
    pub redaction: Option<PathBuf>,
    /// Key of pseudonyms, which makes them agree across tapes (default: random, and forgotten).
    #[arg(long, value_name = "FILE")]
    pub redaction_key: Option<PathBuf>,
    /// A tape that was never sealed counts as a tape.
    #[arg(long)]
    pub keep_partial: bool,
    /// Share the connections to the cluster among all clients.
    #[arg(long)]
    pub pool: bool,
    /// A fault plan to start with: what the clients see goes wrong as it says, the cluster stays as it is (repeatable; see
    /// `rehearsal faults`).
    #[arg(long, value_name = "PLAN")]
    pub faults: Vec<PathBuf>,
    /// Token of the admin API at `/_rehearsal/v1/faults`; random by default, and given to the command as
    /// REHEARSAL_ADMIN_TOKEN.
    #[arg(long, env = "REHEARSAL_ADMIN_TOKEN", hide_env_values = true)]
    pub admin_token: Option<String>,
    /// Port to listen on; 0 picks a free one.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Where to write the kubeconfig (default: beside others in the temporary directory).
    #[arg(long, value_name = "FILE")]
    pub kubeconfig_out: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub scope: ScopeArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub place: PlaceArgs,
    /// The command with its arguments, after `--`.
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// Records, or replays, as the mode has it.
pub(super) async fn record(args: RecordArgs) -> anyhow::Result<ExitCode> {
    let ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false" && value != "0");
    let mode = args.mode.under_ci(ci);
    if mode != args.mode {
        tracing::warn!("CI is set: mode {} becomes {}", args.mode.as_str(), mode.as_str());
    }
    let mode = args.scope.refreshed(mode, &args.output)?;
    let start = Start::of(mode, &args.output, args.keep_partial)?;
    let lanes = Lanes::new(args.lane.iter().map(|lane| lane.split_once('=').map_or(lane.as_str(), |(name, _)| name)))?;
    let faulting = faulting::armed(&args.faults, Abilities { tls: true, supervises: !args.command.is_empty() })?;
    let mut stage = Stage::set(&args, mode, start, lanes, &faulting.plans)?;
    let token = faulting::admin_token(args.admin_token.as_ref())?;
    let builder = stage.proxy(&args)?.faults(faulting.faults.clone()).admin_token(&token);
    let proxy = builder.start(recording::now()).await?;
    args.place.hand_out(&proxy, &stage.namespace)?;
    if let Some(recorder) = &stage.recorder {
        args.scope.watch_over(recorder);
    }
    let outcome = attend(&args, &proxy, &token, stage.recorder.as_ref()).await;
    let tally = faulting.tally();
    proxy.shutdown().await;
    // A command that was told to end, by the signals that are passed on to it, has not failed.
    let ended_well = [0, 129, 130, 143].map(ExitCode::from);
    let failed = !matches!(&outcome, Ok(code) if ended_well.contains(code));
    let tape = stage.recording.is_some().then_some(args.output.as_path());
    let verdict = stage.end(failed).await;
    // A rule that never fired is told and no failure: recordings show what happens, they judge nothing.
    tally.tell();
    let sound = matches!((&outcome, &verdict), (Ok(code), Ok(true)) if *code == ExitCode::SUCCESS);
    if let Some(line) = tally.reproduction(tape, &args.command).filter(|_| !sound || tally.has_failures()) {
        eprintln!("{line}");
    }
    // What the command said comes first; a tape that is not there must not look like one that is.
    let code = outcome?;
    Ok(if verdict? && !tally.has_failures() { code } else { ExitCode::FAILURE })
}

/// The lanes that are not under test.
fn roles(lanes: &[String]) -> anyhow::Result<BTreeMap<String, Role>> {
    let given = lanes.iter().filter_map(|lane| lane.split_once('='));
    given
        .map(|(name, role)| match role {
            "sut" => Ok((name.to_owned(), Role::Sut)),
            "driver" => Ok((name.to_owned(), Role::Driver)),
            "ambient" => Ok((name.to_owned(), Role::Ambient)),
            _ => anyhow::bail!("lane {name:?}: a role is sut, driver or ambient, not {role:?}"),
        })
        .collect()
}

/// Who plays which part.
struct Stage {
    mode: Mode,
    fresh: bool,
    upstream: Arc<dyn Upstream>,
    namespace: String,
    lanes: Option<Lanes>,
    recorder: Option<Recorder>,
    recording: Option<Recording>,
    replay: Option<ReplayService>,
    differences: Option<Arc<Mutex<Vec<String>>>>,
}

impl Stage {
    fn set(args: &RecordArgs, mode: Mode, start: Start, lanes: Lanes, plans: &[Plan]) -> anyhow::Result<Self> {
        let mut stage = Self {
            mode,
            fresh: start == Start::Record,
            upstream: Arc::new(Nowhere),
            namespace: String::new(),
            lanes: None,
            recorder: None,
            recording: None,
            replay: None,
            differences: None,
        };
        let known = if start == Start::Replay { Vec::new() } else { stage.go_live(args)? };
        let tape = match start {
            Start::Record | Start::Pass => None,
            Start::Replay | Start::Extend | Start::Compare => Some(super::replay::whole_tape(&args.output)?),
        };
        if let (Start::Replay | Start::Extend, Some(tape)) = (start, &tape) {
            let player = Player::new(tape, Options::default());
            stage.replay = Some(ReplayService::new(player, |_| None));
        }
        if start == Start::Compare {
            let (sink, differences) = CompareSink::new(TapeComparer::new(&tape.unwrap_or_default()));
            let options = RecorderOptions::new(Header::default(), Arc::new(SystemClock::start()), "compare");
            stage.recorder = Some(Recorder::start(options, Box::new(sink))?);
            stage.differences = Some(differences);
        } else if matches!(start, Start::Record | Start::Extend) {
            let recording = recording::start(RecordingOptions {
                path: args.output.clone(),
                mode: args.mode,
                placement: if args.place.in_cluster { "sidecar" } else { "proxy" }.into(),
                lanes: lanes.iter().map(|(lane, token)| (lane.to_owned(), token.to_owned())).collect(),
                roles: roles(&args.lane)?,
                wire: args.wire,
                streams: args.record_streams,
                onto: tape,
                plans: plans.to_vec(),
                redaction: RedactionOptions {
                    policy: args.redaction.clone(),
                    keys: args.redact_keys,
                    last_applied: args.drop_last_applied,
                    key: args.redaction_key.clone(),
                    known,
                },
                filter: args.scope.filter()?,
                limits: args.scope.limits(),
                expires: args.scope.expires.clone().unwrap_or_default(),
                failure: args.scope.failure(),
                ..RecordingOptions::default()
            })?;
            stage.recorder = Some(recording.recorder().clone());
            stage.recording = Some(recording);
        }
        stage.lanes = Some(lanes);
        Ok(stage)
    }

    /// Takes the cluster on, and gives back what must not be on the tape.
    fn go_live(&mut self, args: &RecordArgs) -> anyhow::Result<Vec<Secret>> {
        let (upstream, namespace) = upstream(args)?;
        let secrets = upstream.secrets();
        self.upstream = if args.force_json { Arc::new(JsonOnly(upstream)) } else { Arc::new(upstream) };
        self.namespace = namespace;
        Ok(secrets)
    }

    fn proxy(&mut self, args: &RecordArgs) -> anyhow::Result<ProxyBuilder> {
        let lanes = self.lanes.take().context("the stage is set")?;
        let replay = self.replay.clone().map(|replay| Arc::new(replay) as Arc<dyn Replay>);
        let builder = Proxy::builder(self.upstream.clone(), lanes)
            .port(args.port)
            .namespace(self.namespace.clone())
            .policy(Policy { mode: self.mode, fresh: self.fresh, replay });
        Ok(match &self.recorder {
            Some(recorder) => builder.recorder(recorder.clone()),
            None => builder,
        })
    }

    /// Seals and reports; false where a replay or a comparison found something wanting.
    async fn end(self, failed: bool) -> anyhow::Result<bool> {
        match (self.recording, &self.recorder) {
            (Some(recording), _) if failed => keep(recording).await?,
            (Some(recording), _) => seal(recording).await?,
            (None, Some(recorder)) => drop(recorder.seal().await?),
            (None, None) => {}
        }
        if let Some(differences) = self.differences {
            let differences = differences.lock().clone();
            differences.iter().for_each(|difference| eprintln!("rehearsal: {difference}"));
            eprintln!("rehearsal: {} differences to the tape", differences.len());
            return Ok(differences.is_empty());
        }
        let Some(replay) = self.replay else { return Ok(true) };
        let report = replay.report();
        eprintln!("rehearsal: {report}");
        // What a mode adds to the tape was not on it before.
        Ok(self.mode == Mode::NewEpisodes || report.verdict(false) == Verdict::Pass)
    }
}

/// The upstream of a replay: none, and no socket is opened.
struct Nowhere;

impl Upstream for Nowhere {
    fn channel(&self, _: bool) -> Result<Arc<dyn Channel>, UpstreamError> {
        Ok(Arc::new(Self))
    }
}

impl Channel for Nowhere {
    fn send(&self, _: Request<ProxyBody>) -> BoxFuture<'static, Result<Response<ProxyBody>, UpstreamError>> {
        let error = UpstreamError::new(UpstreamFailure::Unreachable, "a replay has no upstream");
        Box::pin(std::future::ready(Err(error)))
    }
}

/// The cluster, and the namespace that its context names.
fn upstream(args: &RecordArgs) -> anyhow::Result<(ConfigUpstream, String)> {
    let (config, namespace) = if args.place.in_cluster { args.place.cluster()? } else { cluster(args)? };
    let upstream = ConfigUpstream::new(&config)?;
    Ok((if args.pool { upstream.pooled() } else { upstream }, namespace))
}

/// Notes what becomes of the command. A tape that cannot be written is told elsewhere.
async fn mark(recorder: Option<&Recorder>, what: &str, text: &str) {
    if let Some(recorder) = recorder {
        let _ = recorder.mark(what, text).await;
    }
}

fn cluster(args: &RecordArgs) -> anyhow::Result<(Config, String)> {
    let rules = match &args.kubeconfig {
        Some(path) => LoadingRules::explicit(path),
        None => LoadingRules::from_env(),
    };
    let (client, error) = ClientConfig::load(&rules);
    // Without any kubeconfig an address is enough.
    if let Some(error) = error
        && (args.kubeconfig.is_some() || args.server.is_none())
    {
        return Err(error).context("kubeconfig");
    }
    let mut client =
        client.overrides(Overrides { server: args.server.clone().unwrap_or_default(), ..Overrides::default() });
    if let Some(context) = &args.context {
        client = client.context(context);
    }
    let namespace = client.namespace().0;
    let config = match (client.client_config(), &args.server) {
        (Ok(config), _) => config,
        (Err(_), Some(server)) if args.kubeconfig.is_none() && args.context.is_none() => Config::new(server),
        (Err(error), _) => return Err(error).context("kubeconfig"),
    };
    Ok((config, namespace))
}

/// Waits for the command, or for a signal where there is none.
async fn attend(
    args: &RecordArgs,
    proxy: &Proxy,
    token: &str,
    recorder: Option<&Recorder>,
) -> anyhow::Result<ExitCode> {
    let dir = tempfile::Builder::new().prefix("rehearsal-").tempdir().context("make a temporary directory")?;
    let kubeconfig = args.kubeconfig_out.clone().unwrap_or_else(|| dir.path().join("kubeconfig"));
    let configs = write_kubeconfigs(proxy, &kubeconfig, dir.path())?;
    let failed = async {
        match recorder {
            Some(recorder) => recorder.failed().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        code = async {
            match args.command.split_first() {
                Some((program, arguments)) => {
                    // Its arguments may hold secrets that nobody knows of.
                    mark(recorder, "process-start", &program.to_string_lossy()).await;
                    let code = supervise(program, arguments, proxy, token, &kubeconfig, &configs).await;
                    mark(recorder, "process-exit", &program.to_string_lossy()).await;
                    code
                }
                None => until_interrupted(args, proxy, &kubeconfig).await,
            }
        } => code,
        error = failed => Err(error.into()),
    }
}

/// One file a lane; the first lane's is the one that `KUBECONFIG` names.
pub(super) fn write_kubeconfigs(proxy: &Proxy, first: &Path, dir: &Path) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let mut written = Vec::new();
    for (n, (lane, _)) in proxy.lanes().iter().enumerate() {
        let path = if n == 0 { first.to_owned() } else { dir.join(format!("{lane}.kubeconfig")) };
        write_atomically(&path, &proxy.kubeconfig(lane)).with_context(|| format!("write {}", path.display()))?;
        written.push((lane.to_owned(), path));
    }
    Ok(written)
}

pub(super) async fn supervise(
    program: &OsString,
    arguments: &[OsString],
    proxy: &Proxy,
    token: &str,
    kubeconfig: &Path,
    configs: &[(String, PathBuf)],
) -> anyhow::Result<ExitCode> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("KUBECONFIG", kubeconfig)
        .env("REHEARSAL_URL", proxy.url())
        .env("REHEARSAL_ADMIN_TOKEN", token)
        .kill_on_drop(true);
    for (lane, path) in configs {
        let upper: String =
            lane.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
        command.env(format!("REHEARSAL_KUBECONFIG_{upper}"), path);
    }
    // A process group of its own, so that everything the command starts can be ended with it.
    command.as_std_mut().process_group(0);
    let mut signals = proxy.faults().signals();
    loop {
        let mut child = command.spawn().with_context(|| format!("start {}", program.to_string_lossy()))?;
        let group = child.id();
        let ended = run::supervise(&mut child, &mut signals).await;
        end_group(group).await;
        match ended? {
            Ended::Itself(status) => return Ok(exit_code(status)),
            Ended::ToBeStartedAgain(after) => tokio::time::sleep(after).await,
        }
    }
}

async fn until_interrupted(args: &RecordArgs, proxy: &Proxy, kubeconfig: &Path) -> anyhow::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    {
        let mut out = std::io::stdout().lock();
        writeln!(out, "ready url={} kubeconfig={}", proxy.url(), kubeconfig.display())?;
        out.flush()?;
    }
    eprintln!("Recording into {}. Work through the recorder:", args.output.display());
    eprintln!("    KUBECONFIG={} kubectl get namespaces", kubeconfig.display());
    eprintln!("End with ctrl-c: the tape is sealed then.");
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Ends a recording and says what it came to.
pub(super) async fn seal(recording: Recording) -> anyhow::Result<()> {
    let path = recording.path().to_owned();
    let summary = recording.seal().await?;
    tell(&summary, &path);
    Ok(())
}

/// Ends a recording whose command failed: a good tape is not replaced by it.
async fn keep(recording: Recording) -> anyhow::Result<()> {
    let good = recording.path().to_owned();
    let (path, summary) = recording.fail().await?;
    tell(&summary, &path);
    if path != good && good.exists() {
        eprintln!("rehearsal: the command failed, so {} is as it was", good.display());
    }
    Ok(())
}

fn tell(summary: &Summary, path: &Path) {
    let sealed = &summary.sealed;
    let stalled = match sealed.stalled_ms {
        0 => String::new(),
        ms => format!(", clients waited {ms} ms for the tape"),
    };
    eprintln!("rehearsal: {} calls and {} frames in {}{stalled}", sealed.calls, sealed.frames, path.display());
}
