//! A scripted server, an upstream that reaches it, a proxy before it, and a client that holds the lane's token.

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use jiff::Timestamp;
use rehearsal_cassettes::format::model::{Document, End, EndDoc, FrameDoc, HeadDoc, Header, ReqDoc};
use rehearsal_cassettes::proxy::{Channel, Lanes, Policy, Proxy, ProxyBody, Upstream, UpstreamError, UpstreamFailure};
use rehearsal_cassettes::record::{MemorySink, Recorder, RecorderOptions, Sink, SystemClock};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A server that reads the head of a request and then does what the script says.
pub(crate) async fn scripted<F, R>(script: F) -> SocketAddr
where
    F: Fn(String, TcpStream) -> R + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let script = Arc::new(script);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let script = script.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => return,
                    }
                }
                script(String::from_utf8_lossy(&head).into_owned(), stream).await;
            });
        }
    });
    address
}

/// A server that says the same to everybody and closes.
pub(crate) async fn says(answer: impl Into<Vec<u8>>) -> SocketAddr {
    let answer: Arc<[u8]> = answer.into().into();
    scripted(move |_, mut stream| {
        let answer = answer.clone();
        async move {
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
            // Whoever closes first must have read everything, or the other side sees a reset.
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        }
    })
    .await
}

/// Reaches a server, a connection for each request.
pub(crate) struct Dial {
    pub(crate) address: SocketAddr,
    pub(crate) http2: bool,
}

impl Upstream for Dial {
    fn channel(&self, _: bool) -> Result<Arc<dyn Channel>, UpstreamError> {
        Ok(Arc::new(Self { address: self.address, http2: self.http2 }))
    }
}

impl Channel for Dial {
    fn send(&self, request: Request<ProxyBody>) -> BoxFuture<'static, Result<Response<ProxyBody>, UpstreamError>> {
        let (address, http2) = (self.address, self.http2);
        Box::pin(async move {
            let stream = TcpStream::connect(address)
                .await
                .map_err(|error| UpstreamError::new(UpstreamFailure::Unreachable, error.to_string()))?;
            stream.set_nodelay(true).unwrap();
            let response = if http2 {
                let (mut sender, connection) =
                    http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(failed)?;
                tokio::spawn(connection);
                let (mut parts, body) = request.into_parts();
                parts.uri = format!("http://x{}", parts.uri).parse().unwrap();
                sender.send_request(Request::from_parts(parts, body)).await.map_err(failed)?
            } else {
                let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
                tokio::spawn(connection.with_upgrades());
                let mut request = request;
                request.headers_mut().insert("host", "x".parse().unwrap());
                sender.send_request(request).await.map_err(failed)?
            };
            Ok(response.map(|body| ProxyBody::new(body.map_err(failed))))
        })
    }
}

fn failed(error: hyper::Error) -> UpstreamError {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    let mut failure = UpstreamFailure::Other;
    while let Some(cause) = next {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            match io.kind() {
                std::io::ErrorKind::ConnectionReset => failure = UpstreamFailure::Reset { code: None },
                std::io::ErrorKind::UnexpectedEof => failure = UpstreamFailure::Eof,
                _ => {}
            }
        }
        next = cause.source();
    }
    if error.is_incomplete_message() {
        failure = UpstreamFailure::Eof;
    }
    UpstreamError::new(failure, error.to_string()).caused_by(error)
}

/// A proxy with one lane, and what it records.
pub(crate) struct Stage {
    pub(crate) proxy: Proxy,
    pub(crate) recorder: Recorder,
    pub(crate) sink: MemorySink,
}

impl Stage {
    /// Plain HTTP on the client's side, everything recorded in memory.
    pub(crate) async fn before(upstream: impl Upstream) -> Self {
        let sink = MemorySink::default();
        Self::with(upstream, sink.clone(), sink, Policy::record(), |_| ()).await
    }

    pub(crate) async fn with(
        upstream: impl Upstream,
        writes: impl Sink + 'static,
        sink: MemorySink,
        policy: Policy,
        adjust: impl FnOnce(&mut RecorderOptions),
    ) -> Self {
        let mut options = RecorderOptions::new(Header::default(), Arc::new(SystemClock::start()), "t");
        adjust(&mut options);
        let recorder = Recorder::start(options, Box::new(writes)).unwrap();
        let proxy = Proxy::builder(Arc::new(upstream), Lanes::new([]).unwrap())
            .recorder(recorder.clone())
            .policy(policy)
            .tls(false)
            .start(Timestamp::UNIX_EPOCH)
            .await
            .unwrap();
        Self { proxy, recorder, sink }
    }

    pub(crate) fn token(&self) -> String {
        self.proxy.lanes().token("sut").unwrap().to_owned()
    }

    /// A request with the lane's token.
    pub(crate) fn request(&self, method: &str, uri: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
        Request::builder()
            .method(method)
            .uri(uri)
            .header("host", "x")
            .header("authorization", format!("Bearer {}", self.token()))
            .header("accept", "application/json")
            .body(Full::new(body.into()))
            .unwrap()
    }

    /// Sends over a connection of its own.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        let stream = TcpStream::connect(self.proxy.address()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        sender.send_request(request).await
    }

    /// GET, and the whole answer.
    pub(crate) async fn get(&self, uri: &str) -> (Response<()>, hyper::Result<Bytes>) {
        let (parts, body) = self.send(self.request("GET", uri, "")).await.unwrap().into_parts();
        (Response::from_parts(parts, ()), body.collect().await.map(http_body_util::Collected::to_bytes))
    }

    /// Waits until a call has ended on the tape.
    pub(crate) async fn ended(&self, calls: usize) {
        let ends = || self.sink.documents().iter().filter(|d| matches!(d, Document::End(_))).count();
        until(|| ends() >= calls).await;
    }

    /// Ends the recording.
    pub(crate) async fn tape(self) -> Tape {
        self.proxy.shutdown().await;
        self.recorder.seal().await.unwrap();
        Tape(self.sink.documents())
    }
}

/// Waits for something to become true.
pub(crate) async fn until(done: impl Fn() -> bool) {
    let waited = async {
        while !done() {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), waited).await.expect("it never happened");
}

/// The documents of a recording, by kind.
pub(crate) struct Tape(pub(crate) Vec<Document>);

impl Tape {
    pub(crate) fn reqs(&self) -> Vec<&ReqDoc> {
        self.0.iter().filter_map(|d| if let Document::Req(req) = d { Some(req) } else { None }).collect()
    }

    pub(crate) fn heads(&self) -> Vec<&HeadDoc> {
        self.0.iter().filter_map(|d| if let Document::Head(head) = d { Some(head) } else { None }).collect()
    }

    pub(crate) fn frames(&self) -> Vec<&FrameDoc> {
        self.0.iter().filter_map(|d| if let Document::Frame(frame) = d { Some(frame) } else { None }).collect()
    }

    pub(crate) fn ends(&self) -> Vec<&EndDoc> {
        self.0.iter().filter_map(|d| if let Document::End(end) = d { Some(end) } else { None }).collect()
    }

    /// How the only call ended.
    pub(crate) fn end(&self) -> &End {
        let ends = self.ends();
        assert_eq!(ends.len(), 1, "{:?}", self.0);
        &ends[0].end
    }
}
