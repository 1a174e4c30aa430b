//! [`Framing`]: where one frame of a watch ends and the next begins, and what is in it. JSON has lines, protobuf has
//! lengths.

use crate::host::Host;
use bytes::{Buf as _, Bytes, BytesMut};
use serde_json::Value;

/// The frames of one watch.
pub(super) struct Framing {
    protobuf: bool,
    /// What has come of the next frame.
    rest: BytesMut,
}

impl Framing {
    pub(super) fn new(protobuf: bool) -> Self {
        Self { protobuf, rest: BytesMut::new() }
    }

    /// Splits what has come into frames; what is left waits for more.
    pub(super) fn frames(&mut self, chunk: &[u8]) -> Vec<Bytes> {
        self.rest.extend_from_slice(chunk);
        std::iter::from_fn(|| self.split()).collect()
    }

    /// What is no whole frame.
    pub(super) fn take_rest(&mut self) -> Bytes {
        self.rest.split().freeze()
    }

    fn split(&mut self) -> Option<Bytes> {
        let length = if self.protobuf {
            let mut head = self.rest.get(..4)?;
            usize::try_from(head.get_u32()).ok()?.checked_add(4)?
        } else {
            self.rest.iter().position(|byte| *byte == b'\n')? + 1
        };
        (self.rest.len() >= length).then(|| self.rest.split_to(length).freeze())
    }

    /// A frame of the plan's words with the delimiters of this stream.
    pub(super) fn delimited(&self, mut line: Vec<u8>) -> Bytes {
        if self.protobuf {
            let length = u32::try_from(line.len()).unwrap_or(u32::MAX).to_be_bytes();
            return Bytes::from([&length[..], &line].concat());
        }
        line.push(b'\n');
        Bytes::from(line)
    }

    /// Type and object of a frame.
    pub(super) fn parse(&self, host: &impl Host, frame: &[u8]) -> (String, Option<Value>) {
        if self.protobuf {
            let decoded = frame.get(4..).and_then(|body| host.decode_frame(body));
            return decoded.map_or_else(|| (String::new(), None), |(event, object)| (event, Some(object)));
        }
        let Ok(mut event) = serde_json::from_slice::<Value>(frame) else { return (String::new(), None) };
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        (kind, event.get_mut("object").map(Value::take))
    }

    pub(super) fn encode(&self, host: &impl Host, event: &str, object: &Value) -> Bytes {
        if self.protobuf {
            return host.encode_frame(event, object).map(Bytes::from).unwrap_or_default();
        }
        Bytes::from(format!("{{\"type\":\"{event}\",\"object\":{object}}}\n"))
    }
}
