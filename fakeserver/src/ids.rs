//! Injected chance: uids, name suffixes and allocation dice, all from one seed.

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::sync::Arc;

/// Alphabet of generated names (apimachinery `util/rand`): no vowels, no look-alikes.
const SUFFIX_ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// Length of a generated suffix (apiserver `storage/names`).
const SUFFIX_LENGTH: usize = 5;
/// Longest base of a generated name, in bytes (apiserver `storage/names`).
const MAX_BASE: usize = 58;

/// A seeded source of uids and random names, cheap to clone and shared by all handles of one cluster.
#[derive(Clone, Debug)]
pub struct Ids(Arc<Mutex<SmallRng>>);

impl Ids {
    /// A source that always yields the same sequence for the same seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(SmallRng::seed_from_u64(seed))))
    }

    /// A version 4 UUID.
    #[must_use]
    pub fn uid(&self) -> String {
        let mut b = [0u8; 16];
        self.0.lock().fill(&mut b);
        b[6] = b[6] & 0x0f | 0x40;
        b[8] = b[8] & 0x3f | 0x80;
        let mut uid = String::with_capacity(36);
        for (i, byte) in b.into_iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                uid.push('-');
            }
            for digit in [byte >> 4, byte & 0x0f] {
                uid.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
            }
        }
        uid
    }

    /// A random suffix of five characters.
    #[must_use]
    pub fn suffix(&self) -> String {
        let mut rng = self.0.lock();
        (0..SUFFIX_LENGTH).map(|_| char::from(SUFFIX_ALPHABET[rng.random_range(0..SUFFIX_ALPHABET.len())])).collect()
    }

    /// A name from a `generateName` base: the base cut to 58 bytes plus five random characters.
    #[must_use]
    pub fn name_from(&self, base: &str) -> String {
        let mut end = base.len().min(MAX_BASE);
        while !base.is_char_boundary(end) {
            end -= 1;
        }
        format!("{}{}", &base[..end], self.suffix())
    }

    /// A number below `limit` (0 for a limit of 0).
    #[must_use]
    pub fn below(&self, limit: u64) -> u64 {
        if limit == 0 { 0 } else { self.0.lock().random_range(0..limit) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_yields_one_sequence() {
        let (a, b) = (Ids::seeded(7), Ids::seeded(7));
        assert_eq!(a.uid(), b.uid());
        assert_eq!(a.name_from("web-"), b.name_from("web-"));
        assert_ne!(a.uid(), b.name_from("x"));
    }

    #[test]
    fn uids_are_version_four() {
        let uid = Ids::seeded(1).uid();
        assert_eq!(uid.len(), 36);
        assert_eq!(&uid[14..15], "4");
        assert!("89ab".contains(&uid[19..20]));
    }

    #[test]
    fn long_bases_are_cut_to_fit_a_label() {
        assert_eq!(Ids::seeded(1).name_from(&"é".repeat(40)).len(), 58 + 5);
    }
}
