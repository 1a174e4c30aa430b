//! Refusals as HTTP responses, and the mark of an answer that there is none.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use rehearsal_faults::{Answer, Cut, H2Code};
use tokio_util::sync::CancellationToken;

/// In the extensions of a response: there is no answer, and the connection or stream ends so. Whoever serves the
/// connection does it with [`apply`](Self::apply); the response itself is for those who call without a connection.
#[derive(Clone, Debug)]
pub enum Severed {
    /// The connection is cut.
    Connection(Cut, CancellationToken),
    /// The HTTP/2 stream is reset.
    Stream(H2Code),
    /// HTTP/2 GOAWAY with an error, and the end.
    GoAway(H2Code),
}

/// In the extensions of a response: it is not the API server's own, so the headers that this one puts on everything do
/// not belong there.
#[derive(Clone, Copy, Debug)]
pub struct Foreign;

impl Severed {
    /// Ends the connection or stream that `line` is. Never returns where the whole connection ends.
    ///
    /// # Errors
    /// The error that makes an HTTP/2 server reset the stream with the right code.
    pub async fn apply<T>(&self, line: &crate::Line) -> Result<T, h2::Error> {
        match self {
            Self::Connection(how, held) => line.cut(*how, held),
            Self::Stream(code) => return Err(h2::Error::from(h2::Reason::from(code.code()))),
            Self::GoAway(code) => line.order(crate::line::Order::GoAway {
                code: *code,
                streams_back: 0,
                abrupt: true,
                after: crate::line::Moment::Now,
            }),
        }
        std::future::pending().await
    }

    pub(crate) fn response(self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from_static(b"no answer: cut by a fault\n"));
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        response.extensions_mut().insert(self);
        response
    }
}

/// A rendered refusal as a response.
#[must_use]
pub fn response(answer: Answer) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let fixed = answer.headers.into_iter().map(|(name, value)| (name.to_owned(), value));
    for (name, value) in fixed.chain(answer.extra_headers) {
        // A plan can write down what no header may hold.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(&value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}
