//! The syntax of cron schedules, for the sake of its error texts. No times are computed.
//!
//! Counterpart: `robfig/cron` v3 `ParseStandard`.

/// A field: its lowest and highest value, and the names that stand for values.
struct Bounds {
    min: u32,
    max: u32,
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// Minute, hour, day of month, month, day of week. Names count from `min`.
const FIELDS: [Bounds; 5] = [
    Bounds { min: 0, max: 59, names: &[] },
    Bounds { min: 0, max: 23, names: &[] },
    Bounds { min: 1, max: 31, names: &[] },
    Bounds { min: 1, max: 12, names: &MONTHS },
    Bounds { min: 0, max: 6, names: &DAYS },
];
const DESCRIPTORS: [&str; 7] = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/// Checks a schedule. `knows_zone` tells whether a time zone of that name exists.
///
/// # Errors
/// The parser's text.
pub(super) fn check(schedule: &str, knows_zone: impl Fn(&str) -> bool) -> Result<(), String> {
    if schedule.is_empty() {
        return Err("empty spec string".into());
    }
    let mut rest = schedule;
    if let Some(zoned) = schedule.strip_prefix("TZ=").or_else(|| schedule.strip_prefix("CRON_TZ=")) {
        let (zone, tail) = zoned.split_once(' ').unwrap_or((zoned, ""));
        if !knows_zone(zone) {
            return Err(format!("provided bad location {zone}: unknown time zone {zone}"));
        }
        rest = tail.trim();
    }
    if rest.starts_with('@') {
        return descriptor(rest);
    }
    let fields: Vec<&str> = rest.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        let shown = fields.join(" ");
        return Err(format!("expected exactly {} fields, found {}: [{shown}]", FIELDS.len(), fields.len()));
    }
    for (field, bounds) in fields.iter().zip(&FIELDS) {
        for range in field.split(',').filter(|range| !range.is_empty()) {
            check_range(range, bounds)?;
        }
    }
    Ok(())
}

fn descriptor(text: &str) -> Result<(), String> {
    if DESCRIPTORS.contains(&text) {
        return Ok(());
    }
    let Some(duration) = text.strip_prefix("@every ") else {
        return Err(format!("unrecognized descriptor: {text}"));
    };
    check_duration(duration).map_err(|why| format!("failed to parse duration {text}: {why}"))
}

/// `number | number "-" number [ "/" number ]`, `*` and `?` for all.
fn check_range(expression: &str, bounds: &Bounds) -> Result<(), String> {
    let parts: Vec<&str> = expression.split('/').collect();
    let ends: Vec<&str> = parts.first().copied().unwrap_or_default().split('-').collect();
    let low = ends.first().copied().unwrap_or_default();
    let (start, mut end) = if matches!(low, "*" | "?") {
        (bounds.min, bounds.max)
    } else {
        let start = number_or_name(low, bounds)?;
        match ends.as_slice() {
            [_] => (start, start),
            [_, high] => (start, number_or_name(high, bounds)?),
            _ => return Err(format!("too many hyphens: {expression}")),
        }
    };
    let step = match parts.as_slice() {
        [_] => 1,
        [_, step] => {
            let step = number(step)?;
            if ends.len() == 1 {
                end = bounds.max;
            }
            step
        }
        _ => return Err(format!("too many slashes: {expression}")),
    };
    if start < bounds.min {
        return Err(format!("beginning of range ({start}) below minimum ({}): {expression}", bounds.min));
    }
    if end > bounds.max {
        return Err(format!("end of range ({end}) above maximum ({}): {expression}", bounds.max));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {expression}"));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {expression}"));
    }
    Ok(())
}

fn number_or_name(text: &str, bounds: &Bounds) -> Result<u32, String> {
    let lower = text.to_lowercase();
    match bounds.names.iter().position(|name| *name == lower) {
        Some(i) => Ok(bounds.min + u32::try_from(i).unwrap_or_default()),
        None => number(text),
    }
}

fn number(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("failed to parse int from {text}: strconv.Atoi: parsing \"{text}\": invalid syntax"));
    }
    let Ok(n) = text.parse::<i64>() else {
        return Err(format!("failed to parse int from {text}: strconv.Atoi: parsing \"{text}\": value out of range"));
    };
    if n < 0 {
        return Err(format!("negative number ({n}) not allowed: {text}"));
    }
    Ok(u32::try_from(n).unwrap_or(u32::MAX))
}

/// Go's duration syntax: decimal numbers, each with a unit.
fn check_duration(text: &str) -> Result<(), String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Ok(());
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let (number, tail) = rest.split_at(digits);
        if number.is_empty() || number == "." || number.matches('.').count() > 1 {
            return Err(invalid());
        }
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').map_or(tail, |end| &tail[..end]);
        match unit {
            "" => return Err(format!("time: missing unit in duration {text:?}")),
            "ns" | "us" | "µs" | "μs" | "ms" | "s" | "m" | "h" => rest = &tail[unit.len()..],
            _ => return Err(format!("time: unknown unit {unit:?} in duration {text:?}")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_refused_in_the_parsers_words() {
        let cases = [
            ("*/5 0-6 1,15 jan-mar MON", None),
            ("@hourly", None),
            ("@every 1h30m", None),
            ("every day", Some("expected exactly 5 fields, found 2: [every day]")),
            ("61 * * * *", Some("end of range (61) above maximum (59): 61")),
            ("* * 0 * *", Some("beginning of range (0) below minimum (1): 0")),
            ("5-2 * * * *", Some("beginning of range (5) beyond end of range (2): 5-2")),
            ("1-2-3 * * * *", Some("too many hyphens: 1-2-3")),
            ("*/0 * * * *", Some("step of range should be a positive number: */0")),
            ("a * * * *", Some("failed to parse int from a: strconv.Atoi: parsing \"a\": invalid syntax")),
            ("@fortnightly", Some("unrecognized descriptor: @fortnightly")),
            ("@every x", Some("failed to parse duration @every x: time: invalid duration \"x\"")),
            ("TZ=Mars/Olympus 0 0 * * *", Some("provided bad location Mars/Olympus: unknown time zone Mars/Olympus")),
        ];
        for (schedule, want) in cases {
            let got = check(schedule, |zone| zone == "UTC");
            assert_eq!(got.err().as_deref(), want, "{schedule}");
        }
    }
}
