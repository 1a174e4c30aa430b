//! Quantities: `100m`, `1Gi`, `0.5`, `1e3`. Parsing, comparison, arithmetic and the canonical text.
//!
//! Counterpart: apimachinery `api/resource.Quantity`. A value is held in billionths, which is the precision the real
//! server keeps; anything finer is rounded away from zero, and binary quantities are capped at 2^63-1.

use std::cmp::Ordering;
use std::fmt;
use std::ops::{Add, Neg, Sub};
use std::str::FromStr;

const NANO: i128 = 1_000_000_000;
const CAP: i128 = i64::MAX as i128 * NANO;

/// How a quantity was written, which decides how it is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `1e3`.
    DecimalExponent,
    /// `1Ki`.
    BinarySi,
    /// `1k`.
    #[default]
    DecimalSi,
}

/// A fixed-point number with a preferred format.
///
/// Equality and order look at the number alone: `1000m` equals `1`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

/// Why a text is not a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseQuantityError {
    /// The text has the wrong form.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    FormatWrong,
    /// The digits are no number.
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    /// The suffix is unknown.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

impl Quantity {
    /// Zero, written in decimal SI.
    pub const ZERO: Self = Self { nanos: 0, format: Format::DecimalSi };

    /// A whole number.
    #[must_use]
    pub const fn new(value: i64, format: Format) -> Self {
        Self { nanos: value as i128 * NANO, format }
    }

    /// A number of thousandths, in decimal SI.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self { nanos: millis as i128 * (NANO / 1000), format: Format::DecimalSi }
    }

    /// The value as a whole number, rounded away from zero and capped to 64 bits.
    #[must_use]
    pub fn value(self) -> i64 {
        saturate(divide_away(self.nanos, NANO))
    }

    /// The value in thousandths, rounded away from zero and capped to 64 bits.
    #[must_use]
    pub fn milli_value(self) -> i64 {
        saturate(divide_away(self.nanos, NANO / 1000))
    }

    /// Rounds away from zero to thousandths, as the server does with resource lists.
    #[must_use]
    pub fn round_up_to_milli(self) -> Self {
        let unit = NANO / 1000;
        Self { nanos: divide_away(self.nanos, unit).saturating_mul(unit), ..self }
    }

    /// Whether the value is zero.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.nanos == 0
    }

    /// -1, 0 or 1.
    #[must_use]
    pub const fn signum(self) -> i32 {
        self.nanos.signum() as i32
    }

    /// The format it was written in.
    #[must_use]
    pub const fn format(self) -> Format {
        self.format
    }

    /// The format of a sum: a zero takes the other operand's.
    fn format_with(self, other: Self) -> Format {
        if self.nanos == 0 { other.format } else { self.format }
    }
}

fn saturate(n: i128) -> i64 {
    i64::try_from(n).unwrap_or(if n < 0 { i64::MIN } else { i64::MAX })
}

fn divide_away(n: i128, unit: i128) -> i128 {
    n / unit + if n % unit == 0 { 0 } else { n.signum() }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl Add for Quantity {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { nanos: self.nanos.saturating_add(other.nanos), format: self.format_with(other) }
    }
}

impl Sub for Quantity {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self { nanos: self.nanos.saturating_sub(other.nanos), format: self.format_with(other) }
    }
}

impl Neg for Quantity {
    type Output = Self;
    fn neg(self) -> Self {
        Self { nanos: self.nanos.saturating_neg(), ..self }
    }
}

/// The canonical text of a quantity.
///
/// # Errors
/// If the text is no quantity.
pub fn canonical(text: &str) -> Result<String, ParseQuantityError> {
    text.parse::<Quantity>().map(|q| q.to_string())
}

// === parsing ===

/// The pieces of a quantity's text.
struct Pieces<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    suffix: &'a str,
}

/// Cuts the text as the server does: a lenient scan rather than the regular expression its error names.
fn cut(text: &str) -> Result<Pieces<'_>, ParseQuantityError> {
    let negative = text.starts_with('-');
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text).trim_start_matches('0');
    let (whole, rest) = split_digits(rest);
    let (fraction, suffix) = match rest.strip_prefix('.') {
        Some(rest) => split_digits(rest),
        None => ("", rest),
    };
    let exponent = suffix.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
    let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        Ok(Pieces { negative, whole, fraction, suffix })
    } else {
        Err(ParseQuantityError::FormatWrong)
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len()))
}

/// What a suffix multiplies by.
enum Unit {
    Decimal(i32, Format),
    Binary(u32),
}

fn unit(suffix: &str) -> Result<Unit, ParseQuantityError> {
    let si = |exponent| Ok(Unit::Decimal(exponent, Format::DecimalSi));
    match suffix {
        "n" => si(-9),
        "u" => si(-6),
        "m" => si(-3),
        "" => si(0),
        "k" => si(3),
        "M" => si(6),
        "G" => si(9),
        "T" => si(12),
        "P" => si(15),
        "E" => si(18),
        "Ki" => Ok(Unit::Binary(10)),
        "Mi" => Ok(Unit::Binary(20)),
        "Gi" => Ok(Unit::Binary(30)),
        "Ti" => Ok(Unit::Binary(40)),
        "Pi" => Ok(Unit::Binary(50)),
        "Ei" => Ok(Unit::Binary(60)),
        _ => suffix
            .strip_prefix(['e', 'E'])
            .and_then(|digits| digits.parse::<i32>().ok())
            .map(|exponent| Unit::Decimal(exponent, Format::DecimalExponent))
            .ok_or(ParseQuantityError::Suffix),
    }
}

impl FromStr for Quantity {
    type Err = ParseQuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(ParseQuantityError::FormatWrong);
        }
        let pieces = cut(text)?;
        let unit = unit(pieces.suffix)?;
        let places = i32::try_from(pieces.fraction.len()).unwrap_or(i32::MAX);
        let (magnitude, format) = match unit {
            Unit::Decimal(exponent, format) => (scale(&pieces, exponent.saturating_sub(places), 1), format),
            Unit::Binary(shift) => (scale(&pieces, -places, 1 << shift).min(CAP), Format::BinarySi),
        };
        let small_binary = format == Format::BinarySi && magnitude > 0 && magnitude < NANO;
        Ok(Self {
            nanos: if pieces.negative { -magnitude } else { magnitude },
            format: if small_binary { Format::DecimalSi } else { format },
        })
    }
}

/// `digits * factor * 10^exponent` in billionths, rounded up; saturates far above the cap.
fn scale(pieces: &Pieces<'_>, exponent: i32, factor: i128) -> i128 {
    let digits = || pieces.whole.bytes().chain(pieces.fraction.bytes()).map(|b| i128::from(b - b'0'));
    let dropped = usize::try_from(-(i64::from(exponent) + 9)).unwrap_or(0);
    if dropped == 0 {
        let power = u32::try_from(i64::from(exponent) + 9).unwrap_or(u32::MAX);
        let mantissa = digits().fold(0_i128, |n, d| n.saturating_mul(10).saturating_add(d)).saturating_mul(factor);
        if mantissa == 0 {
            return 0;
        }
        return mantissa.saturating_mul(10_i128.checked_pow(power).unwrap_or(i128::MAX)).min(i128::MAX - 1);
    }
    // Digits finer than a billionth: long division by powers of ten, remembering whether anything was lost.
    let mut nanos = digits().fold(0_i128, |n, d| n.saturating_mul(10).saturating_add(d)).saturating_mul(factor);
    let mut lost = false;
    for _ in 0..dropped.min(64) {
        lost |= nanos % 10 != 0;
        nanos /= 10;
    }
    nanos.saturating_add(i128::from(lost)).min(i128::MAX - 1)
}

// === printing ===

const DECIMAL: [(i32, &str); 10] =
    [(-9, "n"), (-6, "u"), (-3, "m"), (0, ""), (3, "k"), (6, "M"), (9, "G"), (12, "T"), (15, "P"), (18, "E")];
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

impl fmt::Display for Quantity {
    /// Prints the canonical form: the largest suffix that leaves a whole number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let small = self.nanos.abs() < 1024 * NANO;
        if self.nanos == 0 {
            f.write_str("0")
        } else if self.format == Format::BinarySi && !small && self.nanos % NANO == 0 {
            write_binary(f, self.nanos / NANO)
        } else {
            write_decimal(f, self.nanos, self.format)
        }
    }
}

fn write_binary(f: &mut fmt::Formatter<'_>, mut number: i128) -> fmt::Result {
    let mut steps = 0;
    while number % 1024 == 0 && steps + 1 < BINARY.len() {
        number /= 1024;
        steps += 1;
    }
    write!(f, "{number}{}", BINARY.get(steps).unwrap_or(&""))
}

fn write_decimal(f: &mut fmt::Formatter<'_>, mut number: i128, format: Format) -> fmt::Result {
    let mut exponent = -9;
    while number % 1000 == 0 && (exponent < 18 || format == Format::DecimalExponent) {
        number /= 1000;
        exponent += 3;
    }
    match (format, exponent) {
        (_, 0) => write!(f, "{number}"),
        (Format::DecimalExponent, _) => write!(f, "{number}e{exponent}"),
        _ => {
            let suffix = DECIMAL.iter().find(|(e, _)| *e == exponent).map_or("", |(_, s)| *s);
            write!(f, "{number}{suffix}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn canonical_forms_are_those_of_the_server() {
        for (text, want) in CANONICAL {
            assert_eq!(canonical(text).as_deref(), Ok(*want), "{text}");
        }
    }

    /// Printed by apimachinery 0.34 itself.
    const CANONICAL: &[(&str, &str)] = &[
        ("0", "0"),
        ("0.0", "0"),
        ("1000m", "1"),
        ("1024Mi", "1Gi"),
        ("0.5", "500m"),
        ("1.5Gi", "1536Mi"),
        ("1500m", "1500m"),
        ("100000", "100k"),
        ("1e3", "1e3"),
        ("1E3", "1e3"),
        ("1000e3", "1e6"),
        ("12e-1", "1200e-3"),
        ("0.1Ki", "102400m"),
        ("512Ki", "512Ki"),
        ("1023Ki", "1023Ki"),
        ("1000Ki", "1000Ki"),
        ("2048", "2048"),
        ("1000k", "1M"),
        ("+1", "1"),
        ("-1500m", "-1500m"),
        ("1n", "1n"),
        ("0.1n", "1n"),
        ("1.0000000001", "1000000001n"),
        ("500Ei", "9223372036854775807"),
        ("1.", "1"),
        (".5", "500m"),
        ("-8Ei", "-9223372036854775807"),
        ("123456789123456789123", "123456789123456789123"),
        ("10000000000000000000", "10E"),
        ("1e19", "10e18"),
        ("1e-10", "1e-9"),
        ("m", "0"),
        ("-", "0"),
        ("1.0000000001Gi", "1073741824107374183n"),
        ("0.0001Ki", "102400u"),
    ];

    #[test]
    fn refusals_carry_the_servers_words() {
        use ParseQuantityError::{FormatWrong, Suffix};
        for (text, want) in [
            ("", FormatWrong),
            ("lots", FormatWrong),
            ("1x", FormatWrong),
            ("1 ", FormatWrong),
            ("1mm", Suffix),
            ("1K", Suffix),
            ("1i", Suffix),
            ("1e", Suffix),
        ] {
            assert_eq!(text.parse::<Quantity>(), Err(want), "{text}");
        }
    }

    #[test]
    fn values_round_away_from_zero() {
        let q: Quantity = "1.0001".parse().unwrap();
        assert_eq!((q.value(), q.milli_value()), (2, 1001));
        assert_eq!(q.round_up_to_milli().to_string(), "1001m");
        let q: Quantity = "-1.0001".parse().unwrap();
        assert_eq!((q.value(), q.milli_value()), (-2, -1001));
    }

    #[test]
    fn sums_keep_the_first_format() {
        let sum = "1Gi".parse::<Quantity>().unwrap() + "1G".parse().unwrap();
        assert_eq!(sum.format(), Format::BinarySi);
        let sum = Quantity::ZERO + "1Gi".parse().unwrap();
        assert_eq!(sum.to_string(), "1Gi");
    }

    proptest! {
        #[test]
        fn printing_then_parsing_is_the_identity(n in any::<i64>(), suffix in "(|n|u|m|k|Ki|Mi|e3|e-3)") {
            if let Ok(q) = format!("{n}{suffix}").parse::<Quantity>() {
                let text = q.to_string();
                let again: Quantity = text.parse().unwrap();
                prop_assert_eq!(again.to_string(), text);
                if !suffix.contains('i') && n.unsigned_abs() < 1 << 50 {
                    prop_assert_eq!(again, q);
                }
            }
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC{0,24}") {
            let _ = text.parse::<Quantity>();
        }

        #[test]
        fn any_near_miss_is_parsed_or_refused(text in "[+-]?[0-9.]{0,50}[eEinumkKMGTP]{0,3}[-+]?[0-9]{0,12}") {
            if let Ok(q) = text.parse::<Quantity>() {
                let _ = (q + q - q, -q, q.value(), q.milli_value(), q.to_string(), q.round_up_to_milli());
            }
        }

        #[test]
        fn addition_is_undone_by_subtraction(a in any::<i32>(), b in any::<i32>()) {
            let (a, b) = (Quantity::from_millis(a.into()), Quantity::from_millis(b.into()));
            prop_assert_eq!(a + b - b, a);
            prop_assert_eq!(a + b, b + a);
            prop_assert_eq!(a.cmp(&b), a.milli_value().cmp(&b.milli_value()));
        }
    }
}
