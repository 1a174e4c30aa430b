//! [`Turns`]: in what order the streams of one lane speak.
//!
//! A client with several watches was told things in one order; told in another it may do something else. So a frame
//! waits for the lists and watches of its lane that had been answered before it, and for the earlier frames of the
//! lane's other streams, as long as those are open. Whoever does not come is given up by the caller, after a while.

use super::slot::Slot;
use std::collections::{HashMap, HashSet};

/// A frame: slot and index.
type Place = (usize, usize);

/// The streams of each lane.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns {
    lanes: HashMap<String, Lane>,
    /// How many lists and watches of its lane came before a frame, and how many frames.
    places: HashMap<Place, (usize, usize)>,
    /// How many streams of a slot's frames are open now.
    open: HashMap<usize, usize>,
}

#[derive(Clone, Debug, Default)]
struct Lane {
    /// Lists and watches, by when they were answered.
    reads: Vec<usize>,
    /// All before this one have been made or given up.
    read: usize,
    /// Frames of all streams, in the order of the recording.
    frames: Vec<Place>,
    /// All before this one have been sent, or never will be.
    next: usize,
}

impl Turns {
    pub(super) fn of(slots: &[Slot]) -> Self {
        let mut turns = Self::default();
        let mut reads: HashMap<&str, Vec<(u64, usize)>> = HashMap::new();
        let mut frames: HashMap<&str, Vec<(u64, Place)>> = HashMap::new();
        for (at, slot) in slots.iter().enumerate() {
            let lane = slot.call.lane.as_str();
            if let Some(head) = slot.call.seq.head.filter(|_| slot.expected() && slot.route.is_collection_read()) {
                reads.entry(lane).or_default().push((head, at));
            }
            // A log that was followed is one body here, and events go their own way.
            if slot.route.is_watch() && slot.expected() {
                let own = slot.call.frames.iter().enumerate().map(|(frame, content)| (content.seq, (at, frame)));
                frames.entry(lane).or_default().extend(own);
            }
        }
        for (name, mut frames) in frames {
            frames.sort_unstable();
            let mut reads = reads.remove(name).unwrap_or_default();
            reads.sort_unstable();
            for (n, (seq, place)) in frames.iter().enumerate() {
                turns.places.insert(*place, (reads.partition_point(|(head, _)| head < seq), n));
            }
            let lane = Lane {
                reads: reads.into_iter().map(|(_, at)| at).collect(),
                frames: frames.into_iter().map(|(_, place)| place).collect(),
                ..Lane::default()
            };
            turns.lanes.insert(name.to_owned(), lane);
        }
        turns
    }

    /// The slot that a frame has to wait for; none when it is its turn.
    pub(super) fn before(&mut self, place: Place, slots: &[Slot], sent: &HashSet<(u64, usize)>) -> Option<usize> {
        let (reads, frames) = *self.places.get(&place)?;
        let lane = self.lanes.get_mut(&slots.get(place.0)?.call.lane)?;
        while lane.read < reads {
            let at = *lane.reads.get(lane.read)?;
            if slots.get(at).is_some_and(|slot| slot.used == 0) {
                return Some(at);
            }
            lane.read += 1;
        }
        let mut cursor = lane.next;
        while cursor < frames {
            let (at, frame) = *lane.frames.get(cursor)?;
            let spoken = slots.get(at).is_none_or(|slot| sent.contains(&(slot.call.id, frame)));
            let pending = !spoken && self.open.contains_key(&at);
            // Within a stream order is its own affair.
            if pending && at != place.0 {
                return Some(at);
            }
            lane.next += usize::from(!pending && lane.next == cursor);
            cursor += 1;
        }
        None
    }

    /// What a frame waited for will not come.
    pub(super) fn give_up(&mut self, place: Place, slots: &[Slot]) {
        let lane = slots.get(place.0).and_then(|slot| self.lanes.get_mut(&slot.call.lane));
        if let (Some((reads, frames)), Some(lane)) = (self.places.get(&place), lane) {
            lane.read = lane.read.max(*reads);
            lane.next = lane.next.max(*frames);
        }
    }

    pub(super) fn opened(&mut self, slot: usize) {
        *self.open.entry(slot).or_default() += 1;
    }

    pub(super) fn closed(&mut self, slot: usize) {
        if let Some(count) = self.open.get_mut(&slot) {
            *count -= 1;
            if *count == 0 {
                self.open.remove(&slot);
            }
        }
    }
}
