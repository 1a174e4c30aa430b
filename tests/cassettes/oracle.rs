//! The tapes under `tests/fixtures/cassettes/oracle`: played against the fake server, and made anew from transcripts.
//!
//! `REHEARSAL_ORACLE=DIR cargo test --test cassettes oracle` (DIR has `golden/*.json`) also checks that they are what the
//! importer makes of them; with `REHEARSAL_REGENERATE=1` it writes them.

use crate::transcripts::{Area, import};
use rehearsal::recording::ConfigUpstream;
use rehearsal::verify::{VerifyOptions, verify_as};
use rehearsal::{AuthMode, Cluster, Controllers};
use rehearsal_cassettes::format::{self, Seal};
use rehearsal_cassettes::proxy::Upstream;
use rehearsal_cassettes::verify::{PlanOptions, VerifyReport};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Whom the transcripts know, in kube's CSV form.
const TOKENS: &str = "admin-token,admin,admin-uid,\"system:masters\"\ndev-token,dev,dev-uid,\"devs\"\n";

/// Areas whose transcripts become tapes.
const AREAS: [&str; 20] = [
    "admission",
    "apply",
    "auth",
    "concurrency",
    "crd",
    "crud",
    "delete",
    "discovery",
    "dryrun",
    "errors",
    "fieldvalidation",
    "jsonpatch",
    "list",
    "mergepatch",
    "names",
    "strategicpatch",
    "subresources",
    "tables",
    "validation",
    "watch",
];

/// Tapes on which the comparison differs, and why: a line each, `area/case: reason`.
fn explained() -> BTreeMap<String, String> {
    let text = fs::read_to_string(fixtures().with_extension("explained.txt")).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_once(": ").unwrap()).map(|(name, why)| (name.to_owned(), why.to_owned())).collect()
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cassettes/oracle")
}

fn tapes() -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for area in fs::read_dir(fixtures()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for tape in fs::read_dir(&area).unwrap().map(|entry| entry.unwrap().path()) {
            let name = tape.strip_prefix(fixtures()).unwrap().to_str().unwrap().to_owned();
            found.push((name.trim_end_matches(".tape.yaml").to_owned(), tape));
        }
    }
    found.sort();
    found
}

async fn play(path: &Path) -> VerifyReport {
    let loaded = format::load(path).unwrap();
    assert_eq!(loaded.seal, Seal::Intact, "{}", path.display());
    let builder = Cluster::builder().controllers(Controllers::none());
    let cluster = builder.auth(AuthMode::Rbac).token_file(TOKENS).start().await.unwrap();
    let upstream_of = |token: &str| {
        let mut config = cluster.client_config().unwrap();
        config.bearer_token = token.into();
        ConfigUpstream::new(&config).unwrap().pooled()
    };
    let upstream = upstream_of("admin-token");
    let mut lanes: BTreeMap<String, Box<dyn Upstream>> = BTreeMap::new();
    for (lane, token) in [("dev", "dev-token"), ("anonymous", "")] {
        lanes.insert(lane.to_owned(), Box::new(upstream_of(token)));
    }
    let plan = PlanOptions { include_static: true, include_ambient: true, ..PlanOptions::default() };
    let options = VerifyOptions { plan, ..VerifyOptions::default() };
    let report = verify_as(&loaded.tape, &upstream, &lanes, &options).await.unwrap();
    cluster.shutdown().await;
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fake_server_answers_as_the_real_one_did() {
    let (mut wrong, mut answers) = (String::new(), 0);
    let explained = explained();
    let all = tapes();
    assert!(all.len() > 100, "only {} tapes found", all.len());
    for (name, path) in all {
        let report = play(&path).await;
        answers += report.compared;
        match (report.is_equal(), explained.get(name.as_str())) {
            (true, None) | (false, Some(_)) => {}
            (true, Some(why)) => writeln!(wrong, "{name} is equal now, no longer: {why}").unwrap(),
            (false, None) => writeln!(wrong, "{name}: {report}").unwrap(),
        }
    }
    assert!(answers > 300, "only {answers} answers compared");
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_tapes_are_what_the_importer_makes_of_the_transcripts() {
    let Some(oracle) = std::env::var_os("REHEARSAL_ORACLE") else { return };
    let write = std::env::var_os("REHEARSAL_REGENERATE").is_some();
    let mut made = BTreeMap::new();
    let mut areas = Vec::new();
    for area in AREAS {
        let text = fs::read(Path::new(&oracle).join("golden").join(format!("{area}.json"))).unwrap();
        let area = import(&text);
        for (title, tape) in &area.tapes {
            let mut tape = tape.clone();
            format::seal(&mut tape);
            made.insert(format!("{}/{title}", area.name), format::to_text(&tape));
        }
        areas.push(area);
    }
    if write {
        let _ = fs::remove_dir_all(fixtures());
        for (name, text) in &made {
            let path = fixtures().join(format!("{name}.tape.yaml"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::write(fixtures().join("README.md"), readme(&areas)).unwrap();
    }
    let there: BTreeMap<_, _> =
        tapes().into_iter().map(|(name, path)| (name, fs::read_to_string(path).unwrap())).collect();
    let differ: BTreeSet<_> =
        made.keys().chain(there.keys()).filter(|name| made.get(*name) != there.get(*name)).collect();
    assert!(differ.is_empty(), "not as the importer makes them: {differ:?}");
    assert_eq!(fs::read_to_string(fixtures().join("README.md")).unwrap(), readme(&areas));
}

fn readme(areas: &[Area]) -> String {
    let mut text = String::from(README);
    text.push_str("\n| area | cases | tapes | left out |\n| --- | --- | --- | --- |\n");
    for area in areas {
        let left: Vec<_> = area.left.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
        writeln!(text, "| {} | {} | {} | {} |", area.name, area.cases, area.tapes.len(), left.join("; ")).unwrap();
    }
    let sum = |count: fn(&Area) -> usize| areas.iter().map(count).sum::<usize>();
    writeln!(text, "| all | {} | {} | |", sum(|a| a.cases), sum(|a| a.tapes.len())).unwrap();
    text
}

const README: &str = "# Tapes of a real kube-apiserver

Each tape is one case of the transcripts that were taken from a real server (`recorded.origin` says which). They are
made by `tests/cassettes/transcripts.rs`; do not edit them:

    REHEARSAL_ORACLE=DIR REHEARSAL_REGENERATE=1 cargo test --test cassettes the_tapes_are_what

Answers are as they were written down, with placeholders such as `<uid:1>`, `<rv:2>`, `<time>` or `{{name}}`; the pin
`placeholders: oracle/1` says so, and `rehearsal verify` treats them as the player of the transcripts does. `compare`
beside a call says which part of its answer counts. Added were the creation of the case's namespace, and, where a step
threw its answer away but saved a value of it, that value under its own name.

Cases became tapes when all their steps are plain requests and watches. One case with one other step is left out whole.
What is compared less than by the player of the transcripts: bookmarks that come by the clock, frames that a watch
brings beyond the recorded ones after the last recorded one came, and the order of frames of different objects.
";
