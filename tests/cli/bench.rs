//! `rehearsal bench throttle`: a short run against a cluster of its own, one against another, one in virtual time.

use crate::process::Rehearsal;
use crate::serve;
use std::fs;
use std::process::ExitStatus;

fn bench(flags: &[&str]) -> (ExitStatus, Vec<String>, Vec<String>) {
    Rehearsal::start(["bench", "throttle"].iter().chain(flags)).end()
}

/// The report that `--json -` prints.
fn report(flags: &[&str]) -> serde_json::Value {
    let (status, out, err) = bench(&[flags, &["--json", "-"]].concat());
    assert_eq!(status.code(), Some(0), "{err:?}");
    // A kubeconfig may bring a warning; progress is for terminals.
    assert!(!err.iter().any(|line| line.contains("driving")), "quiet where nobody watches: {err:?}");
    serde_json::from_str(&out.join("\n")).unwrap()
}

#[test]
fn virtual_time_gives_the_ideal_bucket_and_the_same_report_each_time() {
    let flags = ["--virtual", "--load", "poisson", "--rate", "9", "--seed", "3"];
    let found = report(&flags);
    assert_eq!(found["requests"]["admitted"], found["requests"]["ideal"]);
    assert_eq!(found["virtualChecks"]["initialBurst"], 10);
    assert_eq!(found["conformance"]["holds"], true);
    assert_eq!(found, report(&flags));
}

#[test]
fn a_cluster_of_its_own_says_when_requests_arrived() {
    let dir = tempfile::tempdir().unwrap();
    let svg = dir.path().join("plot.svg").display().to_string();
    let found = report(&["--qps", "50", "--burst", "5", "--duration", "400ms", "--svg", &svg]);
    assert_eq!(found["requests"]["byServer"], true);
    assert_eq!(found["requests"]["failed"], 0);
    // A busy machine may let fewer through in so short a time, never more.
    assert!(found["requests"]["admitted"].as_u64().is_some_and(|n| (5..=25).contains(&n)), "{found}");
    assert!(fs::read_to_string(svg).unwrap().starts_with("<svg"));
}

#[test]
fn another_server_is_named_by_url_or_kubeconfig() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path(), &[]);
    let (url, kubeconfig) = server.ready();
    for flags in [["--server", &url], ["--kubeconfig", &kubeconfig]] {
        let load = ["--load", "closed", "--workers", "2", "--qps", "100", "--duration", "100ms"];
        let found = report(&[&flags[..], &load].concat());
        assert_eq!(found["requests"]["byServer"], false);
        assert!(found["requests"]["admitted"].as_u64().is_some_and(|n| n >= 10), "{found}");
        assert!(found["latency"]["validity"].as_str().unwrap().starts_with("capacity only"));
    }
}

#[test]
fn people_read_a_table() {
    let (status, out, _) = bench(&["--virtual"]);
    assert_eq!(status.code(), Some(0));
    assert!(
        out.iter().any(|line| line.contains("admitted, ideal bucket") && line.contains("59, 59 (1.0000×)")),
        "{out:?}"
    );
}

#[test]
fn a_server_that_is_not_there_is_an_error_and_so_are_contradictions() {
    let (status, _, err) = bench(&["--server", "http://127.0.0.1:1", "--duration", "1s"]);
    assert_eq!(status.code(), Some(1));
    assert!(err.iter().any(|line| line.contains("get /version")), "{err:?}");
    for flags in [&["--virtual", "--server", "http://x"][..], &["--qps", "0"], &["--duration", "-1s"]] {
        assert_eq!(bench(flags).0.code(), Some(2), "{flags:?}");
    }
}
