//! Closed vocabularies: enums whose variants are words of the plan language.
//!
//! One macro, so that a word is written once: it parses, prints, serialises and is listed in help from the same line.

/// A closed set of words of the plan language.
pub trait Word: Sized + Copy + 'static {
    /// Every word, in the order of the catalogue.
    const WORDS: &'static [&'static str];

    /// The variant that a word stands for, or `None`.
    fn from_word(word: &str) -> Option<Self>;

    /// The word of this variant.
    fn word(self) -> &'static str;
}

macro_rules! words {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)+
        }

        impl $crate::words::Word for $name {
            const WORDS: &'static [&'static str] = &[$($word),+];

            fn from_word(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }

            fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($crate::words::Word::word(*self))
            }
        }
    };
}
pub(crate) use words;

/// The candidate that a misspelt word most likely meant, if any is near enough (a third of its letters, at least one).
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(word);
    candidates
        .into_iter()
        .map(|candidate| (distance(&folded, &fold(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(word.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Case, dashes and underscores are what people get wrong most often, so they do not count.
fn fold(word: &str) -> Vec<char> {
    word.chars().take(64).filter(|c| !matches!(c, '-' | '_' | ' ')).flat_map(char::to_lowercase).collect()
}

/// Edit distance in which swapping two neighbouring letters is one step.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1; b.len() + 1];
        for (j, to) in b.iter().enumerate() {
            let step = (last[j] + usize::from(from != to)).min(last[j + 1] + 1).min(row[j] + 1);
            let swapped = i > 0 && j > 0 && *from == b[j - 1] && a[i - 1] == *to;
            row[j + 1] = if swapped { step.min(before[j - 1] + 1) } else { step };
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_forgives_case_dashes_and_a_slip() {
        let words = ["half-open", "goaway", "reset-mid-watch", "reset"];
        for (typed, meant) in [
            ("halfOpen", "half-open"),
            ("go_away", "goaway"),
            ("rest", "reset"),
            ("reset-mid-wacth", "reset-mid-watch"),
        ] {
            assert_eq!(nearest(typed, words), Some(meant));
        }
        assert_eq!(nearest("banana", words), None);
        assert_eq!(nearest("", words), None);
    }
}
