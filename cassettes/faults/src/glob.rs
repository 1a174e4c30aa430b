//! Patterns for names: `*` is any run of characters, `?` any single one.

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pattern {
    Any,
    Exact(String),
    Glob {
        glob: String,
        /// Where the first wildcard is, and where the last one ends: what is outside is compared as it is.
        wild: std::ops::Range<usize>,
    },
}

impl Pattern {
    pub(crate) fn new(text: &str) -> Self {
        match (text.find(['*', '?']), text.rfind(['*', '?'])) {
            _ if text == "*" => Self::Any,
            (Some(first), Some(last)) => Self::Glob { glob: text.to_owned(), wild: first..last + 1 },
            _ => Self::Exact(text.to_owned()),
        }
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact == text,
            Self::Glob { glob, wild } => {
                let (start, end) = (&glob[..wild.start], &glob[wild.end..]);
                // Nearly all names differ here, and nearly all patterns have one star, about which that says all.
                text.starts_with(start)
                    && text.ends_with(end)
                    && match &glob[wild.clone()] {
                        "*" => text.len() >= start.len() + end.len(),
                        _ => glob_matches(glob, text),
                    }
            }
        }
    }
}

/// Goes back to the last star only, so the work is at most pattern times text.
fn glob_matches(glob: &str, text: &str) -> bool {
    let (mut pattern, mut rest) = (glob.chars(), text.chars());
    let mut retry: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let here = rest.clone();
        let matched = match (pattern.next(), rest.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                rest = here;
                retry = Some((pattern.clone(), rest.clone()));
                true
            }
            (Some('?'), Some(_)) => true,
            (Some(wanted), Some(found)) => wanted == found,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if matched {
            continue;
        }
        let Some((after_star, mut from)) = retry.take() else {
            return false;
        };
        if from.next().is_none() {
            return false;
        }
        retry = Some((after_star.clone(), from.clone()));
        (pattern, rest) = (after_star, from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, text, matches) in [
            ("web", "web", true),
            ("web", "web-0", false),
            ("web-*", "web-0", true),
            ("web-*", "web-", true),
            ("*-0", "web-0", true),
            ("*-0", "web-1", false),
            ("w?b", "web", true),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbXbX", false),
            ("*", "", true),
            ("?", "", false),
            ("**", "abc", true),
            ("ab*bc", "abc", false),
            ("ab*bc", "abbc", true),
            ("a?c", "aüc", true),
            ("ü*", "üb", true),
        ] {
            assert_eq!(Pattern::new(pattern).matches(text), matches, "{pattern} {text}");
        }
    }
}
