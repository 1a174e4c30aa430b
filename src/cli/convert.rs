//! `rehearsal tape convert` and `rehearsal tape scan`.

use super::redact::RuleArgs;
use super::replay::whole_tape;
use crate::load;
use crate::recording;
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use rehearsal_cassettes::convert::{
    Manifests, from_audit_log, from_har, from_manifests, join_audit_log, to_har, to_manifests,
};
use rehearsal_cassettes::format::model::Tape;
use rehearsal_cassettes::format::{self, Tree};
use rehearsal_cassettes::history::History;
use rehearsal_cassettes::redact::scan::{Known, Scanner};
use rehearsal_fakeserver::auth::write_atomically;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What a tape becomes, or comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// Manifests to be applied, without what a server sets.
    Manifests,
    /// The objects exactly as they were.
    Fixtures,
    /// HAR 1.2.
    Har,
    /// A tape.
    Tape,
}

/// What a tape is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Source {
    /// An audit log, a JSON line an event.
    #[default]
    Audit,
    /// HAR 1.2, of a browser, of mitmproxy, or of ours. It has no watch events but those that were kept as text.
    Har,
    /// Manifests: a file or a directory of them. What a server would have set is made up.
    Manifests,
}

/// Flags of `tape convert`.
#[derive(Clone, Debug, Args)]
pub struct ConvertArgs {
    /// The tape; with `--from` or `--to tape` what a tape is made of.
    #[arg(value_name = "FILE")]
    pub input: PathBuf,
    /// What to make of it.
    #[arg(
        long,
        value_enum,
        required_unless_present = "from",
        default_value_if("from", clap::builder::ArgPredicate::IsPresent, "tape")
    )]
    pub to: Option<Form>,
    /// What a tape is made of (default, with `--to tape`: an audit log). What is secret in it is redacted.
    #[arg(long, value_enum)]
    pub from: Option<Source>,
    /// Add the server's times of an audit log to this tape, instead of making one of the log.
    #[arg(long, value_name = "TAPE", requires = "from")]
    pub onto: Option<PathBuf>,
    /// Of a HAR only the requests to this server, such as https://10.0.0.1:6443, or https://proxy/clusters/c.
    #[arg(long, value_name = "URL", requires = "from")]
    pub server: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub rules: RuleArgs,
    /// The resourceVersion of which the objects are wanted (default: the last).
    #[arg(long, value_name = "RV")]
    pub at: Option<u64>,
    /// Where to write (default: standard output; a tape needs a file).
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Flags of `tape scan`.
#[derive(Clone, Debug, Args)]
pub struct ScanArgs {
    /// Tapes, side files, any files and folders.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Search for the credentials of this kubeconfig too (repeatable).
    #[arg(long, value_name = "KUBECONFIG")]
    pub known_kubeconfig: Vec<PathBuf>,
    /// Search for the values of this process's variables that look like credentials too.
    #[arg(long)]
    pub known_env: bool,
    /// Search for the lines of this file too (repeatable).
    #[arg(long, value_name = "FILE")]
    pub known_file: Vec<PathBuf>,
    /// Do not look for text that looks random.
    #[arg(long)]
    pub no_entropy: bool,
    /// The report as JSON.
    #[arg(long, conflicts_with = "sarif")]
    pub json: bool,
    /// The report as SARIF 2.1.0.
    #[arg(long)]
    pub sarif: bool,
}

/// Converts.
pub(super) fn convert(args: &ConvertArgs) -> anyhow::Result<ExitCode> {
    let to = args.to.unwrap_or(Form::Tape);
    anyhow::ensure!(to == Form::Tape || args.from.is_none(), "--from makes a tape; it does not go with another --to");
    if to == Form::Tape {
        let output = args.output.as_ref().context("a tape needs --output")?;
        if let Some(tape) = &args.onto {
            return join(args, tape, output);
        }
        let mut tape = imported(args)?;
        // Nothing of it is on the disk yet that was not there before.
        args.rules.redactor()?.tape(&mut tape);
        format::put(tape, output, false, true)?;
        return Ok(ExitCode::SUCCESS);
    }
    let tape = whole_tape(&args.input)?;
    let manifests = |form| {
        let history = History::of(&tape, &|body| Some(body.clone()));
        to_manifests(&history, args.at.unwrap_or(u64::MAX), form)
    };
    let text = match to {
        Form::Manifests => manifests(Manifests::Appliable),
        Form::Fixtures => manifests(Manifests::Exact),
        Form::Har | Form::Tape => serde_json::to_string_pretty(&to_har(&tape))? + "\n",
    };
    match &args.output {
        Some(path) => write_atomically(path, &text).with_context(|| format!("write {}", path.display()))?,
        None => super::tape::quiet_pipe(io::stdout().lock().write_all(text.as_bytes()))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Adds the times of an audit log to the tape that was recorded meanwhile. Side files stay beside the old tape.
fn join(args: &ConvertArgs, tape: &Path, output: &Path) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(args.from == Some(Source::Audit), "--onto takes an audit log: --from audit");
    let log = std::fs::read_to_string(&args.input).with_context(|| format!("read {}", args.input.display()))?;
    let mut loaded = format::load(tape)?;
    let joined = join_audit_log(&mut loaded.tape, &log).with_context(|| args.input.display().to_string())?;
    let calls = loaded.tape.calls().count();
    let joined_tape = format::tidy(loaded, format::Form::Keep);
    format::save(&joined_tape, output)?;
    eprintln!("rehearsal: {joined} of {calls} calls are in {}", args.input.display());
    Ok(ExitCode::SUCCESS)
}

/// A tape of what others wrote, with its secrets.
fn imported(args: &ConvertArgs) -> anyhow::Result<Tape> {
    let place = || args.input.display().to_string();
    let text = |path: &Path| std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()));
    match args.from.unwrap_or_default() {
        Source::Audit => from_audit_log(&text(&args.input)?).with_context(place),
        Source::Har => {
            let made = from_har(&text(&args.input)?, args.server.as_deref()).with_context(place)?;
            for (reason, count) in &made.left {
                eprintln!("rehearsal: {}: left out: {count} {reason}", place());
            }
            Ok(made.tape)
        }
        Source::Manifests => {
            let objects = load::read(&args.input)?;
            let objects = objects.iter().map(|(place, object)| (place.clone(), Tree::from(object))).collect();
            Ok(from_manifests(objects, &recording::now().to_string())?)
        }
    }
}

/// Scans: exit code 0 for nothing found, 1 for findings, 2 for files that could not be looked at.
pub(super) fn scan(args: &ScanArgs) -> anyhow::Result<ExitCode> {
    let mut known = Known::default();
    for path in &args.known_kubeconfig {
        known.add_kubeconfig(path)?;
    }
    for path in &args.known_file {
        known.add_file(path)?;
    }
    if args.known_env {
        known.add_env(std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))));
    }
    let report = Scanner::try_new()?.known(&known).entropy(!args.no_entropy).paths(&args.files);
    let text = if args.json {
        serde_json::to_string_pretty(&report.to_json())? + "\n"
    } else if args.sarif {
        serde_json::to_string_pretty(&report.to_sarif())? + "\n"
    } else {
        report.to_string()
    };
    super::tape::quiet_pipe(io::stdout().lock().write_all(text.as_bytes()))?;
    Ok(ExitCode::from(report.exit_code()))
}
