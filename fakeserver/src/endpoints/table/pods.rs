//! Rows of pods: readiness, the one word that sums up a pod's state, and restarts.
//!
//! Counterpart: `printPod` in kubernetes `pkg/printers/internalversion`.

use super::RowCondition;
use super::age;
use super::cells::{NONE, at, condition, created, flag, int, list, name, or, text, text_or};
use jiff::Timestamp;
use rehearsal_apimachinery::meta::ObjectMeta;
use serde_json::Value;

/// Cells of a pod.
pub(super) fn pod(object: &Value, now: Timestamp) -> Vec<Value> {
    let state = State::of(object);
    let ready = format!("{}/{}", state.ready, state.total);
    vec![
        name(object),
        ready.into(),
        state.reason.into(),
        state.restarts.print(now).into(),
        created(object, now),
        text_or(object, "/status/podIPs/0/ip", NONE).into(),
        text_or(object, "/spec/nodeName", NONE).into(),
        text_or(object, "/status/nominatedNodeName", NONE).into(),
        readiness_gates(object).into(),
    ]
}

/// What the row says besides its cells: that a finished pod is complete, and how it ended.
pub(super) fn conditions(object: &Value) -> Option<RowCondition> {
    let (reason, message) = match text(object, "/status/phase") {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(RowCondition { kind: "Completed", status: "True", reason, message })
}

/// Restart counts with the time of the latest restart.
#[derive(Clone, Copy, Default)]
struct Restarts {
    count: i64,
    last: Option<Timestamp>,
}

impl Restarts {
    fn add(&mut self, status: &Value) {
        self.count += int(status, "/restartCount");
        self.last = self.last.max(age::time(at(status, "/lastState/terminated/finishedAt")));
    }

    fn print(self, now: Timestamp) -> String {
        match self.last {
            Some(last) if self.count != 0 => format!("{} ({} ago)", self.count, age::between(last, now)),
            _ => self.count.to_string(),
        }
    }
}

/// What the containers of a pod add up to.
struct State {
    reason: String,
    ready: usize,
    total: usize,
    restarts: Restarts,
}

impl State {
    fn of(pod: &Value) -> Self {
        let sidecars = list(pod, "/spec/initContainers").iter().filter(|c| is_sidecar(c)).count();
        let mut state = Self {
            reason: base_reason(pod).to_owned(),
            ready: 0,
            total: list(pod, "/spec/containers").len() + sidecars,
            restarts: Restarts::default(),
        };
        let (initializing, of_sidecars) = state.visit_init_containers(pod);
        let initialized = condition(pod, "/status/conditions", "Initialized").is_some_and(is_true);
        if !initializing || initialized {
            // Once the pod runs, restarts of finished init containers no longer count.
            state.restarts = of_sidecars;
            state.visit_containers(pod);
        }
        if pod.is_deleting() {
            if text(pod, "/status/reason") == "NodeLost" {
                state.reason = "Unknown".to_owned();
            } else if !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed") {
                state.reason = "Terminating".to_owned();
            }
        }
        state
    }

    /// Looks at init containers up to the first that is not done. Returns whether there is one, and the restarts of
    /// those init containers that keep running beside the others.
    fn visit_init_containers(&mut self, pod: &Value) -> (bool, Restarts) {
        let specs = list(pod, "/spec/initContainers");
        let mut of_sidecars = Restarts::default();
        for (i, status) in list(pod, "/status/initContainerStatuses").iter().enumerate() {
            let container = specs.iter().find(|c| text(c, "/name") == text(status, "/name"));
            let sidecar = container.is_some_and(is_sidecar);
            self.restarts.add(status);
            if sidecar {
                of_sidecars.add(status);
            }
            let terminated = at(status, "/state/terminated");
            if terminated.is_some_and(|t| int(t, "/exitCode") == 0) {
                continue;
            }
            if sidecar && flag(status, "/started") {
                self.ready += usize::from(flag(status, "/ready"));
                continue;
            }
            let waiting = text(status, "/state/waiting/reason");
            self.reason = match terminated {
                Some(terminated) => format!("Init:{}", exit_reason(terminated)),
                None if !matches!(waiting, "" | "PodInitializing") => format!("Init:{waiting}"),
                None => format!("Init:{i}/{}", specs.len()),
            };
            return (true, of_sidecars);
        }
        (false, of_sidecars)
    }

    /// Looks at the containers; the first in the list that has something to say has the last word.
    fn visit_containers(&mut self, pod: &Value) {
        let mut running = false;
        for status in list(pod, "/status/containerStatuses").iter().rev() {
            self.restarts.add(status);
            let waiting = text(status, "/state/waiting/reason");
            if !waiting.is_empty() {
                self.reason = waiting.to_owned();
            } else if let Some(terminated) = at(status, "/state/terminated") {
                self.reason = exit_reason(terminated);
            } else if flag(status, "/ready") && at(status, "/state/running").is_some() {
                running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" && running {
            let ready = condition(pod, "/status/conditions", "Ready").is_some_and(is_true);
            self.reason = if ready { "Running" } else { "NotReady" }.to_owned();
        }
    }
}

fn base_reason(pod: &Value) -> &str {
    let gated = list(pod, "/status/conditions")
        .iter()
        .any(|c| text(c, "/type") == "PodScheduled" && text(c, "/reason") == "SchedulingGated");
    if gated { "SchedulingGated" } else { or(text(pod, "/status/reason"), text(pod, "/status/phase")) }
}

fn exit_reason(terminated: &Value) -> String {
    let (reason, signal) = (text(terminated, "/reason"), int(terminated, "/signal"));
    if !reason.is_empty() {
        reason.to_owned()
    } else if signal != 0 {
        format!("Signal:{signal}")
    } else {
        format!("ExitCode:{}", int(terminated, "/exitCode"))
    }
}

fn is_sidecar(container: &Value) -> bool {
    text(container, "/restartPolicy") == "Always"
}

fn is_true(condition: &Value) -> bool {
    text(condition, "/status") == "True"
}

fn readiness_gates(pod: &Value) -> String {
    let gates = list(pod, "/spec/readinessGates");
    if gates.is_empty() {
        return NONE.to_owned();
    }
    let open = |gate: &&Value| condition(pod, "/status/conditions", text(gate, "/conditionType")).is_some_and(is_true);
    format!("{}/{}", gates.iter().filter(open).count(), gates.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cells(pod_json: &Value) -> (String, String, String) {
        let cells = pod(pod_json, "2026-01-01T00:10:00Z".parse().unwrap());
        let text = |i: usize| cells[i].as_str().unwrap().to_owned();
        (text(1), text(2), text(3))
    }

    fn words(ready: &str, reason: &str, restarts: &str) -> (String, String, String) {
        (ready.to_owned(), reason.to_owned(), restarts.to_owned())
    }

    #[test]
    fn a_fresh_pod_is_pending() {
        let pod = json!({"spec": {"containers": [{}, {}]}, "status": {"phase": "Pending"}});
        assert_eq!(cells(&pod), words("0/2", "Pending", "0"));
        let gated = json!({"spec": {"containers": [{}]}, "status": {"phase": "Pending",
            "conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]}});
        assert_eq!(cells(&gated).1, "SchedulingGated");
    }

    #[test]
    fn restarts_name_the_latest_one() {
        let pod = json!({"spec": {"containers": [{"name": "c"}]}, "status": {"phase": "Running", "containerStatuses": [{
            "name": "c", "ready": false, "restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"finishedAt": "2026-01-01T00:05:00Z"}}}]}});
        assert_eq!(cells(&pod), words("0/1", "CrashLoopBackOff", "4 (5m ago)"));
    }

    #[test]
    fn init_containers_are_counted_until_they_are_done() {
        let status = |state: Value| {
            json!({"spec": {"containers": [{}], "initContainers": [{"name": "a"}, {"name": "b"}]},
                "status": {"phase": "Pending", "initContainerStatuses": [
                    {"name": "a", "state": {"terminated": {"exitCode": 0}}}, {"name": "b", "state": state}]}})
        };
        for (state, reason) in [
            (json!({"running": {}}), "Init:1/2"),
            (json!({"waiting": {"reason": "PodInitializing"}}), "Init:1/2"),
            (json!({"waiting": {"reason": "ImagePullBackOff"}}), "Init:ImagePullBackOff"),
            (json!({"terminated": {"exitCode": 3}}), "Init:ExitCode:3"),
            (json!({"terminated": {"exitCode": 3, "signal": 9}}), "Init:Signal:9"),
            (json!({"terminated": {"exitCode": 3, "reason": "Error"}}), "Init:Error"),
        ] {
            assert_eq!(cells(&status(state)).1, reason);
        }
    }

    #[test]
    fn sidecars_count_as_containers() {
        let pod = json!({"spec": {"containers": [{"name": "c"}], "initContainers": [{"name": "s", "restartPolicy": "Always"}]},
            "status": {"phase": "Running",
                "initContainerStatuses": [{"name": "s", "started": true, "ready": true, "restartCount": 1, "state": {"running": {}}}],
                "containerStatuses": [{"name": "c", "ready": true, "restartCount": 2, "state": {"running": {}}}]}});
        assert_eq!(cells(&pod), words("2/2", "Running", "3"));
    }

    #[test]
    fn finished_and_deleted_pods_say_so() {
        let done = json!({"spec": {"containers": [{"name": "c"}]}, "status": {"phase": "Succeeded",
            "containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}]}});
        assert_eq!(cells(&done).1, "Completed");
        assert_eq!(conditions(&done).unwrap().reason, "Succeeded");
        let deleted = |phase: &str, reason: &str| {
            json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {"containers": [{}]}, "status": {"phase": phase, "reason": reason}})
        };
        assert_eq!(cells(&deleted("Running", "")).1, "Terminating");
        assert_eq!(cells(&deleted("Running", "NodeLost")).1, "Unknown");
        assert_eq!(cells(&deleted("Failed", "Evicted")).1, "Evicted");
    }

    #[test]
    fn a_half_finished_pod_runs_or_is_not_ready() {
        let pod = |ready: &str| {
            json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}]}, "status": {"phase": "Running",
                "conditions": [{"type": "Ready", "status": ready}],
                "containerStatuses": [
                    {"name": "a", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}},
                    {"name": "b", "ready": true, "state": {"running": {}}}]}})
        };
        assert_eq!(cells(&pod("True")), words("1/2", "Running", "0"));
        assert_eq!(cells(&pod("False")).1, "NotReady");
    }

    #[test]
    fn readiness_gates_count_true_conditions() {
        let pod = json!({"spec": {"readinessGates": [{"conditionType": "a"}, {"conditionType": "b"}]},
            "status": {"conditions": [{"type": "a", "status": "True"}]}});
        assert_eq!(readiness_gates(&pod), "1/2");
    }
}
