//! `rehearsal faults list|check|explain`: the catalogue, and what a plan means, without a server.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use rehearsal_faults::catalog::{self, Legality};
use rehearsal_faults::{Plan, Protocol, RequestFacts, Unsaid, explain};
use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Flags of `faults`.
#[derive(Clone, Debug, Args)]
pub struct FaultsArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: FaultsCommand,
}

/// The subcommands of `faults`.
#[derive(Clone, Debug, Subcommand)]
pub enum FaultsCommand {
    /// Print the catalogue, or one fault of it with its knobs.
    List {
        /// Name or id of a fault.
        fault: Option<String>,
    },
    /// Say everything that is wrong with plans; exit 1 when anything is.
    Check {
        /// Plan files.
        #[arg(required = true)]
        plans: Vec<PathBuf>,
    },
    /// Say what a plan would do to a list of requests, and why each other rule does not fire.
    Explain {
        /// Plan file.
        plan: PathBuf,
        /// Requests, in order: `[AT] [LANE:]VERB RESOURCE[.GROUP][/SUBRESOURCE] [NAMESPACE/][NAME]`, such as
        /// `3s sut:create pods demo/web`.
        #[arg(required = true)]
        requests: Vec<String>,
        /// The requests come over HTTP/2.
        #[arg(long)]
        http2: bool,
    },
}

/// Reads and checks a plan.
pub(super) fn read(path: &Path) -> anyhow::Result<Plan> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    Plan::from_yaml(&path.display().to_string(), &text).map_err(|e| anyhow::anyhow!("{e}"))
}

/// Runs the command.
pub(super) fn faults(args: &FaultsArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        FaultsCommand::List { fault: None } => list(),
        FaultsCommand::List { fault: Some(name) } => describe(name),
        FaultsCommand::Check { plans } => Ok(check(plans)),
        FaultsCommand::Explain { plan, requests, http2 } => {
            tell(plan, requests, if *http2 { Protocol::Http2 } else { Protocol::Http1 })
        }
    }
}

fn list() -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    for row in catalog::rows() {
        let byzantine = if row.legality == Legality::Byzantine { " (byzantine)" } else { "" };
        writeln!(out, "{:4} {:22} {}{byzantine}", row.id, row.name, row.wire)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(name: &str) -> anyhow::Result<ExitCode> {
    let row = catalog::find(name)
        .with_context(|| format!("there is no fault `{name}`; `rehearsal faults list` prints them all"))?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} {}: {}", row.id, row.name, row.wire)?;
    writeln!(out, "a correct client: {}", row.client)?;
    writeln!(out, "on: {}; {}; {}", row.on, row.site, row.protocols)?;
    let stages: Vec<_> = row.stages.iter().map(ToString::to_string).collect();
    writeln!(out, "at: {} (default {})", stages.join(", "), stages.first().map_or("", String::as_str))?;
    for knob in row.knobs {
        let unsaid = match knob.unsaid {
            Unsaid::Default("") => "empty when left out".to_owned(),
            Unsaid::Default(value) => format!("default {value}"),
            Unsaid::Nothing => "optional".to_owned(),
            Unsaid::Refused => "required".to_owned(),
        };
        writeln!(out, "  {}: {} ({unsaid})", knob.name, knob.about)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn check(plans: &[PathBuf]) -> ExitCode {
    let mut failed = false;
    for path in plans {
        match read(path) {
            Ok(plan) => plan.notes().iter().for_each(|note| eprintln!("note: {note}")),
            Err(error) => {
                failed = true;
                eprintln!("{error:#}");
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// A request as the command line writes it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    at: Duration,
    lane: String,
    verb: String,
    resource: String,
    group: String,
    subresource: String,
    namespace: String,
    name: String,
}

fn parse(text: &str) -> anyhow::Result<Asked> {
    let mut words = text.split_whitespace().peekable();
    let mut asked = Asked::default();
    if let Some(nanos) = words.peek().and_then(|word| rehearsal_apimachinery::time::parse_duration(word).ok()) {
        asked.at = Duration::from_nanos(u64::try_from(nanos).context("time does not run backwards")?);
        words.next();
    }
    let verb = words.next().with_context(|| format!("`{text}` has no verb"))?;
    let (lane, verb) = verb.split_once(':').unwrap_or(("", verb));
    let resource = words.next().with_context(|| format!("`{text}` has no resource"))?;
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
    let (namespace, name) = words.next().map_or(("", ""), |object| object.split_once('/').unwrap_or(("", object)));
    if let Some(more) = words.next() {
        anyhow::bail!("`{text}`: what is `{more}`? A request is `[AT] [LANE:]VERB RESOURCE [NAMESPACE/][NAME]`");
    }
    for (field, value) in [
        (&mut asked.lane, lane),
        (&mut asked.verb, verb),
        (&mut asked.resource, resource),
        (&mut asked.group, group),
        (&mut asked.subresource, subresource),
        (&mut asked.namespace, namespace),
        (&mut asked.name, name),
    ] {
        value.clone_into(field);
    }
    Ok(asked)
}

fn tell(plan: &Path, requests: &[String], protocol: Protocol) -> anyhow::Result<ExitCode> {
    let plan = read(plan)?;
    let asked = requests.iter().map(|text| parse(text)).collect::<anyhow::Result<Vec<_>>>()?;
    let object = |asked: &Asked| serde_json::json!({"metadata": {"namespace": asked.namespace, "name": asked.name}});
    let objects: Vec<Value> = asked.iter().map(object).collect();
    let facts: Vec<_> = asked
        .iter()
        .zip(&objects)
        .map(|(asked, object)| {
            let facts = RequestFacts {
                verb: &asked.verb,
                group: &asked.group,
                resource: &asked.resource,
                subresource: &asked.subresource,
                namespace: &asked.namespace,
                name: &asked.name,
                lane: &asked.lane,
                protocol,
                object: Some(object),
                ..RequestFacts::default()
            };
            (asked.at, facts)
        })
        .collect();
    let explanation = explain(&plan, &facts).map_err(|e| anyhow::anyhow!("{e}"))?;
    write!(std::io::stdout().lock(), "{explanation}")?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_written_as_people_say_them() {
        let asked = parse("3s sut:create deployments.apps/scale demo/web").unwrap();
        assert_eq!(asked.at, Duration::from_secs(3));
        assert_eq!((asked.lane.as_str(), asked.verb.as_str()), ("sut", "create"));
        assert_eq!((asked.resource.as_str(), asked.group.as_str()), ("deployments", "apps"));
        assert_eq!((asked.subresource.as_str(), asked.namespace.as_str()), ("scale", "demo"));
        assert_eq!(asked.name, "web");
        assert_eq!(parse("list pods").unwrap().resource, "pods");
        assert!(parse("list").is_err() && parse("list pods a/b c").is_err());
    }
}
