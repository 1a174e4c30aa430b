//! [`Seen`]: what came for one request, in words that both versions of HTTP share, and the bytes or frames it was.

use super::Ending;
use super::hpack::Field;
use super::http2::{CONTINUATION, DATA, Frame, GOAWAY, HEADERS, RST_STREAM};
use serde_json::Value;

/// How an answer ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum End {
    /// Properly: all of the announced length, the last chunk, or END_STREAM.
    Proper,
    /// Not yet: more may come.
    #[default]
    Open,
    /// FIN before the proper end.
    Eof,
    /// RST before the proper end.
    Reset,
    /// RST_STREAM with this code; the connection goes on.
    Stream(u32),
}

impl From<Ending> for End {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Open => Self::Open,
            Ending::Eof => Self::Eof,
            Ending::Reset => Self::Reset,
        }
    }
}

/// An answer, as far as it came.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The status; 0 when no head came.
    pub(crate) code: u16,
    /// The statuses of interim answers.
    pub(crate) interim: Vec<u16>,
    headers: Vec<Field>,
    /// What came behind the body.
    pub(crate) trailers: Vec<Field>,
    pub(crate) body: Vec<u8>,
    /// Sizes of the chunks, or of the DATA frames with anything in them.
    pub(crate) pieces: Vec<usize>,
    pub(crate) end: End,
    /// HTTP/2: the frames of this stream, and those of the connection.
    pub(crate) frames: Vec<Frame>,
    /// HTTP/1.1: every byte.
    pub(crate) bytes: Vec<u8>,
}

impl Seen {
    /// What these bytes of HTTP/1.1 say.
    pub(crate) fn of_bytes(bytes: &[u8], ending: Ending) -> Self {
        let mut seen = Self { bytes: bytes.to_vec(), end: ending.into(), ..Self::default() };
        let mut rest = bytes;
        while let Some(end) = rest.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&rest[..end]).into_owned();
            rest = &rest[end + 4..];
            let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
            if (100..200).contains(&code) {
                seen.interim.push(code);
                continue;
            }
            seen.code = code;
            seen.headers = fields(&head);
            let proper = seen.read_body(rest);
            if proper {
                seen.end = End::Proper;
            }
            break;
        }
        seen
    }

    /// Says whether the body has its proper end.
    fn read_body(&mut self, rest: &[u8]) -> bool {
        if self.header("transfer-encoding").as_deref() == Some("chunked") {
            return self.read_chunks(rest);
        }
        self.body = rest.to_vec();
        self.header("content-length").is_none_or(|length| length.parse().is_ok_and(|n: usize| rest.len() >= n))
    }

    fn read_chunks(&mut self, mut rest: &[u8]) -> bool {
        while let Some(line) = rest.windows(2).position(|window| window == b"\r\n") {
            let size = std::str::from_utf8(&rest[..line]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
            let size = size.unwrap_or_else(|| panic!("no size of a chunk: {:?}", String::from_utf8_lossy(rest)));
            let data = &rest[line + 2..];
            if size == 0 {
                let text = String::from_utf8_lossy(data);
                self.trailers = fields(&format!("\r\n{text}"));
                return text == "\r\n" || text.ends_with("\r\n\r\n");
            }
            self.body.extend_from_slice(&data[..size.min(data.len())]);
            self.pieces.push(size);
            rest = data.get(size + 2..).unwrap_or_default();
        }
        false
    }

    /// What these frames say of a stream.
    pub(crate) fn of_frames(frames: &[Frame], stream: u32, ending: Ending) -> Self {
        let mut seen = Self { end: ending.into(), ..Self::default() };
        for frame in frames.iter().filter(|frame| frame.stream == stream) {
            match frame.kind {
                DATA => {
                    seen.body.extend(&frame.payload);
                    seen.pieces.extend(Some(frame.payload.len()).filter(|size| *size > 0));
                }
                HEADERS | CONTINUATION => seen.read_fields(&frame.fields),
                RST_STREAM => seen.end = End::Stream(frame.code()),
                _ => {}
            }
            if frame.ends_stream() {
                seen.end = End::Proper;
            }
        }
        seen.frames = frames.to_vec();
        seen
    }

    fn read_fields(&mut self, fields: &[Field]) {
        let status = fields.iter().find(|(name, _)| name == ":status").and_then(|(_, code)| code.parse().ok());
        match status {
            Some(code) if code < 200 => self.interim.push(code),
            Some(code) => (self.code, self.headers) = (code, fields.to_vec()),
            None => self.trailers.extend(fields.iter().cloned()),
        }
    }

    /// Whether nothing of an answer came: no byte, or no frame of the stream.
    pub(crate) fn is_nothing(&self) -> bool {
        self.bytes.is_empty() && self.frames.iter().all(|frame| frame.stream == 0)
    }

    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers(name).first().map(|value| (*value).to_owned())
    }

    /// The length that the head announces.
    pub(crate) fn length(&self) -> usize {
        self.header("content-length").and_then(|length| length.parse().ok()).unwrap_or_default()
    }

    /// The GOAWAY frame that came, if one did.
    pub(crate) fn goaway(&self) -> Option<&Frame> {
        self.frames.iter().find(|frame| frame.kind == GOAWAY)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// How many lines have come whole.
    pub(crate) fn lines(&self) -> usize {
        self.body.iter().filter(|byte| **byte == b'\n').count()
    }

    fn events(&self) -> Vec<Value> {
        self.text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Types of the whole frames of a watch.
    pub(crate) fn types(&self) -> Vec<String> {
        self.events().iter().filter_map(|event| Some(event["type"].as_str()?.to_owned())).collect()
    }

    /// Names of the objects in the frames of a watch.
    pub(crate) fn names(&self) -> Vec<String> {
        let name = |event: &Value| Some(event.pointer("/object/metadata/name")?.as_str()?.to_owned());
        self.events().iter().filter_map(name).collect()
    }
}

/// The fields behind the first line of a head.
fn fields(head: &str) -> Vec<Field> {
    let lines = head.split("\r\n").skip(1).filter_map(|line| line.split_once(": "));
    lines.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect()
}
