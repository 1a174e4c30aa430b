//! Many connections that do nothing.

use crate::wire::{Victim, read_answer};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// Few enough for any limit of open files; the figure for 10,000 belongs to the benchmarks.
const IDLE: usize = 500;

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_cost_others_nothing() {
    let victim = Victim::start().await;
    let mut idle = Vec::new();
    for _ in 0..IDLE / 2 {
        idle.push(victim.connect().await);
        let mut used = victim.connect().await;
        used.write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        assert_eq!(read_answer(&mut used).await.unwrap().code, 200);
        idle.push(used);
    }
    let started = std::time::Instant::now();
    victim.create("beside-the-idle").await;
    victim.is_well().await;
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    // They are still good for a request, each of them.
    for stream in idle.iter_mut().step_by(50) {
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        assert_eq!(read_answer(stream).await.unwrap().code, 200);
    }
    let started = std::time::Instant::now();
    victim.0.shutdown().await;
    assert!(started.elapsed() < Duration::from_secs(8), "idle connections held up the stop: {:?}", started.elapsed());
}
