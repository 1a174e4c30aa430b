//! `rehearsal run -- CMD`: an ephemeral cluster around a command.
//!
//! The command gets `KUBECONFIG`, `REHEARSAL_URL` and `REHEARSAL_ADMIN_TOKEN`; its exit code is ours. A signal to us goes
//! on to the command, and whatever it leaves behind goes with us.

use super::serve::ServerArgs;
use anyhow::Context as _;
use clap::Args;
use rehearsal_fakeserver::auth::write_atomically;
use rehearsal_fakeserver::controllers::Controllers;
use std::ffi::OsString;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

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
    let server = args.server.start(Controllers::essential()).await?;
    let dir = tempfile::Builder::new().prefix("rehearsal-").tempdir().context("make a temporary directory")?;
    let kubeconfig = dir.path().join("kubeconfig");
    write_atomically(&kubeconfig, &server.kubeconfig()?).context("write the kubeconfig")?;
    let (program, arguments) = args.command.split_first().context("no command")?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("KUBECONFIG", &kubeconfig)
        .env("REHEARSAL_URL", server.url())
        .env("REHEARSAL_ADMIN_TOKEN", server.admin_token())
        .kill_on_drop(true);
    // A process group of its own, so that everything the command starts can be ended with it.
    command.as_std_mut().process_group(0);
    let mut child = command.spawn().with_context(|| format!("start {}", program.to_string_lossy()))?;
    let group = child.id();
    let status = wait(&mut child).await?;
    end_group(group).await;
    server.shutdown().await;
    Ok(exit_code(status))
}

/// Waits for the command, passing SIGINT and SIGTERM on to it.
async fn wait(child: &mut Child) -> anyhow::Result<ExitStatus> {
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
        send(word, id).await;
    }
    match tokio::time::timeout(GRACE, child.wait()).await {
        Ok(status) => status.context("wait for the command"),
        Err(_) => {
            child.start_kill().context("kill the command")?;
            child.wait().await.context("wait for the command")
        }
    }
}

/// Sends a signal to a process group. There is no safe call for it in the standard library, so `kill` does it.
async fn send(word: &str, group: u32) {
    let _ = Command::new("kill")
        .args([&format!("-{word}"), "--", &format!("-{group}")])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .await;
}

/// What the command left running in its group goes with it.
async fn end_group(group: Option<u32>) {
    if let Some(group) = group {
        send("KILL", group).await;
    }
}

/// The command's code, or 128 + signal as shells have it.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|s| 128 + s)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
