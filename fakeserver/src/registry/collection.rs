//! List and deletecollection: selectors, paging, consistent revisions.
//!
//! Counterpart: `Store.ListPredicate`, `cacher.GetList` and `Store.DeleteCollection`. Which snapshot a list reads from
//! follows the table in section "resourceVersion" of the API concepts: unset and `0` read the present, a limit or
//! `Exact` pins a revision, a continue token carries its own.

use super::read::{parse_revision, too_large, too_old};
use super::{Deleted, Registry, Target, Write};
use crate::store::{AtError, Collection, ContinueToken, Revision, Snapshot, StoredObject, split_key};
use rehearsal_apimachinery::options::{DeleteOptions, ListOptions};
use rehearsal_apimachinery::selector::{FieldSelector, LabelSelector};
use rehearsal_apimachinery::status::{Status, StatusMeta};
use std::sync::Arc;

/// What of a collection is wanted.
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    /// Label selector.
    pub labels: LabelSelector,
    /// Field selector.
    pub fields: FieldSelector,
    /// Paging and resource versions.
    pub options: ListOptions,
}

impl ListQuery {
    /// Whether any object may be left out.
    #[must_use]
    pub fn selects(&self) -> bool {
        !self.labels.is_everything() || !self.fields.is_everything()
    }

    /// Whether an object is wanted.
    #[must_use]
    pub fn matches(&self, key: &str, object: &StoredObject) -> bool {
        self.labels.matches(|k| object.label(k)) && (self.fields.is_everything() || self.matches_fields(key, object))
    }

    fn matches_fields(&self, key: &str, object: &StoredObject) -> bool {
        let (namespace, name) = split_key(key);
        self.fields.matches(|field| match field {
            "metadata.name" => Some(name),
            "metadata.namespace" => Some(namespace),
            other => object.field(other),
        })
    }
}

/// A page of a collection.
#[derive(Debug)]
pub struct ListResult {
    /// The objects with their keys, in key order.
    pub items: Vec<Arc<StoredObject>>,
    /// `metadata.resourceVersion`.
    pub revision: Revision,
    /// `metadata.continue`, empty on the last page.
    pub continue_token: String,
    /// `metadata.remainingItemCount`.
    pub remaining: Option<usize>,
}

struct Page {
    snapshot: Snapshot,
    revision: Revision,
    start: String,
    limit: usize,
}

impl Registry {
    /// Reads a page of a collection.
    ///
    /// # Errors
    /// 400 for unreadable versions and tokens, 410 for expired ones, 504 for versions in the future.
    pub async fn list(&self, target: &Target, query: &ListQuery) -> Result<ListResult, Status> {
        let prefix = prefix(target);
        let collection = target.info.collection();
        let page = self.page(&query.options, &collection, &prefix).await?;
        let mut items = Vec::new();
        let mut last = "";
        let mut more = false;
        for (key, object) in page.snapshot.range(collection.as_str(), &prefix, &page.start) {
            if !query.matches(key, object) {
                continue;
            }
            if items.len() == page.limit {
                more = true;
                break;
            }
            items.push(object.clone());
            last = key;
        }
        let continue_token = if more { next_token(&page, &prefix, last) } else { String::new() };
        let remaining = (more && !query.selects()).then(|| {
            let next = format!("{last}\0");
            page.snapshot.range(collection.as_str(), &prefix, &next).count()
        });
        Ok(ListResult { items, revision: page.revision, continue_token, remaining })
    }

    async fn page(&self, options: &ListOptions, collection: &Collection, prefix: &str) -> Result<Page, Status> {
        let limit = usize::try_from(options.limit).ok().filter(|n| *n > 0).unwrap_or(usize::MAX);
        if !options.continue_token.is_empty() {
            return self.continued(options, collection, prefix, limit);
        }
        let asked = parse_revision(&options.resource_version)
            .map_err(|why| Status::bad_request(format!("invalid resource version: {why}")))?;
        let present = |snapshot: Snapshot, limit| {
            let revision = snapshot.revision();
            Page { snapshot, revision, start: String::new(), limit }
        };
        match (asked, options.resource_version_match.as_str()) {
            (None, _) => Ok(present(self.snapshot(), limit)),
            (Some(0), _) => Ok(present(self.snapshot(), usize::MAX)),
            (Some(n), "Exact") => self.exactly(collection, n).map(|s| present(s, limit)),
            (Some(n), "") if limit != usize::MAX => self.exactly(collection, n).map(|s| present(s, limit)),
            (Some(n), _) => self.at_least(n).await.map(|s| present(s, limit)),
        }
    }

    fn exactly(&self, collection: &Collection, revision: Revision) -> Result<Snapshot, Status> {
        self.storage.collection_at(collection, revision).map_err(|e| match e {
            AtError::Compacted { .. } => too_old(),
            AtError::Future { current } => too_large(revision, current),
        })
    }

    fn continued(
        &self,
        options: &ListOptions,
        collection: &Collection,
        prefix: &str,
        limit: usize,
    ) -> Result<Page, Status> {
        if !options.resource_version.is_empty() && options.resource_version != "0" {
            return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
        }
        let token = ContinueToken::decode(&options.continue_token).map_err(|e| Status::bad_request(e.to_string()))?;
        let begin = format!("{prefix}{}", token.start);
        let Some(wanted) = token.revision() else {
            let snapshot = self.snapshot();
            return Ok(Page { revision: snapshot.revision(), snapshot, start: begin, limit });
        };
        match self.storage.collection_at(collection, wanted) {
            Ok(snapshot) => Ok(Page { snapshot, revision: wanted, start: begin, limit }),
            Err(AtError::Future { current }) => Err(too_large(wanted, current)),
            Err(AtError::Compacted { .. }) => Err(expired_token(token)),
        }
    }

    /// Deletes what a list finds and returns the list.
    ///
    /// # Errors
    /// Those of [`list`](Self::list), and the first refusal of a delete other than 404.
    pub async fn delete_collection(
        &self,
        target: &Target,
        query: &ListQuery,
        options: &DeleteOptions,
        write: &mut Write<'_>,
    ) -> Result<ListResult, Status> {
        let found = self.list(target, query).await?;
        for object in &found.items {
            let value = self.decode(target, object);
            let (namespace, name) = {
                use rehearsal_apimachinery::ObjectMeta as _;
                (value.namespace().to_owned(), value.name().to_owned())
            };
            let one = Target { namespace, name, ..target.clone() };
            match self.delete(&one, options, write).await {
                Ok(Deleted::Gone(_) | Deleted::Pending(_)) => {}
                Err(status) if status.code == 404 => {}
                Err(status) => return Err(status),
            }
        }
        Ok(found)
    }
}

/// Keys of a collection within a namespace start so.
pub(crate) fn prefix(target: &Target) -> String {
    if target.namespace.is_empty() || !target.info.namespaced {
        String::new()
    } else {
        format!("{}/", target.namespace)
    }
}

fn next_token(page: &Page, prefix: &str, last: &str) -> String {
    let relative = last.strip_prefix(prefix).unwrap_or(last);
    ContinueToken::after(page.revision, relative).encode()
}

/// 410 with a token for the rest of the list at the present revision.
fn expired_token(token: ContinueToken) -> Status {
    let token = token.inconsistent().encode();
    let text = "The provided continue parameter is too old to display a consistent list result. You can start a new \
                list without the continue parameter, or use the continue token in this response to retrieve the \
                remainder of the results. Continuing with the provided token results in an inconsistent list - objects \
                that were created, modified, or deleted between the time the first chunk was returned and now may show \
                up in the list.";
    Status { metadata: StatusMeta { continue_token: token, ..StatusMeta::default() }, ..Status::expired(text) }
}
