//! Replays end to end: two programs are recorded, and play again with a tape for a server, in every mode and pace.

use crate::support::{Engine, answering, before, config, config_map, config_maps, create, whole};
use rehearsal::hydrate::{Hydrate, HydrateOptions};
use rehearsal::{Cluster, Controllers};
use rehearsal_cassettes::format::model::Tape;
use rehearsal_cassettes::replay::{Manner, Options, Pace, Player, ReplayService, Verdict};
use rehearsal_client::{
    Config, DeleteOptions, DynamicClient, GetOptions, GroupVersionResource, ListOptions, PatchOptions, PatchType,
};
use std::collections::BTreeSet;

const LANES: [&str; 2] = ["informer", "writer"];
const PACES: [Pace; 3] = [Pace::Gated, Pace::Recorded(0.1), Pace::Asap];

/// What an informer saw: kind of event, name, resourceVersion.
type Seen = Vec<(String, String, String)>;

/// Lists, says that it has, and watches until the last object of the scenario.
async fn informer(config: &Config, listed: tokio::sync::oneshot::Sender<()>) -> Seen {
    let maps = config_maps(config);
    let list = maps.list(&ListOptions::default()).await.unwrap();
    let from = list["metadata"]["resourceVersion"].as_str().unwrap();
    let mut watch = maps.watch(&ListOptions::default().resource_version(from)).await.unwrap();
    let _ = listed.send(());
    let mut seen = Seen::new();
    loop {
        let event = watch.next().await.expect("the watch goes on until the last object");
        let text = |path: &str| event.object.pointer(path).unwrap().as_str().unwrap().to_owned();
        let name = text("/metadata/name");
        seen.push((format!("{:?}", event.kind), name.clone(), text("/metadata/resourceVersion")));
        if name == "last" {
            return seen;
        }
    }
}

/// Makes, changes and deletes, once somebody watches.
async fn writer(config: &Config, listed: tokio::sync::oneshot::Receiver<()>) {
    let _ = listed.await;
    let maps = config_maps(config);
    create(&maps, "a").await;
    create(&maps, "b").await;
    maps.patch("a", PatchType::Merge, r#"{"data":{"a":"c"}}"#, &PatchOptions::default(), &[]).await.unwrap();
    assert_eq!(maps.get("a", &GetOptions::default(), &[]).await.unwrap()["data"]["a"], "c");
    maps.delete("b", &DeleteOptions::default(), &[]).await.unwrap();
    assert!(maps.get("b", &GetOptions::default(), &[]).await.unwrap_err().is_not_found());
    create(&maps, "last").await;
}

async fn both(config_of: impl Fn(&str) -> Config) -> Seen {
    let (to, from) = tokio::sync::oneshot::channel();
    let (informer_config, writer_config) = (config_of(LANES[0]), config_of(LANES[1]));
    futures::join!(informer(&informer_config, to), writer(&writer_config, from)).0
}

/// The scenario as it was recorded, and what the informer saw then.
async fn recorded() -> (Tape, Seen) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.tape.yaml");
    let cluster = Cluster::builder().controllers(Controllers::none()).start().await.unwrap();
    create(&config_maps(&config(&cluster.kubeconfig().unwrap())), "old").await;
    let (proxy, recording) = before(&config(&cluster.kubeconfig().unwrap()), &path, &LANES).await;
    let seen = both(|lane| config(&proxy.kubeconfig(lane))).await;
    proxy.shutdown().await;
    recording.seal().await.unwrap();
    cluster.shutdown().await;
    (whole(&path), seen)
}

fn lanes(names: &[&str]) -> Option<BTreeSet<String>> {
    Some(names.iter().map(|name| (*name).to_owned()).collect())
}

#[tokio::test]
async fn recorded_answers_serve_the_same_programs_in_every_manner_and_pace() {
    let (tape, seen) = recorded().await;
    assert_eq!(seen.len(), 5, "{seen:?}");
    for manner in [Manner::Strict, Manner::Lenient] {
        for pace in PACES {
            let mut transcripts = Vec::new();
            for _ in 0..2 {
                let player = Player::new(&tape, Options { manner, pace, lanes: None });
                let service = ReplayService::new(player, |_| None);
                let proxy = answering(&Engine::Recorded(service.clone()), &LANES).await;
                let again = both(|lane| config(&proxy.kubeconfig(lane))).await;
                let report = service.report();
                assert_eq!(report.verdict(true), Verdict::Pass, "{manner:?} {pace:?}: {report}");
                assert_eq!(again, seen, "{manner:?} {pace:?}");
                transcripts.push(service.transcript());
                proxy.shutdown().await;
            }
            assert_eq!(transcripts[0], transcripts[1], "{manner:?} {pace:?}");
            assert_eq!(transcripts[0].lines().count(), tape.calls().count());
        }
    }
}

#[tokio::test]
async fn a_hydrated_tape_serves_the_same_programs_in_every_pace() {
    let (tape, seen) = recorded().await;
    for pace in PACES {
        let mut runs = Vec::new();
        for _ in 0..2 {
            let hydrate = Hydrate::start(&tape, HydrateOptions { pace, ..HydrateOptions::default() }).await.unwrap();
            let proxy = answering(&Engine::Living(hydrate.clone()), &LANES).await;
            let again = both(|lane| config(&proxy.kubeconfig(lane))).await;
            let report = hydrate.report().await;
            assert!(report.is_faithful() && report.skipped.is_empty(), "{pace:?}: {report}");
            assert_eq!((report.matched, report.changes), (5, 0), "{pace:?}: {report}");
            runs.push((again, report, hydrate.transcript().await));
            proxy.shutdown().await;
        }
        assert_eq!(runs[0], runs[1], "{pace:?}");
        let bare = |seen: &Seen| seen.iter().map(|(kind, name, _)| (kind.clone(), name.clone())).collect::<Vec<_>>();
        assert_eq!(bare(&runs[0].0), bare(&seen), "{pace:?}");
    }
}

#[tokio::test]
async fn what_others_wrote_happens_by_itself_when_they_are_not_there() {
    let (tape, seen) = recorded().await;
    for pace in PACES {
        let options = HydrateOptions { pace, lanes: lanes(&["informer"]), ..HydrateOptions::default() };
        let hydrate = Hydrate::start(&tape, options).await.unwrap();
        let proxy = answering(&Engine::Living(hydrate.clone()), &["informer"]).await;
        let (listed, _) = tokio::sync::oneshot::channel();
        let again = informer(&config(&proxy.kubeconfig("informer")), listed).await;
        let report = hydrate.report().await;
        assert!(report.is_faithful() && report.skipped.is_empty(), "{pace:?}: {report}");
        assert_eq!(report.changes, 5, "{pace:?}: {report}");
        if pace == Pace::Gated {
            let at = |(kind, name, at): &(String, String, String), by: u64| {
                (kind.clone(), name.clone(), at.parse::<u64>().unwrap() * by)
            };
            let live: Vec<_> = again.iter().map(|event| at(event, 1)).collect();
            let then: Vec<_> = seen.iter().map(|event| at(event, rehearsal::hydrate::STRIDE)).collect();
            assert_eq!(live, then, "resourceVersions keep their places");
        }
        proxy.shutdown().await;
    }
    for manner in [Manner::Strict, Manner::Lenient] {
        let player = Player::new(&tape, Options { manner, lanes: lanes(&["informer"]), ..Options::default() });
        let service = ReplayService::new(player, |_| None);
        let proxy = answering(&Engine::Recorded(service.clone()), &["informer"]).await;
        let (listed, _) = tokio::sync::oneshot::channel();
        let again = informer(&config(&proxy.kubeconfig("informer")), listed).await;
        assert_eq!(again, seen, "{manner:?}");
        assert_eq!(service.report().verdict(true), Verdict::Pass, "{manner:?}: {}", service.report());
        proxy.shutdown().await;
    }
}

#[tokio::test]
async fn a_changed_writer_gets_answers_and_the_report_names_its_first_different_write() {
    let (tape, _) = recorded().await;
    let options = HydrateOptions { lanes: lanes(&["writer"]), ..HydrateOptions::default() };
    let hydrate = Hydrate::start(&tape, options).await.unwrap();
    let proxy = answering(&Engine::Living(hydrate.clone()), &["writer"]).await;
    let config = config(&proxy.kubeconfig("writer"));
    let maps = config_maps(&config);
    create(&maps, "a").await;
    // Nobody asked for these when the tape was made.
    let secrets = DynamicClient::for_config(&config).unwrap().resource(&GroupVersionResource::new("", "v1", "secrets"));
    assert_eq!(secrets.list(&ListOptions::default()).await.unwrap()["kind"], "SecretList");
    assert!(maps.get("nobody", &GetOptions::default(), &[]).await.unwrap_err().is_not_found());
    let mut other = config_map("b");
    other["data"]["a"] = "x".into();
    maps.create(&other, &Default::default(), &[]).await.unwrap();
    create(&maps, "c").await;
    let listed = maps.list(&ListOptions::default()).await.unwrap();
    assert_eq!(listed["items"].as_array().unwrap().len(), 4, "{listed}");
    let report = hydrate.report().await;
    assert_eq!(report.diverged.len(), 2, "{report}");
    assert_eq!(report.diverged[0].write, "create configmaps default/b");
    assert!(report.diverged[0].nearest.ends_with("create configmaps default/b"), "{report}");
    assert_eq!(report.diverged[0].differences, [r#"data.a: "b" on the tape, "x" now"#]);
    proxy.shutdown().await;
}
