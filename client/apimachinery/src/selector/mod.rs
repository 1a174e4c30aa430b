//! Label and field selectors: parsed, printed, matched.
//!
//! Counterparts: apimachinery `labels` and `fields`. A selector knows nothing of objects; it asks a closure for the
//! value behind a key. Errors are the texts a server puts into its 400.

mod field;
mod label;
mod lexer;
mod parser;

pub use field::{FieldSelector, FieldTerm};
pub use label::{LabelSelector, Operator, Requirement, validate_label_selector};
