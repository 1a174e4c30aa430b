//! `rehearsal verify TAPE`: the requests of a tape, sent to a server, and whether it answers as it did on the tape.
//!
//! Exit codes: 0 every answer means the same, 1 differences, 2 the server or the tape could not be asked.

use super::replay::whole_tape;
use crate::Cluster;
use crate::recording::ConfigUpstream;
use crate::verify::{VerifyOptions, verify_as};
use anyhow::Context as _;
use clap::Args;
use rehearsal_cassettes::format::model::Tape;
use rehearsal_cassettes::proxy::Upstream;
use rehearsal_cassettes::verify::{PlanOptions, VerifyReport};
use rehearsal_client::{ClientConfig, Config, LoadingRules, Overrides};
use rehearsal_fakeserver::auth::write_atomically;
use rehearsal_fakeserver::controllers::Controllers;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Answers that differ.
const DIFFERENT: u8 = 1;
/// No comparison could be made.
const NOT_ASKED: u8 = 2;

/// Flags of `verify`.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// The tape.
    #[arg(value_name = "TAPE")]
    pub tape: PathBuf,
    /// Address of the server (default, without a kubeconfig: a fresh fake server in this process).
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// Kubeconfig of the server. What is on the tape is written to it again: give it a cluster to spare.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig (default: its current one).
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Controllers of the fresh fake server: none, default, all, or a comma-separated list (default: the essential ones).
    #[arg(long, value_name = "none|default|all|LIST", conflicts_with_all = ["server", "kubeconfig", "context"])]
    pub controllers: Option<String>,
    /// Only what this lane sent (repeatable; default: all).
    #[arg(long, value_name = "NAME")]
    pub lane: Vec<String>,
    /// Send what a lane sent with the credentials of another kubeconfig (repeatable), such as `dev=dev.kubeconfig`.
    #[arg(long, value_name = "LANE=FILE", value_parser = lane_kubeconfig)]
    pub lane_kubeconfig: Vec<(String, PathBuf)>,
    /// Discovery and documents too.
    #[arg(long)]
    pub include_static: bool,
    /// Leases, events, reviews and health too.
    #[arg(long)]
    pub include_ambient: bool,
    /// Milliseconds to wait for recorded watch frames.
    #[arg(long, default_value_t = 5000, value_name = "MS")]
    pub patience: u64,
    /// Fields that are not compared: a mask that `tape learn` made (repeatable).
    #[arg(long, value_name = "MASK")]
    pub mask: Vec<PathBuf>,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// Verifies; the exit code says what came of it.
pub(super) async fn verify(args: &VerifyArgs) -> ExitCode {
    match compare(args).await {
        Ok(report) => {
            eprintln!("rehearsal verify: {report}");
            if report.is_equal() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) }
        }
        Err(error) => {
            eprintln!("rehearsal verify: {error:#}");
            ExitCode::from(NOT_ASKED)
        }
    }
}

async fn compare(args: &VerifyArgs) -> anyhow::Result<VerifyReport> {
    let tape = whole_tape(&args.tape)?;
    let report = if args.server.is_none() && args.kubeconfig.is_none() && args.context.is_none() {
        let builder = match &args.controllers {
            Some(list) => Cluster::builder().controllers(Controllers::parse(list)?),
            None => Cluster::builder(),
        };
        let cluster = builder.start().await?;
        let report = ask(args, &tape, &cluster.client_config()?).await;
        cluster.shutdown().await;
        report?
    } else {
        ask(args, &tape, &config(args)?).await?
    };
    if let Some(path) = &args.report {
        let json = serde_json::to_string_pretty(&report)?;
        write_atomically(path, &json).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(report)
}

async fn ask(args: &VerifyArgs, tape: &Tape, config: &Config) -> anyhow::Result<VerifyReport> {
    let plan = PlanOptions {
        lanes: (!args.lane.is_empty()).then(|| args.lane.iter().cloned().collect()),
        include_static: args.include_static,
        include_ambient: args.include_ambient,
    };
    let options = VerifyOptions {
        plan,
        frames: Duration::from_millis(args.patience),
        mask: super::review::read_masks(&args.mask)?,
        ..VerifyOptions::default()
    };
    let mut lanes: BTreeMap<String, Box<dyn Upstream>> = BTreeMap::new();
    for (lane, path) in &args.lane_kubeconfig {
        let (client, error) = ClientConfig::load(&LoadingRules::explicit(path));
        if let Some(error) = error {
            return Err(error).with_context(|| format!("kubeconfig of lane {lane}"));
        }
        let config = client.client_config().with_context(|| format!("kubeconfig of lane {lane}"))?;
        lanes.insert(lane.clone(), Box::new(ConfigUpstream::new(&config)?.pooled()));
    }
    verify_as(tape, &ConfigUpstream::new(config)?.pooled(), &lanes, &options).await
}

fn lane_kubeconfig(text: &str) -> Result<(String, PathBuf), String> {
    let (lane, path) = text.split_once('=').ok_or("a lane and a file, joined by =, are needed")?;
    Ok((lane.to_owned(), path.into()))
}

/// The server that was named; an address alone needs no kubeconfig, and none is looked for.
fn config(args: &VerifyArgs) -> anyhow::Result<Config> {
    if let (Some(server), None, None) = (&args.server, &args.kubeconfig, &args.context) {
        return Ok(Config::new(server));
    }
    let rules = match &args.kubeconfig {
        Some(path) => LoadingRules::explicit(path),
        None => LoadingRules::from_env(),
    };
    let (client, error) = ClientConfig::load(&rules);
    if let Some(error) = error {
        return Err(error).context("kubeconfig");
    }
    let server = args.server.clone().unwrap_or_default();
    let mut client = client.overrides(Overrides { server, ..Overrides::default() });
    if let Some(context) = &args.context {
        client = client.context(context);
    }
    client.client_config().context("kubeconfig")
}
