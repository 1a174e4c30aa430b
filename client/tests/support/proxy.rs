//! A proxy that tells what it was asked for.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Reads a CONNECT head or a SOCKS5 greeting, joins the two sides, and tells what was asked for.
pub async fn proxy(socks: bool) -> (String, tokio::sync::mpsc::UnboundedReceiver<String>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (mut inner, _) = listener.accept().await.unwrap();
        let target = if socks {
            let mut greeting = [0; 4];
            inner.read_exact(&mut greeting).await.unwrap();
            assert_eq!(greeting, [5, 2, 0, 2]);
            inner.write_all(&[5, 2]).await.unwrap();
            let mut credentials = [0; 5];
            inner.read_exact(&mut credentials).await.unwrap();
            assert_eq!(credentials, [1, 1, b'u', 1, b'p']);
            inner.write_all(&[1, 0]).await.unwrap();
            let mut request = [0; 10];
            inner.read_exact(&mut request).await.unwrap();
            inner.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
            let port = u16::from_be_bytes([request[8], request[9]]);
            format!("{}.{}.{}.{}:{port}", request[4], request[5], request[6], request[7])
        } else {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(inner.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            tell.send(head.clone()).unwrap();
            inner.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            head.split(' ').nth(1).unwrap().to_owned()
        };
        tell.send(target.clone()).unwrap();
        let mut outer = TcpStream::connect(target).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut inner, &mut outer).await;
    });
    (address, told, tasks)
}
