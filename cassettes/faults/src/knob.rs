//! Knobs: the named, typed, bounded arguments of a row of the catalogue.
//!
//! A value travels as text in plans and is parsed once, by its knob, when the plan is checked.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::reply::RetryAfter;
use crate::units::{Offset, Wait, duration_text, parse_duration};
use crate::words::{Word, nearest};

/// One argument of a fault.
#[derive(Clone, Copy, Debug)]
pub struct Knob {
    /// Name in plans.
    pub name: &'static str,
    /// Type, unit and range.
    pub kind: KnobKind,
    /// What holds when the plan says nothing.
    pub unsaid: Unsaid,
    /// What it does.
    pub about: &'static str,
}

/// What holds when a plan does not mention a knob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsaid {
    /// This value.
    Default(&'static str),
    /// The fault does without.
    Nothing,
    /// The plan is refused.
    Refused,
}

/// Type, unit and range of a knob.
#[derive(Clone, Copy, Debug)]
pub enum KnobKind {
    /// A duration, at most so many seconds.
    Duration(u64),
    /// A whole number of something, within bounds.
    Count(&'static str, u64, u64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A duration or a distribution of durations.
    Wait,
    /// A `Retry-After` header.
    RetryAfter,
    /// A duration with a sign.
    Offset,
    /// Free text.
    Text,
}

/// A parsed value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Duration(Duration),
    Count(u64),
    Text(String),
    Wait(Wait),
    RetryAfter(RetryAfter),
    Offset(Offset),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duration(duration) => f.write_str(&duration_text(*duration)),
            Self::Count(n) => write!(f, "{n}"),
            Self::Text(text) => f.write_str(text),
            Self::Wait(wait) => wait.fmt(f),
            Self::RetryAfter(header) => header.fmt(f),
            Self::Offset(offset) => offset.fmt(f),
        }
    }
}

impl fmt::Display for KnobKind {
    /// The type as help shows it: `duration, 0s to 1h`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duration(most) => write!(f, "duration, 0s to {}", duration_text(Duration::from_secs(*most))),
            Self::Count(unit, least, most) => write!(f, "{unit}, {least} to {most}"),
            Self::Choice(words) => f.write_str(&words.join(" | ")),
            Self::Wait => f.write_str("duration, uniform(a,b) or lognormal(median,sigma)"),
            Self::RetryAfter => f.write_str("seconds, ramp(a,b), date(d), twice(a,b), text(t) or absent"),
            Self::Offset => f.write_str("signed duration"),
            Self::Text => f.write_str("text"),
        }
    }
}

impl KnobKind {
    /// Reads a value. The error says what was wrong, and perhaps what was meant.
    pub(crate) fn parse(&self, text: &str) -> Result<Value, (String, Option<String>)> {
        let plain = |message: String| (message, None);
        match self {
            Self::Duration(most) => {
                let duration = parse_duration(text).map_err(plain)?;
                if duration > Duration::from_secs(*most) {
                    return Err((format!("{text} is outside {}", range(self)), None));
                }
                Ok(Value::Duration(duration))
            }
            Self::Count(unit, least, most) => match text.parse::<u64>() {
                Ok(n) if (*least..=*most).contains(&n) => Ok(Value::Count(n)),
                Ok(_) => Err((format!("{text} is outside {}", range(self)), None)),
                Err(_) => Err((format!("`{text}` is not a whole number of {unit}"), None)),
            },
            Self::Choice(words) => match words.iter().find(|word| **word == text) {
                Some(word) => Ok(Value::Text((*word).to_owned())),
                None => {
                    let meant = nearest(text, words.iter().copied()).map(|word| format!("did you mean `{word}`?"));
                    Err((format!("`{text}` is none of {}", words.join(", ")), meant))
                }
            },
            Self::Wait => text.parse().map(Value::Wait).map_err(plain),
            Self::RetryAfter => text.parse().map(Value::RetryAfter).map_err(plain),
            Self::Offset => text.parse().map(Value::Offset).map_err(plain),
            Self::Text => Ok(Value::Text(text.to_owned())),
        }
    }
}

fn range(kind: &KnobKind) -> String {
    let text = kind.to_string();
    text.split_once(", ").map_or_else(
        || text.clone(),
        |(unit, range)| match unit {
            "duration" => range.to_owned(),
            _ => format!("{range} {unit}"),
        },
    )
}

/// The parsed knobs of one fault: what the plan gave, and the defaults of the rest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Knobs(pub(crate) BTreeMap<&'static str, Value>);

impl Knobs {
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(crate) fn duration(&self, name: &str) -> Duration {
        match self.0.get(name) {
            Some(Value::Duration(duration)) => *duration,
            _ => Duration::ZERO,
        }
    }

    pub(crate) fn count(&self, name: &str) -> u64 {
        match self.0.get(name) {
            Some(Value::Count(n)) => *n,
            _ => 0,
        }
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        match self.0.get(name) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }

    pub(crate) fn wait(&self, name: &str) -> Wait {
        match self.0.get(name) {
            Some(Value::Wait(wait)) => *wait,
            _ => Wait::Fixed(Duration::ZERO),
        }
    }

    pub(crate) fn retry_after(&self, name: &str) -> Option<RetryAfter> {
        match self.0.get(name) {
            Some(Value::RetryAfter(header)) => Some(header.clone()),
            _ => None,
        }
    }

    pub(crate) fn offset(&self, name: &str) -> Offset {
        match self.0.get(name) {
            Some(Value::Offset(offset)) => *offset,
            _ => Offset { negative: false, by: Duration::ZERO },
        }
    }

    /// The word of a choice; `fallback` only when the row declares a choice with words of another vocabulary.
    pub(crate) fn word<W: Word>(&self, name: &str, fallback: W) -> W {
        W::from_word(self.text(name)).unwrap_or(fallback)
    }
}
