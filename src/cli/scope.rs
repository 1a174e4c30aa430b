//! Flags of `record` that say what goes onto a tape and how long, how long the tape is good for, and where in a cluster
//! the recorder sits.

use crate::recording::{self, OnFailure, is_expired};
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use rehearsal_cassettes::format::model::Header;
use rehearsal_cassettes::format::{self};
use rehearsal_cassettes::proxy::Proxy;
use rehearsal_cassettes::record::{Limits, Recorder};
use rehearsal_cassettes::{Filter, Mode};
use rehearsal_client::{Config, InCluster};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is recorded, how much of it, and how long it is good for.
#[derive(Clone, Debug, Default, Args)]
pub struct ScopeArgs {
    /// Record only what this fits (repeatable): terms that must all hold, joined by commas, such as
    /// `resource=pods|deployments.apps,verb=watch`. Keys: path, resource, namespace, verb, lane; `*` for anything.
    #[arg(long, value_name = "RULE")]
    pub include: Vec<String>,
    /// Do not record what this fits (repeatable): `events`, `pods/log`, `/openapi/*`, `lane=b`. It passes through.
    #[arg(long, value_name = "RULE")]
    pub exclude: Vec<String>,
    /// End the recording, and not the traffic, after about this much: 500000, 64KiB, 10MiB, 2GiB.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_bytes: Option<u64>,
    /// End the recording, and not the traffic, after so many watch events.
    #[arg(long, value_name = "N")]
    pub max_frames: Option<u64>,
    /// End the recording, and not the traffic, after this time: 90s, 15m, 2h.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub max_duration: Option<Duration>,
    /// How long the tape is good for: 90d, 2w, 12h. Mode once records an older one anew; under CI it only warns.
    #[arg(long, value_name = "TIME", value_parser = expiry)]
    pub expires: Option<String>,
    /// What becomes of the tape when the command fails.
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    pub on_failure: FailureWord,
}

/// What becomes of the tape when the command fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum FailureWord {
    /// A good tape that is there stays, and the new one is kept beside it as x.tape.failed.
    #[default]
    Spare,
    /// It is kept as x.tape.failed in any case.
    Aside,
    /// It takes the place of an older one like any other.
    Replace,
}

/// Where in a cluster the recorder sits.
#[derive(Clone, Debug, Default, Args)]
pub struct PlaceArgs {
    /// Record the cluster that this pod runs in, with the pod's own service account.
    #[arg(long, conflicts_with_all = ["kubeconfig", "context", "server"])]
    pub in_cluster: bool,
    /// Directory of the service account's token, ca.crt and namespace (with --in-cluster; default: where Kubernetes
    /// mounts it).
    #[arg(long, value_name = "DIR", requires = "in_cluster")]
    pub service_account: Option<PathBuf>,
    /// Write token, ca.crt and namespace here, for clients that know a cluster by their service account: mount it at
    /// /var/run/secrets/kubernetes.io/serviceaccount and point KUBERNETES_SERVICE_HOST and _PORT here.
    #[arg(long, value_name = "DIR")]
    pub service_account_out: Option<PathBuf>,
}

fn duration(text: &str) -> Result<Duration, String> {
    let nanos = rehearsal_apimachinery::time::parse_duration(text)?;
    match u64::try_from(nanos) {
        Ok(nanos) if nanos > 0 => Ok(Duration::from_nanos(nanos)),
        _ => Err("must be more than nothing".into()),
    }
}

fn expiry(text: &str) -> Result<String, String> {
    recording::age_of_expiry(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Bytes, as a number or with a unit.
fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size like 500000, 64KiB, 10MiB or 2GiB");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "ki" | "kib" => 1 << 10,
        "mi" | "mib" => 1 << 20,
        "gi" | "gib" => 1 << 30,
        _ => return Err(wrong()),
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    bytes.filter(|bytes| *bytes > 0).ok_or_else(wrong)
}

impl ScopeArgs {
    pub(super) fn filter(&self) -> anyhow::Result<Filter> {
        Ok(Filter::parse(&self.include, &self.exclude)?)
    }

    pub(super) fn limits(&self) -> Limits {
        Limits { bytes: self.max_bytes, frames: self.max_frames }
    }

    pub(super) fn failure(&self) -> OnFailure {
        match self.on_failure {
            FailureWord::Spare => OnFailure::Spare,
            FailureWord::Aside => OnFailure::Aside,
            FailureWord::Replace => OnFailure::Replace,
        }
    }

    /// The mode in force, given how old the tape is.
    pub(super) fn refreshed(&self, mode: Mode, tape: &Path) -> anyhow::Result<Mode> {
        let Some(header) = header_of(tape) else { return Ok(mode) };
        let Some(why) = is_expired(&header, self.expires.as_deref(), recording::now())
            .with_context(|| format!("{}: recorded.expires", tape.display()))?
        else {
            return Ok(mode);
        };
        let fresh = mode.for_expired();
        let what = if fresh == mode { "it is used all the same" } else { "it is recorded anew" };
        eprintln!("rehearsal: {}: {why}; {what}", tape.display());
        Ok(fresh)
    }

    /// Ends the recording when its time is over, and tells when it has ended by itself.
    pub(super) fn watch_over(&self, recorder: &Recorder) {
        let (recorder, after) = (recorder.clone(), self.max_duration);
        tokio::spawn(async move {
            if let Some(after) = after {
                let timer = recorder.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(after).await;
                    timer.retire(&format!("{after:?} were over"));
                });
            }
            let why = recorder.retired().await;
            eprintln!("rehearsal: the recording has ended: {why}. Traffic goes on and is not written down any more.");
        });
    }
}

/// The header of a tape; none where the file is no tape. Nothing else of it is read.
fn header_of(path: &Path) -> Option<Header> {
    let mut lines = BufReader::new(std::fs::File::open(path).ok()?).lines();
    let mut text = String::new();
    while let Some(Ok(line)) = lines.next() {
        if line == "---" && text.contains("kind: Tape") {
            break;
        }
        text.push_str(&line);
        text.push('\n');
    }
    format::from_text(&text).ok().map(|tape| tape.header)
}

impl PlaceArgs {
    /// The cluster that this pod runs in, and the pod's namespace.
    pub(super) fn cluster(&self) -> anyhow::Result<(Config, String)> {
        let mut pod = InCluster::from_env();
        if let Some(mount) = &self.service_account {
            pod.mount.clone_from(mount);
        }
        let config = pod.config().with_context(|| format!("service account in {}", pod.mount.display()))?;
        Ok((config, pod.namespace()))
    }

    /// Writes what a client in a pod needs to find the proxy: in the directory itself for one lane, in a directory each
    /// for several.
    pub(super) fn hand_out(&self, proxy: &Proxy, namespace: &str) -> anyhow::Result<()> {
        let Some(dir) = &self.service_account_out else { return Ok(()) };
        let several = proxy.lanes().iter().count() > 1;
        for (lane, token) in proxy.lanes().iter() {
            let dir = if several { dir.join(lane) } else { dir.clone() };
            std::fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
            let ca = proxy.ca_pem().context("a proxy without TLS has no authority")?;
            // The token last: who waits for it finds the rest.
            for (name, text) in [("ca.crt", ca), ("namespace", namespace), ("token", token)] {
                let path = dir.join(name);
                format::write_atomically(&path, text.as_bytes())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_read_or_refused() {
        assert_eq!((size("500").unwrap(), size("10MiB").unwrap(), size("2k").unwrap()), (500, 10 << 20, 2000));
        for text in ["", "0", "MiB", "1.5G", "-3", "99999999999999999999", "99999999999GiB"] {
            assert!(size(text).is_err(), "{text}");
        }
        assert!(duration("15m").is_ok() && duration("0s").is_err() && duration("-1s").is_err());
        assert!(expiry("90d").is_ok() && expiry("soon").unwrap_err().contains("90d"));
    }

    #[test]
    fn the_header_of_a_tape_is_read_without_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.tape.yaml");
        assert!(header_of(&path).is_none());
        std::fs::write(&path, "---\nkind: Tape\nformat: {major: 1}\nname: x\n---\nnot: a tape's\n").unwrap();
        assert_eq!(header_of(&path).unwrap().name, "x");
    }
}
