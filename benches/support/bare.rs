//! A bare axum handler that answers with bytes from memory: what a server could do that decides nothing.

use super::Outcome;
use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use tokio::net::TcpListener;

/// Serves the bytes: 200 to a GET, and 201 to a POST once its body is read. Returns host and port.
pub(crate) async fn serve(bytes: Bytes) -> Outcome<String> {
    listen(routes(bytes)).await
}

/// The handler alone.
pub(crate) fn routes(bytes: Bytes) -> Router {
    let json = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let (read, created) = (bytes.clone(), bytes);
    let (read_type, created_type) = (json.clone(), json);
    let routes = get(move || {
        let answer = (read_type.clone(), read.clone());
        async move { answer }
    })
    .post(move |_body: Bytes| {
        let answer = (StatusCode::CREATED, created_type.clone(), created.clone());
        async move { answer }
    });
    Router::new().fallback_service(routes)
}

/// Serves routes on a free port. Returns host and port.
pub(crate) async fn listen(routes: Router) -> Outcome<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let server = axum::serve(tcp_nodelay(listener), routes);
    tokio::spawn(async move { server.await });
    Ok(address)
}

fn tcp_nodelay(
    listener: TcpListener,
) -> impl axum::serve::Listener<Addr = std::net::SocketAddr, Io = tokio::net::TcpStream> {
    use axum::serve::ListenerExt as _;
    listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    })
}
