//! A kube-rs controller and what drives it, recorded before `rehearsal serve` and replayed in every mode and pace.
//!
//! `REHEARSAL_BIN` names the binary. This program starts a server, runs itself below `rehearsal record` in two lanes, and
//! then below `rehearsal replay`, where it must end as well as it did and leave nothing over; two replays must be one and
//! the same. Below them it is the controller (runtime, reflector, finalizer, server-side apply) and the driver.

mod widget;

use anyhow::{Context as _, bail, ensure};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::finalizer::{Event, finalizer};
use kube::runtime::wait::{await_condition, conditions};
use kube::runtime::watcher;
use kube::{Client, Config, CustomResourceExt as _, ResourceExt as _};
use serde_json::json;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use widget::{Widget, WidgetSpec};

const PATIENCE: Duration = Duration::from_secs(120);
const FINALIZER: &str = "example.com/cleanup";
/// Says which part this process plays below a recorder or a replay: both, or the controller alone.
const PART: &str = "TAPES_PART";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match std::env::var(PART) {
        Ok(part) => tokio::time::timeout(PATIENCE, play(&part)).await.context("took too long")?,
        Err(_) => tokio::task::spawn_blocking(record_and_replay).await?,
    }
}

async fn client(variable: &str) -> anyhow::Result<Client> {
    let path = std::env::var(variable).with_context(|| format!("no {variable}"))?;
    let config = Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

async fn play(part: &str) -> anyhow::Result<()> {
    let (stop, stopped) = oneshot::channel();
    let (ready, begun) = oneshot::channel();
    let (gone, left) = oneshot::channel();
    let working = client("KUBECONFIG").await?;
    if part == "both" {
        let driving = client("REHEARSAL_KUBECONFIG_DRIVER").await?;
        define(driving.clone()).await?;
        let controller = tokio::spawn(control(working, ready, stopped, gone));
        begun.await.context("the controller has not begun")?;
        drive(driving).await?;
        left.await.context("the widget was not cleaned up")?;
        let _ = stop.send(());
        return controller.await?;
    }
    // Somebody else defines the kind.
    let definitions: Api<CustomResourceDefinition> = Api::all(working.clone());
    await_condition(definitions, Widget::crd_name(), conditions::is_crd_established()).await?;
    let controller = tokio::spawn(control(working, ready, stopped, gone));
    begun.await.context("the controller has not begun")?;
    left.await.context("the widget was not cleaned up")?;
    let _ = stop.send(());
    controller.await?
}

async fn define(client: Client) -> anyhow::Result<()> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client);
    definitions.create(&PostParams::default(), &Widget::crd()).await.context("create the CRD")?;
    await_condition(definitions, Widget::crd_name(), conditions::is_crd_established()).await?;
    Ok(())
}

/// What is done to the widget, each thing once the controller has seen to the one before.
async fn drive(client: Client) -> anyhow::Result<()> {
    let widgets: Api<Widget> = Api::default_namespaced(client.clone());
    let copies: Api<ConfigMap> = Api::default_namespaced(client);
    let sized = |size: i32| {
        move |widget: Option<&Widget>| {
            widget.is_some_and(|w| w.status.as_ref().is_some_and(|status| status.ready && status.size == size))
        }
    };
    let wanted = Widget::new("one", WidgetSpec { size: 1, color: Some("red".into()) });
    let made = widgets.create(&PostParams::default(), &wanted).await.context("create")?;
    await_condition(widgets.clone(), "one", sized(1)).await?;
    let change = Patch::Merge(json!({"spec": {"size": 2}}));
    widgets.patch("one", &PatchParams::default(), &change).await.context("patch")?;
    await_condition(widgets.clone(), "one", sized(2)).await?;
    let copy = copies.get("one").await.context("the copy")?;
    ensure!(copy.data.as_ref().is_some_and(|data| data["size"] == "2"), "copied: {copy:?}");
    widgets.delete("one", &DeleteParams::default()).await.context("delete")?;
    let uid = made.uid().context("no uid")?;
    await_condition(widgets, "one", conditions::is_deleted(&uid)).await?;
    ensure!(copies.get_opt("one").await?.is_none(), "the copy is still there");
    Ok(())
}

struct Context {
    client: Client,
    gone: std::sync::Mutex<Option<oneshot::Sender<()>>>,
}

/// Keeps a ConfigMap for each widget until it is stopped.
async fn control(
    client: Client,
    ready: oneshot::Sender<()>,
    stopped: oneshot::Receiver<()>,
    gone: oneshot::Sender<()>,
) -> anyhow::Result<()> {
    let widgets: Api<Widget> = Api::default_namespaced(client.clone());
    let controller = Controller::new(widgets, watcher::Config::default()).graceful_shutdown_on(async {
        let _ = stopped.await;
    });
    let store = controller.store();
    tokio::spawn(async move {
        if store.wait_until_ready().await.is_ok() {
            let _ = ready.send(());
        }
    });
    let context = Arc::new(Context { client, gone: std::sync::Mutex::new(Some(gone)) });
    let again = |_: Arc<Widget>, error: &kube::runtime::finalizer::Error<kube::Error>, _: Arc<Context>| {
        eprintln!("controller: {error:?}");
        Action::requeue(Duration::from_secs(1))
    };
    controller.run(reconcile, again, context).for_each(|_| std::future::ready(())).await;
    Ok(())
}

async fn reconcile(
    widget: Arc<Widget>,
    context: Arc<Context>,
) -> Result<Action, kube::runtime::finalizer::Error<kube::Error>> {
    let widgets: Api<Widget> = Api::default_namespaced(context.client.clone());
    let copies: Api<ConfigMap> = Api::default_namespaced(context.client.clone());
    finalizer(&widgets, FINALIZER, widget, |event| async {
        match event {
            Event::Apply(widget) => {
                let size = widget.spec.size;
                if widget.status.as_ref().is_some_and(|status| status.size == size) {
                    return Ok(Action::await_change());
                }
                let name = widget.name_any();
                let copy = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
                    "data": {"size": size.to_string(), "of": widget.uid()}});
                copies.patch(&name, &PatchParams::apply("widgets"), &Patch::Apply(&copy)).await?;
                let status = json!({"status": {"ready": true, "size": size}});
                widgets.patch_status(&name, &PatchParams::default(), &Patch::Merge(&status)).await?;
            }
            Event::Cleanup(widget) => {
                copies.delete(&widget.name_any(), &DeleteParams::default()).await?;
                if let Some(gone) = context.gone.lock().ok().and_then(|mut gone| gone.take()) {
                    let _ = gone.send(());
                }
            }
        }
        Ok(Action::await_change())
    })
    .await
}

/// A server that goes with this process.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn record_and_replay() -> anyhow::Result<()> {
    let binary = std::env::var("REHEARSAL_BIN").context("REHEARSAL_BIN names no rehearsal")?;
    let dir = std::env::temp_dir().join(format!("tapes-kube-rs-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let outcome = all(&binary, &dir);
    match &outcome {
        Ok(passed) => println!("kube-rs on tape: {passed} passed, 0 failed"),
        Err(_) => eprintln!("kept for inspection: {}", dir.display()),
    }
    if outcome.is_ok() {
        std::fs::remove_dir_all(&dir)?;
    }
    outcome.map(drop)
}

fn all(binary: &str, dir: &Path) -> anyhow::Result<usize> {
    let kubeconfig = dir.join("kubeconfig");
    let mut server = Command::new(binary);
    server.args(["serve", "--port", "0", "--controllers", "none", "--kubeconfig-out"]).arg(&kubeconfig);
    let mut server = Server(server.stdout(Stdio::piped()).spawn()?);
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().context("no output")?).read_line(&mut line)?;
    ensure!(line.contains("ready"), "no ready line: {line}");
    let tape = dir.join("kube-rs.tape.yaml");
    let mut record = Command::new(binary);
    record.args(["record", "--lane", "controller", "--lane", "driver", "--kubeconfig"]).arg(&kubeconfig);
    record.arg("-o").arg(&tape);
    run(record, "both")?;
    let mut passed = 0;
    for mode in ["strict", "lenient", "hydrate"] {
        for part in ["both", "controller"] {
            let mut transcripts = Vec::new();
            for (n, pace) in ["gated", "gated", "recorded", "asap"].iter().enumerate() {
                let transcript = dir.join(format!("{mode}-{part}-{n}"));
                let mut replay = Command::new(binary);
                replay.arg("replay").arg(&tape).args(["--mode", mode, "--pace", pace, "--patience", "20000"]);
                replay.arg("--transcript").arg(&transcript);
                if part == "controller" {
                    replay.args(["--lane", "controller"]);
                }
                run(replay, part).with_context(|| format!("{part} in mode {mode} at pace {pace}"))?;
                transcripts.push(std::fs::read_to_string(&transcript)?);
                passed += 1;
            }
            ensure!(!transcripts[0].is_empty(), "{mode} {part}: an empty transcript");
            ensure!(transcripts[0] == transcripts[1], "{mode} {part}: {}\n{}", transcripts[0], transcripts[1]);
        }
    }
    Ok(passed)
}

/// Runs this program below a recorder or a replay, which must end well.
fn run(mut command: Command, part: &str) -> anyhow::Result<()> {
    command.arg("--").arg(std::env::current_exe()?).env(PART, part).env("CI", "");
    let output = command.output()?;
    if !output.status.success() {
        bail!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
