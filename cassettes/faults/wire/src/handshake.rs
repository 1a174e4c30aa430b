//! TLS handshakes that fail beneath TLS: clear text, an alert, silence.

use rehearsal_faults::HandshakeFailure;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// How long a client has for its ClientHello.
const HELLO: Duration = Duration::from_secs(32);
/// A fatal alert, `handshake_failure` (40).
const ALERT: [u8; 7] = [0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x28];
/// What a server says that knows no TLS.
const PLAINTEXT: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request";

/// Reads what the client begins with and lets the handshake fail. A silent one is held until `held` is cancelled. What
/// only a certificate can make fail ends in an alert.
pub(crate) async fn fail_handshake(mut stream: TcpStream, failure: HandshakeFailure, held: &CancellationToken) {
    let mut hello = [0; 4096];
    if !matches!(tokio::time::timeout(HELLO, stream.read(&mut hello)).await, Ok(Ok(1..))) {
        return;
    }
    // The client may be gone; then it needs no answer.
    let _ = match failure {
        HandshakeFailure::Stall => {
            held.cancelled().await;
            Ok(())
        }
        HandshakeFailure::Plaintext => stream.write_all(PLAINTEXT).await,
        _ => stream.write_all(&ALERT).await,
    };
    let _ = stream.shutdown().await;
}
