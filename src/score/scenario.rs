//! Scenarios as data: what the server has, what goes wrong, what the client is asked for, and what is expected of it.
//!
//! All of them are about ConfigMaps in the namespace `default`, so that an adapter needs one resource only.

use super::expect::{Check, Expect};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;

/// How an expectation counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Must hold: where it does not, its whole group is worth nothing.
    Safety,
    /// Must: the client recovers, or comes to an end, in time.
    Liveness,
    /// Should: the client does not make an outage worse.
    Politeness,
    /// May: the client says what went wrong.
    Diagnostics,
}

impl Class {
    /// All of them, gravest first.
    pub const ALL: [Self; 4] = [Self::Safety, Self::Liveness, Self::Politeness, Self::Diagnostics];

    /// What an expectation of this class is worth. Safety earns nothing: it is owed.
    #[must_use]
    pub fn weight(self) -> u32 {
        match self {
            Self::Safety => 0,
            Self::Liveness => 3,
            Self::Politeness => 2,
            Self::Diagnostics => 1,
        }
    }

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Safety => "safety",
            Self::Liveness => "liveness",
            Self::Politeness => "politeness",
            Self::Diagnostics => "diagnostics",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Scenarios that are scored together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// 429, 503 and what Retry-After says.
    Throttling,
    /// 5xx of the server and of load balancers.
    ServerErrors,
    /// Broken, silent and slow connections.
    Connections,
    /// Writes whose answer is lost.
    UnknownOutcomes,
    /// Refusals that stay refusals.
    Refusals,
    /// Mirrors of a collection.
    Watches,
    /// Credentials and redirects.
    Credentials,
    /// Bodies that no correct server sends.
    Garbage,
    /// The table of two faults and then success.
    Table,
}

impl Group {
    /// Its name, as in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Throttling => "throttling",
            Self::ServerErrors => "server-errors",
            Self::Connections => "connections",
            Self::UnknownOutcomes => "unknown-outcomes",
            Self::Refusals => "refusals",
            Self::Watches => "watches",
            Self::Credentials => "credentials",
            Self::Garbage => "garbage",
            Self::Table => "table",
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Which requests are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    /// Those of one method to the ConfigMaps, watches and lists included.
    Method(&'static str),
    /// Reads of a single object.
    Gets,
    /// Lists.
    Lists,
    /// Watches, streaming lists included.
    Watches,
}

/// Something that happens in a scenario.
#[derive(Clone, Debug)]
pub enum Step {
    /// The client is asked for something.
    Call {
        /// The operation.
        op: &'static str,
        /// Its arguments.
        args: Value,
        /// The deadline that the client shall keep.
        deadline: Option<Duration>,
    },
    /// Somebody else writes an object.
    Put(Value),
    /// Somebody else writes an object so long after the next operation has begun.
    Meanwhile(Duration, Value),
    /// Time passes.
    Pass(Duration),
    /// A mark is set, for plans whose windows open or close at it.
    Mark(&'static str),
    /// The file with the client's token gets another.
    Rotate,
    /// The mirror shall become like the server, in that time.
    Mirror(Duration),
}

/// How the server knows the client, where it speaks TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Login {
    /// By a token in the kubeconfig.
    #[default]
    Token,
    /// By a plugin's token: `token-1` from its first run, `token-2` from every later one.
    Plugin,
    /// By the token in a file: `token-1`, and `token-2` after [`Step::Rotate`].
    File,
}

/// One scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Short name, unique.
    pub id: String,
    /// What it is scored with.
    pub group: Group,
    /// What it is about, in a line.
    pub title: String,
    /// Whether it is part of the short profile.
    pub short: bool,
    /// Whether the server speaks TLS, and so HTTP/2 too, and knows the client by a bearer token.
    pub tls: bool,
    /// How, then, it knows the client.
    pub login: Login,
    /// The fault plan; empty for none. `${elsewhere}` is the URL of another host.
    pub plan: String,
    /// ConfigMaps that are there from the start.
    pub objects: Vec<Value>,
    /// What happens, in order.
    pub steps: Vec<Step>,
    /// Which requests are measured.
    pub watched: Watched,
    /// What is expected.
    pub checks: Vec<Check>,
    /// How long the suite waits for each answer.
    pub patience: Duration,
}

/// How generated names begin.
pub(super) const MADE: &str = "made-";

/// A ConfigMap of the namespace `default` with one value.
#[must_use]
pub(super) fn config_map(name: &str, value: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default"}, "data": {"v": value}
    })
}

/// A ConfigMap whose name the server makes.
#[must_use]
pub(super) fn generated(prefix: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"generateName": prefix, "namespace": "default"}, "data": {"v": "made"}
    })
}

impl Scenario {
    /// A scenario with the ConfigMap `a` (`data.v` is `one`), without faults, over HTTP/1.1, in both profiles.
    #[must_use]
    pub fn new(id: impl Into<String>, group: Group, title: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            group,
            title: title.into(),
            short: true,
            tls: false,
            login: Login::default(),
            plan: String::new(),
            objects: vec![config_map("a", "one")],
            steps: Vec::new(),
            watched: Watched::Gets,
            checks: Vec::new(),
            patience: Duration::from_secs(10),
        }
    }

    /// Leaves it out of the short profile.
    #[must_use]
    pub fn long(mut self) -> Self {
        self.short = false;
        self
    }

    /// Over TLS, with a bearer token.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Over TLS, with a credential that can be renewed.
    #[must_use]
    pub fn login(mut self, login: Login) -> Self {
        self.login = login;
        self.tls()
    }

    /// Faults: the rules of a plan, a line each, without the head.
    #[must_use]
    pub fn faults(mut self, rules: &str) -> Self {
        self.plan = format!("rules:\n{}", rules.trim_matches('\n'));
        self
    }

    /// Faults that no correct cluster could cause.
    #[must_use]
    pub fn garbage(self, rules: &str) -> Self {
        let mut scenario = self.faults(rules);
        scenario.plan.insert_str(0, "byzantine: allowed\n");
        scenario
    }

    /// One rule: which requests (`when` in flow style) and what goes wrong.
    #[must_use]
    pub fn fault(self, when: &str, what: &str) -> Self {
        self.faults(&format!("  - {{id: fault, when: {{resource: configmaps, {when}}}, do: {what}}}"))
    }

    /// One rule at another stage than its fault's usual one.
    #[must_use]
    pub fn fault_at(self, stage: &str, when: &str, what: &str) -> Self {
        self.faults(&format!("  - {{id: fault, at: {stage}, when: {{resource: configmaps, {when}}}, do: {what}}}"))
    }

    /// Another ConfigMap from the start.
    #[must_use]
    pub fn object(mut self, object: Value) -> Self {
        self.objects.push(object);
        self
    }

    /// Further ConfigMaps, `a-0` and so on.
    #[must_use]
    pub fn many(mut self, count: usize) -> Self {
        self.objects.extend((0..count).map(|n| config_map(&format!("a-{n:03}"), &format!("value {n}"))));
        self
    }

    /// Asks the client for something.
    #[must_use]
    pub fn call(mut self, op: &'static str, args: Value) -> Self {
        self.steps.push(Step::Call { op, args, deadline: None });
        self
    }

    /// Asks the client for something within a deadline that it shall keep.
    #[must_use]
    pub fn call_within(mut self, op: &'static str, args: Value, deadline: Duration) -> Self {
        self.steps.push(Step::Call { op, args, deadline: Some(deadline) });
        self
    }

    /// Reads `a`.
    #[must_use]
    pub fn get(self) -> Self {
        self.call("get", json!({"namespace": "default", "name": "a"}))
    }

    /// Lists everything.
    #[must_use]
    pub fn list(self) -> Self {
        self.watched(Watched::Lists).call("list", json!({"namespace": "default"}))
    }

    /// Creates an object with a generated name.
    #[must_use]
    pub fn generate(self) -> Self {
        self.watched(Watched::Method("POST")).call("create", json!({"namespace": "default", "object": generated(MADE)}))
    }

    /// Starts a mirror of the ConfigMaps.
    #[must_use]
    pub fn sync(self) -> Self {
        self.watched(Watched::Watches).call("sync", json!({"namespace": "default"}))
    }

    /// Starts a mirror whose watches may be silent for so long before the client takes them for dead.
    #[must_use]
    pub fn sync_within(self, silence: Duration) -> Self {
        self.watched(Watched::Watches).call_within("sync", json!({"namespace": "default"}), silence)
    }

    /// Somebody else writes.
    #[must_use]
    pub fn put(mut self, name: &str, value: &str) -> Self {
        self.steps.push(Step::Put(config_map(name, value)));
        self
    }

    /// Somebody else writes so many milliseconds after the next operation has begun.
    #[must_use]
    pub fn meanwhile(mut self, millis: u64, name: &str, value: &str) -> Self {
        self.steps.push(Step::Meanwhile(Duration::from_millis(millis), config_map(name, value)));
        self
    }

    /// Time passes.
    #[must_use]
    pub fn pass(mut self, millis: u64) -> Self {
        self.steps.push(Step::Pass(Duration::from_millis(millis)));
        self
    }

    /// A mark is set.
    #[must_use]
    pub fn mark(mut self, name: &'static str) -> Self {
        self.steps.push(Step::Mark(name));
        self
    }

    /// The token in the client's file is replaced.
    #[must_use]
    pub fn rotate(mut self) -> Self {
        self.steps.push(Step::Rotate);
        self
    }

    /// The mirror shall become like the server.
    #[must_use]
    pub fn mirror(mut self, seconds: u64) -> Self {
        self.steps.push(Step::Mirror(Duration::from_secs(seconds)));
        self
    }

    /// Which requests are measured.
    #[must_use]
    pub fn watched(mut self, watched: Watched) -> Self {
        self.watched = watched;
        self
    }

    /// How long the suite waits for an answer, in seconds.
    #[must_use]
    pub fn patience(mut self, seconds: u64) -> Self {
        self.patience = Duration::from_secs(seconds);
        self
    }

    /// Expects something.
    #[must_use]
    pub fn check(mut self, id: &'static str, class: Class, expect: Expect) -> Self {
        self.checks.push(Check { id, class, expect });
        self
    }

    /// Expects for safety.
    #[must_use]
    pub fn must(self, id: &'static str, expect: Expect) -> Self {
        self.check(id, Class::Safety, expect)
    }

    /// Expects for liveness.
    #[must_use]
    pub fn lives(self, id: &'static str, expect: Expect) -> Self {
        self.check(id, Class::Liveness, expect)
    }

    /// Expects for politeness.
    #[must_use]
    pub fn polite(self, id: &'static str, expect: Expect) -> Self {
        self.check(id, Class::Politeness, expect)
    }

    /// Expects that a write that may have happened is told as one.
    #[must_use]
    pub fn tells(self) -> Self {
        self.check("tells-that-it-cannot-know", Class::Diagnostics, Expect::Tells)
    }

    /// Expects a message with one of these words.
    #[must_use]
    pub fn says(self, words: &'static [&'static str]) -> Self {
        self.check("says-why", Class::Diagnostics, Expect::Says(words))
    }
}
