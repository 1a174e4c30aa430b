//! What the tests of tapes share: clients, objects, a recording proxy, what is on a tape.

use rehearsal::hydrate::Hydrate;
use rehearsal::recording::{self, ConfigUpstream, Recording, RecordingOptions};
use rehearsal_cassettes::Mode;
use rehearsal_cassettes::format::model::{Call, Tape};
use rehearsal_cassettes::format::{Loaded, Seal, SideFiles, load};
use rehearsal_cassettes::proxy::{
    Channel, Lanes, Policy, Proxy, ProxyBody, Replay, Upstream, UpstreamError, UpstreamFailure,
};
use rehearsal_cassettes::replay::ReplayService;
use rehearsal_client::{
    ClientConfig, Config, CreateOptions, DynamicClient, DynamicResource, GroupVersionResource, LoadingRules, Qps,
};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// A configuration from the text of a kubeconfig, without throttling.
pub(crate) fn config(kubeconfig: &str) -> Config {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kubeconfig");
    std::fs::write(&path, kubeconfig).unwrap();
    config_of(&path)
}

/// The same from a file.
pub(crate) fn config_of(path: &Path) -> Config {
    let (client, error) = ClientConfig::load(&LoadingRules::explicit(path));
    assert!(error.is_none(), "{error:?}");
    Config { qps: Qps(-1.0), ..client.client_config().unwrap() }
}

/// The config maps of the default namespace.
pub(crate) fn config_maps(config: &Config) -> DynamicResource {
    let gvr = GroupVersionResource::new("", "v1", "configmaps");
    DynamicClient::for_config(config).unwrap().resource(&gvr).namespace("default")
}

pub(crate) fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "b"}})
}

pub(crate) async fn create(client: &DynamicResource, name: &str) {
    client.create(&config_map(name), &CreateOptions::default(), &[]).await.unwrap();
}

/// A recording proxy before the server of a configuration.
pub(crate) async fn before(server: &Config, tape: &Path, lanes: &[&str]) -> (Proxy, Recording) {
    let upstream = ConfigUpstream::new(server).unwrap();
    let lanes = Lanes::new(lanes.iter().copied()).unwrap();
    let options = RecordingOptions {
        path: tape.to_owned(),
        placement: "proxy".into(),
        lanes: lanes.iter().map(|(name, token)| (name.to_owned(), token.to_owned())).collect(),
        ..RecordingOptions::default()
    };
    let recording = recording::start(options).unwrap();
    #[allow(clippy::disallowed_methods, reason = "certificates are checked against the machine's clock")]
    let now = jiff::Timestamp::now();
    let proxy =
        Proxy::builder(Arc::new(upstream), lanes).recorder(recording.recorder().clone()).start(now).await.unwrap();
    (proxy, recording)
}

/// A sealed tape.
pub(crate) fn sealed(path: &Path) -> Tape {
    let Loaded { tape, journal, seal, .. } = load(path).unwrap();
    assert_eq!((journal, seal), (false, Seal::Intact));
    tape
}

/// The calls with this method and path.
pub(crate) fn calls<'t>(tape: &'t Tape, method: &str, path: &str) -> Vec<&'t Call> {
    tape.calls().filter(|call| call.request.method == method && call.request.path == path).collect()
}

/// A tape with everything in it, as the engines of a replay want it.
pub(crate) fn whole(path: &Path) -> Tape {
    let mut tape = load(path).unwrap().tape;
    rehearsal_cassettes::format::literal(&mut tape);
    tape.unshare();
    tape.inline(&SideFiles::of(path)).unwrap();
    tape
}

/// Who answers from a tape.
pub(crate) enum Engine {
    Recorded(ReplayService),
    Living(Hydrate),
}

/// A proxy whose answers come from a tape.
pub(crate) async fn answering(engine: &Engine, lanes: &[&str]) -> Proxy {
    let lanes = Lanes::new(lanes.iter().copied()).unwrap();
    let builder = match engine {
        Engine::Recorded(service) => {
            let replay: Arc<dyn Replay> = Arc::new(service.clone());
            Proxy::builder(Arc::new(Nobody), lanes).policy(Policy {
                mode: Mode::None,
                fresh: false,
                replay: Some(replay),
            })
        }
        Engine::Living(hydrate) => Proxy::builder(Arc::new(hydrate.clone()), lanes).policy(Policy {
            mode: Mode::Passthrough,
            fresh: true,
            replay: Some(Arc::new(hydrate.clone())),
        }),
    };
    #[allow(clippy::disallowed_methods, reason = "certificates are checked against the machine's clock")]
    let now = jiff::Timestamp::now();
    builder.start(now).await.unwrap()
}

/// No server: what is not on the tape has no answer.
pub(crate) struct Nobody;

impl Upstream for Nobody {
    fn channel(&self, _: bool) -> Result<Arc<dyn Channel>, UpstreamError> {
        Ok(Arc::new(Self))
    }
}

impl Channel for Nobody {
    fn send(
        &self,
        _: http::Request<ProxyBody>,
    ) -> futures::future::BoxFuture<'static, Result<http::Response<ProxyBody>, UpstreamError>> {
        Box::pin(async { Err(UpstreamError::new(UpstreamFailure::Unreachable, "a replay has no server")) })
    }
}
