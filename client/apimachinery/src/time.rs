//! Instants and durations as the API writes them: `metav1.Time`, `metav1.MicroTime`, Go durations and human ages.
//!
//! Counterparts: Go's `time` package (whose refusals are part of the wire), apimachinery `meta/v1` and `util/duration`.
//! Nothing here reads a clock.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::fmt::Write as _;

const SECONDS: &str = "2006-01-02T15:04:05Z07:00";
const MICROS: &str = "2006-01-02T15:04:05.000000Z07:00";

/// Parses a `metav1.Time` (RFC 3339; fractions of a second are read).
///
/// # Errors
/// Go's text: `parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006"`.
pub fn parse_time(text: &str) -> Result<Timestamp, String> {
    Parser { whole: text, rest: text, layout: SECONDS }.parse(false)
}

/// Parses a `metav1.MicroTime` (RFC 3339 with exactly six decimals).
///
/// # Errors
/// Go's text, naming the layout with six decimals.
pub fn parse_micro_time(text: &str) -> Result<Timestamp, String> {
    Parser { whole: text, rest: text, layout: MICROS }.parse(true)
}

/// Prints an instant as `metav1.Time`: UTC, whole seconds, `Z`.
#[must_use]
pub fn format_time(time: Timestamp) -> String {
    let whole = Timestamp::from_second(time.as_nanosecond().div_euclid(1_000_000_000) as i64).unwrap_or(time);
    format!("{whole:.0}")
}

/// Prints an instant as `metav1.MicroTime`: UTC, six decimals, `Z`.
#[must_use]
pub fn format_micro_time(time: Timestamp) -> String {
    let micros = Timestamp::from_microsecond(time.as_nanosecond().div_euclid(1000) as i64).unwrap_or(time);
    format!("{micros:.6}")
}

/// Whether the instant is Go's zero time, which the API writes as `null` or leaves out.
#[must_use]
pub fn is_zero(time: Timestamp) -> bool {
    time.as_second() == -62_135_596_800 && time.subsec_nanosecond() == 0
}

/// A walk over a text along a layout, element by element, as Go's `time.Parse` does it.
struct Parser<'a> {
    whole: &'a str,
    rest: &'a str,
    layout: &'static str,
}

impl Parser<'_> {
    fn parse(mut self, micros: bool) -> Result<Timestamp, String> {
        let year = self.digits(4, 4, "2006")?;
        self.literal("-")?;
        let month = self.digits(2, 2, "01")?;
        self.within((1..=12).contains(&month), "month")?;
        self.literal("-")?;
        let day = self.digits(2, 2, "02")?;
        self.literal("T")?;
        let hour = self.digits(1, 2, "15")?;
        self.within(hour < 24, "hour")?;
        self.literal(":")?;
        let minute = self.digits(2, 2, "04")?;
        self.within(minute < 60, "minute")?;
        self.literal(":")?;
        let second = self.digits(2, 2, "05")?;
        self.within(second < 60, "second")?;
        let nanos = if micros { self.micros()? } else { self.fraction() };
        let offset = self.zone()?;
        if !self.rest.is_empty() {
            return Err(format!("parsing time {}: extra text: {}", quote(self.whole), quote(self.rest)));
        }
        let date = Date::new(year as i16, month as i8, day as i8).ok();
        self.within(date.is_some(), "day")?;
        let start = date.and_then(|d| d.at(hour as i8, minute as i8, second as i8, nanos).to_zoned(TimeZone::UTC).ok());
        let time = start.and_then(|s| s.timestamp().checked_sub(jiff::SignedDuration::from_secs(offset)).ok());
        time.ok_or_else(|| format!("parsing time {}: year out of range", quote(self.whole)))
    }

    fn within(&self, ok: bool, what: &str) -> Result<(), String> {
        if ok { Ok(()) } else { Err(format!("parsing time {}: {what} out of range", quote(self.whole))) }
    }

    fn refuse<T>(&self, element: &str) -> Result<T, String> {
        let (whole, rest) = (quote(self.whole), quote(self.rest));
        Err(format!("parsing time {whole} as {}: cannot parse {rest} as {}", quote(self.layout), quote(element)))
    }

    fn literal(&mut self, text: &str) -> Result<(), String> {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                Ok(())
            }
            None => self.refuse(text),
        }
    }

    /// Between `least` and `most` digits.
    fn digits(&mut self, least: usize, most: usize, element: &str) -> Result<u32, String> {
        let n = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        if n < least {
            return self.refuse(element);
        }
        let (digits, rest) = self.rest.split_at(n);
        self.rest = rest;
        Ok(digits.parse().unwrap_or(0))
    }

    /// A fraction that the layout does not name may follow the seconds.
    fn fraction(&mut self) -> i32 {
        let Some(tail) = self.rest.strip_prefix(['.', ',']) else { return 0 };
        let n = tail.bytes().take_while(u8::is_ascii_digit).count();
        if n == 0 {
            return 0;
        }
        let (digits, rest) = tail.split_at(n);
        self.rest = rest;
        format!("{digits:0<9.9}").parse().unwrap_or(0)
    }

    fn micros(&mut self) -> Result<i32, String> {
        let digits = self.rest.strip_prefix(['.', ',']).and_then(|tail| tail.get(..6));
        match digits.filter(|d| d.bytes().all(|b| b.is_ascii_digit())) {
            Some(d) => {
                self.rest = &self.rest[7..];
                Ok(d.parse::<i32>().unwrap_or(0) * 1000)
            }
            None => self.refuse(".000000"),
        }
    }

    /// `Z` or `+hh:mm`, in seconds east of Greenwich.
    fn zone(&mut self) -> Result<i64, String> {
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Ok(0);
        }
        let b = self.rest.as_bytes();
        let digit = |i: usize| b.get(i).filter(|c| c.is_ascii_digit()).map(|c| i64::from(c - b'0'));
        let parts = (|| Some((digit(1)? * 10 + digit(2)?, digit(4)? * 10 + digit(5)?)))();
        let sign = match b.first() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => 0,
        };
        let Some((hours, minutes)) = parts.filter(|_| sign != 0 && b.get(3) == Some(&b':')) else {
            return self.refuse("Z07:00");
        };
        self.within(hours <= 24, "time zone offset hour")?;
        self.within(minutes <= 60, "time zone offset minute")?;
        self.rest = &self.rest[6..];
        Ok(sign * (hours * 3600 + minutes * 60))
    }
}

/// Quotes as Go's `time` package does: ASCII only, other bytes in hex.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='\x7e' => out.push(c),
            _ => c.encode_utf8(&mut [0; 4]).bytes().for_each(|b| {
                let _ = write!(out, "\\x{b:02x}");
            }),
        }
    }
    out.push('"');
    out
}

// === durations ===

const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Parses a Go duration such as `1h30m` or `-1.5s` into nanoseconds.
///
/// # Errors
/// Go's text: `time: invalid duration "abc"`, `time: missing unit in duration "5"`,
/// `time: unknown unit "d" in duration "3d"`.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", quote(text));
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (nanos, tail) = duration_term(rest, text)?;
        total = total.checked_add(nanos).filter(|t| *t <= 1 << 63).ok_or_else(invalid)?;
        rest = tail;
    }
    i64::try_from(if negative { -total } else { total }).map_err(|_| invalid())
}

/// One `1.5h` of a duration; `whole` is for the refusals.
fn duration_term<'a>(text: &'a str, whole: &str) -> Result<(i128, &'a str), String> {
    let invalid = || format!("time: invalid duration {}", quote(whole));
    let split = |s: &'a str| s.split_at(s.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(s.len()));
    let (integer, rest) = split(text);
    let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), split);
    if integer.is_empty() && fraction.is_empty() {
        return Err(invalid());
    }
    let end = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, tail) = rest.split_at(end);
    if unit.is_empty() {
        return Err(format!("time: missing unit in duration {}", quote(whole)));
    }
    let Some((_, nanos)) = UNITS.iter().find(|(u, _)| *u == unit) else {
        return Err(format!("time: unknown unit {} in duration {}", quote(unit), quote(whole)));
    };
    let integer = if integer.is_empty() { "0" } else { integer };
    let mut value = integer.parse::<i128>().ok().and_then(|n| n.checked_mul(*nanos)).ok_or_else(invalid)?;
    let mut place = *nanos;
    for digit in fraction.bytes() {
        value += i128::from(digit - b'0') * place / 10;
        place /= 10;
    }
    Ok((value, tail))
}

/// Prints nanoseconds as Go's `Duration.String` does: `1h30m0s`, `1.5ms`, `0s`.
#[must_use]
pub fn format_duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let n = nanos.unsigned_abs();
    let (unit, name) = match n {
        0 => return "0s".to_owned(),
        1..1_000 => (1, "ns"),
        1_000..1_000_000 => (1_000, "µs"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    };
    if unit < 1_000_000_000 {
        return format!("{sign}{}{name}", decimal(n, unit));
    }
    let (hours, minutes) = (n / 3_600_000_000_000, n / 60_000_000_000 % 60);
    let seconds = decimal(n % 60_000_000_000, unit);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, _) => format!("{sign}{minutes}m{seconds}s"),
        _ => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// `n / unit` without trailing zeros.
fn decimal(n: u64, unit: u64) -> String {
    let width = unit.ilog10() as usize;
    let fraction = format!("{:0width$}", n % unit);
    match fraction.trim_end_matches('0') {
        "" => (n / unit).to_string(),
        digits => format!("{}.{digits}", n / unit),
    }
}

/// A duration as Table cells show it: `45s`, `5m12s`, `3h`, `3d4h`, `2y30d`. Takes whole seconds; slightly negative
/// ones read `0s`, others `<invalid>`.
#[must_use]
pub fn human_duration(seconds: i64) -> String {
    let pair = |a: i64, x: &str, b: i64, y: &str| if b == 0 { format!("{a}{x}") } else { format!("{a}{x}{b}{y}") };
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        ..=-2 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        _ if minutes < 10 => pair(minutes, "m", seconds % 60, "s"),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => pair(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if hours < 192 => pair(days, "d", hours % 24, "h"),
        _ if days < 730 => format!("{days}d"),
        _ if days < 2920 => pair(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

/// The age cell of a Table: [`human_duration`] since an RFC 3339 time, `<unknown>` when there is none.
#[must_use]
pub fn human_age(since: &str, now: Timestamp) -> String {
    match parse_time(since) {
        Ok(t) => human_duration(now.as_second() - t.as_second()),
        Err(_) => "<unknown>".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_normalised_to_utc_and_whole_seconds() {
        for (text, want) in [
            ("2024-05-01T10:00:00Z", "2024-05-01T10:00:00Z"),
            ("2024-05-01T10:00:00+02:00", "2024-05-01T08:00:00Z"),
            ("2024-05-01T10:00:00.999Z", "2024-05-01T10:00:00Z"),
            ("2024-05-01T1:00:00,5-00:30", "2024-05-01T01:30:00Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ] {
            assert_eq!(parse_time(text).map(format_time).as_deref(), Ok(want), "{text}");
        }
        assert!(is_zero(parse_time("0001-01-01T00:00:00Z").unwrap()));
    }

    #[test]
    fn bad_times_are_refused_in_gos_words() {
        for (text, want) in [
            (
                "yesterday",
                r#"parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006""#,
            ),
            ("", r#"parsing time "" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "2006""#),
            ("2024-05-01", r#"parsing time "2024-05-01" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "T""#),
            ("2024-13-01T00:00:00Z", r#"parsing time "2024-13-01T00:00:00Z": month out of range"#),
            ("2024-02-30T00:00:00Z", r#"parsing time "2024-02-30T00:00:00Z": day out of range"#),
            ("2024-02-03T25:00:00Z", r#"parsing time "2024-02-03T25:00:00Z": hour out of range"#),
            ("2024-02-03T05:00:00Zx", r#"parsing time "2024-02-03T05:00:00Zx": extra text: "x""#),
            (
                "2024-02-03T05:00:00",
                r#"parsing time "2024-02-03T05:00:00" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "Z07:00""#,
            ),
        ] {
            assert_eq!(parse_time(text), Err(want.to_owned()), "{text}");
        }
    }

    #[test]
    fn micro_times_need_six_decimals() {
        let ok = parse_micro_time("2024-05-01T10:00:00.123456Z").map(format_micro_time);
        assert_eq!(ok.as_deref(), Ok("2024-05-01T10:00:00.123456Z"));
        assert_eq!(
            parse_micro_time("2024-05-01T10:00:00Z"),
            Err(r#"parsing time "2024-05-01T10:00:00Z" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "Z" as ".000000""#.to_owned())
        );
    }

    #[test]
    fn durations_follow_go() {
        for (text, want) in [
            ("1h30m", "1h30m0s"),
            ("90s", "1m30s"),
            ("1.5s", "1.5s"),
            ("0", "0s"),
            ("-2ms", "-2ms"),
            ("1500us", "1.5ms"),
            (".5m", "30s"),
            ("36h", "36h0m0s"),
        ] {
            assert_eq!(parse_duration(text).map(format_duration).as_deref(), Ok(want), "{text}");
        }
        for (text, want) in [
            ("abc", r#"time: invalid duration "abc""#),
            ("5", r#"time: missing unit in duration "5""#),
            ("3d", r#"time: unknown unit "d" in duration "3d""#),
            ("", r#"time: invalid duration """#),
            ("9999999999h", r#"time: invalid duration "9999999999h""#),
        ] {
            assert_eq!(parse_duration(text), Err(want.to_owned()), "{text}");
        }
    }

    #[test]
    fn ages_read_as_kubectl_shows_them() {
        for (seconds, want) in [
            (-5, "<invalid>"),
            (-1, "0s"),
            (119, "119s"),
            (120, "2m"),
            (312, "5m12s"),
            (3600, "60m"),
            (11_100, "3h5m"),
            (30_000, "8h"),
            (273_600, "3d4h"),
            (691_200, "8d"),
            (63_072_000, "2y"),
            (63_158_400, "2y1d"),
            (315_360_000, "10y"),
        ] {
            assert_eq!(human_duration(seconds), want);
        }
        assert_eq!(human_age("", Timestamp::UNIX_EPOCH), "<unknown>");
        assert_eq!(human_age("1970-01-01T00:00:00Z", Timestamp::from_second(61).unwrap()), "61s");
    }

    proptest! {
        #[test]
        fn printed_times_read_back(second in -62_135_596_800_i64..=253_402_207_200) {
            let time = Timestamp::from_second(second).unwrap();
            prop_assert_eq!(parse_time(&format_time(time)), Ok(time));
            prop_assert_eq!(parse_micro_time(&format_micro_time(time)), Ok(time));
        }

        #[test]
        fn printed_durations_read_back(nanos in any::<i64>()) {
            prop_assert_eq!(parse_duration(&format_duration(nanos)), Ok(nanos));
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC{0,32}") {
            let _ = (parse_time(&text), parse_micro_time(&text), parse_duration(&text));
        }
    }
}
