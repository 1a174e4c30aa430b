//! Get, and the reading of resource versions that get, list and watch share.

use super::{Object, Registry, Target};
use crate::store::{AtError, Revision, Snapshot};
use rehearsal_apimachinery::status::{Status, StatusReason};
use std::time::Duration;

/// How long a read waits for a revision that the store has not reached (apiserver `blockTimeout`).
const FRESHNESS_TIMEOUT: Duration = Duration::from_secs(3);

impl Registry {
    /// Reads one object, at least as fresh as `resource_version` where one is given.
    ///
    /// # Errors
    /// 404; a plain 500 for an unreadable version; 504 for one in the future.
    pub async fn get(&self, target: &Target, resource_version: &str) -> Result<Object, Status> {
        let snapshot = match parse_revision(resource_version).map_err(Status::bare500)? {
            None | Some(0) => self.snapshot(),
            Some(revision) => self.at_least(revision).await?,
        };
        let stored =
            snapshot.get(target.info.collection().as_str(), &target.key()).ok_or_else(|| target.not_found())?;
        Ok(Object::Stored(stored))
    }

    /// A snapshot not older than a revision.
    pub(crate) async fn at_least(&self, revision: Revision) -> Result<Snapshot, Status> {
        self.storage.wait_for(revision, FRESHNESS_TIMEOUT).await.map_err(|e| match e {
            AtError::Future { current } => too_large(revision, current),
            AtError::Compacted { .. } => too_old(),
        })
    }
}

/// Reads a `resourceVersion` parameter; `None` when it is empty.
///
/// # Errors
/// The text that the real server puts behind its various prefixes.
pub(crate) fn parse_revision(text: &str) -> Result<Option<Revision>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse::<u64>().map(Some).map_err(|e| {
        let why =
            if *e.kind() == std::num::IntErrorKind::PosOverflow { "value out of range" } else { "invalid syntax" };
        format!("resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: {why}")
    })
}

/// 504 for a revision that the store did not reach in time.
pub(crate) fn too_large(asked: Revision, current: Revision) -> Status {
    Status::timeout(format!("Too large resource version: {asked}, current: {current}"))
        .cause("ResourceVersionTooLarge", "Too large resource version", "")
        .retry_after(1)
}

/// 410 for a revision whose history is gone.
pub(crate) fn too_old() -> Status {
    Status::failure(410, StatusReason::Expired, "The resourceVersion for the provided list is too old.")
}
