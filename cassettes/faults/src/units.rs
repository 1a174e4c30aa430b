//! Quantities of the plan language as people write them: durations, signed offsets, waits drawn from a distribution.
//!
//! Everything parses from text and prints as the shortest text that parses to the same value.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::rng::Dice;

const UNITS: [(&str, u128); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Reads `250ms`, `1.5s`, `1m30s`, `0`; units h, m, s, ms, us, ns.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration; write for example `250ms`, `3s` or `1m30s`");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let (mut rest, mut nanos) = (text, 0_f64);
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (name, tail) = tail.split_at(unit);
        let (_, size) = UNITS.iter().find(|(known, _)| *known == name).ok_or_else(wrong)?;
        nanos += number.parse::<f64>().map_err(|_| wrong())? * *size as f64;
        rest = tail;
    }
    // A century is beyond any plan, and far inside what a Duration holds.
    if nanos > 3.2e18 {
        Err(format!("`{text}` is longer than a century"))
    } else {
        Ok(Duration::from_nanos(nanos.round() as u64))
    }
}

/// Prints a duration so that [`parse_duration`] reads it back.
pub(crate) fn duration_text(duration: Duration) -> String {
    let mut rest = duration.as_nanos();
    let mut text = String::new();
    for (name, size) in UNITS {
        if rest >= size {
            text.push_str(&format!("{}{name}", rest / size));
            rest %= size;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Serialises a duration as its text; for `#[serde(with = "…")]`.
pub(crate) mod text {
    use super::{Deserialize, Deserializer, Duration, Serializer, duration_text, parse_duration};

    pub(crate) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&duration_text(*duration))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_duration(&text).map_err(serde::de::Error::custom)
    }
}

/// A duration with a sign: positive is ahead of the server's clock. Text `30s`, `-5m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// Whether the offset points into the past.
    pub negative: bool,
    /// Its size.
    pub by: Duration,
}

impl FromStr for Offset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (negative, digits) =
            text.strip_prefix('-').map_or((false, text.trim_start_matches('+')), |rest| (true, rest));
        parse_duration(digits).map(|by| Self { negative, by })
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.negative { "-" } else { "" }, duration_text(self.by))
    }
}

/// How long to wait: always the same, or drawn from a distribution with the dice of the decision.
///
/// Text: `2s`, `uniform(1s,3s)`, `lognormal(200ms,0.5)` (median and sigma of the logarithm).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wait {
    /// Always this long.
    Fixed(Duration),
    /// Anything between the two, evenly.
    Uniform(Duration, Duration),
    /// Long-tailed, as latencies of real servers are: the median, and the standard deviation of the logarithm (0 to 5).
    LogNormal(Duration, f64),
}

impl Wait {
    /// Draws: the result is always [`Wait::Fixed`], in whole microseconds.
    pub(crate) fn resolve(self, dice: &Dice) -> Self {
        let seconds = match self {
            Self::Fixed(_) => return self,
            Self::Uniform(from, to) => from.as_secs_f64() + (to - from).as_secs_f64() * dice.unit("wait"),
            Self::LogNormal(median, sigma) => median.as_secs_f64() * (sigma * normal(dice)).exp(),
        };
        Self::Fixed(Duration::from_micros((seconds * 1e6).round().min(1e15) as u64))
    }

    /// The longest this can be, for a wait that has been drawn; its middle otherwise.
    #[must_use]
    pub fn duration(self) -> Duration {
        match self {
            Self::Fixed(duration) | Self::LogNormal(duration, _) => duration,
            Self::Uniform(from, to) => (from + to) / 2,
        }
    }
}

/// A standard normal number (Box and Muller), cut at four deviations by the granularity of its first draw.
fn normal(dice: &Dice) -> f64 {
    let radius = (-2.0 * (1.0 - dice.unit("wait")).max(3.4e-4).ln()).sqrt();
    radius * (std::f64::consts::TAU * dice.unit("angle")).cos()
}

impl FromStr for Wait {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match call(text) {
            Some(("uniform", [from, to])) => {
                let (from, to) = (parse_duration(from)?, parse_duration(to)?);
                if from > to {
                    Err(format!("`{text}` runs backwards; the smaller comes first"))
                } else {
                    Ok(Self::Uniform(from, to))
                }
            }
            Some(("lognormal", [median, sigma])) => {
                let sigma: f64 = sigma.parse().map_err(|_| format!("`{sigma}` is not a number"))?;
                if (0.0..=5.0).contains(&sigma) {
                    Ok(Self::LogNormal(parse_duration(median)?, sigma))
                } else {
                    Err(format!("sigma {sigma} is outside 0 to 5"))
                }
            }
            Some(_) => Err(format!("`{text}` is not a wait; write `2s`, `uniform(1s,3s)` or `lognormal(200ms,0.5)`")),
            None => parse_duration(text).map(Self::Fixed),
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(wait) => f.write_str(&duration_text(*wait)),
            Self::Uniform(from, to) => write!(f, "uniform({},{})", duration_text(*from), duration_text(*to)),
            Self::LogNormal(median, sigma) => write!(f, "lognormal({},{sigma})", duration_text(*median)),
        }
    }
}

/// Splits `name(a,b)`; `None` when the text is not of that form with two arguments, or one given twice as an empty pair.
pub(crate) fn call(text: &str) -> Option<(&str, [&str; 2])> {
    let (name, rest) = text.split_once('(')?;
    let inside = rest.strip_suffix(')')?;
    let (a, b) = inside.split_once(',').unwrap_or((inside, ""));
    Some((name.trim(), [a.trim(), b.trim()]))
}

macro_rules! as_text {
    ($($name:ty),+) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}
pub(crate) use as_text;
as_text!(Offset, Wait);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_back_what_they_print() {
        for (text, nanos, printed) in [
            ("250ms", 250_000_000, "250ms"),
            ("1.5s", 1_500_000_000, "1s500ms"),
            ("90s", 90_000_000_000, "1m30s"),
            ("0", 0, "0s"),
            ("0s", 0, "0s"),
            ("1h2m", 3_720_000_000_000, "1h2m"),
        ] {
            let parsed = parse_duration(text).unwrap();
            assert_eq!((parsed.as_nanos(), duration_text(parsed).as_str()), (nanos, printed));
            assert_eq!(parse_duration(printed), Ok(parsed));
        }
        for bad in ["", "3", "s", "3 s", "-1s", "1x", "1.2.3s", "99999999h"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn waits_and_offsets_read_back_what_they_print() {
        for text in ["2s", "uniform(1s,3s)", "lognormal(200ms,0.5)"] {
            assert_eq!(text.parse::<Wait>().unwrap().to_string(), text);
        }
        for text in ["-5m", "30s"] {
            assert_eq!(text.parse::<Offset>().unwrap().to_string(), text);
        }
        for bad in ["uniform(3s,1s)", "gauss(1s,2s)", "lognormal(1s,9)", "uniform(1s"] {
            assert!(bad.parse::<Wait>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_drawn_wait_stays_in_its_range_and_repeats() {
        let wait: Wait = "uniform(1s,3s)".parse().unwrap();
        for n in 0..200 {
            let dice = Dice::new(1, "r", 0, 0, n);
            let drawn = wait.resolve(&dice).duration();
            assert!((Duration::from_secs(1)..=Duration::from_secs(3)).contains(&drawn));
            assert_eq!(wait.resolve(&dice).duration(), drawn);
        }
    }
}
