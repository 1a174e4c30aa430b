//! Kinds and resources, mapped to one another.
//!
//! Counterparts: client-go `restmapper.NewDiscoveryRESTMapper`, its shortcut and category expanders, and
//! `DeferredDiscoveryRESTMapper`. Preference: groups in the server's order, the preferred version first in each.

use super::{ApiResource, Discovered, Discovery, MappingError};
use crate::error::Error;
use rehearsal_apimachinery::{GroupKind, GroupResource, GroupVersion, GroupVersionKind, GroupVersionResource};
use std::sync::Arc;
use tokio::sync::Mutex;

/// A kind, its resource and its scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestMapping {
    /// Kind.
    pub kind: GroupVersionKind,
    /// Resource.
    pub resource: GroupVersionResource,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
}

#[derive(Clone, Debug)]
struct Entry {
    gv: GroupVersion,
    resource: ApiResource,
    singular: String,
}

/// Answers from what was discovered once.
#[derive(Clone, Debug, Default)]
pub struct RestMapper {
    /// In order of preference.
    entries: Arc<Vec<Entry>>,
}

impl RestMapper {
    /// Takes everything but subresources.
    #[must_use]
    pub fn new(found: &Discovered) -> Self {
        let mut entries = Vec::new();
        for group in &found.groups {
            let preferred = |gv: &GroupVersion| gv.version == group.preferred_version;
            let (first, rest): (Vec<_>, Vec<_>) = group.group_versions().partition(preferred);
            for gv in first.into_iter().chain(rest) {
                let list = found.resources.get(&gv).map(|l| l.resources.as_slice()).unwrap_or_default();
                entries.extend(list.iter().filter(|r| !r.name.contains('/')).map(|resource| Entry {
                    gv: gv.clone(),
                    singular: if resource.singular_name.is_empty() {
                        resource.kind.to_lowercase()
                    } else {
                        resource.singular_name.clone()
                    },
                    resource: resource.clone(),
                }));
            }
        }
        Self { entries: Arc::new(entries) }
    }

    /// Entries that fit a partial resource, in order of preference. A group that fits none exactly is taken as prefix.
    fn fitting(&self, asked: &GroupVersionResource) -> Vec<&Entry> {
        let name = asked.resource.to_lowercase();
        let named = |e: &&Entry| {
            (e.resource.name == name || e.singular == name)
                && (asked.version.is_empty() || e.gv.version == asked.version)
        };
        let all: Vec<_> = self.entries.iter().filter(named).collect();
        if asked.group.is_empty() && asked.version.is_empty() {
            return all;
        }
        let exact: Vec<_> = all.iter().copied().filter(|e| e.gv.group == asked.group).collect();
        if !exact.is_empty() || asked.group.is_empty() {
            // A version without a group means any group that has it, the core group first.
            return if exact.is_empty() { all } else { exact };
        }
        all.into_iter().filter(|e| e.gv.group.starts_with(&asked.group)).collect()
    }

    fn best<'a>(&self, asked: &str, fitting: &[&'a Entry]) -> Result<&'a Entry, MappingError> {
        let Some(first) = fitting.first() else { return Err(MappingError::NoResourceMatch(asked.to_owned())) };
        let same: Vec<_> = fitting.iter().filter(|e| e.gv == first.gv).collect();
        if same.len() > 1 {
            let matches = same.iter().map(|e| format!("{}, Resource={}", e.gv, e.resource.name)).collect();
            return Err(MappingError::Ambiguous { asked: asked.to_owned(), matches });
        }
        Ok(first)
    }

    /// The whole resource for a part of it: plural or singular name, with or without group and version.
    ///
    /// # Errors
    /// No match, or several in one version.
    pub fn resource_for(&self, asked: &GroupVersionResource) -> Result<GroupVersionResource, MappingError> {
        self.best(&describe(asked), &self.fitting(asked)).map(Entry::gvr)
    }

    /// All resources that fit, in order of preference.
    ///
    /// # Errors
    /// No match.
    pub fn resources_for(&self, asked: &GroupVersionResource) -> Result<Vec<GroupVersionResource>, MappingError> {
        let fitting = self.fitting(asked);
        if fitting.is_empty() {
            return Err(MappingError::NoResourceMatch(describe(asked)));
        }
        Ok(fitting.into_iter().map(Entry::gvr).collect())
    }

    /// The kind of a resource.
    ///
    /// # Errors
    /// As [`RestMapper::resource_for`].
    pub fn kind_for(&self, asked: &GroupVersionResource) -> Result<GroupVersionKind, MappingError> {
        self.best(&describe(asked), &self.fitting(asked)).map(Entry::gvk)
    }

    /// The mapping of a kind, in the first of the given versions that serves it, else in the preferred one. The kind
    /// may be written in lower case, or as its list.
    ///
    /// # Errors
    /// No match, or several in one version.
    pub fn rest_mapping(&self, kind: &GroupKind, versions: &[&str]) -> Result<RestMapping, MappingError> {
        let fits = |e: &&Entry| {
            let known = &e.resource.kind;
            e.gv.group == kind.group
                && (*known == kind.kind
                    || known.to_lowercase() == kind.kind
                    || kind.kind.strip_suffix("List").is_some_and(|k| k == known))
        };
        let all: Vec<_> = self.entries.iter().filter(fits).collect();
        let wanted = versions.iter().find_map(|v| {
            let of_version: Vec<_> = all.iter().copied().filter(|e| e.gv.version == **v).collect();
            (!of_version.is_empty()).then_some(of_version)
        });
        let candidates = match wanted {
            Some(found) => found,
            None if versions.is_empty() => all,
            None => Vec::new(),
        };
        if candidates.is_empty() {
            let versions = versions.iter().map(|v| (*v).to_owned()).collect();
            return Err(MappingError::NoKindMatch { kind: kind.to_string(), versions });
        }
        self.best(&kind.to_string(), &candidates).map(Entry::mapping)
    }

    /// The full name of a short one, such as `deploy`; anything else is given back. A group is taken as prefix.
    /// Counterpart: `shortcutExpander`.
    #[must_use]
    pub fn expand_shortcut(&self, asked: &GroupVersionResource) -> GroupVersionResource {
        let known = |e: &&Entry| e.resource.name == asked.resource || e.singular == asked.resource;
        if asked.resource.is_empty() || self.entries.iter().any(|e| known(&e)) {
            return asked.clone();
        }
        let short: Vec<_> = self
            .entries
            .iter()
            .filter(|e| e.gv.group.starts_with(&asked.group) && e.resource.short_names.contains(&asked.resource))
            .collect();
        let Some(first) = short.first() else { return asked.clone() };
        let mut others =
            short.iter().map(|e| e.gvr().group_resource()).filter(|gr| *gr != first.gvr().group_resource());
        if let Some(other) = others.next() {
            tracing::warn!(target: "client::discovery", short = %asked.resource, taken = %first.gvr().group_resource(), %other, "short name is ambiguous");
        }
        GroupVersionResource::new(&first.gv.group, &asked.version, &first.resource.name)
    }

    /// The resources of a category such as `all`, each once.
    #[must_use]
    pub fn category(&self, name: &str) -> Vec<GroupResource> {
        let mut found = Vec::new();
        for entry in self.entries.iter().filter(|e| e.resource.categories.iter().any(|c| c == name)) {
            let gr = entry.gvr().group_resource();
            if !found.contains(&gr) {
                found.push(gr);
            }
        }
        found
    }
}

fn describe(asked: &GroupVersionResource) -> String {
    format!("{}/{}, Resource={}", asked.group, asked.version, asked.resource)
}

impl Entry {
    fn gvr(&self) -> GroupVersionResource {
        GroupVersionResource::new(&self.gv.group, &self.gv.version, &self.resource.name)
    }

    fn gvk(&self) -> GroupVersionKind {
        self.gv.kind(&self.resource.kind)
    }

    fn mapping(&self) -> RestMapping {
        RestMapping { kind: self.gvk(), resource: self.gvr(), namespaced: self.resource.namespaced }
    }
}

/// Discovers at the first question, and once more when something is not found and the cache is not fresh.
pub struct DeferredRestMapper {
    source: Arc<dyn Discovery>,
    mapper: Mutex<Option<RestMapper>>,
}

impl DeferredRestMapper {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(source: Arc<dyn Discovery>) -> Self {
        Self { source, mapper: Mutex::new(None) }
    }

    /// The current mapper.
    ///
    /// # Errors
    /// When nothing can be discovered.
    pub async fn mapper(&self) -> Result<RestMapper, Error> {
        let mut kept = self.mapper.lock().await;
        if let Some(mapper) = kept.as_ref() {
            return Ok(mapper.clone());
        }
        let mapper = RestMapper::new(&self.source.discover().await?);
        *kept = Some(mapper.clone());
        Ok(mapper)
    }

    /// Forgets everything.
    pub async fn reset(&self) {
        self.source.invalidate();
        *self.mapper.lock().await = None;
    }

    async fn ask<T>(&self, question: impl Fn(&RestMapper) -> Result<T, MappingError>) -> Result<T, Error> {
        match question(&self.mapper().await?) {
            Err(error) if error.is_no_match() && !self.source.is_fresh() => {
                self.reset().await;
                Ok(question(&self.mapper().await?)?)
            }
            answer => Ok(answer?),
        }
    }

    /// As [`RestMapper::rest_mapping`].
    ///
    /// # Errors
    /// As there, and when nothing can be discovered.
    pub async fn rest_mapping(&self, kind: &GroupKind, versions: &[&str]) -> Result<RestMapping, Error> {
        self.ask(|mapper| mapper.rest_mapping(kind, versions)).await
    }

    /// As [`RestMapper::resource_for`], short names included.
    ///
    /// # Errors
    /// As there, and when nothing can be discovered.
    pub async fn resource_for(&self, asked: &GroupVersionResource) -> Result<GroupVersionResource, Error> {
        self.ask(|mapper| mapper.resource_for(&mapper.expand_shortcut(asked))).await
    }

    /// As [`RestMapper::kind_for`], short names included.
    ///
    /// # Errors
    /// As there, and when nothing can be discovered.
    pub async fn kind_for(&self, asked: &GroupVersionResource) -> Result<GroupVersionKind, Error> {
        self.ask(|mapper| mapper.kind_for(&mapper.expand_shortcut(asked))).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BoxFuture;
    use crate::discovery::{ApiGroup, ApiResourceList, MemoryCache};
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn resource(name: &str, kind: &str, short: &[&str], categories: &[&str]) -> ApiResource {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        ApiResource {
            name: name.into(),
            kind: kind.into(),
            namespaced: true,
            short_names: own(short),
            categories: own(categories),
            ..ApiResource::default()
        }
    }

    type Versioned = (&'static str, Vec<ApiResource>);

    fn found() -> Discovered {
        let mut found = Discovered::default();
        let groups: [(&str, &str, &[Versioned]); 4] = [
            (
                "",
                "v1",
                &[(
                    "v1",
                    vec![
                        resource("pods", "Pod", &["po"], &["all"]),
                        resource("pods/log", "Pod", &[], &[]),
                        resource("events", "Event", &["ev"], &[]),
                    ],
                )],
            ),
            (
                "apps",
                "v1",
                &[
                    (
                        "v1beta1",
                        vec![
                            resource("deployments", "Deployment", &["deploy"], &["all"]),
                            resource("old", "Old", &[], &[]),
                        ],
                    ),
                    ("v1", vec![resource("deployments", "Deployment", &["deploy"], &["all"])]),
                ],
            ),
            ("events.k8s.io", "v1", &[("v1", vec![resource("events", "Event", &["ev"], &[])])]),
            ("twins.io", "v1", &[("v1", vec![resource("as", "Twin", &[], &[]), resource("bs", "Twin", &[], &[])])]),
        ];
        for (name, preferred, versions) in groups {
            found.groups.push(ApiGroup {
                name: name.into(),
                versions: versions.iter().map(|(v, _)| (*v).to_owned()).collect(),
                preferred_version: preferred.into(),
            });
            for (version, resources) in versions {
                let list = ApiResourceList { resources: resources.clone(), ..ApiResourceList::default() };
                found.resources.insert(GroupVersion::new(name, *version), list);
            }
        }
        found
    }

    fn gvr(group: &str, version: &str, resource: &str) -> GroupVersionResource {
        GroupVersionResource::new(group, version, resource)
    }

    #[test]
    fn partial_resources_find_the_preferred_version() {
        let mapper = RestMapper::new(&found());
        assert_eq!(mapper.resource_for(&gvr("", "", "deployment")).unwrap(), gvr("apps", "v1", "deployments"));
        assert_eq!(mapper.resource_for(&gvr("apps", "v1beta1", "deployments")).unwrap().version, "v1beta1");
        assert_eq!(mapper.resource_for(&gvr("ap", "", "deployments")).unwrap().group, "apps", "a group as prefix");
        assert_eq!(mapper.resource_for(&gvr("", "", "events")).unwrap().group, "", "core first");
        assert_eq!(mapper.resource_for(&gvr("events.k8s.io", "", "events")).unwrap().group, "events.k8s.io");
        assert_eq!(mapper.resource_for(&gvr("", "", "old")).unwrap().version, "v1beta1");
        assert!(mapper.resource_for(&gvr("", "", "nothing")).unwrap_err().is_no_match());
        assert_eq!(mapper.kind_for(&gvr("", "", "Pods")).unwrap().kind, "Pod");
        assert_eq!(mapper.resources_for(&gvr("", "", "events")).unwrap().len(), 2);
    }

    #[test]
    fn kinds_may_be_lower_case_or_lists() {
        let mapper = RestMapper::new(&found());
        for kind in ["Deployment", "deployment", "DeploymentList"] {
            let mapping = mapper.rest_mapping(&GroupKind::new("apps", kind), &[]).unwrap();
            assert_eq!((mapping.resource, mapping.namespaced), (gvr("apps", "v1", "deployments"), true));
        }
        let old = mapper.rest_mapping(&GroupKind::new("apps", "Deployment"), &["v9", "v1beta1"]).unwrap();
        assert_eq!(old.kind.version, "v1beta1");
        let none = mapper.rest_mapping(&GroupKind::new("apps", "Deployment"), &["v9"]).unwrap_err();
        assert_eq!(none.to_string(), r#"no matches for kind "Deployment.apps" in version "v9""#);
        let twins = mapper.rest_mapping(&GroupKind::new("twins.io", "Twin"), &[]).unwrap_err();
        assert!(matches!(twins, MappingError::Ambiguous { .. }));
    }

    #[test]
    fn short_names_and_categories_expand() {
        let mapper = RestMapper::new(&found());
        assert_eq!(mapper.expand_shortcut(&gvr("", "", "deploy")), gvr("apps", "", "deployments"));
        assert_eq!(mapper.expand_shortcut(&gvr("events", "", "ev")), gvr("events.k8s.io", "", "events"));
        assert_eq!(mapper.expand_shortcut(&gvr("", "", "unknown")).resource, "unknown");
        let all: Vec<_> = mapper.category("all").iter().map(ToString::to_string).collect();
        assert_eq!(all, ["pods", "deployments.apps"]);
    }

    #[test]
    fn one_version_is_preferred_for_each_resource() {
        let list: Vec<_> = found().preferred().iter().map(|(gv, r)| format!("{gv}/{}", r.name)).collect();
        assert_eq!(
            list,
            [
                "v1/events",
                "v1/pods",
                "apps/v1/deployments",
                "apps/v1beta1/old",
                "events.k8s.io/v1/events",
                "twins.io/v1/as",
                "twins.io/v1/bs"
            ]
        );
    }

    struct Growing(AtomicUsize);

    impl Discovery for Growing {
        fn discover(&self) -> BoxFuture<'_, Result<Discovered, Error>> {
            let first = self.0.fetch_add(1, Ordering::Relaxed) == 0;
            Box::pin(std::future::ready(Ok(if first { Discovered::default() } else { found() })))
        }
        fn is_fresh(&self) -> bool {
            self.0.load(Ordering::Relaxed) > 1
        }
    }

    #[tokio::test]
    async fn a_miss_asks_again_once_unless_everything_is_fresh() {
        let growing = Arc::new(Growing(AtomicUsize::new(0)));
        let deferred = DeferredRestMapper::new(growing.clone());
        assert_eq!(deferred.kind_for(&gvr("", "", "po")).await.unwrap().kind, "Pod");
        assert!(deferred.kind_for(&gvr("", "", "zz")).await.is_err());
        assert_eq!(growing.0.load(Ordering::Relaxed), 2);
        let cached = DeferredRestMapper::new(Arc::new(MemoryCache::new(Arc::new(Growing(AtomicUsize::new(0))))));
        assert!(cached.kind_for(&gvr("", "", "po")).await.is_err(), "fetched just now: fresh");
    }
}
