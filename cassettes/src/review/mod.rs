//! Looking at a tape: the time line as data and as one self-contained page.

mod diff;
mod page;
mod timeline;

pub use diff::{Drift, TapeDiff};
pub use page::{live_page, page};
pub use timeline::{Timeline, TimelineCall, TimelineLane, TimelineMark};
