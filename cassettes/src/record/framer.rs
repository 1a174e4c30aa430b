//! Cuts the stream of a watch, or of a log, into frames, however the pieces on the wire were cut.

use bytes::{Buf as _, Bytes, BytesMut};
use std::collections::VecDeque;

/// A frame beyond this is no frame: the stream is kept in pieces from there on.
const MAX_FRAME: usize = 64 << 20;

/// How a stream is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// A line each, its newline included.
    Lines,
    /// Four bytes of length, big-endian, before each.
    Prefixed,
    /// As it comes, but never through a character.
    Text,
    /// As it comes.
    Raw,
}

/// One frame, and how it was cut on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// The content; without the length prefix.
    pub(crate) bytes: Bytes,
    /// Whether the framing held: false for the rest of a broken stream.
    pub(crate) whole: bool,
    /// Sizes of the pieces that brought it.
    pub(crate) slices: Vec<u32>,
}

/// Takes pieces, gives frames.
#[derive(Debug)]
pub(crate) struct Framer {
    framing: Framing,
    held: BytesMut,
    /// Sizes of the pieces within `held`.
    pieces: VecDeque<u32>,
    /// How much of `held` is known to have no newline.
    searched: usize,
}

impl Framer {
    pub(crate) fn new(framing: Framing) -> Self {
        Self { framing, held: BytesMut::new(), pieces: VecDeque::new(), searched: 0 }
    }

    /// Frames that these bytes complete.
    pub(crate) fn feed(&mut self, data: &Bytes) -> Vec<Cut> {
        if data.is_empty() {
            return Vec::new();
        }
        // The common case costs no copy: one read, one whole line, nothing held.
        if self.held.is_empty() && self.framing == Framing::Lines && newline(data) == Some(data.len() - 1) {
            return vec![Cut { bytes: data.clone(), whole: true, slices: vec![size(data.len())] }];
        }
        if self.framing == Framing::Raw {
            return vec![Cut { bytes: data.clone(), whole: true, slices: vec![size(data.len())] }];
        }
        self.held.extend_from_slice(data);
        self.pieces.push_back(size(data.len()));
        let mut cuts = Vec::new();
        while let Some(cut) = self.next() {
            cuts.push(cut);
        }
        if self.held.len() > MAX_FRAME {
            cuts.extend(self.rest());
            self.framing = Framing::Raw;
        }
        cuts
    }

    /// What was left when the stream ended.
    pub(crate) fn rest(&mut self) -> Option<Cut> {
        let length = self.held.len();
        (length > 0).then(|| self.take(0, length, self.framing == Framing::Text))
    }

    fn next(&mut self) -> Option<Cut> {
        match self.framing {
            Framing::Lines => {
                let at = newline(&self.held[self.searched..]).map(|at| at + self.searched);
                self.searched = if at.is_some() { 0 } else { self.held.len() };
                at.map(|at| self.take(0, at + 1, true))
            }
            Framing::Prefixed => {
                let prefix = self.held.first_chunk::<4>()?;
                let length = usize::try_from(u32::from_be_bytes(*prefix)).ok()?;
                (self.held.len() >= length.saturating_add(4)).then(|| self.take(4, length, true))
            }
            Framing::Text => {
                let whole = match std::str::from_utf8(&self.held) {
                    Ok(text) => text.len(),
                    // A character that has begun waits for its end; anything else is no text and passes as it is.
                    Err(error) if error.error_len().is_none() => error.valid_up_to(),
                    Err(_) => self.held.len(),
                };
                (whole > 0).then(|| self.take(0, whole, true))
            }
            Framing::Raw => None,
        }
    }

    fn take(&mut self, skip: usize, length: usize, whole: bool) -> Cut {
        let slices = self.sizes(skip + length);
        self.held.advance(skip);
        let bytes = self.held.split_to(length).freeze();
        self.searched = 0;
        Cut { bytes, whole, slices }
    }

    /// Takes so many bytes off the list of pieces.
    fn sizes(&mut self, mut wanted: usize) -> Vec<u32> {
        let mut sizes = Vec::new();
        while wanted > 0
            && let Some(piece) = self.pieces.pop_front()
        {
            let piece = piece as usize;
            let part = piece.min(wanted);
            sizes.push(size(part));
            wanted -= part;
            if part < piece {
                self.pieces.push_front(size(piece - part));
            }
        }
        sizes
    }
}

fn newline(data: &[u8]) -> Option<usize> {
    data.iter().position(|byte| *byte == b'\n')
}

fn size(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(framing: Framing, stream: &[u8], step: usize) -> (Vec<Cut>, Option<Cut>) {
        let mut framer = Framer::new(framing);
        let cuts = stream.chunks(step).flat_map(|piece| framer.feed(&Bytes::copy_from_slice(piece))).collect();
        (cuts, framer.rest())
    }

    fn contents(cuts: &[Cut]) -> Vec<&[u8]> {
        cuts.iter().map(|c| c.bytes.as_ref()).collect()
    }

    #[test]
    fn lines_are_found_however_they_were_cut() {
        for step in 1..20 {
            let (cuts, rest) = cut(Framing::Lines, b"{\"a\":1}\n{\"b\":2}\n{\"c\"", step);
            assert_eq!(contents(&cuts), [&b"{\"a\":1}\n"[..], b"{\"b\":2}\n"], "in pieces of {step}");
            let rest = rest.unwrap();
            assert_eq!((rest.bytes.as_ref(), rest.whole), (&b"{\"c\""[..], false));
            let bytes: u32 = cuts.iter().flat_map(|c| &c.slices).chain(&rest.slices).sum();
            assert_eq!(bytes, 20);
        }
    }

    #[test]
    fn prefixed_frames_lose_their_prefix() {
        let stream = [&[0, 0, 0, 3][..], b"abc", &[0, 0, 0, 0], &[0, 0, 0, 1], b"d", &[0, 0]].concat();
        for step in 1..20 {
            let (cuts, rest) = cut(Framing::Prefixed, &stream, step);
            assert_eq!(contents(&cuts), [&b"abc"[..], b"", b"d"], "in pieces of {step}");
            assert!(!rest.unwrap().whole);
        }
    }

    #[test]
    fn text_is_never_cut_through_a_character() {
        let text = "aä€😀z".as_bytes();
        for step in 1..5 {
            let (cuts, rest) = cut(Framing::Text, text, step);
            assert!(cuts.iter().all(|c| std::str::from_utf8(&c.bytes).is_ok()), "in pieces of {step}");
            assert_eq!(contents(&cuts).concat(), text);
            assert!(rest.is_none());
        }
        let (cuts, _) = cut(Framing::Text, b"a\xffb", 3);
        assert_eq!(contents(&cuts), [&b"a\xffb"[..]], "what is no text passes as it is");
    }

    #[test]
    fn a_length_that_lies_does_not_make_a_frame() {
        let (cuts, rest) = cut(Framing::Prefixed, &[0xff, 0xff, 0xff, 0xff, 1, 2], 6);
        assert!(cuts.is_empty());
        assert_eq!(rest.unwrap().bytes.len(), 6);
    }
}
