//! What the server saw of a client, and the numbers made from it. The client's own word is not asked.

use super::scenario::Watched;
use jiff::Timestamp;
use rehearsal_fakeserver::access::JournalEntry;
use rehearsal_faults::{Action, Firing, RetryAfter, Stage};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One request as the server saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// When it arrived, in milliseconds since the scenario began.
    pub at_ms: f64,
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub uri: String,
    /// HTTP status of the answer; 0 where there was none.
    pub code: u16,
    /// Ordinal of its connection, 0 when unknown.
    pub connection: u64,
    /// The Retry-After that a rule put on the answer, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<i64>,
    /// The rules that fired.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
}

impl Seen {
    fn path(&self) -> &str {
        self.uri.split('?').next().unwrap_or_default()
    }

    fn is_about_config_maps(&self) -> bool {
        self.path().contains("/configmaps")
    }

    fn is_watch(&self) -> bool {
        let on = |pair: &str| matches!(pair, "watch=true" | "watch=1" | "watch=True");
        self.method == "GET" && self.uri.split_once('?').is_some_and(|(_, query)| query.split('&').any(on))
    }

    fn is_of_one_object(&self) -> bool {
        self.path().split("/configmaps").nth(1).is_some_and(|rest| rest.len() > 1)
    }

    fn is(&self, watched: Watched) -> bool {
        self.is_about_config_maps()
            && match watched {
                Watched::Method(method) => self.method == method,
                Watched::Gets => self.method == "GET" && self.is_of_one_object(),
                Watched::Lists => self.method == "GET" && !self.is_of_one_object() && !self.is_watch(),
                Watched::Watches => self.is_watch(),
            }
    }

    /// A line of a timeline.
    #[must_use]
    pub fn line(&self) -> String {
        let faults = if self.faults.is_empty() { String::new() } else { format!("  [{}]", self.faults.join(", ")) };
        let code = if self.code == 0 { "-".into() } else { self.code.to_string() };
        format!("{:>9.3} s  #{} {} {} {code}{faults}", self.at_ms / 1000.0, self.connection, self.method, self.uri)
    }
}

/// The requests of a journal in the order of their arrival.
#[must_use]
pub(super) fn seen(journal: &[JournalEntry], began: Timestamp) -> Vec<Seen> {
    let mut all: Vec<Seen> = journal.iter().map(|entry| one(entry, began)).collect();
    all.sort_by(|a, b| a.at_ms.total_cmp(&b.at_ms));
    all
}

fn one(entry: &JournalEntry, began: Timestamp) -> Seen {
    let at = entry.time.parse::<Timestamp>().unwrap_or(began);
    Seen {
        at_ms: at.duration_since(began).as_secs_f64() * 1000.0,
        method: entry.method.clone(),
        uri: entry.uri.clone(),
        code: entry.code,
        connection: entry.connection,
        retry_after: entry.faults.firings().iter().flat_map(|firing| &firing.actions).find_map(told),
        faults: entry.faults.firings().into_iter().map(|firing| firing.rule).collect(),
    }
}

/// The seconds of a refusal's Retry-After.
fn told(action: &Action) -> Option<i64> {
    match action {
        Action::Respond { reply } => match reply.retry_after {
            RetryAfter::Seconds(seconds) => Some(seconds),
            _ => None,
        },
        _ => None,
    }
}

/// Numbers about a scenario.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Measured {
    /// Requests of the kind that the scenario measures.
    pub attempts: usize,
    /// Milliseconds between them, raw; where several things were asked for at once, those of the busiest.
    pub gaps_ms: Vec<f64>,
    /// Milliseconds before the first repetition, of each thing that was asked for.
    pub first_retry_ms: Vec<f64>,
    /// The waits after a Retry-After of whole seconds, each as a multiple of it.
    pub retry_after_ratio: Vec<f64>,
    /// σ/µ of `first_retry_ms`, where there are at least ten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<f64>,
    /// Requests for each thing that was asked for.
    pub requests_per_operation: f64,
    /// Requests of the kind that is measured that met a fault.
    pub requests_in_outage: usize,
    /// These, for each thing that was asked for: how much the client makes of an outage.
    pub storm_factor: f64,
    /// Connections that requests came over.
    pub connections: usize,
    /// Connections that met a fault before any request.
    pub faulty_connections: usize,
    /// Milliseconds between these.
    pub connection_gaps_ms: Vec<f64>,
    /// Lists of ConfigMaps.
    pub lists: usize,
    /// Watches of ConfigMaps.
    pub watches: usize,
    /// All requests, of whatever kind.
    pub requests: usize,
    /// Objects that a create left behind beyond the one that was wanted.
    pub duplicates: usize,
    /// Objects that do not have what a write was to leave there.
    pub lost_updates: usize,
    /// Objects that the mirror shows otherwise than the server in the end, where there is a mirror.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub divergence: Option<usize>,
    /// Milliseconds from the first request that met a fault to the next that succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovered_ms: Option<f64>,
    /// How often the plugin for credentials was run, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin_runs: Option<usize>,
    /// Bytes that the adapter's process had in memory in the end, with all that it did before; on Linux only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// How the last operation ended, in a word or three: `ok`, `error api 503`, `never`.
    pub exit_class: String,
    /// Milliseconds until the mirror was like the server, the last time it was waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirrored_ms: Option<f64>,
}

impl Measured {
    /// Makes the numbers.
    #[must_use]
    pub fn of(seen: &[Seen], watched: Watched, mirrored_ms: Option<f64>) -> Self {
        let mut by_path: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for request in seen.iter().filter(|s| s.is(watched)) {
            by_path.entry(request.path()).or_default().push(request.at_ms);
        }
        let attempts = by_path.values().map(Vec::len).sum();
        let between = |times: &[f64]| times.windows(2).map(|w| w[1] - w[0]).collect::<Vec<_>>();
        let busiest = by_path.values().max_by_key(|times| times.len());
        let first_retry_ms: Vec<f64> = by_path.values().filter_map(|times| between(times).first().copied()).collect();
        let connections: std::collections::BTreeSet<_> = seen.iter().map(|s| s.connection).collect();
        let in_outage = seen.iter().filter(|s| s.is(watched) && !s.faults.is_empty()).count();
        let things = by_path.len().max(1) as f64;
        Self {
            retry_after_ratio: ratios(seen, watched),
            requests_in_outage: in_outage,
            storm_factor: in_outage as f64 / things,
            recovered_ms: recovered(seen, watched),
            attempts,
            gaps_ms: busiest.map(|times| between(times)).unwrap_or_default(),
            jitter: scatter(&first_retry_ms),
            first_retry_ms,
            requests_per_operation: attempts as f64 / things,
            connections: connections.len(),
            lists: seen.iter().filter(|s| s.is(Watched::Lists)).count(),
            watches: seen.iter().filter(|s| s.is(Watched::Watches)).count(),
            requests: seen.len(),
            mirrored_ms,
            ..Self::default()
        }
    }

    /// Adds the connections that met a fault before any request.
    #[must_use]
    pub fn with_connections(mut self, firings: &[Firing]) -> Self {
        let at = firings.iter().filter(|firing| firing.stage == Stage::Connection).map(|firing| firing.at);
        let times: Vec<f64> = at.map(|at| at.as_secs_f64() * 1000.0).collect();
        self.faulty_connections = times.len();
        self.connection_gaps_ms = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        self
    }
}

/// The waits after a Retry-After, each as a multiple of it.
fn ratios(seen: &[Seen], watched: Watched) -> Vec<f64> {
    let mut told: BTreeMap<&str, (f64, i64)> = BTreeMap::new();
    let mut found = Vec::new();
    for request in seen.iter().filter(|s| s.is(watched)) {
        if let Some((at, seconds)) = told.remove(request.path()) {
            found.push((request.at_ms - at) / (seconds as f64 * 1000.0));
        }
        if let Some(seconds) = request.retry_after.filter(|seconds| *seconds > 0) {
            told.insert(request.path(), (request.at_ms, seconds));
        }
    }
    found
}

/// From the first that met a fault to the next that succeeded without one.
fn recovered(seen: &[Seen], watched: Watched) -> Option<f64> {
    let mut watched = seen.iter().filter(|s| s.is(watched));
    let first = watched.find(|s| !s.faults.is_empty())?;
    let next = watched.find(|s| s.faults.is_empty() && (200..300).contains(&s.code))?;
    Some(next.at_ms - first.at_ms)
}

/// σ/µ of enough numbers.
fn scatter(all: &[f64]) -> Option<f64> {
    if all.len() < 10 {
        return None;
    }
    let count = all.len() as f64;
    let mean = all.iter().sum::<f64>() / count;
    let variance = all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
    (mean > 0.0).then(|| variance.sqrt() / mean)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(at_ms: f64, method: &str, uri: &str) -> Seen {
        Seen {
            at_ms,
            method: method.into(),
            uri: uri.into(),
            code: 200,
            connection: 1,
            retry_after: None,
            faults: Vec::new(),
        }
    }

    const ALL: &str = "/api/v1/namespaces/default/configmaps";

    #[test]
    fn gaps_are_between_requests_of_the_kind_that_is_measured() {
        let one = format!("{ALL}/a");
        let seen = [
            request(0.0, "GET", &one),
            request(10.0, "GET", ALL),
            request(20.0, "GET", &format!("{ALL}?watch=true")),
            request(1000.0, "GET", &one),
            request(3000.0, "GET", &one),
        ];
        let measured = Measured::of(&seen, Watched::Gets, None);
        assert_eq!((measured.attempts, measured.lists, measured.watches), (3, 1, 1));
        assert_eq!(measured.gaps_ms, [1000.0, 2000.0]);
        assert_eq!(measured.first_retry_ms, [1000.0]);
    }

    #[test]
    fn an_outage_is_what_met_a_fault_and_ends_with_the_next_success() {
        let one = format!("{ALL}/a");
        let faulty =
            |at| Seen { code: 429, retry_after: Some(2), faults: vec!["f".into()], ..request(at, "GET", &one) };
        let seen = [faulty(0.0), faulty(2000.0), request(5000.0, "GET", &one)];
        let measured = Measured::of(&seen, Watched::Gets, None);
        assert_eq!((measured.requests_in_outage, measured.storm_factor), (2, 2.0));
        assert_eq!((measured.retry_after_ratio, measured.recovered_ms), (vec![1.0, 1.5], Some(5000.0)));
    }

    #[test]
    fn a_fleet_that_waits_alike_does_not_scatter() {
        let fleet = |wait: fn(usize) -> f64| {
            let mut seen = Vec::new();
            for n in 0..20 {
                seen.push(request(0.0, "GET", &format!("{ALL}/a-{n}")));
                seen.push(request(wait(n), "GET", &format!("{ALL}/a-{n}")));
            }
            Measured::of(&seen, Watched::Gets, None).jitter.unwrap()
        };
        assert!(fleet(|_| 1000.0) < 1e-9);
        assert!(fleet(|n| 1000.0 + 50.0 * n as f64) > 0.1);
    }
}
