//! Every value ever classified secret, in memory only: what the sweep at the seal looks for. Nothing here is printed,
//! and the bytes are overwritten when the dictionary goes.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::fmt;

use zeroize::Zeroize;

use super::common::is_common;
use super::pseudonym::Pseudonyms;
use super::sweep::stands_alone;

/// Where a secret is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// Nowhere: too short, too common, or public.
    Nowhere,
    /// As a word of its own, because its letters may be part of an innocent longer word.
    Words,
    /// Anywhere.
    Anywhere,
}

/// Shortest value that is looked for.
pub(super) const SHORTEST: usize = 6;

/// More secrets than this, and longer texts, are not searched while a recording runs: each secret costs a search.
const MOST_ECHOED: usize = 2_000;
const LONGEST_ECHO: usize = 64 * 1024;

/// The bytes of a secret: overwritten when dropped, never printed.
#[derive(PartialEq, Eq, Hash)]
struct Secret(Vec<u8>);

impl Borrow<[u8]> for Secret {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// The secrets of a recording.
#[derive(Default)]
pub(super) struct Dictionary {
    secrets: HashMap<Secret, Reach>,
    /// Names of objects and namespaces, which a weak secret must not take down with it.
    identifiers: HashSet<String>,
}

impl fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dictionary({} secrets)", self.secrets.len())
    }
}

impl Dictionary {
    /// Remembers a secret; the widest reach asked for stays.
    pub(super) fn learn(&mut self, secret: &[u8], at_most: Reach) {
        let reach = reach(secret).min(at_most);
        match self.secrets.get_mut(secret) {
            Some(known) => *known = (*known).max(reach),
            None => {
                self.secrets.insert(Secret(secret.to_vec()), reach);
            }
        }
    }

    /// Learns what another one knows.
    pub(super) fn absorb(&mut self, other: &Self) {
        for (Secret(secret), reach) in &other.secrets {
            self.learn(secret, *reach);
        }
    }

    /// Remembers the name of an object.
    pub(super) fn identifier(&mut self, name: &str) {
        if name.len() >= SHORTEST && !self.identifiers.contains(name) {
            self.identifiers.insert(name.to_owned());
        }
    }

    pub(super) fn len(&self) -> usize {
        self.secrets.len()
    }

    /// A text without the secrets known so far, as they stand; `None` if it holds none. For the few short texts that
    /// echo what was just sent; everything else waits for the sweep.
    pub(super) fn replace(&self, text: &str, names: &Pseudonyms) -> Option<String> {
        if self.secrets.len() > MOST_ECHOED || text.len() > LONGEST_ECHO {
            return None;
        }
        let mut found: Vec<&[u8]> = Vec::new();
        for (Secret(secret), reach) in self.secrets.iter().filter(|(_, reach)| **reach > Reach::Nowhere) {
            let hit = memchr::memmem::find(text.as_bytes(), secret);
            let alone =
                |at: usize| *reach == Reach::Anywhere || stands_alone(text.as_bytes(), &(at..at + secret.len()));
            if hit.is_some_and(alone) {
                found.push(secret);
            }
        }
        if found.is_empty() {
            return None;
        }
        found.sort_by_key(|s| usize::MAX - s.len());
        let secrets = found.iter().filter_map(|s| std::str::from_utf8(s).ok());
        Some(secrets.fold(text.to_owned(), |text, secret| text.replace(secret, &names.shaped(secret.as_bytes()))))
    }

    /// What is to be looked for, longest first.
    pub(super) fn wanted(&self) -> Vec<(&[u8], Reach)> {
        let is_identifier = |s: &[u8]| std::str::from_utf8(s).is_ok_and(|s| self.identifiers.contains(s));
        let wanted = |secret: &[u8], reach| match reach {
            Reach::Nowhere => false,
            Reach::Words => !is_identifier(secret),
            Reach::Anywhere => true,
        };
        let all = self.secrets.iter().map(|(secret, reach)| (secret.0.as_slice(), *reach));
        let mut found: Vec<(&[u8], Reach)> = all.filter(|(secret, reach)| wanted(secret, *reach)).collect();
        found.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.0.cmp(b.0)));
        found
    }
}

/// How far a value may be looked for without taking innocent text with it.
fn reach(secret: &[u8]) -> Reach {
    if secret.len() < SHORTEST || is_common(secret) {
        return Reach::Nowhere;
    }
    let plain = |b: &u8| b.is_ascii_lowercase() || matches!(b, b'-' | b'.' | b':');
    let wordlike = secret.iter().all(plain) && secret.len() < 24;
    if secret.len() < 12 && secret.iter().all(u8::is_ascii_digit) {
        // As well a resourceVersion, a port or a time.
        return Reach::Nowhere;
    }
    if wordlike || secret.len() < 8 {
        return Reach::Words;
    }
    Reach::Anywhere
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_innocent_is_looked_for_with_care() {
        assert_eq!(reach(b"short"), Reach::Nowhere);
        assert_eq!(reach(b"kube-system"), Reach::Nowhere);
        assert_eq!(reach(b"Deployment"), Reach::Nowhere);
        assert_eq!(reach(b"mydb-primary"), Reach::Words);
        assert_eq!(reach(b"hunter2"), Reach::Words);
        assert_eq!(reach(b"s3cr3t-value"), Reach::Anywhere);
    }

    #[test]
    fn names_of_objects_outlive_weak_secrets() {
        let mut dictionary = Dictionary::default();
        dictionary.learn(b"mydb-primary", Reach::Anywhere);
        dictionary.learn(b"correct-Horse-9", Reach::Anywhere);
        dictionary.identifier("mydb-primary");
        assert_eq!(dictionary.wanted(), [(&b"correct-Horse-9"[..], Reach::Anywhere)]);
        assert_eq!(format!("{dictionary:?}"), "Dictionary(2 secrets)");
    }
}
