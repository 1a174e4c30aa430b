//! What the recorder is told, with bodies still as bytes: the writing side turns an [`Event`] into a document.
//!
//! Parsing a body costs more than forwarding it, so it is done behind the queue, not in a client's way.

use super::body::{body_of, content_of};
use super::headers::{request_headers, response_headers, target};
use crate::format::Tree;
use crate::format::model::{
    Document, End, EndDoc, Frame, FrameDoc, HeadDoc, Mark, Micros, ReqDoc, Request, Response, Seq, Upgrade,
};
use bytes::Bytes;
use http::{HeaderMap, Method, Uri, header};
use std::sync::Arc;

/// A media type as the peer named it.
pub type Media = Arc<str>;

/// Bytes and what they are said to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// `Content-Type`.
    pub media: Media,
    /// Content-decoded bytes.
    pub bytes: Bytes,
    /// Whether they must be kept as bytes: they are packed in a way nobody here undoes, or cut off.
    pub raw: bool,
}

/// The head of a request.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// Method.
    pub method: Method,
    /// Path and query count.
    pub uri: Uri,
    /// As received; what goes on the tape is chosen later.
    pub headers: HeaderMap,
}

impl RequestHead {
    /// The head of these parts.
    #[must_use]
    pub fn of(parts: &http::request::Parts) -> Self {
        Self { method: parts.method.clone(), uri: parts.uri.clone(), headers: parts.headers.clone() }
    }

    /// The request as a tape has it.
    #[must_use]
    pub fn request(&self, body: Option<&[u8]>) -> Request {
        let (path, query) = target(&self.uri);
        let body = body.and_then(|bytes| body_of(media_of(&self.headers).as_ref(), bytes));
        Request {
            method: self.method.as_str().to_owned(),
            path,
            query,
            headers: request_headers(&self.headers),
            body,
            ..Request::default()
        }
    }
}

/// The media type that headers name; empty for none.
pub(crate) fn media_of(headers: &HeaderMap) -> Media {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().into()
}

/// Something that happened. Times are taken when it happened; the order is given by the queue.
#[derive(Clone, Debug)]
pub enum Event {
    /// A request is about to be forwarded.
    Req {
        /// Id of the call.
        of: u64,
        /// When.
        t: Micros,
        /// Logical client.
        lane: Arc<str>,
        /// Ordinal of the client's connection.
        conn: u64,
        /// Its head.
        head: Box<RequestHead>,
        /// Its body; none where it was too large to be held.
        body: Option<Bytes>,
        /// The Audit-ID sent to the server.
        audit_id: Option<String>,
    },
    /// An answer, whole or the head of a stream.
    Head {
        /// Id of the call.
        of: u64,
        /// When its head came.
        t: Micros,
        /// Status.
        status: u16,
        /// As received.
        headers: Box<HeaderMap>,
        /// The body; none for a stream.
        body: Option<Payload>,
    },
    /// A frame of a streamed answer.
    Frame {
        /// Id of the call.
        of: u64,
        /// When it came.
        t: Micros,
        /// Its content.
        content: Payload,
        /// How many frames the same read brought, when more than one.
        coalesced: Option<u32>,
        /// Sizes of the pieces on the wire, when they are wanted.
        slices: Vec<u32>,
    },
    /// The end of an exchange.
    End {
        /// Id of the call.
        of: u64,
        /// When.
        t: Micros,
        /// How it ended.
        end: End,
        /// Firings of a fault plan.
        faults: Vec<Tree>,
    },
    /// A connection that had changed protocol is over.
    Upgrade(Box<Upgrade>),
    /// A note.
    Mark {
        /// When.
        t: Micros,
        /// `note`, `process-start`, `process-exit`, `quiet`.
        what: String,
        /// Free text.
        text: String,
    },
}

/// What an event takes in the queue beside its bytes, roughly.
const OVERHEAD: usize = 512;

impl Event {
    /// The call it belongs to.
    #[must_use]
    pub fn call(&self) -> Option<u64> {
        match self {
            Self::Req { of, .. } | Self::Head { of, .. } | Self::Frame { of, .. } | Self::End { of, .. } => Some(*of),
            Self::Upgrade(upgrade) => Some(upgrade.id),
            Self::Mark { .. } => None,
        }
    }

    /// Bytes it holds in memory, roughly.
    #[must_use]
    pub fn cost(&self) -> usize {
        OVERHEAD
            + match self {
                Self::Req { body, .. } => body.as_ref().map_or(0, Bytes::len),
                Self::Head { body, .. } => body.as_ref().map_or(0, |b| b.bytes.len()),
                Self::Frame { content, slices, .. } => content.bytes.len() + slices.len() * 4,
                Self::Upgrade(upgrade) => upgrade.messages.len() * OVERHEAD,
                Self::End { .. } | Self::Mark { .. } => 0,
            }
    }

    /// The document of this event, at its place on the tape.
    #[must_use]
    pub fn document(self, seq: Seq) -> Document {
        match self {
            Self::Req { of, t, lane, conn, head, body, audit_id } => {
                let mut extra = Vec::new();
                if body.is_none() {
                    extra.push(("x-body-omitted".to_owned(), Tree::Bool(true)));
                }
                let request = head.request(body.as_deref());
                Document::Req(ReqDoc { of, seq, t, lane: lane.as_ref().to_owned(), conn, request, audit_id, extra })
            }
            Self::Head { of, t, status, headers, body } => {
                let body = body.and_then(|payload| (!payload.bytes.is_empty()).then(|| payload.body()));
                let response = Response { status, headers: response_headers(&headers), body, ..Response::default() };
                Document::Head(HeadDoc { of, seq, t, response, extra: Vec::new() })
            }
            Self::Frame { of, t, content, coalesced, slices } => {
                let frame = Frame { seq, t, content: content.body(), coalesced, slices, ..Frame::default() };
                Document::Frame(FrameDoc { of, frame })
            }
            Self::End { of, t, end, faults } => Document::End(EndDoc { of, seq, t, end, faults, extra: Vec::new() }),
            Self::Upgrade(mut upgrade) => {
                upgrade.seq.end = seq;
                Document::Upgrade(*upgrade)
            }
            Self::Mark { t, what, text } => Document::Mark(Mark { seq, t, what, text, extra: Vec::new() }),
        }
    }
}

impl Payload {
    fn body(&self) -> crate::format::model::Body {
        if self.raw { content_of("", &self.bytes) } else { content_of(&self.media, &self.bytes) }
    }
}
