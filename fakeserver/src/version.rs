//! What `/version` says.

use rehearsal_apimachinery::version::Info;

/// The Kubernetes version this server behaves as.
pub(crate) const KUBERNETES: &str = "v1.36.0";

/// The answer to `/version`.
#[must_use]
pub(crate) fn info() -> Info {
    Info {
        major: "1".into(),
        minor: "36".into(),
        emulation_major: "1".into(),
        emulation_minor: "36".into(),
        min_compatibility_major: "1".into(),
        min_compatibility_minor: "35".into(),
        git_version: format!("{KUBERNETES}+rehearsal-{}", env!("CARGO_PKG_VERSION")),
        git_commit: "0000000000000000000000000000000000000000".into(),
        git_tree_state: "clean".into(),
        build_date: "2026-01-01T00:00:00Z".into(),
        go_version: "go1.26.0".into(),
        compiler: "gc".into(),
        platform: "linux/amd64".into(),
    }
}
