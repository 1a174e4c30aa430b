//! Making a tape smaller while something stays true of it: which event is the first that is needed (bisect), and which
//! can go (minimise). The judge is somebody else's: these are searches over tapes, without processes and clocks.

mod bisect;
mod ddmin;
mod fields;
mod units;

pub use bisect::{Bisection, bisect, prefix};
pub use ddmin::{minimize, minimize_levels};
pub use units::{Level, Unit, size, units, without};

/// What a judge says of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Judgement {
    /// The bug shows.
    Fails,
    /// It does not, or nobody can tell.
    Passes,
}

/// The judge has no more time or turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfBudget;

/// Judges a candidate.
pub trait Judge {
    /// # Errors
    /// [`OutOfBudget`] when it will not judge any more.
    fn judge(&mut self, candidate: &crate::format::model::Tape) -> Result<Judgement, OutOfBudget>;

    /// Judges again, whatever was said of the candidate before.
    ///
    /// # Errors
    /// [`OutOfBudget`] when it will not judge any more.
    fn again(&mut self, candidate: &crate::format::model::Tape) -> Result<Judgement, OutOfBudget> {
        self.judge(candidate)
    }
}
