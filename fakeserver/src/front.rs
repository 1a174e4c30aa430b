//! What is laid around the whole server: a recorder, whatever else somebody outside wants. None of it is known here.
//!
//! Counterpart: the handler chain of `server/config.go`, as far as it is open to others. Layers see requests as they come
//! from the connection and answers as they go to it.

use crate::endpoints::router::dispatch;
use crate::handle::Core;
use axum::body::Body;
use futures::future::BoxFuture;
use http::{Request, Response};
use std::convert::Infallible;
use std::sync::Arc;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceExt as _};

/// A server as a service: what a layer is laid around, and what it gives.
pub type Handler = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

type Lay = dyn Fn(Handler) -> Handler + Send + Sync;

type See = dyn Fn(Response<Body>) -> BoxFuture<'static, Response<Body>> + Send + Sync;

/// In the extensions of a request: somebody who is shown the server's own answer before fault rules make anything of it,
/// and gives back what they are to work on. Asked only while rules are armed.
#[derive(Clone)]
pub struct Beneath(Arc<See>);

impl Beneath {
    /// Any function.
    pub fn new(see: impl Fn(Response<Body>) -> BoxFuture<'static, Response<Body>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(see))
    }

    pub(crate) async fn see(&self, response: Response<Body>) -> Response<Body> {
        (self.0)(response).await
    }
}

impl std::fmt::Debug for Beneath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Beneath")
    }
}

/// Layers, the first one innermost.
#[derive(Clone, Default)]
pub(crate) struct Front(Vec<Arc<Lay>>);

impl std::fmt::Debug for Front {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Front({})", self.0.len())
    }
}

impl Front {
    pub(crate) fn push<L>(&mut self, layer: L)
    where
        L: Layer<Handler> + Send + Sync + 'static,
        L::Service:
            Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request<Body>>>::Future: Send + 'static,
    {
        self.0.push(Arc::new(move |inner| BoxCloneSyncService::new(layer.layer(inner))));
    }
}

/// Answers a request through all layers.
pub(crate) async fn enter(core: Arc<Core>, request: Request<Body>) -> Response<Body> {
    if core.config.front.0.is_empty() {
        return dispatch(core, request).await;
    }
    let handler = core.clone();
    let inner = tower::service_fn(move |request| {
        let core = handler.clone();
        async move { Ok::<_, Infallible>(dispatch(core, request).await) }
    });
    let stack = core.config.front.0.iter().fold(BoxCloneSyncService::new(inner), |inner, layer| layer(inner));
    match stack.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
