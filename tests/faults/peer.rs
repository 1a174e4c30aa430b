//! Clients that see what is on the wire: raw sockets for HTTP/1.1, TLS without a library's opinion of how it ended, and
//! HTTP/2 frames one by one. And the clusters and plans that they meet.

mod client;
mod hpack;
mod http2;
mod seen;
mod tls;

pub(crate) use self::client::Client;
pub(crate) use self::http2::{
    CONTINUATION, DATA, Frame, GOAWAY, HEADERS, Http2, PING, RST_STREAM, SETTINGS, data, http2,
};
pub(crate) use self::seen::{End, Seen};
pub(crate) use self::tls::{tls, tls_at};

use rehearsal::faults::{Byzantine, Fault, Plan, Rule, catalog};
use rehearsal::{Clock, Cluster, ClusterBuilder, Controllers};
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Where most requests go.
pub(crate) const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wire {
    Http1,
    Http2,
}

impl Wire {
    /// Who the observers of this version say they are. The journal tells them apart by it.
    pub(crate) fn user_agent(self) -> &'static str {
        match self {
            Self::Http1 => "raw",
            Self::Http2 => "raw h2",
        }
    }
}

/// A rule that does the fault of a row, and is named after the row: `t2` for `reset`.
pub(crate) fn doing(name: &str, knobs: &[(&str, &str)]) -> Rule {
    let row = catalog::find(name).unwrap_or_else(|| panic!("there is no fault {name}"));
    let fault = knobs.iter().fold(Fault::new(name), |fault, (knob, value)| fault.knob(*knob, *value));
    Rule::new(row.id.to_lowercase()).fault(fault)
}

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
    let cluster = bare(builder.objects([map("a"), map("b")])).await;
    cluster.faults().add(&plan(rule)).unwrap();
    cluster
}

/// A cluster without a plan, and without controllers that would write to it.
pub(crate) async fn bare(builder: ClusterBuilder) -> Cluster {
    let cluster = builder.controllers(Controllers::none()).start().await.unwrap();
    crate::proof::met(&cluster);
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
        if self.header("transfer-encoding").is_none() { rest.to_vec() } else { unchunk(rest) }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body()).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body()).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    fn is_complete(&self) -> bool {
        let Some(end) = self.raw.windows(4).position(|w| w == b"\r\n\r\n") else { return false };
        let body = self.raw.len() - end - 4;
        match self.header("content-length") {
            Some(length) => body >= length.parse().unwrap_or(usize::MAX),
            None if self.header("transfer-encoding").is_some() => self.raw.ends_with(b"0\r\n\r\n"),
            None => true,
        }
    }
}

/// The payload of whole chunks, and what there is of the last.
fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(line) = rest.windows(2).position(|w| w == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap_or("0"), 16).unwrap_or(0);
        if size == 0 {
            break;
        }
        let data = &rest[line + 2..];
        body.extend_from_slice(&data[..size.min(data.len())]);
        rest = data.get(size + 2..).unwrap_or_default();
    }
    body
}

/// The headers of a request that are not among `given`.
fn usual_headers(wire: Wire, given: &[(&str, &str)]) -> Vec<(&'static str, &'static str)> {
    let usual = [("User-Agent", wire.user_agent()), ("Content-Type", "application/json")];
    let is_given = |name: &str| given.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
    usual.into_iter().filter(|(name, _)| !is_given(name)).collect()
}

/// The bytes of a request.
pub(crate) fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    request_with(method, path, &[], body)
}

/// The bytes of a request with headers beside or instead of the usual ones.
pub(crate) fn request_with(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in usual_headers(Wire::Http1, headers).iter().chain(headers) {
        text += &format!("{name}: {value}\r\n");
    }
    format!("{text}\r\n{body}").into_bytes()
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

/// Whether nothing comes for a moment: what is not sent at once is not sent.
pub(crate) async fn is_silent<S: AsyncRead + Unpin>(stream: &mut S) -> bool {
    let mut byte = [0; 1];
    timeout(Duration::from_millis(300), stream.read(&mut byte)).await.is_err()
}

/// What comes of a future while a manual clock goes on, four seconds at a time: its wait may begin after a step.
pub(crate) async fn advancing<T>(clock: &Clock, future: impl Future<Output = T>) -> T {
    let mut often = tokio::time::interval(Duration::from_millis(10));
    let advance = async {
        loop {
            often.tick().await;
            assert!(clock.advance(jiff::SignedDuration::from_secs(4)));
        }
    };
    tokio::select! {
        outcome = future => outcome,
        () = advance => unreachable!("it goes on for ever"),
    }
}
