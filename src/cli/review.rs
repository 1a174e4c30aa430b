//! `rehearsal tape timeline` and `rehearsal tape diff`: what happened, and what is different.

use super::replay::whole_tape;
use anyhow::Context as _;
use clap::Args;
use rehearsal_cassettes::review::{TapeDiff, Timeline, page};
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
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Shows the time line.
pub(super) fn timeline(args: &TimelineArgs) -> anyhow::Result<ExitCode> {
    let timeline = Timeline::of(&whole_tape(&args.tape)?);
    if let Some(path) = &args.html {
        write_atomically(path, &page(&timeline)).with_context(|| format!("write {}", path.display()))?;
    }
    if let Some(path) = &args.json {
        write_atomically(path, &timeline.to_json()).with_context(|| format!("write {}", path.display()))?;
    }
    if args.html.is_none() && args.json.is_none() {
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
    let diff = TapeDiff::of(&whole_tape(&args.was)?, &whole_tape(&args.is)?);
    let text = if args.json { serde_json::to_string_pretty(&diff)? + "\n" } else { diff.to_string() };
    super::tape::quiet_pipe(io::stdout().lock().write_all(text.as_bytes()))?;
    Ok(if diff.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
