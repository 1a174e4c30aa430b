//! Media types: JSON, YAML and protobuf, in and out, for typed and untyped objects, and the frames of a watch.
//!
//! Counterpart: apimachinery `runtime/serializer`. What a body must look like is decided by the type catalogue it is
//! read against; which codec serves a request is decided elsewhere.

pub mod frames;
pub mod json;
pub mod protobuf;
pub mod yaml;
