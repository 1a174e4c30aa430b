//! `rehearsal tape at`: the objects of a tape at a moment, as manifests or as a running fake server.

use super::Cli;
use super::Command;
use super::replay::whole_tape;
use anyhow::{Context as _, bail, ensure};
use clap::{Args, Parser as _};
use rehearsal_cassettes::convert::{Manifests, to_manifests};
use rehearsal_cassettes::format::model::{Entry, Mark, Tape};
use rehearsal_cassettes::history::History;
use rehearsal_fakeserver::auth::write_atomically;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

/// Flags of `tape at`.
#[derive(Clone, Debug, Args)]
pub struct AtArgs {
    /// The tape.
    #[arg(value_name = "TAPE")]
    pub tape: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub moment: MomentArgs,
    /// The objects exactly as they were, with what a server sets.
    #[arg(long, conflicts_with = "serve")]
    pub exact: bool,
    /// Where to write the manifests (default: standard output).
    #[arg(short, long, value_name = "FILE", conflicts_with = "serve")]
    pub output: Option<PathBuf>,
    /// Serve the objects as `rehearsal serve` does, with the flags after `--`.
    #[arg(long)]
    pub serve: bool,
    /// Flags of `rehearsal serve`, after `--`.
    #[arg(last = true, value_name = "FLAG", requires = "serve")]
    pub flags: Vec<OsString>,
}

/// A moment of a tape (default: its end).
#[derive(Clone, Debug, Default, Args)]
#[group(multiple = false)]
pub struct MomentArgs {
    /// As of this resourceVersion.
    #[arg(long, value_name = "N")]
    pub rv: Option<u64>,
    /// As of this place in the order of the tape (`seq`): what had been seen by then.
    #[arg(long, value_name = "N")]
    pub seq: Option<u64>,
    /// As of the mark with this text, or with this in its text.
    #[arg(long, value_name = "TEXT")]
    pub mark: Option<String>,
}

/// Shows the state, or serves it.
pub(super) async fn at(args: AtArgs) -> anyhow::Result<ExitCode> {
    let tape = whole_tape(&args.tape)?;
    let history = History::of(&tape, &|body| Some(body.clone()));
    let revision = args.moment.revision(&tape, &history).with_context(|| args.tape.display().to_string())?;
    drop(tape);
    if args.serve {
        let flags = ["rehearsal", "serve", "--at", &revision.to_string(), "--load"].map(OsString::from);
        let flags = flags.into_iter().chain([args.tape.into_os_string()]).chain(args.flags);
        let Command::Serve(serve) = Cli::try_parse_from(flags)?.command else { bail!("these are no flags of serve") };
        return super::serve::serve(serve).await;
    }
    let form = if args.exact { Manifests::Exact } else { Manifests::Appliable };
    let there = history.at(revision).len();
    let name = args.tape.display();
    let text =
        format!("# {name} at resourceVersion {revision}: {there} objects\n{}", to_manifests(&history, revision, form));
    match &args.output {
        Some(path) => write_atomically(path, &text).with_context(|| format!("write {}", path.display()))?,
        None => super::tape::quiet_pipe(io::stdout().lock().write_all(text.as_bytes()))?,
    }
    Ok(ExitCode::SUCCESS)
}

impl MomentArgs {
    /// The resourceVersion that the moment comes to.
    fn revision(&self, tape: &Tape, history: &History) -> anyhow::Result<u64> {
        let Some((first, last)) = history.span() else { bail!("no object is on this tape") };
        if let Some(revision) = self.rv {
            ensure!(revision >= first, "nothing is known of resourceVersion {revision}: the tape begins at {first}");
            return Ok(revision);
        }
        let seq = match (self.seq, &self.mark) {
            (Some(seq), _) => seq,
            (None, Some(text)) => marked(tape, text)?.seq,
            (None, None) => return Ok(last),
        };
        let versions = history.objects.values().flatten();
        // What was there before counts from the beginning, whenever it was first seen.
        let seen = versions.filter(|version| version.seq <= seq || version.initial).map(|version| version.revision);
        seen.max().with_context(|| format!("no object had been seen by seq {seq}"))
    }
}

/// The mark that a text means.
fn marked<'t>(tape: &'t Tape, text: &str) -> anyhow::Result<&'t Mark> {
    let marks =
        || tape.entries.iter().filter_map(|entry| if let Entry::Mark(mark) = entry { Some(mark) } else { None });
    if let Some(mark) = marks().find(|mark| mark.text == text) {
        return Ok(mark);
    }
    let fitting: Vec<_> = marks().filter(|mark| mark.text.contains(text)).collect();
    match fitting.as_slice() {
        [mark] => Ok(mark),
        [] => {
            let known: Vec<_> = marks().take(20).map(|mark| format!("{:?}", mark.text)).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            bail!("no mark says {text:?}; there are: {known}")
        }
        several => {
            let texts: Vec<_> = several.iter().map(|mark| format!("{:?} (seq {})", mark.text, mark.seq)).collect();
            bail!("several marks say {text:?}: {}", texts.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tape() -> Tape {
        let mark = |seq: u64, text: &str| Entry::Mark(Mark { seq, text: text.into(), ..Mark::default() });
        Tape { entries: vec![mark(1, "step 1"), mark(4, "step 10"), mark(9, "the end")], ..Tape::default() }
    }

    #[test]
    fn a_mark_is_found_by_its_text_or_by_a_part_that_no_other_has() {
        let tape = tape();
        assert_eq!(marked(&tape, "step 1").unwrap().seq, 1);
        assert_eq!(marked(&tape, "end").unwrap().seq, 9);
        let why = |text: &str| marked(&tape, text).unwrap_err().to_string();
        assert_eq!(why("step"), "several marks say \"step\": \"step 1\" (seq 1), \"step 10\" (seq 4)");
        assert_eq!(why("x"), "no mark says \"x\"; there are: \"step 1\", \"step 10\", \"the end\"");
    }

    #[test]
    fn a_tape_without_objects_has_no_state() {
        let error = MomentArgs::default().revision(&tape(), &History::default()).unwrap_err();
        assert_eq!(error.to_string(), "no object is on this tape");
    }
}
