//! A scripted HTTP/1.1 peer on raw sockets, and a backoff manager that records waits instead of sleeping.
#![allow(dead_code, unreachable_pub)]

pub mod proxy;
pub mod tls;

use parking_lot::Mutex;
use rehearsal_client::{BackoffManager, BoxFuture, Config, GroupVersion, Qps, RestClient};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What the peer does with a request.
#[derive(Clone, Debug)]
pub enum Act {
    /// Writes these bytes and keeps the connection.
    Answer(Vec<u8>),
    /// Writes these bytes and ends the connection.
    AnswerAndClose(Vec<u8>),
    /// Resets the connection.
    Reset,
    /// Ends the connection without a byte.
    Close,
    /// Says nothing.
    Hang,
}

/// A status line, headers and a body with its length.
pub fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Act {
    Act::Answer(head(status, headers, Some(body.len())).into_iter().chain(body.bytes()).collect())
}

/// A JSON answer.
pub fn json(status: u16, body: &str) -> Act {
    answer(status, &[("content-type", "application/json")], body)
}

/// An answer without a body, with `Retry-After`.
pub fn later(status: u16, retry_after: &str) -> Act {
    answer(status, &[("retry-after", retry_after)], "")
}

/// The head of an answer.
pub fn head(status: u16, headers: &[(&str, &str)], length: Option<usize>) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} Scripted\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if let Some(length) = length {
        text += &format!("content-length: {length}\r\n");
    }
    (text + "\r\n").into_bytes()
}

/// What the peer received.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// Method, space, target.
    pub line: String,
    /// Header lines in lower case names.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// A running peer; its tasks end with it.
pub struct Peer {
    pub address: String,
    received: Arc<Mutex<Vec<Received>>>,
    connections: Arc<Mutex<usize>>,
    arrived: watch::Receiver<usize>,
    _tasks: JoinSet<()>,
}

type Choose = Arc<dyn Fn(&Received) -> Act + Send + Sync>;

impl Peer {
    /// Acts in order; the last act is repeated.
    pub async fn start(acts: impl IntoIterator<Item = Act>) -> Self {
        let acts: Mutex<VecDeque<Act>> = Mutex::new(acts.into_iter().collect());
        Self::choosing(Arc::new(move |_| {
            let mut acts = acts.lock();
            let act = if acts.len() > 1 { acts.pop_front() } else { acts.front().cloned() };
            act.unwrap_or(Act::Close)
        }))
        .await
    }

    /// Acts by the path of the request, its query cut off.
    pub async fn by_path(choose: impl Fn(&str) -> Act + Send + Sync + 'static) -> Self {
        Self::choosing(Arc::new(move |request| {
            let target = request.line.split(' ').nth(1).unwrap_or_default();
            choose(target.split('?').next().unwrap_or_default())
        }))
        .await
    }

    async fn choosing(acts: Choose) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let received = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(Mutex::new(0));
        let mut tasks = JoinSet::new();
        let (tell, arrived) = watch::channel(0);
        let (seen, opened) = (received.clone(), connections.clone());
        tasks.spawn(async move {
            let mut peers = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                *opened.lock() += 1;
                peers.spawn(serve(stream, acts.clone(), seen.clone(), tell.clone()));
            }
        });
        Self { address, received, connections, arrived, _tasks: tasks }
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().clone()
    }

    pub fn attempts(&self) -> usize {
        self.received.lock().len()
    }

    pub fn connections(&self) -> usize {
        *self.connections.lock()
    }

    /// Waits until so many requests have arrived.
    pub async fn until(&self, requests: usize) {
        self.arrived.clone().wait_for(|n| *n >= requests).await.unwrap();
    }

    /// A configuration without limiter.
    pub fn config(&self) -> Config {
        Config { qps: Qps(-1.0), ..Config::new(format!("http://{}", self.address)) }
    }

    /// A client for the core group whose waits are recorded.
    pub fn client(&self) -> (RestClient, Arc<Recorded>) {
        let recorded = Arc::new(Recorded::default());
        let config = Config { backoff: Some(recorded.clone()), ..self.config() };
        (RestClient::unversioned(&config).unwrap().group_version(GroupVersion::new("", "v1")), recorded)
    }
}

async fn serve(mut stream: TcpStream, acts: Choose, seen: Arc<Mutex<Vec<Received>>>, tell: watch::Sender<usize>) {
    while let Some(request) = receive(&mut stream).await {
        let act = acts(&request);
        seen.lock().push(request);
        tell.send_modify(|n| *n += 1);
        match act {
            Act::Answer(bytes) => stream.write_all(&bytes).await.unwrap_or_default(),
            Act::AnswerAndClose(bytes) => {
                stream.write_all(&bytes).await.unwrap_or_default();
                return;
            }
            Act::Reset => {
                stream.set_zero_linger().unwrap();
                return;
            }
            Act::Close => return,
            Act::Hang => std::future::pending().await,
        }
    }
}

async fn receive(stream: &mut TcpStream) -> Option<Received> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let mut lines = text.lines();
    let line = lines.next()?.trim_end_matches(" HTTP/1.1").to_owned();
    let headers: Vec<_> =
        lines.filter_map(|l| l.split_once(": ")).map(|(n, v)| (n.to_lowercase(), v.to_owned())).collect();
    let length = headers.iter().find(|(n, _)| n == "content-length").and_then(|(_, v)| v.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Received { line, headers, body })
}

/// Records waits, sleeps none of them.
#[derive(Debug, Default)]
pub struct Recorded {
    waits: Mutex<Vec<Duration>>,
    /// A delay of its own.
    pub own: Mutex<Duration>,
}

impl Recorded {
    /// Waits in seconds, the one before the first attempt included.
    pub fn seconds(&self) -> Vec<u64> {
        self.waits.lock().iter().map(Duration::as_secs).collect()
    }
}

impl Recorded {
    /// The waits between attempts.
    pub fn gaps(&self) -> Vec<Duration> {
        self.waits.lock().iter().skip(1).copied().collect()
    }
}

impl BackoffManager for Recorded {
    fn update(&self, _: &str, _: Option<http::StatusCode>) {}

    fn delay(&self, _: &str) -> Duration {
        *self.own.lock()
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'_, ()> {
        self.waits.lock().push(time);
        Box::pin(std::future::ready(()))
    }
}
