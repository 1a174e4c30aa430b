//! Which files make up the kubeconfig, and how they become one.
//!
//! Counterpart: client-go `clientcmd.ClientConfigLoadingRules`. The first file that defines a name wins with its whole
//! entry; a bad file is reported beside what the others gave.

use super::{ConfigError, Kubeconfig};
use std::path::{Path, PathBuf};

/// Where to look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadingRules {
    /// This file only; it must exist.
    pub explicit: Option<PathBuf>,
    /// These files, the first with precedence; missing ones are skipped.
    pub precedence: Vec<PathBuf>,
    /// A copy to make before loading when the first path does not exist and the second does.
    pub migration: Option<(PathBuf, PathBuf)>,
}

/// What loading gave: a configuration, and what went wrong beside it.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The merged configuration; paths are resolved.
    pub config: Kubeconfig,
    /// Findings; the configuration holds what could be read all the same.
    pub errors: Vec<ConfigError>,
}

impl LoadingRules {
    /// As kubectl looks: `KUBECONFIG`, else `~/.kube/config`.
    #[must_use]
    pub fn from_env() -> Self {
        Self::from_vars(|name| std::env::var(name).ok())
    }

    /// The same, with variables given by a function: `KUBECONFIG`, `HOME`, `USERPROFILE`.
    pub fn from_vars(get: impl Fn(&str) -> Option<String>) -> Self {
        let home = ["HOME", "USERPROFILE"].into_iter().filter_map(&get).find(|h| !h.is_empty());
        if let Some(list) = get("KUBECONFIG").filter(|l| !l.is_empty()) {
            let mut precedence: Vec<PathBuf> = Vec::new();
            for path in std::env::split_paths(&list).filter(|p| !p.as_os_str().is_empty()) {
                if !precedence.contains(&path) {
                    precedence.push(path);
                }
            }
            return Self { precedence, ..Self::default() };
        }
        let Some(home) = home else { return Self::default() };
        let dir = Path::new(&home).join(".kube");
        let file = dir.join("config");
        Self { explicit: None, precedence: vec![file.clone()], migration: Some((file, dir.join(".kubeconfig"))) }
    }

    /// This file only.
    #[must_use]
    pub fn explicit(path: impl Into<PathBuf>) -> Self {
        Self { explicit: Some(path.into()), ..Self::default() }
    }

    /// Reads and merges.
    #[must_use]
    pub fn load(&self) -> Loaded {
        self.migrate();
        let mut loaded = Loaded::default();
        if let Some(path) = &self.explicit {
            loaded.add(path, true);
        } else {
            self.precedence.iter().for_each(|path| loaded.add(path, false));
            if !self.precedence.is_empty() && !self.precedence.iter().any(|p| p.exists()) {
                tracing::warn!(target: "client::config", files = ?self.precedence, "none of the kubeconfig files exists");
            }
        }
        loaded.config.resolve_paths();
        loaded
    }

    /// The file that changes go to: the last of those that exist, else the last named.
    #[must_use]
    pub fn default_file(&self) -> Option<&Path> {
        self.explicit
            .as_deref()
            .or_else(|| self.precedence.iter().rev().find(|p| p.exists()).map(PathBuf::as_path))
            .or_else(|| self.precedence.last().map(PathBuf::as_path))
    }

    fn migrate(&self) {
        let Some((to, from)) = &self.migration else { return };
        if to.exists() || !from.is_file() {
            return;
        }
        if let Err(error) = std::fs::copy(from, to) {
            tracing::warn!(target: "client::config", from = %from.display(), %error, "could not copy the legacy kubeconfig");
        }
    }
}

impl Loaded {
    fn add(&mut self, path: &Path, must_exist: bool) {
        if !must_exist && !path.exists() {
            return;
        }
        match Kubeconfig::read(path) {
            Ok(other) => self.config.merge(other),
            Err(error) => self.errors.push(error),
        }
    }

    /// The findings as one error.
    #[must_use]
    pub fn error(&self) -> Option<ConfigError> {
        ConfigError::gather(self.errors.clone())
    }
}

impl Kubeconfig {
    /// Adds what another file defines and this one does not.
    pub fn merge(&mut self, other: Self) {
        // Same-named entries of later files vanish, as in client-go; saying so costs nothing.
        for name in other.users.keys().filter(|n| self.users.contains_key(*n)) {
            tracing::warn!(target: "client::config", user = %name, "defined in several files, the first one counts");
        }
        for (name, entry) in other.clusters {
            self.clusters.entry(name).or_insert(entry);
        }
        for (name, entry) in other.users {
            self.users.entry(name).or_insert(entry);
        }
        for (name, entry) in other.contexts {
            self.contexts.entry(name).or_insert(entry);
        }
        for (name, value) in other.extra {
            self.extra.entry(name).or_insert(value);
        }
        if self.current_context.is_empty() {
            self.current_context = other.current_context;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir_with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    fn rules(dir: &tempfile::TempDir, names: &[&str]) -> LoadingRules {
        let list = std::env::join_paths(names.iter().map(|n| dir.path().join(n))).unwrap().into_string().unwrap();
        LoadingRules::from_vars(|name| (name == "KUBECONFIG").then(|| format!("{list}::{list}")))
    }

    #[test]
    fn the_first_file_wins_whole_entries_and_scalars() {
        let dir = dir_with(&[
            ("a", "users: [{name: u, user: {username: one}}]\ncontexts: [{name: x, context: {cluster: c, user: u}}]"),
            ("b", "current-context: b\nusers: [{name: u, user: {username: two, password: p}}, {name: v, user: {}}]"),
            ("c", "current-context: c"),
        ]);
        let loaded = rules(&dir, &["a", "missing", "b", "c"]).load();
        assert!(loaded.errors.is_empty());
        assert_eq!(loaded.config.users["u"].username, "one");
        assert!(loaded.config.users["u"].password.is_empty(), "no merging of fields");
        assert!(loaded.config.users.contains_key("v"));
        assert_eq!(loaded.config.current_context, "b");
    }

    #[test]
    fn a_bad_file_is_reported_and_the_others_still_load() {
        let dir = dir_with(&[("bad", "users: 5"), ("good", "current-context: x")]);
        let loaded = rules(&dir, &["bad", "good"]).load();
        assert_eq!(loaded.config.current_context, "x");
        assert_eq!(loaded.errors.len(), 1);
    }

    #[test]
    fn duplicates_and_empties_in_the_list_are_dropped() {
        let rules = LoadingRules::from_vars(|name| (name == "KUBECONFIG").then(|| "/a::/b:/a".into()));
        assert_eq!(rules.precedence, [Path::new("/a"), Path::new("/b")]);
    }

    #[test]
    fn an_explicit_file_must_exist_and_stands_alone() {
        assert_eq!(LoadingRules::explicit("/nonexistent/config").load().errors.len(), 1);
    }

    #[test]
    fn without_the_variable_the_home_directory_is_looked_at_and_migrated() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".kube")).unwrap();
        std::fs::write(home.path().join(".kube/.kubeconfig"), "current-context: old").unwrap();
        let text = home.path().to_str().unwrap().to_owned();
        let rules = LoadingRules::from_vars(|name| (name == "HOME").then(|| text.clone()));
        assert_eq!(rules.load().config.current_context, "old");
        assert!(home.path().join(".kube/config").exists());
    }
}
