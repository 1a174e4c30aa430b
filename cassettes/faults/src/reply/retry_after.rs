//! The `Retry-After` header in all the shapes that clients meet, proper and improper.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::units::{as_text, call, duration_text, parse_duration};

/// A `Retry-After` header. Text: `1`, `ramp(1,8)`, `date(5s)`, `twice(1,9)`, `text(soon)`, `absent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// No header.
    Absent,
    /// Whole seconds; negative ones are what broken servers send.
    Seconds(i64),
    /// Doubles with every firing in the scope, from the first to the second (1,2,4,8 for `ramp(1,8)`), in seconds.
    Ramp(u32, u32),
    /// An HTTP date this far ahead of the server's clock.
    Date(Duration),
    /// Two headers that disagree, in seconds.
    Twice(i64, i64),
    /// Anything else, sent as written.
    Text(String),
}

impl RetryAfter {
    /// Turns a ramp into the seconds of its `firing`-th step (from 1); the rest stays as it is.
    #[must_use]
    pub fn at(&self, firing: u64) -> Self {
        match self {
            Self::Ramp(from, to) => {
                let doubled = u64::from(*from) << firing.saturating_sub(1).min(31);
                Self::Seconds(doubled.min(u64::from(*to)) as i64)
            }
            other => other.clone(),
        }
    }

    /// The header values, for a server clock that shows `unix_seconds`.
    #[must_use]
    pub fn values(&self, unix_seconds: u64) -> Vec<String> {
        match self {
            Self::Absent => Vec::new(),
            Self::Seconds(seconds) => vec![seconds.to_string()],
            Self::Ramp(from, _) => vec![from.to_string()],
            Self::Date(ahead) => vec![http_date(unix_seconds.saturating_add(ahead.as_secs()))],
            Self::Twice(one, two) => vec![one.to_string(), two.to_string()],
            Self::Text(text) => vec![text.clone()],
        }
    }

    /// The seconds that go into `details.retryAfterSeconds`, when the header is a plain number.
    pub(crate) fn seconds(&self) -> Option<u32> {
        match self {
            Self::Seconds(seconds) => u32::try_from(*seconds).ok(),
            Self::Ramp(from, _) => Some(*from),
            _ => None,
        }
    }

    /// Whether a correct server may send it: a number that is not negative, or a date (RFC 9110, 10.2.3), or nothing.
    pub(crate) fn is_legal(&self) -> bool {
        match self {
            Self::Seconds(seconds) => *seconds >= 0,
            Self::Twice(..) | Self::Text(_) => false,
            _ => true,
        }
    }
}

impl FromStr for RetryAfter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a Retry-After; write `1`, `ramp(1,8)`, `date(5s)`, `twice(1,9)`, `text(soon)` or `absent`"
            )
        };
        let number = |text: &str| text.parse::<i64>().map_err(|_| wrong());
        let whole = |text: &str| text.parse::<u32>().map_err(|_| wrong());
        match call(text) {
            None if text == "absent" => Ok(Self::Absent),
            None => number(text.strip_suffix('s').unwrap_or(text)).map(Self::Seconds),
            Some(("ramp", [from, to])) => match (whole(from)?, whole(to)?) {
                (from, to) if (1..=to).contains(&from) => Ok(Self::Ramp(from, to)),
                _ => Err(format!("`{text}` does not climb; the first number is at least 1 and not above the second")),
            },
            Some(("date", [ahead, ""])) => parse_duration(ahead).map(Self::Date),
            Some(("twice", [one, two])) => Ok(Self::Twice(number(one)?, number(two)?)),
            Some(("text", _)) => {
                let inside = text.trim_start_matches("text(").trim_end_matches(')');
                // A line break would end the header and begin another.
                if inside.chars().any(char::is_control) { Err(wrong()) } else { Ok(Self::Text(inside.to_owned())) }
            }
            Some(_) => Err(wrong()),
        }
    }
}

impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("absent"),
            Self::Seconds(seconds) => write!(f, "{seconds}"),
            Self::Ramp(from, to) => write!(f, "ramp({from},{to})"),
            Self::Date(ahead) => write!(f, "date({})", duration_text(*ahead)),
            Self::Twice(one, two) => write!(f, "twice({one},{two})"),
            Self::Text(text) => write!(f, "text({text})"),
        }
    }
}

as_text!(RetryAfter);

/// An IMF-fixdate (RFC 9110, 5.6.7), the only form that servers may send.
fn http_date(unix_seconds: u64) -> String {
    let (days, second) = (unix_seconds / 86_400, unix_seconds % 86_400);
    // Civil date from days (Howard Hinnant's algorithm), in eras of 400 years that begin on 1 March.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, year) = if month_from_march < 10 {
        (month_from_march + 2, year_of_era + era * 400)
    } else {
        (month_from_march - 10, year_of_era + era * 400 + 1)
    };
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][(days % 7) as usize];
    let month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][month as usize];
    format!(
        "{weekday}, {day:02} {month} {year:04} {:02}:{:02}:{:02} GMT",
        second / 3_600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_reads_back_what_it_prints() {
        for text in ["absent", "0", "1", "-3", "ramp(1,8)", "date(5s)", "twice(1,9)", "text(soon)"] {
            assert_eq!(text.parse::<RetryAfter>().unwrap().to_string(), text);
        }
        assert_eq!("1s".parse::<RetryAfter>(), Ok(RetryAfter::Seconds(1)));
        for bad in ["soon", "ramp(8,1)", "ramp(0,1)", "ramp(1)", "date(x)", "text(a\r\nb)"] {
            assert!(bad.parse::<RetryAfter>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_ramp_doubles_until_its_cap() {
        let ramp = RetryAfter::Ramp(1, 6);
        let steps: Vec<_> = (1..=5).map(|n| ramp.at(n).seconds().unwrap()).collect();
        assert_eq!(steps, [1, 2, 4, 6, 6]);
        assert_eq!(ramp.at(u64::MAX).seconds(), Some(6));
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(http_date(1_709_164_800), "Thu, 29 Feb 2024 00:00:00 GMT");
    }
}
