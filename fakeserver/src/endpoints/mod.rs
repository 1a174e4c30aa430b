//! What answers a request: routing, one file a verb, and the forms an answer can have.

pub(crate) mod admin;
mod admin_faults;
mod component_status;
pub(crate) mod context;
mod create;
mod delete;
mod get;
mod list;
mod list_body;
mod negotiate;
mod non_resource;
pub mod partial;
mod patch;
pub(crate) mod respond;
pub(crate) mod router;
pub(crate) mod subresources;
pub mod table;
mod update;
mod view;
mod warnings;
mod watch;
mod wire;

pub use subresources::ScalePaths;
