//! Looking at a tape: the time line as data and as one self-contained page.

mod diff;
mod mask;
mod page;
mod perfetto;
mod timeline;

pub use diff::{Drift, TapeDiff};
pub use mask::{Mask, MaskError};
pub use page::{live_page, page};
pub use perfetto::perfetto;
pub use timeline::{Timeline, TimelineCall, TimelineLane, TimelineMark};
