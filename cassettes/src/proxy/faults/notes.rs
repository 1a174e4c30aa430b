//! What has fired, on its way to the tape.

use super::super::serve::Shared;
use crate::firings::{end_of, is_late, note};
use crate::format::model::End;
use crate::mode::Action;
use crate::record::{Exchange, RecordError, RequestHead, Trail};
use bytes::Bytes;
use http::Response;
use http_body_util::BodyExt as _;
use rehearsal_fault_wire::{FaultBody, Record, Severed};
use std::sync::Arc;

/// A request that may be answered without the upstream.
pub(in crate::proxy) struct Unasked {
    pub(in crate::proxy) lane: Arc<str>,
    pub(in crate::proxy) conn: u64,
    pub(in crate::proxy) head: RequestHead,
    pub(in crate::proxy) body: Option<Bytes>,
    pub(in crate::proxy) trail: Trail,
}

impl Unasked {
    /// Writes down a request that rules have answered, with the answer they gave.
    pub(in crate::proxy) async fn written(
        self,
        shared: &Shared,
        record: &Record,
        answer: Response<FaultBody>,
    ) -> Result<Response<FaultBody>, RecordError> {
        let firings = record.firings();
        // One that is stored later reaches the upstream later, and is on the tape then.
        let later = is_late(&firings);
        let kept = shared.policy.action(false, &self.head) == Action::Record;
        let Some(recorder) = shared.recorder.as_ref().filter(|_| kept && !later) else { return Ok(answer) };
        let Self { lane, conn, head, body, trail } = self;
        let id = recorder.next_id();
        let mut session = recorder.begin(Exchange { id, lane, conn, head, body, audit_id: None, trail }).await?;
        firings.iter().for_each(|firing| session.fault(note(firing, false)));
        if let Some(severed) = answer.extensions().get::<Severed>() {
            session.end(end_of(severed));
            return Ok(answer);
        }
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        session.head(parts.status.as_u16(), &parts.headers);
        session.data(&bytes);
        session.end(End::Complete);
        session.settled().await?;
        Ok(Response::from_parts(parts, FaultBody::plain(http_body_util::Full::new(bytes))))
    }
}
