//! A tape and the audit log of the server it was recorded from, joined by Audit-ID: each call learns when the server
//! received and answered it, by the server's clock. What lies between that and the recorder's times is the way.

use super::audit::AuditError;
use crate::format::Tree;
use crate::format::model::Tape;
use jiff::Timestamp;
use std::collections::HashMap;

/// Member of a call that holds the server's times.
const MEMBER: &str = "server";

#[derive(Default)]
struct Stages {
    received: Option<Timestamp>,
    started: Option<Timestamp>,
    completed: Option<Timestamp>,
}

/// Adds the server's times to the calls of a tape. Gives how many calls were found in the log.
///
/// # Errors
/// A line that is no audit event, with its number.
pub fn join_audit_log(tape: &mut Tape, log: &str) -> Result<usize, AuditError> {
    let stages = read(log)?;
    let mut joined = 0;
    for call in tape.calls_mut() {
        let Some(stages) = call.audit_id.as_ref().and_then(|id| stages.get(id)) else { continue };
        joined += 1;
        call.extra.retain(|(key, _)| key != MEMBER);
        call.extra.push((MEMBER.to_owned(), stages.tree()));
    }
    Ok(joined)
}

fn read(log: &str) -> Result<HashMap<String, Stages>, AuditError> {
    let mut found: HashMap<String, Stages> = HashMap::new();
    for (n, line) in log.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |why: String| AuditError { line: n + 1, why };
        let event = Tree::from_json(line.as_bytes()).map_err(|error| wrong(error.to_string()))?;
        if event.text_at(&["kind"]) != "Event" || !event.text_at(&["apiVersion"]).starts_with("audit.k8s.io/") {
            return Err(wrong("not an audit event: its kind is not Event of audit.k8s.io".to_owned()));
        }
        let time = |key: &str| event.text_at(&[key]).parse::<Timestamp>().ok();
        let stages = found.entry(event.text_at(&["auditID"]).to_owned()).or_default();
        stages.received = stages.received.or(time("requestReceivedTimestamp"));
        match event.text_at(&["stage"]) {
            "ResponseStarted" => stages.started = time("stageTimestamp"),
            "ResponseComplete" | "Panic" => stages.completed = time("stageTimestamp"),
            _ => {}
        }
    }
    Ok(found)
}

impl Stages {
    fn tree(&self) -> Tree {
        let times = [("received", self.received), ("started", self.started), ("completed", self.completed)];
        let mut entries: Vec<_> =
            times.into_iter().filter_map(|(key, at)| Some((key.to_owned(), Tree::Text(at?.to_string())))).collect();
        if let (Some(from), Some(to)) = (self.received, self.completed) {
            let micros = i64::try_from(to.duration_since(from).as_micros()).unwrap_or(i64::MAX);
            entries.push(("tookMicros".to_owned(), Tree::Int(micros)));
        }
        Tree::Map(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::model::{Call, Entry};

    #[test]
    fn calls_learn_the_servers_times_and_nothing_twice() {
        let line = |id: &str, stage: &str, at: &str| {
            format!(
                r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"{id}","stage":"{stage}","requestReceivedTimestamp":"2026-01-02T03:04:05.000100Z","stageTimestamp":"{at}"}}"#
            )
        };
        let log = [
            line("tape-r-1", "RequestReceived", "2026-01-02T03:04:05.000100Z"),
            line("tape-r-1", "ResponseComplete", "2026-01-02T03:04:05.002100Z"),
            line("other", "ResponseComplete", "2026-01-02T03:04:06Z"),
        ]
        .join("\n");
        let call = |id: u64| Call { id, audit_id: Some(format!("tape-r-{id}")), ..Call::default() };
        let mut tape = Tape { entries: vec![Entry::Call(call(1)), Entry::Call(call(2))], ..Tape::default() };
        assert_eq!(join_audit_log(&mut tape, &log).unwrap(), 1);
        let first = tape.clone();
        assert_eq!(join_audit_log(&mut tape, &log).unwrap(), 1);
        assert_eq!(tape, first);
        let server = &tape.calls().next().unwrap().extra[0].1;
        assert_eq!(server.get("tookMicros"), Some(&Tree::Int(2000)));
        assert_eq!(server.text_at(&["received"]), "2026-01-02T03:04:05.0001Z");
        assert_eq!(crate::format::from_text(&crate::format::to_text(&tape)).unwrap(), tape);
        assert_eq!(join_audit_log(&mut tape, "{}").unwrap_err().line, 1);
    }
}
