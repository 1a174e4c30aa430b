//! Where HTTP/2 frames begin and end in a stream of bytes, and the few frames that faults send.

use rehearsal_faults::H2Code;

/// Length of a frame's head.
pub(crate) const HEAD: usize = 9;
const PREFACE: u32 = 24;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHead {
    pub(crate) length: u32,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
}

impl FrameHead {
    pub(crate) fn parse(bytes: [u8; HEAD]) -> Self {
        let [a, b, c, kind, flags, s0, s1, s2, s3] = bytes;
        Self {
            length: u32::from_be_bytes([0, a, b, c]),
            kind,
            flags,
            stream: u32::from_be_bytes([s0, s1, s2, s3]) & 0x7fff_ffff,
        }
    }

    pub(crate) fn ends_stream(self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }

    pub(crate) fn ends_head(self) -> bool {
        matches!(self.kind, HEADERS | CONTINUATION) && self.flags & END_HEADERS != 0
    }
}

/// Follows a stream of frames without keeping it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tracker {
    /// Bytes that belong to no frame: the client's preface, then payloads.
    skip: u32,
    head: [u8; HEAD],
    have: usize,
}

/// A piece of a stream as the tracker sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// So many bytes of a payload (or the preface).
    Payload(usize),
    /// So many bytes of a head, which is incomplete.
    Partial(usize),
    /// So many bytes that complete a head.
    Head(usize, FrameHead),
}

impl Tracker {
    /// Of what a client sends.
    pub(crate) fn of_client() -> Self {
        Self { skip: PREFACE, head: [0; HEAD], have: 0 }
    }

    /// Of what a server sends.
    pub(crate) fn of_server() -> Self {
        Self { skip: 0, head: [0; HEAD], have: 0 }
    }

    pub(crate) fn at_boundary(&self) -> bool {
        self.skip == 0 && self.have == 0
    }

    /// The first bytes of a head that is not complete.
    pub(crate) fn partial(&self) -> &[u8] {
        &self.head[..self.have]
    }

    /// Takes the next piece off `bytes`, which must not be empty.
    pub(crate) fn next(&mut self, bytes: &[u8]) -> Piece {
        if self.skip > 0 {
            let n = bytes.len().min(self.skip as usize);
            self.skip -= n as u32;
            return Piece::Payload(n);
        }
        let n = bytes.len().min(HEAD - self.have);
        self.head[self.have..self.have + n].copy_from_slice(&bytes[..n]);
        self.have += n;
        if self.have < HEAD {
            return Piece::Partial(n);
        }
        self.have = 0;
        let head = FrameHead::parse(self.head);
        self.skip = head.length;
        Piece::Head(n, head)
    }

    /// Goes over `bytes` and reports every head.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], mut seen: impl FnMut(FrameHead)) {
        while !bytes.is_empty() {
            let n = match self.next(bytes) {
                Piece::Payload(n) | Piece::Partial(n) => n,
                Piece::Head(n, head) => {
                    seen(head);
                    n
                }
            };
            bytes = &bytes[n..];
        }
    }

    /// How many of `bytes` may be written so that the last one ends a frame, or all of them.
    pub(crate) fn up_to_boundary(mut self, bytes: &[u8]) -> usize {
        let mut done = 0;
        while done < bytes.len() {
            done += match self.next(&bytes[done..]) {
                Piece::Payload(n) | Piece::Partial(n) | Piece::Head(n, _) => n,
            };
            if self.at_boundary() {
                break;
            }
        }
        done
    }
}

/// A GOAWAY frame.
pub(crate) fn goaway(last_stream: u32, code: H2Code) -> Vec<u8> {
    let mut frame = vec![0, 0, 8, GOAWAY, 0, 0, 0, 0, 0];
    frame.extend(last_stream.to_be_bytes());
    frame.extend(code.code().to_be_bytes());
    frame
}

/// An interim head, 103, with its status spelled out so that no table changes.
pub(crate) fn interim(stream: u32) -> Vec<u8> {
    let mut frame = vec![0, 0, 5, HEADERS, END_HEADERS];
    frame.extend(stream.to_be_bytes());
    // A literal without indexing; its name is entry 8 of the static table, `:status`.
    frame.extend([0x08, 3, b'1', b'0', b'3']);
    frame
}

/// SETTINGS that repeat the largest frame the server takes.
pub(crate) fn settings() -> Vec<u8> {
    // SETTINGS_MAX_FRAME_SIZE = 262,144, as kube-apiserver says.
    vec![0, 0, 6, SETTINGS, 0, 0, 0, 0, 0, 0, 5, 0, 4, 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_however_the_stream_is_cut() {
        let stream = [settings(), goaway(5, H2Code::NoError), settings()].concat();
        for size in 1..stream.len() {
            let mut tracker = Tracker::of_server();
            let mut kinds = Vec::new();
            for piece in stream.chunks(size) {
                tracker.feed(piece, |head| kinds.push(head.kind));
            }
            assert_eq!(kinds, [SETTINGS, GOAWAY, SETTINGS]);
            assert!(tracker.at_boundary());
        }
        assert_eq!(Tracker::of_server().up_to_boundary(&stream), settings().len());
        assert_eq!(Tracker::of_server().up_to_boundary(&stream[..7]), 7);
    }

    #[test]
    fn the_preface_is_no_frame() {
        let mut tracker = Tracker::of_client();
        let mut kinds = Vec::new();
        let stream = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), settings()].concat();
        tracker.feed(&stream, |head| kinds.push(head.kind));
        assert_eq!(kinds, [SETTINGS]);
    }
}
