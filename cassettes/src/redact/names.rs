//! What the name of a member, variable or flag says about its value, and whether a value looks like a secret at all.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::pseudonym::is_placeholder;

/// What a name promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sense {
    /// Nothing secret.
    No,
    /// A secret, or the name of one: the value decides.
    Maybe,
    /// A secret.
    Yes,
}

/// The words of a name in lower case: `dbPassword`, `DB_PASSWORD` and `db.password` are the same two.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut fresh = true;
    let mut small = false;
    for c in name.chars() {
        if !c.is_alphanumeric() {
            fresh = true;
            continue;
        }
        if fresh || (c.is_uppercase() && small) {
            words.push(String::new());
        }
        fresh = false;
        small = c.is_lowercase() || c.is_ascii_digit();
        if let Some(word) = words.last_mut() {
            word.extend(c.to_lowercase());
        }
    }
    words
}

/// Names whose last word would lead astray.
const INNOCENT: [&str; 3] = ["continue token", "next page token", "page token"];

/// No telling name is without one of these; most names are without all of them.
static TELLING: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let parts = ["pass", "pwd", "secret", "token", "key", "cred", "auth", "cookie", "pin", "bearer", "-data"];
    AhoCorasick::builder().ascii_case_insensitive(true).build(parts).expect("fixed words build an automaton")
});

/// What a name promises about its value.
pub(super) fn sense(name: &str) -> Sense {
    if name.len() < 3 || name.len() > 128 || !TELLING.is_match(name) {
        return Sense::No;
    }
    let words = words(name);
    let Some(last) = words.last().map(String::as_str) else { return Sense::No };
    let before = words.len().checked_sub(2).and_then(|n| words.get(n)).map_or("", String::as_str);
    // A constant's spelling means the value itself: a reference to a Secret is spelt like a field.
    let loud = name.contains('_') || name.chars().all(|c| !c.is_lowercase());
    if INNOCENT.contains(&words.join(" ").as_str()) {
        return Sense::No;
    }
    if ["password", "passwd", "passphrase", "passcode", "userpass"].iter().any(|w| last.ends_with(w)) {
        return Sense::Yes;
    }
    match last {
        "pwd" => Sense::Yes,
        "pass" if before != "proxy" && (loud || words.len() > 1) => Sense::Yes,
        "authorization" | "cookie" | "apikey" | "secretkey" | "privatekey" | "clientsecret" => Sense::Yes,
        "token" | "tokens" => Sense::Yes,
        "data" if matches!(before, "key" | "certificate") && words.first().is_some_and(|w| w == "client") => Sense::Yes,
        "key" => match before {
            "api" | "private" | "encryption" | "signing" | "shared" | "master" | "account" | "hmac" | "jwt" => {
                Sense::Yes
            }
            "access" | "secret" | "auth" | "session" | "cookie" if loud => Sense::Yes,
            "access" | "secret" | "auth" | "session" | "license" => Sense::Maybe,
            _ => Sense::No,
        },
        "secret" | "secrets" => match before {
            "client" | "app" | "oauth" | "oauth2" | "webhook" | "consumer" | "api" | "cookie" | "session" | "jwt" => {
                Sense::Yes
            }
            _ if loud => Sense::Yes,
            _ => Sense::Maybe,
        },
        "credential" | "credentials" | "creds" | "pin" | "bearer" | "auth" => Sense::Maybe,
        _ if last.ends_with("token") || last.ends_with("secret") => Sense::Maybe,
        _ => Sense::No,
    }
}

/// Whether a header's value is a credential.
pub(super) fn is_credential_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(
        name.as_str(),
        "authorization" | "proxy-authorization" | "cookie" | "set-cookie" | "x-api-key" | "api-key" | "x-auth-token"
    ) || name.ends_with("-token")
        || name.ends_with("-secret")
        || name.ends_with("-password")
}

/// Values that stand for something else, or say yes or no.
const WORDS: [&str; 16] = [
    "true", "false", "null", "none", "nil", "yes", "no", "enabled", "disabled", "required", "optional", "always",
    "never", "auto", "default", "<none>",
];

/// Whether a value under a telling name can be the secret itself: not a switch, a reference, a path or a placeholder.
pub(super) fn is_value(value: &str) -> bool {
    let value = value.trim();
    let reference = value.starts_with("$(")
        || value.starts_with("${")
        || value.starts_with("{{")
        || (value.starts_with('<') && value.ends_with('>'));
    let path = value.starts_with('/') && value[1..].contains('/') && !value.contains(['+', '=', ' ']);
    let masked = !value.is_empty() && value.bytes().all(|b| matches!(b, b'*' | b'x' | b'X' | b'.'));
    !value.is_empty()
        && !reference
        && !path
        && !masked
        && !WORDS.iter().any(|word| word.eq_ignore_ascii_case(value))
        && !is_placeholder(value)
}

/// Whether a value looks drawn at random rather than written: the test where a name leaves it open.
pub(super) fn looks_random(value: &str) -> bool {
    let digit = value.bytes().any(|b| b.is_ascii_digit());
    let letter = value.bytes().any(|b| b.is_ascii_alphabetic());
    let mixed = value.bytes().any(|b| b.is_ascii_lowercase()) && value.bytes().any(|b| b.is_ascii_uppercase());
    let spaced = value.contains([' ', '/']) && !value.ends_with('=');
    is_value(value) && value.len() >= 12 && !spaced && letter && (digit || mixed) && entropy(value.as_bytes()) >= 3.3
}

/// Shannon entropy in bits a byte.
pub(super) fn entropy(bytes: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    bytes.iter().for_each(|b| counts[usize::from(*b)] += 1);
    let total = bytes.len() as f64;
    let share = |n: &u32| {
        let p = f64::from(*n) / total;
        -p * p.log2()
    };
    counts.iter().filter(|n| **n > 0).map(share).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_they_hold() {
        for name in
            ["password", "DB_PASSWORD", "dbPassword", "db.password", "token", "bearer-token", "API_KEY", "apiKey"]
        {
            assert_eq!(sense(name), Sense::Yes, "{name}");
        }
        for name in ["AWS_SECRET_ACCESS_KEY", "clientSecret", "client-key-data", "APP_SECRET", "id-token", "privateKey"]
        {
            assert_eq!(sense(name), Sense::Yes, "{name}");
        }
        for name in ["secret", "secretKey", "credentials", "hostsecret", "auth"] {
            assert_eq!(sense(name), Sense::Maybe, "{name}");
        }
        let innocent =
            ["secretName", "TOKEN_TTL", "passwordSecretRef", "key", "continueToken", "tokenExpirationSeconds"];
        for name in innocent.into_iter().chain([
            "PASSWORD_FILE",
            "proxy_pass",
            "name",
            "image",
            "",
            "certificate-authority-data",
        ]) {
            assert_eq!(sense(name), Sense::No, "{name}");
        }
    }

    #[test]
    fn references_and_switches_are_no_values() {
        for value in ["", "true", "None", "$(POD_IP)", "${X}", "/var/run/secrets/token", "redacted-01234567", "****"] {
            assert!(!is_value(value), "{value}");
        }
        assert!(is_value("hunter2") && is_value("changeme"));
        assert!(looks_random("Zk3vXq9LpT27aa") && !looks_random("my-app-credentials") && !looks_random("db-secret-1"));
    }
}
