//! Bodies of answers with faults: whole ones pass, watches are followed frame by frame, and the bytes of either can be
//! slowed down, cut into segments and cut off.

mod dormant;
mod frames;
mod framing;
mod oddity;
mod op;
mod pace;
mod passage;

pub(crate) use self::dormant::Follow;
pub(crate) use self::oddity::make_odd;
pub(crate) use self::pace::paced;

use crate::control::Faults;
use crate::host::Host;
use crate::layer::{Describe, Record};
use crate::line::Line;
use crate::ruleset::Fired;
use bytes::Bytes;
use futures::Stream;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// What bodies fail with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// A body of whatever kind.
pub(crate) type Inner = UnsyncBoxBody<Bytes, BoxError>;
type Item = Result<Frame<Bytes>, BoxError>;
pub(crate) type Frames = Pin<Box<dyn Stream<Item = Item> + Send>>;

/// The body of an answer that went through the layer.
pub struct FaultBody(Kind);

enum Kind {
    /// As the server made it.
    Plain(Inner),
    /// A watch that no rule has met yet.
    Following(Box<dyn Awaken>),
    /// Made frame by frame.
    Driven(Frames),
    /// Over.
    Ended,
}

/// A watch that turns into [`Frames`] once a rule looks at it.
pub(crate) trait Awaken: Send {
    /// Whether a rule may look at the next frame.
    fn is_looked_at(&self) -> bool;
    /// The body as it is.
    fn body(&mut self) -> &mut Inner;
    /// The rest of the watch, beginning with a chunk that was read already.
    fn awaken(self: Box<Self>, first: Bytes) -> Frames;
}

impl fmt::Debug for FaultBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Plain(_) => "FaultBody(plain)",
            Kind::Following(_) => "FaultBody(following)",
            Kind::Driven(_) => "FaultBody(driven)",
            Kind::Ended => "FaultBody(ended)",
        })
    }
}

impl FaultBody {
    /// A body that nothing happens to.
    #[must_use]
    pub fn plain<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Kind::Plain(body.map_err(Into::into).boxed_unsync()))
    }

    pub(crate) fn driven(frames: Frames) -> Self {
        Self(Kind::Driven(frames))
    }

    /// A watch that no rule has met yet.
    pub(crate) fn following<B, H: Host>(
        body: B,
        faults: Faults,
        host: H,
        describe: Describe,
        line: Option<Line>,
        record: Record,
    ) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let body = body.map_err(Into::into).boxed_unsync();
        Self(Kind::Following(dormant::dormant(body, faults, host, describe, line, record)))
    }

    /// A watch that rules have met at its head.
    pub(crate) fn watched<H: Host>(body: Inner, follow: Follow<H>, fired: &[Fired]) -> Self {
        match frames::pipeline(body, follow, fired) {
            Ok(frames) => Self(Kind::Driven(frames)),
            Err(dormant) => Self(Kind::Following(dormant)),
        }
    }
}

impl Body for FaultBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        loop {
            match &mut self.0 {
                Kind::Plain(body) => return Pin::new(body).poll_frame(cx),
                Kind::Driven(frames) => {
                    let item = ready!(frames.as_mut().poll_next(cx));
                    if item.is_none() {
                        self.0 = Kind::Ended;
                    }
                    return Poll::Ready(item);
                }
                Kind::Ended => return Poll::Ready(None),
                Kind::Following(dormant) => {
                    let item = ready!(Pin::new(dormant.body()).poll_frame(cx));
                    let chunk = match item {
                        Some(Ok(frame)) if dormant.is_looked_at() => match frame.into_data() {
                            Ok(chunk) => chunk,
                            Err(other) => return Poll::Ready(Some(Ok(other))),
                        },
                        other => return Poll::Ready(other),
                    };
                    if let Kind::Following(dormant) = std::mem::replace(&mut self.0, Kind::Ended) {
                        self.0 = Kind::Driven(dormant.awaken(chunk));
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Plain(body) => body.is_end_stream(),
            Kind::Ended => true,
            Kind::Following(_) | Kind::Driven(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Plain(body) => body.size_hint(),
            _ => SizeHint::default(),
        }
    }
}
