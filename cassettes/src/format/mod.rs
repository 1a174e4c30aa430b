//! The tape format: the data model, its YAML text, the journal and its recovery, the canonical form.

mod body;
mod canonical;
mod cause;
pub mod delta;
mod emit;
mod error;
mod fields;
mod file;
mod finish;
mod fold;
#[cfg(test)]
mod golden;
mod index;
mod journal;
pub mod json;
mod lint;
pub mod migrate;
pub mod model;
mod parse;
pub mod paths;
pub mod read;
mod revisions;
mod same;
mod show;
mod side;
#[cfg(test)]
mod strategies;
mod subset;
mod symbols;
#[cfg(test)]
mod tests;
mod tidy;
mod tree;
pub mod write;

pub use canonical::{Loaded, Seal, from_text, load, load_bytes, save, seal, to_text, write_atomically};
pub use error::{Place, TapeError};
pub use file::TapeFile;
pub use finish::{Finished, make_canonical, put, replace};
pub use fold::fold;
pub use index::{Row, RowKind, Sighting};
pub use journal::{JournalWriter, Recovered, framed, is_journal, recover};
pub use lint::{Finding, LintOptions, Severity, lint};
pub use revisions::resource;
pub use show::{Selection, brief, show};
pub use side::{LARGE, SideFiles};
pub use symbols::{literal, symbolise};
pub use tidy::{Form, tidy};
pub use tree::Tree;
