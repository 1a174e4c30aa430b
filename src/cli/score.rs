//! `rehearsal score -- CMD`: how a client behaves when things go wrong.

use crate::score::{self, Baseline, Card, Class, Profile, Suite, Verdict};
use anyhow::{Context as _, bail};
use clap::Args;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Flags of `score`.
#[derive(Clone, Debug, Args)]
pub struct ScoreArgs {
    /// Which scenarios are played.
    #[arg(long, value_enum, default_value_t)]
    pub profile: Profile,
    /// Only scenarios with this word in their name (repeatable).
    #[arg(long, value_name = "WORD")]
    pub only: Vec<String>,
    /// How many scenarios are played at a time.
    #[arg(long, default_value_t = 12, value_name = "N")]
    pub jobs: usize,
    /// Where to write the card as JSON: every gap and every request.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Where to write it as JUnit XML.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Where to write it as Markdown.
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Where to write it as a badge, in SVG.
    #[arg(long, value_name = "FILE")]
    pub badge: Option<PathBuf>,
    /// What the client was found to do before: fail where it has become worse, and only there.
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Write what was found into the baseline instead of comparing.
    #[arg(long, requires = "baseline")]
    pub bless: bool,
    /// Put cards side by side instead of measuring: JSON reports (repeatable).
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "junit", "badge", "baseline", "command"])]
    pub merge: Vec<PathBuf>,
    /// List the scenarios instead of playing them.
    #[arg(long, conflicts_with = "merge")]
    pub list: bool,
    /// Say no more than the totals.
    #[arg(short, long)]
    pub quiet: bool,
    /// Show what adapters write to standard error.
    #[arg(long)]
    pub show_stderr: bool,
    /// The adapter with its arguments, after `--`.
    #[arg(last = true, value_name = "CMD", required_unless_present_any = ["merge", "list"])]
    pub command: Vec<OsString>,
}

/// Measures, or puts together what was measured.
pub(super) async fn score(args: ScoreArgs) -> anyhow::Result<ExitCode> {
    if args.list {
        return list(&args);
    }
    if !args.merge.is_empty() {
        return merge(&args);
    }
    let suite = Suite {
        profile: args.profile,
        only: args.only.clone(),
        jobs: args.jobs.clamp(1, 64),
        command: args.command.clone(),
        show_stderr: args.show_stderr,
    };
    let spinner = indicatif::ProgressBar::new_spinner();
    let card = score::play(&suite, |scenario| {
        spinner.inc(1);
        spinner.set_message(scenario.id.clone());
    })
    .await;
    spinner.finish_and_clear();
    let card = card?;
    say(&if args.quiet { last_line(&score::terminal(&card)) } else { score::terminal(&card) })?;
    write(args.json.as_deref(), || Ok(serde_json::to_string_pretty(&card)? + "\n"))?;
    write(args.junit.as_deref(), || Ok(score::junit(&card)))?;
    write(args.badge.as_deref(), || Ok(score::badge(&card)))?;
    write(args.markdown.as_deref(), || Ok(score::markdown(std::slice::from_ref(&card))))?;
    conclude(&args, &card)
}

/// With a baseline only a change for the worse is a failure; without one, a client that is not safe.
fn conclude(args: &ScoreArgs, card: &Card) -> anyhow::Result<ExitCode> {
    let Some(path) = &args.baseline else {
        let unsafe_found = card
            .scenarios
            .iter()
            .flat_map(|s| &s.checks)
            .any(|c| c.class == Class::Safety && c.verdict == Verdict::Fail);
        return Ok(if unsafe_found { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    };
    if args.bless {
        write(Some(path), || Baseline::from(card).text())?;
        return Ok(ExitCode::SUCCESS);
    }
    let baseline = Baseline::read(path)?;
    if baseline.profile != card.profile {
        bail!("{} is of the profile {}, not {}", path.display(), baseline.profile, card.profile);
    }
    let drift = baseline.drift(card);
    say(&score::drift(&drift))?;
    Ok(if drift.worse.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn merge(args: &ScoreArgs) -> anyhow::Result<ExitCode> {
    let cards = args.merge.iter().map(|path| read(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let text = score::markdown(&cards);
    match &args.markdown {
        Some(path) => write(Some(path), || Ok(text))?,
        None => say(&text)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(args: &ScoreArgs) -> anyhow::Result<ExitCode> {
    let mut out = String::new();
    for scenario in score::select(args.profile, &args.only) {
        out.push_str(&format!("{:<17} {:<24} {}\n", scenario.group, scenario.id, scenario.title));
    }
    say(&out)?;
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> anyhow::Result<Card> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let card: Card = serde_json::from_str(&text).with_context(|| format!("parse {}", path.display()))?;
    if card.schema_version != score::SCHEMA {
        bail!("{} has version {} of the format, not {}", path.display(), card.schema_version, score::SCHEMA);
    }
    Ok(card)
}

fn write(path: Option<&Path>, text: impl FnOnce() -> anyhow::Result<String>) -> anyhow::Result<()> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, text()?).with_context(|| format!("write {}", path.display()))
}

fn say(text: &str) -> anyhow::Result<()> {
    std::io::stdout().lock().write_all(text.as_bytes()).context("write to standard output")
}

fn last_line(text: &str) -> String {
    text.lines().last().map(|line| format!("{line}\n")).unwrap_or_default()
}
