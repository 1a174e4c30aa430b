//! Recorders that are killed a hundred times in the middle of their work: what their clients have got is on the tape.

use crate::process::Rehearsal;
use crate::support::{config_map, config_maps, config_of};
use parking_lot::Mutex;
use rehearsal::{Cluster, Controllers};
use rehearsal_cassettes::format::model::{Body, Call, Document, End};
use rehearsal_cassettes::format::{load, recover};
use rehearsal_client::{Config, CreateOptions, DynamicResource, ListOptions, Qps, WatchStream};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;

/// Of the proxy; of a server that records itself a fourth.
const RUNS: usize = 100;
/// Runs at a time.
const AT_ONCE: usize = 4;

/// What a client has seen.
struct Seen {
    /// Objects created so far, one after the other.
    answers: watch::Sender<usize>,
    /// Names of the objects that events were about.
    events: Mutex<Vec<String>>,
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

/// Notes events until the watch ends.
async fn read(mut watch: WatchStream, seen: Arc<Seen>) {
    while let Some(event) = watch.next().await {
        if let Some(name) = event.object["metadata"]["name"].as_str() {
            seen.events.lock().push(name.to_owned());
        }
    }
}

/// The objects of a run.
fn of_run(run: usize) -> ListOptions {
    ListOptions::default().labels(&format!("run=r{run}"))
}

/// A proxy before a server, which outlives it.
async fn of_proxy(number: usize, cluster: &Cluster, dir: &Path) {
    let (tape, server) = (dir.join(format!("{number}.tape.yaml")), cluster.url());
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
    let seen = killed(number, process, Path::new(&kubeconfig)).await;
    let written = check(&tape, &seen, number);
    let done = committed(cluster, number).await;
    assert!(written >= done, "run {number}: {done} writes done, {written} in evidence");
}

/// A server that records itself.
async fn of_server(number: usize, dir: &Path) {
    let (tape, kubeconfig) = (dir.join(format!("{number}.tape.yaml")), dir.join(format!("{number}.kubeconfig")));
    let process = Rehearsal::start([
        "serve".as_ref(),
        "--record".as_ref(),
        tape.as_os_str(),
        "--kubeconfig-out".as_ref(),
        kubeconfig.as_os_str(),
    ]);
    let process = tokio::task::spawn_blocking(move || {
        process.ready();
        process
    })
    .await
    .unwrap();
    let seen = killed(number, process, &kubeconfig).await;
    check(&tape, &seen, number);
}

/// Writes and watches through a process until it is killed.
async fn killed(number: usize, process: Rehearsal, kubeconfig: &Path) -> Arc<Seen> {
    let client = config_maps(&config_of(kubeconfig));
    let watch = client.watch(&of_run(number)).await.unwrap();
    let seen = Arc::new(Seen { answers: watch::Sender::new(0), events: Mutex::default() });
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
    // What the watch had got before it broke may not have been looked at yet.
    reading.await.unwrap();
    seen
}

/// Holds what was seen against the tape: of an answer the request, the answer and its end, of an event its frame. How
/// many writes are in evidence.
fn check(tape: &Path, seen: &Seen, number: usize) -> usize {
    assert!(!tape.exists(), "nothing that was cut off looks like a tape");
    let part = tape.with_extension("part");
    let bytes = std::fs::read(&part).unwrap();
    let recovered = recover(&bytes).unwrap();
    assert!(recovered.lost.len() <= 1 && !recovered.header_lost, "run {number}: {:?}", recovered.lost);
    if let Some(lost) = recovered.lost.first() {
        assert_eq!(lost.end, bytes.len(), "run {number}: only the last document is cut");
    }
    let (mut posts, mut frames) = (HashMap::new(), Vec::new());
    let (mut heads, mut ends) = (Vec::new(), Vec::new());
    for document in &recovered.documents {
        match document {
            Document::Req(req) if req.request.method == "POST" => {
                let body = req.request.body.as_ref().and_then(Body::tree).unwrap_or_default();
                posts.insert(body.text_at(&["metadata", "name"]).to_owned(), req.of);
            }
            Document::Head(head) if head.response.status == 201 => heads.push(head.of),
            Document::End(end) if end.end == End::Complete => ends.push(end.of),
            Document::Frame(frame) => {
                let tree = frame.frame.content.tree().unwrap_or_default();
                frames.push(tree.text_at(&["object", "metadata", "name"]).to_owned());
            }
            _ => {}
        }
    }
    for name in (0..*seen.answers.borrow()).map(|n| format!("r{number}-{n}")) {
        let of = posts.get(&name).unwrap_or_else(|| panic!("run {number}: the request of {name} is missing"));
        assert!(heads.contains(of) && ends.contains(of), "run {number}: the answer to {name} is missing");
    }
    for name in &*seen.events.lock() {
        assert!(frames.contains(name), "run {number}: the event of {name} is missing");
    }
    let loaded = load(&part).unwrap();
    let open = |call: &Call| call.end == End::RecorderCrash && call.request.query.iter().any(|(key, _)| key == "watch");
    assert!(loaded.tape.calls().any(open), "run {number}: the watch was open");
    posts.len()
}

/// How many objects of a run the server has.
async fn committed(cluster: &Cluster, run: usize) -> usize {
    let config = Config { qps: Qps(-1.0), ..Config::new(cluster.url()) };
    let list = config_maps(&config).list(&of_run(run)).await.unwrap();
    list["items"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_a_hundred_times_a_proxy_loses_nothing_that_a_client_has_got() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Arc::new(Cluster::builder().controllers(Controllers::none()).start().await.unwrap());
    std::fs::write(dir.path().join("real"), cluster.kubeconfig().unwrap()).unwrap();
    let path = dir.path().to_owned();
    repeated(RUNS, |number| {
        let (cluster, path) = (cluster.clone(), path.clone());
        async move { of_proxy(number, &cluster, &path).await }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_many_times_a_server_loses_nothing_that_a_client_has_got() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    repeated(RUNS / 4, |number| {
        let path = path.clone();
        async move { of_server(number, &path).await }
    })
    .await;
}

async fn repeated<F: Future<Output = ()> + Send + 'static>(count: usize, run: impl Fn(usize) -> F) {
    let mut runs = tokio::task::JoinSet::new();
    for number in 0..count {
        if runs.len() == AT_ONCE {
            runs.join_next().await.unwrap().unwrap();
        }
        runs.spawn(run(number));
    }
    while let Some(outcome) = runs.join_next().await {
        outcome.unwrap();
    }
}
