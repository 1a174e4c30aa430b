//! What can go wrong when asking what a server offers.

use crate::error::Error;
use rehearsal_apimachinery::GroupVersion;
use std::collections::BTreeMap;
use std::fmt;

/// Some group-versions could not be discovered; what could be is returned beside this.
#[derive(Clone, Debug)]
pub struct GroupDiscoveryFailed {
    /// The failures.
    pub groups: BTreeMap<GroupVersion, Box<Error>>,
}

impl fmt::Display for GroupDiscoveryFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list: Vec<_> = self.groups.iter().map(|(gv, error)| format!("{gv}: {error}")).collect();
        write!(f, "unable to retrieve the complete list of server APIs: {}", list.join(", "))
    }
}

impl std::error::Error for GroupDiscoveryFailed {}

/// A kind or resource that maps to nothing, or to several things.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MappingError {
    /// No kind of this name.
    #[error("no matches for kind {kind:?}{}", if versions.is_empty() { String::new() } else { format!(" in version {:?}", versions.join(", ")) })]
    NoKindMatch {
        /// Group and kind, or the kind alone.
        kind: String,
        /// Versions asked for.
        versions: Vec<String>,
    },
    /// No resource of this name.
    #[error("no matches for {0}")]
    NoResourceMatch(String),
    /// Several resources, or several kinds, fit.
    #[error("{asked} matches multiple resources or kinds: {}", matches.join(", "))]
    Ambiguous {
        /// What was asked for.
        asked: String,
        /// What fits.
        matches: Vec<String>,
    },
}

impl MappingError {
    /// Whether nothing matched. Counterpart: `meta.IsNoMatchError`.
    #[must_use]
    pub fn is_no_match(&self) -> bool {
        !matches!(self, Self::Ambiguous { .. })
    }
}
