//! From a mode and a file name to a running recorder: what is there already decides what is done.

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use rehearsal_cassettes::format::model::{Clock, Entry, Header, Lane, Micros, Recorded, Role, Seq, Tape};
use rehearsal_cassettes::format::{self, Seal, load, paths};
use rehearsal_cassettes::record::{
    Limits, Recorder, RecorderOptions, Redaction, Summary, SystemClock, TapeClock, TapePaths, TapeSink,
};
use rehearsal_cassettes::redact::{Key, Policy, Redactor};
use rehearsal_cassettes::{Filter, Mode, firings};
use rehearsal_client::Secret;
use rehearsal_faults::Plan;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is to be recorded, and how.
#[derive(Clone, Debug, Default)]
pub struct RecordingOptions {
    /// The tape.
    pub path: PathBuf,
    /// Mode that was asked for; see [`start`] for what is made of it.
    pub mode: Mode,
    /// `proxy`, `layer` or `server`.
    pub placement: String,
    /// Lanes known beforehand, with the tokens that were made for them.
    pub lanes: Vec<(String, String)>,
    /// What lanes are to the recording, where they are not under test.
    pub roles: BTreeMap<String, Role>,
    /// Seed of everything drawn, where there is one.
    pub seed: u64,
    /// Note the sizes of the pieces that frames came in.
    pub wire: bool,
    /// Keep what passes through upgraded connections.
    pub streams: bool,
    /// The tape that is added to; its header stays.
    pub onto: Option<Tape>,
    /// The fault plans in force: the header tells them.
    pub plans: Vec<Plan>,
    /// What is secret beside what the built-in rules know, and the key of pseudonyms.
    pub redaction: RedactionOptions,
    /// What is recorded. Default: everything.
    pub filter: Filter,
    /// After how much the recording ends by itself. Default: never.
    pub limits: Limits,
    /// After which time the tape is to be recorded anew, as it was written down; empty for never.
    pub expires: String,
    /// What becomes of the tape when its command fails.
    pub failure: OnFailure,
}

/// What becomes of a recording whose command failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// It takes the place of an older one like any other.
    #[default]
    Replace,
    /// It never takes the place of a good tape, and is `x.tape.failed` then.
    Spare,
    /// It is `x.tape.failed`.
    Aside,
}

/// What is taken out of a tape.
#[derive(Clone, Debug, Default)]
pub struct RedactionOptions {
    /// File with rules of the user's own.
    pub policy: Option<PathBuf>,
    /// Names of a Secret's keys go too.
    pub keys: bool,
    /// `last-applied-configuration` annotations go whole.
    pub last_applied: bool,
    /// File with the key of pseudonyms, which makes them agree across tapes; random by default.
    pub key: Option<PathBuf>,
    /// Values that are secret for certain, such as the credentials of the upstream.
    pub known: Vec<Secret>,
}

impl RedactionOptions {
    /// A redactor for one recording.
    ///
    /// # Errors
    /// A policy or a key that cannot be read; a machine without randomness.
    pub fn redactor(&self) -> anyhow::Result<Redactor> {
        let mut policy = match &self.policy {
            Some(path) => Policy::from_file(path).with_context(|| path.display().to_string())?,
            None => Policy::default(),
        };
        policy.redact_keys |= self.keys;
        policy.drop_last_applied |= self.last_applied;
        let key = match &self.key {
            Some(path) => Key::from_file(path)?,
            None => Key::random()?,
        };
        let redactor = Redactor::new(policy, &key);
        self.known
            .iter()
            .filter(|secret| !secret.is_empty())
            .for_each(|secret| redactor.learn(secret.expose().as_bytes()));
        Ok(redactor)
    }
}

/// What a mode comes to, given what is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// A new tape is made.
    Record,
    /// The tape is read; nothing is written.
    Replay,
    /// The tape is read, and a new one made of it and of what it lacks.
    Extend,
    /// Nothing is read or written.
    Pass,
    /// The tape is read and held against the server.
    Compare,
}

impl Start {
    /// What to do with this tape.
    ///
    /// # Errors
    /// A mode that needs a tape, where there is none.
    pub fn of(mode: Mode, path: &Path, keep_partial: bool) -> anyhow::Result<Self> {
        let there = is_there(path, keep_partial);
        Ok(match (mode, there) {
            (Mode::Passthrough, _) => Self::Pass,
            (Mode::All, _) | (Mode::Once | Mode::NewEpisodes, false) => Self::Record,
            (Mode::Once | Mode::None, true) => Self::Replay,
            (Mode::NewEpisodes, true) => Self::Extend,
            (Mode::Compare, true) => Self::Compare,
            (Mode::None | Mode::Compare, false) => {
                bail!("mode {} needs a sealed tape, and {} is none", mode.as_str(), path.display())
            }
        })
    }
}

/// Whether there is a tape to be read: one that is sealed, or any where partial ones count.
fn is_there(path: &Path, keep_partial: bool) -> bool {
    match load(path) {
        Ok(loaded) => keep_partial || loaded.seal != Seal::None,
        Err(_) => false,
    }
}

/// A recording that is going on.
#[derive(Debug)]
#[must_use = "a recording ends with `seal`"]
pub struct Recording {
    recorder: Recorder,
    path: PathBuf,
    /// Where the tape is sealed, until it is known to be good.
    aside: Option<PathBuf>,
}

/// Starts a recording with the machine's clock.
///
/// # Errors
/// A tape that cannot be made.
pub fn start(options: RecordingOptions) -> anyhow::Result<Recording> {
    start_at(options, Arc::new(SystemClock::start()))
}

/// Starts a recording with any clock.
pub(crate) fn start_at(options: RecordingOptions, clock: Arc<dyn TapeClock>) -> anyhow::Result<Recording> {
    let path = &options.path;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let redactor = options.redaction.redactor().context("redaction")?;
    let facts = clock.facts();
    let mut header = Header {
        name: name.trim_end_matches(".yaml").trim_end_matches(".tape").to_owned(),
        recorded: Recorded {
            at: facts.start.clone(),
            tool: concat!("rehearsal ", env!("CARGO_PKG_VERSION")).to_owned(),
            mode: options.mode.as_str().to_owned(),
            placement: options.placement.clone(),
            seed: options.seed,
            ..Recorded::default()
        },
        lanes: options
            .lanes
            .iter()
            .map(|(name, token)| (name.clone(), lane(&redactor, token, options.roles.get(name))))
            .collect(),
        clock: facts,
        plan: firings::plan_facts(&options.plans),
        ..Header::default()
    };
    options.filter.note(&mut header);
    super::expiry::note(&mut header, &options.expires);
    let (after, clock) = match &options.onto {
        Some(tape) => (last(tape).0, Arc::new(Later { clock, by: last(tape).1 }) as Arc<dyn TapeClock>),
        None => ((0, 0), clock),
    };
    let mut recorder = RecorderOptions::new(header, clock, run_id());
    recorder.after = after;
    recorder.wire = options.wire;
    recorder.share = true;
    recorder.streams = options.streams;
    (recorder.filter, recorder.limits) = (options.filter, options.limits);
    let aside = match options.failure {
        OnFailure::Replace => false,
        OnFailure::Spare => is_there(path, false),
        OnFailure::Aside => true,
    };
    let aside = aside.then(|| paths::failed(path));
    let TapePaths { tape, part } = TapePaths::of(path);
    let place = TapePaths { tape: aside.clone().unwrap_or(tape), part };
    let mut sink = TapeSink::new(place, Some(Box::new(Redaction::new(redactor))));
    if let Some(tape) = options.onto {
        sink = sink.extending(tape);
    }
    let recorder =
        Recorder::start(recorder, Box::new(sink)).with_context(|| format!("record {}", options.path.display()))?;
    Ok(Recording { recorder, path: options.path, aside })
}

fn lane(redactor: &Redactor, token: &str, role: Option<&Role>) -> Lane {
    let auth = if token.is_empty() { String::new() } else { redactor.credential(token) };
    Lane { auth, role: role.copied().unwrap_or_default(), ..Lane::default() }
}

/// Last id and place of a tape, and the time of its last event.
fn last(tape: &Tape) -> ((u64, Seq), Micros) {
    let mut last = ((0, 0), 0);
    for entry in &tape.entries {
        let (id, seq, t) = match entry {
            Entry::Call(call) => (call.id, call.seq.end, call.t.end),
            Entry::Upgrade(upgrade) => (upgrade.id, upgrade.seq.end, upgrade.t.end),
            Entry::Mark(mark) => (0, mark.seq, mark.t),
        };
        last = ((last.0.0.max(id), last.0.1.max(seq)), last.1.max(t));
    }
    last
}

/// A clock that goes on where a tape ends.
struct Later {
    clock: Arc<dyn TapeClock>,
    by: Micros,
}

impl TapeClock for Later {
    fn micros(&self) -> Micros {
        self.clock.micros().saturating_add(self.by)
    }

    fn facts(&self) -> Clock {
        self.clock.facts()
    }
}

/// Tells the Audit-IDs of this recording from those of others.
fn run_id() -> String {
    use rand::TryRngCore as _;
    let mut bytes = [0_u8; 4];
    // Without randomness a recording is still a recording; its Audit-IDs are then like another's.
    let _ = rand::rngs::OsRng.try_fill_bytes(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Recording {
    /// Where events go.
    #[must_use]
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// The tape.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Ends it: what is open gets its end, and the tape appears under its name.
    ///
    /// # Errors
    /// A tape that could not be written; what was recorded before stays in the journal beside it.
    pub async fn seal(self) -> anyhow::Result<Summary> {
        let (path, aside) = (self.path.clone(), self.aside.clone());
        let summary = self.finish().await?;
        if let Some(aside) = aside {
            format::replace(&aside, &path)?;
        }
        Ok(summary)
    }

    /// Ends it, its command having failed: tells where the tape is now.
    ///
    /// # Errors
    /// As [`Recording::seal`].
    pub async fn fail(self) -> anyhow::Result<(PathBuf, Summary)> {
        let path = self.aside.clone().unwrap_or_else(|| self.path.clone());
        Ok((path, self.finish().await?))
    }

    async fn finish(self) -> anyhow::Result<Summary> {
        let part = TapePaths::of(&self.path).part;
        let kept = || {
            let there = part.exists();
            if there { format!("; what was recorded is in {}", part.display()) } else { String::new() }
        };
        self.recorder.seal().await.with_context(|| format!("seal {}{}", self.path.display(), kept()))
    }
}

/// The present time, for certificates.
#[allow(clippy::disallowed_methods, reason = "certificates are dated by the machine's clock")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_and_what_is_there_decide() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.tape.yaml");
        let of = |mode| Start::of(mode, &path, false).ok();
        assert_eq!(
            Mode::ALL.map(of),
            [Some(Start::Record), None, Some(Start::Record), Some(Start::Record), Some(Start::Pass), None]
        );
        let mut tape = rehearsal_cassettes::format::model::Tape::default();
        rehearsal_cassettes::format::save(&tape, &path).unwrap();
        assert_eq!(Start::of(Mode::Once, &path, false).unwrap(), Start::Record, "it has no seal");
        assert_eq!(Start::of(Mode::Once, &path, true).unwrap(), Start::Replay);
        rehearsal_cassettes::format::seal(&mut tape);
        rehearsal_cassettes::format::save(&tape, &path).unwrap();
        let of = |mode| Start::of(mode, &path, false).ok();
        assert_eq!(
            Mode::ALL.map(of),
            [
                Some(Start::Replay),
                Some(Start::Replay),
                Some(Start::Extend),
                Some(Start::Record),
                Some(Start::Pass),
                Some(Start::Compare)
            ]
        );
    }
}
