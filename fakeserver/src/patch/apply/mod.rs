//! The engine under server-side apply: sets of field paths, and walks of values by schema that compare, merge and
//! remove. It knows managers only as names with sets; entries of `metadata.managedFields` are made next door, in
//! [`managed_fields`](super::managed_fields).
//!
//! Counterpart: `sigs.k8s.io/structured-merge-diff` v6.

mod compare;
mod field_set;
mod fields_v1;
mod manager;
mod merge;
mod path;
mod remove;
mod set;
mod typed;
mod validate;
mod value;

pub use fields_v1::ordered_json;
pub use manager::Operation;
pub use typed::Schema;

pub(super) use compare::compare;
pub(super) use field_set::field_set;
pub(super) use fields_v1::{from_fields_v1, to_fields_v1};
pub(super) use manager::{Conflict, Entry, Id, Managers, Refusal, Updater};
pub(super) use path::{PathElement, print};
pub(super) use set::Set;
pub(super) use validate::{Duplicates, validate};
