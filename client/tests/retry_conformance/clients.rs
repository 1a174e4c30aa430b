//! Rows 59, 61 to 66: what is counted, what a client remembers, and requests that are never sent.

use crate::harness::{Case, rows};
use crate::measure::{core, get, ok, outcome, pods, post, recorded, say};
use crate::support::{Peer, Recorded, answer, json, later};
use http::{Method, Request as HttpRequest};
use rehearsal_client::*;
use serde_json::Value;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

rows! {
    real 59 row_59_every_attempt_is_throttled_counted_and_closed;
    real 61 row_61_a_server_that_refuses_cbor_is_sent_json_next;
    real 62 row_62_not_acceptable_is_final;
    real 63 row_63_a_request_that_cannot_be_built_is_not_sent;
    real 64 row_64_a_401_runs_the_plugin_before_the_next_request;
    real 65 row_65_a_rate_without_a_burst_makes_no_client;
    real 66 row_66_a_request_can_be_sent_twice;
}

#[derive(Default)]
struct Counted {
    limiter: AtomicUsize,
    results: AtomicUsize,
    retries: AtomicUsize,
    closed: Arc<AtomicUsize>,
}

impl RateLimiter for Counted {
    fn wait(&self, _: Option<tokio::time::Instant>) -> BoxFuture<'_, Result<Duration, ThrottleError>> {
        self.limiter.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::ready(Ok(Duration::ZERO)))
    }
    fn try_accept(&self) -> bool {
        true
    }
    fn qps(&self) -> Qps {
        Qps(0.0)
    }
}

impl RequestMetrics for Counted {
    fn result(&self, _: &str, _: &str, _: &str) {
        self.results.fetch_add(1, Ordering::Relaxed);
    }
    fn retry(&self, _: &str, _: &str, _: &str) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }
}

/// A body that counts its end.
struct Guarded(Body, Arc<AtomicUsize>);

impl Drop for Guarded {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

impl http_body::Body for Guarded {
    type Data = bytes::Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, TransportError>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }
}

async fn row_59_every_attempt_is_throttled_counted_and_closed() -> Vec<Case> {
    let mut cases = Vec::new();
    for (entry, limiter) in [("D GET", 3), ("S GET", 3), ("W GET", 2)] {
        let peer = Peer::start([later(503, "0"), later(503, "0"), ok()]).await;
        let counted = Arc::new(Counted::default());
        let closed = counted.closed.clone();
        let wrap = move |inner: Transport| {
            let closed = closed.clone();
            Transport::new(tower::service_fn(move |request: HttpRequest<Body>| {
                let (inner, closed) = (inner.clone(), closed.clone());
                async move { Ok(inner.send(request).await?.map(|body| Body::wrap(Guarded(body, closed)))) }
            }))
        };
        let (client, waits) = recorded(Config {
            rate_limiter: Some(counted.clone()),
            metrics: Some(counted.clone()),
            wrap_transport: Some(Arc::new(wrap)),
            ..peer.config()
        });
        match entry {
            "D GET" => drop(outcome(&get(&client)).await.unwrap()),
            "S GET" => drop(get(&client).stream().await.unwrap().bytes().await.unwrap()),
            _ => drop(get(&client).watch().await.unwrap()),
        }
        let number = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        let outcome = format!(
            "ok; limiter waits {}, results {}, retries {}, bodies closed {}",
            number(&counted.limiter),
            number(&counted.results),
            number(&counted.retries),
            number(&counted.closed)
        );
        let case = Case::new(entry, "503, RA 0, twice, then 200").measured(peer.attempts(), waits.gaps(), outcome);
        let wanted = format!("ok; limiter waits {limiter}, results 3, retries 2, bodies closed 3");
        cases.push(case.must_be(3, "0 s ×2", &wanted));
    }
    cases
}

/// Stands for CBOR where the bytes do not matter: JSON after the tag by which CBOR describes itself.
struct Cbor;

const TAG: &[u8] = &[0xd9, 0xd9, 0xf7];

impl ObjectCodec for Cbor {
    fn media_type(&self) -> &str {
        MEDIA_CBOR
    }

    fn encode(&self, object: &Value) -> Result<Vec<u8>, String> {
        Ok([TAG, &serde_json::to_vec(object).unwrap()].concat())
    }

    fn decode(&self, body: &[u8]) -> Result<Value, String> {
        let body = body.strip_prefix(TAG).ok_or("no CBOR")?;
        serde_json::from_slice(body).map_err(|e| e.to_string())
    }
}

/// A client that writes CBOR.
fn cbor(peer: &Peer) -> (RestClient, Arc<Recorded>) {
    let content = ContentConfig { content_type: MEDIA_CBOR.into(), ..ContentConfig::default() };
    let codecs = Codecs::default().with(Arc::new(Cbor));
    recorded(Config { content, codecs, ..peer.config() })
}

async fn row_61_a_server_that_refuses_cbor_is_sent_json_next() -> Vec<Case> {
    let peer = Peer::start([answer(415, &[], "no CBOR here"), json(201, crate::measure::POD)]).await;
    let (client, _) = cbor(&peer);
    let create = |client: &RestClient| pods(client, &Method::POST).object(&serde_json::json!({"kind": "Pod"}));
    let mut cases = Vec::new();
    for (what, wanted) in [
        ("the first create: 415", "UnsupportedMediaType; body application/cbor"),
        ("the next create: 201", "ok; body application/json"),
    ] {
        // Clients made from one another remember together.
        let client = client.group_version(GroupVersion::new("", "v1"));
        let (before, waits) = (peer.attempts(), Arc::new(Recorded::default()));
        let result = outcome(&create(&client).backoff(waits.clone())).await;
        let sent = peer.received().pop().unwrap();
        let outcome = format!("{}; body {}", say(&result), sent.header("content-type").unwrap());
        assert_eq!(sent.body.starts_with(TAG), sent.header("content-type") == Some(MEDIA_CBOR));
        let case = Case::new("D POST, client of CBOR", what);
        cases.push(case.measured(peer.attempts() - before, waits.gaps(), outcome).must_be(1, "—", wanted));
    }
    cases
}

async fn row_62_not_acceptable_is_final() -> Vec<Case> {
    let peer = Peer::start([answer(406, &[], "")]).await;
    let (client, waits) = cbor(&peer);
    let result = outcome(&get(&client)).await;
    assert_eq!(peer.received()[0].header("accept"), Some("application/cbor, */*"));
    let case = Case::new("D GET, client of CBOR", "406").measured(peer.attempts(), waits.gaps(), say(&result));
    vec![case.must_be(1, "—", "NotAcceptable")]
}

async fn row_63_a_request_that_cannot_be_built_is_not_sent() -> Vec<Case> {
    let mut cases = Vec::new();
    for what in ["namespace `a/b`", "empty name", "resource set twice"] {
        let peer = Peer::start([ok()]).await;
        let (client, waits) = peer.client();
        let request = match what {
            "namespace `a/b`" => client.get().namespace("a/b"),
            "empty name" => client.get().name(""),
            _ => client.get().resource("a").resource("b"),
        };
        let result = outcome(&request).await;
        assert!(request.watch().await.is_err() && request.stream().await.is_err());
        let case = Case::new("D GET", what).measured(peer.attempts(), waits.gaps(), say(&result));
        cases.push(case.must_be(0, "—", "builder error"));
    }
    cases
}

async fn row_64_a_401_runs_the_plugin_before_the_next_request() -> Vec<Case> {
    let dir = tempfile::tempdir().unwrap();
    let counter = dir.path().join("runs");
    let script = format!(
        r#"echo x >> {0}; printf '{{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{{"token":"t%s"}}}}' "$(wc -l < {0} | tr -d ' ')""#,
        counter.display()
    );
    let exec = ExecConfig {
        command: "sh".into(),
        args: vec!["-c".into(), script],
        api_version: "client.authentication.k8s.io/v1".into(),
        interactive_mode: InteractiveMode::Never,
        ..ExecConfig::default()
    };
    let peer = Peer::start([ok(), answer(401, &[], ""), ok()]).await;
    let client = core(&Config { exec: Some(exec), ..peer.config() });
    let mut cases = Vec::new();
    for (index, (what, wanted)) in [
        ("200", "ok, with Bearer t1"),
        ("401", "Unauthorized, with Bearer t1"),
        ("200, the next request", "ok, with Bearer t2"),
    ]
    .into_iter()
    .enumerate()
    {
        let result = outcome(&get(&client)).await;
        let received = peer.received();
        let outcome = format!("{}, with {}", say(&result), received[index].header("authorization").unwrap());
        let case = Case::new("D GET, exec plugin", what);
        cases.push(case.measured(received.len() - index, Vec::new(), outcome).must_be(1, "—", wanted));
    }
    cases
}

async fn row_65_a_rate_without_a_burst_makes_no_client() -> Vec<Case> {
    let peer = Peer::start([ok()]).await;
    let config = Config { qps: Qps(3.0), ..peer.config() };
    let result = DynamicClient::for_config(&config);
    let shared = Case::new("clients that share a limiter, QPS 3, burst 0", "—");
    let shared = shared.measured(peer.attempts(), Vec::new(), say(&result));
    #[cfg(feature = "clientset")]
    assert!(matches!(Clientset::for_config(&config), Err(Error::Config(_))));
    // A RESTClient of its own takes the default burst, as in client-go.
    let result = outcome(&get(&core(&config))).await;
    let alone = Case::new("D GET, RESTClient alone, QPS 3, burst 0", "200");
    let alone = alone.measured(peer.attempts(), Vec::new(), say(&result));
    vec![shared.must_be(0, "—", "construction error"), alone.must_be(1, "—", "ok")]
}

async fn row_66_a_request_can_be_sent_twice() -> Vec<Case> {
    let peer = Peer::start([ok()]).await;
    let (client, _) = peer.client();
    let request = post(&client);
    let mut cases = Vec::new();
    for what in ["200", "200, the same request again"] {
        let before = peer.attempts();
        let result = outcome(&request).await;
        assert_eq!(peer.received().pop().unwrap().body, b"{}");
        let case = Case::new("D POST", what).measured(peer.attempts() - before, Vec::new(), say(&result));
        cases.push(case.must_be(1, "—", "ok"));
    }
    assert_eq!(peer.connections(), 1);
    cases
}
