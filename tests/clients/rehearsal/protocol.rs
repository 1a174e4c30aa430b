//! The adapter's side of the score card's protocol: a loop over standard input. The two adapters in Rust share it.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Why an operation failed, in the words of the protocol.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) class: &'static str,
    pub(crate) code: Option<u16>,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(class: &'static str, message: &(impl ToString + ?Sized)) -> Self {
        Self { class, code: None, message: message.to_string() }
    }

    pub(crate) fn unsupported(op: &str) -> Self {
        Self::new("unsupported", op)
    }
}

/// One client of one server.
pub(crate) trait Client: Sized {
    /// Name, version and options.
    fn hello() -> Value;
    /// A client with connections of its own.
    async fn open(kubeconfig: &str) -> Result<Self, Failure>;
    /// Does one operation.
    async fn call(&mut self, op: &str, args: &Value, deadline: Option<Duration>) -> Result<Value, Failure>;
}

/// A mirror of a collection: names and `data.v`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store(Arc<Mutex<BTreeMap<String, String>>>);

impl Store {
    pub(crate) fn change(&self, change: impl FnOnce(&mut BTreeMap<String, String>)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The answer to `store`.
    pub(crate) fn answer(&self) -> Value {
        json!({"objects": *self.0.lock().unwrap_or_else(PoisonError::into_inner)})
    }
}

/// A text argument; empty where there is none.
pub(crate) fn text<'a>(args: &'a Value, name: &str) -> &'a str {
    args.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The lines of standard input; a thread of its own reads them.
fn lines() -> tokio::sync::mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || std::io::stdin().lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    receiver
}

/// Answers requests until standard input ends.
pub(crate) async fn serve<C: Client>() -> std::io::Result<()> {
    let mut lines = lines();
    let mut client: Option<C> = None;
    while let Some(line) = lines.recv().await {
        let request: Value = serde_json::from_str(&line)?;
        let mut answer = match perform(&mut client, &request).await {
            Ok(result) => json!({"result": result}),
            Err(Failure { class, code, message }) => json!({"errorClass": class, "code": code, "message": message}),
        };
        answer["id"] = request["id"].clone();
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{answer}")?;
        stdout.flush()?;
    }
    Ok(())
}

async fn perform<C: Client>(client: &mut Option<C>, request: &Value) -> Result<Value, Failure> {
    let (op, args) = (text(request, "op"), &request["args"]);
    match op {
        "hello" => Ok(C::hello()),
        "open" => {
            *client = Some(C::open(text(args, "kubeconfig")).await?);
            Ok(json!({}))
        }
        _ => {
            let deadline = request.get("deadlineMs").and_then(Value::as_u64).map(Duration::from_millis);
            let client = client.as_mut().ok_or_else(|| Failure::new("other", "no server was opened"))?;
            client.call(op, args, deadline).await
        }
    }
}
