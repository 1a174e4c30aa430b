//! API versions by priority, and the answer of `/version`.
//!
//! Counterparts: apimachinery `version.CompareKubeAwareVersionStrings` and `version.Info`. `v2` stands above `v1`, those
//! above `v1beta2`, those above `v1alpha1`, and anything else comes last in the order of its text.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// Maturity of an API version; a later one has priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Alpha,
    Beta,
    Ga,
}

/// `v<major>[alpha|beta<minor>]` as stage, major and minor, in the order of priority.
fn parse(version: &str) -> Option<(Stage, u64, u64)> {
    let rest = version.strip_prefix('v')?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (major, tail) = rest.split_at(end);
    let number = |digits: &str| -> Option<u64> {
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        if plain { digits.parse().ok() } else { None }
    };
    let major = number(major)?;
    match (tail, tail.strip_prefix("alpha"), tail.strip_prefix("beta")) {
        ("", ..) => Some((Stage::Ga, major, 0)),
        (_, Some(minor), _) => Some((Stage::Alpha, major, number(minor)?)),
        (_, _, Some(minor)) => Some((Stage::Beta, major, number(minor)?)),
        _ => None,
    }
}

/// Orders versions so that the one with the highest priority comes last: `Greater` means "takes priority".
#[must_use]
pub fn compare_kube_aware(a: &str, b: &str) -> Ordering {
    match (parse(a), parse(b)) {
        (Some(x), Some(y)) => x.cmp(&y),
        (Some(_), None) => Ordering::Greater,
        (None, Some(_)) => Ordering::Less,
        (None, None) => b.cmp(a),
    }
}

/// Sorts versions as discovery lists them: highest priority first.
pub fn sort_by_priority<S: AsRef<str>>(versions: &mut [S]) {
    versions.sort_by(|a, b| compare_kube_aware(b.as_ref(), a.as_ref()));
}

/// The answer of `GET /version`, members in wire order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Info {
    /// Major version of the binary.
    pub major: String,
    /// Minor version of the binary.
    pub minor: String,
    /// Major version whose behaviour is emulated.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub emulation_major: String,
    /// Minor version whose behaviour is emulated.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub emulation_minor: String,
    /// Major version of the oldest compatible release.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub min_compatibility_major: String,
    /// Minor version of the oldest compatible release.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub min_compatibility_minor: String,
    /// Such as `v1.36.0`.
    pub git_version: String,
    /// Commit hash.
    pub git_commit: String,
    /// `clean` or `dirty`.
    pub git_tree_state: String,
    /// RFC 3339 time of the build.
    pub build_date: String,
    /// Such as `go1.26.0`.
    pub go_version: String,
    /// Such as `gc`.
    pub compiler: String,
    /// Such as `linux/amd64`.
    pub platform: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stable_versions_take_priority() {
        let mut versions =
            ["v1alpha1", "foo1", "v1", "v10", "v2beta1", "v11alpha2", "v2", "v1beta1", "foo10", "v3beta1", "v12alpha1"];
        sort_by_priority(&mut versions);
        let want =
            ["v10", "v2", "v1", "v3beta1", "v2beta1", "v1beta1", "v12alpha1", "v11alpha2", "v1alpha1", "foo1", "foo10"];
        assert_eq!(versions, want);
    }

    #[test]
    fn info_keeps_the_wire_order() {
        let info = Info { major: "1".into(), minor: "36".into(), ..Info::default() };
        let text = serde_json::to_string(&info).unwrap();
        assert!(text.starts_with(r#"{"major":"1","minor":"36","gitVersion":"""#), "{text}");
        assert_eq!(serde_json::from_str::<Info>(&text).unwrap(), info);
    }
}
