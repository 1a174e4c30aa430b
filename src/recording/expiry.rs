//! How long a tape is good for: `90d` in its header, and whether that time is over. Counterpart: VCR's re-record
//! interval.

use anyhow::{Context as _, bail};
use jiff::{SignedDuration, Timestamp};
use rehearsal_cassettes::format::Tree;
use rehearsal_cassettes::format::model::Header;

/// Member of a header's `recorded` that holds the time.
const MEMBER: &str = "expires";

/// A time such as `90d`, `2w`, `12h` or `30m`.
///
/// # Errors
/// Any other text.
pub fn age_of_expiry(text: &str) -> anyhow::Result<SignedDuration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let hours = match unit {
        "w" => 7 * 24,
        "d" => 24,
        "h" => 1,
        "m" => 0,
        _ => bail!("{text:?} is no time like 90d, 2w, 12h or 30m"),
    };
    let number: i64 = number.parse().with_context(|| format!("{text:?} is no time like 90d, 2w, 12h or 30m"))?;
    let seconds = number.checked_mul(if hours == 0 { 60 } else { hours * 3600 });
    Ok(SignedDuration::from_secs(seconds.with_context(|| format!("{text:?} is too long"))?))
}

/// Whether a tape is older than it should get: by `expires`, or else by what its header says. Gives its age and the
/// limit in words; none where it is not, or where nothing says when it was recorded.
///
/// # Errors
/// A limit that is no time.
pub fn is_expired(header: &Header, expires: Option<&str>, now: Timestamp) -> anyhow::Result<Option<String>> {
    let noted = header.recorded.extra.iter().find(|(key, _)| key == MEMBER).and_then(|(_, value)| value.as_str());
    let Some(limit) = expires.or(noted) else { return Ok(None) };
    let most = age_of_expiry(limit)?;
    let Ok(at) = header.recorded.at.parse::<Timestamp>() else { return Ok(None) };
    let age = now.duration_since(at);
    Ok((age > most).then(|| format!("it is {} old and was to be recorded anew after {limit}", words(age))))
}

fn words(age: SignedDuration) -> String {
    match age.as_hours() {
        0 => format!("{} minutes", age.as_mins()),
        hours @ 1..48 => format!("{hours} hours"),
        hours => format!("{} days", hours / 24),
    }
}

/// Writes the limit into a header.
pub(super) fn note(header: &mut Header, expires: &str) {
    if !expires.is_empty() {
        header.recorded.extra.push((MEMBER.to_owned(), Tree::from(expires)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tape_expires_by_the_flag_or_by_its_header() {
        let mut header = Header::default();
        header.recorded.at = "2026-01-01T00:00:00Z".into();
        let now: Timestamp = "2026-04-11T00:00:00Z".parse().unwrap();
        let of = |header: &Header, flag| is_expired(header, flag, now).unwrap();
        assert_eq!(of(&header, None), None);
        assert_eq!(of(&header, Some("101d")), None);
        assert_eq!(of(&header, Some("2w")).unwrap(), "it is 100 days old and was to be recorded anew after 2w");
        note(&mut header, "90d");
        assert!(of(&header, None).is_some() && of(&header, Some("200d")).is_none());
        header.recorded.at.clear();
        assert_eq!(of(&header, None), None);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "d", "90", "90 days", "-1d", "99999999999999999999d", "9999999999999999d"] {
            assert!(age_of_expiry(text).is_err(), "{text}");
        }
        assert_eq!(age_of_expiry("30m").unwrap(), SignedDuration::from_mins(30));
    }
}
