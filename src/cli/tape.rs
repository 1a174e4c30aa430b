//! `rehearsal tape`: what can be done with a tape without playing it.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use rehearsal_cassettes::format::{self, Form, LintOptions, Selection, Severity, TapeFile};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Flags of `tape`.
#[derive(Clone, Debug, Args)]
pub struct TapeArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: TapeCommand,
}

/// The subcommands of `tape`.
#[derive(Clone, Debug, Subcommand)]
pub enum TapeCommand {
    /// Bring tapes into canonical form; make tapes of journals.
    Fmt(FmtArgs),
    /// Look tapes over: ids, order, links, side files, seal, redaction. Exit code 1 for errors.
    Lint(LintArgs),
    /// List what is on a tape.
    Show(ShowArgs),
    /// Show what happened in order: on the terminal, as a page, as data.
    Timeline(super::review::TimelineArgs),
    /// Compare two tapes of one scenario. Exit code 1 for differences.
    Diff(super::review::DiffArgs),
    /// Learn from recordings of one test which fields say nothing. Exit code 1 where they differ in more.
    Learn(super::review::LearnArgs),
    /// Show the objects as they were at a moment of a tape, or serve them.
    At(super::at::AtArgs),
    /// Find the first event with which a bug shows.
    Bisect(super::reduce::ReduceArgs),
    /// Take out of a tape what a bug does not need.
    Minimize(super::reduce::MinimizeArgs),
    /// Make manifests or HAR of a tape, or a tape of an audit log, of HAR or of manifests.
    Convert(super::convert::ConvertArgs),
    /// Look for secrets. Exit code 1 for findings, 2 for files that could not be read.
    Scan(super::convert::ScanArgs),
    /// Take secrets out of a tape that is there already, side files included. Exit codes as those of scan.
    Redact(super::redact::RedactArgs),
}

/// Flags of `tape fmt`.
#[derive(Clone, Debug, Args)]
pub struct FmtArgs {
    /// Tapes (x.tape.yaml) and journals (x.tape.part). A journal stays, its tape is written beside it.
    #[arg(required = true, value_name = "TAPE")]
    pub tapes: Vec<PathBuf>,
    /// Write nothing; exit code 1 if something would change.
    #[arg(long, conflicts_with_all = ["brief", "output"])]
    pub check: bool,
    /// Put uids, resourceVersions, generated names and times under names.
    #[arg(long, conflicts_with = "literal")]
    pub symbolic: bool,
    /// Put them back where they were.
    #[arg(long)]
    pub literal: bool,
    /// Write watch events as differences to the event before of the same object. Readers that do not know this refuse it.
    #[arg(long, conflicts_with = "whole")]
    pub delta: bool,
    /// Write watch events whole again.
    #[arg(long)]
    pub whole: bool,
    /// Print what two recordings of the same events would agree on, and write nothing (textconv of git).
    #[arg(long, conflicts_with = "output")]
    pub brief: bool,
    /// Seal the result, whatever its seal was.
    #[arg(long)]
    pub seal: bool,
    /// Write the result here; side files stay beside the old tape.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Flags of `tape lint`.
#[derive(Clone, Debug, Args)]
pub struct LintArgs {
    /// Tapes.
    #[arg(required = true, value_name = "TAPE")]
    pub tapes: Vec<PathBuf>,
    /// A missing or edited seal is an error.
    #[arg(long)]
    pub require_seal: bool,
}

/// Flags of `tape show`.
#[derive(Clone, Debug, Args)]
pub struct ShowArgs {
    /// The tape.
    #[arg(value_name = "TAPE")]
    pub tape: PathBuf,
    /// Only the call with this id.
    #[arg(long)]
    pub id: Option<u64>,
    /// Only this lane.
    #[arg(long)]
    pub lane: Option<String>,
    /// Bodies too.
    #[arg(long)]
    pub body: bool,
}

/// Runs a subcommand.
pub(super) async fn tape(args: TapeArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        TapeCommand::Fmt(args) => fmt(&args),
        TapeCommand::Lint(args) => lint(&args),
        TapeCommand::Show(args) => show(args),
        TapeCommand::Timeline(args) => super::review::timeline(&args),
        TapeCommand::Diff(args) => super::review::diff(&args),
        TapeCommand::Learn(args) => super::review::learn(&args),
        TapeCommand::At(args) => super::at::at(args).await,
        TapeCommand::Bisect(args) => super::reduce::run_bisect(args).await,
        TapeCommand::Minimize(args) => super::reduce::run_minimize(args).await,
        TapeCommand::Convert(args) => super::convert::convert(&args),
        TapeCommand::Scan(args) => super::convert::scan(&args),
        TapeCommand::Redact(args) => super::redact::redact(&args),
    }
}

fn fmt(args: &FmtArgs) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(args.output.is_none() || args.tapes.len() == 1, "--output takes one tape");
    let mut code = ExitCode::SUCCESS;
    for path in &args.tapes {
        if !fmt_one(args, path)? {
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

/// Whether the tape was as it should be, or is now.
fn fmt_one(args: &FmtArgs, path: &Path) -> anyhow::Result<bool> {
    let mut loaded = format::load(path)?;
    if args.delta || args.whole {
        let requires = &mut loaded.tape.header.format.requires;
        requires.retain(|feature| feature != format::delta::FEATURE);
        requires.extend(args.delta.then(|| format::delta::FEATURE.to_owned()));
    }
    if args.brief {
        let mut out = io::BufWriter::new(io::stdout().lock());
        return quiet_pipe(format::brief(&loaded.tape, &mut out).and_then(|()| out.flush())).map(|()| true);
    }
    let form = match (args.symbolic, args.literal) {
        (true, _) => Form::Symbolic,
        (_, true) => Form::Literal,
        _ => Form::Keep,
    };
    let (journal, lost) = (loaded.journal, loaded.lost_bytes);
    let mut tape = format::tidy(loaded, form);
    if args.seal {
        format::seal(&mut tape);
    }
    let text = format::to_text(&tape);
    let changed = std::fs::read(path).with_context(|| format!("read {}", path.display()))? != text.as_bytes();
    if args.check {
        if changed {
            println!("{}", path.display());
        }
        return Ok(!changed);
    }
    let beside = if journal { format::paths::canonical(path) } else { path.to_owned() };
    let target = args.output.clone().unwrap_or(beside);
    if lost > 0 {
        eprintln!("{}: {lost} bytes hold no whole document and are left out", path.display());
    }
    if target == *path && !changed {
        return Ok(true);
    }
    if args.output.is_none() && target != *path && target.exists() {
        anyhow::bail!("{} is there already; move it away, or name another with --output", target.display());
    }
    format::write_atomically(&target, text.as_bytes())?;
    Ok(true)
}

fn lint(args: &LintArgs) -> anyhow::Result<ExitCode> {
    let options = LintOptions { require_seal: args.require_seal };
    let mut worst = None;
    for path in &args.tapes {
        for finding in format::lint(path, options)? {
            println!("{finding}");
            worst = worst.max(Some(finding.severity));
        }
    }
    Ok(if worst == Some(Severity::Error) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn show(args: ShowArgs) -> anyhow::Result<ExitCode> {
    let file = TapeFile::open(&args.tape)?;
    if let Some(id) = args.id {
        anyhow::ensure!(file.rows().iter().any(|row| row.id == id), "{}: no call {id}", args.tape.display());
    }
    let what = Selection { id: args.id, lane: args.lane, body: args.body };
    let mut out = io::BufWriter::new(io::stdout().lock());
    let shown = format::show(&file, &what, &mut out);
    let flushed = out.flush();
    match shown {
        Ok(Err(error)) => Err(error.into()),
        Ok(Ok(())) => quiet_pipe(flushed).map(|()| ExitCode::SUCCESS),
        Err(error) => quiet_pipe(Err(error)).map(|()| ExitCode::SUCCESS),
    }
}

/// Whoever reads our output may stop reading it.
pub(super) fn quiet_pipe(outcome: io::Result<()>) -> anyhow::Result<()> {
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("write the output"),
        _ => Ok(()),
    }
}
