//! What one running server consists of, apart from its sockets.

use crate::access::Access;
use crate::auth::{
    Authenticator, Authorizer, CertificateAuthority, Impersonator, RequestAttributes, ReviewContext, TokenIssuer,
    TokenRequest, forbidden,
};
use crate::catalog::ResourceInfo;
use crate::catalog::openapi::OpenApi;
use crate::endpoints::context::RequestContext;
use crate::endpoints::router::Peer;
use crate::faults::Views;
use crate::registry::Registry;
use crate::serve::{Listening, Port, Ports};
use crate::strategies::UserInfo;
use http::{Extensions, HeaderMap};
use jiff::Timestamp;
use parking_lot::Mutex;
use rehearsal_apimachinery::request_info::{Query, RequestInfo};
use rehearsal_apimachinery::status::Status;
use rehearsal_apimachinery::version::Info;
use rehearsal_fault_wire::Faults;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The parts of a server that its request handlers share.
pub(crate) struct Core {
    pub(crate) registry: Registry,
    pub(crate) authenticator: Authenticator,
    pub(crate) authorizer: Authorizer,
    pub(crate) impersonator: Impersonator,
    pub(crate) tokens: Arc<TokenIssuer>,
    pub(crate) access: Access,
    pub(crate) version: Info,
    pub(crate) started: Timestamp,
    pub(crate) flow_schema_uid: String,
    pub(crate) priority_level_uid: String,
    pub(crate) admin_token: crate::auth::Token,
    /// Bearer token of the kubeconfig where there is no client certificate.
    pub(crate) bearer: crate::auth::Token,
    pub(crate) stopping: AtomicBool,
    pub(crate) faults: Faults,
    pub(crate) views: Arc<Views>,
    /// Signs the certificates of TLS; none without it.
    pub(crate) authority: Option<Arc<CertificateAuthority>>,
    pub(crate) listening: Listening,
    pub(crate) ports: Ports,
    pub(crate) openapi_cache: Mutex<Option<(Arc<crate::catalog::ResourceTable>, Arc<OpenApi>)>>,
    pub(crate) snapshots: crate::endpoints::admin::Snapshots,
    pub(crate) memory: Arc<crate::store::MemoryStorage>,
    pub(crate) config: crate::builder::FakeServerBuilder,
    /// Servers forked through the admin API.
    pub(crate) forks: Mutex<Vec<crate::serve::FakeServer>>,
}

impl Core {
    /// The URL clients reach the server by.
    pub(crate) fn url(&self) -> String {
        self.url_of(self.ports.main.address)
    }

    /// The URL of one of its listeners.
    pub(crate) fn url_of(&self, address: SocketAddr) -> String {
        format!("{}://{address}", if self.config.tls { "https" } else { "http" })
    }

    /// Host and port, as discovery prints them.
    pub(crate) fn address(&self) -> String {
        self.ports.main.address.to_string()
    }

    /// The port that a request came to; the main one where it came without a socket.
    pub(crate) fn port_of<'a>(&'a self, extensions: &'a Extensions) -> &'a Arc<Port> {
        extensions.get::<Peer>().map_or(&self.ports.main, |peer| &peer.port)
    }

    /// Whether the server ends, or seems to at this port.
    pub(crate) fn is_stopping(&self, port: &Port) -> bool {
        self.stopping.load(Ordering::SeqCst) || port.shutdown.is_failing()
    }

    /// Who asks, after impersonation.
    pub(crate) fn identify(
        &self,
        headers: &HeaderMap,
        peer: Option<&[u8]>,
        info: &RequestInfo,
        query: &Query,
    ) -> Result<UserInfo, Status> {
        let peek = self.registry.peek();
        let user = self.authenticator.authenticate(headers, peer, &peek, self.registry.clock().now())?;
        if !headers.keys().any(|k| k.as_str().starts_with("impersonate-")) {
            return Ok(user);
        }
        let authority = self.authorizer.at(&peek, peek.revision());
        let attributes = crate::endpoints::router::attributes(&user, info, query);
        Ok(self.impersonator.impersonate(headers, &attributes, &authority)?.unwrap_or(user))
    }

    /// Whether the caller may do this.
    pub(crate) fn authorize(&self, attributes: &RequestAttributes) -> Result<(), Status> {
        let peek = self.registry.peek();
        let decision = self.authorizer.at(&peek, peek.revision()).authorize(attributes);
        if decision.allowed { Ok(()) } else { Err(forbidden(attributes, &decision.reason)) }
    }

    /// Nobody may grant what they do not hold.
    pub(crate) fn check_escalation(&self, cx: &RequestContext, object: &Value) -> Result<(), Status> {
        if cx.info.group != "rbac.authorization.k8s.io" {
            return Ok(());
        }
        let peek = self.registry.peek();
        let authority = self.authorizer.at(&peek, peek.revision());
        let old = cx.core.registry.peek_target(&cx.target());
        crate::auth::check_escalation(&authority, &cx.attributes(), object, old.as_ref())
    }

    /// Signs a token for a service account.
    pub(crate) fn issue_token(&self, namespace: &str, name: &str, object: Value) -> Result<Value, Status> {
        let jti = self.registry.ids().uid();
        let request = TokenRequest { namespace, name, object, jti: &jti, now: self.registry.clock().now() };
        self.tokens.issue_token(request, &self.registry.peek())
    }

    /// Judges a review.
    pub(crate) fn review(
        &self,
        kind: &str,
        object: &mut Value,
        user: &UserInfo,
        namespace: &str,
    ) -> Result<(), Status> {
        let peek = self.registry.peek();
        let authority = self.authorizer.at(&peek, peek.revision());
        let now = self.registry.clock().now();
        let cx = ReviewContext { user, authenticator: &self.authenticator, authority, namespace, now };
        crate::auth::review(kind, object, &cx)
    }

    /// What follows a write before it is answered.
    pub(crate) async fn after_write(&self, info: &ResourceInfo) {
        self.registry.after_write(info).await;
    }

    /// The OpenAPI documents of the table as it is now.
    pub(crate) fn openapi(&self) -> Arc<OpenApi> {
        let table = self.registry.table();
        let mut cache = self.openapi_cache.lock();
        match &*cache {
            Some((known, docs)) if Arc::ptr_eq(known, &table) => docs.clone(),
            _ => {
                let docs = Arc::new(OpenApi::new(table.clone()));
                *cache = Some((table, docs.clone()));
                docs
            }
        }
    }
}
