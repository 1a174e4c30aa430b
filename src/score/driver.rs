//! Adapters as processes: started, asked, and killed when they do not answer. A pool of them lets scenarios overlap.
//!
//! An adapter works on one request at a time. Several processes run beside one another, and each is used for one
//! scenario after another, told apart by `open`; one that answers `open` with `unsupported` is started anew each time.

use super::protocol::{Answer, Client, ErrorClass, PROTOCOL, Request};
use crate::process::end_group;
use anyhow::{Context as _, bail};
use parking_lot::Mutex;
use rehearsal_fakeserver::clock::Clock;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{Semaphore, SemaphorePermit};

/// How long a process may take to start and answer for the first time: interpreters on a busy machine are slow.
const STARTING: Duration = Duration::from_secs(60);
/// The longest line of an adapter that is read, in bytes.
const LONGEST_LINE: u64 = 64 * 1024 * 1024;

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// With a result.
    Ok,
    /// With an error.
    Error,
    /// Not at all, for as long as the suite waited.
    Never,
    /// With the end of the adapter's process.
    Crash,
    /// The client has no such operation.
    Unsupported,
}

/// What came of one operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The operation.
    pub op: String,
    /// How it ended.
    pub exit: Exit,
    /// The class of its error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_class: Option<ErrorClass>,
    /// The HTTP status that the client reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// The client's own words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The result.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub result: Value,
    /// What the client told of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<Value>,
    /// How long it took, in milliseconds.
    pub took_ms: f64,
}

impl Outcome {
    fn ended(op: &str, exit: Exit, message: impl Into<String>) -> Self {
        Self {
            op: op.to_owned(),
            exit,
            error_class: None,
            code: None,
            message: message.into(),
            result: Value::Null,
            observed: None,
            took_ms: 0.0,
        }
    }

    fn answered(op: &str, answer: Answer) -> Self {
        let exit = match (&answer.result, answer.error_class) {
            (_, Some(ErrorClass::Unsupported)) => Exit::Unsupported,
            (Some(_), None) => Exit::Ok,
            _ => Exit::Error,
        };
        let error_class = answer.error_class.or((exit == Exit::Error).then_some(ErrorClass::Other));
        Self {
            error_class,
            code: answer.code,
            result: answer.result.unwrap_or_default(),
            observed: answer.observed,
            ..Self::ended(op, exit, answer.message)
        }
    }

    /// How it ended, in a word or three.
    #[must_use]
    pub fn class(&self) -> String {
        let word = |value: Option<Value>| value.and_then(|v| v.as_str().map(str::to_owned));
        let exit = word(serde_json::to_value(self.exit).ok());
        let class = word(self.error_class.and_then(|class| serde_json::to_value(class).ok()));
        let code = self.code.map(|code| code.to_string());
        [exit, class, code].into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    /// Whether the client came to a conclusion.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        matches!(self.exit, Exit::Ok | Exit::Error)
    }
}

/// A running adapter.
#[derive(Debug)]
pub struct Adapter {
    child: Child,
    group: Option<u32>,
    stdin: ChildStdin,
    lines: Lines<BufReader<tokio::io::Take<ChildStdout>>>,
    clock: Clock,
    next: u64,
    /// Whether it has failed to answer: what it says later cannot be told apart any more.
    broken: bool,
}

impl Adapter {
    async fn start(setup: &Setup, kubeconfig: &Path) -> anyhow::Result<Self> {
        let (program, arguments) = setup.command.split_first().context("no adapter command")?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(if setup.show_stderr { Stdio::inherit() } else { Stdio::null() })
            .kill_on_drop(true)
            .process_group(0);
        let mut child = command.spawn().with_context(|| format!("start {}", program.to_string_lossy()))?;
        let stdin = child.stdin.take().context("the adapter has no standard input")?;
        let stdout = child.stdout.take().context("the adapter has no standard output")?;
        let lines = BufReader::new(tokio::io::AsyncReadExt::take(stdout, LONGEST_LINE)).lines();
        Ok(Self { group: child.id(), child, stdin, lines, clock: setup.clock.clone(), next: 0, broken: false })
    }

    /// Asks for one operation. `deadline` is the client's own to keep; `patience` is how long the suite waits.
    pub async fn call(&mut self, op: &str, args: &Value, deadline: Option<Duration>, patience: Duration) -> Outcome {
        if self.broken {
            return Outcome::ended(op, Exit::Crash, "the adapter is gone");
        }
        let began = self.clock.now();
        let outcome = match tokio::time::timeout(patience, self.exchange(op, args, deadline)).await {
            Ok(Ok(answer)) => Outcome::answered(op, answer),
            Ok(Err(error)) => {
                self.broken = true;
                Outcome::ended(op, Exit::Crash, format!("{error:#}"))
            }
            Err(_) => {
                self.broken = true;
                Outcome::ended(op, Exit::Never, format!("no answer within {patience:?}"))
            }
        };
        let took_ms = self.clock.now().duration_since(began).as_secs_f64() * 1000.0;
        Outcome { took_ms, ..outcome }
    }

    async fn exchange(&mut self, op: &str, args: &Value, deadline: Option<Duration>) -> anyhow::Result<Answer> {
        self.next += 1;
        let id = self.next;
        let deadline_ms = deadline.map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX));
        let mut line = serde_json::to_string(&Request { id, op, args, deadline_ms })?;
        line.push('\n');
        self.stdin.write_all(line.as_bytes()).await.context("write to the adapter")?;
        self.stdin.flush().await.context("write to the adapter")?;
        // Each line has the whole allowance.
        self.lines.get_mut().get_mut().set_limit(LONGEST_LINE);
        let line = self.lines.next_line().await.context("read from the adapter")?;
        let Some(line) = line else { bail!("the adapter ended") };
        let shown: String = line.chars().take(200).collect();
        let answer: Answer = serde_json::from_str(&line).with_context(|| format!("the adapter said {shown:?}"))?;
        if answer.id != id {
            bail!("the adapter answered request {} instead of {id}", answer.id);
        }
        Ok(answer)
    }

    async fn end(mut self) {
        let _ = self.child.start_kill();
        end_group(self.group).await;
        let _ = self.child.wait().await;
    }
}

/// How adapters are started.
#[derive(Debug)]
struct Setup {
    command: Vec<OsString>,
    show_stderr: bool,
    clock: Clock,
}

/// Adapters of one client, as many as may run at a time.
#[derive(Debug)]
pub struct Pool {
    setup: Setup,
    permits: Semaphore,
    idle: Mutex<Vec<Adapter>>,
    fresh: AtomicBool,
}

/// An adapter that is used for one scenario.
#[derive(Debug)]
pub struct Lease<'a> {
    adapter: Option<Adapter>,
    _permit: SemaphorePermit<'a>,
}

impl Lease<'_> {
    /// Asks the adapter. See [`Adapter::call`].
    pub async fn call(&mut self, op: &str, args: &Value, deadline: Option<Duration>, patience: Duration) -> Outcome {
        match &mut self.adapter {
            Some(adapter) => adapter.call(op, args, deadline, patience).await,
            None => Outcome::ended(op, Exit::Crash, "the adapter has no server yet"),
        }
    }

    /// Bytes that the adapter's process has in memory, where the system tells.
    #[must_use]
    pub fn memory(&self) -> Option<u64> {
        let id = self.adapter.as_ref()?.child.id()?;
        let text = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024)
    }
}

impl Pool {
    /// Nothing is started yet. `jobs` is how many processes there are at most.
    #[must_use]
    pub fn new(command: Vec<OsString>, jobs: usize, show_stderr: bool, clock: Clock) -> Self {
        let setup = Setup { command, show_stderr, clock };
        Self { setup, permits: Semaphore::new(jobs.max(1)), idle: Mutex::default(), fresh: AtomicBool::new(false) }
    }

    /// A new process that has said who it is.
    async fn newcomer(&self, kubeconfig: &Path) -> anyhow::Result<(Adapter, Client)> {
        let mut adapter = Adapter::start(&self.setup, kubeconfig).await?;
        let outcome = adapter.call("hello", &json!({"protocol": PROTOCOL}), None, STARTING).await;
        match introduced(outcome) {
            Ok(client) => Ok((adapter, client)),
            Err(error) => {
                adapter.end().await;
                Err(error)
            }
        }
    }

    /// Asks a new adapter who it is.
    ///
    /// # Errors
    /// When it cannot be started, or does not answer as the protocol says.
    pub async fn hello(&self) -> anyhow::Result<Client> {
        let (adapter, client) = self.newcomer(Path::new("/dev/null")).await?;
        self.idle.lock().push(adapter);
        Ok(client)
    }

    /// Starts this many more processes, so that their start falls into no scenario.
    ///
    /// # Errors
    /// When one does not start.
    pub async fn warm(&self, count: usize) -> anyhow::Result<()> {
        let more = (0..count).map(|_| self.newcomer(Path::new("/dev/null")));
        for newcomer in futures::future::join_all(more).await {
            self.idle.lock().push(newcomer?.0);
        }
        Ok(())
    }

    /// Waits for a turn. A process is ready then, unless each scenario needs a new one.
    ///
    /// # Errors
    /// When none can be started.
    pub async fn lease(&self) -> anyhow::Result<Lease<'_>> {
        let permit = self.permits.acquire().await.context("the pool is closed")?;
        if self.fresh.load(Ordering::Relaxed) {
            return Ok(Lease { adapter: None, _permit: permit });
        }
        let idle = self.idle.lock().pop();
        let adapter = match idle {
            Some(adapter) => adapter,
            None => self.newcomer(Path::new("/dev/null")).await?.0,
        };
        Ok(Lease { adapter: Some(adapter), _permit: permit })
    }

    /// Tells the adapter about a server; its connections are its own from here.
    ///
    /// # Errors
    /// When it does not take the kubeconfig, or cannot be started.
    pub async fn open(&self, lease: &mut Lease<'_>, kubeconfig: &Path) -> anyhow::Result<()> {
        let args = json!({"kubeconfig": kubeconfig.to_string_lossy()});
        if let Some(adapter) = &mut lease.adapter {
            let outcome = adapter.call("open", &args, None, STARTING).await;
            match outcome.exit {
                Exit::Ok => return Ok(()),
                // It knows its server from the environment alone.
                Exit::Unsupported => self.fresh.store(true, Ordering::Relaxed),
                exit => bail!("the adapter did not open the kubeconfig: {exit:?} {}", outcome.message),
            }
        }
        if let Some(adapter) = lease.adapter.take() {
            adapter.end().await;
        }
        lease.adapter = Some(self.newcomer(kubeconfig).await?.0);
        Ok(())
    }

    /// Takes an adapter back after a scenario.
    pub async fn give_back(&self, lease: Lease<'_>) {
        let Lease { adapter, _permit } = lease;
        let Some(adapter) = adapter else { return };
        if adapter.broken || self.fresh.load(Ordering::Relaxed) {
            adapter.end().await;
        } else {
            self.idle.lock().push(adapter);
        }
    }

    /// Ends all that are idle.
    pub async fn close(&self) {
        let idle = std::mem::take(&mut *self.idle.lock());
        for adapter in idle {
            adapter.end().await;
        }
    }
}

/// The client that an answer to `hello` introduces.
fn introduced(outcome: Outcome) -> anyhow::Result<Client> {
    if outcome.exit != Exit::Ok {
        bail!("the adapter did not say hello: {:?} {}", outcome.exit, outcome.message);
    }
    let client: Client = serde_json::from_value(outcome.result).context("the adapter's answer to hello")?;
    let version = client.protocol.unwrap_or(PROTOCOL);
    if version != PROTOCOL || client.name.is_empty() {
        bail!("the adapter must give its name and speak protocol {PROTOCOL}, not {version}");
    }
    Ok(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(script: &str) -> Pool {
        let command = ["sh", "-c", script].map(OsString::from).to_vec();
        Pool::new(command, 2, false, Clock::real())
    }

    /// Answers every line with the same number, counted from 1.
    const ECHO: &str = r#"n=0; while read -r line; do n=$((n+1)); echo "{\"id\":$n,\"result\":{\"name\":\"echo\",\"line\":$line}}"; done"#;

    async fn leased<'a>(pool: &'a Pool, path: &str) -> Lease<'a> {
        let mut lease = pool.lease().await.unwrap();
        pool.open(&mut lease, Path::new(path)).await.unwrap();
        lease
    }

    #[tokio::test]
    async fn an_adapter_is_asked_line_by_line_and_used_again() {
        let pool = pool(ECHO);
        assert_eq!(pool.hello().await.unwrap().name, "echo");
        let mut lease = leased(&pool, "/tmp/kubeconfig").await;
        let outcome = lease.call("get", &json!({"name": "a"}), Some(Duration::from_secs(1)), STARTING).await;
        assert_eq!(outcome.exit, Exit::Ok);
        assert_eq!(outcome.result["line"]["deadlineMs"], 1000);
        assert_eq!(outcome.result["line"]["id"], 3, "hello and open went before, to the same process");
        pool.give_back(lease).await;
        pool.close().await;
    }

    /// Says hello, opens, and does not answer the third request.
    const TWO: &str = r#"for n in 1 2; do read -r line; echo "{\"id\":$n,\"result\":{\"name\":\"two\"}}"; done"#;

    #[tokio::test]
    async fn silence_and_death_are_told_apart() {
        let silent = pool(&format!("{TWO}; read -r line; sleep 600"));
        let mut lease = leased(&silent, "/tmp/kubeconfig").await;
        assert_eq!(lease.call("get", &json!({}), None, Duration::from_millis(50)).await.exit, Exit::Never);
        silent.give_back(lease).await;
        let dying = pool(TWO);
        let mut lease = leased(&dying, "/tmp/kubeconfig").await;
        assert_eq!(lease.call("get", &json!({}), None, STARTING).await.exit, Exit::Crash);
        dying.give_back(lease).await;
    }

    #[tokio::test]
    async fn an_adapter_that_says_nonsense_is_refused() {
        let error = pool("read -r line; echo hello").hello().await.unwrap_err().to_string();
        assert!(error.contains("did not say hello"), "{error}");
    }

    #[tokio::test]
    async fn an_adapter_that_cannot_open_is_started_for_each_scenario() {
        let script = r#"n=0; while read -r line; do n=$((n+1)); case "$line" in *'"open"'*) echo "{\"id\":$n,\"errorClass\":\"unsupported\"}";; *) echo "{\"id\":$n,\"result\":{\"name\":\"$KUBECONFIG\"}}";; esac; done"#;
        let pool = pool(script);
        pool.hello().await.unwrap();
        for path in ["/tmp/one", "/tmp/two"] {
            let mut lease = leased(&pool, path).await;
            let outcome = lease.call("get", &json!({}), None, STARTING).await;
            assert_eq!(outcome.result["name"], path);
            pool.give_back(lease).await;
        }
        pool.close().await;
    }
}
