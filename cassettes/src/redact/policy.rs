//! What a user wants on top of the defaults: rules in YAML, the first match wins. The policy's hash goes into the
//! tape's header, so that a reader can tell two recordings under different rules apart.

use std::path::{Path, PathBuf};

use regex::Regex;
use rehearsal_apimachinery::codec::yaml;
use serde::Deserialize;
use serde_json::json;

use super::context::Context;
use super::path::{JsonPath, Step};
use super::pseudonym::sha256;

/// Version of the defaults; part of the policy's hash.
const DEFAULTS: &str = "1";

/// What to do with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Leave it as it is.
    Keep,
    /// Take it out: members and headers go, items of lists become null.
    Drop,
    /// `redacted-` and eight digits, equal for equal values.
    Pseudonym,
    /// `hmac-sha256:` and 64 digits, equal for equal values.
    Hash,
    /// A fixed text.
    Constant(String),
    /// A placeholder that parses as what it stands for: JWT, PEM, docker configuration. The default.
    Shape,
}

/// The rules of a recording. [`Policy::default`] has none: the defaults of this module alone.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    rules: Vec<Rule>,
    /// Replace the names of a Secret's keys too.
    pub redact_keys: bool,
    /// Take `last-applied-configuration` annotations out whole.
    pub drop_last_applied: bool,
}

/// One rule.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    kind: Option<KindMatch>,
    namespace: Option<String>,
    lane: Option<String>,
    pub(super) target: Target,
    pub(super) action: Action,
    text: serde_json::Value,
}

/// What a rule means within the objects it is about.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Path(JsonPath),
    Header(String),
    Regex(Regex),
}

#[derive(Clone, Debug)]
struct KindMatch {
    group: String,
    version: String,
    kind: String,
}

/// Why a policy cannot be used. No text of the policy beyond rule numbers, names and patterns is repeated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The file cannot be read.
    #[error("read redaction policy {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not YAML, or not a policy.
    #[error("redaction policy: {0}")]
    Syntax(String),
    /// A rule that cannot work.
    #[error("redaction rule {number}: {problem}")]
    Rule {
        /// Its ordinal, from 1.
        number: usize,
        /// What is wrong.
        problem: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[derive(Default)]
struct PolicyText {
    redact_keys: bool,
    drop_last_applied: bool,
    rules: Vec<RuleText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    #[serde(rename = "match")]
    when: MatchText,
    action: String,
    value: Option<String>,
    why: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MatchText {
    gvk: Option<String>,
    ns: Option<String>,
    lane: Option<String>,
    path: Option<String>,
    header: Option<String>,
    regex: Option<String>,
}

impl Policy {
    /// Reads rules.
    ///
    /// # Errors
    /// Text that is no policy, unknown fields and actions, `keep` without `why`, a rule without exactly one of path,
    /// header and regex.
    pub fn from_yaml(text: &str) -> Result<Self, PolicyError> {
        let (value, _) = yaml::parse(text.as_bytes()).map_err(|e| PolicyError::Syntax(e.to_string()))?;
        if value.is_null() {
            return Ok(Self::default());
        }
        let policy: PolicyText = serde_json::from_value(value).map_err(|e| PolicyError::Syntax(e.to_string()))?;
        let rule = |(n, text)| Rule::read(text).map_err(|problem| PolicyError::Rule { number: n + 1, problem });
        Ok(Self {
            rules: policy.rules.into_iter().enumerate().map(rule).collect::<Result<_, _>>()?,
            redact_keys: policy.redact_keys,
            drop_last_applied: policy.drop_last_applied,
        })
    }

    /// Reads rules from a file.
    ///
    /// # Errors
    /// As [`Policy::from_yaml`], and files that cannot be read.
    pub fn from_file(path: &Path) -> Result<Self, PolicyError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| PolicyError::File { path: path.to_owned(), source })?;
        Self::from_yaml(&text)
    }

    /// SHA-256 over defaults and rules, in hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> String {
        let rules: Vec<_> = self.rules.iter().map(|rule| &rule.text).collect();
        let whole = json!({
            "defaults": DEFAULTS, "redactKeys": self.redact_keys, "dropLastApplied": self.drop_last_applied, "rules": rules,
        });
        sha256(whole.to_string().as_bytes())
    }

    /// The first rule about a header. Rules of one kind's objects do not count.
    pub(super) fn header(&self, context: &Context, name: &str) -> Option<&Action> {
        let fits = |rule: &&Rule| match &rule.target {
            Target::Header(pattern) => glob(pattern, &name.to_ascii_lowercase()),
            _ => false,
        };
        self.rules.iter().filter(|r| r.applies(context, &context.info.namespace, None)).find(fits).map(|r| &r.action)
    }

    /// The rules about an object's paths, in order.
    pub(super) fn paths(&self, context: &Context, namespace: &str, api_version: &str, kind: &str) -> Vec<&Rule> {
        let namespace = if namespace.is_empty() { &context.info.namespace } else { namespace };
        let is_path = |r: &&Rule| matches!(r.target, Target::Path(_));
        let applies = |r: &&Rule| r.applies(context, namespace, Some((api_version, kind)));
        self.rules.iter().filter(is_path).filter(applies).collect()
    }

    /// The rules about any text.
    pub(super) fn regexes(&self, context: &Context) -> Vec<(&Regex, &Action)> {
        self.rules
            .iter()
            .filter(|rule| rule.applies(context, &context.info.namespace, None))
            .filter_map(|rule| match &rule.target {
                Target::Regex(regex) => Some((regex, &rule.action)),
                _ => None,
            })
            .collect()
    }

    pub(super) fn has_paths(&self) -> bool {
        self.rules.iter().any(|rule| matches!(rule.target, Target::Path(_)))
    }

    pub(super) fn has_regexes(&self) -> bool {
        self.rules.iter().any(|rule| matches!(rule.target, Target::Regex(_)))
    }
}

impl Rule {
    fn read(text: RuleText) -> Result<Self, String> {
        let MatchText { gvk, ns, lane, path, header, regex } = text.when;
        let described = json!({
            "gvk": gvk, "ns": ns, "lane": lane, "path": path, "header": header, "regex": regex, "action": text.action,
            "value": text.value,
        });
        let target = match (path, header, regex) {
            (Some(path), None, None) => Target::Path(JsonPath::parse(&path).map_err(|e| format!("path {path}: {e}"))?),
            (None, Some(header), None) => Target::Header(header.to_ascii_lowercase()),
            (None, None, Some(regex)) => {
                Target::Regex(Regex::new(&regex).map_err(|_| format!("regex {regex} does not compile"))?)
            }
            _ => return Err("match needs exactly one of path, header and regex".to_owned()),
        };
        let action = match (text.action.as_str(), text.value) {
            ("keep", None) if text.why.as_deref().unwrap_or_default().trim().is_empty() => {
                return Err("keep needs a why".to_owned());
            }
            ("keep", None) => Action::Keep,
            ("drop", None) => Action::Drop,
            ("pseudonym", None) => Action::Pseudonym,
            ("hash", None) => Action::Hash,
            ("shape", None) => Action::Shape,
            ("constant", Some(value)) => Action::Constant(value),
            ("constant", None) => return Err("constant needs a value".to_owned()),
            ("keep" | "drop" | "pseudonym" | "hash" | "shape", Some(_)) => {
                return Err("only constant has a value".to_owned());
            }
            (other, _) => {
                return Err(format!(
                    "unknown action {other}, there are keep, drop, pseudonym, hash, constant and shape"
                ));
            }
        };
        let kind = gvk.as_deref().map(KindMatch::parse).transpose()?;
        if kind.is_some() && !matches!(target, Target::Path(_)) {
            return Err("gvk goes with path only".to_owned());
        }
        Ok(Self { kind, namespace: ns, lane, target, action, text: described })
    }

    fn applies(&self, context: &Context, namespace: &str, object: Option<(&str, &str)>) -> bool {
        let kind = match (&self.kind, object) {
            (Some(want), Some((api_version, kind))) => want.fits(api_version, kind),
            (Some(_), None) => false,
            (None, _) => true,
        };
        kind && self.namespace.as_ref().is_none_or(|want| glob(want, namespace))
            && self.lane.as_ref().is_none_or(|want| glob(want, &context.lane))
    }

    /// Whether the rule is about the value at these steps of its object.
    pub(super) fn is_at(&self, steps: &[Step<'_>]) -> bool {
        matches!(&self.target, Target::Path(path) if path.matches(steps))
    }
}

impl KindMatch {
    /// `Kind`, `version/Kind` or `group/version/Kind`; `*` stands for anything.
    fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let (group, version, kind) = match parts.as_slice() {
            [kind] => ("*", "*", *kind),
            [version, kind] => ("", *version, *kind),
            [group, version, kind] => (*group, *version, *kind),
            _ => return Err(format!("gvk {text} is not group/version/Kind, version/Kind or Kind")),
        };
        Ok(Self { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned() })
    }

    fn fits(&self, api_version: &str, kind: &str) -> bool {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        // A patch names no version: its kind is known from the path alone.
        let unnamed = api_version.is_empty();
        glob(&self.kind, kind) && (unnamed || (glob(&self.group, group) && glob(&self.version, version)))
    }
}

/// `*` matches any run of characters.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => {
            let Some(rest) = text.strip_prefix(head) else { return false };
            let cuts = rest.char_indices().map(|(n, _)| n).chain([rest.len()]);
            tail.is_empty() || cuts.into_iter().any(|n| glob(tail, &rest[n..]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(yaml: &str) -> String {
        Policy::from_yaml(yaml).unwrap_err().to_string()
    }

    #[test]
    fn rules_are_checked() {
        let ok = "rules:\n- match: {gvk: v1/ConfigMap, ns: 'demo-*', path: $.data.a}\n  action: constant\n  value: x\n";
        let policy = Policy::from_yaml(ok).unwrap();
        assert_ne!(policy.sha256(), Policy::default().sha256());
        assert_eq!(policy.sha256(), Policy::from_yaml(ok).unwrap().sha256());
        assert_eq!(problem("rules: [{match: {path: $.a}, action: keep}]"), "redaction rule 1: keep needs a why");
        assert_eq!(
            problem("rules: [{match: {}, action: drop}]"),
            "redaction rule 1: match needs exactly one of path, header and regex"
        );
        assert!(problem("rules: [{match: {path: $.a}, action: melt}]").contains("unknown action melt"));
        assert!(problem("rulez: []").contains("unknown field"));
        assert!(problem("rules: [{match: {regex: '('}, action: drop}]").contains("does not compile"));
        assert_eq!(Policy::from_yaml("").unwrap().sha256(), Policy::default().sha256());
    }

    #[test]
    fn rules_find_their_objects() {
        let policy = Policy::from_yaml(
            "rules:\n- match: {gvk: apps/v1/Deploy*, ns: demo, lane: sut, path: $.spec}\n  action: drop\n",
        )
        .unwrap();
        let count = |lane: &str, ns: &str, version: &str, kind: &str| {
            policy.paths(&Context::new(lane, "GET", "/x"), ns, version, kind).len()
        };
        assert_eq!(count("sut", "demo", "apps/v1", "Deployment"), 1);
        assert_eq!(count("sut", "demo", "", "Deployment"), 1);
        assert_eq!(count("sut", "demo", "v1", "Deployment"), 0);
        assert_eq!(count("sut", "other", "apps/v1", "Deployment"), 0);
        assert_eq!(count("driver", "demo", "apps/v1", "Deployment"), 0);
        assert!(glob("a*c*", "abcd") && !glob("a*d", "abc") && glob("*", ""));
    }
}
