//! The checks of the Pod Security Standards.
//!
//! Counterpart: `k8s.io/pod-security-admission/policy`. A check yields the reason and the detail of its refusal; the
//! order is that of the real evaluator, baseline checks first, each half by name.

use crate::strategies::access::{bool_at, has, list_at, str_at, strings_at};
use serde_json::Value;

/// Levels of the standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Privileged,
    Baseline,
    Restricted,
}

/// A level at a version of the standard: the minor version, `None` for the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) level: Level,
    pub(super) minor: Option<u32>,
}

type Finding = Option<(&'static str, String)>;

const CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
const SYSCTLS: &[&str] = &[
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];
const VOLUMES: &[&str] = &[
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];
const SELINUX_TYPES: &[&str] = &["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];

/// All findings of a policy on a pod spec, as the refusal lists them.
pub(super) fn evaluate(policy: Policy, spec: &Value) -> Vec<(&'static str, String)> {
    let since = |minor: u32| policy.minor.is_none_or(|m| m >= minor);
    let restricted = policy.level == Level::Restricted;
    let windows = since(25) && str_at(&spec["os"], "name") == "windows";
    let mut out: Vec<Finding> = Vec::new();
    if policy.level == Level::Privileged {
        return Vec::new();
    }
    out.push(app_armor(spec));
    if !restricted || !since(22) {
        out.push(baseline_capabilities(spec));
    }
    out.push(host_namespaces(spec));
    if !restricted {
        out.push(host_path_volumes(spec));
    }
    out.push(host_ports(spec));
    if since(34) {
        out.push(probe_hosts(spec));
    }
    out.push(privileged(spec));
    out.push(proc_mount(spec));
    out.push(selinux(spec));
    if since(19) && !restricted {
        out.push(baseline_seccomp(spec));
    }
    out.push(sysctls(spec));
    out.push(host_process(spec));
    if restricted {
        if since(8) && !windows {
            out.push(privilege_escalation(spec));
        }
        if since(22) && !windows {
            out.push(restricted_capabilities(spec));
        }
        out.push(restricted_volumes(spec));
        out.push(run_as_non_root(spec));
        if since(23) {
            out.push(run_as_user(spec));
        }
        if since(19) && !windows {
            out.push(restricted_seccomp(spec));
        }
    }
    out.into_iter().flatten().collect()
}

fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(|m| list_at(spec, m))
}

fn offenders(spec: &Value, bad: impl Fn(&Value) -> bool) -> Vec<&str> {
    containers(spec).filter(|c| bad(c)).map(|c| str_at(c, "name")).collect()
}

fn quoted<S: AsRef<str>>(names: &[S]) -> String {
    names.iter().map(|n| format!("{:?}", n.as_ref())).collect::<Vec<_>>().join(", ")
}

fn plural<'a>(one: &'a str, many: &'a str, count: usize) -> &'a str {
    if count == 1 { one } else { many }
}

/// `container "a"` or `containers "a", "b"`.
fn named(names: &[&str]) -> String {
    format!("{} {}", plural("container", "containers", names.len()), quoted(names))
}

fn context(container: &Value) -> &Value {
    &container["securityContext"]
}

fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn app_armor(spec: &Value) -> Finding {
    let bad = |c: &Value| str_at(&context(c)["appArmorProfile"], "type") == "Unconfined";
    let names = offenders(spec, bad);
    let pod = bad(spec);
    if names.is_empty() && !pod {
        return None;
    }
    let text = format!("{} must not set AppArmor profile type to \"Unconfined\"", setters(pod, &names));
    Some(("forbidden AppArmor profile", text))
}

/// `pod`, the containers, or both.
fn setters(pod: bool, names: &[&str]) -> String {
    match (pod, names.is_empty()) {
        (true, true) => "pod".to_owned(),
        (true, false) => format!("pod and {}", named(names)),
        (false, _) => named(names),
    }
}

fn baseline_capabilities(spec: &Value) -> Finding {
    let added = |c: &Value| -> Vec<String> {
        strings_at(&context(c)["capabilities"], "add")
            .filter(|n| !CAPABILITIES.contains(n))
            .map(str::to_owned)
            .collect()
    };
    let names = offenders(spec, |c| !added(c).is_empty());
    let all: Vec<String> = containers(spec).flat_map(added).collect();
    let all = sorted(all.iter().map(String::as_str));
    (!names.is_empty()).then(|| {
        let text = format!("{} must not include {} in securityContext.capabilities.add", named(&names), quoted(&all));
        ("non-default capabilities", text)
    })
}

fn host_namespaces(spec: &Value) -> Finding {
    let used: Vec<String> = ["hostNetwork", "hostPID", "hostIPC"]
        .iter()
        .filter(|n| bool_at(spec, n))
        .map(|n| format!("{n}=true"))
        .collect();
    (!used.is_empty()).then(|| ("host namespaces", used.join(", ")))
}

fn host_path_volumes(spec: &Value) -> Finding {
    let names: Vec<&str> =
        list_at(spec, "volumes").iter().filter(|v| has(v, "hostPath")).map(|v| str_at(v, "name")).collect();
    (!names.is_empty())
        .then(|| ("hostPath volumes", format!("{} {}", plural("volume", "volumes", names.len()), quoted(&names))))
}

fn host_ports(spec: &Value) -> Finding {
    let ports = |c: &Value| -> Vec<i64> {
        list_at(c, "ports").iter().filter_map(|p| p["hostPort"].as_i64()).filter(|p| *p != 0).collect()
    };
    let names = offenders(spec, |c| !ports(c).is_empty());
    let mut all: Vec<String> = containers(spec).flat_map(ports).map(|p| p.to_string()).collect();
    all.sort_unstable();
    all.dedup();
    (!names.is_empty()).then(|| {
        let uses = plural("uses", "use", names.len());
        let word = plural("hostPort", "hostPorts", all.len());
        ("hostPort", format!("{} {uses} {word} {}", named(&names), all.join(", ")))
    })
}

fn probe_hosts(spec: &Value) -> Finding {
    let hosts = |c: &Value| -> Vec<String> {
        let probes = ["livenessProbe", "readinessProbe", "startupProbe"].map(|p| &c[p]);
        let hooks = ["postStart", "preStop"].map(|h| &c["lifecycle"][h]);
        let actions = probes.into_iter().chain(hooks).flat_map(|a| [&a["httpGet"], &a["tcpSocket"]]);
        actions.map(|a| str_at(a, "host")).filter(|h| !h.is_empty()).map(str::to_owned).collect()
    };
    let names = offenders(spec, |c| !hosts(c).is_empty());
    let all: Vec<String> = containers(spec).flat_map(hosts).collect();
    let all = sorted(all.iter().map(String::as_str));
    (!names.is_empty()).then(|| {
        let uses = plural("uses", "use", names.len());
        let word = plural("host", "hosts", all.len());
        ("probe or lifecycle host", format!("{} {uses} probe or lifecycle {word} {}", named(&names), quoted(&all)))
    })
}

fn privileged(spec: &Value) -> Finding {
    let names = offenders(spec, |c| bool_at(context(c), "privileged"));
    (!names.is_empty())
        .then(|| ("privileged", format!("{} must not set securityContext.privileged=true", named(&names))))
}

fn proc_mount(spec: &Value) -> Finding {
    let bad = |c: &Value| !matches!(str_at(context(c), "procMount"), "" | "Default");
    let names = offenders(spec, bad);
    let values = sorted(containers(spec).filter(|c| bad(c)).map(|c| str_at(context(c), "procMount")));
    (!names.is_empty()).then(|| {
        ("procMount", format!("{} must not set securityContext.procMount to {}", named(&names), quoted(&values)))
    })
}

fn selinux(spec: &Value) -> Finding {
    let options = |c: &Value| context(c)["seLinuxOptions"].clone();
    let bad = |c: &Value| {
        let o = options(c);
        !SELINUX_TYPES.contains(&str_at(&o, "type")) || !str_at(&o, "user").is_empty() || !str_at(&o, "role").is_empty()
    };
    let (names, pod) = (offenders(spec, bad), bad(spec));
    if names.is_empty() && !pod {
        return None;
    }
    let all: Vec<Value> = std::iter::once(spec).chain(containers(spec)).map(options).collect();
    let types = sorted(all.iter().map(|o| str_at(o, "type")).filter(|t| !SELINUX_TYPES.contains(t)));
    let mut why = Vec::new();
    if !types.is_empty() {
        why.push(format!("{} {}", plural("type", "types", types.len()), quoted(&types)));
    }
    for name in ["user", "role"] {
        if all.iter().any(|o| !str_at(o, name).is_empty()) {
            why.push(format!("{name} may not be set"));
        }
    }
    let text = format!("{} set forbidden securityContext.seLinuxOptions: {}", setters(pod, &names), why.join("; "));
    Some(("seLinuxOptions", text))
}

fn seccomp(c: &Value) -> &str {
    str_at(&context(c)["seccompProfile"], "type")
}

fn baseline_seccomp(spec: &Value) -> Finding {
    let bad = |c: &Value| !matches!(seccomp(c), "" | "RuntimeDefault" | "Localhost");
    let (names, pod) = (offenders(spec, bad), bad(spec));
    if names.is_empty() && !pod {
        return None;
    }
    let values = sorted(std::iter::once(spec).chain(containers(spec)).filter(|c| bad(c)).map(seccomp));
    let text =
        format!("{} must not set securityContext.seccompProfile.type to {}", setters(pod, &names), quoted(&values));
    Some(("seccompProfile", text))
}

fn sysctls(spec: &Value) -> Finding {
    let names: Vec<&str> =
        list_at(context(spec), "sysctls").iter().map(|s| str_at(s, "name")).filter(|n| !SYSCTLS.contains(n)).collect();
    (!names.is_empty()).then(|| ("forbidden sysctls", names.join(", ")))
}

fn host_process(spec: &Value) -> Finding {
    let bad = |c: &Value| bool_at(&context(c)["windowsOptions"], "hostProcess");
    let (names, pod) = (offenders(spec, bad), bad(spec));
    (pod || !names.is_empty()).then(|| {
        let text = format!("{} must not set securityContext.windowsOptions.hostProcess=true", setters(pod, &names));
        ("hostProcess", text)
    })
}

fn privilege_escalation(spec: &Value) -> Finding {
    let names = offenders(spec, |c| context(c)["allowPrivilegeEscalation"] != false);
    (!names.is_empty()).then(|| {
        let text = format!("{} must set securityContext.allowPrivilegeEscalation=false", named(&names));
        ("allowPrivilegeEscalation != false", text)
    })
}

fn restricted_capabilities(spec: &Value) -> Finding {
    let keeps = |c: &Value| !strings_at(&context(c)["capabilities"], "drop").any(|n| n == "ALL");
    let added = |c: &Value| -> Vec<String> {
        let names = strings_at(&context(c)["capabilities"], "add");
        names.filter(|n| *n != "NET_BIND_SERVICE").map(str::to_owned).collect()
    };
    let keepers = offenders(spec, keeps);
    let adders = offenders(spec, |c| !added(c).is_empty());
    let mut parts = Vec::new();
    if !keepers.is_empty() {
        parts.push(format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", named(&keepers)));
    }
    if !adders.is_empty() {
        let all: Vec<String> = containers(spec).flat_map(added).collect();
        let all = sorted(all.iter().map(String::as_str));
        let list = quoted(&all);
        parts.push(format!("{} must not include {list} in securityContext.capabilities.add", named(&adders)));
    }
    (!parts.is_empty()).then(|| ("unrestricted capabilities", parts.join("; ")))
}

fn restricted_volumes(spec: &Value) -> Finding {
    let source = |v: &Value| -> Option<String> {
        let members = v.as_object()?.keys().find(|k| *k != "name" && !VOLUMES.contains(&k.as_str()));
        members.cloned()
    };
    let bad: Vec<(&str, String)> =
        list_at(spec, "volumes").iter().filter_map(|v| Some((str_at(v, "name"), source(v)?))).collect();
    if bad.is_empty() {
        return None;
    }
    let names: Vec<&str> = bad.iter().map(|(name, _)| *name).collect();
    let types = sorted(bad.iter().map(|(_, kind)| kind.as_str()));
    let text = format!(
        "{} {} {} restricted volume {} {}",
        plural("volume", "volumes", names.len()),
        quoted(&names),
        plural("uses", "use", names.len()),
        plural("type", "types", types.len()),
        quoted(&types)
    );
    Some(("restricted volume types", text))
}

fn run_as_non_root(spec: &Value) -> Finding {
    let pod = &context(spec)["runAsNonRoot"];
    let refused = offenders(spec, |c| context(c)["runAsNonRoot"] == false);
    if *pod == false || !refused.is_empty() {
        let text = format!("{} must not set securityContext.runAsNonRoot=false", setters(*pod == false, &refused));
        return Some(("runAsNonRoot != true", text));
    }
    let open = offenders(spec, |c| context(c)["runAsNonRoot"] != true);
    (*pod != true && !open.is_empty()).then(|| {
        let text = format!("pod or {} must set securityContext.runAsNonRoot=true", named(&open));
        ("runAsNonRoot != true", text)
    })
}

fn run_as_user(spec: &Value) -> Finding {
    let bad = |c: &Value| context(c)["runAsUser"] == 0;
    let (names, pod) = (offenders(spec, bad), bad(spec));
    (pod || !names.is_empty()).then(|| ("runAsUser=0", format!("{} must not set runAsUser=0", setters(pod, &names))))
}

fn restricted_seccomp(spec: &Value) -> Finding {
    let fine = |c: &Value| matches!(seccomp(c), "RuntimeDefault" | "Localhost");
    let bad = |c: &Value| !seccomp(c).is_empty() && !fine(c);
    let (names, pod) = (offenders(spec, bad), bad(spec));
    if pod || !names.is_empty() {
        let values = sorted(std::iter::once(spec).chain(containers(spec)).filter(|c| bad(c)).map(seccomp));
        let setters = setters(pod, &names);
        let text = format!("{setters} must not set securityContext.seccompProfile.type to {}", quoted(&values));
        return Some(("seccompProfile", text));
    }
    let open = offenders(spec, |c| seccomp(c).is_empty());
    (!fine(spec) && !open.is_empty()).then(|| {
        let text = format!(
            "pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
            named(&open)
        );
        ("seccompProfile", text)
    })
}
