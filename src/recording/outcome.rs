//! What the client's transport errors mean on a tape and to a proxied client.

use rehearsal_cassettes::proxy::{UpstreamError, UpstreamFailure};
use rehearsal_cassettes::record::Outcome;
use rehearsal_client::{TransportError, TransportKind};

/// The failure of an upstream.
pub(super) fn upstream_error(error: TransportError) -> UpstreamError {
    UpstreamError::new(failure_of(&error), error.to_string()).caused_by(error)
}

fn failure_of(error: &TransportError) -> UpstreamFailure {
    use TransportKind as Kind;
    if let Some(failure) = in_http2(error) {
        return failure;
    }
    match error.kind() {
        _ if error.is_unsent() => UpstreamFailure::Unreachable,
        Kind::Reset | Kind::BrokenWrite => UpstreamFailure::Reset { code: None },
        Kind::Eof | Kind::Closed => UpstreamFailure::Eof,
        Kind::GoAway | Kind::ConnectionLost => UpstreamFailure::GoAway,
        Kind::Timeout | Kind::Deadline => UpstreamFailure::Timeout,
        _ => UpstreamFailure::Other,
    }
}

/// What HTTP/2 itself said, where it did.
fn in_http2(error: &TransportError) -> Option<UpstreamFailure> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(h2) = cause.downcast_ref::<h2::Error>() {
            return match h2.reason() {
                Some(_) if h2.is_go_away() => Some(UpstreamFailure::GoAway),
                Some(reason) if h2.is_reset() => Some(UpstreamFailure::Reset { code: Some(reason.into()) }),
                _ => None,
            };
        }
        next = cause.source();
    }
    None
}

/// Tells how an exchange of the client ended: for [`RecordLayer::outcome`](rehearsal_cassettes::record::RecordLayer).
#[must_use]
pub fn outcome_of() -> Outcome {
    Outcome::new(|error| match error.downcast_ref::<TransportError>() {
        Some(error) => upstream_error(error.clone()).end(),
        None => Outcome::default().of(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_stream_keeps_its_code() {
        let reset = h2::Error::from(h2::Reason::ENHANCE_YOUR_CALM);
        let plain = TransportError::new(TransportKind::Reset, "reset");
        assert_eq!(failure_of(&plain), UpstreamFailure::Reset { code: None });
        // A reason by itself is neither a reset nor a farewell: only frames are.
        let wrapped = TransportError::with_source(TransportKind::Other, reset);
        assert_eq!(failure_of(&wrapped), UpstreamFailure::Other);
        assert_eq!(failure_of(&TransportError::new(TransportKind::Refused, "x")), UpstreamFailure::Unreachable);
    }
}
