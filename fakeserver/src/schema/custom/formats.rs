//! String formats that schemas may name.
//!
//! Counterpart: kube-openapi `validation/strfmt`. Formats the server does not know are ignored, as it ignores them.

use base64::Engine as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A format that is checked, under its own name.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Uri,
    Email,
    Hostname,
    Ipv4,
    Ipv6,
    Cidr,
    Mac,
    Uuid,
    UuidVersion(u8),
    BsonObjectId,
    Isbn,
    Isbn10,
    Isbn13,
    CreditCard,
    Ssn,
    HexColor,
    RgbColor,
    Byte,
    Password,
    Date,
    Duration,
    DateTime,
    Quantity,
    ShortName,
    LongName,
}

impl Format {
    /// The format of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name.replace('-', "").as_str() {
            "uri" => Self::Uri,
            "email" => Self::Email,
            "hostname" => Self::Hostname,
            "ipv4" => Self::Ipv4,
            "ipv6" => Self::Ipv6,
            "cidr" => Self::Cidr,
            "mac" => Self::Mac,
            "uuid" => Self::Uuid,
            "uuid3" => Self::UuidVersion(3),
            "uuid4" => Self::UuidVersion(4),
            "uuid5" => Self::UuidVersion(5),
            "bsonobjectid" => Self::BsonObjectId,
            "isbn" => Self::Isbn,
            "isbn10" => Self::Isbn10,
            "isbn13" => Self::Isbn13,
            "creditcard" => Self::CreditCard,
            "ssn" => Self::Ssn,
            "hexcolor" => Self::HexColor,
            "rgbcolor" => Self::RgbColor,
            "byte" => Self::Byte,
            "password" => Self::Password,
            "date" => Self::Date,
            "duration" => Self::Duration,
            "datetime" => Self::DateTime,
            "quantity" => Self::Quantity,
            "k8sshortname" => Self::ShortName,
            "k8slongname" => Self::LongName,
            _ => return None,
        })
    }

    /// Whether the server acts upon a format at this JSON type (empty: none or several).
    #[must_use]
    pub fn is_known(name: &str, json_type: &str) -> bool {
        match json_type {
            "" | "string" => Self::named(name).is_some(),
            "integer" => matches!(name, "int32" | "int64"),
            "number" => matches!(name, "float" | "double"),
            _ => false,
        }
    }

    /// Whether a text is of this format.
    #[must_use]
    pub fn accepts(self, text: &str) -> bool {
        match self {
            Self::Uri => is_request_uri(text),
            Self::Email => is_email(text),
            Self::Hostname => is_hostname(text),
            Self::Ipv4 => text.parse::<Ipv4Addr>().is_ok(),
            Self::Ipv6 => text.parse::<Ipv6Addr>().is_ok(),
            Self::Cidr => is_cidr(text),
            Self::Mac => is_mac(text),
            Self::Uuid => is_uuid(text, None),
            Self::UuidVersion(version) => is_uuid(text, Some(version)),
            Self::BsonObjectId => text.len() == 24 && is_hex(text),
            Self::Isbn => is_isbn10(text) || is_isbn13(text),
            Self::Isbn10 => is_isbn10(text),
            Self::Isbn13 => is_isbn13(text),
            Self::CreditCard => is_credit_card(text),
            Self::Ssn => is_ssn(text),
            Self::HexColor => {
                let digits = text.strip_prefix('#').unwrap_or(text);
                matches!(digits.len(), 3 | 6) && is_hex(digits)
            }
            Self::RgbColor => is_rgb(text),
            Self::Byte => base64::engine::general_purpose::STANDARD.decode(text).is_ok(),
            Self::Password => true,
            Self::Date => is_date(text),
            Self::Duration => rehearsal_apimachinery::time::parse_duration(text).is_ok() || is_long_duration(text),
            Self::DateTime => is_date_time(text),
            Self::Quantity => text.parse::<rehearsal_apimachinery::quantity::Quantity>().is_ok(),
            Self::ShortName => rehearsal_apimachinery::validation::is_dns1123_label(text).is_empty(),
            Self::LongName => rehearsal_apimachinery::validation::is_dns1123_subdomain(text).is_empty(),
        }
    }
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Go's `url.ParseRequestURI`: an absolute URI, or an absolute path.
fn is_request_uri(text: &str) -> bool {
    if text.is_empty() || text.bytes().any(|b| b < 0x20 || b == 0x7f) {
        return false;
    }
    if text.starts_with('/') {
        return true;
    }
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let mut letters = scheme.chars();
    letters.next().is_some_and(|c| c.is_ascii_alphabetic())
        && letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
        && !rest.is_empty()
        && !rest.contains(' ')
}

fn is_email(text: &str) -> bool {
    let address = match (text.find('<'), text.strip_suffix('>')) {
        (Some(start), Some(open)) => open.get(start + 1..).unwrap_or_default(),
        _ => text,
    };
    let Some((local, domain)) = address.rsplit_once('@') else { return false };
    let atom = |s: &str| {
        !s.is_empty()
            && s.split('.').all(|p| !p.is_empty())
            && !s.contains(|c: char| c.is_whitespace() || c.is_control() || "()<>[]:;@\\,\"".contains(c))
    };
    atom(local) && atom(domain)
}

fn is_hostname(text: &str) -> bool {
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && l.chars().all(|c| c.is_alphanumeric() || c == '-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    !text.is_empty() && text.len() <= 255 && text.strip_suffix('.').unwrap_or(text).split('.').all(label)
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let most = if address.is_ipv4() { 32 } else { 128 };
    digits(bits) && bits.parse::<u8>().is_ok_and(|n| n <= most)
}

fn is_mac(text: &str) -> bool {
    let pairs = |separator: char, width: usize| {
        let parts: Vec<&str> = text.split(separator).collect();
        matches!(parts.len() * width / 2, 6 | 8 | 20) && parts.iter().all(|p| p.len() == width && is_hex(p))
    };
    pairs(':', 2) || pairs('-', 2) || pairs('.', 4)
}

fn is_uuid(text: &str, version: Option<u8>) -> bool {
    let compact: String = text.chars().filter(|c| *c != '-').collect();
    if compact.len() != 32
        || !is_hex(&compact)
        || text.contains('-') && !text.split('-').map(str::len).eq([8, 4, 4, 4, 12])
    {
        return false;
    }
    let at = |i: usize| compact.as_bytes().get(i).copied().unwrap_or_default().to_ascii_lowercase();
    match version {
        None => true,
        Some(3) => at(12) == b'3',
        Some(v) => at(12) == b'0' + v && matches!(at(16), b'8' | b'9' | b'a' | b'b'),
    }
}

fn is_isbn10(text: &str) -> bool {
    let compact: String = text.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
    if compact.len() != 10 || !digits(compact.get(..9).unwrap_or_default()) {
        return false;
    }
    let value = |c: char| if c == 'X' { Some(10) } else { c.to_digit(10) };
    let sum: Option<u32> = compact.chars().zip(1..).map(|(c, n)| value(c).map(|v| v * n)).sum();
    sum.is_some_and(|s| s % 11 == 0)
}

fn is_isbn13(text: &str) -> bool {
    let compact: String = text.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
    if compact.len() != 13 || !digits(&compact) {
        return false;
    }
    let weighed = compact.chars().filter_map(|c| c.to_digit(10)).zip([1, 3].into_iter().cycle()).map(|(d, w)| d * w);
    weighed.sum::<u32>() % 10 == 0
}

fn is_credit_card(text: &str) -> bool {
    let compact: String = text.chars().filter(char::is_ascii_digit).collect();
    if !(13..=19).contains(&compact.len()) || text.chars().any(|c| !c.is_ascii_digit() && !matches!(c, ' ' | '-')) {
        return false;
    }
    let luhn = compact.chars().rev().filter_map(|c| c.to_digit(10)).enumerate().map(|(i, d)| match i % 2 {
        0 => d,
        _ if d > 4 => d * 2 - 9,
        _ => d * 2,
    });
    luhn.sum::<u32>() % 10 == 0
}

fn is_ssn(text: &str) -> bool {
    let compact: String = text.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
    compact.len() == 9 && digits(&compact)
}

fn is_rgb(text: &str) -> bool {
    let inner = text.strip_prefix("rgb(").and_then(|t| t.strip_suffix(')'));
    let Some(inner) = inner else { return false };
    let parts: Vec<&str> = inner.split(',').map(str::trim).collect();
    parts.len() == 3 && parts.iter().all(|p| digits(p) && p.parse::<u16>().is_ok_and(|n| n <= 255))
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()
}

/// `strfmt.ParseDuration` also reads `3 days`, `1w` and the like.
fn is_long_duration(text: &str) -> bool {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    const UNITS: [&str; 28] = [
        "ns",
        "nano",
        "nanosecond",
        "us",
        "µs",
        "micro",
        "microsecond",
        "ms",
        "milli",
        "millisecond",
        "s",
        "sec",
        "second",
        "m",
        "min",
        "minute",
        "h",
        "hr",
        "hour",
        "d",
        "day",
        "w",
        "wk",
        "week",
        "nanos",
        "micros",
        "millis",
        "weeks",
    ];
    let unit = unit.trim().to_lowercase();
    let unit = unit.as_str();
    number.parse::<f64>().is_ok()
        && (UNITS.contains(&unit) || unit.strip_suffix('s').is_some_and(|u| UNITS.contains(&u)))
}

/// RFC 3339, where the `T` and the `Z` may be lower case and the seconds may have a fraction.
fn is_date_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() < 20 || !matches!(bytes.get(10), Some(b'T' | b't')) {
        return false;
    }
    text.to_ascii_uppercase().parse::<jiff::Timestamp>().is_ok()
}
