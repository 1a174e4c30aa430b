//! Ports of lanes and of the admin API, as `serve` prints them and `run` hands them on.

use crate::process::{Rehearsal, get};
use std::fs;
use std::path::Path;

/// The value of a line that `serve` prints.
fn value<'a>(line: &'a str, key: &str) -> &'a str {
    let found = line.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("no {key} in {line:?}"))
}

#[test]
fn serve_prints_where_lanes_and_the_admin_api_are() {
    let dir = tempfile::tempdir().unwrap();
    let kubeconfig = dir.path().join("kubeconfig").display().to_string();
    let configs = dir.path().display().to_string();
    let plan = dir.path().join("plan.yaml");
    fs::write(&plan, "rules:\n  - {id: busy, when: {lane: sut, path: /version}, do: too-many-inflight}\n").unwrap();
    let server = Rehearsal::start([
        "serve",
        "--http",
        "--kubeconfig-out",
        &kubeconfig,
        "--kubeconfig-dir",
        &configs,
        "--lane",
        "sut",
        "--lane",
        "other",
        "--admin-token",
        "t",
        "--faults",
        &plan.display().to_string(),
    ]);
    let (url, _) = server.ready();
    let admin = server.line();
    assert!(admin.starts_with("admin url=http://127.0.0.1:"), "{admin}");
    assert!(get(value(&admin, "url"), "/version").starts_with("HTTP/1.1 404"));
    assert!(get(value(&admin, "url"), "/_rehearsal/v1/clock").starts_with("HTTP/1.1 401"));
    assert!(get(&url, "/version").starts_with("HTTP/1.1 200"));
    for (lane, code) in [("other", 200), ("sut", 429)] {
        let line = server.line();
        assert!(line.starts_with(&format!("lane name={lane} ")), "{line}");
        let text = fs::read_to_string(dir.path().join(format!("{lane}.kubeconfig"))).unwrap();
        assert!(text.contains(value(&line, "url")), "{text}");
        assert!(Path::new(value(&line, "kubeconfig")).exists());
        assert!(get(value(&line, "url"), "/version").starts_with(&format!("HTTP/1.1 {code}")), "{lane}");
    }
}

#[test]
fn kubeconfigs_of_lanes_that_nobody_named_go_with_the_server() {
    let server = Rehearsal::start(["serve", "--http", "--lane", "sut"]);
    server.ready();
    server.line();
    let kubeconfig = value(&server.line(), "kubeconfig").to_owned();
    assert!(Path::new(&kubeconfig).exists());
    server.signal("TERM");
    server.end();
    assert!(!Path::new(&kubeconfig).exists());
}

#[test]
fn run_hands_its_command_the_first_lanes_kubeconfig() {
    let script = r#"grep -o 'http://[0-9.:]*' "$KUBECONFIG" "$REHEARSAL_KUBECONFIG_SUT" "$REHEARSAL_KUBECONFIG_B_2" \
        "$REHEARSAL_KUBECONFIG" -h; echo "$REHEARSAL_URL"; echo "$REHEARSAL_ADMIN_URL""#;
    let (status, out, err) =
        Rehearsal::start(["run", "--http", "--lane", "sut", "--lane", "b-2", "--", "sh", "-c", script]).end();
    assert_eq!(status.code(), Some(0), "{err:?}");
    let [first, sut, second, everybody, url, admin] = &out[..] else { panic!("{out:?}") };
    assert_eq!((first, everybody), (sut, url));
    let mut all = vec![sut, second, url, admin];
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 4, "{out:?}");
}

#[test]
fn what_is_no_name_of_a_lane_is_refused() {
    let (status, out, err) = Rehearsal::start(["serve", "--http", "--lane", "a/b"]).end();
    assert_eq!((status.code(), out.len()), (Some(1), 0));
    assert!(err.join("\n").contains("\"a/b\" is no name for a lane"), "{err:?}");
}
