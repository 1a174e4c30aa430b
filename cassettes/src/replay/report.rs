//! What a replay says when a request has no answer, and when it ends.

use super::normal::Difference;
use serde::Serialize;
use std::fmt;

/// A request that the tape does not answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NoMatch {
    /// Logical client.
    pub lane: String,
    /// Method and path with query.
    pub request: String,
    /// The recording left such requests out on purpose: which rule it was; empty where it did not.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub left_out: String,
    /// What is nearest on the tape, best first, at most three.
    pub candidates: Vec<Candidate>,
}

/// A recorded call that was nearly meant.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// Id of the call.
    pub call: u64,
    /// Its route.
    pub route: String,
    /// Likeness: verb and resource 8, name, namespace and subresource 4, selectors 2, body 0 to 4.
    pub score: u32,
    /// Why it does not answer: already used, behind a write that was never sent, of another lane, another body.
    pub state: String,
    /// Where the bodies differ, at most ten places.
    pub differences: Vec<String>,
}

impl Candidate {
    pub(super) fn lines(differences: &[Difference]) -> Vec<String> {
        differences.iter().map(ToString::to_string).collect()
    }
}

impl fmt::Display for NoMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no answer on the tape for {} (lane {})", self.request, self.lane)?;
        if !self.left_out.is_empty() {
            write!(f, ": {}", self.left_out)?;
        }
        for candidate in &self.candidates {
            write!(f, "\n  nearest: #{} {}: {}", candidate.call, candidate.route, candidate.state)?;
            for line in &candidate.differences {
                write!(f, "\n    {line}")?;
            }
        }
        Ok(())
    }
}

/// What a replay came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EndReport {
    /// Requests without an answer.
    pub unmatched: Vec<NoMatch>,
    /// Recorded calls that nobody made, `#id route`.
    pub unused: Vec<String>,
    /// Frames that never went out, and what they waited for.
    pub unreleased: Vec<String>,
    /// What clients said otherwise over upgraded connections.
    pub otherwise: Vec<String>,
    /// Requests that were answered again from a call that was used before.
    pub repeated: u64,
    /// Requests answered before something that came before them in the recording.
    pub early: u64,
    /// Requests answered.
    pub answered: u64,
}

/// How a replay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// All requests were answered; in strict manner also: everything was used.
    Pass,
    /// Something of the recording did not happen.
    Unused,
    /// A request had no answer.
    Unmatched,
}

impl EndReport {
    /// What the report means; unused calls, and other words over upgraded connections, count in strict manner only.
    #[must_use]
    pub fn verdict(&self, strict: bool) -> Verdict {
        if !self.unmatched.is_empty() || strict && !self.otherwise.is_empty() {
            Verdict::Unmatched
        } else if strict && !(self.unused.is_empty() && self.unreleased.is_empty()) {
            Verdict::Unused
        } else {
            Verdict::Pass
        }
    }
}

impl fmt::Display for EndReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests answered, {} of them again, {} early; {} without an answer, {} recorded calls unused",
            self.answered,
            self.repeated,
            self.early,
            self.unmatched.len(),
            self.unused.len()
        )?;
        for unmatched in &self.unmatched {
            write!(f, "\n{unmatched}")?;
        }
        for (heading, lines) in
            [("unused", &self.unused), ("never sent", &self.unreleased), ("said otherwise", &self.otherwise)]
        {
            for line in lines.iter().take(20) {
                write!(f, "\n{heading}: {line}")?;
            }
            if lines.len() > 20 {
                write!(f, "\n{heading}: and {} more", lines.len() - 20)?;
            }
        }
        Ok(())
    }
}
