//! Watchers that do not read.

use crate::wire::{MAPS, PATIENCE, Victim, read_to_end};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::time::timeout;

/// Updates that pass by the watcher; with a kilobyte each they are more than its socket and the history can hold.
const UPDATES: usize = 20_000;

async fn update(victim: &Victim, n: usize) {
    let body = format!(
        r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"busy","labels":{{"n":"{n}"}}}},"data":{{"k":"{}"}}}}"#,
        "x".repeat(1000)
    );
    let request = http::Request::put(format!("{MAPS}/busy"))
        .header("content-type", "application/json")
        .body(axum::body::Body::from(body))
        .unwrap();
    let answer = victim.0.server().call(request).await;
    assert_eq!(answer.status(), 200);
}

/// Opens a watch of the config map that is written all the time.
async fn watch(victim: &Victim) -> tokio::net::TcpStream {
    let mut stream = victim.connect().await;
    let path = format!("{MAPS}?watch=1&fieldSelector=metadata.name%3Dbusy");
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    stream
}

#[cfg(target_os = "linux")]
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_never_reads_is_cut_and_alone_in_that() {
    let victim = Victim::start().await;
    victim.create("busy").await;
    let mut asleep = Vec::new();
    for _ in 0..3 {
        asleep.push(watch(&victim).await);
    }
    let mut awake = BufReader::new(watch(&victim).await).lines();
    while !awake.next_line().await.unwrap().unwrap().contains("ADDED") {}
    let reader = tokio::spawn(async move {
        let last = format!("\"n\":\"{}\"", UPDATES - 1);
        let mut seen = 0;
        while let Some(line) = timeout(PATIENCE, awake.next_line()).await.expect("the watch stands still").unwrap() {
            seen += usize::from(line.contains("\"MODIFIED\""));
            if line.contains(&last) {
                return seen;
            }
        }
        panic!("the reading watch was cut after {seen} events");
    });
    for n in 0..UPDATES / 2 {
        update(&victim, n).await;
    }
    #[cfg(target_os = "linux")]
    let before = resident();
    for n in UPDATES / 2..UPDATES {
        update(&victim, n).await;
    }
    #[cfg(target_os = "linux")]
    {
        // The second half grew the process by no more than the history's own bounds allow.
        let grown = resident().saturating_sub(before);
        assert!(grown < 128 << 20, "grown by {grown} bytes");
    }
    assert_eq!(reader.await.unwrap(), UPDATES);
    victim.is_well().await;
    // What was sent before the cut arrives, then the stream ends: the log has moved on, or nothing was read for a minute.
    for mut stream in asleep {
        let bytes = read_to_end(&mut stream).await;
        assert!(bytes < UPDATES * 1000, "{bytes} bytes were kept for a watcher that did not read");
    }
    victim.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_that_come_and_go_leave_nothing_behind() {
    let victim = Victim::start().await;
    victim.create("busy").await;
    for round in 0..20 {
        let mut all = Vec::new();
        for _ in 0..25 {
            all.push(watch(&victim).await);
        }
        update(&victim, round).await;
        for stream in &all {
            stream.set_zero_linger().unwrap();
        }
    }
    victim.is_well().await;
    victim.0.shutdown().await;
}
