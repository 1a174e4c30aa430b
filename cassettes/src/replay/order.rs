//! The order of a recording: which calls had ended before another began, per lane.
//!
//! Concurrent calls of a recording may come in any order; what followed in the recording must follow in the replay.

use super::slot::Slot;
use std::collections::{BTreeSet, HashMap};

/// When recorded frames go out. At any pace each comes after what it followed in the recording: the writes that made it,
/// the last write of its client that had been answered, the lists and watches that its client had begun, and the frames
/// that its client had been sent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Pace {
    /// And then, for what others did, a moment after what the client's other streams told it. The default.
    #[default]
    Gated,
    /// And not earlier after the head of its stream than in the recording, times this factor.
    Recorded(f64),
    /// And then at once.
    Asap,
}

/// Unused calls of each lane by their end. Ambient and static ones are not in it: they hold nobody up.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    reads: HashMap<String, BTreeSet<(u64, usize)>>,
    writes: HashMap<String, BTreeSet<(u64, usize)>>,
}

impl Order {
    pub(super) fn of(slots: &[Slot]) -> Self {
        let mut order = Self::default();
        for (at, slot) in slots.iter().enumerate().filter(|(_, slot)| slot.expected()) {
            let map = if slot.route.is_write() { &mut order.writes } else { &mut order.reads };
            map.entry(slot.call.lane.clone()).or_default().insert((slot.call.seq.end, at));
        }
        order
    }

    pub(super) fn used(&mut self, at: usize, slot: &Slot) {
        for map in [&mut self.reads, &mut self.writes] {
            if let Some(lane) = map.get_mut(&slot.call.lane) {
                lane.remove(&(slot.call.seq.end, at));
            }
        }
    }

    /// The call of the lane that had ended before this one began and has not been made yet.
    pub(super) fn missing(&self, at: usize, slot: &Slot) -> Option<usize> {
        self.missing_write(at, slot).or_else(|| first(&self.reads, at, slot))
    }

    /// As [`Order::missing`], writes only.
    pub(super) fn missing_write(&self, at: usize, slot: &Slot) -> Option<usize> {
        first(&self.writes, at, slot)
    }
}

fn first(map: &HashMap<String, BTreeSet<(u64, usize)>>, at: usize, slot: &Slot) -> Option<usize> {
    let lane = map.get(&slot.call.lane)?;
    let earlier = lane.iter().take_while(|(end, _)| *end < slot.call.seq.req);
    earlier.map(|(_, other)| *other).find(|other| *other != at)
}
