//! Modes: where an answer comes from.

use super::support::{Dial, Stage, says};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::Response;
use http_body_util::{BodyExt as _, Full};
use rehearsal_cassettes::Mode;
use rehearsal_cassettes::format::model::Call;
use rehearsal_cassettes::proxy::{CompareSink, Comparer, Policy, ProxyBody, Replay};
use rehearsal_cassettes::record::{MemorySink, RequestHead};
use std::sync::Arc;

/// A tape that knows one path.
struct Known;

impl Replay for Known {
    fn answer<'a>(
        &'a self,
        _: &'a str,
        request: &'a RequestHead,
        _: &'a Bytes,
    ) -> BoxFuture<'a, Option<Response<ProxyBody>>> {
        let known = request.uri.path() == "/api/v1/known";
        let body = ProxyBody::new(Full::new(Bytes::from_static(b"taped")).map_err(|never| match never {}));
        Box::pin(std::future::ready(known.then(|| Response::new(body))))
    }
}

const LIVE: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 4\r\n\r\nlive";

async fn stage(mode: Mode, fresh: bool) -> Stage {
    let sink = MemorySink::default();
    let upstream = Dial { address: says(LIVE).await, http2: false };
    let policy = Policy { mode, fresh, replay: Some(Arc::new(Known)) };
    Stage::with(upstream, sink.clone(), sink, policy, |_| ()).await
}

/// Status and text for a path that the tape knows, one that it does not, and one without revisions.
async fn answers(stage: &Stage) -> Vec<String> {
    let mut said = Vec::new();
    for path in ["/api/v1/known", "/api/v1/pods", "/version"] {
        let (head, body) = stage.get(path).await;
        let text = String::from_utf8_lossy(&body.unwrap()).into_owned();
        said.push(if head.status() == 200 { text } else { head.status().as_str().to_owned() });
    }
    said
}

#[tokio::test]
async fn each_mode_answers_from_where_it_should() {
    for (mode, fresh, said, written) in [
        (Mode::Once, true, ["live", "live", "live"], 3),
        (Mode::Once, false, ["taped", "501", "501"], 0),
        (Mode::None, false, ["taped", "501", "501"], 0),
        (Mode::NewEpisodes, false, ["taped", "501", "live"], 1),
        (Mode::All, false, ["live", "live", "live"], 3),
        (Mode::Passthrough, false, ["live", "live", "live"], 0),
        (Mode::Compare, false, ["live", "live", "live"], 3),
    ] {
        let stage = stage(mode, fresh).await;
        assert_eq!(answers(&stage).await, said, "{mode:?}");
        assert_eq!(stage.tape().await.reqs().len(), written, "{mode:?}");
    }
}

#[tokio::test]
async fn a_request_that_the_tape_does_not_know_says_so() {
    let stage = stage(Mode::None, false).await;
    let (_, body) = stage.get("/api/v1/pods").await;
    let body = String::from_utf8_lossy(&body.unwrap()).into_owned();
    assert!(body.contains("TapeNoMatch") && body.contains("mode none") && body.contains("/api/v1/pods"), "{body}");
}

struct Terse;

impl Comparer for Terse {
    fn compare(&mut self, call: &Call) -> Vec<String> {
        vec![format!("{} {}", call.request.path, call.response.as_ref().map_or(0, |r| r.status))]
    }
}

#[tokio::test]
async fn a_comparison_hears_of_each_exchange_once_it_has_ended() {
    let (sink, differences) = CompareSink::new(Terse);
    let upstream = Dial { address: says(LIVE).await, http2: false };
    let policy = Policy { mode: Mode::Compare, fresh: false, replay: None };
    let stage = Stage::with(upstream, sink, MemorySink::default(), policy, |_| ()).await;
    answers(&stage).await;
    stage.proxy.shutdown().await;
    stage.recorder.seal().await.unwrap();
    assert_eq!(*differences.lock(), ["/api/v1/known 200", "/api/v1/pods 200", "/version 200"]);
}
