//! [`Op`]: one fault at work on a watch, and what it has to know of frames.

use crate::ruleset::Fired;
use bytes::Bytes;
use futures::future::BoxFuture;
use rehearsal_faults::{Action, Cut, Point, Segmentation, Stage};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long the last of merged frames waits for company.
pub(super) const MERGE: Duration = Duration::from_millis(100);
/// How many frames are merged into one write.
pub(super) const MERGED: u64 = 16;

/// A frame with its delimiters.
#[derive(Clone)]
pub(super) struct Whole {
    pub(super) bytes: Bytes,
}

/// One fault at work.
pub(super) struct Op {
    pub(super) fired: Fired,
    pub(super) action: Action,
    /// Frames it has let through.
    pub(super) seen: u64,
    pub(super) done: bool,
    pub(super) held: Vec<Whole>,
    pub(super) release: Option<BoxFuture<'static, ()>>,
    /// Bookmarks it has seen.
    pub(super) bookmarks: u64,
    /// It is about one frame, not about the stream.
    pub(super) once: bool,
}

impl Op {
    pub(super) fn new(fired: &Fired, action: Action, once: bool) -> Self {
        let fired = fired.clone();
        Self { fired, action, seen: 0, done: false, held: Vec::new(), release: None, bookmarks: 0, once }
    }

    /// The operations of a firing that are about frames.
    pub(super) fn all(fired: &Fired, stage: Stage) -> Vec<Self> {
        let about_frames = |action: &&Action| match action {
            Action::Cut { how, at } => {
                stage == Stage::Frame || *how == Cut::Clean || matches!(at, Point::AfterFrames(_))
            }
            Action::RstStream { at, .. } => stage == Stage::Frame || matches!(at, Point::AfterFrames(_)),
            Action::Segment { how, .. } => *how == Segmentation::Merged,
            Action::ErrorFrame { .. }
            | Action::Silence { .. }
            | Action::Bookmarks { .. }
            | Action::HoldFrames { .. }
            | Action::Gap { .. }
            | Action::ShuffleInitial { .. }
            | Action::Tamper { .. }
            | Action::Odd { .. }
            | Action::TruncateFrame { .. }
            | Action::InjectFrame { .. } => true,
            Action::Respond { .. } => stage == Stage::Frame,
            _ => false,
        };
        let op = |action: &Action| Self::new(fired, action.clone(), stage == Stage::Frame);
        fired.firing.actions.iter().filter(about_frames).map(op).collect()
    }

    pub(super) fn is_over(&self) -> bool {
        self.done || self.fired.set.gone().is_cancelled()
    }

    /// How many frames come through before it acts; `None` for what acts on frames themselves.
    pub(super) fn after(&self) -> Option<u64> {
        match &self.action {
            Action::Cut { at: Point::AfterFrames(n), .. } | Action::RstStream { at: Point::AfterFrames(n), .. } => {
                Some(*n)
            }
            Action::Cut { at: Point::Here, .. } | Action::RstStream { at: Point::Here, .. } => Some(0),
            Action::Cut { at: Point::After(_) | Point::AfterBytes(_), .. }
            | Action::RstStream { at: Point::After(_) | Point::AfterBytes(_), .. } => Some(0),
            Action::ErrorFrame { after_frames, .. }
            | Action::Silence { after_frames, .. }
            | Action::Gap { after_frames } => Some(*after_frames),
            Action::Respond { .. } | Action::InjectFrame { .. } => Some(0),
            _ => None,
        }
    }
}

/// Whether a frame is of that type, without parsing it.
pub(super) fn is_type(frame: &[u8], event: &str) -> bool {
    let begin = frame.get(..frame.len().min(64)).unwrap_or_default();
    if begin.starts_with(b"{") {
        return begin.starts_with(format!("{{\"type\":\"{event}\"").as_bytes());
    }
    // Field 1 of the message behind the length.
    let length = u8::try_from(event.len()).unwrap_or(u8::MAX);
    begin.get(4..6) == Some(&[0x0a, length]) && begin.get(6..).is_some_and(|rest| rest.starts_with(event.as_bytes()))
}

pub(super) fn ends_initial(frame: &[u8]) -> bool {
    let wanted = b"k8s.io/initial-events-end";
    frame.windows(wanted.len()).any(|window| window == wanted)
}

/// Of several changes of one object, the last; what came and went leaves nothing.
pub(super) fn coalesced(held: Vec<Whole>) -> Vec<Whole> {
    let mut order: Vec<String> = Vec::new();
    let mut last: BTreeMap<String, (String, Whole, bool)> = BTreeMap::new();
    let mut loose = Vec::new();
    for line in held {
        let event = serde_json::from_slice::<Value>(&line.bytes).ok();
        let uid = event.as_ref().and_then(|e| e.pointer("/object/metadata/uid")).and_then(Value::as_str);
        let kind = event.as_ref().and_then(|e| e.get("type")).and_then(Value::as_str);
        let (Some(uid), Some(kind)) = (uid, kind) else {
            loose.push(line);
            continue;
        };
        let born = match last.get(uid) {
            Some((_, _, born)) => *born,
            None => {
                order.push(uid.to_owned());
                kind == "ADDED"
            }
        };
        last.insert(uid.to_owned(), (kind.to_owned(), line, born));
    }
    let mut out: Vec<Whole> = order
        .iter()
        .filter_map(|uid| last.remove(uid))
        .filter_map(|(kind, line, born)| match (kind.as_str(), born) {
            ("DELETED", true) => None,
            ("MODIFIED", true) => {
                let text =
                    String::from_utf8_lossy(&line.bytes).replacen("{\"type\":\"MODIFIED\"", "{\"type\":\"ADDED\"", 1);
                Some(Whole { bytes: Bytes::from(text) })
            }
            _ => Some(line),
        })
        .collect();
    out.append(&mut loose);
    out
}

/// `SplitMix64`: enough to shuffle by a seed that was drawn elsewhere.
pub(super) fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
