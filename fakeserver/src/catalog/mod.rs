//! One table of everything the server serves: built-in resources and custom ones, in the same row type.
//!
//! [`ResourceInfo`] is a row, [`ResourceTable`] an immutable snapshot of all rows that the server replaces as a whole
//! when a CRD changes. [`discovery`] and [`openapi`] print the table. Counterpart: the API group installers of
//! kube-apiserver and the custom resource handler's map, which there are two different things.

pub mod builtin;
pub mod crd;
pub mod discovery;
pub mod openapi;
pub mod resource_info;
mod versions;

pub use builtin::{Priority, priority, scale};
pub use resource_info::{Columns, GroupInfo, ResourceInfo, ResourceTable, SubresourceInfo};
pub use versions::compare_versions;
