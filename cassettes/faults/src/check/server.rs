//! Whether a sound plan can do anything on the server that it is armed on: lanes with listeners, TLS, HTTP/2.

use super::Prepared;
use crate::action::{Action, HandshakeFailure, Stage};
use crate::catalog::{self, Protocols};
use crate::error::{Complaint, Path, ProblemKind};
use crate::facts::Protocol;
use crate::plan::{Plan, Rule};
use crate::server::ServerFacts;
use crate::words::nearest;

/// What keeps the rules from working there. `prepared` are those of `plan`, in order.
pub(crate) fn check(plan: &Plan, prepared: &[Prepared], server: &ServerFacts) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (index, (rule, prepared)) in plan.rules.iter().zip(prepared).enumerate() {
        let path = Path::rule(index);
        lanes(rule, prepared, server, &path, &mut complaints);
        protocols(rule, prepared, server, &path, &mut complaints);
    }
    complaints
}

fn say(complaints: &mut Vec<Complaint>, path: Path, message: String, hint: String) {
    complaints.push(Complaint::new(ProblemKind::Impossible, path, message).suggest(Some(hint)));
}

/// Whose connection it is must be known before anything is read from it, and a port can only be closed to whom it is of.
fn lanes(rule: &Rule, prepared: &Prepared, server: &ServerFacts, path: &Path, complaints: &mut Vec<Complaint>) {
    let closes = prepared.actions.iter().any(|action| matches!(action, Action::Shutdown { .. }));
    let why = match prepared.stage {
        Stage::Connection => "so its connections cannot be told before anything is read from them",
        _ if closes => "so no port can be closed to it alone",
        _ => return,
    };
    for lane in rule.when.lane.iter().filter(|lane| !server.lanes.contains(*lane)) {
        let message = format!("lane `{lane}` has no listener of its own here, {why}");
        let hint = match nearest(lane, server.lanes.iter().map(String::as_str)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("open one (`--lane {lane}`), or leave `lane` out to mean every listener"),
        };
        say(complaints, path.key("when").key("lane"), message, hint);
    }
}

fn protocols(rule: &Rule, prepared: &Prepared, server: &ServerFacts, path: &Path, complaints: &mut Vec<Complaint>) {
    if !server.http2 && rule.when.protocol == Some(Protocol::Http2) {
        let message = "this server does not serve HTTP/2".to_owned();
        say(complaints, path.key("when").key("protocol"), message, "leave `protocol` out".to_owned());
    }
    for fault in &rule.faults {
        let Some(row) = catalog::find(&fault.name) else { continue };
        let here = path.key("do").key(&fault.name);
        let handshake = prepared.actions.iter().find_map(|action| match action {
            Action::Handshake { failure } if row.name == "tls-handshake" => Some(*failure),
            _ => None,
        });
        if handshake.is_some() && !server.tls {
            let message = format!("`{}` needs TLS, and this server serves plain HTTP", row.name);
            say(complaints, here, message, "start it with TLS".to_owned());
        } else if !server.http2 && (row.protocols == Protocols::Http2 || handshake == Some(HandshakeFailure::NoHttp2)) {
            let message = format!("`{}` needs HTTP/2, and this server does not serve it", row.name);
            say(complaints, here, message, "start it with HTTP/2".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::Plan;
    use crate::server::ServerFacts;

    fn refusal(fields: &str, server: &ServerFacts) -> String {
        let plan = Plan::from_yaml("plan.yaml", &format!("rules:\n  - {{id: r, {fields}}}\n")).unwrap();
        plan.fits(server).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_a_server_lacks_is_told_with_its_place() {
        let server = ServerFacts { tls: false, http2: false, lanes: ["sut".to_owned()].into() };
        for (fields, expected) in [
            ("when: {lane: sut}, do: refuse", ""),
            ("when: {lane: other}, do: reset", ""),
            ("do: blackhole", ""),
            (
                "when: {lane: sud}, do: refuse",
                "plan.yaml:2:20: rules[0].when.lane: lane `sud` has no listener of its own here, so its connections cannot be told before anything is read from them; did you mean `sut`?",
            ),
            (
                "when: {lane: [sut, controller]}, do: delay, at: conn",
                "plan.yaml:2:20: rules[0].when.lane: lane `controller` has no listener of its own here, so its connections cannot be told before anything is read from them; open one (`--lane controller`), or leave `lane` out to mean every listener",
            ),
            (
                "when: {lane: controller}, do: shutdown",
                "plan.yaml:2:20: rules[0].when.lane: lane `controller` has no listener of its own here, so no port can be closed to it alone; open one (`--lane controller`), or leave `lane` out to mean every listener",
            ),
            ("when: {lane: controller}, do: {shutdown: {form: refuse}}", ""),
            (
                "do: tls-handshake",
                "plan.yaml:2:13: rules[0].do.tls-handshake: `tls-handshake` needs TLS, and this server serves plain HTTP; start it with TLS",
            ),
            (
                "do: {goaway: {streamsBack: 1}}",
                "plan.yaml:2:18: rules[0].do.goaway: `goaway` needs HTTP/2, and this server does not serve it; start it with HTTP/2",
            ),
            (
                "when: {protocol: h2}, do: reset",
                "plan.yaml:2:20: rules[0].when.protocol: this server does not serve HTTP/2; leave `protocol` out",
            ),
        ] {
            assert_eq!(refusal(fields, &server), expected, "{fields}");
        }
        assert_eq!(refusal("do: {tls-handshake: no-http2}", &ServerFacts::default()), "");
        let old = ServerFacts { http2: false, ..ServerFacts::default() };
        assert!(refusal("do: {tls-handshake: no-http2}", &old).contains("needs HTTP/2"));
        assert_eq!(refusal("do: {tls-handshake: alert}", &old), "");
    }
}
