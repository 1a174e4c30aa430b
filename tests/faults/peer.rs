//! Clients that see what is on the wire: raw sockets for HTTP/1.1, TLS without a library's opinion of how it ended, and
//! HTTP/2 frames one by one.

use rehearsal::faults::{Byzantine, Fault, Plan, Rule};
use rehearsal::{Cluster, ClusterBuilder};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Where most requests go.
pub(crate) const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// A rule for each request that the fault makes sense for.
pub(crate) fn rule(fault: impl Into<Fault>) -> Rule {
    Rule::new("it").fault(fault)
}

/// A plan of one rule in which everything is allowed.
pub(crate) fn plan(rule: Rule) -> Plan {
    Plan::seed(7).byzantine(Byzantine::Allowed).rule(rule)
}

/// A cluster with a plan of one rule, and two config maps.
pub(crate) async fn cluster(rule: Rule) -> Cluster {
    with(Cluster::builder(), rule).await
}

pub(crate) async fn with(builder: ClusterBuilder, rule: Rule) -> Cluster {
    let map = |name: &str| {
        serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"},
            "data": {"text": "grün"}})
    };
    let controllers = rehearsal::Controllers::none();
    let cluster = builder.controllers(controllers).objects([map("a"), map("b")]).start().await.unwrap();
    cluster.faults().add(&plan(rule)).unwrap();
    cluster
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// FIN.
    Eof,
    /// RST.
    Reset,
    /// It goes on.
    Open,
}

/// An HTTP/1.1 answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Everything, head included.
    pub(crate) raw: Vec<u8>,
    /// How the connection ended; [`Ending::Open`] when the answer was complete before that.
    pub(crate) ending: Ending,
}

impl Answer {
    pub(crate) fn head(&self) -> String {
        let end = self.raw.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(self.raw.len());
        String::from_utf8_lossy(&self.raw[..end]).to_lowercase()
    }

    pub(crate) fn code(&self) -> u16 {
        self.head().split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn headers(&self, name: &str) -> Vec<String> {
        let lines = self.head();
        let found = lines.lines().filter_map(|line| line.split_once(": ")).filter(|(key, _)| *key == name);
        found.map(|(_, value)| value.to_owned()).collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers(name).into_iter().next()
    }

    /// The payload, chunks joined, as far as it came.
    pub(crate) fn body(&self) -> Vec<u8> {
        let Some(end) = self.raw.windows(4).position(|w| w == b"\r\n\r\n") else { return Vec::new() };
        let rest = &self.raw[end + 4..];
        if self.header("transfer-encoding").is_none() { rest.to_vec() } else { unchunk(rest).0 }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body()).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body()).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// Whether the chunked body has its terminating chunk.
    pub(crate) fn is_terminated(&self) -> bool {
        self.raw.ends_with(b"0\r\n\r\n")
    }

    /// The sizes of the chunks.
    pub(crate) fn chunks(&self) -> Vec<usize> {
        let end = self.raw.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(0);
        unchunk(&self.raw[end + 4..]).1
    }

    fn is_complete(&self) -> bool {
        let Some(end) = self.raw.windows(4).position(|w| w == b"\r\n\r\n") else { return false };
        let body = self.raw.len() - end - 4;
        match self.header("content-length") {
            Some(length) => body >= length.parse().unwrap_or(usize::MAX),
            None if self.header("transfer-encoding").is_some() => self.is_terminated(),
            None => true,
        }
    }
}

/// The payload and the sizes of whole chunks, and what there is of the last.
fn unchunk(mut rest: &[u8]) -> (Vec<u8>, Vec<usize>) {
    let (mut body, mut sizes) = (Vec::new(), Vec::new());
    while let Some(line) = rest.windows(2).position(|w| w == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap_or("0"), 16).unwrap_or(0);
        if size == 0 {
            break;
        }
        let data = &rest[line + 2..];
        body.extend_from_slice(&data[..size.min(data.len())]);
        sizes.push(size);
        rest = data.get(size + 2..).unwrap_or_default();
    }
    (body, sizes)
}

/// The bytes of a request.
pub(crate) fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nUser-Agent: raw\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The body of a new config map.
pub(crate) fn map(name: &str) -> String {
    format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}"}}}}"#)
}

pub(crate) async fn connect(cluster: &Cluster) -> TcpStream {
    TcpStream::connect(cluster.server().address()).await.unwrap()
}

/// Sends a request on a fresh connection and reads the answer, or until the connection ends.
pub(crate) async fn send(cluster: &Cluster, method: &str, path: &str, body: &str) -> Answer {
    let mut stream = connect(cluster).await;
    exchange(&mut stream, &request(method, path, body)).await
}

pub(crate) async fn get(cluster: &Cluster, path: &str) -> Answer {
    send(cluster, "GET", path, "").await
}

/// Writes bytes and reads one answer.
pub(crate) async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> Answer {
    // The server may have closed already: what came before that counts.
    let _ = stream.write_all(bytes).await;
    let _ = stream.flush().await;
    read_while(stream, |answer| !answer.is_complete()).await
}

/// Reads for as long as the answer is not what is waited for.
pub(crate) async fn read_while<S: AsyncRead + Unpin>(stream: &mut S, more: impl Fn(&Answer) -> bool) -> Answer {
    let mut answer = Answer { raw: Vec::new(), ending: Ending::Open };
    while more(&answer) {
        let mut chunk = [0; 4096];
        match timeout(PATIENCE, stream.read(&mut chunk)).await.expect("neither bytes nor an end") {
            Ok(0) => answer.ending = Ending::Eof,
            Ok(n) => answer.raw.extend_from_slice(&chunk[..n]),
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => answer.ending = Ending::Eof,
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::ConnectionReset, "{e}");
                answer.ending = Ending::Reset;
            }
        }
        if answer.ending != Ending::Open {
            break;
        }
    }
    answer
}

/// Reads until the connection ends.
pub(crate) async fn read_to_end<S: AsyncRead + Unpin>(stream: &mut S) -> Answer {
    read_while(stream, |_| true).await
}

/// Begins a watch and reads until it ends or so many frames have come.
pub(crate) async fn watch(cluster: &Cluster, query: &str, frames: usize) -> (TcpStream, Answer) {
    let mut stream = connect(cluster).await;
    let path = format!("{MAPS}?watch=1{query}");
    stream.write_all(&request("GET", &path, "")).await.unwrap();
    let answer = read_while(&mut stream, |answer| {
        let has_head = answer.raw.windows(4).any(|end| end == b"\r\n\r\n");
        !has_head || !answer.is_terminated() && answer.text().matches('\n').count() < frames
    })
    .await;
    (stream, answer)
}

/// Types of the whole frames of a watch.
pub(crate) fn types(answer: &Answer) -> Vec<String> {
    let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok()?["type"].as_str().map(str::to_owned);
    answer.text().lines().filter_map(line).collect()
}

/// Names of the objects in the frames of a watch.
pub(crate) fn names(answer: &Answer) -> Vec<String> {
    let name = |line: &str| {
        let frame = serde_json::from_str::<serde_json::Value>(line).ok()?;
        frame.pointer("/object/metadata/name")?.as_str().map(str::to_owned)
    };
    answer.text().lines().filter_map(name).collect()
}

// === TLS ===

/// A stream above TLS that trusts the cluster's authority.
pub(crate) type Tls = tokio_rustls::client::TlsStream<TcpStream>;

/// Shakes hands; `http2` offers it and nothing else.
pub(crate) async fn tls(cluster: &Cluster, http2: bool) -> std::io::Result<Tls> {
    tls_at(cluster, cluster.server().address(), http2).await
}

/// The same at another of the cluster's addresses.
pub(crate) async fn tls_at(cluster: &Cluster, address: SocketAddr, http2: bool) -> std::io::Result<Tls> {
    use base64::Engine as _;
    let kubeconfig = cluster.kubeconfig().unwrap();
    let line = kubeconfig.lines().find_map(|line| line.trim().strip_prefix("certificate-authority-data:")).unwrap();
    let text = base64::engine::general_purpose::STANDARD.decode(line.trim().trim_matches('"')).unwrap();
    let pem = String::from_utf8(text).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(der.into()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = if http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] };
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let name = rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
    let stream = TcpStream::connect(address).await?;
    timeout(PATIENCE, connector.connect(name, stream)).await.expect("a stalled handshake")
}

// === HTTP/2, frame by frame ===

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The last four bytes as a number: the code of RST_STREAM and of GOAWAY.
    pub(crate) fn code(&self) -> u32 {
        let end: [u8; 4] = self.payload[self.payload.len() - 4..].try_into().unwrap();
        u32::from_be_bytes(end)
    }

    /// The first four bytes as a number: the last stream of GOAWAY.
    pub(crate) fn last_stream(&self) -> u32 {
        u32::from_be_bytes(self.payload[..4].try_into().unwrap())
    }

    pub(crate) fn ends_stream(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & 1 != 0
    }
}

/// An HTTP/2 connection in the hands of a test.
pub(crate) struct Http2<S> {
    pub(crate) stream: S,
    next: u32,
    /// A write has found the connection reset; reading shows nothing of it any more.
    reset: bool,
}

/// Begins HTTP/2 with prior knowledge.
pub(crate) async fn http2(cluster: &Cluster) -> Http2<TcpStream> {
    Http2::begin(connect(cluster).await).await
}

impl<S: AsyncRead + AsyncWrite + Unpin> Http2<S> {
    pub(crate) async fn begin(mut stream: S) -> Self {
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut client = Self { stream, next: 1, reset: false };
        client.write(SETTINGS, 0, 0, &[]).await;
        client
    }

    pub(crate) async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        // A server that has cut the connection is what some tests wait for.
        let written = self.stream.write_all(&frame).await;
        self.reset |= written.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset);
        let _ = self.stream.flush().await;
    }

    /// Sends a request and returns its stream.
    pub(crate) async fn send(&mut self, method: &str, path: &str, body: &str) -> u32 {
        self.send_with(method, path, body, ("x-none", "-")).await
    }

    /// The same with a header more.
    pub(crate) async fn send_with(&mut self, method: &str, path: &str, body: &str, header: (&str, &str)) -> u32 {
        let stream = self.next;
        self.next += 2;
        let mut head = Vec::new();
        for (name, value) in [
            (":method", method),
            (":scheme", "http"),
            (":path", path),
            (":authority", "x"),
            ("content-type", "application/json"),
            header,
        ] {
            // Literals without indexing and without Huffman coding.
            head.push(0);
            head.push(name.len() as u8);
            head.extend(name.as_bytes());
            assert!(value.len() < 127);
            head.push(value.len() as u8);
            head.extend(value.as_bytes());
        }
        self.write(HEADERS, if body.is_empty() { 5 } else { 4 }, stream, &head).await;
        if !body.is_empty() {
            self.write(DATA, 1, stream, body.as_bytes()).await;
        }
        stream
    }

    pub(crate) async fn get(&mut self, path: &str) -> u32 {
        self.send("GET", path, "").await
    }

    /// The next frame, or how the connection ended. SETTINGS are acknowledged and not shown.
    pub(crate) async fn next(&mut self) -> Result<Frame, Ending> {
        loop {
            let mut head = [0; 9];
            self.fill(&mut head).await?;
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            self.fill(&mut payload).await?;
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let frame = Frame { kind: head[3], flags: head[4], stream, payload };
            match frame.kind {
                SETTINGS if frame.flags & 1 == 0 => self.write(SETTINGS, 1, 0, &[]).await,
                SETTINGS | 8 => {}
                _ => return Ok(frame),
            }
        }
    }

    async fn fill(&mut self, room: &mut [u8]) -> Result<(), Ending> {
        match timeout(PATIENCE, self.stream.read_exact(room)).await.expect("no frame and no end") {
            Ok(_) => Ok(()),
            Err(e) if e.kind() == ErrorKind::UnexpectedEof && !self.reset => Err(Ending::Eof),
            Err(_) => Err(Ending::Reset),
        }
    }

    /// Frames until one is what is waited for; it is the last.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&Frame) -> bool) -> Vec<Frame> {
        let mut frames = Vec::new();
        loop {
            let frame = self.next().await.unwrap_or_else(|ending| panic!("{ending:?} after {frames:?}"));
            let found = wanted(&frame);
            frames.push(frame);
            if found {
                return frames;
            }
        }
    }

    /// Frames until the connection ends.
    pub(crate) async fn rest(&mut self) -> (Vec<Frame>, Ending) {
        let mut frames = Vec::new();
        loop {
            match self.next().await {
                Ok(frame) => frames.push(frame),
                Err(ending) => return (frames, ending),
            }
        }
    }

    /// Frames of one stream until it ends, properly or not.
    pub(crate) async fn answer(&mut self, stream: u32) -> Vec<Frame> {
        let ends = |frame: &Frame| frame.stream == stream && (frame.ends_stream() || frame.kind == RST_STREAM);
        self.until(ends).await.into_iter().filter(|frame| frame.stream == stream).collect()
    }
}

/// The payload of DATA frames, as text.
pub(crate) fn data(frames: &[Frame]) -> String {
    let bytes: Vec<u8> = frames.iter().filter(|f| f.kind == DATA).flat_map(|f| f.payload.clone()).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether nothing comes for a moment: what is not sent at once is not sent.
pub(crate) async fn is_silent<S: AsyncRead + Unpin>(stream: &mut S) -> bool {
    let mut byte = [0; 1];
    timeout(Duration::from_millis(300), stream.read(&mut byte)).await.is_err()
}
