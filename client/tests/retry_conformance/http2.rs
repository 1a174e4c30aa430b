//! Rows 60 and 68: where HTTP/1.1 and HTTP/2 differ.

use crate::harness::{Case, rows};
use crate::measure::{get, ok, outcome, recorded, say};
use crate::support::tls::{Authority, TlsPeer, serve_tls, server_config};
use crate::support::{Act, Peer};
use http::Method;
use parking_lot::Mutex;
use rehearsal_client::*;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

rows! {
    real 60 row_60_a_connection_that_timed_out_is_not_used_again_in_http1;
    real 68 row_68_goaway_repeats_a_get_and_not_a_post;
}

const SECOND: Duration = Duration::from_secs(1);

/// Lets the clock reach a second from now, once `arrived` says that the request is with the server.
async fn times_out<T>(request: impl Future<Output = T> + Send + 'static, arrived: impl Future<Output = ()>) -> T
where
    T: Send + 'static,
{
    let request = tokio::spawn(request);
    arrived.await;
    tokio::time::pause();
    tokio::time::advance(SECOND).await;
    tokio::time::resume();
    request.await.unwrap()
}

async fn row_60_a_connection_that_timed_out_is_not_used_again_in_http1() -> Vec<Case> {
    let peer = Peer::start([Act::Hang, ok()]).await;
    let (client, waits) = peer.client();
    let hanging = get(&client).timeout(SECOND);
    let result = times_out(async move { outcome(&hanging).await }, peer.until(1)).await;
    let (attempts, gaps) = (peer.attempts(), waits.gaps());
    outcome(&get(&client)).await.unwrap();
    assert!(peer.received()[0].line.ends_with("?timeout=1s"));
    let said = format!("{}, with the next request connections: {}", say(&result), peer.connections());
    let http1 = Case::new("D GET, timeout 1 s, HTTP/1.1", "no answer").measured(attempts, gaps, said);

    let peer = TlsPeer::start("127.0.0.1").await;
    let (client, waits) = recorded(peer.config());
    let hanging = client.get().abs_path(&["/hang"]).timeout(SECOND);
    let result = times_out(async move { outcome(&hanging).await }, peer.until(1)).await;
    let (attempts, gaps) = (peer.seen().len(), waits.gaps());
    client.get().abs_path(&["/x"]).send().await.unwrap();
    let said = format!("{}, with the next request connections: {}", say(&result), peer.connections());
    let http2 = Case::new("D GET, timeout 1 s, HTTP/2", "no answer").measured(attempts, gaps, said);
    let deadline = "deadline error of the HTTP layer";
    vec![
        http1.must_be(1, "—", &format!("{deadline}, with the next request connections: 2")),
        http2.must_be(1, "—", &format!("{deadline}, with the next request connections: 1")),
    ]
}

/// Takes `times` requests and answers each with GOAWAY; later connections are served.
async fn going_away(times: usize) -> (String, Authority, Arc<Mutex<usize>>, JoinSet<()>) {
    let authority = Authority::new();
    let mut config = server_config("127.0.0.1", &authority);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let requests = Arc::new(Mutex::new(0));
    let counted = requests.clone();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let gone = *counted.lock() < times;
            *counted.lock() += 1;
            let stream = acceptor.accept(stream).await.unwrap();
            if gone {
                go_away(stream).await;
            } else {
                serve_tls(stream, Arc::default(), tokio::sync::watch::channel(0).0).await;
            }
        }
    });
    (address, authority, requests, tasks)
}

/// Reads the preface and frames until HEADERS, then says GOAWAY after stream 1: taken, and never answered.
async fn go_away(mut stream: tokio_rustls::server::TlsStream<TcpStream>) {
    stream.read_exact(&mut [0; 24]).await.unwrap();
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        stream.read_exact(&mut vec![0; length]).await.unwrap();
        if head[3] == 1 {
            break;
        }
    }
    stream.write_all(&[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]).await.unwrap();
    let _ = stream.shutdown().await;
    // A reset must not overtake what was said.
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

async fn row_68_goaway_repeats_a_get_and_not_a_post() -> Vec<Case> {
    let mut cases = Vec::new();
    for (method, attempts, gaps, wanted) in
        [(Method::GET, 2, "1 s", "ok"), (Method::POST, 1, "—", "transport error, a likeness of EOF")]
    {
        let (address, authority, requests, _tasks) = going_away(1).await;
        let tls = TlsConfig { ca_data: authority.pem.into_bytes(), ..TlsConfig::default() };
        let (client, waits) = recorded(Config { tls, ..Config::new(format!("https://{address}")) });
        let result = outcome(&client.verb(method.clone()).abs_path(&["/x"]).body("")).await;
        let case = Case::new(format!("D {method}, HTTP/2"), "GOAWAY once the request was sent, then 200");
        // Whether reading or writing notices first is the scheduler's choice.
        let lost = result.as_ref().err().and_then(Error::transport).is_some_and(TransportError::is_probable_eof);
        let outcome = if lost { "transport error, a likeness of EOF".into() } else { say(&result) };
        let case = case.measured(*requests.lock(), waits.gaps(), outcome);
        cases.push(case.must_be(attempts, gaps, wanted));
    }
    cases
}
