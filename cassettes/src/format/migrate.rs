//! Versions of the format: what is refused, and what converts older documents.
//!
//! A new major version brings one more pure function `Tree → Tree` and its fixture under `fixtures/`; converters run one
//! after the other and are kept for good. Minor versions only add fields, which older readers carry along.

use super::model::FormatVersion;
use super::tree::Tree;

/// The version that is written.
pub const CURRENT: (u32, u32) = (1, 0);

/// Features beyond the first version that this program knows.
const FEATURES: [&str; 1] = [super::delta::FEATURE];

/// From major version N to N + 1, at N - 1.
const STEPS: [fn(Tree) -> Tree; (CURRENT.0 - 1) as usize] = [];

/// Brings documents of one version to the current one.
#[derive(Clone, Copy, Debug)]
pub struct Converter {
    steps: &'static [fn(Tree) -> Tree],
}

impl Converter {
    /// Converts one document.
    #[must_use]
    pub fn convert(&self, tree: Tree) -> Tree {
        self.steps.iter().fold(tree, |tree, step| step(tree))
    }
}

/// What converts a tape of a version.
///
/// # Errors
/// A message for versions and features that are not known.
pub fn converter(format: &FormatVersion) -> Result<Converter, String> {
    let (major, minor) = CURRENT;
    let mine = format!("this program reads up to {major}.{minor}");
    if format.major > major {
        return Err(format!("the tape has format {}.{}, {mine}: a newer one is needed", format.major, format.minor));
    }
    if format.major == 0 {
        return Err(format!("there never was a format 0.{}; {mine}", format.minor));
    }
    let unknown: Vec<_> = format.requires.iter().filter(|name| !FEATURES.contains(&name.as_str())).cloned().collect();
    if !unknown.is_empty() {
        return Err(format!("the tape requires {}, which this program does not know", unknown.join(", ")));
    }
    Ok(Converter { steps: STEPS.get((format.major - 1) as usize..).unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(major: u32, minor: u32, requires: &[&str]) -> String {
        let requires = requires.iter().map(|r| (*r).to_owned()).collect();
        converter(&FormatVersion { major, minor, requires }).unwrap_err()
    }

    #[test]
    fn other_ages_and_features_are_refused_with_what_to_do() {
        assert_eq!(refusal(2, 3, &[]), "the tape has format 2.3, this program reads up to 1.0: a newer one is needed");
        assert_eq!(refusal(1, 0, &["delta", "smell"]), "the tape requires smell, which this program does not know");
        assert!(refusal(0, 9, &[]).starts_with("there never was"));
    }

    #[test]
    fn newer_minor_versions_are_read() {
        assert!(converter(&FormatVersion { major: 1, minor: 9, requires: Vec::new() }).is_ok());
    }
}
