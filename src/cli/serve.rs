//! `rehearsal serve`: the fake API server as a process.

use crate::load;
use crate::recording::{Recording, record_server};
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use rehearsal_cassettes::history::History;
use rehearsal_fakeserver::auth::write_atomically;
use rehearsal_fakeserver::builder::AuthMode;
use rehearsal_fakeserver::clock::Clock;
use rehearsal_fakeserver::controllers::Controllers;
use rehearsal_fakeserver::{FakeServer, FakeServerBuilder, LanePort};
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Where a manual clock starts: 2026-01-01T00:00:00Z, so that runs agree.
const MANUAL_START: i64 = 1_767_225_600;

/// Who may do what.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Auth {
    /// Everyone is an administrator.
    #[default]
    Off,
    /// Credentials are checked and RBAC decides.
    Rbac,
}

/// Where time comes from.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum ClockKind {
    /// The machine's clock.
    #[default]
    Real,
    /// A clock that the admin API moves, starting at 2026-01-01T00:00:00Z.
    Manual,
}

/// Flags of a server, shared by `serve` and `run`.
#[derive(Clone, Debug, Args)]
pub struct ServerArgs {
    /// Port to listen on; 0 picks a free one.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    pub bind: IpAddr,
    /// Plain HTTP instead of TLS with a CA of its own.
    #[arg(long)]
    pub http: bool,
    /// Objects to load: YAML or JSON files, directories, tapes, `-` for standard input (repeatable).
    #[arg(long, value_name = "DIR|FILE")]
    pub load: Vec<PathBuf>,
    /// Of a tape among `--load`, the objects as they were at this resourceVersion (default: as they were at its end).
    #[arg(long, value_name = "RV", requires = "load")]
    pub at: Option<u64>,
    /// CustomResourceDefinitions to load before everything else: files, directories, Helm charts (repeatable).
    #[arg(long, value_name = "DIR|FILE")]
    pub crds: Vec<PathBuf>,
    /// Controllers beside the server: none, default, all, or a comma-separated list.
    #[arg(long, value_name = "none|default|all|LIST")]
    pub controllers: Option<String>,
    /// Who may do what.
    #[arg(long, value_enum, default_value_t)]
    pub auth: Auth,
    /// Static bearer tokens, in kube's CSV form: token,user,uid,"group1,group2".
    #[arg(long, value_name = "CSV")]
    pub token_file: Option<PathBuf>,
    /// Seed of uids, generated names and allocation dice.
    #[arg(long, default_value_t = rehearsal_fakeserver::builder::DEFAULT_SEED)]
    pub seed: u64,
    /// Where time comes from.
    #[arg(long, value_enum, default_value_t)]
    pub clock: ClockKind,
    /// A fault plan to start with (repeatable; see `rehearsal faults`).
    #[arg(long, value_name = "PLAN")]
    pub faults: Vec<PathBuf>,
    /// A lane with a port of its own, so that faults of connections can be kept to it (repeatable).
    #[arg(long, value_name = "NAME")]
    pub lane: Vec<String>,
    /// Where the admin API listens beside the main port, undisturbed by faults (default: a free loopback port).
    #[arg(long, value_name = "ADDR")]
    pub admin_listen: Option<SocketAddr>,
    /// Record everything the server is asked and answers.
    #[arg(long, value_name = "TAPE")]
    pub record: Option<PathBuf>,
    /// A page at /_rehearsal/ui that shows what the server is asked, as it happens (costs about what --record does).
    #[arg(long)]
    pub ui: bool,
    /// One log line a request.
    #[arg(long)]
    pub access_log: bool,
    /// Token of the admin API; random by default.
    #[arg(long, env = "REHEARSAL_ADMIN_TOKEN", hide_env_values = true)]
    pub admin_token: Option<String>,
}

/// Flags of `serve`.
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
    /// Where to write the kubeconfig (default: rehearsal.kubeconfig in the temporary directory, named after the port).
    #[arg(long, value_name = "FILE")]
    pub kubeconfig_out: Option<PathBuf>,
    /// Where to write the kubeconfigs of lanes, as NAME.kubeconfig (default: the temporary directory, named after the port).
    #[arg(long, value_name = "DIR", requires = "lane")]
    pub kubeconfig_dir: Option<PathBuf>,
    /// Where to write the admin token, readable by the owner alone.
    #[arg(long, value_name = "FILE")]
    pub admin_token_out: Option<PathBuf>,
}

impl ServerArgs {
    /// The configuration these flags ask for; `controllers` is the default of the command.
    ///
    /// # Errors
    /// Unreadable files and unknown controllers.
    pub fn builder(&self, controllers: Controllers) -> anyhow::Result<FakeServerBuilder> {
        let clock = match self.clock {
            ClockKind::Real => Clock::real(),
            ClockKind::Manual => Clock::manual(Timestamp::from_second(MANUAL_START)?),
        };
        let controllers = match &self.controllers {
            Some(list) => Controllers::parse(list)?,
            None => controllers,
        };
        let mut builder = FakeServer::builder()
            .seed(self.seed)
            .clock(clock)
            .bind(self.bind)
            .port(self.port)
            .tls(!self.http)
            .controllers(controllers)
            .access_log(self.access_log)
            .auth(match self.auth {
                Auth::Off => AuthMode::Off,
                Auth::Rbac => AuthMode::Rbac,
            });
        builder = self.lane.iter().fold(builder, FakeServerBuilder::lane);
        if let Some(address) = self.admin_listen {
            builder = builder.admin_listen(address);
        }
        if let Some(path) = &self.token_file {
            let csv = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
            builder = builder.token_file(csv);
        }
        for plan in super::faulting::read(&self.faults)? {
            builder = builder.faults(plan);
        }
        if let Some(token) = &self.admin_token {
            builder = builder.admin_token(token);
        }
        Ok(builder)
    }

    /// Starts a server and loads what the flags name.
    ///
    /// # Errors
    /// Unreadable files, refused objects, an address that cannot be bound.
    pub async fn start(&self, controllers: Controllers) -> anyhow::Result<(FakeServer, Option<Recording>)> {
        let builder = self.builder(controllers)?;
        let builder = if self.ui { crate::ui::with_page(builder)? } else { builder };
        let (builder, recording) = match &self.record {
            Some(path) => {
                let (builder, recording) = record_server(builder, path)?;
                (builder, Some(recording))
            }
            None => (builder, None),
        };
        let server = builder.start().await?;
        if self.ui {
            eprintln!("page: {}/_rehearsal/ui#token=ADMIN_TOKEN", server.admin_url());
        }
        load::crds(&server, &self.crds).await?;
        let (tapes, files): (Vec<_>, Vec<_>) = self.load.iter().cloned().partition(|path| is_tape(path));
        load::objects(&server, &files).await?;
        for tape in tapes {
            travel(&server, &tape, self.at).await?;
        }
        Ok((server, recording))
    }
}

/// Tapes are told by their names.
fn is_tape(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".tape.yaml") || name.ends_with(".tape.part")
}

/// Puts the objects of a tape into the server, as they were at a resourceVersion.
async fn travel(server: &FakeServer, path: &Path, at: Option<u64>) -> anyhow::Result<()> {
    let tape = super::replay::whole_tape(path)?;
    let history = History::of(&tape, &|body| Some(body.clone()));
    let states = history.at(at.unwrap_or(u64::MAX));
    for refused in crate::hydrate::load_state(server, &history, &states, 1).await? {
        tracing::warn!(tape = %path.display(), "left out: {refused}");
    }
    Ok(())
}

/// Serves until SIGINT or SIGTERM.
pub(super) async fn serve(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (server, recording) = args.server.start(Controllers::none()).await?;
    let kubeconfig = kubeconfig_path(&args, &server);
    write_atomically(&kubeconfig, &server.kubeconfig()?).with_context(|| format!("write {}", kubeconfig.display()))?;
    let lanes = write_lanes(&args, &server)?;
    if let Some(path) = &args.admin_token_out {
        write_atomically(path, server.admin_token()).with_context(|| format!("write {}", path.display()))?;
    }
    announce(&server, &kubeconfig, &lanes)?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("stopping");
    server.shutdown().await;
    if let Some(recording) = recording {
        super::record::seal(recording).await?;
    }
    // What nobody named goes with the server.
    let unnamed = Some(&kubeconfig).filter(|_| args.kubeconfig_out.is_none());
    let lanes = lanes.iter().map(|(_, path)| path).filter(|_| args.kubeconfig_dir.is_none());
    for path in unnamed.into_iter().chain(lanes) {
        let _ = std::fs::remove_file(path);
    }
    Ok(ExitCode::SUCCESS)
}

fn kubeconfig_path(args: &ServeArgs, server: &FakeServer) -> PathBuf {
    let named = || std::env::temp_dir().join(format!("rehearsal-{}.kubeconfig", server.address().port()));
    args.kubeconfig_out.clone().unwrap_or_else(named)
}

/// A kubeconfig for each lane.
fn write_lanes(args: &ServeArgs, server: &FakeServer) -> anyhow::Result<Vec<(LanePort, PathBuf)>> {
    let mut written = Vec::new();
    for lane in server.lanes()? {
        let path = match &args.kubeconfig_dir {
            Some(dir) => dir.join(format!("{}.kubeconfig", lane.name())),
            None => std::env::temp_dir().join(format!("rehearsal-{}.kubeconfig", lane.address().port())),
        };
        write_atomically(&path, lane.kubeconfig()).with_context(|| format!("write {}", path.display()))?;
        written.push((lane, path));
    }
    Ok(written)
}

/// Lines for programs on stdout, at once, and how to use it for people on stderr.
fn announce(server: &FakeServer, kubeconfig: &Path, lanes: &[(LanePort, PathBuf)]) -> std::io::Result<()> {
    let mut text = format!("ready url={} kubeconfig={}\n", server.url(), kubeconfig.display());
    text += &format!("admin url={}\n", server.admin_url());
    for (lane, path) in lanes {
        text += &format!("lane name={} url={} kubeconfig={}\n", lane.name(), lane.url(), path.display());
    }
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    eprintln!("Try it:  KUBECONFIG={} kubectl get namespaces", kubeconfig.display());
    Ok(())
}
