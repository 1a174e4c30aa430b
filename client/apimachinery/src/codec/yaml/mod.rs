//! YAML in and out, by way of JSON values.
//!
//! Counterpart: `sigs.k8s.io/yaml` over `yaml.v2`: YAML 1.1 words (`n` is false), the first document of a stream,
//! later duplicates win, sorted keys on the way out. This is the only user of `serde_yaml`.

mod emit;
mod read;

pub use emit::encode;
pub use read::{parse, parse_map};

/// Cuts a stream at its `---` lines; blank documents are left out.
#[must_use]
pub fn documents(stream: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut start = 0;
    let mut at = 0;
    for line in stream.split_inclusive('\n') {
        if line.strip_prefix("---").is_some_and(|rest| rest.trim().is_empty() || rest.starts_with(" #")) {
            out.push(&stream[start..at]);
            start = at + line.len();
        }
        at += line.len();
    }
    out.push(&stream[start..]);
    out.retain(|document| document.lines().any(|l| !l.trim().is_empty() && !l.trim_start().starts_with('#')));
    out
}

#[cfg(test)]
mod tests;
