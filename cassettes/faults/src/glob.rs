//! Patterns for names: `*` is any run of characters, `?` any single one.

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pattern {
    Any,
    Exact(String),
    Glob(String),
}

impl Pattern {
    pub(crate) fn new(text: &str) -> Self {
        match text {
            "*" => Self::Any,
            _ if text.contains(['*', '?']) => Self::Glob(text.to_owned()),
            _ => Self::Exact(text.to_owned()),
        }
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact == text,
            // Most names differ before the first star; comparing that much is cheap.
            Self::Glob(glob) => literal_start(glob, text) && glob_matches(glob, text),
        }
    }
}

/// Whether the text begins with what the pattern says before its first wildcard.
fn literal_start(glob: &str, text: &str) -> bool {
    let wanted = glob.bytes().take_while(|byte| !matches!(byte, b'*' | b'?'));
    let mut found = text.bytes();
    wanted.into_iter().all(|byte| found.next() == Some(byte))
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
        ] {
            assert_eq!(Pattern::new(pattern).matches(text), matches, "{pattern} {text}");
        }
    }
}
