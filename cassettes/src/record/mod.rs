//! Recording: what passes between a client and a server becomes the documents of a journal.
//!
//! [`Recorder`] numbers events and has them written in their order; [`Session`] follows one exchange through the pure
//! state machine of `capture.rs`; [`Tee`] is a body that tells its session what passes; [`RecordLayer`] does all of it
//! around any tower service. Back-pressure, never a silent drop: a client waits when the tape cannot be written fast
//! enough.

mod body;
mod capture;
mod clean;
mod clock;
mod coding;
mod event;
mod facts;
mod framer;
mod headers;
mod layer;
mod limits;
mod recorder;
mod repeats;
mod session;
mod sink;
mod sync;
mod tally;
mod tape;
mod tee;
mod upgrade;
mod websocket;
mod writer;

pub use body::{body_of, summary_of};
pub use capture::{Capture, Streaming};
pub use clean::Redaction;
pub use clock::{SystemClock, TapeClock};
pub use event::{Event, Media, Payload, RequestHead};
pub(crate) use headers::{BEARER_PROTOCOL, closes};
pub use headers::{request_headers, response_headers, target};
pub(crate) use layer::AUDIT_ID;
pub use layer::{Chained, MAX_REQUEST, Names, RecordLayer, RecordService, audit, read_whole};
pub use limits::Limits;
pub use recorder::{Recorder, RecorderOptions, Summary};
pub use session::{Exchange, Session, Trail};
pub use sink::{MemorySink, RecordError, Sink};
pub use tally::Tally;
pub use tape::{Clean, TapePaths, TapeSink};
pub use tee::{Outcome, Tee, Trouble};
pub use upgrade::{Tunnel, TunnelFacts};
pub use websocket::{Message, Reader as WebSocketReader};
