//! Frames of a watch stream: concatenated JSON values, or length-delimited protobuf events.
//!
//! Counterparts: apimachinery `runtime/serializer/streaming` and `util/framer`. A decoder is fed bytes as they arrive
//! and gives frames as they are complete; what is in a frame is the caller's affair, but for protobuf events.

use super::protobuf::{BODY, ProtobufError, Reader, Writer, decode_object, write_object};
use crate::catalog::Catalog;
use bytes::{Buf as _, Bytes, BytesMut};
use serde_json::Value;

/// Body of a frame, at most, in bytes: what Go's decoder allows by default.
pub const MAX_FRAME: usize = 16 * 1024 * 1024;

/// How frames are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// JSON values one after the other; whitespace between them is optional unless they are scalars.
    Json,
    /// Four bytes of big-endian length before each frame.
    LengthDelimited,
}

/// Why a stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A frame beyond the limit.
    #[error("frame of more than {0} bytes")]
    TooLarge(usize),
}

/// Cuts a stream of bytes into frames.
#[derive(Debug)]
pub struct FrameDecoder {
    framing: Framing,
    limit: usize,
    buffer: BytesMut,
    scan: Scan,
}

/// How far a JSON value has been looked through.
#[derive(Clone, Copy, Debug, Default)]
struct Scan {
    at: usize,
    depth: usize,
    quoted: bool,
    escaped: bool,
}

impl FrameDecoder {
    /// A decoder that refuses frames of more than `limit` bytes; [`MAX_FRAME`] is a good one.
    #[must_use]
    pub fn new(framing: Framing, limit: usize) -> Self {
        Self { framing, limit, buffer: BytesMut::new(), scan: Scan::default() }
    }

    /// Takes the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete frame, without its length; `None` if more bytes are needed.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`] as soon as a frame is known to exceed the limit; the stream is lost then.
    pub fn pop(&mut self) -> Result<Option<Bytes>, FrameError> {
        match self.framing {
            Framing::Json => self.pop_json(),
            Framing::LengthDelimited => self.pop_delimited(),
        }
    }

    /// How many bytes of an incomplete frame are waiting: if any are at the end of a stream, it broke off.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }

    fn pop_delimited(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some(length) = self.buffer.first_chunk::<4>().map(|b| u32::from_be_bytes(*b) as usize) else {
            return Ok(None);
        };
        if length > self.limit {
            return Err(FrameError::TooLarge(self.limit));
        }
        if self.buffer.len() - 4 < length {
            return Ok(None);
        }
        self.buffer.advance(4);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    fn pop_json(&mut self) -> Result<Option<Bytes>, FrameError> {
        if self.scan.at == 0 {
            let blanks = self.buffer.iter().take_while(|b| b.is_ascii_whitespace()).count();
            self.buffer.advance(blanks);
        }
        while let Some(&byte) = self.buffer.get(self.scan.at) {
            let end = self.scan.step(byte);
            if self.scan.at > self.limit {
                return Err(FrameError::TooLarge(self.limit));
            }
            if end {
                let frame = self.buffer.split_to(self.scan.at).freeze();
                self.scan = Scan::default();
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }
}

impl Scan {
    /// Looks at the next byte; tells whether the value ends before `at`.
    fn step(&mut self, byte: u8) -> bool {
        self.at += 1;
        if self.quoted {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.quoted = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.quoted = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0;
            }
            b'\n' | b' ' | b'\t' | b'\r' if self.depth == 0 => {
                self.at -= 1;
                return true;
            }
            _ => {}
        }
        false
    }
}

/// One event of a protobuf watch: the length, then a bare `WatchEvent` around the enveloped object.
///
/// # Errors
/// If the object's kind is not built in.
pub fn protobuf_event(kind: &str, object: &Value, catalog: &Catalog) -> Result<Vec<u8>, ProtobufError> {
    let mut out = Writer::new(1024);
    let mut result = Ok(());
    out.nested(2, |out| out.nested(1, |out| result = write_object(object, catalog, out)));
    result?;
    out.bytes(1, kind.as_bytes());
    let length = u32::try_from(out.len()).map_err(|_| ProtobufError::Value("event of more than 4 GiB".to_owned()))?;
    out.prepend(&length.to_be_bytes());
    Ok(out.into_vec())
}

/// The type and the object of a protobuf event, given its frame without the length.
///
/// # Errors
/// If the frame is no `WatchEvent` or its object is of no built-in kind.
pub fn decode_protobuf_event(frame: &[u8], catalog: &Catalog) -> Result<(String, Value), ProtobufError> {
    let mut kind = String::new();
    let mut object: &[u8] = &[];
    members(frame, "WatchEvent", |number, body| match number {
        1 => kind = String::from_utf8_lossy(body).into_owned(),
        2 => object = body,
        _ => {}
    })?;
    let mut raw: &[u8] = &[];
    members(object, "RawExtension", |number, body| {
        if number == 1 {
            raw = body;
        }
    })?;
    Ok((kind, decode_object(raw, catalog)?))
}

/// Calls for every member that has a body.
fn members<'a>(message: &'a [u8], name: &str, mut each: impl FnMut(u32, &'a [u8])) -> Result<(), ProtobufError> {
    let mut reader = Reader::new(message);
    while !reader.is_empty() {
        let tag = reader.tag(name)?;
        if tag.wire == BODY {
            each(tag.number, reader.body()?);
        } else {
            reader.skip(tag)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn frames(decoder: &mut FrameDecoder) -> Vec<Bytes> {
        std::iter::from_fn(|| decoder.pop().unwrap()).collect()
    }

    #[test]
    fn json_values_need_no_newline_between_them() {
        let mut decoder = FrameDecoder::new(Framing::Json, 100);
        decoder.push(br#" {"a":"}\"{"}{"b":[{}]}"#);
        assert_eq!(frames(&mut decoder), [&br#"{"a":"}\"{"}"#[..], br#"{"b":[{}]}"#]);
        decoder.push(b"\n\n12 tr");
        assert_eq!(frames(&mut decoder), [&b"12"[..]]);
        assert_eq!(decoder.pending(), 2);
        decoder.push(b"ue\n");
        assert_eq!(frames(&mut decoder), [&b"true"[..]]);
        assert_eq!(decoder.pending(), 0);
    }

    #[test]
    fn frames_beyond_the_limit_are_refused() {
        let mut decoder = FrameDecoder::new(Framing::LengthDelimited, 8);
        decoder.push(&[0, 0, 0, 9]);
        assert_eq!(decoder.pop(), Err(FrameError::TooLarge(8)));
        let mut decoder = FrameDecoder::new(Framing::Json, 8);
        decoder.push(b"{\"aaaaaaaaaaaa");
        assert_eq!(decoder.pop(), Err(FrameError::TooLarge(8)));
    }

    #[test]
    fn events_survive_their_frames() {
        let catalog = Catalog::builtin();
        let pod = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a"}});
        let bytes = protobuf_event("ADDED", &pod, catalog).unwrap();
        assert_eq!(&bytes[..13], b"\0\0\0\x39\x0a\x05ADDED\x12\x30");
        let mut decoder = FrameDecoder::new(Framing::LengthDelimited, MAX_FRAME);
        decoder.push(&bytes);
        let frame = decoder.pop().unwrap().unwrap();
        assert_eq!(decode_protobuf_event(&frame, catalog), Ok(("ADDED".to_owned(), pod)));
        assert!(protobuf_event("ADDED", &json!({"kind": "Foo", "apiVersion": "x.io/v1"}), catalog).is_err());
    }

    proptest! {
        #[test]
        fn frames_do_not_depend_on_how_the_bytes_arrive(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..6),
            step in 1_usize..20,
            json in any::<bool>(),
        ) {
            let framing = if json { Framing::Json } else { Framing::LengthDelimited };
            let mut stream = Vec::new();
            let mut want: Vec<Vec<u8>> = Vec::new();
            for body in &bodies {
                let frame = if json { serde_json::to_vec(&json!({ "b": String::from_utf8_lossy(body) })).unwrap() } else { body.clone() };
                if !json {
                    stream.extend(u32::try_from(frame.len()).unwrap().to_be_bytes());
                }
                stream.extend(&frame);
                want.push(frame);
            }
            let mut decoder = FrameDecoder::new(framing, 1000);
            let mut got = Vec::new();
            for chunk in stream.chunks(step) {
                decoder.push(chunk);
                got.extend(frames(&mut decoder));
            }
            prop_assert_eq!(got, want);
            prop_assert_eq!(decoder.pending(), 0);
        }

        #[test]
        fn any_bytes_are_cut_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), json in any::<bool>()) {
            let mut decoder = FrameDecoder::new(if json { Framing::Json } else { Framing::LengthDelimited }, 64);
            decoder.push(&bytes);
            while let Ok(Some(frame)) = decoder.pop() {
                let _ = decode_protobuf_event(&frame, Catalog::builtin());
            }
        }
    }
}
