//! Writing kubeconfigs back: a file or the files of loading rules, unknown members included, under a lock file.
//!
//! Counterpart: client-go `clientcmd.ModifyConfig` and `WriteToFile`.

use super::{ConfigError, Kubeconfig, LoadingRules};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Removes the lock when done.
struct Lock(PathBuf);

impl Lock {
    fn take(file: &Path) -> Result<Self, ConfigError> {
        let mut name = file.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map(|_| Self(path.clone()))
            .map_err(|e| ConfigError::file(&path, &e))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Kubeconfig {
    /// Writes the file, readable by its owner only; directories are made as needed.
    ///
    /// # Errors
    /// A lock that another process holds, or what the file system says.
    pub fn write(&self, path: &Path) -> Result<(), ConfigError> {
        let failed = |e: std::io::Error| ConfigError::file(path, &e);
        let dir = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(dir).map_err(failed)?;
        let _lock = Lock::take(path)?;
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(failed)?;
        file.write_all(self.to_yaml().as_bytes()).map_err(failed)
    }

    /// Reads a file, lets it be changed, and writes it back. Paths stay as written; a missing file begins empty.
    ///
    /// # Errors
    /// What reading or writing says.
    pub fn modify(path: &Path, change: impl FnOnce(&mut Self)) -> Result<(), ConfigError> {
        let mut config = if path.exists() { Self::read(path)? } else { Self::default() };
        change(&mut config);
        config.write(path)
    }
}

/// Moves what changed between two versions of a list into the files it belongs to.
fn spread<T: Clone + PartialEq>(
    old: &BTreeMap<String, T>,
    new: &BTreeMap<String, T>,
    file_of: impl Fn(&T) -> Option<PathBuf>,
    mut put: impl FnMut(Option<PathBuf>, &str, Option<&T>),
) {
    for (name, entry) in new.iter().filter(|(name, entry)| old.get(*name) != Some(entry)) {
        put(file_of(entry), name, Some(entry));
    }
    for (name, entry) in old.iter().filter(|(name, _)| !new.contains_key(*name)) {
        put(file_of(entry), name, None);
    }
}

fn set<T: Clone>(map: &mut BTreeMap<String, T>, name: &str, entry: Option<&T>) {
    match entry {
        Some(entry) => drop(map.insert(name.to_owned(), entry.clone())),
        None => drop(map.remove(name)),
    }
}

impl LoadingRules {
    /// Changes the merged kubeconfig, and writes each changed entry to the file it came from; new ones and the current
    /// context go to [`LoadingRules::default_file`]. Paths stay as written. Counterpart: `clientcmd.ModifyConfig`.
    ///
    /// # Errors
    /// A file that cannot be read or written, or no file to write to.
    pub fn modify(&self, change: impl FnOnce(&mut Kubeconfig)) -> Result<(), ConfigError> {
        let paths: Vec<PathBuf> =
            self.explicit.iter().chain(&self.precedence).filter(|p| p.exists()).cloned().collect();
        let mut files = BTreeMap::new();
        let mut old = Kubeconfig::default();
        for path in paths {
            let config = Kubeconfig::read(&path)?;
            old.merge(config.clone());
            files.insert(path, config);
        }
        let mut new = old.clone();
        change(&mut new);
        let default = self.default_file().map(Path::to_owned);
        let default = default.ok_or_else(|| ConfigError::Invalid("there is no kubeconfig to write to".into()))?;
        let mut changed = BTreeMap::new();
        let mut at = |file: Option<PathBuf>, edit: &dyn Fn(&mut Kubeconfig)| {
            let path = file.unwrap_or_else(|| default.clone());
            let known = files.get(&path).cloned().unwrap_or_default();
            edit(changed.entry(path).or_insert(known));
        };
        spread(
            &old.clusters,
            &new.clusters,
            |e| e.origin.file.clone(),
            |f, n, e| at(f, &|c| set(&mut c.clusters, n, e)),
        );
        spread(&old.users, &new.users, |e| e.origin.file.clone(), |f, n, e| at(f, &|c| set(&mut c.users, n, e)));
        spread(
            &old.contexts,
            &new.contexts,
            |e| e.origin.file.clone(),
            |f, n, e| at(f, &|c| set(&mut c.contexts, n, e)),
        );
        if old.current_context != new.current_context {
            // The first file that sets it counts, so that is where it must change.
            let holder = self.precedence.iter().find(|p| files.get(*p).is_some_and(|c| !c.current_context.is_empty()));
            at(holder.cloned(), &|c| c.current_context.clone_from(&new.current_context));
        }
        changed.iter().try_for_each(|(path, config)| config.write(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_go_to_the_file_of_their_entry_and_new_ones_to_the_default() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("a"), "current-context: x\nusers: [{name: u, user: {username: one, odd: 1}}]\n").unwrap();
        std::fs::write(path("b"), "users: [{name: v, user: {tokenFile: rel}}]\n").unwrap();
        let rules = LoadingRules { precedence: vec![path("a"), path("b")], ..LoadingRules::default() };
        rules
            .modify(|config| {
                config.current_context = "y".into();
                config.users.get_mut("u").unwrap().username = "two".into();
                config.users.insert("w".into(), super::super::AuthInfo::default());
            })
            .unwrap();
        let (a, b) = (Kubeconfig::read(&path("a")).unwrap(), Kubeconfig::read(&path("b")).unwrap());
        assert_eq!((a.current_context.as_str(), a.users["u"].username.as_str()), ("y", "two"));
        assert_eq!(a.users["u"].extra["odd"], 1);
        assert!(!a.users.contains_key("w") && b.users.contains_key("w"));
        assert_eq!(b.users["v"].token_file, "rel", "paths stay as written");
        rules.modify(|config| drop(config.users.remove("v"))).unwrap();
        assert!(!Kubeconfig::read(&path("b")).unwrap().users.contains_key("v"));
    }

    #[test]
    fn changing_one_entry_keeps_the_others_and_the_unknown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/config");
        Kubeconfig::modify(&path, |c| c.current_context = "a".into()).unwrap();
        let text = std::fs::read_to_string(&path).unwrap() + "future: {x: 1}\n";
        std::fs::write(&path, text).unwrap();
        Kubeconfig::modify(&path, |c| c.current_context = "b".into()).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("current-context: b") && text.contains("future:"), "{text}");
        assert!(!dir.path().join("sub/config.lock").exists());
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_held_lock_is_respected() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        std::fs::write(dir.path().join("config.lock"), "").unwrap();
        assert!(Kubeconfig::default().write(&path).is_err());
    }
}
