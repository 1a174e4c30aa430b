//! A keep-alive HTTP/1.1 client: the same for both sides of every comparison.

use super::Outcome;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// One connection.
pub(crate) struct Client {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

impl Client {
    /// Connects to host and port.
    pub(crate) async fn connect(address: &str) -> Outcome<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, host: address.to_owned() })
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Outcome<(StatusCode, Bytes)> {
        self.sender.ready().await?;
        let (head, body) = self.sender.send_request(request).await?.into_parts();
        Ok((head.status, body.collect().await?.to_bytes()))
    }

    /// Sends a request with a JSON body and wants a good answer.
    pub(crate) async fn call(&mut self, method: Method, path: &str, body: Bytes) -> Outcome<Bytes> {
        self.call_as(method, path, body, "application/json").await
    }

    /// As [`call`](Self::call), with an `Accept`.
    pub(crate) async fn call_as(&mut self, method: Method, path: &str, body: Bytes, accept: &str) -> Outcome<Bytes> {
        let patch = path.contains("fieldManager=");
        let media = if patch && method == Method::PATCH { "application/apply-patch+yaml" } else { "application/json" };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.host)
            .header("user-agent", "bench")
            .header("accept", accept)
            .header("content-type", media)
            .body(Full::new(body))?;
        let (code, answer) = self.send(request).await?;
        if code.is_success() {
            Ok(answer)
        } else {
            Err(format!("{path}: {code}: {}", String::from_utf8_lossy(&answer)).into())
        }
    }

    /// GET.
    pub(crate) async fn get(&mut self, path: &str) -> Outcome<Bytes> {
        self.call(Method::GET, path, Bytes::new()).await
    }
}
