//! What `rehearsal record` leaves out, when it ends by itself, what a failed command leaves, and recording from a pod.

use crate::process::Rehearsal;
use crate::recorded::{Server, outcome};
use crate::support::{calls, config_maps, config_of, create, sealed};
use clap::Parser as _;
use rehearsal::{Cluster, Controllers};
use rehearsal_cassettes::Filter;
use rehearsal_cassettes::format::model::{Entry, Tape};
use rehearsal_cassettes::format::{self};
use rehearsal_client::{Config, GetOptions, InCluster, ListOptions, Qps};
use std::path::Path;
use std::time::Duration;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_out_passes_through_and_a_replay_says_that_it_was() {
    let server = Server::start().await;
    let process = server.record(&["--exclude", "verb=get,resource=configmaps"]);
    let (_, kubeconfig) = process.ready();
    let client = config_maps(&config_of(Path::new(&kubeconfig)));
    create(&client, "a").await;
    client.get("a", &GetOptions::default(), &[]).await.unwrap();
    client.list(&ListOptions::default()).await.unwrap();
    process.signal("INT");
    let (code, _, err) = outcome(process).await;
    assert_eq!(code, Some(0), "{err}");
    let tape = sealed(&server.path("x.tape.yaml"));
    assert_eq!(calls(&tape, "GET", &format!("{MAPS}/a")).len(), 0);
    assert_eq!((calls(&tape, "POST", MAPS).len(), calls(&tape, "GET", MAPS).len()), (1, 1));
    assert!(!Filter::of(&tape.header).is_all());

    let process = server.record(&["--mode", "none"]);
    let (_, kubeconfig) = process.ready();
    let client = config_maps(&config_of(Path::new(&kubeconfig)));
    let error = client.get("a", &GetOptions::default(), &[]).await.unwrap_err().to_string();
    assert!(error.contains("the recording left out verb=get,resource=configmaps"), "{error}");
    process.signal("INT");
    outcome(process).await;
    server.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_is_full_is_a_whole_tape_and_traffic_goes_on() {
    let server = Server::start().await;
    let process = server.record(&["--max-bytes", "6KiB"]);
    let (_, kubeconfig) = process.ready();
    let client = config_maps(&config_of(Path::new(&kubeconfig)));
    for n in 0..20 {
        create(&client, &format!("m{n}")).await;
    }
    // The tape is sealed by itself, while the recorder is running.
    let path = server.path("x.tape.yaml");
    let there = async {
        while !path.exists() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), there).await.unwrap();
    let early: Tape = sealed(&path);
    let kept = calls(&early, "POST", MAPS).len();
    assert!(kept > 0 && kept < 20, "{kept} calls");
    create(&client, "later").await;
    process.signal("INT");
    let (code, _, err) = outcome(process).await;
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("the recording has ended: 6144 bytes were recorded"), "{err}");
    assert_eq!(sealed(&path), early);
    server.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_command_does_not_replace_a_good_tape() {
    let server = Server::start().await;
    let run = |mode, script| outcome(server.record(&["--mode", mode, "--", "sh", "-c", script]));
    let (good, failed) = (server.path("x.tape.yaml"), server.path("x.tape.failed"));
    assert_eq!(run("once", "true").await.0, Some(0));
    let first = std::fs::read(&good).unwrap();
    let (code, _, err) = run("all", "exit 3").await;
    assert_eq!(code, Some(3), "{err}");
    assert!(err.contains("x.tape.failed") && err.contains("is as it was"), "{err}");
    assert!(std::fs::read(&good).unwrap() == first && failed.exists());
    sealed(&failed);
    assert_eq!(run("all", "true").await.0, Some(0));
    assert!(std::fs::read(&good).unwrap() != first && !failed.exists(), "a good one replaces both");
    std::fs::remove_file(&good).unwrap();
    assert_eq!(run("once", "exit 3").await.0, Some(3));
    assert!(good.exists(), "without a tape before, a bug's own tape is the tape");
    server.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_tape_is_recorded_anew_but_not_under_ci() {
    let server = Server::start().await;
    let path = server.path("x.tape.yaml");
    let (code, _, err) = outcome(server.record(&["--expires", "90d", "--", "true"])).await;
    assert_eq!(code, Some(0), "{err}");
    let mut tape = sealed(&path);
    tape.header.recorded.at = "2001-02-03T04:05:06Z".into();
    format::seal(&mut tape);
    format::save(&tape, &path).unwrap();
    let old = std::fs::read(&path).unwrap();
    let (_, _, err) = outcome(server.record(&["--mode", "none", "--", "true"])).await;
    assert!(err.contains("to be recorded anew after 90d; it is used all the same"), "{err}");
    assert!(std::fs::read(&path).unwrap() == old);
    let (code, _, err) = outcome(server.record(&["--", "true"])).await;
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("it is recorded anew"), "{err}");
    assert_ne!(sealed(&path).header.recorded.at, "2001-02-03T04:05:06Z");
    server.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_a_lane_can_put_a_mark_on_the_tape_and_protobuf_need_not_be_on_it() {
    let server = Server::start().await;
    let process = server.record(&["--force-json"]);
    let (_, kubeconfig) = process.ready();
    let rest = rehearsal_client::RestClient::unversioned(&config_of(Path::new(&kubeconfig))).unwrap();
    let mark = |text: &'static str| {
        let request = rest.post().abs_path(&["/_rehearsal/v1/mark"]).body(text);
        async move { request.send().await.and_then(|answer| answer.raw()) }
    };
    mark("step 3\n").await.unwrap();
    assert!(mark("").await.is_err());
    let list = rest.get().abs_path(&[MAPS]).header("Accept", "application/vnd.kubernetes.protobuf");
    let bytes = list.send().await.unwrap().raw().unwrap();
    assert_eq!(bytes.first(), Some(&b'{'));
    process.signal("INT");
    let (code, _, err) = outcome(process).await;
    assert_eq!(code, Some(0), "{err}");
    let tape = sealed(&server.path("x.tape.yaml"));
    assert_eq!(marks(&tape), [("note", "step 3")]);
    assert_eq!(calls(&tape, "GET", MAPS).len(), 1);

    let (code, _, err) = outcome(server.record(&["--mode", "all", "--", "sh", "-c", "true"])).await;
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(marks(&sealed(&server.path("x.tape.yaml"))), [("process-start", "sh"), ("process-exit", "sh")]);
    server.cluster.shutdown().await;
}

fn marks(tape: &Tape) -> Vec<(&str, &str)> {
    let marks = tape.entries.iter().filter_map(|entry| if let Entry::Mark(mark) = entry { Some(mark) } else { None });
    marks.map(|mark| (mark.what.as_str(), mark.text.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deployment_of_the_example_is_one_that_a_server_takes() {
    let cluster = Cluster::builder().controllers(Controllers::none()).start().await.unwrap();
    let namespace = serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}});
    cluster.apply(namespace).await.unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/sidecar/deployment.yaml");
    let objects = rehearsal::load::read(&path).unwrap();
    assert_eq!(objects.len(), 1);
    for (place, object) in objects {
        let args = object["spec"]["template"]["spec"]["initContainers"][0]["args"].as_array().unwrap().clone();
        cluster.apply(object).await.unwrap_or_else(|error| panic!("{place}: {error:?}"));
        let args = args.iter().filter_map(serde_json::Value::as_str);
        rehearsal::cli::Cli::try_parse_from(["rehearsal"].into_iter().chain(args)).unwrap();
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_uses_the_pods_service_account_and_hands_out_another() {
    let server = Server::start().await;
    let (mount, out) = (server.path("real-account"), server.path("account"));
    std::fs::create_dir(&mount).unwrap();
    let real: Config = config_of(&server.path("real"));
    std::fs::write(mount.join("ca.crt"), &real.tls.ca_data).unwrap();
    std::fs::write(mount.join("token"), "the-pods-own-token").unwrap();
    std::fs::write(mount.join("namespace"), "prod").unwrap();
    let url = server.cluster.url().to_string();
    let (host, port) = url.split_once("://").unwrap().1.rsplit_once(':').unwrap();
    let tape = server.path("pod.tape.yaml");
    let process = Rehearsal::start_with(
        [
            "record".as_ref(),
            "--in-cluster".as_ref(),
            "--service-account".as_ref(),
            mount.as_os_str(),
            "--service-account-out".as_ref(),
            out.as_os_str(),
            "-o".as_ref(),
            tape.as_os_str(),
        ],
        &[("KUBERNETES_SERVICE_HOST", host), ("KUBERNETES_SERVICE_PORT", port)],
    );
    let (url, _) = process.ready();
    let (host, port) = url.split_once("://").unwrap().1.rsplit_once(':').unwrap();
    // What a client library in the other container does.
    let pod = InCluster { host: host.into(), port: port.into(), mount: out.clone(), ..InCluster::default() };
    assert_eq!(pod.namespace(), "prod");
    create(&config_maps(&Config { qps: Qps(-1.0), ..pod.config().unwrap() }), "a").await;
    assert!(!std::fs::read_to_string(out.join("token")).unwrap().contains("the-pods-own-token"));
    process.signal("TERM");
    let (code, _, err) = outcome(process).await;
    assert_eq!(code, Some(0), "{err}");
    let text = std::fs::read_to_string(&tape).unwrap();
    assert!(!text.contains("the-pods-own-token"));
    let tape = sealed(&tape);
    assert_eq!((calls(&tape, "POST", MAPS).len(), tape.header.recorded.placement.as_str()), (1, "sidecar"));
    server.cluster.shutdown().await;
}
