//! Garbage at a TLS port.

use crate::wire::{Victim, read_to_end};
use rehearsal::Cluster;
use tokio::io::AsyncWriteExt;

#[tokio::test(flavor = "multi_thread")]
async fn garbage_at_a_tls_port_is_cut() {
    let victim = Victim::with(Cluster::builder().tls(true)).await;
    let hello = [0x16, 0x03, 0x01, 0x40, 0x00];
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0xff; 8192],
        &[0; 64],
        &[&hello[..], &[0x41; 0x4000]].concat(),
        &[0x15, 0x03, 0x01, 0, 2, 2, 40],
        &[0x16, 0x03, 0x01, 0xff, 0xff],
        &[0x16],
        b"",
    ] {
        let mut stream = victim.connect().await;
        let _ = stream.write_all(garbage).await;
        let _ = stream.shutdown().await;
        read_to_end(&mut stream).await;
    }
    // Handshakes that never go on take no one's place.
    let mut stuck = Vec::new();
    for _ in 0..100 {
        let mut stream = victim.connect().await;
        stream.write_all(&hello).await.unwrap();
        stuck.push(stream);
    }
    let answer = victim.0.server().call(ready()).await;
    assert_eq!(answer.status(), 200);
    handshake(&victim).await;
}

fn ready() -> http::Request<axum::body::Body> {
    http::Request::get("/readyz").body(axum::body::Body::empty()).unwrap()
}

/// A good client is still greeted: the first byte of the answer to a real hello is a handshake record.
async fn handshake(victim: &Victim) {
    let mut stream = victim.connect().await;
    stream.write_all(&client_hello()).await.unwrap();
    let mut first = [0; 1];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut first).await.unwrap();
    assert_eq!(first, [0x16]);
}

/// A TLS 1.2 hello with one suite, and the groups and signatures it needs.
fn client_hello() -> Vec<u8> {
    let extensions: &[u8] = &[
        0x00, 0x0a, 0x00, 0x04, 0x00, 0x02, 0x00, 0x17, // supported_groups: secp256r1
        0x00, 0x0b, 0x00, 0x02, 0x01, 0x00, // ec_point_formats: uncompressed
        0x00, 0x0d, 0x00, 0x08, 0x00, 0x06, 0x04, 0x03, 0x08, 0x04, 0x04, 0x01, // signature_algorithms
        0x00, 0x17, 0x00, 0x00, // extended_master_secret
    ];
    let mut hello = vec![0x03, 0x03];
    hello.extend([7; 32]);
    hello.push(0);
    // ECDHE with AES-128-GCM: under ECDSA, and under RSA.
    hello.extend([0x00, 0x04, 0xc0, 0x2b, 0xc0, 0x2f, 0x01, 0x00]);
    hello.extend((extensions.len() as u16).to_be_bytes());
    hello.extend(extensions);
    let mut record = vec![0x16, 0x03, 0x01];
    record.extend((hello.len() as u16 + 4).to_be_bytes());
    record.extend([1, 0]);
    record.extend((hello.len() as u16).to_be_bytes());
    record.extend(hello);
    record
}
