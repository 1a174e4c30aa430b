//! Numbers as Go prints them.

use serde_json::Number;

/// Appends a number: integers plainly, floats in the shortest form that reads back, with an exponent only beyond
/// 1e21 and below 1e-6.
pub(super) fn write(out: &mut Vec<u8>, number: &Number) {
    use std::io::Write as _;
    // Writing to a Vec cannot fail.
    let _ = if let Some(n) = number.as_i64() {
        write!(out, "{n}")
    } else if let Some(n) = number.as_u64() {
        write!(out, "{n}")
    } else {
        let f = number.as_f64().unwrap_or_default();
        let size = f.abs();
        if size != 0.0 && !(1e-6..1e21).contains(&size) {
            let text = format!("{f:e}");
            let sign = if text.contains("e-") { "" } else { "+" };
            write!(out, "{}", text.replace('e', &format!("e{sign}")))
        } else {
            write!(out, "{f}")
        }
    };
}

/// A float as the API keeps it: whole numbers become integers, since that is how they read back.
pub(in crate::codec) fn from_f64(f: f64) -> Option<Number> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if f.fract() == 0.0 && f.abs() <= EXACT && !(f == 0.0 && f.is_sign_negative()) {
        Some(Number::from(f as i64))
    } else {
        Number::from_f64(f)
    }
}

/// An untyped number: an integer if it is written as one and fits 64 bits, else a float.
pub(super) fn parse(text: &str) -> Option<Number> {
    match text.parse::<i64>() {
        Ok(n) => Some(Number::from(n)),
        Err(_) => text.parse::<f64>().ok().filter(|f| f.is_finite()).and_then(Number::from_f64),
    }
}
