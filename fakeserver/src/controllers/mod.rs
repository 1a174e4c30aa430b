//! Optional loops that act on the store as the controllers of a kube-controller-manager do.
//!
//! [`Controllers`] says which; `start` sets them going as one task. They go through the registry, not through HTTP, and
//! sleep until something is written. Counterpart: `cmd/kube-controller-manager`. Workloads (Deployments, Jobs and the
//! like) are not here: nothing in a fake cluster runs pods.

mod agent;
mod disruption;
mod endpoints;
mod garbage_collector;
mod job_ttl;
mod namespace;
mod namespace_conditions;
mod owner_index;
mod per_namespace;
mod protection;
mod resource_quota;
mod role_aggregation;
mod root_ca;
mod runner;
mod service_account;
#[cfg(test)]
mod tests;
mod token_secrets;
mod tracked;

use crate::auth::TokenIssuer;
use crate::registry::Registry;
use endpoints::EndpointsController;
use runner::{Controller, Runner};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How a controller is made.
type Make = fn(&Parts) -> Box<dyn Controller>;

/// A controller that can be switched on.
struct Entry {
    name: &'static str,
    /// Part of [`Controllers::essential`].
    essential: bool,
    make: Make,
}

/// In the order in which they get to work on the same change: what others need first.
static ENTRIES: &[Entry] = &[
    Entry { name: "service-account", essential: true, make: |parts| Box::new(service_account::controller(parts)) },
    Entry { name: "root-ca", essential: true, make: |parts| Box::new(root_ca::controller(parts)) },
    Entry {
        name: "clusterrole-aggregation",
        essential: true,
        make: |parts| Box::new(role_aggregation::RoleAggregation::new(parts)),
    },
    Entry {
        name: "garbage-collector",
        essential: true,
        make: |parts| Box::new(garbage_collector::GarbageCollector::new(parts)),
    },
    Entry { name: "namespace", essential: true, make: |parts| Box::new(namespace::NamespaceController::new(parts)) },
    Entry {
        name: "pvc-protection",
        essential: false,
        make: |parts| Box::new(protection::Protection::of_claims(parts)),
    },
    Entry {
        name: "pv-protection",
        essential: false,
        make: |parts| Box::new(protection::Protection::of_volumes(parts)),
    },
    Entry {
        name: "resource-quota",
        essential: false,
        make: |parts| Box::new(resource_quota::QuotaController::new(parts)),
    },
    Entry {
        name: "service-account-token",
        essential: false,
        make: |parts| Box::new(token_secrets::TokenSecrets::new(parts)),
    },
    Entry { name: "disruption", essential: false, make: |parts| Box::new(disruption::Disruption::new(parts)) },
    Entry {
        name: "endpoints",
        essential: false,
        make: |parts| Box::new(EndpointsController::new(parts, endpoints::Form::Endpoints)),
    },
    Entry {
        name: "endpointslice",
        essential: false,
        make: |parts| Box::new(EndpointsController::new(parts, endpoints::Form::Slices)),
    },
    Entry { name: "ttl-after-finished", essential: false, make: |parts| Box::new(job_ttl::JobTtl::new(parts)) },
];

/// A set of controllers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Controllers(BTreeSet<&'static str>);

/// A name that is none of a controller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown controller {name:?}: {}", self.advice())]
pub struct UnknownController {
    name: String,
}

impl Controllers {
    /// None: deleted namespaces stay, dependents are not collected, as under envtest.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Those that a client can hardly do without: `namespace`, `garbage-collector`, `service-account`, `root-ca` and
    /// `clusterrole-aggregation`.
    #[must_use]
    pub fn essential() -> Self {
        Self(ENTRIES.iter().filter(|entry| entry.essential).map(|entry| entry.name).collect())
    }

    /// All there are.
    #[must_use]
    pub fn all() -> Self {
        Self(Self::names().collect())
    }

    /// Reads names between commas. `none`, `default` (= [`essential`](Self::essential)) and `all` stand for sets.
    ///
    /// # Errors
    /// [`UnknownController`] for the first name that is neither.
    pub fn parse(text: &str) -> Result<Self, UnknownController> {
        let mut set = BTreeSet::new();
        for word in text.split(',').map(str::trim) {
            match word {
                "none" => {}
                "default" => set.extend(Self::essential().0),
                "all" => set.extend(Self::names()),
                name => {
                    let known = Self::names().find(|known| *known == name);
                    set.insert(known.ok_or_else(|| UnknownController { name: name.to_owned() })?);
                }
            }
        }
        Ok(Self(set))
    }

    /// The names of all controllers there are.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ENTRIES.iter().map(|entry| entry.name)
    }

    /// Whether a controller is in the set.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// Whether there is none in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl UnknownController {
    fn advice(&self) -> String {
        let nearest = Controllers::names().map(|known| (distance(&self.name, known), known)).min();
        match nearest {
            Some((steps, known)) if steps <= 1 + self.name.len() / 3 => format!("did you mean {known:?}?"),
            _ => format!("choose among none, default, all, {}", Controllers::names().collect::<Vec<_>>().join(", ")),
        }
    }
}

/// How many letters have to be added, dropped or changed to make one word the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, b) in row[1..].iter_mut().zip(&to) {
            let here = (diagonal + usize::from(a != *b)).min(*cell + 1).min(left + 1);
            (diagonal, left) = (*cell, here);
            *cell = here;
        }
        row[0] = i + 1;
    }
    row.last().copied().unwrap_or_default()
}

/// What controllers are made of.
pub(crate) struct Parts {
    /// The cluster they act on.
    pub(crate) registry: Registry,
    /// The certificate of the cluster's CA in PEM; empty when the server speaks plain HTTP.
    pub(crate) ca_pem: String,
    /// Signs the tokens of service accounts.
    pub(crate) tokens: Arc<TokenIssuer>,
}

/// Tells when the running controllers have nothing to do.
#[derive(Clone, Debug)]
pub(crate) struct Progress(mpsc::UnboundedSender<oneshot::Sender<()>>);

impl Progress {
    /// Waits until the controllers have done what the writes so far, and the time, ask for; what failed and is tried
    /// again later does not count. Returns at once when none are running. Cancel-safe.
    pub(crate) async fn settled(&self) {
        let (answer, settled) = oneshot::channel();
        if self.0.send(answer).is_ok() {
            // The answer is dropped with a task that is stopped: that has settled for good.
            let _ = settled.await;
        }
    }
}

/// Starts the controllers as one task of `tasks` that ends with `stop`.
pub(crate) fn start(which: &Controllers, parts: &Parts, tasks: &TaskTracker, stop: &CancellationToken) -> Progress {
    let (progress, asked) = mpsc::unbounded_channel();
    let chosen = ENTRIES.iter().filter(|entry| which.has(entry.name));
    let controllers: Vec<_> = chosen.map(|entry| (entry.make)(parts)).collect();
    if !controllers.is_empty() {
        let runner = Runner::new(parts.registry.clone(), controllers, asked);
        let stop = stop.clone();
        tasks.spawn(async move { stop.run_until_cancelled_owned(runner.run()).await });
    }
    Progress(progress)
}
