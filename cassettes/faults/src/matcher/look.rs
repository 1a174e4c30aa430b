//! A first look at the texts of a request that costs a few comparisons of numbers, so that a hundred rules about other
//! objects are passed over without reading a name. It only ever says no where the longer look says no too.

use crate::facts::RequestFacts;
use crate::matcher::When;

/// What a first look knows of a text: its length, up to eight bytes of either end, and a print of the whole.
#[derive(Debug, Clone, Copy)]
struct Ends {
    print: u64,
    head: u64,
    tail: u64,
    length: usize,
}

impl Ends {
    fn new(text: &str) -> Self {
        let bytes = text.as_bytes();
        Self { print: print(bytes), head: head(bytes), tail: tail(bytes), length: bytes.len() }
    }
}

/// The first eight bytes, the very first lowest; shorter texts are filled with zeros.
fn head(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// The last eight bytes, the very last lowest.
fn tail(bytes: &[u8]) -> u64 {
    let last = bytes.len().saturating_sub(8);
    bytes.iter().skip(last).fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Ones where the first `length` bytes of a word are, at most eight of them.
fn mask(length: usize) -> u64 {
    1_u64.checked_shl(8 * length as u32).map_or(u64::MAX, |bit| bit - 1)
}

/// Equal texts have equal prints, different ones nearly always different ones. Never 0.
fn print(bytes: &[u8]) -> u64 {
    let words = bytes.chunks(8).map(head);
    words.fold(bytes.len() as u64, |print, word| (print.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1
}

/// What a condition lets through at first sight.
#[derive(Debug, Clone, Copy, Default)]
struct Hint {
    /// 0 for a pattern, which more than one text matches.
    print: u64,
    head: u64,
    head_mask: u64,
    tail: u64,
    tail_mask: u64,
    least: usize,
}

impl Hint {
    /// Of several patterns any may hold, so only a single one says something.
    fn new(condition: &[String]) -> Option<Self> {
        let [pattern] = condition else { return None };
        let (start, end) = match (pattern.find(['*', '?']), pattern.rfind(['*', '?'])) {
            (Some(first), Some(last)) => (&pattern.as_bytes()[..first], &pattern.as_bytes()[last + 1..]),
            _ => return Some(Self { print: print(pattern.as_bytes()), ..Self::default() }),
        };
        Some(Self {
            print: 0,
            head: head(start),
            head_mask: mask(start.len()),
            tail: tail(end),
            tail_mask: mask(end.len()),
            least: start.len() + end.len(),
        })
    }

    /// All at once instead of one after the other: what is compared is at hand, and a branch would cost more.
    fn admits(&self, ends: &Ends) -> bool {
        (self.print == 0 || self.print == ends.print)
            & (ends.head & self.head_mask == self.head)
            & (ends.tail & self.tail_mask == self.tail)
            & (ends.length >= self.least)
    }
}

/// The texts that are looked at: what tells the rules of a plan apart most often comes first.
const TEXTS: usize = 9;

fn texts<'a>(facts: &RequestFacts<'a>) -> [&'a str; TEXTS] {
    let RequestFacts { name, namespace, user_agent, lane, path, subresource, group, version, method, .. } = *facts;
    [name, namespace, user_agent, lane, path, subresource, group, version, method]
}

/// The conditions on them. Lanes and the like are no globs; a star in one only costs the longer look.
fn conditions(when: &When) -> [&[String]; TEXTS] {
    let When { name, namespace, user_agent, lane, path, subresource, group, version, method, .. } = when;
    [name, namespace, user_agent, lane, path, subresource, group, version, method]
}

/// What a request looks like at first sight.
#[derive(Debug)]
pub(crate) struct Sight([Ends; TEXTS]);

impl Sight {
    pub(crate) fn new(facts: &RequestFacts<'_>) -> Self {
        Self(texts(facts).map(Ends::new))
    }
}

/// What the conditions of each rule let through at first sight, side by side: nearly every answer comes from here.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    /// Which text, and what it must look like.
    hints: Vec<(usize, Hint)>,
    /// Where the hints of each rule end.
    ends: Vec<usize>,
}

impl Looks {
    /// Of conditions that say something at first sight.
    pub(crate) fn new<'w>(rules: impl IntoIterator<Item = &'w When>) -> Self {
        let mut looks = Self::default();
        for when in rules {
            let hints = conditions(when).map(Hint::new).into_iter().enumerate();
            looks.hints.extend(hints.filter_map(|(text, hint)| Some((text, hint?))));
            looks.ends.push(looks.hints.len());
        }
        looks
    }

    /// Whether a closer look at a rule is worth while.
    pub(crate) fn admit(&self, rule: usize, sight: &Sight) -> bool {
        let start = rule.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let hints = self.ends.get(rule).and_then(|end| self.hints.get(start..*end)).unwrap_or_default();
        hints.iter().all(|(text, hint)| sight.0.get(*text).is_none_or(|ends| hint.admits(ends)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::glob::Pattern;

    fn admits(pattern: &str, text: &str) -> bool {
        Hint::new(&[pattern.to_owned()]).is_none_or(|hint| hint.admits(&Ends::new(text)))
    }

    #[test]
    fn most_other_texts_are_told_at_first_sight() {
        for (pattern, other) in [
            ("web", "web-0"),
            ("web-*", "db-0"),
            ("w*-17", "web"),
            ("*-a-longer-end", "some-a-longer-ene"),
            ("ab*bc", "abc"),
        ] {
            assert!(!admits(pattern, other), "{pattern} {other}");
        }
        assert!(
            admits("a-long-beginning-*", "a-long-bookmark-and-more"),
            "only eight bytes are looked at, and the length"
        );
    }

    proptest! {
        #[test]
        fn the_first_look_never_refuses_what_the_pattern_matches(
            pattern in "[ab*?ü]{0,12}",
            text in "[abü]{0,20}",
        ) {
            prop_assert!(!Pattern::new(&pattern).matches(&text) || admits(&pattern, &text));
        }
    }
}
