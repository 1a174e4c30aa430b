//! What a header says that only the recording itself can tell: who the lanes were, and which server it was.

use crate::format::model::Tape;

/// Completes the header of a tape from its calls: the first User-Agent of each lane, lanes that nobody named
/// beforehand, and what `/version` answered.
pub(crate) fn complete(tape: &mut Tape) {
    let mut lanes = std::mem::take(&mut tape.header.lanes);
    let mut server = std::mem::take(&mut tape.header.server);
    for call in tape.calls() {
        let lane = lanes.entry(call.lane.clone()).or_default();
        if lane.user_agent.is_empty()
            && let Some((_, agent)) = call.request.headers.iter().find(|(name, _)| name == "user-agent")
        {
            lane.user_agent.clone_from(agent);
        }
        if server.version.is_empty()
            && call.request.path == "/version"
            && let Some(version) = call.response.as_ref().and_then(|r| r.body.as_ref()).and_then(|body| body.json())
        {
            version.text_at(&["gitVersion"]).clone_into(&mut server.version);
            version.text_at(&["platform"]).clone_into(&mut server.platform);
        }
    }
    (tape.header.lanes, tape.header.server) = (lanes, server);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::model::{Body, Call, Entry, Request, Response};

    #[test]
    fn lanes_and_server_are_told_by_what_was_recorded() {
        let call = |path: &str, agent: &str, body: &str| {
            let headers = vec![("user-agent".to_owned(), agent.to_owned())];
            Entry::Call(Call {
                lane: "a".into(),
                request: Request { path: path.into(), headers, ..Request::default() },
                response: Some(Response {
                    body: Body::capture("application/json", body.as_bytes()),
                    ..Response::default()
                }),
                ..Call::default()
            })
        };
        let version = r#"{"gitVersion":"v1.36.0","platform":"linux/arm64"}"#;
        let entries = vec![call("/api", "kubectl/v1", "{}"), call("/version", "other", version)];
        let mut tape = Tape { entries, ..Tape::default() };
        complete(&mut tape);
        assert_eq!(tape.header.lanes["a"].user_agent, "kubectl/v1");
        assert_eq!(
            (tape.header.server.version.as_str(), tape.header.server.platform.as_str()),
            ("v1.36.0", "linux/arm64")
        );
    }
}
