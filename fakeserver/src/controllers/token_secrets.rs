//! Secrets that hold the token of a service account. Counterpart: `pkg/controller/serviceaccount/tokens_controller.go`.
//!
//! Somebody creates a Secret of the type and names the account; this controller fills it, and deletes it when the
//! account is gone. Accounts get no Secret of their own any more.

use super::Parts;
use super::agent::Agent;
use super::runner::{Change, Controller, Item, Outcome};
use crate::auth::TokenIssuer;
use crate::store::{Collection, split_key};
use crate::strategies::Peek as _;
use crate::strategies::access::{ensure_path, str_at};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt;
use futures::future::BoxFuture;
use rehearsal_apimachinery::options::{DeleteOptions, Preconditions};
use rehearsal_apimachinery::status::Status;
use rehearsal_apimachinery::{ObjectMeta, ObjectMetaMut};
use serde_json::{Value, json};
use std::sync::Arc;

const SECRETS: &str = "secrets";
const ACCOUNTS: &str = "serviceaccounts";
const TYPE: &str = "kubernetes.io/service-account-token";
const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";

/// Fills and removes token Secrets.
pub(super) struct TokenSecrets {
    agent: Agent,
    tokens: Arc<TokenIssuer>,
    ca_pem: String,
}

impl TokenSecrets {
    pub(super) fn new(parts: &Parts) -> Self {
        let agent = Agent::new(&parts.registry, "tokens-controller");
        Self { agent, tokens: parts.tokens.clone(), ca_pem: parts.ca_pem.clone() }
    }

    async fn sync(&self, namespace: &str, name: &str) -> Result<(), Status> {
        let target = self.agent.target(SECRETS, namespace, name)?;
        let live = self.agent.read(&target);
        let Some(secret) = live.filter(|secret| str_at(secret, "type") == TYPE && !secret.is_deleting()) else {
            return Ok(());
        };
        let account = secret.annotation(ACCOUNT_NAME).unwrap_or_default();
        let account = self.agent.registry.peek().get(ACCOUNTS, namespace, account);
        let of_another = |account: &Value| secret.annotation(ACCOUNT_UID).is_some_and(|uid| uid != account.uid());
        match account.filter(|account| !of_another(account)) {
            Some(account) => self.fill(&secret, &account).await,
            None => {
                let uid = Preconditions { uid: Some(secret.uid().to_owned()), resource_version: None };
                let options = DeleteOptions { preconditions: Some(uid), ..DeleteOptions::default() };
                self.agent.delete(&target, &options).await.map(drop)
            }
        }
    }

    async fn fill(&self, secret: &Value, account: &Value) -> Result<(), Status> {
        let held = |key: &str| secret.pointer(&format!("/data/{key}")).and_then(Value::as_str).unwrap_or_default();
        let token = match held("token") {
            // A machine without randomness has no tokens to give.
            "" => self.tokens.legacy_token(account, secret.name()).map(|token| STANDARD.encode(token.expose())),
            token => Some(token.to_owned()),
        };
        let namespace = match held("namespace") {
            "" => STANDARD.encode(secret.namespace()),
            namespace => namespace.to_owned(),
        };
        let ca = (!self.ca_pem.is_empty()).then(|| STANDARD.encode(&self.ca_pem));
        let data = [("ca.crt", ca), ("namespace", Some(namespace)), ("token", token)];
        let change = |secret: &mut Value| {
            secret.set_annotation(ACCOUNT_UID, account.uid());
            for (key, value) in &data {
                if let Some((data, value)) = ensure_path(secret, &["data"]).zip(value.as_ref()) {
                    data[*key] = json!(value);
                }
            }
        };
        let target = self.agent.target(SECRETS, secret.namespace(), secret.name())?;
        self.agent.patch(&target, secret.uid(), change).await.map(drop)
    }
}

impl Controller for TokenSecrets {
    fn watches(&self, collection: &str) -> bool {
        matches!(collection, SECRETS | ACCOUNTS)
    }

    fn observe(&mut self, change: &Change<'_>, work: &mut Vec<Item>) {
        if change.collection.as_str() == SECRETS {
            work.extend(change.after.map(|_| change.item()));
            return;
        }
        if change.after.is_some() && change.before.is_some() {
            return;
        }
        let (namespace, name) = split_key(change.key);
        let secrets = self.agent.registry.peek().list(SECRETS, namespace);
        let of_account = secrets.iter().filter(|secret| secret.annotation(ACCOUNT_NAME) == Some(name));
        let collection = Collection::new(SECRETS);
        work.extend(of_account.map(|secret| Item::new(&collection, &format!("{namespace}/{}", secret.name()))));
    }

    fn reconcile<'a>(&'a mut self, item: &'a Item, _work: &'a mut Vec<Item>) -> BoxFuture<'a, Result<Outcome, Status>> {
        let (namespace, name) = split_key(&item.key);
        async move { self.sync(namespace, name).await.map(|()| Outcome::Done) }.boxed()
    }
}
