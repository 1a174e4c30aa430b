//! Finished Jobs go when their time to live is over. Counterpart: `pkg/controller/ttlafterfinished`.

use super::Parts;
use super::agent::Agent;
use super::runner::{Change, Controller, Item, Outcome};
use crate::store::split_key;
use crate::strategies::access::{int_at, list_at, spec, str_at};
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use rehearsal_apimachinery::ObjectMeta;
use rehearsal_apimachinery::options::{DeleteOptions, Preconditions};
use rehearsal_apimachinery::status::Status;
use serde_json::Value;

const JOBS: &str = "jobs.batch";

/// Deletes Jobs that have been finished for `spec.ttlSecondsAfterFinished`.
pub(super) struct JobTtl {
    agent: Agent,
}

impl JobTtl {
    pub(super) fn new(parts: &Parts) -> Self {
        Self { agent: Agent::new(&parts.registry, "ttl-after-finished-controller") }
    }

    async fn sync(&self, namespace: &str, name: &str) -> Result<Outcome, Status> {
        let target = self.agent.target(JOBS, namespace, name)?;
        let Some(job) = self.agent.read(&target).filter(|job| !job.is_deleting()) else { return Ok(Outcome::Done) };
        let Some(expires) = expiry(&job) else { return Ok(Outcome::Done) };
        if self.agent.registry.clock().now() < expires {
            return Ok(Outcome::At(expires));
        }
        let uid = Preconditions { uid: Some(job.uid().to_owned()), resource_version: None };
        let options = DeleteOptions {
            preconditions: Some(uid),
            propagation_policy: Some("Foreground".into()),
            ..DeleteOptions::default()
        };
        self.agent.delete(&target, &options).await?;
        Ok(Outcome::Done)
    }
}

/// When a finished Job's time is over; `None` for one that is not finished, or whose time is not limited.
fn expiry(job: &Value) -> Option<Timestamp> {
    let ttl = int_at(spec(job), "ttlSecondsAfterFinished")?;
    let finished = list_at(&job["status"], "conditions").iter().find(|condition| {
        matches!(str_at(condition, "type"), "Complete" | "Failed") && str_at(condition, "status") == "True"
    })?;
    let since: Timestamp = str_at(finished, "lastTransitionTime").parse().ok()?;
    since.checked_add(SignedDuration::from_secs(ttl)).ok()
}

impl Controller for JobTtl {
    fn watches(&self, collection: &str) -> bool {
        collection == JOBS
    }

    fn observe(&mut self, change: &Change<'_>, work: &mut Vec<Item>) {
        work.extend(change.after.map(|_| change.item()));
    }

    fn reconcile<'a>(&'a mut self, item: &'a Item, _work: &'a mut Vec<Item>) -> BoxFuture<'a, Result<Outcome, Status>> {
        let (namespace, name) = split_key(&item.key);
        async move { self.sync(namespace, name).await }.boxed()
    }
}
