//! The rules of ClusterRoles that are the sum of others. Counterpart: `pkg/controller/clusterroleaggregation`.

use super::Parts;
use super::agent::Agent;
use super::runner::{Change, Controller, Item, Outcome};
use crate::auth::{PolicyRule, aggregate};
use crate::strategies::Peek as _;
use futures::FutureExt;
use futures::future::BoxFuture;
use rehearsal_apimachinery::ObjectMeta;
use rehearsal_apimachinery::status::Status;
use serde_json::Value;

const CLUSTER_ROLES: &str = "clusterroles.rbac.authorization.k8s.io";

/// Looks at all ClusterRoles whenever one changes.
pub(super) struct RoleAggregation {
    agent: Agent,
}

impl RoleAggregation {
    pub(super) fn new(parts: &Parts) -> Self {
        let agent = Agent::new(&parts.registry, "clusterrole-aggregation-controller");
        Self { agent: agent.managing_as("clusterrole-aggregation-controller") }
    }

    async fn aggregate_all(&self) -> Result<(), Status> {
        let roles = self.agent.registry.peek().list(CLUSTER_ROLES, "");
        for (name, rules) in aggregate(&roles) {
            let Some(role) = roles.iter().find(|role| role.name() == name) else { continue };
            let target = self.agent.target(CLUSTER_ROLES, "", &name)?;
            let rules = match rules.is_empty() {
                true => Value::Null,
                false => rules.iter().map(PolicyRule::to_value).collect(),
            };
            self.agent.patch(&target, role.uid(), |role| role["rules"] = rules.clone()).await?;
        }
        Ok(())
    }
}

impl Controller for RoleAggregation {
    fn watches(&self, collection: &str) -> bool {
        collection == CLUSTER_ROLES
    }

    fn observe(&mut self, change: &Change<'_>, work: &mut Vec<Item>) {
        // Any role may be part of any other, so there is one item for all of them.
        work.push(Item::new(change.collection, ""));
    }

    fn reconcile<'a>(
        &'a mut self,
        _item: &'a Item,
        _work: &'a mut Vec<Item>,
    ) -> BoxFuture<'a, Result<Outcome, Status>> {
        async move { self.aggregate_all().await.map(|()| Outcome::Done) }.boxed()
    }
}
