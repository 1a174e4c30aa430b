//! A cluster under attack, and clients that write bytes instead of requests.

use rehearsal::{Cluster, ClusterBuilder};
use serde_json::Value;
use std::sync::{Mutex, Once};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than anything here takes; shorter than the patience of whoever waits for the tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Where most requests of these tests go.
pub(crate) const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// Panics of threads that are not tests: handlers, connections, controllers.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static HOOK: Once = Once::new();

/// Notes every panic that does not come from the tests themselves.
fn listen_for_panics() {
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let ours = info.location().is_some_and(|l| l.file().starts_with("tests/"));
            if !ours && let Ok(mut panics) = PANICS.lock() {
                panics.push(info.to_string());
            }
            before(info);
        }));
    });
}

/// A cluster that is treated badly.
pub(crate) struct Victim(pub(crate) Cluster);

impl Victim {
    pub(crate) async fn start() -> Self {
        Self::with(Cluster::builder()).await
    }

    pub(crate) async fn with(builder: ClusterBuilder) -> Self {
        listen_for_panics();
        Self(builder.start().await.unwrap())
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.0.server().address()).await.unwrap()
    }

    /// Sends bytes on a fresh connection and reads until the server has answered or closed.
    pub(crate) async fn send(&self, bytes: &[u8]) -> Option<Answer> {
        let mut stream = self.connect().await;
        exchange(&mut stream, bytes).await
    }

    /// Sends a whole request.
    pub(crate) async fn request(&self, method: &str, path: &str, media: &str, body: &[u8]) -> Answer {
        let answer = self.send(&request(method, path, media, body)).await;
        answer.unwrap_or_else(|| panic!("{method} {path:.80}: cut instead of an answer"))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, "application/json", b"").await
    }

    /// Creates a config map.
    pub(crate) async fn create(&self, name: &str) {
        let body =
            format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}"}},"data":{{"k":"v"}}}}"#);
        let answer = self.request("POST", MAPS, "application/json", body.as_bytes()).await;
        assert_eq!(answer.code, 201, "{}", answer.text());
    }

    /// Fails unless the server is well: it answers, and nothing in it has panicked.
    pub(crate) async fn is_well(&self) {
        assert_eq!(self.get("/readyz").await.code, 200);
        let answer = self.get("/api/v1/namespaces/default").await;
        assert_eq!(answer.code, 200, "{}", answer.text());
        let panics = PANICS.lock().unwrap().clone();
        assert!(panics.is_empty(), "{panics:#?}");
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// Fails unless this is a refusal in the form of a `Status` that says what is wrong.
    pub(crate) fn refuses(&self, code: u16, hint: &str) {
        assert_eq!(self.code, code, "{:.300}", self.text());
        let status = self.json();
        assert_eq!(status["kind"], "Status");
        assert_eq!(status["code"], u64::from(code));
        let message = status["message"].as_str().unwrap_or_default();
        assert!(message.contains(hint), "{hint:?} is not in {message:.300}");
    }
}

/// A request with its body.
pub(crate) fn request(method: &str, path: &str, media: &str, body: &[u8]) -> Vec<u8> {
    let mut all = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {media}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    all.extend_from_slice(body);
    all
}

/// Writes while reading: a server that refuses early is not made to wait for the rest. `None` is a clean cut.
pub(crate) async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> Option<Answer> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let write = async {
        // The server may have closed already; what it said before is what counts.
        let _ = writer.write_all(bytes).await;
        let _ = writer.flush().await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = read_answer(&mut reader) => answer,
        () = write => None,
    }
}

/// Reads one answer; `None` when the connection ends before one.
pub(crate) async fn read_answer<R: AsyncRead + Unpin>(reader: &mut R) -> Option<Answer> {
    let mut bytes = Vec::new();
    loop {
        if let Some(answer) = complete(&bytes) {
            return Some(answer);
        }
        let mut chunk = vec![0; 16 * 1024];
        match timeout(PATIENCE, reader.read(&mut chunk)).await.expect("the server neither answers nor closes") {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
        }
    }
}

fn complete(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]);
    let code: u16 = head.split(' ').nth(1)?.parse().ok()?;
    if code == 100 {
        return complete(&bytes[end..]);
    }
    let header = |name: &str| {
        head.lines().find_map(|l| l.split_once(": ").filter(|(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v))
    };
    let rest = &bytes[end..];
    let body = match header("content-length") {
        Some(length) => rest.get(..length.parse().ok()?)?.to_vec(),
        None if header("transfer-encoding").is_some() => unchunk(rest)?,
        None => Vec::new(),
    };
    Some(Answer { code, body })
}

/// The payload of a whole chunked body.
fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|w| w == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).ok()?, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(line + 2..line + 2 + size)?);
        rest = rest.get(line + 2 + size + 2..)?;
    }
}

/// Reads until the server closes; how many bytes came.
pub(crate) async fn read_to_end<R: AsyncRead + Unpin>(reader: &mut R) -> usize {
    let mut chunk = vec![0; 64 * 1024];
    let mut total = 0;
    loop {
        match timeout(PATIENCE, reader.read(&mut chunk)).await.expect("the server does not close") {
            Ok(0) | Err(_) => return total,
            Ok(n) => total += n,
        }
    }
}
