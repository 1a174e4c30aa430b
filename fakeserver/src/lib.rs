//! An in-memory kube-apiserver, library first.

pub mod clock;
pub mod ids;
pub mod strategies;
