//! Opens connections: dial, proxy, TLS, and the means to close them all when credentials change.
//!
//! Counterpart: the dialer of client-go `transport/cache.go` and `util/connrotation`. Pooling is hyper's, in `pool.rs`.

use super::proxy::{Proxy, ProxyEnv, ProxyTarget};
use super::tls::Tls;
use crate::BoxFuture;
use crate::error::{TransportError, TransportKind};
use base64::Engine as _;
use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Go `net.Dialer.Timeout` as client-go sets it.
const DIAL: Duration = Duration::from_secs(30);
/// Go `net.Dialer.KeepAlive` as client-go sets it.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// client-go `tlsHandshakeTimeout`.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// A proxy that answers CONNECT with more than this is not one.
const CONNECT_ANSWER: usize = 16 * 1024;

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}
type BoxIo = Box<dyn Io>;

/// Makes connections for one pool.
#[derive(Clone)]
pub(crate) struct Connector {
    tls: Arc<Tls>,
    proxy: Proxy,
    env: Arc<ProxyEnv>,
    /// For connections that will switch protocols: HTTP/1.1 only, and through any proxy by a tunnel.
    upgrades: bool,
}

impl Connector {
    pub(crate) fn new(tls: Arc<Tls>, proxy: Proxy, env: ProxyEnv) -> Self {
        Self { tls, proxy, env: Arc::new(env), upgrades: false }
    }

    pub(crate) fn for_upgrades(&self) -> Self {
        Self { upgrades: true, ..self.clone() }
    }

    pub(crate) fn proxy_for(&self, uri: &Uri) -> Option<ProxyTarget> {
        match &self.proxy {
            Proxy::Environment => self.env.choose(uri),
            Proxy::None => None,
            Proxy::Fixed(target) => Some(target.clone()),
            Proxy::Custom(choose) => choose(uri),
        }
    }

    async fn connect(self, uri: Uri) -> Result<Conn, TransportError> {
        let https = uri.scheme_str() == Some("https");
        let host = uri.host().unwrap_or("localhost").trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        let proxy = self.proxy_for(&uri);
        let mut shape = Shape::default();
        let io: BoxIo = match &proxy {
            None => Box::new(dial(&host, port).await?),
            Some(proxy) => {
                let io = self.reach_proxy(proxy).await?;
                match proxy.scheme.as_str() {
                    "socks5" => socks5(io, proxy, &host, port).await?,
                    _ if https || self.upgrades => tunnel(io, proxy, &host, port).await?,
                    _ => {
                        shape.proxied = true;
                        io
                    }
                }
            }
        };
        if !https {
            return Ok(Conn::new(io, shape, None));
        }
        let (client, alive) = self.tls.handshake().await?;
        let client = if self.upgrades { http1_only(&client) } else { client };
        let name = self.tls.server_name(&host)?;
        let stream = shake(client, name, io).await?;
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            shape.http2 = true;
        }
        Ok(Conn::new(Box::new(stream), shape, Some(alive)))
    }

    async fn reach_proxy(&self, proxy: &ProxyTarget) -> Result<BoxIo, TransportError> {
        let tcp = dial(&proxy.host, proxy.port).await?;
        if proxy.scheme != "https" {
            return Ok(Box::new(tcp));
        }
        let (client, _) = self.tls.handshake().await?;
        let name = ServerName::try_from(proxy.host.clone())
            .map_err(|_| TransportError::new(TransportKind::Proxy, "the proxy's host is no server name"))?;
        Ok(Box::new(shake(http1_only(&client), name, Box::new(tcp)).await?))
    }
}

fn http1_only(client: &rustls::ClientConfig) -> Arc<rustls::ClientConfig> {
    let mut client = client.clone();
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(client)
}

async fn shake(
    client: Arc<rustls::ClientConfig>,
    name: ServerName<'static>,
    io: BoxIo,
) -> Result<tokio_rustls::client::TlsStream<BoxIo>, TransportError> {
    match tokio::time::timeout(HANDSHAKE, TlsConnector::from(client).connect(name, io)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => {
            // A handshake that the peer cuts off is a lost connection, not a bad certificate.
            let kind = match error.kind() {
                io::ErrorKind::ConnectionReset => TransportKind::Reset,
                io::ErrorKind::UnexpectedEof => TransportKind::Eof,
                _ => TransportKind::Tls,
            };
            Err(TransportError::with_source(kind, error))
        }
        Err(_) => Err(TransportError::new(TransportKind::Tls, "TLS handshake timeout")),
    }
}

async fn dial(host: &str, port: u16) -> Result<TcpStream, TransportError> {
    let connect = async {
        let addresses: Vec<_> = tokio::net::lookup_host((host, port))
            .await
            .map_err(|e| {
                let kind =
                    if e.kind() == io::ErrorKind::TimedOut { TransportKind::DnsTimeout } else { TransportKind::Dns };
                TransportError::with_source(kind, e)
            })?
            .collect();
        let mut last = TransportError::new(TransportKind::Dns, format!("lookup {host}: no such host"));
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    // Small requests must not wait for an acknowledgement; Go sets this too.
                    let _ = stream.set_nodelay(true);
                    // A peer that vanished without a word is noticed in the end.
                    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
                    let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
                    return Ok(stream);
                }
                Err(error) => {
                    let kind = match error.kind() {
                        io::ErrorKind::ConnectionRefused => TransportKind::Refused,
                        io::ErrorKind::ConnectionReset => TransportKind::Reset,
                        _ => TransportKind::Connect,
                    };
                    let text = format!("dial tcp {address}: {error}");
                    last = TransportError::with_source(kind, text);
                }
            }
        }
        Err(last)
    };
    match tokio::time::timeout(DIAL, connect).await {
        Ok(result) => result,
        Err(_) => Err(TransportError::new(TransportKind::Timeout, format!("dial tcp {host}:{port}: i/o timeout"))),
    }
}

/// `host:port` with brackets where they belong.
fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The value of `Proxy-Authorization`.
pub(crate) fn proxy_authorization(proxy: &ProxyTarget) -> Option<String> {
    let (user, password) = proxy.user.as_ref()?;
    let pair = format!("{user}:{}", password.expose());
    Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
}

fn proxy_error(text: impl Into<String>) -> TransportError {
    TransportError::new(TransportKind::Proxy, text)
}

fn proxy_io(error: io::Error) -> TransportError {
    TransportError::with_source(TransportKind::Proxy, error)
}

async fn tunnel(mut io: BoxIo, proxy: &ProxyTarget, host: &str, port: u16) -> Result<BoxIo, TransportError> {
    let target = authority(host, port);
    let mut head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some(value) = proxy_authorization(proxy) {
        head.push_str(&format!("Proxy-Authorization: {value}\r\n"));
    }
    head.push_str("\r\n");
    io.write_all(head.as_bytes()).await.map_err(proxy_io)?;
    io.flush().await.map_err(proxy_io)?;
    let mut answer = Vec::new();
    // Byte by byte, so that nothing of what follows the head is swallowed.
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= CONNECT_ANSWER {
            return Err(proxy_error("the proxy's answer to CONNECT is too long"));
        }
        answer.push(io.read_u8().await.map_err(proxy_io)?);
    }
    let line = String::from_utf8_lossy(&answer);
    let line = line.lines().next().unwrap_or_default();
    match line.split(' ').nth(1) {
        Some("200") => Ok(io),
        _ => Err(proxy_error(format!("proxyconnect: {line}"))),
    }
}

async fn socks5(mut io: BoxIo, proxy: &ProxyTarget, host: &str, port: u16) -> Result<BoxIo, TransportError> {
    let greeting: &[u8] = if proxy.user.is_some() { &[5, 2, 0, 2] } else { &[5, 1, 0] };
    io.write_all(greeting).await.map_err(proxy_io)?;
    let mut choice = [0; 2];
    io.read_exact(&mut choice).await.map_err(proxy_io)?;
    match (choice, &proxy.user) {
        ([5, 0], _) => {}
        ([5, 2], Some((user, password))) => {
            let (user, password) = (user.as_bytes(), password.expose().as_bytes());
            let (Ok(user_len), Ok(password_len)) = (u8::try_from(user.len()), u8::try_from(password.len())) else {
                return Err(proxy_error("socks5: user name or password is longer than 255 bytes"));
            };
            let message = [&[1, user_len], user, &[password_len], password].concat();
            io.write_all(&message).await.map_err(proxy_io)?;
            io.read_exact(&mut choice).await.map_err(proxy_io)?;
            if choice[1] != 0 {
                return Err(proxy_error("socks5: user name or password refused"));
            }
        }
        _ => return Err(proxy_error("socks5: no acceptable authentication method")),
    }
    let mut message = vec![5, 1, 0];
    match host.parse() {
        Ok(std::net::IpAddr::V4(ip)) => message.extend([&[1][..], &ip.octets()].concat()),
        Ok(std::net::IpAddr::V6(ip)) => message.extend([&[4][..], &ip.octets()].concat()),
        Err(_) => {
            let len = u8::try_from(host.len()).map_err(|_| proxy_error("socks5: host name is too long"))?;
            message.extend([&[3, len][..], host.as_bytes()].concat());
        }
    }
    message.extend(port.to_be_bytes());
    io.write_all(&message).await.map_err(proxy_io)?;
    let mut reply = [0; 4];
    io.read_exact(&mut reply).await.map_err(proxy_io)?;
    if reply[1] != 0 {
        return Err(proxy_error(format!("socks5: connect refused with code {}", reply[1])));
    }
    let rest = match reply[3] {
        1 => 4,
        4 => 16,
        _ => usize::from(io.read_u8().await.map_err(proxy_io)?),
    };
    let mut bound = vec![0; rest + 2];
    io.read_exact(&mut bound).await.map_err(proxy_io)?;
    Ok(io)
}

impl tower::Service<Uri> for Connector {
    type Response = Conn;
    type Error = TransportError;
    type Future = BoxFuture<'static, Result<Conn, TransportError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

/// What hyper must know of a connection.
#[derive(Clone, Copy, Default)]
struct Shape {
    proxied: bool,
    http2: bool,
}

/// A connection that ends when its credentials are replaced.
pub(crate) struct Conn {
    io: TokioIo<BoxIo>,
    shape: Shape,
    /// `None` without TLS, and so without credentials that could be replaced.
    ended: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl Conn {
    fn new(io: BoxIo, shape: Shape, alive: Option<CancellationToken>) -> Self {
        Self { io: TokioIo::new(io), shape, ended: alive.map(|alive| Box::pin(alive.cancelled_owned())) }
    }

    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if let Some(ended) = &mut self.ended
            && ended.as_mut().poll(cx).is_ready()
        {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "use of closed network connection"));
        }
        Ok(())
    }
}

impl Connection for Conn {
    fn connected(&self) -> Connected {
        let connected = Connected::new().proxy(self.shape.proxied);
        if self.shape.http2 { connected.negotiated_h2() } else { connected }
    }
}

impl hyper::rt::Read for Conn {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl hyper::rt::Write for Conn {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}
