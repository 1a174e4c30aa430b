//! `rehearsal tape bisect` and `rehearsal tape minimize`: the user's command says of each smaller tape whether the bug
//! still shows.
//!
//! A command judges as a test does: it fails when the bug shows. It finds the candidate in `REHEARSAL_TAPE`, and in
//! place of `{}` among its arguments. Exit code 125 means that it cannot tell. What was judged is kept beside the output
//! until the end, so that an interrupted search goes on where it was.

use super::replay::whole_tape;
use anyhow::{Context as _, bail};
use clap::Args;
use rehearsal_cassettes::format::model::Tape;
use rehearsal_cassettes::format::{self, seal};
use rehearsal_cassettes::reduce::{Judge, Judgement, Level, OutOfBudget, bisect, minimize_levels, prefix, size};
use rehearsal_fakeserver::auth::write_atomically;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;
use tokio::process::Command;
use tokio::time::Instant;

/// Exit code of a command that cannot tell (as for `git bisect run`).
const CANNOT_TELL: i32 = 125;

/// Flags of both.
#[derive(Clone, Debug, Args)]
pub struct ReduceArgs {
    /// The tape that shows the bug.
    #[arg(value_name = "TAPE")]
    pub tape: PathBuf,
    /// Where to write the smaller tape.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Most runs of the command.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub max_runs: usize,
    /// Most seconds for all of it.
    #[arg(long, default_value_t = 3600, value_name = "S")]
    pub max_seconds: u64,
    /// Most seconds for one run; one that takes longer cannot tell.
    #[arg(long, default_value_t = 60, value_name = "S")]
    pub timeout: u64,
    /// The exit code that means that the bug shows (default: any but 0 and 125).
    #[arg(long, value_name = "CODE")]
    pub bug_exit: Option<i32>,
    /// Show what the command prints.
    #[arg(long)]
    pub show_output: bool,
    /// The command with its arguments, after `--`; `{}` stands for the candidate.
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// Flags of `tape minimize`.
#[derive(Clone, Debug, Args)]
pub struct MinimizeArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub reduce: ReduceArgs,
    /// Take out fields of recorded objects too: a shorter tape to read, for many more runs.
    #[arg(long)]
    pub fields: bool,
}

/// Finds the first event with which the bug shows.
pub(super) async fn run_bisect(args: ReduceArgs) -> anyhow::Result<ExitCode> {
    let tape = whole_tape(&args.tape)?;
    let output = args.output.clone();
    let (found, runs) = judged(&args, tape.clone(), |tape, judge| bisect(tape, judge)).await?;
    match found {
        Err(OutOfBudget) => bail!("no border found within {runs} runs: allow more with --max-runs and --max-seconds"),
        Ok(None) => {
            println!("the bug does not show with the whole tape ({runs} runs)");
            Ok(ExitCode::FAILURE)
        }
        Ok(Some(found)) => {
            let sure = if found.sure { "" } else { "; it does not show every time, so this is a guess" };
            println!("event {} of {}, seq {}, after {runs} runs{sure}", found.events.0, found.events.1, found.seq);
            let call = tape
                .calls()
                .find(|call| call.seq.req == found.seq || call.frames.iter().any(|frame| frame.seq == found.seq));
            if let Some(call) = call {
                println!("in #{} {} {} (lane {})", call.id, call.request.method, call.request.path, call.lane);
            }
            if let Some(output) = output {
                write(&output, prefix(&tape, found.seq))?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Takes out what the bug does not need.
pub(super) async fn run_minimize(args: MinimizeArgs) -> anyhow::Result<ExitCode> {
    let MinimizeArgs { reduce: args, fields } = args;
    let levels = if fields { &Level::WITH_FIELDS[..] } else { &Level::ALL };
    let tape = whole_tape(&args.tape)?;
    let Some(output) = args.output.clone() else { bail!("name the smaller tape with --output") };
    let before = size(&tape);
    let search = |tape: &Tape, judge: &mut dyn Judge| match judge.again(tape) {
        Ok(Judgement::Fails) => Some(minimize_levels(tape, levels, judge)),
        _ => None,
    };
    let (found, runs) = judged(&args, tape, search).await?;
    let Some((small, whole)) = found else {
        bail!("the bug does not show with the whole tape: the command must fail when it does");
    };
    let after = size(&small);
    write(&output, small)?;
    let end = if whole { "" } else { " (out of budget; run it again to go on)" };
    println!(
        "{} interactions and {} events left of {} and {}, after {runs} runs{end}",
        after.0, after.1, before.0, before.1
    );
    if whole {
        let _ = std::fs::remove_file(state_file(&output));
    }
    Ok(ExitCode::SUCCESS)
}

fn write(path: &Path, mut tape: Tape) -> anyhow::Result<()> {
    tape.header.name = path.file_name().unwrap_or_default().to_string_lossy().trim_end_matches(".tape.yaml").to_owned();
    seal(&mut tape);
    Ok(format::save(&tape, path)?)
}

fn state_file(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".judged.json");
    name.into()
}

/// Searches on a thread of its own, with the command as the judge.
async fn judged<T: Send + 'static>(
    args: &ReduceArgs,
    tape: Tape,
    search: impl FnOnce(&Tape, &mut dyn Judge) -> T + Send + 'static,
) -> anyhow::Result<(T, usize)> {
    let mut judge = CommandJudge::new(args.clone())?;
    let runtime = tokio::runtime::Handle::current();
    let search = tokio::task::spawn_blocking(move || {
        judge.runtime = Some(runtime);
        let found = search(&tape, &mut judge);
        judge.keep();
        (found, judge.runs, judge.trouble)
    });
    let (found, runs, trouble) = search.await.context("search")?;
    match trouble {
        Some(trouble) => Err(trouble),
        None => Ok((found, runs)),
    }
}

struct CommandJudge {
    args: ReduceArgs,
    candidate: PathBuf,
    _dir: tempfile::TempDir,
    state: Option<PathBuf>,
    known: BTreeMap<String, Judgement>,
    runs: usize,
    until: Instant,
    runtime: Option<tokio::runtime::Handle>,
    /// What kept the command from being run at all.
    trouble: Option<anyhow::Error>,
}

impl CommandJudge {
    fn new(args: ReduceArgs) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("rehearsal-").tempdir().context("make a temporary directory")?;
        let state = args.output.as_deref().map(state_file);
        let known = state.as_ref().and_then(|path| std::fs::read(path).ok());
        let known = known.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        Ok(Self {
            candidate: dir.path().join("candidate.tape.yaml"),
            _dir: dir,
            state,
            known,
            runs: 0,
            until: Instant::now() + Duration::from_secs(args.max_seconds),
            runtime: None,
            trouble: None,
            args,
        })
    }

    /// What has been judged, for the next time.
    fn keep(&self) {
        if let Some(path) = &self.state
            && let Ok(text) = serde_json::to_string(&self.known)
            && let Err(error) = write_atomically(path, &text)
        {
            tracing::warn!(path = %path.display(), %error, "keep what was judged");
        }
    }

    async fn run(&self) -> anyhow::Result<Option<i32>> {
        let (program, arguments) = self.args.command.split_first().context("no command")?;
        let given = |argument: &OsString| {
            if argument == "{}" { self.candidate.clone().into_os_string() } else { argument.clone() }
        };
        let mut command = Command::new(program);
        command.args(arguments.iter().map(given)).env("REHEARSAL_TAPE", &self.candidate).stdin(Stdio::null());
        if !self.args.show_output {
            command.stdout(Stdio::null()).stderr(Stdio::null());
        }
        command.kill_on_drop(true).as_std_mut().process_group(0);
        let mut child = command.spawn().with_context(|| format!("start {}", program.to_string_lossy()))?;
        let group = child.id();
        let ended = tokio::time::timeout(Duration::from_secs(self.args.timeout), child.wait()).await;
        crate::process::end_group(group).await;
        Ok(match ended {
            // Ended by a signal: it fell, and a bug is what makes things fall.
            Ok(status) => Some(status.context("wait for the command")?.code().unwrap_or(1)),
            Err(_) => None,
        })
    }
}

impl Judge for CommandJudge {
    fn judge(&mut self, candidate: &Tape) -> Result<Judgement, OutOfBudget> {
        use sha2::{Digest as _, Sha256};
        let text = format::to_text(candidate);
        let hash =
            Sha256::digest(text.as_bytes()).iter().take(12).map(|byte| format!("{byte:02x}")).collect::<String>();
        if let Some(known) = self.known.get(&hash) {
            return Ok(*known);
        }
        let judgement = self.again(candidate)?;
        self.known.insert(hash, judgement);
        if self.runs.is_multiple_of(20) {
            self.keep();
        }
        Ok(judgement)
    }

    fn again(&mut self, candidate: &Tape) -> Result<Judgement, OutOfBudget> {
        if self.runs >= self.args.max_runs || Instant::now() >= self.until || self.trouble.is_some() {
            return Err(OutOfBudget);
        }
        self.runs += 1;
        let mut sealed = candidate.clone();
        seal(&mut sealed);
        let outcome = match (format::save(&sealed, &self.candidate), &self.runtime) {
            (Ok(()), Some(runtime)) => runtime.block_on(self.run()),
            (Ok(()), None) => Err(anyhow::anyhow!("no runtime")),
            (Err(error), _) => Err(error.into()),
        };
        match outcome {
            Ok(code) => {
                let fails = match (code, self.args.bug_exit) {
                    (None | Some(CANNOT_TELL), _) => false,
                    (Some(code), Some(bug)) => code == bug,
                    (Some(code), None) => code != 0,
                };
                Ok(if fails { Judgement::Fails } else { Judgement::Passes })
            }
            Err(trouble) => {
                self.trouble = Some(trouble);
                Err(OutOfBudget)
            }
        }
    }
}
