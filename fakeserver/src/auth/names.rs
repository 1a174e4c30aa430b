//! Names of well-known users and groups, and the DNS names that other user names are made of.
//!
//! Counterpart: apiserver `authentication/user` and apimachinery `util/validation.IsDNS1123{Label,Subdomain}`.

/// The user of a request without credentials.
pub(super) const ANONYMOUS: &str = "system:anonymous";
/// The group of everybody with credentials.
pub(super) const AUTHENTICATED: &str = "system:authenticated";
/// The group of everybody without.
pub(super) const UNAUTHENTICATED: &str = "system:unauthenticated";

/// DNS-1123 subdomain of at most 253 bytes.
pub(super) fn is_dns_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_dns_label_part)
}

/// DNS-1123 label of at most 63 bytes.
pub(super) fn is_dns_label(name: &str) -> bool {
    name.len() <= 63 && is_dns_label_part(name)
}

fn is_dns_label_part(part: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !part.is_empty() && part.bytes().all(inner) && !part.starts_with('-') && !part.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_other_words() {
        for (name, label, subdomain) in [
            ("a", true, true),
            ("a-1", true, true),
            ("a.b", false, true),
            ("", false, false),
            ("a..b", false, false),
            ("-a", false, false),
            ("A", false, false),
            (&"a".repeat(64), false, true),
            (&"a.".repeat(127), false, false),
        ] {
            assert_eq!((is_dns_label(name), is_dns_subdomain(name)), (label, subdomain), "{name}");
        }
    }
}
