//! [`Client`]: one connection of either version, and [`Running`]: one request on it.

use super::http2::{Frame, Http2, RST_STREAM, http2};
use super::seen::{End, Seen};
use super::{Ending, PATIENCE, Wire, connect, request_with};
use rehearsal::Cluster;
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What does not come within this time does not come.
const MOMENT: Duration = Duration::from_millis(300);

/// One connection.
pub(crate) enum Client {
    Http1(TcpStream),
    Http2(Http2<TcpStream>),
}

impl Client {
    pub(crate) async fn open(cluster: &Cluster, wire: Wire) -> Self {
        crate::proof::spoken(wire);
        match wire {
            Wire::Http1 => Self::Http1(connect(cluster).await),
            Wire::Http2 => Self::Http2(http2(cluster).await),
        }
    }

    /// Sends a request.
    pub(crate) async fn begin(self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Running {
        let mut running =
            Running { client: self, stream: 0, bytes: Vec::new(), frames: Vec::new(), ending: Ending::Open };
        match &mut running.client {
            Self::Http1(stream) => {
                // The server may have closed already: what came before that counts.
                let _ = stream.write_all(&request_with(method, path, headers, body)).await;
            }
            Self::Http2(connection) => {
                running.stream = connection.send_with(method, path, headers, body).await;
            }
        }
        running
    }

    /// Sends a request and reads all of its answer; the connection is there for the next, unless it has ended.
    pub(crate) async fn send(self, method: &str, path: &str, body: &str) -> (Self, Seen) {
        let mut running = self.begin(method, path, &[], body).await;
        let seen = running.all().await;
        (running.client, seen)
    }

    pub(crate) async fn get(self, path: &str) -> (Self, Seen) {
        self.send("GET", path, "").await
    }
}

/// A request that was sent, and what has come for it.
pub(crate) struct Running {
    pub(crate) client: Client,
    /// The HTTP/2 stream.
    pub(crate) stream: u32,
    bytes: Vec<u8>,
    /// Of this stream and of the connection.
    frames: Vec<Frame>,
    /// Of the connection.
    ending: Ending,
}

impl Running {
    /// What has come so far.
    pub(crate) fn seen(&self) -> Seen {
        match self.client {
            Client::Http1(_) => Seen::of_bytes(&self.bytes, self.ending),
            Client::Http2(_) => Seen::of_frames(&self.frames, self.stream, self.ending),
        }
    }

    /// Reads what comes next. Cancel-safe.
    async fn read(&mut self) {
        match &mut self.client {
            Client::Http1(stream) => {
                let mut room = vec![0; 64 * 1024];
                match timeout(PATIENCE, stream.read(&mut room)).await.expect("neither bytes nor an end") {
                    Ok(0) => self.ending = Ending::Eof,
                    Ok(n) => self.bytes.extend_from_slice(&room[..n]),
                    Err(e) => {
                        assert_eq!(e.kind(), ErrorKind::ConnectionReset, "{e}");
                        self.ending = Ending::Reset;
                    }
                }
            }
            Client::Http2(connection) => match connection.next().await {
                Ok(frame) if frame.stream == 0 || frame.stream == self.stream => self.frames.push(frame),
                Ok(_) => {}
                Err(ending) => self.ending = ending,
            },
        }
    }

    /// Whether nothing more will come for this request.
    fn is_over(&self) -> bool {
        let over = match self.client {
            Client::Http1(_) => self.seen().end != End::Open,
            Client::Http2(_) => self
                .frames
                .iter()
                .any(|frame| frame.stream == self.stream && (frame.ends_stream() || frame.kind == RST_STREAM)),
        };
        over || self.ending != Ending::Open
    }

    /// Reads until that holds, or nothing more will come.
    pub(crate) async fn until(&mut self, enough: impl Fn(&Seen) -> bool) -> Seen {
        loop {
            let seen = self.seen();
            if enough(&seen) || seen.end != End::Open {
                return seen;
            }
            self.read().await;
        }
    }

    /// Reads until so many lines have come in all, or nothing more will.
    pub(crate) async fn lines(&mut self, lines: usize) -> Seen {
        self.until(|seen| seen.lines() >= lines).await
    }

    /// Reads all of the answer.
    pub(crate) async fn all(&mut self) -> Seen {
        while !self.is_over() {
            self.read().await;
        }
        self.seen()
    }

    /// Reads until the connection has ended, too.
    pub(crate) async fn rest(&mut self) -> (Seen, Ending) {
        while self.ending == Ending::Open {
            self.read().await;
        }
        (self.seen(), self.ending)
    }

    /// Whether nothing comes for this request for a moment, and the connection does not end.
    pub(crate) async fn is_silent(&mut self) -> bool {
        let before = (self.bytes.len(), self.frames.len());
        let _ = timeout(MOMENT, async {
            while self.ending == Ending::Open && before == (self.bytes.len(), self.frames.len()) {
                self.read().await;
            }
        })
        .await;
        self.ending == Ending::Open && before == (self.bytes.len(), self.frames.len())
    }
}

impl Wire {
    /// Sends a request on a fresh connection and reads all of the answer.
    pub(crate) async fn send(self, cluster: &Cluster, method: &str, path: &str, body: &str) -> Seen {
        self.begin(cluster, method, path, body).await.all().await
    }

    pub(crate) async fn get(self, cluster: &Cluster, path: &str) -> Seen {
        self.send(cluster, "GET", path, "").await
    }

    /// Sends a request on a fresh connection.
    pub(crate) async fn begin(self, cluster: &Cluster, method: &str, path: &str, body: &str) -> Running {
        Client::open(cluster, self).await.begin(method, path, &[], body).await
    }

    /// Begins a watch on a fresh connection and reads until its head and so many lines are there, or it is over.
    pub(crate) async fn watch(self, cluster: &Cluster, query: &str, lines: usize) -> Running {
        let mut running = self.begin(cluster, "GET", &format!("{}?watch=1{query}", super::MAPS), "").await;
        running.until(|seen| seen.code != 0 && seen.lines() >= lines).await;
        running
    }

    /// A watch that is read to its end, or to so many lines.
    pub(crate) async fn watched(self, cluster: &Cluster, query: &str, lines: usize) -> Seen {
        self.watch(cluster, query, lines).await.seen()
    }
}
