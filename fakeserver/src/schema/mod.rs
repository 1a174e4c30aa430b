//! The schema engine: what is done to an object by its type alone.
//!
//! Counterpart: the generated defaulting of kube-apiserver, and the structural schemas of apiextensions-apiserver for
//! custom resources. What a kind needs beyond its types is in [`crate::strategies`].

pub mod columns;
pub mod custom;
pub mod defaulting;
pub mod jsonpath;
