//! What the fault layer costs while nothing goes wrong: no plan armed, and a hundred rules that do not match.

#![allow(clippy::disallowed_methods, reason = "benchmarks measure the machine's own time")]

mod support;

use axum::body::Body;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::Request;
use rehearsal::fault_wire::{Facts, FaultLayer, Faults, Host, Time};
use rehearsal::faults::{Plan, Rule};
use rehearsal::{Cluster, Controllers};
use std::hint::black_box;
use std::time::{Duration, Instant};
use support::client::Client;
use support::runner::in_turns;
use support::stats::median;
use support::{Options, Outcome, Report, Target, bare, objects, runtime};

const RULES: usize = 100;
const POD: &str = "/api/v1/namespaces/default/pods/web";

fn main() -> Outcome {
    let options = Options::parse();
    let mut report = Report::new("faults");
    decisions(&options, &mut report)?;
    let runtime = runtime()?;
    runtime.block_on(layer_without_a_plan(&options, &mut report))?;
    runtime.block_on(server_with_rules(&options, &mut report))?;
    report.finish(options.record)
}

/// A server of which only the fault layer is there.
#[derive(Clone)]
struct Nothing;

impl Host for Nothing {
    type Body = Body;

    fn describe(&self, request: Request<Body>) -> BoxFuture<'static, (Facts, Request<Body>)> {
        Box::pin(async { (Facts::default(), request) })
    }
}

impl Time for Nothing {
    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

/// Rules of which each fails to match a GET of the pod `default/web` in one way: verb, resource, name, User-Agent.
fn mixed(n: usize) -> Rule {
    let rule = Rule::new(format!("r{n}")).fault("delay");
    match n % 4 {
        0 => rule.verb("update").resource("pods"),
        1 => rule.verb("get").resource("configmaps"),
        2 => rule.verb("get").resource("pods").name(format!("other-{n}")),
        _ => rule.resource("pods").user_agent(format!("agent-{n}*")),
    }
}

/// Rules that differ from a match in the last thing that is looked at.
fn near(n: usize) -> Rule {
    Rule::new(format!("r{n}")).fault("delay").verb("get").resource("pods").namespace("def*").name(format!("w*-{n}"))
}

fn plan(rule: fn(usize) -> Rule) -> Plan {
    (0..RULES).map(rule).fold(Plan::seed(1), Plan::rule)
}

fn get_pod() -> Facts {
    Facts {
        verb: "get".into(),
        version: "v1".into(),
        resource: "pods".into(),
        namespace: "default".into(),
        name: "web".into(),
        method: "GET".into(),
        path: POD.into(),
        user_agent: "bench".into(),
        headers: ["host", "user-agent", "accept", "content-type"].map(|key| (key.into(), "bench".into())).into(),
        ..Facts::default()
    }
}

/// Asking alone, without HTTP.
fn decisions(options: &Options, report: &mut Report) -> Outcome {
    let facts = get_pod();
    for (rule, what) in [(mixed as fn(usize) -> Rule, "of all kinds"), (near, "that match but for the name")] {
        let faults = Faults::new(Nothing);
        faults.add(&plan(rule))?;
        if !faults.decide(&facts).is_empty() {
            return Err("a rule matches that should not".into());
        }
        let mut times = Vec::new();
        for _ in 0..options.count(201, 51) {
            times.push(micros_each(1000, || drop(black_box(faults.decide(black_box(&facts))))));
        }
        report.figure(
            format!("asking {RULES} rules {what}, none matches, median"),
            Target::AtMost(1.0, "µs"),
            median(&mut times),
        );
    }
    Ok(())
}

fn micros_each(calls: u32, mut call: impl FnMut()) -> f64 {
    let begin = Instant::now();
    for _ in 0..calls {
        call();
    }
    begin.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
}

/// A bare handler with the layer around it and no plan, against the same handler without the layer.
async fn layer_without_a_plan(options: &Options, report: &mut Report) -> Outcome {
    let bytes = Bytes::from(objects::pod("default", "web").to_string());
    let layered = bare::routes(bytes.clone()).layer(FaultLayer::new(Faults::new(Nothing), Nothing));
    let mut ours = Client::connect(&bare::listen(layered).await?).await?;
    let mut theirs = Client::connect(&bare::serve(bytes).await?).await?;
    let found = in_turns(options.count(41, 7), &mut async || ours.get(POD).await.map(drop), &mut async || {
        theirs.get(POD).await.map(drop)
    })
    .await?;
    let lost = (1.0 / found.ratio - 1.0) * 100.0;
    report.figure("the layer without a plan, time a request more than without it", Target::AtMost(1.0, "%"), lost);
    report.figure("bare handler with the layer", Target::Shown("requests/s"), found.ours);
    report.figure("bare handler without it", Target::Shown("requests/s"), found.theirs);
    Ok(())
}

/// The same cluster twice, one with rules armed.
async fn server_with_rules(options: &Options, report: &mut Report) -> Outcome {
    let armed = cluster().await?;
    armed.faults().add(&plan(mixed))?;
    let calm = cluster().await?;
    let address = |cluster: &Cluster| cluster.url().replace("http://", "");
    let mut ours = Client::connect(&address(&armed)).await?;
    let mut theirs = Client::connect(&address(&calm)).await?;
    let found = in_turns(options.count(41, 7), &mut async || ours.get(POD).await.map(drop), &mut async || {
        theirs.get(POD).await.map(drop)
    })
    .await?;
    let more = (1.0 / found.ratio - 1.0) / found.theirs * 1e6;
    report.figure(
        format!("GET one pod over HTTP, {RULES} rules that do not match, time a request more"),
        Target::Shown("µs"),
        more,
    );
    report.figure("GET one pod, no plan", Target::Shown("requests/s"), found.theirs);
    report.figure(format!("GET one pod, {RULES} rules"), Target::Shown("requests/s"), found.ours);
    armed.shutdown().await;
    calm.shutdown().await;
    Ok(())
}

async fn cluster() -> Outcome<Cluster> {
    let pod = objects::pod("default", "web");
    Ok(Cluster::builder().controllers(Controllers::none()).objects([pod]).start().await?)
}
