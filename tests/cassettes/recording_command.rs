//! `rehearsal record`, `serve --record` and `run --record` as processes.

use crate::process::Rehearsal;
use crate::recorded::{Server, outcome};
use crate::support::{calls, config_maps, config_of, create, sealed};
use rehearsal_cassettes::format::model::Role;
use rehearsal_client::{GetOptions, ListOptions};
use std::path::Path;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test(flavor = "multi_thread")]
async fn a_command_gets_a_kubeconfig_for_each_lane_and_gives_its_exit_code() {
    let server = Server::start().await;
    let script =
        "grep -c rehearsal-lane-a $KUBECONFIG; test -s $REHEARSAL_KUBECONFIG_B_2 && echo $REHEARSAL_URL; exit 7";
    let process = server.record(&["--lane", "a", "--lane", "b-2=driver", "--", "sh", "-c", script]);
    let (code, out, err) = outcome(process).await;
    assert_eq!(code, Some(7), "{err}");
    assert!(out.contains("https://127.0.0.1:"), "{out}{err}");
    assert!(err.contains("0 calls and 0 frames"), "{err}");
    let tape = sealed(&server.path("x.tape.yaml"));
    let roles: Vec<_> = tape.header.lanes.iter().map(|(name, lane)| (name.as_str(), lane.role)).collect();
    assert_eq!(roles, [("a", Role::Sut), ("b-2", Role::Driver)]);
    server.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_seals_the_tape_and_the_tape_then_answers_without_a_server() {
    let server = Server::start().await;
    let process = server.record(&[]);
    let (url, kubeconfig) = process.ready();
    assert!(url.starts_with("https://127.0.0.1:"));
    let client = config_maps(&config_of(Path::new(&kubeconfig)));
    create(&client, "a").await;
    let listed = client.list(&ListOptions::default()).await.unwrap();
    process.signal("INT");
    let (code, _, err) = outcome(process).await;
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(calls(&sealed(&server.path("x.tape.yaml")), "POST", MAPS).len(), 1);
    let real = server.path("real");
    std::fs::remove_file(&real).unwrap();
    std::fs::write(&real, "{}").unwrap();

    let process = server.record(&["--mode", "none"]);
    let (_, kubeconfig) = process.ready();
    let client = config_maps(&config_of(Path::new(&kubeconfig)));
    create(&client, "a").await;
    assert_eq!(client.list(&ListOptions::default()).await.unwrap(), listed);
    let error = client.get("never-asked", &GetOptions::default(), &[]).await.unwrap_err().to_string();
    assert!(error.contains("mode none") && error.contains("never-asked"), "{error}");
    process.signal("TERM");
    let (code, _, err) = outcome(process).await;
    assert_eq!(code, Some(1), "a request was not answered: {err}");
    assert!(err.contains("1 without an answer"), "{err}");
    server.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_finds_what_has_changed() {
    let server = Server::start().await;
    server.cluster.apply(crate::support::config_map("a")).await.unwrap();
    for (mode, code, said) in
        [("all", 0, "1 calls"), ("compare", 0, "0 differences"), ("compare", 1, "data.a: \"b\" on the tape, \"c\" now")]
    {
        let process = server.record(&["--mode", mode]);
        let (_, kubeconfig) = process.ready();
        config_maps(&config_of(Path::new(&kubeconfig))).get("a", &GetOptions::default(), &[]).await.unwrap();
        process.signal("INT");
        let (status, _, err) = outcome(process).await;
        assert_eq!(status, Some(code), "{err}");
        assert!(err.contains(said), "{err}");
        if err.contains("0 differences") {
            let mut changed = crate::support::config_map("a");
            changed["data"]["a"] = "c".into();
            server.cluster.apply(changed).await.unwrap();
        }
    }
    server.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_episodes_add_what_has_no_revision_and_keep_the_rest() {
    let server = Server::start().await;
    for (mode, path, known) in
        [("once", "/api/v1", true), ("new_episodes", "/version", true), ("new_episodes", "/api/v1/pods", false)]
    {
        let process = server.record(&["--mode", mode]);
        let (_, kubeconfig) = process.ready();
        let rest = rehearsal_client::RestClient::unversioned(&config_of(Path::new(&kubeconfig))).unwrap();
        let answer = rest.get().abs_path(&[path]).send().await.and_then(|answer| answer.raw());
        assert_eq!(answer.is_ok(), known, "{path}");
        process.signal("INT");
        outcome(process).await;
    }
    let tape = sealed(&server.path("x.tape.yaml"));
    let paths: Vec<_> = tape.calls().map(|call| (call.id, call.request.path.as_str())).collect();
    assert_eq!(paths, [(1, "/api/v1"), (2, "/version")]);
    server.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mode_that_needs_a_tape_says_so_before_anything_starts() {
    let dir = tempfile::tempdir().unwrap();
    let tape = dir.path().join("none.tape.yaml").display().to_string();
    let (code, out, err) = outcome(Rehearsal::start(["record", "-o", &tape, "--mode", "none", "--", "true"])).await;
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("needs a sealed tape"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_records_itself_seals_its_tape_when_it_is_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let (tape, kubeconfig) = (dir.path().join("s.tape.yaml"), dir.path().join("k"));
    let process = Rehearsal::start([
        "serve".as_ref(),
        "--record".as_ref(),
        tape.as_os_str(),
        "--kubeconfig-out".as_ref(),
        kubeconfig.as_os_str(),
    ]);
    process.ready();
    create(&config_maps(&config_of(&kubeconfig)), "a").await;
    process.signal("TERM");
    let (code, _, err) = outcome(process).await;
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(calls(&sealed(&tape), "POST", MAPS).len(), 1);
    let tape = dir.path().join("r.tape.yaml");
    let run =
        Rehearsal::start(["run".as_ref(), "--record".as_ref(), tape.as_os_str(), "--".as_ref(), "false".as_ref()]);
    let (code, _, err) = outcome(run).await;
    assert_eq!(code, Some(1), "{err}");
    sealed(&tape);
}
