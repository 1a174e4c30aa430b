//! The preference among version names: GA before beta before alpha, higher numbers first, other names last.
//!
//! Counterpart: apimachinery `util/version.CompareKubeAwareVersionStrings`.

use std::cmp::{Ordering, Reverse};

/// Maturity, larger is better.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Alpha,
    Beta,
    Stable,
}

/// Reads `v1`, `v2beta3`, `v1alpha1` into (stage, major, minor).
fn parse(version: &str) -> Option<(Stage, u32, u32)> {
    let rest = version.strip_prefix('v')?;
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (major, tail) = rest.split_at(digits);
    let major = number(major)?;
    if tail.is_empty() {
        return Some((Stage::Stable, major, 0));
    }
    let (stage, minor) = match (tail.strip_prefix("beta"), tail.strip_prefix("alpha")) {
        (Some(minor), _) => (Stage::Beta, minor),
        (None, Some(minor)) => (Stage::Alpha, minor),
        (None, None) => return None,
    };
    Some((stage, major, number(minor)?))
}

fn number(digits: &str) -> Option<u32> {
    if digits.is_empty() || digits.starts_with('0') || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// Orders version names so that the preferred one comes first.
#[must_use]
pub fn compare_versions(a: &str, b: &str) -> Ordering {
    match (parse(a), parse(b)) {
        (Some(x), Some(y)) => Reverse(x).cmp(&Reverse(y)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stable_comes_before_beta_before_alpha_before_other_names() {
        let mut versions =
            ["foo10", "v1alpha1", "v10", "foo1", "v2", "v11beta2", "v3beta1", "v12alpha1", "v1", "v1beta0"];
        versions.sort_by(|a, b| compare_versions(a, b));
        assert_eq!(
            versions,
            ["v10", "v2", "v1", "v11beta2", "v3beta1", "v12alpha1", "v1alpha1", "foo1", "foo10", "v1beta0"]
        );
    }
}
