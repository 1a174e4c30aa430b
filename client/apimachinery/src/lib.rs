//! The vocabulary of the Kubernetes API, without I/O: names of kinds and resources, object metadata, `Status`, field
//! errors, selectors, options, quantities and times, the catalogue of built-in types, and the codecs.
//!
//! Counterparts: apimachinery's `runtime/schema`, `meta/v1`, `api/errors`, `util/validation/field`, `api/resource`.
//! It holds words, not policy: nothing here decides what a server or a client does with them.

pub mod catalog;
pub mod codec;
pub mod field;
pub mod gvk;
pub mod meta;
pub mod options;
pub mod quantity;
pub mod request_info;
pub mod selector;
pub mod status;
#[cfg(test)]
mod testing;
pub mod time;
pub mod validation;
pub mod version;
pub mod watch;

pub use catalog::Catalog;
pub use field::{FieldError, Path};
pub use gvk::{GroupKind, GroupResource, GroupVersion, GroupVersionKind, GroupVersionResource};
pub use meta::{ObjectMeta, ObjectMetaMut};
pub use options::{CreateOptions, DeleteOptions, GetOptions, ListOptions, PatchOptions, Preconditions, UpdateOptions};
pub use selector::{FieldSelector, LabelSelector};
pub use status::{Status, StatusCause, StatusDetails, StatusReason};
pub use watch::{WatchEvent, WatchEventType};
