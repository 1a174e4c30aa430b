//! What has fired, on its way to the tape.

use super::super::serve::Shared;
use crate::firings::note;
use crate::format::Tree;
use crate::format::model::End;
use crate::mode::Action as Doing;
use crate::record::{Exchange, RecordError, RequestHead, Trail};
use bytes::Bytes;
use http::Response;
use http_body_util::BodyExt as _;
use rehearsal_fault_wire::{FaultBody, Record, Severed};
use rehearsal_faults::{Action, Cut};
use std::sync::Arc;

/// What a session asks at the end of its exchange: everything that has fired for it.
pub(in crate::proxy) fn witness(record: Record) -> impl Fn() -> Vec<Tree> + Send + Sync + 'static {
    move || record.firings().iter().map(|firing| note(firing, true)).collect()
}

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
        let later = firings.iter().flat_map(|f| &f.actions).any(|action| matches!(action, Action::CommitLater { .. }));
        let kept = shared.policy.action(false, &self.head) == Doing::Record;
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

/// How an exchange ends that rules have cut off.
fn end_of(severed: &Severed) -> End {
    match severed {
        Severed::Connection(Cut::Reset, _) => End::Reset { code: None },
        Severed::Connection(Cut::Eof | Cut::TlsEof, _) => End::EofNoNotify,
        Severed::Connection(Cut::HalfOpen, _) => End::Timeout,
        Severed::Connection(Cut::Clean, _) => End::Complete,
        Severed::Stream(code) => End::Reset { code: Some(code.code()) },
        Severed::GoAway(_) => End::ServerGoaway,
    }
}
