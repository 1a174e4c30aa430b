//! A recorder that is killed a hundred times in the middle of its work.

use crate::process::Rehearsal;
use crate::support::{config_map, config_maps, config_of};
use rehearsal::{Cluster, Controllers};
use rehearsal_cassettes::format::model::{Call, Document, End};
use rehearsal_cassettes::format::{load, recover};
use rehearsal_client::{Config, CreateOptions, DynamicResource, ListOptions, Qps, WatchStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::watch;

const RUNS: usize = 100;
/// Runs at a time.
const AT_ONCE: usize = 4;

/// What a client has seen.
struct Seen {
    answers: watch::Sender<usize>,
    events: AtomicUsize,
}

/// Creates objects, one after the other, until it cannot.
async fn write(client: DynamicResource, run: usize, seen: Arc<Seen>) {
    for n in 0.. {
        let mut object = config_map(&format!("r{run}-{n}"));
        object["metadata"]["labels"]["run"] = format!("r{run}").into();
        if client.create(&object, &CreateOptions::default(), &[]).await.is_err() {
            return;
        }
        seen.answers.send_modify(|answers| *answers += 1);
    }
}

/// Counts events until the watch ends.
async fn read(mut watch: WatchStream, seen: Arc<Seen>) {
    while let Some(event) = watch.next().await {
        if event.object["metadata"]["name"].is_string() {
            seen.events.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// The objects of a run.
fn of_run(run: usize) -> ListOptions {
    ListOptions::default().labels(&format!("run=r{run}"))
}

async fn run(number: usize, cluster: &Cluster, dir: &Path) {
    let tape = dir.join(format!("{number}.tape.yaml"));
    let server = cluster.url();
    let process = Rehearsal::start([
        "record".as_ref(),
        "--server".as_ref(),
        server.as_ref(),
        "--kubeconfig".as_ref(),
        dir.join("real").as_os_str(),
        "-o".as_ref(),
        tape.as_os_str(),
    ]);
    let (process, kubeconfig) = tokio::task::spawn_blocking(move || {
        let (_, kubeconfig) = process.ready();
        (process, kubeconfig)
    })
    .await
    .unwrap();
    let client = config_maps(&config_of(Path::new(&kubeconfig)));
    let watch = client.watch(&of_run(number)).await.unwrap();
    let seen = Arc::new(Seen { answers: watch::Sender::new(0), events: AtomicUsize::new(0) });
    let writing = tokio::spawn(write(client, number, seen.clone()));
    let reading = tokio::spawn(read(watch, seen.clone()));
    // A moment that differs from run to run: after so many answers, and a little later.
    seen.answers.subscribe().wait_for(|answers| *answers >= number % 13).await.unwrap();
    for _ in 0..number * 37 % 23 {
        tokio::task::yield_now().await;
    }
    // Dropping it is a SIGKILL.
    drop(process);
    writing.await.unwrap();
    reading.abort();
    let _ = reading.await;
    check(&dir.join(format!("{number}.tape.part")), &seen, cluster, number).await;
    assert!(!tape.exists(), "nothing that was cut off looks like a tape");
}

async fn check(part: &Path, seen: &Seen, cluster: &Cluster, number: usize) {
    let bytes = std::fs::read(part).unwrap();
    let recovered = recover(&bytes).unwrap();
    assert!(recovered.lost.len() <= 1 && !recovered.header_lost, "run {number}: {:?}", recovered.lost);
    if let Some(lost) = recovered.lost.first() {
        assert_eq!(lost.end, bytes.len(), "run {number}: only the end is cut");
    }
    let mut posts = std::collections::HashSet::new();
    let (mut heads, mut frames) = (0, 0);
    let prefix = format!("r{number}-");
    for document in &recovered.documents {
        match document {
            Document::Req(req) if req.request.method == "POST" => {
                posts.insert(req.of);
            }
            Document::Head(head) if posts.contains(&head.of) => heads += 1,
            Document::Frame(frame) => {
                let tree = frame.frame.content.tree().unwrap_or_default();
                frames += usize::from(tree.text_at(&["object", "metadata", "name"]).starts_with(&prefix));
            }
            _ => {}
        }
    }
    let (answers, events) = (*seen.answers.borrow(), seen.events.load(Ordering::SeqCst));
    assert!(heads + 1 >= answers, "run {number}: {answers} answers seen, {heads} on the tape");
    // What one read brought is one loss, and a write's event and the next may come in one.
    assert!(frames + 2 >= events, "run {number}: {events} events seen, {frames} on the tape");
    let done = committed(cluster, number).await;
    assert!(posts.len() >= done, "run {number}: {done} writes done, {} in evidence", posts.len());
    let loaded = load(part).unwrap();
    let open = |call: &Call| call.end == End::RecorderCrash && call.request.query.iter().any(|(key, _)| key == "watch");
    assert!(loaded.tape.calls().any(open), "run {number}: the watch was open");
}

/// How many objects of a run the server has.
async fn committed(cluster: &Cluster, run: usize) -> usize {
    let config = Config { qps: Qps(-1.0), ..Config::new(cluster.url()) };
    let list = config_maps(&config).list(&of_run(run)).await.unwrap();
    list["items"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_a_hundred_times_it_loses_the_last_document_at_most() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Arc::new(Cluster::builder().controllers(Controllers::none()).start().await.unwrap());
    std::fs::write(dir.path().join("real"), cluster.kubeconfig().unwrap()).unwrap();
    let mut runs = tokio::task::JoinSet::new();
    for number in 0..RUNS {
        if runs.len() == AT_ONCE {
            runs.join_next().await.unwrap().unwrap();
        }
        let (cluster, dir) = (cluster.clone(), dir.path().to_owned());
        runs.spawn(async move { run(number, &cluster, &dir).await });
    }
    while let Some(outcome) = runs.join_next().await {
        outcome.unwrap();
    }
}
