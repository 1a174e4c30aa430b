//! A first look at the texts of a request that costs a few comparisons of numbers, so that a hundred rules about other
//! objects are passed over without reading a name. It only ever says no where the longer look says no too.

use std::cell::OnceCell;

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
    let short = || bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    bytes.first_chunk().map_or_else(short, |chunk| u64::from_le_bytes(*chunk))
}

/// The last eight bytes, the very last lowest.
fn tail(bytes: &[u8]) -> u64 {
    let short = || bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    bytes.last_chunk().map_or_else(short, |chunk| u64::from_be_bytes(*chunk))
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
pub(crate) struct Sight {
    texts: [Ends; TEXTS],
    /// A bit for each header and label. Only found out for a rule that asks for one.
    members: OnceCell<u64>,
}

impl Sight {
    pub(crate) fn new(facts: &RequestFacts<'_>) -> Self {
        Self { texts: texts(facts).map(Ends::new), members: OnceCell::new() }
    }
}

/// The bit of a header or label, or of its being there. Many share one.
fn bit(key: &str, value: Option<&str>) -> u64 {
    let key = key.bytes().fold(0, |sum: u64, byte| sum.rotate_left(5) ^ u64::from(byte.to_ascii_lowercase()));
    let value = value.map_or(0, |value| print(value.as_bytes()));
    1 << (print(&(key ^ value.rotate_left(9)).to_le_bytes()) >> 58)
}

fn bits<'a>(key: &'a str, value: &'a str) -> u64 {
    bit(key, None) | bit(key, Some(value))
}

fn members_of(facts: &RequestFacts<'_>) -> u64 {
    let labels = facts.object.and_then(|object| object.get("metadata")?.get("labels")?.as_object());
    let labels = labels.into_iter().flatten().map(|(key, value)| bits(key, value.as_str().unwrap_or_default()));
    let headers = facts.headers.iter().map(|(key, value)| bits(key, value));
    labels.chain(headers).fold(0, |all, bits| all | bits)
}

/// The bits that a request must have to meet the conditions on headers and labels.
fn members_for(when: &When) -> u64 {
    let conditions = when.header.iter().chain(&when.object.labels);
    let bit = |(key, glob): (&String, &String)| bit(key, (!glob.contains(['*', '?'])).then_some(glob));
    conditions.map(bit).fold(0, |all, bit| all | bit)
}

/// What the conditions of each rule let through at first sight, side by side: nearly every answer comes from here.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    /// Which text, and what it must look like.
    hints: Vec<(usize, Hint)>,
    /// Where the hints of each rule end.
    ends: Vec<usize>,
    /// Which headers and labels each rule asks for.
    members: Vec<u64>,
}

impl Looks {
    /// Of conditions that say something at first sight.
    pub(crate) fn new<'w>(rules: impl IntoIterator<Item = &'w When>) -> Self {
        let mut looks = Self::default();
        for when in rules {
            let hints = conditions(when).map(Hint::new).into_iter().enumerate();
            looks.hints.extend(hints.filter_map(|(text, hint)| Some((text, hint?))));
            looks.ends.push(looks.hints.len());
            looks.members.push(members_for(when));
        }
        looks
    }

    /// Whether a closer look at a rule is worth while, by the texts of a request.
    pub(crate) fn admit(&self, rule: usize, sight: &Sight) -> bool {
        let start = rule.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let hints = self.ends.get(rule).and_then(|end| self.hints.get(start..*end)).unwrap_or_default();
        hints.iter().all(|(text, hint)| sight.texts.get(*text).is_none_or(|ends| hint.admits(ends)))
    }

    /// The same by its headers and labels. Apart, because it would slow the first down.
    #[inline(never)]
    pub(crate) fn admit_members(&self, rule: usize, sight: &Sight, facts: &RequestFacts<'_>) -> bool {
        let wanted = self.members.get(rule).copied().unwrap_or(0);
        wanted == 0 || wanted & !sight.members.get_or_init(|| members_of(facts)) == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::glob::Pattern;
    use crate::plan::Rule;

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

    #[test]
    fn other_labels_and_headers_are_told_at_first_sight() {
        let object = serde_json::json!({"metadata": {"labels": {"app": "web"}}});
        let facts = RequestFacts { headers: &[("x-one", "1")], object: Some(&object), ..RequestFacts::default() };
        let admits = |rule: &Rule| Looks::new([&rule.when]).admit_members(0, &Sight::new(&facts), &facts);
        let rule = || Rule::new("r");
        for met in [rule().label("app", "web"), rule().label("app", "w*"), rule().header("X-One", "1"), rule()] {
            assert!(admits(&met), "{met:?}");
        }
        let others = (0..100).map(|n| rule().label("app", format!("web-{n}")).header("x-one", format!("{n}")));
        assert!(others.filter(admits).count() < 20);
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
