//! `rehearsal tape timeline` and `rehearsal tape diff`: what happened, and what is different.

use super::replay::whole_tape;
use anyhow::Context as _;
use clap::Args;
use rehearsal_cassettes::review::{Mask, TapeDiff, Timeline, page, perfetto};
use rehearsal_fakeserver::auth::write_atomically;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Flags of `tape timeline`.
#[derive(Clone, Debug, Args)]
pub struct TimelineArgs {
    /// The tape.
    #[arg(value_name = "TAPE")]
    pub tape: PathBuf,
    /// Write one page with everything in it.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write the data of the page.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a trace for ui.perfetto.dev or chrome://tracing.
    #[arg(long, value_name = "FILE")]
    pub perfetto: Option<PathBuf>,
}

/// Flags of `tape diff`.
#[derive(Clone, Debug, Args)]
pub struct DiffArgs {
    /// What was.
    #[arg(value_name = "TAPE")]
    pub was: PathBuf,
    /// What is.
    #[arg(value_name = "TAPE")]
    pub is: PathBuf,
    /// Fields that are not compared: a mask that `tape learn` made (repeatable).
    #[arg(long, value_name = "MASK")]
    pub mask: Vec<PathBuf>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Flags of `tape learn`.
#[derive(Clone, Debug, Args)]
pub struct LearnArgs {
    /// Recordings of one test, at least two.
    #[arg(required = true, num_args = 2.., value_name = "TAPE")]
    pub tapes: Vec<PathBuf>,
    /// Where the mask goes, such as x.tape.mask.yaml. What is in it already stays.
    #[arg(short, long, value_name = "MASK")]
    pub output: PathBuf,
}

/// Reads masks; what any of them hides is hidden.
///
/// # Errors
/// A file that cannot be read, or is no mask, by its name.
pub(super) fn read_masks(paths: &[PathBuf]) -> anyhow::Result<Mask> {
    let mut mask = Mask::default();
    for path in paths {
        let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        mask.extend(Mask::from_yaml(&text).with_context(|| path.display().to_string())?);
    }
    Ok(mask)
}

/// Learns which fields differ between recordings of one test. What differs in more than fields is told.
pub(super) fn learn(args: &LearnArgs) -> anyhow::Result<ExitCode> {
    let mut mask = if args.output.exists() { read_masks(std::slice::from_ref(&args.output))? } else { Mask::default() };
    let (known, mut code) = (mask.len(), ExitCode::SUCCESS);
    let (first, others) = args.tapes.split_first().context("no tape")?;
    let one = whole_tape(first)?;
    for path in others {
        let two = whole_tape(path)?;
        mask.extend(Mask::learn(&one, &two));
        let left = TapeDiff::masked(&one, &two, &mask);
        if !left.is_empty() {
            code = ExitCode::FAILURE;
            eprintln!("{} and {} differ in more than fields:\n{left}", first.display(), path.display());
        }
    }
    write_atomically(&args.output, &mask.to_yaml()).with_context(|| format!("write {}", args.output.display()))?;
    eprintln!("rehearsal: {} fields in {}, {} of them new", mask.len(), args.output.display(), mask.len() - known);
    Ok(code)
}

/// Shows the time line.
pub(super) fn timeline(args: &TimelineArgs) -> anyhow::Result<ExitCode> {
    let tape = whole_tape(&args.tape)?;
    let timeline = Timeline::of(&tape);
    if let Some(path) = &args.perfetto {
        write_atomically(path, &perfetto(&tape, &timeline)).with_context(|| format!("write {}", path.display()))?;
    }
    if let Some(path) = &args.html {
        write_atomically(path, &page(&timeline)).with_context(|| format!("write {}", path.display()))?;
    }
    if let Some(path) = &args.json {
        write_atomically(path, &timeline.to_json()).with_context(|| format!("write {}", path.display()))?;
    }
    if args.html.is_none() && args.json.is_none() && args.perfetto.is_none() {
        let mut out = io::BufWriter::new(io::stdout().lock());
        return super::tape::quiet_pipe(print(&timeline, &mut out).and_then(|()| out.flush()))
            .map(|()| ExitCode::SUCCESS);
    }
    Ok(ExitCode::SUCCESS)
}

/// A line an event, in order; frames are indented below nothing but time.
fn print(timeline: &Timeline, out: &mut dyn Write) -> io::Result<()> {
    let lane = |at: usize| timeline.lanes.get(at).map_or("", |lane| lane.id.as_str());
    let mut lines: Vec<(u64, String)> = Vec::new();
    for call in &timeline.calls {
        let faults = call.faults.iter().map(|fault| format!(" fault:{fault}")).collect::<String>();
        let end = if call.end.is_empty() { String::new() } else { format!(" ({})", call.end) };
        let text = format!(
            "{:>12.3} {:12} {:>3} #{} {} {:.3} ms{end}{faults}",
            call.from,
            lane(call.lane),
            call.status,
            call.id,
            call.route,
            call.to - call.from
        );
        lines.push((call.seq, text));
    }
    let at = |index: i64| usize::try_from(index).ok();
    for (call, seq, t, kind, object, revision, cause) in &timeline.frames {
        let call = at(*call).and_then(|at| timeline.calls.get(at));
        let kind = at(*kind).and_then(|at| timeline.types.get(at)).map_or("", String::as_str);
        let object = at(*object).and_then(|at| timeline.objects.get(at)).map_or("", String::as_str);
        let cause = at(*cause).and_then(|at| timeline.calls.get(at)).map(|call| format!(" by #{}", call.id));
        let text = format!(
            "{t:>12.3} {:12}   → #{} {kind} {object} {revision}{}",
            call.map_or("", |call| lane(call.lane)),
            call.map_or(0, |call| call.id),
            cause.unwrap_or_default()
        );
        lines.push((*seq, text));
    }
    lines.extend(timeline.marks.iter().map(|mark| (mark.seq, format!("{:>12.3} -- {}", mark.t, mark.text))));
    lines.sort();
    lines.iter().try_for_each(|(_, line)| writeln!(out, "{line}"))
}

/// Compares; exit code 1 where something differs.
pub(super) fn diff(args: &DiffArgs) -> anyhow::Result<ExitCode> {
    let diff = TapeDiff::masked(&whole_tape(&args.was)?, &whole_tape(&args.is)?, &read_masks(&args.mask)?);
    let text = if args.json { serde_json::to_string_pretty(&diff)? + "\n" } else { diff.to_string() };
    super::tape::quiet_pipe(io::stdout().lock().write_all(text.as_bytes()))?;
    Ok(if diff.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
