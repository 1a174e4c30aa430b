//! [`Dormant`]: a watch that no rule has looked at, and [`Follow`], what it takes to ask the rules about one.

use super::frames::Pipeline;
use super::{Awaken, Frames, Inner};
use crate::control::Faults;
use crate::facts::Facts;
use crate::host::Host;
use crate::layer::{Describe, Record};
use crate::line::Line;
use bytes::Bytes;
use std::sync::Arc;

/// What a watch needs to be asked about.
pub(crate) struct Follow<H> {
    pub(crate) faults: Faults,
    pub(crate) host: H,
    pub(crate) facts: Arc<Facts>,
    pub(crate) line: Option<Line>,
    pub(crate) record: Record,
}

/// A watch that no rule has looked at. There may be a hundred thousand of them.
struct Dormant<H> {
    body: Inner,
    faults: Faults,
    host: H,
    describe: Describe,
    line: Option<Line>,
    record: Record,
}

pub(super) fn dormant<H: Host>(
    body: Inner,
    faults: Faults,
    host: H,
    describe: Describe,
    line: Option<Line>,
    record: Record,
) -> Box<dyn Awaken> {
    Box::new(Dormant { body, faults, host, describe, line, record })
}

impl<H: Host> Awaken for Dormant<H> {
    fn is_looked_at(&self) -> bool {
        self.faults.looks_at_frames()
    }

    fn body(&mut self) -> &mut Inner {
        &mut self.body
    }

    fn awaken(self: Box<Self>, first: Bytes) -> Frames {
        let Self { body, faults, host, describe, line, record } = *self;
        let listener = line.as_ref().map(Line::lane).unwrap_or_default().to_owned();
        let facts = Arc::new(Facts { listener, ..describe() });
        Pipeline::new(body, Follow { faults, host, facts, line, record }).beginning_with(first).into_frames()
    }
}
