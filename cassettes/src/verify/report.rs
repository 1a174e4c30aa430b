//! [`VerifyReport`]: how many answers were compared, which of them differ, and where.

use crate::replay::normal::Difference;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// What a verification came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyReport {
    /// Answers that were compared.
    pub compared: u64,
    /// Answers that mean the same.
    pub equal: u64,
    /// Calls of the tape that were not sent, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// Answers that differ, in order.
    pub differences: Vec<CallDifference>,
}

/// An answer that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallDifference {
    /// Id of the call on the tape.
    pub call: u64,
    /// Its lane.
    pub lane: String,
    /// What was asked, as method and live path.
    pub request: String,
    /// Where the answers differ.
    pub places: Vec<PlaceDifference>,
}

/// One place of an answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlaceDifference {
    /// `status`, `headers.…`, `body.…`, `frames.…`.
    pub path: String,
    /// What is on the tape; none where the live answer has more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Value>,
    /// What came; none where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live: Option<Value>,
}

impl VerifyReport {
    /// Whether every answer means the same.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty()
    }

    /// Adds what came of one call.
    pub fn add(&mut self, difference: CallDifference) {
        self.compared += 1;
        if difference.places.is_empty() {
            self.equal += 1;
        } else {
            self.differences.push(difference);
        }
    }
}

impl fmt::Display for PlaceDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, recorded, live } = self.clone();
        Difference { path, recorded, live }.fmt(f)
    }
}

impl fmt::Display for CallDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call {} ({}): {}", self.call, self.lane, self.request)?;
        self.places.iter().try_for_each(|place| write!(f, "\n    {place}"))
    }
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answers compared, {} equal", self.compared, self.equal)?;
        for (reason, count) in &self.skipped {
            write!(f, ", {count} not sent ({reason})")?;
        }
        self.differences.iter().try_for_each(|difference| write!(f, "\n{difference}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_each_difference() {
        let place = PlaceDifference { path: "status".into(), recorded: Some(201.into()), live: Some(409.into()) };
        let mut report = VerifyReport::default();
        for places in [vec![], vec![place]] {
            let request = "POST /api/v1/pods".to_owned();
            report.add(CallDifference { call: 3, lane: "sut".into(), request, places });
        }
        let text = "2 answers compared, 1 equal\ncall 3 (sut): POST /api/v1/pods\n    status: 201 on the tape, 409 now";
        assert_eq!(report.to_string(), text);
        assert_eq!(serde_json::to_value(&report).unwrap()["differences"][0]["places"][0]["live"], 409);
    }
}
