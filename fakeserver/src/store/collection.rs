//! Names of collections and keys within them. Counterpart: the etcd key `/registry/<resource>/<namespace>/<name>`.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// All objects of one resource: `pods`, `deployments.apps` (plural, then `.group` outside the core group).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Collection(Arc<str>);

impl Collection {
    /// Names a collection.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(Arc::from(name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Collection {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Collection {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Collection {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for Collection {
    fn from(name: String) -> Self {
        Self(Arc::from(name))
    }
}

impl fmt::Display for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The key of an object: `<namespace>/<name>`, or `<name>` when the namespace is empty.
#[must_use]
pub fn object_key(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}

/// Takes a key apart into namespace (`""` for cluster-scoped objects) and name.
#[must_use]
pub fn split_key(key: &str) -> (&str, &str) {
    key.split_once('/').unwrap_or(("", key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_put_together_and_taken_apart() {
        assert_eq!(object_key("a", "x"), "a/x");
        assert_eq!(object_key("", "x"), "x");
        assert_eq!(split_key("a/x"), ("a", "x"));
        assert_eq!(split_key("x"), ("", "x"));
    }
}
