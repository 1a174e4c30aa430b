//! What a scan found: places and classes, never the secrets. As text, JSON and SARIF.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use crate::redact::Class;

/// One place that holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The file.
    pub file: String,
    /// Line in the file, from 1; 0 where there are no lines.
    pub line: u64,
    /// Id of the call on a tape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<u64>,
    /// Where in the call or document: `response.body$.data.password`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Why it counts as a secret, as [`Class::as_str`] names it.
    pub class: &'static str,
    /// What had to be undone to see it: `base64 > gzip`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub within: String,
}

/// A file that could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// Why not.
    pub problem: String,
}

/// What a scan found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ScanReport {
    /// Secrets, by file and line.
    pub findings: Vec<Finding>,
    /// Files that could not be looked at.
    pub problems: Vec<Problem>,
    /// What a reader should know, such as a tape that was never swept.
    pub notes: Vec<String>,
    /// Files looked at.
    pub files: u64,
    /// Bytes in them, after decompression.
    pub bytes: u64,
}

impl ScanReport {
    /// 0: nothing found. 1: secrets found. 2: something could not be looked at, so nothing is certain.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match (self.problems.is_empty(), self.findings.is_empty()) {
            (false, _) => 2,
            (true, false) => 1,
            (true, true) => 0,
        }
    }

    /// The report as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        value["schemaVersion"] = 1.into();
        value["exitCode"] = self.exit_code().into();
        value
    }

    /// The report as SARIF 2.1.0, for code review tools.
    #[must_use]
    pub fn to_sarif(&self) -> Value {
        let mut classes: Vec<&str> = self.findings.iter().map(|f| f.class).collect();
        classes.sort_unstable();
        classes.dedup();
        let rules: Vec<Value> = classes
            .iter()
            .map(|class| json!({"id": class, "shortDescription": {"text": format!("secret left on a tape: {class}")}}))
            .collect();
        let results: Vec<Value> = self.findings.iter().map(result).collect();
        let notifications: Vec<Value> = self
            .problems
            .iter()
            .map(|p| json!({"level": "error", "message": {"text": format!("{}: {}", p.file, p.problem)}}))
            .collect();
        json!({
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{
                "tool": {"driver": {"name": "rehearsal tape scan", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
                "invocations": [{
                    "executionSuccessful": self.problems.is_empty(), "toolExecutionNotifications": notifications,
                }],
                "results": results,
            }],
        })
    }

    pub(super) fn settle(&mut self) {
        self.findings.sort();
        self.findings.dedup();
        self.notes.sort();
        self.notes.dedup();
    }
}

fn result(finding: &Finding) -> Value {
    let mut location = json!({"physicalLocation": {"artifactLocation": {"uri": finding.file}}});
    if finding.line > 0 {
        location["physicalLocation"]["region"] = json!({"startLine": finding.line});
    }
    if !finding.path.is_empty() {
        location["logicalLocations"] = json!([{"fullyQualifiedName": finding.path}]);
    }
    json!({
        "ruleId": finding.class, "level": if finding.class == Class::Entropy.as_str() { "warning" } else { "error" },
        "message": {"text": finding.words()}, "locations": [location],
    })
}

impl Finding {
    fn words(&self) -> String {
        let mut text = format!("{} left", self.class);
        if let Some(call) = self.call {
            text.push_str(&format!(" in call {call}"));
        }
        if !self.path.is_empty() {
            text.push_str(&format!(" at {}", self.path));
        }
        if !self.within.is_empty() {
            text.push_str(&format!(" within {}", self.within));
        }
        text
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.words()),
            line => write!(f, "{}:{line}: {}", self.file, self.words()),
        }
    }
}

impl fmt::Display for ScanReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        for Problem { file, problem } in &self.problems {
            writeln!(f, "{file}: {problem}")?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        let Self { findings, files, bytes, .. } = self;
        write!(f, "{} secrets in {files} files, {bytes} bytes looked at", findings.len())
    }
}
