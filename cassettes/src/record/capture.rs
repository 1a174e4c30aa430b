//! [`Capture`]: one exchange as a state machine. It is told what passes and says what goes on the tape; it does no I/O
//! and knows no time but what it is given.

use super::coding::Decoder;
use super::event::{Event, Media, Payload, RequestHead, media_of};
use super::framer::{Cut, Framer, Framing};
use super::headers::target;
use crate::format::Tree;
use crate::format::model::{End, Micros};
use bytes::Bytes;
use http::HeaderMap;

/// An answer beyond this many bytes is kept in pieces, as a stream is, so that no answer needs more memory than this.
const MAX_WHOLE: usize = 64 << 20;

/// Whether a request asks for a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streaming {
    /// An answer with an end.
    No,
    /// Watch events.
    Watch,
    /// A log as it is written.
    Log,
}

impl Streaming {
    /// What this request asks for.
    #[must_use]
    pub fn of(head: &RequestHead) -> Self {
        let (path, query) = target(&head.uri);
        let on = |key: &str| {
            query.iter().any(|(k, v)| k == key && matches!(v.as_str(), "" | "1" | "t" | "T" | "true" | "TRUE" | "True"))
        };
        let legacy = path.starts_with("/api")
            && path.split('/').nth(if path.starts_with("/apis/") { 4 } else { 3 }) == Some("watch");
        if on("watch") || legacy {
            Self::Watch
        } else if path.ends_with("/log") && on("follow") {
            Self::Log
        } else {
            Self::No
        }
    }
}

/// One exchange.
pub struct Capture {
    of: u64,
    streaming: Streaming,
    wire: bool,
    state: State,
}

enum State {
    /// Nothing has been answered yet.
    Asked,
    /// A body with an end is being put together.
    Whole { t: Micros, status: u16, headers: Box<HeaderMap>, media: Media, decoder: Decoder, held: Pieces, raw: bool },
    /// Frames are written as they come.
    Stream { media: Media, decoder: Decoder, framer: Framer, raw: bool },
    /// Over.
    Ended,
}

impl Capture {
    /// An exchange whose request has been written. `wire`: sizes of the pieces are noted.
    #[must_use]
    pub fn new(of: u64, streaming: Streaming, wire: bool) -> Self {
        Self { of, streaming, wire, state: State::Asked }
    }

    /// The head of the answer has come.
    pub fn head(&mut self, t: Micros, status: u16, headers: &HeaderMap) -> Option<Event> {
        let (media, decoder) = (media_of(headers), Decoder::of(headers));
        let raw = decoder.is_opaque();
        if self.streaming == Streaming::No || status != 200 {
            let headers = Box::new(headers.clone());
            self.state = State::Whole { t, status, headers, media, decoder, held: Pieces::default(), raw };
            return None;
        }
        let framer = Framer::new(if raw { Framing::Raw } else { self.framing(&media) });
        self.state = State::Stream { media, decoder, framer, raw };
        Some(Event::Head { of: self.of, t, status, headers: Box::new(headers.clone()), body: None })
    }

    fn framing(&self, media: &str) -> Framing {
        let media = media.split(';').next().unwrap_or_default().trim();
        match self.streaming {
            Streaming::Log => Framing::Text,
            _ if media.ends_with("protobuf") => Framing::Prefixed,
            _ if media.is_empty() || media.ends_with("json") => Framing::Lines,
            _ => Framing::Raw,
        }
    }

    /// A piece of the answer's body has come.
    pub fn data(&mut self, t: Micros, data: &Bytes) -> Vec<Event> {
        match &self.state {
            State::Whole { .. } => self.gather(t, data),
            State::Stream { .. } => self.cut(t, data),
            State::Asked | State::Ended => Vec::new(),
        }
    }

    /// Adds to a body that is put together; one that gets too large becomes the first frame of a stream.
    fn gather(&mut self, t: Micros, data: &Bytes) -> Vec<Event> {
        let State::Whole { t: began, status, headers, media, decoder, held, raw } = &mut self.state else {
            return Vec::new();
        };
        if decoder.passes() {
            held.push(data.clone());
        } else {
            unpack(decoder, data, raw, |plain| held.push(Bytes::copy_from_slice(plain)));
        }
        if held.length <= MAX_WHOLE {
            return Vec::new();
        }
        let head = Event::Head { of: self.of, t: *began, status: *status, headers: headers.clone(), body: None };
        let first = Cut { bytes: std::mem::take(held).joined(), whole: true, slices: Vec::new() };
        let decoder = std::mem::replace(decoder, Decoder::Opaque);
        self.state = State::Stream { media: media.clone(), decoder, framer: Framer::new(Framing::Raw), raw: true };
        std::iter::once(head).chain(self.frames(t, vec![first])).collect()
    }

    /// The frames that a piece of a stream completes.
    fn cut(&mut self, t: Micros, data: &Bytes) -> Vec<Event> {
        let State::Stream { decoder, framer, raw, .. } = &mut self.state else { return Vec::new() };
        let cuts = if decoder.passes() {
            framer.feed(data)
        } else {
            let mut cuts = Vec::new();
            unpack(decoder, data, raw, |plain| cuts = framer.feed(&Bytes::copy_from_slice(plain)));
            cuts
        };
        self.frames(t, cuts)
    }

    /// The exchange is over. Calling it again says nothing.
    pub fn end(&mut self, t: Micros, end: End, faults: Vec<Tree>) -> Vec<Event> {
        let mut events = Vec::new();
        let rest = match &mut self.state {
            State::Stream { framer, .. } => framer.rest(),
            _ => None,
        };
        events.extend(self.frames(t, rest.into_iter().collect()));
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Ended => return Vec::new(),
            State::Whole { t, status, headers, media, held, raw, .. } => {
                let body = Some(Payload { media, bytes: held.joined(), raw });
                events.push(Event::Head { of: self.of, t, status, headers, body });
            }
            State::Asked | State::Stream { .. } => {}
        }
        events.push(Event::End { of: self.of, t, end, faults });
        events
    }

    /// Whether the end has been told.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    fn frames(&self, t: Micros, cuts: Vec<Cut>) -> Vec<Event> {
        let State::Stream { media, raw, .. } = &self.state else { return Vec::new() };
        let count = u32::try_from(cuts.len()).unwrap_or(u32::MAX);
        let coalesced = (count > 1).then_some(count);
        let frame = |cut: Cut| Event::Frame {
            of: self.of,
            t,
            content: Payload { media: media.clone(), bytes: cut.bytes, raw: *raw || !cut.whole },
            coalesced,
            slices: if self.wire { cut.slices } else { Vec::new() },
        };
        cuts.into_iter().map(frame).collect()
    }
}

/// A body as it came, not copied before it is whole.
#[derive(Default)]
struct Pieces {
    pieces: Vec<Bytes>,
    length: usize,
}

impl Pieces {
    fn push(&mut self, piece: Bytes) {
        self.length += piece.len();
        self.pieces.push(piece);
    }

    fn joined(mut self) -> Bytes {
        match self.pieces.len() {
            0 | 1 => self.pieces.pop().unwrap_or_default(),
            _ => self.pieces.concat().into(),
        }
    }
}

/// Gives what the data unpack to. Data that do not unpack are given as they are from there on.
fn unpack(decoder: &mut Decoder, data: &Bytes, raw: &mut bool, mut give: impl FnMut(&[u8])) {
    if decoder.passes() {
        return give(data);
    }
    match decoder.feed(data) {
        Ok(plain) => give(&plain),
        Err(_) => {
            *decoder = Decoder::Opaque;
            *raw = true;
            give(data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::model::{Body, Document};
    use http::Method;

    fn head(uri: &str) -> RequestHead {
        RequestHead { method: Method::GET, uri: uri.parse().unwrap(), headers: HeaderMap::new() }
    }

    fn json() -> HeaderMap {
        [(http::header::CONTENT_TYPE, "application/json".parse().unwrap())].into_iter().collect()
    }

    fn documents(events: Vec<Event>) -> Vec<Document> {
        events.into_iter().zip(1..).map(|(event, seq)| event.document(seq)).collect()
    }

    #[test]
    fn watches_and_followed_logs_are_streams() {
        let of = |uri| Streaming::of(&head(uri));
        assert_eq!(of("/api/v1/pods?watch=true&resourceVersion=7"), Streaming::Watch);
        assert_eq!(of("/api/v1/watch/pods"), Streaming::Watch);
        assert_eq!(of("/apis/apps/v1/watch/namespaces/d/deployments/x"), Streaming::Watch);
        assert_eq!(of("/api/v1/namespaces/d/pods/p/log?follow=true"), Streaming::Log);
        assert_eq!(of("/api/v1/namespaces/watch/pods?watch=false"), Streaming::No);
        assert_eq!(of("/api/v1/namespaces/d/pods/p/log"), Streaming::No);
    }

    #[test]
    fn an_answer_is_written_once_it_is_whole() {
        let mut capture = Capture::new(7, Streaming::No, false);
        assert!(capture.head(10, 200, &json()).is_none());
        assert!(capture.data(11, &Bytes::from_static(b"{\"a\"")).is_empty());
        assert!(capture.data(12, &Bytes::from_static(b":1}\n")).is_empty());
        let written = documents(capture.end(13, End::Complete, Vec::new()));
        let [Document::Head(head), Document::End(end)] = &written[..] else { panic!("{written:?}") };
        assert_eq!((head.of, head.t, end.t, end.end.clone()), (7, 10, 13, End::Complete));
        assert!(matches!(&head.response.body, Some(Body::Json { .. })));
        assert!(capture.end(14, End::ClientCancel, Vec::new()).is_empty(), "an exchange ends once");
    }

    #[test]
    fn a_watch_is_written_frame_by_frame_with_its_head_first() {
        let mut capture = Capture::new(7, Streaming::Watch, true);
        let head = capture.head(10, 200, &json()).unwrap();
        let read = Bytes::from_static(b"{\"type\":\"ADDED\"}\n{\"type\":\"MODIFIED\"}\n{\"ty");
        let frames = capture.data(11, &read);
        let end = capture.end(12, End::EofNoNotify, Vec::new());
        let written = documents(std::iter::once(head).chain(frames).chain(end).collect());
        let [Document::Head(_), Document::Frame(a), Document::Frame(b), Document::Frame(rest), Document::End(_)] =
            &written[..]
        else {
            panic!("{written:?}")
        };
        assert_eq!((a.frame.coalesced, b.frame.coalesced, rest.frame.coalesced), (Some(2), Some(2), None));
        assert_eq!(a.frame.slices, [17]);
        assert!(matches!(&b.frame.content, Body::Json { tree, .. } if tree.text_at(&["type"]) == "MODIFIED"));
        assert_eq!(rest.frame.content, Body::Text("{\"ty".into()));
    }

    #[test]
    fn a_refused_watch_is_no_stream() {
        let mut capture = Capture::new(7, Streaming::Watch, false);
        assert!(capture.head(10, 410, &json()).is_none());
        capture.data(11, &Bytes::from_static(b"{\"kind\":\"Status\"}\n"));
        assert_eq!(capture.end(12, End::Complete, Vec::new()).len(), 2);
    }

    #[test]
    fn an_exchange_without_an_answer_has_an_end_only() {
        let mut capture = Capture::new(7, Streaming::No, false);
        let written = documents(capture.end(3, End::Reset { code: None }, Vec::new()));
        assert!(matches!(&written[..], [Document::End(end)] if end.end == End::Reset { code: None }));
    }

    #[test]
    fn an_answer_that_is_too_large_to_be_held_is_written_in_pieces() {
        let mut capture = Capture::new(7, Streaming::No, false);
        capture.head(10, 200, &json());
        let piece = Bytes::from(vec![b'x'; MAX_WHOLE / 2]);
        assert!(capture.data(11, &piece).is_empty() && capture.data(12, &piece).is_empty());
        assert_eq!(capture.data(13, &Bytes::from_static(b"y")).len(), 2, "head and what there was");
        assert_eq!(capture.data(14, &Bytes::from_static(b"z")).len(), 1);
        assert_eq!(capture.end(15, End::Complete, Vec::new()).len(), 1);
    }

    #[test]
    fn what_claims_to_be_packed_and_is_not_is_kept_as_it_came() {
        let mut headers = json();
        headers.insert("content-encoding", "gzip".parse().unwrap());
        let mut capture = Capture::new(7, Streaming::No, false);
        capture.head(10, 200, &headers);
        capture.data(11, &Bytes::from_static(b"this is no gzip at all, and never was"));
        let written = documents(capture.end(12, End::Complete, Vec::new()));
        assert!(matches!(&written[0], Document::Head(h) if matches!(&h.response.body, Some(Body::Text(_)))));
    }
}
