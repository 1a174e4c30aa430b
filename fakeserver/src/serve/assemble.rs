//! The parts of a server: keys, tokens, what its handlers share.

use super::StartError;
use super::accept::{Listening, Ports};
use super::tls::Tls;
use crate::access::Access;
use crate::auth::{
    self, AuthenticationMode, Authenticator, Authorizer, CertificateAuthority, ClientCas, Impersonator, Token,
    TokenIssuer, TokenTable,
};
use crate::builder::{AuthMode, FakeServerBuilder};
use crate::clock::Clock;
use crate::faults::{ClusterTime, FaultedStorage, Views};
use crate::handle::Core;
use crate::ids::Ids;
use crate::registry::Registry;
use crate::store::MemoryStorage;
use rehearsal_fault_wire::Faults;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(super) fn make_authority(clock: &Clock) -> Result<CertificateAuthority, StartError> {
    CertificateAuthority::generate(clock.now()).map_err(|e| StartError::Certificates(e.to_string()))
}

pub(super) fn make_core(
    config: &FakeServerBuilder,
    memory: Arc<MemoryStorage>,
    authority: Option<Arc<CertificateAuthority>>,
    ports: Ports,
) -> Result<Core, StartError> {
    let ids = Ids::seeded(config.seed);
    let plugins = crate::admission::Plugins::for_controllers(&config.controllers);
    let faults = Faults::new(ClusterTime::new(config.clock.apart()));
    let views = Arc::new(Views::default());
    let storage = FaultedStorage { memory: memory.clone(), faults: faults.clone(), views: views.clone() };
    let registry = Registry::new(Arc::new(storage), config.clock.clone(), ids.clone(), plugins);
    let mut table = match &config.token_file {
        Some(csv) => TokenTable::parse(csv)?,
        None => TokenTable::default(),
    };
    let bearer = Token::new(random_token());
    table.insert(&bearer, auth::administrator());
    let tokens = Arc::new(TokenIssuer::new("https://kubernetes.default.svc"));
    let mut cas = ClientCas::default();
    if let Some(authority) = &authority {
        cas.trust(authority.der());
    }
    let (mode, authorizer) = match config.auth {
        AuthMode::Off => (AuthenticationMode::Off, Authorizer::Off),
        AuthMode::Rbac => (AuthenticationMode::Tokens, Authorizer::rbac()),
    };
    let authenticator = Authenticator::new(mode, tokens.clone()).tokens(table).client_cas(cas);
    let hosts = [ports.main.address.ip(), ports.admin.address.ip()];
    let tls = authority.as_ref().map(|authority| Tls::new(authority.clone(), &hosts, config.http2)).transpose()?;
    let listening = Listening { tls, stop: CancellationToken::new(), tasks: TaskTracker::new() };
    let admin_token = config.admin_token.clone().unwrap_or_else(random_token);
    Ok(Core {
        flow_schema_uid: ids.uid(),
        priority_level_uid: ids.uid(),
        registry,
        authenticator,
        authorizer,
        impersonator: Impersonator::default(),
        tokens,
        access: Access::new(config.clock.clone(), config.journal_capacity, config.access_log),
        version: crate::version::info(),
        started: config.clock.now(),
        admin_token: Token::new(admin_token),
        bearer,
        stopping: AtomicBool::new(false),
        faults,
        views,
        authority,
        listening,
        ports,
        openapi_cache: parking_lot::Mutex::new(None),
        snapshots: crate::endpoints::admin::Snapshots::default(),
        memory,
        config: config.clone(),
        forks: parking_lot::Mutex::new(Vec::new()),
    })
}

/// A token nobody can guess: from the operating system, not from the cluster's seed.
fn random_token() -> String {
    use rand::TryRngCore as _;
    let mut bytes = [0u8; 24];
    // A machine without randomness cannot run TLS either; there the admin API stays closed.
    if rand::rngs::OsRng.try_fill_bytes(&mut bytes).is_err() {
        return String::new();
    }
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
