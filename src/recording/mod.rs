//! Recording with everything in its place: the client's transport as the upstream of the proxy, a tape on disk, the
//! recorder around the fake server. The parts are in `rehearsal_cassettes`; which of them meet is decided here.

mod expiry;
mod json_only;
mod outcome;
mod server;
mod tape;
mod upstream;

pub use expiry::{age_of_expiry, is_expired};
pub use json_only::JsonOnly;
pub use outcome::outcome_of;
pub(crate) use server::{ClusterClock, Recorded, ServerLayer};
pub use server::{ServerRecorder, record_server};
pub(crate) use tape::now;
pub use tape::{OnFailure, Recording, RecordingOptions, RedactionOptions, Start, start};
pub use upstream::ConfigUpstream;
