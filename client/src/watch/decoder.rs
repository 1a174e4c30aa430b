//! Bytes to events: cuts frames and reads them, sans I/O.
//!
//! JSON frames are concatenated values; protobuf frames are a 4-byte length and a `meta/v1.WatchEvent` without the
//! magic prefix, whose object is a whole envelope. Counterpart: apimachinery `streaming` and `framer`.

use crate::rest::codec::{json, media_type};
use crate::rest::{Codecs, MEDIA_JSON, MEDIA_PROTOBUF, MEDIA_YAML};
#[cfg(feature = "clientset")]
use crate::scheme::{EventOrFailure, Resource, typed_from_json, typed_from_protobuf, typed_from_value};
use bytes::{Buf, BytesMut};
use rehearsal_apimachinery::{WatchEvent, WatchEventType};
use serde_json::Value;

/// Largest frame. (apimachinery `streaming.NewDecoder` via `maxBytes`)
const MAX_FRAME: usize = 16 * 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Json,
    LengthPrefixed,
}

/// Takes bytes, gives events.
#[derive(Debug)]
pub(crate) struct Decoder {
    framing: Framing,
    codecs: Codecs,
    buffer: BytesMut,
    /// Where the search for the end of the current JSON value goes on, and in what state.
    scan: Scan,
}

#[derive(Debug, Default)]
struct Scan {
    at: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Decoder {
    /// `None` for a type that cannot be streamed.
    pub(crate) fn new(content_type: &str, codecs: Codecs) -> Option<Self> {
        let framing = match media_type(content_type)?.as_str() {
            MEDIA_JSON => Framing::Json,
            MEDIA_PROTOBUF if codecs.find(MEDIA_PROTOBUF).is_ok() => Framing::LengthPrefixed,
            MEDIA_YAML => return None,
            _ => return None,
        };
        Some(Self { framing, codecs, buffer: BytesMut::new(), scan: Scan::default() })
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole event; `None` when more bytes are needed.
    pub(crate) fn next(&mut self) -> Option<Result<WatchEvent, String>> {
        match self.framing {
            Framing::Json => self.next_json(read_json),
            Framing::LengthPrefixed => self.prefixed_frame().map(|frame| self.read_protobuf(&frame?)),
        }
    }

    /// The same with a typed object, which JSON is read into without a value in between.
    #[cfg(feature = "clientset")]
    pub(crate) fn next_typed<K: Resource>(&mut self) -> Option<Result<EventOrFailure<K>, String>> {
        match self.framing {
            Framing::Json => self.next_json(typed_from_json),
            Framing::LengthPrefixed => self.prefixed_frame().map(|frame| self.read_typed(&frame?)),
        }
    }

    fn next_json<E>(&mut self, read: impl Fn(&[u8]) -> Result<E, String>) -> Option<Result<E, String>> {
        let blank = self.buffer.iter().take_while(|b| b.is_ascii_whitespace()).count();
        if blank > 0 && self.scan.at == 0 {
            self.buffer.advance(blank);
        }
        match self.buffer.first() {
            None => return None,
            Some(b'{') => {}
            Some(other) => {
                return Some(Err(format!("invalid character {:?} looking for beginning of object", *other as char)));
            }
        }
        if let Some(event) = self.whole_line(&read) {
            return Some(Ok(event));
        }
        let end = match self.scan.end_of_object(&self.buffer) {
            Some(end) => end,
            None if self.buffer.len() > MAX_FRAME => return Some(Err(too_long())),
            None => return None,
        };
        self.scan = Scan::default();
        if end > MAX_FRAME {
            return Some(Err(too_long()));
        }
        let frame = self.buffer.split_to(end);
        Some(read(&frame))
    }

    /// The event that the first line is. API servers write a line an event, so the search for its end costs next to
    /// nothing; whatever else they write is cut by counting braces, once.
    fn whole_line<E>(&mut self, read: impl Fn(&[u8]) -> Result<E, String>) -> Option<E> {
        if self.scan.at > 0 {
            return None;
        }
        let end = memchr::memchr(b'\n', &self.buffer).filter(|end| *end <= MAX_FRAME)?;
        let event = read(self.buffer.get(..end)?).ok()?;
        self.buffer.advance(end);
        Some(event)
    }

    fn prefixed_frame(&mut self) -> Option<Result<BytesMut, String>> {
        let length = self.buffer.first_chunk().map(|head| u32::from_be_bytes(*head) as usize)?;
        if length > MAX_FRAME {
            return Some(Err(too_long()));
        }
        if self.buffer.len() < 4 + length {
            return None;
        }
        self.buffer.advance(4);
        Some(Ok(self.buffer.split_to(length)))
    }

    fn read_protobuf(&self, frame: &[u8]) -> Result<WatchEvent, String> {
        let (kind, object) = halves(frame)?;
        let codec = self.codecs.find(MEDIA_PROTOBUF).map_err(|e| e.to_string())?;
        Ok(WatchEvent::new(kind, codec.decode(object)?))
    }

    #[cfg(feature = "clientset")]
    fn read_typed<K: Resource>(&self, frame: &[u8]) -> Result<EventOrFailure<K>, String> {
        let (kind, object) = halves(frame)?;
        match typed_from_protobuf(kind, object) {
            Some(event) => Ok(event),
            // The client's codec may know more than ours, and says what is wrong if it does not.
            None => typed_from_value(kind, &self.read_protobuf(frame)?.object),
        }
    }
}

/// Type and object of a protobuf event.
fn halves(frame: &[u8]) -> Result<(WatchEventType, &[u8]), String> {
    let cut = || "protobuf: the watch event is cut short".to_owned();
    let kind = field(frame, 1).ok_or_else(cut)?;
    let kind = event_type(std::str::from_utf8(kind).map_err(|e| e.to_string())?)?;
    let object = field(frame, 2).and_then(|extension| field(extension, 1)).ok_or_else(cut)?;
    Ok((kind, object))
}

fn too_long() -> String {
    format!("watch event is longer than {MAX_FRAME} bytes")
}

fn read_json(frame: &[u8]) -> Result<WatchEvent, String> {
    #[derive(serde::Deserialize)]
    struct Raw {
        #[serde(rename = "type", default)]
        kind: String,
        #[serde(default)]
        object: Value,
    }
    let raw: Raw = json(frame)?;
    let kind = event_type(&raw.kind)?;
    if !raw.object.is_object() {
        return Err(format!("unable to decode watch event: the object of a {kind} event is missing"));
    }
    Ok(WatchEvent::new(kind, raw.object))
}

fn event_type(word: &str) -> Result<WatchEventType, String> {
    Ok(match word {
        "ADDED" => WatchEventType::Added,
        "MODIFIED" => WatchEventType::Modified,
        "DELETED" => WatchEventType::Deleted,
        "BOOKMARK" => WatchEventType::Bookmark,
        "ERROR" => WatchEventType::Error,
        other => return Err(format!("got invalid watch event type: {other}")),
    })
}

impl Scan {
    /// One past the closing brace of the object that the buffer begins with.
    fn end_of_object(&mut self, buffer: &[u8]) -> Option<usize> {
        while let Some(byte) = buffer.get(self.at) {
            if self.in_string {
                self.skip_string(buffer);
                continue;
            }
            self.at += 1;
            match byte {
                b'"' => self.in_string = true,
                b'{' => self.depth += 1,
                b'}' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(self.at);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Goes behind the string's end, or to the end of the buffer.
    fn skip_string(&mut self, buffer: &[u8]) {
        if self.escaped {
            self.escaped = false;
            self.at += 1;
        }
        let rest = buffer.get(self.at..).unwrap_or_default();
        let Some(found) = memchr::memchr2(b'"', b'\\', rest) else {
            self.at = buffer.len();
            return;
        };
        self.at += found + 1;
        match rest.get(found) {
            Some(b'"') => self.in_string = false,
            _ => self.escaped = true,
        }
    }
}

/// The last value of a length-delimited field.
fn field(mut message: &[u8], wanted: u64) -> Option<&[u8]> {
    let mut found = None;
    while !message.is_empty() {
        let key = varint(&mut message)?;
        match key & 7 {
            0 => drop(varint(&mut message)?),
            1 => message = message.get(8..)?,
            2 => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                let (value, rest) = message.split_at_checked(length)?;
                message = rest;
                if key >> 3 == wanted {
                    found = Some(value);
                }
            }
            5 => message = message.get(4..)?,
            _ => return None,
        }
    }
    found
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::ObjectCodec;
    use proptest::prelude::*;
    use serde_json::json;
    use std::sync::Arc;

    fn drain(decoder: &mut Decoder) -> Vec<Result<WatchEvent, String>> {
        std::iter::from_fn(|| decoder.next()).take(10).collect()
    }

    #[test]
    fn values_need_no_newline_between_them() {
        let mut decoder = Decoder::new("application/json;stream=watch", Codecs::default()).unwrap();
        decoder.feed(
            br#"{"type":"ADDED","object":{"a":"}\"{"}}{"type":"BOOKMARK","object":{}}
   {"type":"DEL"#,
        );
        let events = drain(&mut decoder);
        assert_eq!(events[0], Ok(WatchEvent::new(WatchEventType::Added, json!({"a": "}\"{"}))));
        assert_eq!(events[1].as_ref().unwrap().kind, WatchEventType::Bookmark);
        assert_eq!(events.len(), 2);
        decoder.feed(br#"ETED","object":{}}"#);
        assert_eq!(drain(&mut decoder)[0].as_ref().unwrap().kind, WatchEventType::Deleted);
    }

    #[test]
    fn nonsense_and_unknown_types_are_errors() {
        for bytes in ["}}}", r#"{"type":"FOO","object":{}}"#, r#"{"type":"ADDED"}"#, "[]"] {
            let mut decoder = Decoder::new("application/json", Codecs::default()).unwrap();
            decoder.feed(bytes.as_bytes());
            assert!(decoder.next().unwrap().is_err(), "{bytes}");
        }
        assert!(Decoder::new("text/html", Codecs::default()).is_none());
    }

    #[test]
    fn frames_over_sixteen_mebibytes_are_refused() {
        let mut decoder = Decoder::new("application/json", Codecs::default()).unwrap();
        decoder.feed(b"{\"type\":\"ADDED\",\"object\":{\"x\":\"");
        decoder.feed(&vec![b'x'; MAX_FRAME]);
        assert!(decoder.next().unwrap().unwrap_err().contains("16777216"));
    }

    struct Echo;

    impl ObjectCodec for Echo {
        fn media_type(&self) -> &str {
            MEDIA_PROTOBUF
        }
        fn encode(&self, _: &Value) -> Result<Vec<u8>, String> {
            Err("not needed".into())
        }
        fn decode(&self, body: &[u8]) -> Result<Value, String> {
            Ok(json!({"raw": String::from_utf8_lossy(body)}))
        }
    }

    #[test]
    fn protobuf_frames_carry_their_length() {
        let codecs = Codecs::default().with(Arc::new(Echo));
        let mut decoder = Decoder::new("application/vnd.kubernetes.protobuf;stream=watch", codecs).unwrap();
        // {1: "MODIFIED", 2: {1: "object"}}
        let event = [&[0x0a, 8][..], b"MODIFIED", &[0x12, 8, 0x0a, 6], b"object"].concat();
        let frame = [&u32::try_from(event.len()).unwrap().to_be_bytes()[..], &event].concat();
        for byte in frame {
            assert!(decoder.next().is_none());
            decoder.feed(&[byte]);
        }
        assert_eq!(decoder.next().unwrap(), Ok(WatchEvent::new(WatchEventType::Modified, json!({"raw": "object"}))));
        assert!(Decoder::new("application/cbor-seq", Codecs::default()).is_none(), "no codec, no stream");
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(cuts in prop::collection::vec(1usize..40, 0..40), names in prop::collection::vec("[a-z{}\"\\\\ ]{0,12}", 1..5)) {
            let events: Vec<_> = names.iter().map(|n| WatchEvent::new(WatchEventType::Added, json!({"name": n}))).collect();
            let text = events.iter().map(|e| serde_json::to_string(e).unwrap() + "\n").collect::<String>();
            let mut decoder = Decoder::new("application/json", Codecs::default()).unwrap();
            let (mut rest, mut seen) = (text.as_bytes(), Vec::new());
            for cut in cuts.into_iter().chain([usize::MAX]) {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                decoder.feed(now);
                rest = later;
                seen.extend(drain(&mut decoder).into_iter().map(Result::unwrap));
            }
            prop_assert_eq!(seen, events);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for media in [MEDIA_JSON, MEDIA_PROTOBUF] {
                let mut decoder = Decoder::new(media, Codecs::default().with(Arc::new(Echo))).unwrap();
                decoder.feed(&bytes);
                drain(&mut decoder);
            }
        }
    }
}
