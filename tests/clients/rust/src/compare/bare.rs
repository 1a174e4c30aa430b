//! A server that answers with bytes another one gave: what is left is the cost of the clients.

use crate::rivals::{LIST, NAME, WATCH};
use bytes::Bytes;
use futures::stream;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::Arc;

/// Frames of a watch are written in pieces of this size.
const PIECE: usize = 32 * 1024;

struct Bodies {
    pod: Bytes,
    list: Bytes,
    events: Vec<Bytes>,
}

/// Takes the three bodies from the server and serves them from a thread of its own.
pub(crate) async fn replaying(url: &str) -> anyhow::Result<String> {
    let bodies = Arc::new(bodies(url).await?);
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        let serving = async {
            let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
            let set = tokio::task::LocalSet::new();
            set.run_until(accept(listener, bodies)).await;
        };
        runtime.block_on(serving);
    });
    Ok(format!("http://{address}"))
}

async fn accept(listener: tokio::net::TcpListener, bodies: Arc<Bodies>) {
    while let Ok((socket, _)) = listener.accept().await {
        let _ = socket.set_nodelay(true);
        let bodies = bodies.clone();
        tokio::task::spawn_local(async move {
            let service = service_fn(move |request| {
                let bodies = bodies.clone();
                async move { Ok::<_, Infallible>(answer(&bodies, &request)) }
            });
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

fn answer(bodies: &Bodies, request: &Request<Incoming>) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    let path = request.uri().path();
    let body = if path.ends_with(NAME) {
        Full::new(bodies.pod.clone()).boxed_unsync()
    } else if path.contains(WATCH) {
        let frames: Vec<_> = bodies.events.iter().cloned().map(|b| Ok(Frame::data(b))).collect();
        let open = futures::StreamExt::chain(stream::iter(frames), stream::pending());
        BodyExt::boxed_unsync(StreamBody::new(open))
    } else {
        Full::new(bodies.list.clone()).boxed_unsync()
    };
    let mut response = Response::new(body);
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}

async fn bodies(url: &str) -> anyhow::Result<Bodies> {
    let config = rehearsal_client::Config { disable_compression: true, ..rehearsal_client::Config::new(url) };
    let client = rehearsal_client::RestClient::unversioned(&config)?;
    let get = async |path: String| client.get().abs_path(&[&path]).do_raw().await;
    let pod = get(format!("/api/v1/namespaces/{LIST}/pods/{NAME}")).await?;
    let list = get(format!("/api/v1/namespaces/{LIST}/pods")).await?;
    let watched = get(format!("/api/v1/namespaces/{WATCH}/pods")).await?;
    let watched: serde_json::Value = serde_json::from_slice(&watched)?;
    let mut events = Vec::new();
    for item in watched["items"].as_array().into_iter().flatten() {
        let mut object = item.clone();
        object["kind"] = "Pod".into();
        object["apiVersion"] = "v1".into();
        // The type comes first, as with every server.
        events.extend_from_slice(format!("{{\"type\":\"ADDED\",\"object\":{object}}}\n").as_bytes());
    }
    let events = Bytes::from(events);
    let pieces = (0..events.len()).step_by(PIECE).map(|at| events.slice(at..events.len().min(at + PIECE))).collect();
    Ok(Bodies { pod, list, events: pieces })
}
