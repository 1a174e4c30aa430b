//! `rehearsal run -- CMD`: an ephemeral cluster around a command.
//!
//! The command gets `KUBECONFIG`, `REHEARSAL_URL`, `REHEARSAL_ADMIN_URL` and `REHEARSAL_ADMIN_TOKEN`; its exit code is
//! ours. A signal to us goes on to the command, and whatever it leaves behind goes with us. With lanes `KUBECONFIG` is
//! that of the first, `REHEARSAL_KUBECONFIG_NAME` that of each, and `REHEARSAL_KUBECONFIG` that of no lane.

use super::faulting::Tally;
use super::serve::ServerArgs;
use crate::process::{end_group, signal_group};
use anyhow::Context as _;
use clap::Args;
use rehearsal_fakeserver::FakeServer;
use rehearsal_fakeserver::auth::write_atomically;
use rehearsal_fakeserver::controllers::Controllers;
use rehearsal_fault_wire::ClientSignal;
use rehearsal_faults::ClientOrder;
use std::ffi::OsString;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast::Receiver;

/// How long a command may take to end after a signal before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// Flags of `run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
    /// The command with its arguments, after `--`.
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// Runs the command beside a server.
pub(super) async fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let (server, recording) = args.server.start(Controllers::essential()).await?;
    let dir = tempfile::Builder::new().prefix("rehearsal-").tempdir().context("make a temporary directory")?;
    let environment = environment(&args, &server, dir.path())?;
    let mut signals = server.faults().signals();
    let status = loop {
        let mut child = start(&args, &environment)?;
        let group = child.id();
        let ended = supervise(&mut child, &mut signals).await?;
        end_group(group).await;
        match ended {
            Ended::Itself(status) => break status,
            Ended::ToBeStartedAgain(after) => tokio::time::sleep(after).await,
        }
    };
    let tally = Tally::of(server.faults(), 0);
    server.shutdown().await;
    if let Some(recording) = recording {
        super::record::seal(recording).await?;
    }
    // A rule that never fired is told and no failure: the command is the judge.
    tally.tell();
    let sound = status.success() && !tally.has_failures();
    if let Some(line) = tally.rerun(&args.server.faults, args.server.seed, &args.command).filter(|_| !sound) {
        eprintln!("{line}");
    }
    Ok(if tally.has_failures() { ExitCode::FAILURE } else { exit_code(status) })
}

/// How a command came to its end.
pub(super) enum Ended {
    /// As commands do.
    Itself(ExitStatus),
    /// A fault rule killed it, and wants it back after a while.
    ToBeStartedAgain(Duration),
}

/// What the command finds in its environment; writes the files that are named there.
fn environment(args: &RunArgs, server: &FakeServer, dir: &Path) -> anyhow::Result<Vec<(String, OsString)>> {
    let write = |name: &str, text: &str| -> anyhow::Result<OsString> {
        let path = dir.join(name);
        write_atomically(&path, text).context("write the kubeconfig")?;
        Ok(path.into())
    };
    let everybody = write("kubeconfig", &server.kubeconfig()?)?;
    let mut first = everybody.clone();
    let mut found = Vec::new();
    for lane in server.lanes()? {
        let path = write(&format!("{}.kubeconfig", lane.name()), lane.kubeconfig())?;
        if args.server.lane.first().is_some_and(|name| name == lane.name()) {
            first.clone_from(&path);
        }
        found.push((variable(lane.name()), path));
    }
    found.extend([
        ("KUBECONFIG".to_owned(), first),
        ("REHEARSAL_KUBECONFIG".to_owned(), everybody),
        ("REHEARSAL_URL".to_owned(), server.url().into()),
        ("REHEARSAL_ADMIN_URL".to_owned(), server.admin_url().into()),
        ("REHEARSAL_ADMIN_TOKEN".to_owned(), server.admin_token().into()),
    ]);
    Ok(found)
}

/// The variable that names a lane's kubeconfig.
pub(super) fn variable(lane: &str) -> String {
    let upper = lane.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    format!("REHEARSAL_KUBECONFIG_{}", upper.collect::<String>())
}

fn start(args: &RunArgs, environment: &[(String, OsString)]) -> anyhow::Result<Child> {
    let (program, arguments) = args.command.split_first().context("no command")?;
    let mut command = Command::new(program);
    command.args(arguments).envs(environment.iter().map(|(name, value)| (name, value))).kill_on_drop(true);
    // A process group of its own, so that everything the command starts can be ended with it.
    command.as_std_mut().process_group(0);
    command.spawn().with_context(|| format!("start {}", program.to_string_lossy()))
}

/// Waits for the command, and does to it what fault rules order.
pub(super) async fn supervise(child: &mut Child, signals: &mut Receiver<ClientSignal>) -> anyhow::Result<Ended> {
    let group = child.id().context("the command has no process")?;
    let mut waiting = std::pin::pin!(wait(child));
    loop {
        let signal = tokio::select! {
            status = waiting.as_mut() => return status.map(Ended::Itself),
            signal = signals.recv() => signal,
        };
        // Orders that were missed are as good as none.
        let Ok(ClientSignal { order, lasts }) = signal else { continue };
        match order {
            ClientOrder::Kill => signal_group("KILL", group).await,
            ClientOrder::Pause => {
                signal_group("STOP", group).await;
                tokio::time::sleep(lasts).await;
                signal_group("CONT", group).await;
            }
            ClientOrder::Restart => {
                signal_group("KILL", group).await;
                return Ok(Ended::ToBeStartedAgain(lasts));
            }
        }
    }
}

/// Waits for the command, passing SIGINT and SIGTERM on to it.
pub(super) async fn wait(child: &mut Child) -> anyhow::Result<ExitStatus> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let word = tokio::select! {
        status = child.wait() => return status.context("wait for the command"),
        _ = interrupt.recv() => "INT",
        _ = terminate.recv() => "TERM",
        _ = hangup.recv() => "HUP",
    };
    if let Some(id) = child.id() {
        signal_group(word, id).await;
    }
    match tokio::time::timeout(GRACE, child.wait()).await {
        Ok(status) => status.context("wait for the command"),
        Err(_) => {
            child.start_kill().context("kill the command")?;
            child.wait().await.context("wait for the command")
        }
    }
}

/// The command's code, or 128 + signal as shells have it.
pub(super) fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|s| 128 + s)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
