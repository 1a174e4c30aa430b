//! Syntax rules for names, labels, ports, addresses and the like, with the server's wording.
//!
//! Counterparts: apimachinery `util/validation`, `api/validate/content` and `api/validation/path`. Each function returns
//! the complaints about a value, none when it is fine; where they go (which field, which kind of error) is the
//! caller's business. Two families of length messages exist on the server ("characters" and "bytes"); both are kept.

use crate::field::{FieldError, Path};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest DNS-1123 subdomain, in bytes.
pub const DNS1123_SUBDOMAIN_MAX_LENGTH: usize = 253;
/// Longest DNS-1123 label, in bytes.
pub const DNS1123_LABEL_MAX_LENGTH: usize = 63;
/// Longest DNS-1035 label, in bytes.
pub const DNS1035_LABEL_MAX_LENGTH: usize = 63;
/// Longest label value and longest name part of a label key, in bytes.
pub const LABEL_VALUE_MAX_LENGTH: usize = 63;

const DNS1123_LABEL_FMT: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const DNS1123_SUBDOMAIN_FMT: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const WILDCARD_FMT: &str = r"\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const DNS1035_LABEL_FMT: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const LABEL_KEY_FMT: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_VALUE_FMT: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";

const DNS1123_LABEL_TEXT: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character";
const DNS1123_SUBDOMAIN_TEXT: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
const WILDCARD_TEXT: &str = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character";
const DNS1035_LABEL_TEXT: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character";
const LABEL_KEY_TEXT: &str =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const LABEL_VALUE_TEXT: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

// === wording ===

/// `must be no more than N characters`, as most rules say it.
#[must_use]
pub fn max_len_error(length: usize) -> String {
    format!("must be no more than {length} characters")
}

/// `must be no more than N bytes`, as label keys and values say it.
#[must_use]
pub fn max_bytes_error(length: usize) -> String {
    format!("must be no more than {length} bytes")
}

/// `must be non-empty`.
#[must_use]
pub fn empty_error() -> String {
    "must be non-empty".into()
}

/// `must be between LO and HI, inclusive`.
#[must_use]
pub fn inclusive_range_error(lo: i64, hi: i64) -> String {
    format!("must be between {lo} and {hi}, inclusive")
}

/// `<text> (e.g. 'a',  or 'b', regex used for validation is '<regex>')`.
#[must_use]
pub fn regex_error(text: &str, regex: &str, examples: &[&str]) -> String {
    if examples.is_empty() {
        return format!("{text} (regex used for validation is '{regex}')");
    }
    let shown: Vec<String> = examples.iter().map(|e| format!("'{e}', ")).collect();
    format!("{text} (e.g. {}regex used for validation is '{regex}')", shown.join(" or "))
}

fn bool_errors(fine: bool, complaint: impl FnOnce() -> String) -> Vec<String> {
    if fine { Vec::new() } else { vec![complaint()] }
}

// === matchers ===

fn lower_alnum(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

/// Starts and ends with `edge`, everything between is `inner`; never empty.
fn edged(s: &str, edge: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    match s.as_bytes() {
        [] => false,
        [one] => edge(*one),
        [first, middle @ .., last] => edge(*first) && edge(*last) && middle.iter().all(|b| inner(*b)),
    }
}

fn matches_label(s: &str) -> bool {
    edged(s, lower_alnum, |b| lower_alnum(b) || b == b'-')
}

fn matches_subdomain(s: &str) -> bool {
    s.split('.').all(matches_label)
}

fn matches_label_key(s: &str) -> bool {
    edged(s, |b| b.is_ascii_alphanumeric(), |b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

// === DNS names ===

/// A DNS-1123 subdomain of at most 253 bytes: `example.com`.
#[must_use]
pub fn is_dns1123_subdomain(value: &str) -> Vec<String> {
    subdomain(value, max_len_error)
}

fn subdomain(value: &str, too_long: fn(usize) -> String) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > DNS1123_SUBDOMAIN_MAX_LENGTH {
        errors.push(too_long(DNS1123_SUBDOMAIN_MAX_LENGTH));
    }
    if !matches_subdomain(value) {
        errors.push(regex_error(DNS1123_SUBDOMAIN_TEXT, DNS1123_SUBDOMAIN_FMT, &["example.com"]));
    }
    errors
}

/// A DNS-1123 label of at most 63 bytes: `my-name`.
#[must_use]
pub fn is_dns1123_label(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > DNS1123_LABEL_MAX_LENGTH {
        errors.push(max_len_error(DNS1123_LABEL_MAX_LENGTH));
    }
    if !matches_label(value) {
        errors.push(if matches_subdomain(value) {
            "must not contain dots".into()
        } else {
            regex_error(DNS1123_LABEL_TEXT, DNS1123_LABEL_FMT, &["my-name", "123-abc"])
        });
    }
    errors
}

/// A DNS-1035 label of at most 63 bytes: like a DNS-1123 label, but starting with a letter.
#[must_use]
pub fn is_dns1035_label(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > DNS1035_LABEL_MAX_LENGTH {
        errors.push(max_len_error(DNS1035_LABEL_MAX_LENGTH));
    }
    if !(matches_label(value) && value.starts_with(|c: char| c.is_ascii_lowercase())) {
        errors.push(regex_error(DNS1035_LABEL_TEXT, DNS1035_LABEL_FMT, &["my-name", "abc-123"]));
    }
    errors
}

/// `*.` and a DNS-1123 subdomain.
#[must_use]
pub fn is_wildcard_dns1123_subdomain(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > DNS1123_SUBDOMAIN_MAX_LENGTH {
        errors.push(max_len_error(DNS1123_SUBDOMAIN_MAX_LENGTH));
    }
    if !value.strip_prefix("*.").is_some_and(matches_subdomain) {
        errors.push(regex_error(WILDCARD_TEXT, WILDCARD_FMT, &["*.example.com"]));
    }
    errors
}

/// A DNS name of at least three segments: `signer.example.com`.
#[must_use]
pub fn is_fully_qualified_name(path: &Path, name: &str) -> Vec<FieldError> {
    if name.is_empty() {
        return vec![FieldError::required(path, "")];
    }
    let errors = is_dns1123_subdomain(name);
    if !errors.is_empty() {
        return vec![FieldError::invalid(path, name, errors.join(","))];
    }
    if name.split('.').count() < 3 {
        let text = "should be a domain with at least three segments separated by dots";
        return vec![FieldError::invalid(path, name, text)];
    }
    Vec::new()
}

/// A DNS name of at least two segments, each a DNS-1123 label; one trailing dot is allowed.
#[must_use]
pub fn is_fully_qualified_domain_name(path: &Path, name: &str) -> Vec<FieldError> {
    if name.is_empty() {
        return vec![FieldError::required(path, "")];
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let errors = is_dns1123_subdomain(name);
    if !errors.is_empty() {
        return vec![FieldError::invalid(path, name, errors.join(","))];
    }
    if name.split('.').count() < 2 {
        let text = "should be a domain with at least two segments separated by dots";
        return vec![FieldError::invalid(path, name, text)];
    }
    for label in name.split('.') {
        let errors = is_dns1123_label(label);
        if !errors.is_empty() {
            return vec![FieldError::invalid(path, label, errors.join(","))];
        }
    }
    Vec::new()
}

/// A DNS subdomain, a slash and an HTTP path: `acme.io/foo`.
#[must_use]
pub fn is_domain_prefixed_path(path: &Path, value: &str) -> Vec<FieldError> {
    if value.is_empty() {
        return vec![FieldError::required(path, "")];
    }
    let (host, rest) = match value.split_once('/') {
        Some((host, rest)) if !host.is_empty() && !rest.is_empty() => (host, rest),
        _ => {
            let text = "must be a domain-prefixed path (such as \"acme.io/foo\")";
            return vec![FieldError::invalid(path, value, text)];
        }
    };
    let mut errors: Vec<FieldError> =
        is_dns1123_subdomain(host).into_iter().map(|e| FieldError::invalid(path, host, e)).collect();
    if !rest.bytes().all(http_path_byte) {
        let text = regex_error("Invalid path", r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+", &[]);
        errors.push(FieldError::invalid(path, rest, text));
    }
    errors
}

fn http_path_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&b)
}

// === labels and keys ===

/// A label key: an optional DNS subdomain and a slash, then at most 63 bytes of name.
#[must_use]
pub fn is_qualified_name(value: &str) -> Vec<String> {
    let examples = &["MyName", "my.name", "123-abc"];
    let mut errors = Vec::new();
    let parts: Vec<&str> = value.split('/').collect();
    let name = match parts.as_slice() {
        [name] => *name,
        [prefix, name] => {
            if prefix.is_empty() {
                errors.push(format!("prefix part {}", empty_error()));
            } else {
                errors.extend(subdomain(prefix, max_bytes_error).into_iter().map(|e| format!("prefix part {e}")));
            }
            *name
        }
        _ => {
            return vec![format!(
                "a valid label key {} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
                regex_error(LABEL_KEY_TEXT, LABEL_KEY_FMT, examples)
            )];
        }
    };
    if name.is_empty() {
        errors.push(format!("name part {}", empty_error()));
    } else if name.len() > LABEL_VALUE_MAX_LENGTH {
        errors.push(format!("name part {}", max_bytes_error(LABEL_VALUE_MAX_LENGTH)));
    }
    if !matches_label_key(name) {
        errors.push(format!("name part {}", regex_error(LABEL_KEY_TEXT, LABEL_KEY_FMT, examples)));
    }
    errors
}

/// A label value: empty, or at most 63 bytes of name.
#[must_use]
pub fn is_valid_label_value(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > LABEL_VALUE_MAX_LENGTH {
        errors.push(max_bytes_error(LABEL_VALUE_MAX_LENGTH));
    }
    if !(value.is_empty() || matches_label_key(value)) {
        errors.push(regex_error(LABEL_VALUE_TEXT, LABEL_VALUE_FMT, &["MyValue", "my_value", "12345"]));
    }
    errors
}

/// A key of a ConfigMap or Secret: at most 253 bytes of `[-._a-zA-Z0-9]`.
#[must_use]
pub fn is_config_map_key(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > DNS1123_SUBDOMAIN_MAX_LENGTH {
        errors.push(max_len_error(DNS1123_SUBDOMAIN_MAX_LENGTH));
    }
    let byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if value.is_empty() || !value.bytes().all(byte) {
        let text = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
        errors.push(regex_error(text, "[-._a-zA-Z0-9]+", &["key.name", "KEY_NAME", "key-name"]));
    }
    errors.extend(chdir_prefix(value));
    errors
}

fn chdir_prefix(value: &str) -> Option<String> {
    match value {
        "." => Some("must not be '.'".into()),
        ".." => Some("must not be '..'".into()),
        v if v.starts_with("..") => Some("must not start with '..'".into()),
        _ => None,
    }
}

/// An environment variable name in the relaxed form of 1.36: printable ASCII without `=`.
#[must_use]
pub fn is_env_var_name(value: &str) -> Vec<String> {
    if value.is_empty() {
        return vec![format!("environment variable name {}", empty_error())];
    }
    bool_errors(value.bytes().all(|b| matches!(b, 0x20..=0x7e) && b != b'='), || {
        "a valid environment variable name must consist only of printable ASCII characters other than '='".into()
    })
}

/// An environment variable name in the strict form used before 1.34.
#[must_use]
pub fn is_strict_env_var_name(value: &str) -> Vec<String> {
    let first = |b: u8| b.is_ascii_alphabetic() || matches!(b, b'-' | b'.' | b'_');
    let fine = match value.as_bytes() {
        [head, rest @ ..] => first(*head) && rest.iter().all(|b| first(*b) || b.is_ascii_digit()),
        [] => false,
    };
    let text = "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a digit";
    let mut errors = bool_errors(fine, || {
        regex_error(text, "[-._a-zA-Z][-._a-zA-Z0-9]*", &["my.env-name", "MY_ENV.NAME", "MyEnvName1"])
    });
    errors.extend(chdir_prefix(value));
    errors
}

/// An identifier as C has them.
#[must_use]
pub fn is_cidentifier(value: &str) -> Vec<String> {
    let first = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    let fine = match value.as_bytes() {
        [head, rest @ ..] => first(*head) && rest.iter().all(|b| first(*b) || b.is_ascii_digit()),
        [] => false,
    };
    let text = "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'";
    bool_errors(fine, || regex_error(text, "[A-Za-z_][A-Za-z0-9_]*", &["my_name", "MY_NAME", "MyName"]))
}

/// An HTTP header name: letters, digits and `-`.
#[must_use]
pub fn is_http_header_name(value: &str) -> Vec<String> {
    let fine = !value.is_empty() && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let text = "a valid HTTP header must consist of alphanumeric characters or '-'";
    bool_errors(fine, || regex_error(text, "[-A-Za-z0-9]+", &["X-Header-Name"]))
}

/// A name that can be one segment of a URL path: not `.` or `..`, no `/`, no `%`.
#[must_use]
pub fn path_segment_name(name: &str) -> Vec<String> {
    match name {
        "." | ".." => vec![format!("may not be '{name}'")],
        _ => path_segment_prefix(name),
    }
}

/// The beginning of such a name.
#[must_use]
pub fn path_segment_prefix(name: &str) -> Vec<String> {
    ["/", "%"].iter().filter(|c| name.contains(**c)).map(|c| format!("may not contain '{c}'")).collect()
}

// === numbers ===

/// A port number from 1 to 65535.
#[must_use]
pub fn is_valid_port_num(port: i64) -> Vec<String> {
    is_in_range(port, 1, 65535)
}

/// A number from `lo` to `hi`, both included.
#[must_use]
pub fn is_in_range(value: i64, lo: i64, hi: i64) -> Vec<String> {
    bool_errors((lo..=hi).contains(&value), || inclusive_range_error(lo, hi))
}

/// A Unix user id.
#[must_use]
pub fn is_valid_user_id(uid: i64) -> Vec<String> {
    is_in_range(uid, 0, 0xffff_ffff)
}

/// A Unix group id.
#[must_use]
pub fn is_valid_group_id(gid: i64) -> Vec<String> {
    is_in_range(gid, 0, 0xffff_ffff)
}

/// Decimal digits and `%`.
#[must_use]
pub fn is_valid_percent(value: &str) -> Vec<String> {
    let fine = value.strip_suffix('%').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    let text = "a valid percent string must be a numeric string followed by an ending '%'";
    bool_errors(fine, || regex_error(text, "[0-9]+%", &["1%", "93%"]))
}

/// An IANA service name: at most 15 of `[-a-z0-9]`, a letter among them, hyphens inside and single.
#[must_use]
pub fn is_valid_port_name(port: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if port.len() > 15 {
        errors.push(max_len_error(15));
    }
    if port.is_empty() || !port.bytes().all(|b| lower_alnum(b) || b == b'-') {
        errors.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".into());
    }
    if !port.bytes().any(|b| b.is_ascii_lowercase()) {
        errors.push("must contain at least one letter (a-z)".into());
    }
    if port.contains("--") {
        errors.push("must not contain consecutive hyphens".into());
    }
    if port.starts_with('-') || port.ends_with('-') {
        errors.push("must not begin or end with a hyphen".into());
    }
    errors
}

// === addresses ===

/// Parses an address as the server does: leading zeros in IPv4 octets are tolerated.
#[must_use]
pub fn parse_ip_sloppy(value: &str) -> Option<IpAddr> {
    if !value.contains(':') {
        return parse_ipv4_sloppy(value).map(IpAddr::V4);
    }
    let tail = value.rfind(':').map_or(value, |at| &value[at + 1..]);
    if !tail.contains('.') {
        return value.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    let head = &value[..value.len() - tail.len()];
    let [a, b, c, d] = parse_ipv4_sloppy(tail)?.octets();
    format!("{head}{a:02x}{b:02x}:{c:02x}{d:02x}").parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

fn parse_ipv4_sloppy(value: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u8> = value.split('.').map(sloppy_octet).collect::<Option<_>>()?;
    let octets: [u8; 4] = parts.try_into().ok()?;
    Some(Ipv4Addr::from(octets))
}

fn sloppy_octet(part: &str) -> Option<u8> {
    if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    part.parse().ok()
}

/// Parses `address/prefix length` with the same tolerance.
#[must_use]
pub fn parse_cidr_sloppy(value: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = value.split_once('/')?;
    let address = parse_ip_sloppy(address)?;
    let max = if address.is_ipv4() { 32 } else { 128 };
    let length = sloppy_octet(length).filter(|n| *n <= max)?;
    Some((address, length))
}

/// An IP address.
#[must_use]
pub fn is_valid_ip(value: &str) -> Vec<String> {
    bool_errors(parse_ip_sloppy(value).is_some(), || {
        "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".into()
    })
}

/// An IPv4 address.
#[must_use]
pub fn is_valid_ipv4_address(value: &str) -> Vec<String> {
    bool_errors(parse_ip_sloppy(value).is_some_and(|ip| is_v4(&ip)), || "must be a valid IPv4 address".into())
}

/// An IPv6 address.
#[must_use]
pub fn is_valid_ipv6_address(value: &str) -> Vec<String> {
    bool_errors(parse_ip_sloppy(value).is_some_and(|ip| !is_v4(&ip)), || "must be a valid IPv6 address".into())
}

/// Go's `net.IP.To4` sees mapped addresses as IPv4.
fn is_v4(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(_) => true,
        IpAddr::V6(six) => six.to_ipv4_mapped().is_some(),
    }
}

/// A block of addresses.
#[must_use]
pub fn is_valid_cidr(value: &str) -> Vec<String> {
    bool_errors(parse_cidr_sloppy(value).is_some(), || {
        "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)".into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(rule: fn(&str) -> Vec<String>, good: &[&str], bad: &[&str]) {
        for value in good {
            assert_eq!(rule(value), Vec::<String>::new(), "{value:?}");
        }
        for value in bad {
            assert!(!rule(value).is_empty(), "{value:?}");
        }
    }

    #[test]
    fn dns_names_follow_their_rfcs() {
        check(
            is_dns1123_subdomain,
            &["a", "1.2", "a-b.c", "0"],
            &["", "A", "a..b", "-a", "a-", "a.", ".a", "a_b", "ä"],
        );
        check(is_dns1123_label, &["a", "1a", "a--b"], &["", "a.b", "-a", "A"]);
        check(is_dns1035_label, &["a", "a1", "a-1"], &["", "1a", "a-", "a.b"]);
        check(is_wildcard_dns1123_subdomain, &["*.a", "*.a.b"], &["*", "*.", "a", "*.*.a", "*a.b", "**.a"]);
        assert_eq!(is_dns1123_label("a.b"), ["must not contain dots"]);
        assert_eq!(is_dns1123_subdomain(&"a".repeat(254)), ["must be no more than 253 characters"]);
    }

    #[test]
    fn label_keys_and_values_complain_in_bytes() {
        check(is_qualified_name, &["a", "a/b", "a.b/C_d.e", "A"], &["", "/a", "a/", "a/b/c", "A/b", "a b", "-a", "a."]);
        check(is_valid_label_value, &["", "a", "A.b_c-d"], &["-", "a ", "a/b", "_"]);
        assert_eq!(is_qualified_name(&"a".repeat(64)), ["name part must be no more than 63 bytes"]);
        assert_eq!(is_valid_label_value(&"a".repeat(64)), ["must be no more than 63 bytes"]);
        assert_eq!(is_qualified_name("/a"), ["prefix part must be non-empty"]);
        let two = is_qualified_name("");
        assert_eq!(two[0], "name part must be non-empty");
        assert_eq!(
            two[1],
            "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
        );
    }

    #[test]
    fn keys_identifiers_and_headers_are_told_apart() {
        check(is_config_map_key, &["a", ".a", "a..b", "A_b-c"], &["", ".", "..", "..a", "a/b", "a b"]);
        check(is_env_var_name, &["A", "1 x", "a.b", "$"], &["", "a=b", "a\n", "ä"]);
        check(is_strict_env_var_name, &["A", "a.b", "_"], &["", "1", "a b", ".."]);
        check(is_cidentifier, &["a", "_1"], &["", "1", "a-b"]);
        check(is_http_header_name, &["X-A", "1"], &["", "a_b", "a b"]);
        check(path_segment_name, &["a b", "a:b", "...", ""], &[".", "..", "a/b", "a%b"]);
    }

    #[test]
    fn ports_and_percentages_have_limits() {
        assert_eq!(is_valid_port_num(0), ["must be between 1 and 65535, inclusive"]);
        assert!(is_valid_port_num(65535).is_empty());
        check(is_valid_port_name, &["a", "http-2"], &["", "1", "A", "a--b", "-a", "a-", "aaaaaaaaaaaaaaaa"]);
        check(is_valid_percent, &["0%", "100%"], &["", "%", "1", "-1%", "1%%"]);
    }

    #[test]
    fn addresses_are_read_sloppily() {
        check(
            is_valid_ip,
            &["1.2.3.4", "010.1.1.1", "::", "::1", "::ffff:1.2.03.4", "2001:db8::ffff"],
            &["", "1.2.3", "1.2.3.256", "1.2.3.4.5", "a", "::1%eth0", ":::", "1.2.3.+4"],
        );
        check(
            is_valid_cidr,
            &["10.0.0.0/8", "10.0.0.1/032", "::/0"],
            &["10.0.0.0", "10.0.0.0/33", "::/129", "a/1", "/"],
        );
        check(is_valid_ipv4_address, &["1.2.3.4", "::ffff:1.2.3.4"], &["::1"]);
        check(is_valid_ipv6_address, &["::1"], &["1.2.3.4", "::ffff:1.2.3.4"]);
    }

    #[test]
    fn qualified_names_need_segments() {
        let path = Path::new("spec");
        assert!(is_fully_qualified_name(&path, "a.b.c").is_empty());
        assert_eq!(is_fully_qualified_name(&path, "")[0].to_string(), "spec: Required value");
        assert!(!is_fully_qualified_name(&path, "a.b").is_empty());
        assert!(is_fully_qualified_domain_name(&path, "a.b.").is_empty());
        assert!(!is_fully_qualified_domain_name(&path, "a").is_empty());
        assert!(is_domain_prefixed_path(&path, "acme.io/foo").is_empty());
        assert!(!is_domain_prefixed_path(&path, "acme.io/").is_empty());
    }

    proptest! {
        #[test]
        fn no_input_panics(s in "\\PC{0,80}") {
            let rules: [fn(&str) -> Vec<String>; 14] = [
                is_dns1123_subdomain, is_dns1123_label, is_dns1035_label, is_wildcard_dns1123_subdomain,
                is_qualified_name, is_valid_label_value, is_config_map_key, is_env_var_name, is_cidentifier,
                is_http_header_name, is_valid_port_name, is_valid_ip, is_valid_cidr, path_segment_name,
            ];
            for rule in rules {
                let _ = rule(&s);
            }
        }
    }
}
