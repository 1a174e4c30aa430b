//! The command line as scripts use it: `serve` and `run`, their output, exit codes, signals and files.
//!
//! What the server answers is tested elsewhere; here a request only tells whether something is there.

mod bench;
mod faults;
mod lanes;
mod process;

use process::{Rehearsal, get, open};
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// `serve` with plain HTTP and a kubeconfig in the directory, and further flags.
fn serve(dir: &Path, more: &[&str]) -> Rehearsal {
    let kubeconfig = dir.join("kubeconfig").display().to_string();
    let flags = ["serve", "--http", "--port", "0", "--kubeconfig-out", &kubeconfig];
    Rehearsal::start(flags.iter().chain(more))
}

fn run(more: &[&str]) -> Rehearsal {
    Rehearsal::start(["run", "--http", "--"].iter().chain(more))
}

#[test]
fn the_ready_line_names_a_server_that_answers_and_a_kubeconfig_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path(), &[]);
    let (url, kubeconfig) = server.ready();
    assert!(get(&url, "/readyz").starts_with("HTTP/1.1 200"));
    assert!(fs::read_to_string(kubeconfig).unwrap().contains(&url));
}

#[test]
fn a_kubeconfig_is_for_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path(), &[]);
    let (_, kubeconfig) = server.ready();
    assert_eq!(fs::metadata(kubeconfig).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_terminated_server_ends_well_and_answers_no_more() {
    for signal in ["TERM", "INT"] {
        let dir = tempfile::tempdir().unwrap();
        let server = serve(dir.path(), &[]);
        let (url, _) = server.ready();
        server.signal(signal);
        let (status, ..) = server.end();
        assert_eq!(status.code(), Some(0), "after SIG{signal}");
        TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap_err();
    }
}

#[test]
fn an_open_watch_does_not_keep_a_terminated_server() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path(), &[]);
    let (url, _) = server.ready();
    let _watch = open(&url, "/api/v1/namespaces?watch=true");
    server.signal("TERM");
    let (status, ..) = server.end();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_kubeconfig_that_nobody_named_goes_with_the_server() {
    let server = Rehearsal::start(["serve", "--http"]);
    let (_, kubeconfig) = server.ready();
    assert!(Path::new(&kubeconfig).exists());
    server.signal("TERM");
    server.end();
    assert!(!Path::new(&kubeconfig).exists());
}

#[test]
fn two_servers_at_once_share_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = dir.path().join("ns.yaml");
    fs::write(&manifest, "apiVersion: v1\nkind: Namespace\nmetadata: {name: mine}\n").unwrap();
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = serve(one.path(), &["--load", &manifest.display().to_string()]);
    let second = serve(two.path(), &[]);
    let ((a, _), (b, _)) = (first.ready(), second.ready());
    assert_ne!(a, b);
    assert!(get(&a, "/api/v1/namespaces/mine").starts_with("HTTP/1.1 200"));
    assert!(get(&b, "/api/v1/namespaces/mine").starts_with("HTTP/1.1 404"));
}

#[test]
fn a_port_in_use_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let first = serve(dir.path(), &[]);
    let (url, _) = first.ready();
    let port = url.rsplit(':').next().unwrap();
    let (status, out, err) = Rehearsal::start(["serve", "--http", "--port", port]).end();
    assert_eq!(status.code(), Some(1));
    assert!(out.is_empty(), "{out:?}");
    assert!(err.iter().any(|line| line.contains(port)), "{err:?}");
}

#[test]
fn a_directory_is_loaded_with_its_streams_and_lists() {
    let dir = tempfile::tempdir().unwrap();
    let load = dir.path().join("load");
    fs::create_dir_all(load.join("deeper")).unwrap();
    let stream = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: later}\n---\n\
                  apiVersion: v1\nkind: Namespace\nmetadata: {name: later}\n";
    fs::write(load.join("stream.yaml"), stream).unwrap();
    let list = r#"{"apiVersion":"v1","kind":"List","items":[
        {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b","namespace":"default"}},
        {"apiVersion":"v1","kind":"Secret","metadata":{"name":"c","namespace":"later"}}]}"#;
    fs::write(load.join("deeper").join("list.json"), list).unwrap();
    fs::write(load.join("notes.txt"), "not a manifest: [").unwrap();

    let server = serve(dir.path(), &["--load", &load.display().to_string()]);
    let (url, _) = server.ready();
    for path in ["later/configmaps/a", "default/configmaps/b", "later/secrets/c"] {
        let answer = get(&url, &format!("/api/v1/namespaces/{path}"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
}

#[test]
fn bad_manifests_are_refused_with_file_and_document() {
    let good = "apiVersion: v1\nkind: Namespace\nmetadata: {name: fine}\n---\n";
    let cases = [
        ("syntax.yaml", "a: [1\n"),
        ("scalar.yaml", "just words\n"),
        ("unknown.yaml", "apiVersion: no.such/v1\nkind: Thing\nmetadata: {name: x}\n"),
        ("refused.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: UPPER, namespace: default}\n"),
    ];
    for (name, bad) in cases {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(name);
        fs::write(&file, format!("{good}{bad}")).unwrap();
        let (status, out, err) = serve(dir.path(), &["--load", &file.display().to_string()]).end();
        assert_eq!(status.code(), Some(1), "{name}");
        assert!(out.is_empty(), "{name}: {out:?}");
        let place = format!("{}: document 2", file.display());
        assert!(err.iter().any(|line| line.contains(&place)), "{name}: {err:?}");
    }
}

#[test]
fn run_ends_with_the_code_of_its_command() {
    for code in [0, 7] {
        let (status, ..) = run(&["sh", "-c", &format!("exit {code}")]).end();
        assert_eq!(status.code(), Some(code));
    }
}

#[test]
fn run_ends_as_shells_do_after_a_command_that_a_signal_ended() {
    let (status, ..) = run(&["sh", "-c", "kill -KILL $$"]).end();
    assert_eq!(status.code(), Some(128 + 9));
}

#[test]
fn run_tells_its_command_where_the_server_is() {
    let script =
        r#"echo "$REHEARSAL_URL"; echo "$KUBECONFIG"; echo "token=$REHEARSAL_ADMIN_TOKEN"; read -r until_closed"#;
    let running = run(&["sh", "-c", script]);
    let (url, kubeconfig, token) = (running.line(), running.line(), running.line());
    assert!(get(&url, "/api").starts_with("HTTP/1.1 200"));
    assert!(fs::read_to_string(&kubeconfig).unwrap().contains(&url));
    assert_eq!(fs::metadata(&kubeconfig).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(token.len() > "token=".len() + 16, "{token}");
    running.end();
    assert!(!Path::new(&kubeconfig).exists());
    TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap_err();
}

#[test]
fn run_takes_along_what_its_command_left_running() {
    // The sleeper holds the output open, which `end` waits for.
    let (status, out, _) = run(&["sh", "-c", "sleep 3600 & echo started"]).end();
    assert_eq!((status.code(), out), (Some(0), vec!["started".to_owned()]));
}

#[test]
fn run_passes_a_signal_on_to_its_command() {
    let running = run(&["sh", "-c", "trap 'exit 9' TERM; sleep 3600 & echo up; wait"]);
    assert_eq!(running.line(), "up");
    running.signal("TERM");
    assert_eq!(running.end().0.code(), Some(9));
}

#[test]
fn run_says_which_command_it_could_not_start() {
    let (status, _, err) = run(&["no-such-command-anywhere"]).end();
    assert_eq!(status.code(), Some(1));
    assert!(err.iter().any(|line| line.contains("no-such-command-anywhere")), "{err:?}");
}

#[test]
fn a_tape_is_loaded_as_it_was_at_a_resource_version() {
    let tape = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/incident/incident.tape.yaml").display().to_string();
    let claims = |at: &str| {
        let dir = tempfile::tempdir().unwrap();
        let server = serve(dir.path(), &["--load", &tape, "--at", at]);
        let answer = get(&server.ready().0, "/api/v1/namespaces/shop/persistentvolumeclaims");
        ["cart-", "search-", "mail-", "checkout-"].map(|name| answer.contains(&format!("\"name\":\"{name}")))
    };
    assert_eq!(claims("205"), [true, true, false, false]);
    assert_eq!(claims("214"), [true; 4]);
}
