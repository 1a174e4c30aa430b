//! Commands, attached processes, forwarded ports and followed logs, against a peer that speaks WebSocket as scripted.

mod support;

use futures::{SinkExt, StreamExt};
use parking_lot::Mutex;
use rehearsal_client::stream::*;
use rehearsal_client::*;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use support::tls::{Authority, server_config};
use support::{Act, Peer, answer, head, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request as Handshake, Response as Answer};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};

type Socket = WebSocketStream<TcpStream>;

/// A peer that shakes hands with the first offered protocol it knows, and then does as told with each socket.
struct WsPeer {
    address: String,
    asked: Arc<Mutex<Vec<(String, http::HeaderMap)>>>,
    _tasks: JoinSet<()>,
}

impl WsPeer {
    async fn start<F, Fut>(knows: &'static str, act: F) -> Self
    where
        F: Fn(Socket) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked: Arc<Mutex<Vec<_>>> = Arc::default();
        let noted = asked.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut sockets = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let noted = noted.clone();
                #[allow(clippy::result_large_err, reason = "the signature is tungstenite's")]
                let shake = move |request: &Handshake, mut answer: Answer| {
                    noted.lock().push((request.uri().to_string(), request.headers().clone()));
                    answer.headers_mut().insert("sec-websocket-protocol", knows.parse().unwrap());
                    Ok(answer)
                };
                let socket = tokio_tungstenite::accept_hdr_async(stream, shake).await.unwrap();
                sockets.spawn(act(socket));
            }
        });
        Self { address, asked, _tasks: tasks }
    }

    fn client(&self) -> RestClient {
        let config = Config { bearer_token: "secret".into(), ..Config::new(format!("http://{}", self.address)) };
        RestClient::unversioned(&config).unwrap()
    }
}

const V5: &str = "v5.channel.k8s.io";
const V4: &str = "v4.channel.k8s.io";
const SUCCESS: &str = r#"{"metadata":{},"status":"Success"}"#;
const EXIT_3: &str = r#"{"status":"Failure","reason":"NonZeroExitCode","message":"command terminated with non-zero exit code: 3","details":{"causes":[{"reason":"ExitCode","message":"3"}]}}"#;

async fn say(socket: &mut Socket, channel: u8, text: &str) {
    let bytes: Vec<u8> = std::iter::once(channel).chain(text.bytes()).collect();
    socket.send(Message::Binary(bytes.into())).await.unwrap();
}

/// The next frame of bytes as channel and text.
async fn hear(socket: &mut Socket) -> Option<(u8, String)> {
    loop {
        match socket.next().await?.ok()? {
            Message::Binary(bytes) => return Some((bytes[0], String::from_utf8_lossy(&bytes[1..]).into_owned())),
            Message::Close(_) => return None,
            _ => {}
        }
    }
}

fn command() -> PodExecOptions {
    PodExecOptions::new(["sh", "-c", "a b"])
}

#[tokio::test]
async fn a_command_gives_its_outputs_and_its_exit_code() {
    let peer = WsPeer::start(V5, |mut socket| async move {
        say(&mut socket, 1, "").await;
        say(&mut socket, 1, "out").await;
        say(&mut socket, 2, "err").await;
        say(&mut socket, 1, "put").await;
        say(&mut socket, 255, "\u{1}").await;
        say(&mut socket, 3, EXIT_3).await;
        socket.close(None).await.unwrap();
    })
    .await;
    let running = exec(&peer.client(), "default", "web", &command()).await.unwrap();
    let (code, stdout, stderr) = running.output().await.unwrap();
    assert_eq!((code, stdout.as_slice(), stderr.as_slice()), (ExitCode(3), &b"output"[..], &b"err"[..]));
    let (uri, headers) = peer.asked.lock()[0].clone();
    assert_eq!(
        uri,
        "/api/v1/namespaces/default/pods/web/exec?command=sh&command=-c&command=a+b&stderr=true&stdout=true"
    );
    assert_eq!(headers["sec-websocket-protocol"], "v5.channel.k8s.io, v4.channel.k8s.io");
    assert_eq!(headers["authorization"], "Bearer secret");
    assert!(headers.get("accept-encoding").is_none());
}

#[tokio::test]
async fn input_is_half_closed_in_v5_and_output_goes_on() {
    let peer = WsPeer::start(V5, |mut socket| async move {
        let mut heard = String::new();
        loop {
            match hear(&mut socket).await.unwrap() {
                (0, text) => heard += &text,
                (255, text) => {
                    assert_eq!(text, "\0", "the channel that ended");
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        say(&mut socket, 1, &heard.to_uppercase()).await;
        say(&mut socket, 3, SUCCESS).await;
        socket.close(None).await.unwrap();
    })
    .await;
    let mut running = exec(&peer.client(), "default", "web", &command().stdin()).await.unwrap();
    assert!(running.supports_half_close());
    let mut stdin = running.take_stdin().unwrap();
    let long = "abc".repeat(50_000);
    stdin.write_all(long.as_bytes()).await.unwrap();
    stdin.shutdown().await.unwrap();
    let (code, stdout, _) = running.output().await.unwrap();
    assert!(code.is_success());
    assert_eq!(String::from_utf8(stdout).unwrap(), long.to_uppercase());
}

#[tokio::test]
async fn an_older_server_is_not_told_the_end_of_input() {
    let peer = WsPeer::start(V4, |mut socket| async move {
        assert_eq!(hear(&mut socket).await.unwrap(), (0, "ls\n".to_owned()));
        say(&mut socket, 3, SUCCESS).await;
        socket.close(None).await.unwrap();
        assert_eq!(hear(&mut socket).await, None, "nothing follows");
    })
    .await;
    let mut running = exec(&peer.client(), "default", "web", &command().stdin()).await.unwrap();
    assert!(!running.supports_half_close());
    let mut stdin = running.take_stdin().unwrap();
    stdin.write_all(b"ls\n").await.unwrap();
    drop(stdin);
    assert!(running.wait().await.unwrap().is_success());
}

#[tokio::test]
async fn a_terminal_learns_its_size() {
    let peer = WsPeer::start(V5, |mut socket| async move {
        assert_eq!(hear(&mut socket).await.unwrap(), (4, "{\"Width\":80,\"Height\":24}\n".to_owned()));
        say(&mut socket, 3, SUCCESS).await;
        socket.close(None).await.unwrap();
    })
    .await;
    let options = PodAttachOptions { tty: true, stderr: false, stdin: true, ..PodAttachOptions::default() };
    let mut running = attach(&peer.client(), "default", "web", &options).await.unwrap();
    let _stdin = running.take_stdin();
    running.resizer().resize(TerminalSize { width: 80, height: 24 });
    assert!(running.wait().await.unwrap().is_success());
    assert_eq!(peer.asked.lock()[0].0, "/api/v1/namespaces/default/pods/web/attach?stdin=true&stdout=true&tty=true");
}

#[tokio::test]
async fn a_caller_who_does_not_read_holds_the_server_back() {
    let (tell, told) = tokio::sync::watch::channel(0_usize);
    let peer = WsPeer::start(V5, move |mut socket| {
        let tell = tell.clone();
        async move {
            let piece = "x".repeat(32 * 1024);
            for _ in 0..1000 {
                say(&mut socket, 1, &piece).await;
                tell.send_modify(|sent| *sent += 1);
            }
            say(&mut socket, 3, SUCCESS).await;
            socket.close(None).await.unwrap();
        }
    })
    .await;
    let mut running = exec(&peer.client(), "default", "web", &command()).await.unwrap();
    let mut stdout = running.take_stdout().unwrap();
    let mut first = [0; 1];
    stdout.read_exact(&mut first).await.unwrap();
    assert!(*told.borrow() < 1000, "32 MiB fit into no socket's buffers");
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest.len(), 1000 * 32 * 1024 - 1);
    assert!(running.wait().await.unwrap().is_success());
}

#[tokio::test]
async fn a_command_that_cannot_start_is_a_status() {
    let peer = WsPeer::start(V5, |mut socket| async move {
        let status = r#"{"status":"Failure","reason":"InternalError","message":"no such container","code":500}"#;
        say(&mut socket, 3, status).await;
        socket.close(None).await.unwrap();
    })
    .await;
    let error = exec(&peer.client(), "default", "web", &command()).await.unwrap().wait().await.unwrap_err();
    assert!(error.is_internal_error() && error.to_string().contains("no such container"), "{error}");
}

#[tokio::test]
async fn a_connection_that_breaks_is_no_success() {
    let cut = WsPeer::start(V5, |socket| async move { drop(socket) }).await;
    let error = exec(&cut.client(), "default", "web", &command()).await.unwrap().wait().await.unwrap_err();
    assert_eq!(error.transport().unwrap().kind(), TransportKind::Eof, "{error}");
    let angry = WsPeer::start(V5, |mut socket| async move {
        let close = CloseFrame { code: CloseCode::Error, reason: "oops".into() };
        socket.close(Some(close)).await.unwrap();
    })
    .await;
    let error = exec(&angry.client(), "default", "web", &command()).await.unwrap().wait().await.unwrap_err();
    assert!(error.to_string().contains("oops"), "{error}");
    let silent = WsPeer::start(V5, |mut socket| async move { socket.close(None).await.unwrap() }).await;
    let code = exec(&silent.client(), "default", "web", &command()).await.unwrap().wait().await.unwrap();
    assert!(code.is_success(), "an orderly end without a status is success, as in client-go");
}

#[tokio::test]
async fn pings_go_out_every_five_seconds_and_silence_ends_the_stream() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let peer = WsPeer::start(V5, move |socket| {
        let tell = tell.clone();
        async move {
            // Below the protocol, so that no ping is answered.
            let mut stream = socket.into_inner();
            let mut head = [0; 6];
            while stream.read_exact(&mut head).await.is_ok() {
                tell.send(head[0]).unwrap();
            }
        }
    })
    .await;
    let running = exec(&peer.client(), "default", "web", &command()).await.unwrap();
    let ended = tokio::spawn(running.wait());
    // Only now, so that no handshake meets a jumping clock.
    tokio::time::pause();
    for _ in 0..12 {
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(told.recv().await, Some(0x89), "a ping");
    }
    let error = ended.await.unwrap().unwrap_err();
    assert_eq!(error.transport().unwrap().kind(), TransportKind::ConnectionLost);
}

#[tokio::test]
async fn an_http_proxy_is_asked_for_a_tunnel_even_to_a_plain_server() {
    let peer = WsPeer::start(V5, |mut socket| async move {
        say(&mut socket, 1, "through").await;
        say(&mut socket, 3, SUCCESS).await;
        socket.close(None).await.unwrap();
    })
    .await;
    let (address, mut told, _tasks) = support::proxy::proxy(false).await;
    let target = ProxyTarget::parse(&format!("http://u:p@{address}")).unwrap();
    let config = Config { proxy: Proxy::Fixed(target), ..Config::new(format!("http://{}", peer.address)) };
    let client = RestClient::unversioned(&config).unwrap();
    let (_, stdout, _) = exec(&client, "default", "web", &command()).await.unwrap().output().await.unwrap();
    assert_eq!(stdout, b"through");
    let head = told.recv().await.unwrap();
    assert!(head.starts_with(&format!("CONNECT {} HTTP/1.1", peer.address)) && head.contains("Basic dTpw"), "{head}");
    assert!(peer.asked.lock()[0].1.get("proxy-authorization").is_none(), "the password ends at the proxy");
}

#[tokio::test]
async fn over_tls_the_socket_is_http1_however_much_the_server_likes_http2() {
    let authority = Authority::new();
    let mut tls = server_config("127.0.0.1", &authority);
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = acceptor.accept(stream).await.unwrap();
        let alpn = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        #[allow(clippy::result_large_err, reason = "the signature is tungstenite's")]
        let shake = |_: &Handshake, mut answer: Answer| {
            answer.headers_mut().insert("sec-websocket-protocol", V5.parse().unwrap());
            Ok(answer)
        };
        let mut socket = tokio_tungstenite::accept_hdr_async(stream, shake).await.unwrap();
        socket.send(Message::Binary(b"\x03{\"status\":\"Success\"}".as_slice().into())).await.unwrap();
        socket.close(None).await.unwrap();
        alpn
    });
    let tls = TlsConfig { ca_data: authority.pem.into_bytes(), ..TlsConfig::default() };
    let client = RestClient::unversioned(&Config { tls, ..Config::new(format!("https://{address}")) }).unwrap();
    let running = exec(&client, "default", "web", &command()).await.unwrap();
    assert!(running.wait().await.unwrap().is_success());
    assert_eq!(served.await.unwrap().as_deref(), Some(&b"http/1.1"[..]));
}

#[tokio::test]
async fn refusals_before_the_switch_are_statuses_and_not_repeated() {
    let status = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","message":"pods \"web\" not found","code":404}"#;
    let peer = Peer::start([json(404, status), answer(429, &[("retry-after", "0")], ""), json(200, "{}")]).await;
    let client = RestClient::unversioned(&peer.config()).unwrap();
    let error = exec(&client, "default", "web", &command()).await.unwrap_err();
    assert!(error.is_not_found() && error.to_string().contains("web"));
    assert!(exec(&client, "default", "web", &command()).await.unwrap_err().is_too_many_requests());
    let error = exec(&client, "default", "web", &command()).await.unwrap_err();
    assert!(error.to_string().contains("200"), "{error}");
    assert_eq!(peer.attempts(), 3);
    assert!(matches!(exec(&client, "a/b", "web", &command()).await.unwrap_err(), Error::Request(_)));
    let odd = [("upgrade", "websocket"), ("connection", "Upgrade"), ("sec-websocket-accept", "x")];
    let liar = Peer::start([Act::Answer(head(101, &odd, None))]).await;
    let client = RestClient::unversioned(&liar.config()).unwrap();
    let error = exec(&client, "default", "web", &command()).await.unwrap_err();
    assert_eq!(error.transport().unwrap().kind(), TransportKind::Upgrade);
}

// === ports ===

/// Introduces the ports, then answers each data frame in upper case; `error` ends the second port.
async fn forwarding(ports: &'static [u16], error: &'static str) -> WsPeer {
    WsPeer::start(V4, move |mut socket| async move {
        for (index, port) in ports.iter().enumerate() {
            for channel in [index * 2, index * 2 + 1] {
                let [low, high] = port.to_le_bytes();
                let introduction = vec![u8::try_from(channel).unwrap(), low, high];
                socket.send(Message::Binary(introduction.into())).await.unwrap();
            }
        }
        if !error.is_empty() {
            say(&mut socket, 3, error).await;
        }
        while let Some((channel, text)) = hear(&mut socket).await {
            if text == "bye" {
                break;
            }
            say(&mut socket, channel, &text.to_uppercase()).await;
        }
        socket.close(None).await.unwrap();
    })
    .await
}

#[tokio::test]
async fn ports_are_streams_of_their_own() {
    let peer = forwarding(&[80, 8080], "").await;
    let mut forward =
        port_forward(&peer.client(), "default", "web", &PodPortForwardOptions::new([80, 8080])).await.unwrap();
    let (mut first, mut second) = (forward.take(80).unwrap(), forward.take(8080).unwrap());
    assert!(forward.take(80).is_none());
    for (stream, text) in [(&mut second, "two"), (&mut first, "one")] {
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut got = [0; 3];
        stream.read_exact(&mut got).await.unwrap();
        assert_eq!(got, *text.to_uppercase().as_bytes());
    }
    first.write_all(b"bye").await.unwrap();
    assert_eq!(second.read_to_end(&mut Vec::new()).await.unwrap(), 0, "the end of the forwarding ends its streams");
    forward.wait().await.unwrap();
    assert_eq!(peer.asked.lock()[0].0, "/api/v1/namespaces/default/pods/web/portforward?ports=80&ports=8080");
    assert_eq!(peer.asked.lock()[0].1["sec-websocket-protocol"], V4);
}

#[tokio::test]
async fn a_port_without_a_listener_is_a_named_error() {
    let peer = forwarding(&[80, 81], "connection refused").await;
    let mut forward =
        port_forward(&peer.client(), "default", "web", &PodPortForwardOptions::new([80, 81])).await.unwrap();
    let mut dead = forward.take(81).unwrap();
    assert_eq!(dead.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    forward.take(80).unwrap().write_all(b"bye").await.unwrap();
    let error = forward.wait().await.unwrap_err();
    assert!(matches!(&error, Error::PortForward { port: 81, message } if message == "connection refused"), "{error}");
}

#[tokio::test]
async fn no_port_is_no_request() {
    let client = RestClient::unversioned(&Config::new("http://127.0.0.1:1")).unwrap();
    let error = port_forward(&client, "default", "web", &PodPortForwardOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::Request(_)));
}

#[tokio::test]
async fn a_local_port_leads_into_the_pod_for_each_connection_anew() {
    let peer = forwarding(&[80], "").await;
    let spec: PortSpec = ":80".parse().unwrap();
    let local = ForwardedPort::listen(&peer.client(), "default", "web", spec).await.unwrap();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(local.address()).await.unwrap();
        stream.write_all(b"hi").await.unwrap();
        let mut got = [0; 2];
        stream.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"HI");
        stream.write_all(b"bye").await.unwrap();
        assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    }
    assert_eq!((peer.asked.lock().len(), local.failures()), (2, 0));
}

// === logs ===

#[tokio::test]
async fn logs_are_followed_line_by_line() {
    let mut bytes = head(200, &[("content-type", "text/plain")], None);
    bytes.extend_from_slice(b"one\ntwo\r\n\nlast");
    let peer = Peer::start([Act::AnswerAndClose(bytes)]).await;
    let client = RestClient::unversioned(&peer.config()).unwrap();
    let options = PodLogOptions { follow: true, container: "c".into(), ..PodLogOptions::default() };
    let mut lines = logs(&client, "default", "web", &options).await.unwrap().lines();
    let mut seen = Vec::new();
    while let Some(line) = lines.next().await {
        seen.push(line.unwrap());
    }
    assert_eq!(seen, ["one", "two", "", "last"]);
    assert_eq!(peer.received()[0].line, "GET /api/v1/namespaces/default/pods/web/log?container=c&follow=true");
}

#[tokio::test]
async fn a_log_that_breaks_off_says_so_after_its_last_words() {
    let mut bytes = head(200, &[("content-type", "text/plain")], Some(100));
    bytes.extend_from_slice(b"one\ntw");
    let peer = Peer::start([Act::AnswerAndClose(bytes)]).await;
    let client = RestClient::unversioned(&peer.config()).unwrap();
    let mut lines = logs(&client, "default", "web", &PodLogOptions::default()).await.unwrap().lines();
    assert_eq!(lines.next().await.unwrap().unwrap(), "one");
    assert_eq!(lines.next().await.unwrap().unwrap(), "tw");
    assert!(matches!(lines.next().await.unwrap().unwrap_err(), Error::Body { .. }));
    assert!(lines.next().await.is_none());
}
