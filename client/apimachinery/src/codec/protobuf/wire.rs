//! The wire itself: varints, tags, lengths; a reader over borrowed bytes and a writer that writes backwards.
//!
//! Counterpart: the loops `protoc-gen-gogo` generates. Refusals are theirs, in their order. Writing backwards lets a
//! nested message be measured by having been written, so that nothing is sized or copied twice.

use super::ProtobufError;

/// Varint.
pub(in crate::codec) const VARINT: u8 = 0;
/// Eight bytes.
pub(in crate::codec) const FIXED64: u8 = 1;
/// A length and as many bytes.
pub(in crate::codec) const BODY: u8 = 2;
const GROUP: u8 = 3;
const END_GROUP: u8 = 4;
const FIXED32: u8 = 5;

/// What precedes a value.
#[derive(Clone, Copy, Debug)]
pub(in crate::codec) struct Tag {
    /// Field number; positive.
    pub(in crate::codec) number: u32,
    /// Wire type, 0 to 7.
    pub(in crate::codec) wire: u8,
}

/// The unread rest of a message.
#[derive(Clone, Copy, Debug)]
pub(in crate::codec) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(in crate::codec) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(in crate::codec) fn is_empty(self) -> bool {
        self.rest.is_empty()
    }

    /// A varint of up to ten bytes; bits beyond the 64th are lost, as in Go.
    pub(in crate::codec) fn varint(&mut self) -> Result<u64, ProtobufError> {
        if let Some((&first, rest)) = self.rest.split_first()
            && first < 0x80
        {
            self.rest = rest;
            return Ok(u64::from(first));
        }
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first().ok_or(ProtobufError::UnexpectedEof)?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(ProtobufError::IntegerOverflow)
    }

    /// The next tag of a message with this name.
    pub(in crate::codec) fn tag(&mut self, message: &str) -> Result<Tag, ProtobufError> {
        let key = self.varint()?;
        let wire = (key & 7) as u8;
        // Go keeps the number in 32 bits.
        let number = (key >> 3) as i32;
        if wire == END_GROUP {
            return Err(ProtobufError::EndGroup { message: message.to_owned() });
        }
        match u32::try_from(number) {
            Ok(number) if number > 0 => Ok(Tag { number, wire }),
            _ => Err(ProtobufError::IllegalTag { message: message.to_owned(), number, key }),
        }
    }

    /// A length and as many bytes.
    pub(in crate::codec) fn body(&mut self) -> Result<&'a [u8], ProtobufError> {
        let length = self.varint()?;
        if length > i64::MAX as u64 {
            return Err(ProtobufError::NegativeLength);
        }
        self.take(usize::try_from(length).map_err(|_| ProtobufError::UnexpectedEof)?)
    }

    /// Eight bytes, little-endian.
    pub(in crate::codec) fn fixed64(&mut self) -> Result<u64, ProtobufError> {
        let bytes = self.take(8)?;
        Ok(bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ProtobufError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(ProtobufError::UnexpectedEof)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Passes over a value whose tag has been read; groups are passed over as a whole.
    pub(in crate::codec) fn skip(&mut self, tag: Tag) -> Result<(), ProtobufError> {
        let mut wire = tag.wire;
        let mut depth = 0_usize;
        loop {
            match wire {
                VARINT => drop(self.varint()?),
                FIXED64 => drop(self.take(8)?),
                BODY => drop(self.body()?),
                GROUP => depth += 1,
                END_GROUP => depth = depth.checked_sub(1).ok_or(ProtobufError::UnexpectedEndOfGroup)?,
                FIXED32 => drop(self.take(4)?),
                other => return Err(ProtobufError::IllegalWireType(other)),
            }
            if depth == 0 {
                return Ok(());
            }
            wire = (self.varint()? & 7) as u8;
        }
    }
}

/// Bytes written from the last to the first.
#[derive(Debug)]
pub(in crate::codec) struct Writer {
    buffer: Vec<u8>,
    start: usize,
}

impl Writer {
    pub(in crate::codec) fn new(capacity: usize) -> Self {
        Self { buffer: vec![0; capacity], start: capacity }
    }

    /// How much has been written.
    pub(in crate::codec) fn len(&self) -> usize {
        self.buffer.len() - self.start
    }

    pub(in crate::codec) fn written(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    pub(in crate::codec) fn into_vec(mut self) -> Vec<u8> {
        self.buffer.drain(..self.start);
        self.buffer
    }

    /// Puts bytes before everything written so far.
    pub(in crate::codec) fn prepend(&mut self, bytes: &[u8]) {
        if bytes.len() > self.start {
            self.grow(bytes.len());
        }
        let from = self.start - bytes.len();
        self.buffer[from..self.start].copy_from_slice(bytes);
        self.start = from;
    }

    #[cold]
    fn grow(&mut self, more: usize) {
        let added = self.buffer.len().max(more).max(256);
        let mut bigger = vec![0; self.buffer.len() + added];
        bigger[self.start + added..].copy_from_slice(&self.buffer[self.start..]);
        self.buffer = bigger;
        self.start += added;
    }

    pub(in crate::codec) fn varint(&mut self, mut value: u64) {
        let mut bytes = [0_u8; 10];
        let mut n = 0;
        while value >= 0x80 {
            bytes[n] = value as u8 | 0x80;
            value >>= 7;
            n += 1;
        }
        bytes[n] = value as u8;
        self.prepend(&bytes[..=n]);
    }

    /// The tag of the value just written.
    pub(in crate::codec) fn tag(&mut self, number: u32, wire: u8) {
        self.varint(u64::from(number) << 3 | u64::from(wire));
    }

    /// A varint member. Negative numbers take ten bytes.
    pub(in crate::codec) fn integer(&mut self, number: u32, value: i64) {
        self.varint(value as u64);
        self.tag(number, VARINT);
    }

    /// A bytes or string member.
    pub(in crate::codec) fn bytes(&mut self, number: u32, bytes: &[u8]) {
        self.prepend(bytes);
        self.body_head(number, bytes.len());
    }

    /// The tag and length of a body that is not written here.
    pub(in crate::codec) fn body_head(&mut self, number: u32, length: usize) {
        self.varint(length as u64);
        self.tag(number, BODY);
    }

    /// A double member.
    pub(in crate::codec) fn double(&mut self, number: u32, value: f64) {
        self.prepend(&value.to_le_bytes());
        self.tag(number, FIXED64);
    }

    /// A message member, written by the closure.
    pub(in crate::codec) fn nested(&mut self, number: u32, write: impl FnOnce(&mut Self)) {
        let before = self.len();
        write(self);
        self.body_head(number, self.len() - before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_survive_both_ways() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut w = Writer::new(0);
            w.varint(value);
            assert_eq!(Reader::new(w.written()).varint(), Ok(value));
        }
        let mut w = Writer::new(0);
        w.integer(1, -1);
        assert_eq!(w.len(), 11);
    }

    #[test]
    fn broken_numbers_are_refused_as_generated_code_does() {
        let varint = |b: &[u8]| Reader::new(b).varint().unwrap_err().to_string();
        assert_eq!(varint(&[]), "unexpected EOF");
        assert_eq!(varint(&[0x80]), "unexpected EOF");
        assert_eq!(varint(&[0xff; 11]), "proto: integer overflow");
        let tag = |b: &[u8]| Reader::new(b).tag("Pod").unwrap_err().to_string();
        assert_eq!(tag(&[0]), "proto: Pod: illegal tag 0 (wire type 0)");
        assert_eq!(tag(&[0x0c]), "proto: Pod: wiretype end group for non-group");
        let body = |b: &[u8]| Reader::new(b).body().unwrap_err().to_string();
        assert_eq!(body(&[5, 1]), "unexpected EOF");
        assert_eq!(body(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]), PROTO_NEGATIVE);
    }

    const PROTO_NEGATIVE: &str = "proto: negative length found during unmarshaling";

    #[test]
    fn groups_are_passed_over_whole() {
        let mut r = Reader::new(&[0x08, 1, 0x13, 0x08, 2, 0x14, 0x0c, 0x10, 7]);
        r.skip(Tag { number: 1, wire: GROUP }).unwrap();
        assert_eq!(r.tag("X").map(|t| t.number), Ok(2));
        let skip = |b: &[u8], wire| Reader::new(b).skip(Tag { number: 1, wire }).unwrap_err().to_string();
        assert_eq!(skip(&[0x08, 1], GROUP), "unexpected EOF");
        assert_eq!(skip(&[], 6), "proto: illegal wireType 6");
        assert_eq!(skip(&[1, 2], FIXED32), "unexpected EOF");
    }

    #[test]
    fn nested_messages_carry_their_length() {
        let mut w = Writer::new(1);
        w.nested(1, |w| {
            w.bytes(2, b"xyz");
            w.integer(1, 300);
        });
        assert_eq!(w.into_vec(), [0x0a, 8, 0x08, 0xac, 0x02, 0x12, 3, b'x', b'y', b'z']);
    }
}
