//! Discovery that remembers: in memory, and on disk.
//!
//! Counterparts: client-go `discovery/cached/memory` and `discovery/cached/disk`.

use super::{ApiGroup, ApiResourceList, Discovered, Discovery, DiscoveryClient};
use crate::config::Config;
use crate::error::{Error, TransportKind};
use crate::transport::HttpCache;
use crate::{BoxFuture, clock};
use parking_lot::Mutex;
use rehearsal_apimachinery::{GroupResource, GroupVersion, Status};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Remembers until told to forget. Transient failures are asked about again at the next call, stale ones are not.
pub struct MemoryCache {
    source: Arc<dyn Discovery>,
    kept: tokio::sync::Mutex<Option<(Discovered, Instant)>>,
    invalid: AtomicBool,
    /// How long a failure that is not transient is believed.
    believe: Option<Duration>,
}

impl MemoryCache {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(source: Arc<dyn Discovery>) -> Self {
        Self { source, kept: tokio::sync::Mutex::new(None), invalid: AtomicBool::new(true), believe: None }
    }

    /// Asks again about versions that could not be read once this much time has passed; client-go believes such a failure
    /// until it is told to forget.
    #[must_use]
    pub fn retry_failures_after(mut self, time: Duration) -> Self {
        self.believe = Some(time);
        self
    }

    /// The resources of a version that is known. An unknown one is not found, without asking the server.
    ///
    /// # Errors
    /// The failure that is remembered for it.
    pub async fn resources_for(&self, gv: &GroupVersion) -> Result<ApiResourceList, Error> {
        let found = self.discover().await?;
        if let Some(error) = found.failed.get(gv) {
            return Err(error.as_ref().clone());
        }
        let unknown = || Status::not_found(&GroupResource::new("", "groupversions"), &gv.to_string()).into();
        found.resources.get(gv).cloned().ok_or_else(unknown)
    }
}

/// Failures that say nothing about the next call.
fn is_transient(error: &Error) -> bool {
    if let Some(status) = error.status() {
        return status.code >= 500 || error.is_too_many_requests();
    }
    error.transport().is_some_and(|t| matches!(t.kind(), TransportKind::Refused | TransportKind::Reset))
}

impl Discovery for MemoryCache {
    fn discover(&self) -> BoxFuture<'_, Result<Discovered, Error>> {
        Box::pin(async move {
            let mut kept = self.kept.lock().await;
            let invalid = self.invalid.load(Ordering::Acquire);
            if let Some((found, at)) = kept.as_ref()
                && !invalid
                && !found.failed.values().any(|e| is_transient(e))
                && (found.failed.is_empty() || self.believe.is_none_or(|time| clock::now() < *at + time))
            {
                return Ok(found.clone());
            }
            let found = self.source.discover().await?;
            *kept = Some((found.clone(), clock::now()));
            self.invalid.store(false, Ordering::Release);
            Ok(found)
        })
    }

    fn is_fresh(&self) -> bool {
        !self.invalid.load(Ordering::Acquire)
    }

    fn invalidate(&self) {
        self.source.invalidate();
        self.invalid.store(true, Ordering::Release);
    }
}

/// Remembers in files, for a time to live that counts from their modification.
pub struct DiskCache {
    source: Arc<dyn Discovery>,
    dir: PathBuf,
    ttl: Duration,
    state: Mutex<DiskState>,
}

#[derive(Default)]
struct DiskState {
    invalidated: bool,
    /// Whether everything used since the invalidation was learned since then.
    fresh: bool,
    /// Written by this cache since the invalidation.
    written: bool,
}

impl DiskCache {
    /// Keeps files in `dir`, one directory a server.
    #[must_use]
    pub fn new(source: Arc<dyn Discovery>, dir: impl Into<PathBuf>, ttl: Duration) -> Self {
        let state = DiskState { fresh: true, ..DiskState::default() };
        Self { source, dir: dir.into(), ttl, state: Mutex::new(state) }
    }

    /// Asks the server through a cache of whole answers, kept in `http_dir` if there is one.
    /// Counterpart: `disk.NewCachedDiscoveryClientForConfig`.
    ///
    /// # Errors
    /// When the configuration does not make a client.
    pub fn for_config(
        config: &Config,
        dir: impl Into<PathBuf>,
        http_dir: Option<&Path>,
        ttl: Duration,
    ) -> Result<Self, Error> {
        let source = match http_dir {
            Some(dir) => DiscoveryClient::for_config(&HttpCache::new(dir).around(config))?,
            None => DiscoveryClient::for_config(config)?,
        };
        Ok(Self::new(Arc::new(source), dir, ttl))
    }

    /// `<host>` made fit for a file name, as kubectl does it.
    #[must_use]
    pub fn dir_for_host(parent: &Path, host: &str) -> PathBuf {
        let host = host.trim_start_matches("https://").trim_start_matches("http://");
        let safe = |c: char| if c.is_ascii_alphanumeric() || "(/.)".contains(c) { c } else { '_' };
        parent.join(host.chars().map(safe).collect::<String>())
    }

    fn resources_file(&self, gv: &GroupVersion) -> PathBuf {
        self.dir.join(&gv.group).join(&gv.version).join("serverresources.json")
    }

    fn groups_file(&self) -> PathBuf {
        self.dir.join("servergroups.json")
    }

    fn read<T: DeserializeOwned>(&self, file: &Path) -> Option<T> {
        let age = fs::metadata(file).ok()?.modified().ok()?.elapsed().unwrap_or_default();
        if age > self.ttl {
            return None;
        }
        serde_json::from_slice(&fs::read(file).ok()?).ok()
    }

    fn load(&self) -> Option<Discovered> {
        let groups: Vec<ApiGroup> = self.read(&self.groups_file())?;
        let mut resources = BTreeMap::new();
        for gv in groups.iter().flat_map(ApiGroup::group_versions) {
            let list = self.read(&self.resources_file(&gv))?;
            resources.insert(gv, list);
        }
        Some(Discovered { groups, resources, failed: BTreeMap::new() })
    }

    fn save(&self, found: &Discovered) -> io::Result<()> {
        if found.groups.is_empty() || !found.failed.is_empty() {
            return Ok(());
        }
        for (gv, list) in &found.resources {
            if self.is_plain(gv) {
                write(&self.resources_file(gv), list)?;
            }
        }
        write(&self.groups_file(), &found.groups)
    }

    /// A server does not decide where files go.
    fn is_plain(&self, gv: &GroupVersion) -> bool {
        [&gv.group, &gv.version].into_iter().all(|part| !part.contains(['/', '\\']) && part != ".." && part != ".")
    }
}

/// Writes beside and renames, so that readers see all or nothing.
fn write<T: Serialize>(file: &Path, value: &T) -> io::Result<()> {
    write_bytes(file, &serde_json::to_vec(value)?)
}

/// The same with bytes.
pub(crate) fn write_bytes(file: &Path, bytes: &[u8]) -> io::Result<()> {
    /// Tells writers of one process apart.
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let dir = file.parent().unwrap_or(Path::new("."));
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o750);
    builder.create(dir)?;
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let beside = file.with_extension(format!("{}-{count}.tmp", std::process::id()));
    fs::write(&beside, bytes)?;
    #[cfg(unix)]
    fs::set_permissions(&beside, std::os::unix::fs::PermissionsExt::from_mode(0o660))?;
    fs::rename(beside, file)
}

impl Discovery for DiskCache {
    fn discover(&self) -> BoxFuture<'_, Result<Discovered, Error>> {
        Box::pin(async move {
            let usable = {
                let state = self.state.lock();
                !state.invalidated || state.written
            };
            if usable && let Some(found) = self.load() {
                let mut state = self.state.lock();
                state.fresh &= state.written;
                return Ok(found);
            }
            let found = self.source.discover().await?;
            match self.save(&found) {
                Ok(()) => self.state.lock().written = true,
                Err(error) => {
                    tracing::debug!(target: "client::discovery", dir = %self.dir.display(), %error, "discovery not cached");
                }
            }
            Ok(found)
        })
    }

    fn is_fresh(&self) -> bool {
        self.state.lock().fresh
    }

    fn invalidate(&self) {
        self.source.invalidate();
        *self.state.lock() = DiskState { invalidated: true, fresh: true, written: false };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::ApiResource;
    use std::sync::atomic::AtomicUsize;

    struct Server {
        asked: AtomicUsize,
        failing: Option<Error>,
    }

    fn server(failing: Option<Error>) -> Arc<Server> {
        Arc::new(Server { asked: AtomicUsize::new(0), failing })
    }

    impl Discovery for Server {
        fn discover(&self) -> BoxFuture<'_, Result<Discovered, Error>> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let gv = GroupVersion::new("apps", "v1");
            let resource =
                ApiResource { name: "deployments".into(), kind: "Deployment".into(), ..ApiResource::default() };
            let mut found = Discovered {
                groups: vec![ApiGroup {
                    name: "apps".into(),
                    versions: vec!["v1".into()],
                    preferred_version: "v1".into(),
                }],
                resources: [(
                    gv.clone(),
                    ApiResourceList { group_version: "apps/v1".into(), resources: vec![resource] },
                )]
                .into(),
                failed: BTreeMap::new(),
            };
            if let Some(error) = &self.failing {
                found.failed.insert(GroupVersion::new("bad", "v1"), Box::new(error.clone()));
            }
            Box::pin(std::future::ready(Ok(found)))
        }
    }

    fn asked(server: &Server) -> usize {
        server.asked.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn memory_asks_once_until_told_to_forget() {
        let server = server(None);
        let cache = MemoryCache::new(server.clone());
        assert!(!cache.is_fresh());
        cache.discover().await.unwrap();
        cache.discover().await.unwrap();
        assert!(cache.is_fresh() && asked(&server) == 1);
        assert!(cache.resources_for(&GroupVersion::new("", "v9")).await.unwrap_err().is_not_found());
        assert_eq!(cache.resources_for(&GroupVersion::new("apps", "v1")).await.unwrap().resources.len(), 1);
        assert_eq!(asked(&server), 1, "an unknown version is no reason to ask");
        cache.invalidate();
        cache.discover().await.unwrap();
        assert_eq!(asked(&server), 2);
    }

    #[tokio::test]
    async fn memory_asks_again_after_transient_failures_only() {
        let transient =
            server(Some(Status::failure(503, rehearsal_apimachinery::StatusReason::ServiceUnavailable, "x").into()));
        let stale = server(Some(Error::StaleDiscovery(GroupVersion::new("bad", "v1"))));
        for (server, expected) in [(transient, 2), (stale, 1)] {
            let cache = MemoryCache::new(server.clone());
            cache.discover().await.unwrap();
            cache.discover().await.unwrap();
            assert_eq!(asked(&server), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn memory_can_be_told_to_ask_about_stale_versions_again() {
        let server = server(Some(Error::StaleDiscovery(GroupVersion::new("bad", "v1"))));
        let cache = MemoryCache::new(server.clone()).retry_failures_after(Duration::from_secs(10));
        for (wait, expected) in [(0, 1), (9, 1), (1, 2)] {
            tokio::time::advance(Duration::from_secs(wait)).await;
            cache.discover().await.unwrap();
            assert_eq!(asked(&server), expected);
        }
    }

    #[tokio::test]
    async fn files_outlive_the_cache_and_not_their_time() {
        let dir = tempfile::tempdir().unwrap();
        let server = server(None);
        let cache = |ttl| DiskCache::new(server.clone(), dir.path(), Duration::from_secs(ttl));
        cache(600).discover().await.unwrap();
        assert!(dir.path().join("apps/v1/serverresources.json").exists());
        let second = cache(600);
        assert_eq!(second.discover().await.unwrap().groups[0].name, "apps");
        assert!(asked(&server) == 1 && !second.is_fresh());
        second.invalidate();
        second.discover().await.unwrap();
        second.discover().await.unwrap();
        assert!(asked(&server) == 2 && second.is_fresh());
        cache(0).discover().await.unwrap();
        assert_eq!(asked(&server), 3);
    }

    #[test]
    fn hosts_become_directories() {
        assert_eq!(DiskCache::dir_for_host(Path::new("/c"), "https://a.b:6443/x"), Path::new("/c/a.b_6443/x"));
    }
}
