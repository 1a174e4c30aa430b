//! Typed objects: the [`Resource`] trait, lists, watch events, and how a kind finds its Rust type.
//!
//! Counterparts: apimachinery `runtime.Object`, `runtime.Scheme`, `meta/v1/unstructured`, `meta/v1.PartialObjectMetadata`.
//! Handles that send typed objects are in `clientset/`.

mod custom;
mod event;
mod list;
mod object;
mod parameters;
mod partial;
mod registry;
mod resource;
mod structural;
mod unstructured;
pub mod verbs;

pub use custom::{CustomObject, CustomObjectRef};
pub use event::TypedEvent;
pub(crate) use event::{EventOrFailure, typed_from_json, typed_from_protobuf, typed_from_value};
pub use list::List;
pub use object::Object;
pub use parameters::{FromQuery, ParameterCodec};
pub use partial::PartialObjectMetadata;
pub use registry::{Registered, Scheme, SchemeError};
pub use resource::{Resource, Scope};
pub use structural::structural_schema;
pub use unstructured::Unstructured;
