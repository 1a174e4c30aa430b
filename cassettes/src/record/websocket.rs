//! Reads along a WebSocket: which channel a message is for, how long it is, and what the closing code was. Nothing is
//! held back and nothing changed.

/// Opcode of a closing frame.
const CLOSE: u8 = 8;

/// One frame that has passed. The messages of exec and attach are one frame each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Channel by its first byte; -1 for control frames.
    pub channel: i16,
    /// Bytes without the channel's.
    pub bytes: u64,
    /// Its beginning, as far as it is kept.
    pub content: Vec<u8>,
    /// Close code.
    pub close: Option<u16>,
}

/// Reads one direction.
#[derive(Debug)]
pub struct Reader {
    keep: usize,
    head: Vec<u8>,
    frame: Option<Frame>,
    /// Channel of a message that goes on in the next frame.
    channel: Option<i16>,
}

#[derive(Debug)]
struct Frame {
    opcode: u8,
    last: bool,
    mask: [u8; 4],
    length: u64,
    seen: u64,
    content: Vec<u8>,
    channel: Option<i16>,
}

impl Reader {
    /// Keeps so many bytes of each message.
    #[must_use]
    pub fn new(keep: usize) -> Self {
        Self { keep, head: Vec::new(), frame: None, channel: None }
    }

    /// The messages that these bytes complete.
    pub fn feed(&mut self, mut data: &[u8]) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            if let Some(frame) = &mut self.frame {
                data = frame.take(data, self.keep);
                if frame.seen < frame.length {
                    return messages;
                }
                if let Some(frame) = self.frame.take() {
                    messages.push(self.done(frame));
                }
            }
            let Some((byte, rest)) = data.split_first() else { return messages };
            data = rest;
            self.head.push(*byte);
            if let Some(frame) = self.header() {
                self.head.clear();
                self.frame = Some(frame);
            }
        }
    }

    /// The frame whose header is complete.
    fn header(&self) -> Option<Frame> {
        let [first, second, rest @ ..] = &self.head[..] else { return None };
        let (length, rest) = match second & 0x7f {
            126 => rest.split_first_chunk::<2>().map(|(l, rest)| (u64::from(u16::from_be_bytes(*l)), rest))?,
            127 => rest.split_first_chunk::<8>().map(|(l, rest)| (u64::from_be_bytes(*l), rest))?,
            short => (u64::from(short), rest),
        };
        let mask = if second & 0x80 == 0 { [0; 4] } else { *rest.first_chunk::<4>()? };
        let (opcode, last) = (first & 0x0f, first & 0x80 != 0);
        let channel = if opcode == 0 { self.channel } else { None };
        Some(Frame { opcode, last, mask, length, seen: 0, content: Vec::new(), channel })
    }

    fn done(&mut self, frame: Frame) -> Message {
        if frame.opcode >= CLOSE {
            let code = frame.content.first_chunk::<2>().map(|code| u16::from_be_bytes(*code));
            let close = code.filter(|_| frame.opcode == CLOSE);
            return Message { channel: -1, bytes: frame.length, content: Vec::new(), close };
        }
        let named = u64::from(frame.opcode != 0 && frame.length > 0);
        self.channel = if frame.last { None } else { frame.channel };
        Message {
            channel: frame.channel.unwrap_or(-1),
            bytes: frame.length - named,
            content: frame.content,
            close: None,
        }
    }
}

impl Frame {
    /// Takes its part of the data and gives back the rest.
    fn take<'a>(&mut self, data: &'a [u8], keep: usize) -> &'a [u8] {
        let wanted = usize::try_from(self.length - self.seen).unwrap_or(usize::MAX).min(data.len());
        let (part, rest) = data.split_at(wanted);
        // Of a closing frame the code is wanted, whatever is kept of others.
        let keep = if self.opcode == CLOSE { 2 } else { keep };
        for byte in part {
            let plain = byte ^ self.mask[usize::try_from(self.seen % 4).unwrap_or(0)];
            if self.seen == 0 && matches!(self.opcode, 1 | 2) {
                // The text form numbers channels by digits.
                let number = if self.opcode == 1 { plain.wrapping_sub(b'0') } else { plain };
                self.channel = Some(i16::from(number));
            } else if self.content.len() < keep {
                self.content.push(plain);
            }
            self.seen += 1;
        }
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
        let masked = if mask.is_some() { 0x80 } else { 0 };
        let mut out = vec![first];
        match payload.len() {
            length @ 0..126 => out.push(u8::try_from(length).unwrap() | masked),
            length => {
                out.push(126 | masked);
                out.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
        }
        let mask = mask.inspect(|mask| out.extend(mask)).unwrap_or_default();
        out.extend(payload.iter().enumerate().map(|(n, byte)| byte ^ mask[n % 4]));
        out
    }

    fn read(stream: &[u8], step: usize) -> Vec<Message> {
        let mut reader = Reader::new(1000);
        stream.chunks(step).flat_map(|piece| reader.feed(piece)).collect()
    }

    #[test]
    fn messages_are_told_apart_however_they_were_cut() {
        let long = [&[1][..], &[b'x'; 300]].concat();
        let stream = [
            frame(0x82, b"\x00stdin", Some([1, 2, 3, 4])),
            frame(0x89, b"ping", None),
            frame(0x82, &long, None),
            frame(0x82, b"", None),
            frame(0x88, &[3, 0xe8, b'b', b'y', b'e'], Some([9, 9, 9, 9])),
        ]
        .concat();
        for step in [1, 2, 3, 7, 1000] {
            let messages = read(&stream, step);
            let shown: Vec<_> = messages.iter().map(|m| (m.channel, m.bytes, m.close)).collect();
            assert_eq!(shown, [(0, 5, None), (-1, 4, None), (1, 300, None), (-1, 0, None), (-1, 5, Some(1000))]);
            assert_eq!(messages[0].content, b"stdin");
        }
    }

    #[test]
    fn a_message_in_parts_stays_in_its_channel() {
        let stream = [frame(0x02, b"\x01ab", None), frame(0x80, b"cd", None), frame(0x81, b"2e", None)].concat();
        let shown: Vec<_> = read(&stream, 1).into_iter().map(|m| (m.channel, m.content)).collect();
        assert_eq!(shown, [(1, b"ab".to_vec()), (1, b"cd".to_vec()), (2, b"e".to_vec())]);
    }
}
