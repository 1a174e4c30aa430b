//! The way of a frame past the operations of its watch: each may drop, hold, double, swap or change it, or end the stream
//! with it.

use super::frames::{End, Out, Pipeline};
use super::oddity::odd_events;
use super::op::{MERGE, MERGED, Whole, coalesced, ends_initial, is_type, next_random};
use crate::host::Host;
use bytes::BytesMut;
use rehearsal_faults::{Action, Bookmarks, Cut, Segmentation, Tampering};
use std::time::Duration;

impl<H: Host> Pipeline<H> {
    /// Lets a frame through the operations from `index` on.
    pub(super) fn through(&mut self, index: usize, line: Whole) {
        let mut lines = vec![line];
        for index in index..self.ops.len() {
            let mut next = Vec::new();
            for line in lines {
                self.apply(index, line, &mut next);
            }
            lines = next;
        }
        self.out.extend(lines.into_iter().map(|line| Out::Bytes(line.bytes)));
    }

    fn apply(&mut self, index: usize, line: Whole, next: &mut Vec<Whole>) {
        let is_bookmark = || is_type(&line.bytes, "BOOKMARK");
        let op = &mut self.ops[index];
        if op.is_over() && op.held.is_empty() {
            next.push(line);
            return;
        }
        op.seen += 1;
        let seen = op.seen;
        let set = op.fired.set.clone();
        match op.action.clone() {
            Action::Bookmarks { mode, every, delay } if is_bookmark() => {
                let ends = ends_initial(&line.bytes);
                match mode {
                    Bookmarks::Missing => {}
                    Bookmarks::Rare => {
                        op.bookmarks += 1;
                        if op.bookmarks.is_multiple_of(every.max(1)) {
                            next.push(line);
                        }
                    }
                    Bookmarks::InitialOnly if ends => next.push(line),
                    Bookmarks::InitialOnly => {}
                    Bookmarks::InitialLate => {
                        if ends {
                            self.out.extend(next.drain(..).map(|line| Out::Bytes(line.bytes)));
                            self.out.push_back(Out::Pause(delay, set));
                        }
                        next.push(line);
                    }
                }
            }
            Action::HoldFrames { frames, lasts, .. } => self.hold(index, line, frames, lasts),
            Action::Segment { how: Segmentation::Merged, .. } => self.hold(index, line, MERGED, MERGE),
            Action::Tamper { how, frame } if seen >= frame => match how {
                Tampering::Drop if seen == frame => op.done = true,
                Tampering::Duplicate if seen == frame => {
                    op.done = true;
                    next.extend([line.clone(), line]);
                }
                Tampering::Reorder if seen == frame => op.held.push(line),
                Tampering::Reorder => {
                    op.done = true;
                    next.push(line);
                    next.append(&mut op.held);
                }
                _ => next.push(line),
            },
            Action::Odd { form, frame } if seen == frame => {
                op.done = true;
                let (event, object) = self.framing.parse(&self.follow.host, &line.bytes);
                match object {
                    Some(object) => next.extend(odd_events(&event, object, form).into_iter().map(|(event, object)| {
                        Whole { bytes: self.framing.encode(&self.follow.host, &event, &object) }
                    })),
                    None => next.push(line),
                }
            }
            Action::TruncateFrame { after_frames, bytes } if seen > after_frames => {
                op.done = true;
                let whole = line.bytes.len();
                let part = if bytes == 0 { whole / 2 } else { usize::try_from(bytes).unwrap_or(whole) };
                self.out.extend(next.drain(..).map(|line| Out::Bytes(line.bytes)));
                self.out.push_back(Out::Bytes(line.bytes.slice(..part.min(whole.saturating_sub(1)))));
                self.out.push_back(Out::End(End::Clean));
            }
            _ => next.push(line),
        }
    }

    /// Keeps a frame until enough have gathered, or long enough.
    fn hold(&mut self, index: usize, line: Whole, most: u64, lasts: Duration) {
        let faults = self.follow.faults.clone();
        let op = &mut self.ops[index];
        op.held.push(line);
        if most > 0 && op.held.len() as u64 >= most {
            self.release(index);
        } else if op.release.is_none() {
            let set = op.fired.set.clone();
            let merging = matches!(op.action, Action::Segment { .. });
            op.release = Some(Box::pin(async move {
                if merging {
                    tokio::time::sleep(MERGE).await;
                } else if lasts.is_zero() {
                    set.gone().cancelled().await;
                } else {
                    faults.sleep(lasts, &set).await;
                }
            }));
        }
    }

    /// What an operation has held goes on to those behind it.
    pub(super) fn release(&mut self, index: usize) {
        let Some(op) = self.ops.get_mut(index) else { return };
        op.release = None;
        if let Action::Cut { how, .. } = op.action {
            op.done = true;
            let gone = op.fired.set.gone().clone();
            if !gone.is_cancelled() {
                self.out.push_back(Out::End(if how == Cut::Clean { End::Clean } else { End::Cut(how, gone) }));
            }
            return;
        }
        let coalesce = matches!(op.action, Action::HoldFrames { coalesce: true, .. });
        let merge = matches!(op.action, Action::Segment { .. });
        let held = std::mem::take(&mut op.held);
        op.done |= op.once;
        let held = if coalesce { coalesced(held) } else { held };
        if merge {
            let all: BytesMut = held.iter().flat_map(|line| line.bytes.iter().copied()).collect();
            self.out.push_back(Out::Bytes(all.freeze()));
            return;
        }
        for line in held {
            self.through(index + 1, line);
        }
    }

    pub(super) fn release_all(&mut self) {
        for index in 0..self.ops.len() {
            if !self.ops[index].held.is_empty() {
                self.release(index);
            }
        }
        let rest = self.framing.take_rest();
        self.out.push_back(Out::Bytes(rest));
    }

    /// Puts the initial events in an order of chance.
    pub(super) fn shuffle(&mut self, lines: &mut [Whole]) {
        for op in self.ops.iter_mut().filter(|op| !op.is_over()) {
            if let Action::ShuffleInitial { seed } = op.action {
                op.done = true;
                let added = lines.iter().take_while(|line| is_type(&line.bytes, "ADDED")).count();
                let mut state = seed;
                for i in (1..added).rev() {
                    let j = (next_random(&mut state) % (i as u64 + 1)) as usize;
                    lines.swap(i, j);
                }
            }
        }
    }
}
