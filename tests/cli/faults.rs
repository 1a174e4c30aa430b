//! `rehearsal faults`, and `--faults` of `serve` and `run`.

use crate::process::{Rehearsal, get};
use std::fs;
use std::path::{Path, PathBuf};

fn plan(dir: &tempfile::TempDir, text: &str) -> PathBuf {
    let path = dir.path().join("plan.yaml");
    fs::write(&path, text).unwrap();
    path
}

/// Runs to the end: code, output, errors.
fn faults(args: &[&str]) -> (Option<i32>, Vec<String>, Vec<String>) {
    let (status, out, err) = Rehearsal::start(["faults"].iter().chain(args)).end();
    (status.code(), out, err)
}

#[test]
fn the_catalogue_is_listed_and_described() {
    let (code, all, _) = faults(&["list"]);
    assert_eq!((code, all.len()), (Some(0), rehearsal::faults::catalog::rows().count()));
    assert!(all.iter().any(|line| line.starts_with("T2   reset ")), "{all:?}");
    let (_, one, _) = faults(&["list", "apf-reject"]);
    assert!(one[0].starts_with("S2 apf-reject: 429") && one.iter().any(|line| line.contains("default ramp(1,32)")));
    let (code, _, err) = faults(&["list", "nonsense"]);
    assert_eq!(code, Some(1));
    assert!(err[0].contains("there is no fault `nonsense`"), "{err:?}");
}

#[test]
fn plans_are_checked_with_places_and_suggestions() {
    let dir = tempfile::tempdir().unwrap();
    let good = plan(&dir, "rules:\n  - {id: a, when: {verb: list}, do: reset}\n");
    assert_eq!(faults(&["check", good.to_str().unwrap()]).0, Some(0));
    let bad = plan(&dir, "rules:\n  - id: a\n    when: {resource: pod}\n    do: resett\n");
    let (code, _, err) = faults(&["check", bad.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    let text = err.join("\n");
    assert!(text.contains("plan.yaml:3:"), "{text}");
    assert!(text.contains("did you mean `pods`?") && text.contains("did you mean `reset`?"), "{text}");
    let (status, _, err) = Rehearsal::start(["serve", "--http", "--faults", bad.to_str().unwrap()]).end();
    assert_eq!(status.code(), Some(1));
    assert!(err.join("\n").contains("there is no resource `pod`"), "{err:?}");
}

#[test]
fn a_plan_is_explained_request_by_request() {
    let dir = tempfile::tempdir().unwrap();
    let path = plan(&dir, "rules:\n  - {id: second, when: {verb: create, nth: 2}, do: reset}\n");
    let path = path.to_str().unwrap();
    let (code, out, _) =
        faults(&["explain", path, "create pods demo/web", "1s create pods demo/web", "get pods demo/web"]);
    let text = out.join("\n");
    assert_eq!(code, Some(0));
    assert!(text.contains("second: occurrence 1 is not asked for"), "{text}");
    assert!(text.contains("second fires at arrive (occurrence 2)"), "{text}");
    assert!(text.contains("second: `verb` does not match"), "{text}");
}

#[test]
fn the_plans_in_the_examples_are_good_and_noted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/faults");
    let plans: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path().display().to_string()).collect();
    assert!(plans.len() >= 4, "{plans:?}");
    let args: Vec<_> = ["check"].into_iter().chain(plans.iter().map(String::as_str)).collect();
    let (code, _, err) = faults(&args);
    assert_eq!(code, Some(0), "{err:?}");
    let text = err.join("\n");
    assert!(text.contains("rush_hour.yaml:12:26: scenarios.day[3].on.count: order-dependent"), "{text}");
}

#[test]
fn a_scenario_is_explained_state_by_state() {
    let dir = tempfile::tempdir().unwrap();
    let text = "rules:\n  - {id: busy, when: {verb: list}, do: apf-reject}\n\
                scenarios: {day: [{rules: calm, on: {after: 3s}}, {rules: busy, on: {count: 1}}, calm]}\n";
    let path = plan(&dir, text);
    let (code, out, _) = faults(&["explain", path.to_str().unwrap(), "list pods", "3s list pods", "4s list pods"]);
    assert_eq!(code, Some(0));
    let told: Vec<_> = out.iter().filter(|line| line.starts_with("  busy")).map(|line| line.trim()).collect();
    let waits = "busy: waits for state `busy` of scenario `day`, which is in `calm`";
    assert!(
        matches!(told[..], [first, second, third]
        if first == waits && third == waits
            && second.starts_with("busy fires at arrive (occurrence 1, in state day[1] busy)")),
        "{told:?}"
    );
    let bad = plan(&dir, "rules: [{id: busy, do: delay}]\nscenarios: {day: [calm, bussy]}\n");
    let (code, _, err) = faults(&["check", bad.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    let text = err.join("\n");
    assert!(
        text.contains("plan.yaml:2:25: scenarios.day[1]: there is no rule or set `bussy`; did you mean `busy`?"),
        "{text}"
    );
}

#[test]
fn a_scenario_moves_on_while_the_server_runs() {
    let dir = tempfile::tempdir().unwrap();
    let text = "rules:\n  - {id: go, when: {path: /readyz}, at: arrive, do: {mark: rush}}\n  \
                - {id: busy, when: {path: /version}, do: too-many-inflight}\n\
                scenarios: {day: [{rules: calm, on: {mark: rush}}, {rules: busy, on: {count: 1}}, calm]}\n";
    let path = plan(&dir, text);
    let kubeconfig = dir.path().join("kubeconfig");
    let flags =
        ["serve", "--http", "--kubeconfig-out", kubeconfig.to_str().unwrap(), "--faults", path.to_str().unwrap()];
    let server = Rehearsal::start(flags);
    let (url, _) = server.ready();
    for (path, status) in [("/version", 200), ("/readyz", 200), ("/version", 429), ("/version", 200)] {
        let answer = get(&url, path);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
    }
}

#[test]
fn serve_starts_with_a_plan() {
    let dir = tempfile::tempdir().unwrap();
    let path = plan(&dir, "rules:\n  - {id: busy, when: {path: /version, first: 1}, do: too-many-inflight}\n");
    let kubeconfig = dir.path().join("kubeconfig");
    let flags =
        ["serve", "--http", "--kubeconfig-out", kubeconfig.to_str().unwrap(), "--faults", path.to_str().unwrap()];
    let server = Rehearsal::start(flags);
    let (url, _) = server.ready();
    assert!(get(&url, "/version").starts_with("HTTP/1.1 429"));
    assert!(get(&url, "/version").starts_with("HTTP/1.1 200"));
}

#[test]
fn run_restarts_and_kills_its_command_when_a_rule_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = plan(
        &dir,
        "rules:\n  - {id: again, when: {path: /version, nth: 1}, at: arrive, do: restart-client}\n  \
         - {id: enough, when: {path: /version, nth: 2}, at: arrive, do: kill-client}\n",
    );
    let script = "echo $REHEARSAL_URL; exec sleep 3600";
    let running = Rehearsal::start(["run", "--http", "--faults", path.to_str().unwrap(), "--", "sh", "-c", script]);
    let url = running.line();
    assert!(get(&url, "/version").starts_with("HTTP/1.1 200"));
    assert_eq!(running.line(), url, "started again beside the same server");
    assert!(get(&url, "/version").starts_with("HTTP/1.1 200"));
    let (status, ..) = running.end();
    assert_eq!(status.code(), Some(128 + 9));
}

#[test]
fn run_fails_when_a_rule_fails_the_test() {
    let dir = tempfile::tempdir().unwrap();
    let path = plan(
        &dir,
        "seed: 3\nrules:\n  - {id: never, when: {path: /version}, at: arrive, do: {fail-test: too curious}}\n",
    );
    let script = "echo $REHEARSAL_URL; read line";
    let running = Rehearsal::start(["run", "--http", "--faults", path.to_str().unwrap(), "--", "sh", "-c", script]);
    let url = running.line();
    get(&url, "/version");
    let (status, _, err) = running.end();
    assert_eq!(status.code(), Some(1));
    let text = err.join("\n");
    assert!(text.contains("too curious (reproduce: plan ") && text.contains(" seed 3 rule never"), "{text}");
}

#[test]
fn run_tells_how_to_repeat_a_command_that_failed_and_which_rules_were_silent() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("a.yaml"), dir.path().join("b.yaml"));
    std::fs::write(&first, "seed: 3\nrules: [{id: slow, when: {path: /version}, do: {delay: 1ms}}]\n").unwrap();
    std::fs::write(&second, "rules: [{id: silent, when: {path: /nowhere}, do: {delay: 1ms}}]\n").unwrap();
    let (a, b) = (first.to_str().unwrap(), second.to_str().unwrap());
    let script = "echo $REHEARSAL_URL; read line; exit 7";
    let run = ["run", "--http", "--seed", "9", "--faults", a, "--faults", b, "--", "sh", "-c", script];
    let running = Rehearsal::start(run);
    get(&running.line(), "/version");
    let (status, _, err) = running.end();
    assert_eq!(status.code(), Some(7));
    let text = err.join("\n");
    assert!(text.contains("fault rule silent: never fired") && !text.contains("slow: never fired"), "{text}");
    let line = format!("reproduce: rehearsal run --seed 9 --faults {a} --faults {b} -- sh -c '{script}' # plan ");
    assert!(text.contains(&line) && text.contains(" seed 3"), "{text}");
    let (status, _, err) = Rehearsal::start(["run", "--faults", a, "--faults", a, "--", "true"]).end();
    assert_eq!(status.code(), Some(1));
    assert!(err.join("\n").contains("the rule \"slow\" is in two fault plans"), "{err:?}");
}
