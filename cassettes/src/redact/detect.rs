//! Secrets in running text: logs, arguments, error messages, configuration files. A detector finds the bytes of the
//! secret itself, not the words around it, so that the text stays readable. What is secret by its place is in
//! [`super::kinds`].

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use regex::Regex;

use super::Class;
use super::names::{Sense, is_value, looks_random, sense};
use super::pseudonym::is_placeholder;

/// Any base64, padded or not.
pub(super) const BASE64: base64::engine::GeneralPurpose = base64::engine::GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    base64::engine::GeneralPurposeConfig::new()
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);
/// Any base64url, padded or not.
pub(super) const BASE64_URL: base64::engine::GeneralPurpose = base64::engine::GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    base64::engine::GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Base64 of either alphabet, with line breaks.
pub(super) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    // The dashes around a PEM block are of the URL's alphabet.
    if text.contains("-----") {
        return None;
    }
    let squeezed: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    BASE64.decode(&squeezed).or_else(|_| BASE64_URL.decode(&squeezed)).ok()
}

/// A secret found in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) range: Range<usize>,
    pub(super) class: Class,
    /// The bytes are base64 of the secret.
    pub(super) base64: bool,
}

/// Texts without any of these hold nothing that the detectors know. In lower case.
const TRIGGERS: &[&str] = &[
    "eyj",
    "-----begin",
    "ls0tls1crudjti",
    "zxlk",
    "bearer",
    "basic ",
    "://",
    "passw",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "api-key",
    "api_key",
    "apikey",
    "access-key",
    "access_key",
    "accesskey",
    "private-key",
    "private_key",
    "privatekey",
    "credential",
    "encryption",
    "signing",
    "shared",
    "akia",
    "asia",
    "aiza",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat",
    "glpat-",
    "xox",
    "hooks.slack.com",
    "sk_live",
    "rk_live",
    "sk_test",
    "npm_",
    "accountkey=",
    "sg.",
    "ya29.",
    "gocspx-",
    "hvs.",
    "hvb.",
    "sk-",
    "sha256~",
    "age-secret-key",
    "dckr_pat",
    "dop_v1_",
    "authorization",
    "cookie",
    "client-key-data",
    "client-certificate-data",
    "user ",
];

static TRIGGER: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::builder().ascii_case_insensitive(true).build(TRIGGERS).expect("fixed words build an automaton")
});

/// Whether a text may hold anything of interest; cheap, and asked of every text.
pub(super) fn is_suspect(text: &str) -> bool {
    text.len() >= 6 && (TRIGGER.is_match(text) || bootstrap(text).next().is_some())
}

/// A pattern, the group that is the secret, and a last look.
struct Detector {
    class: Class,
    regex: Regex,
    group: usize,
    base64: bool,
    check: fn(&str) -> bool,
}

fn any(_: &str) -> bool {
    true
}

fn detector(class: Class, pattern: &str, group: usize, base64: bool, check: fn(&str) -> bool) -> Detector {
    Detector { class, regex: Regex::new(pattern).expect("a pattern of our own"), group, base64, check }
}

static DETECTORS: LazyLock<Vec<Detector>> = LazyLock::new(|| {
    let keys = concat!(
        r"\b(?:(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[0-9A-Za-z_-]{35}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{22,}",
        r"|glpat-[A-Za-z0-9_-]{20,}|xox[abeoprs]-[A-Za-z0-9-]{10,}|[sr]k_(?:live|test)_[0-9a-zA-Z]{16,}",
        r"|npm_[A-Za-z0-9]{36}|SG\.[\w-]{20,24}\.[\w-]{40,46}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{20,}|hv[sb]\.[A-Za-z0-9_-]{20,}",
        r"|sk-[A-Za-z0-9_-]{32,}|sha256~[\w-]{43}|AGE-SECRET-KEY-1[0-9A-Z]{58}|dckr_pat_[\w-]{20,}|dop_v1_[a-f0-9]{64})",
    );
    let telling = concat!(
        r#"(?i)([A-Za-z0-9_.-]*(?:passw(?:or)?d|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key"#,
        r#"|signing[_-]?key|encryption[_-]?key|account[_-]?key|shared[_-]?key|credentials?))"#,
    );
    vec![
        // To the end of the text where a log was cut within the block.
        detector(
            Class::PrivateKey,
            r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\z)",
            0,
            false,
            any,
        ),
        detector(Class::PrivateKey, r"LS0tLS1CRUdJTi[A-Za-z0-9+/_-]{20,}={0,2}", 0, true, holds_private_key),
        detector(Class::Jwt, r"\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+", 0, false, any),
        detector(Class::Jwt, r"\bZXlK[A-Za-z0-9+/_-]{30,}={0,2}", 0, true, holds_jwt),
        detector(Class::CloudKey, keys, 0, false, any),
        detector(Class::CloudKey, r"hooks\.slack\.com/services/([A-Za-z0-9/]{20,})", 1, false, any),
        detector(Class::CloudKey, r"(?i)\bAccountKey=([A-Za-z0-9+/]{20,}={0,2})", 1, false, any),
        detector(Class::Bearer, r#"(?i)\bbearer[ :=]+"?([^\s"'\\,;<>(){}]{8,})"#, 1, false, is_not_prose),
        detector(Class::BasicAuth, r"(?i)\bbasic +([A-Za-z0-9+/]{6,}={0,2})", 1, true, is_basic),
        detector(
            Class::UrlPassword,
            r#"[A-Za-z][A-Za-z0-9+.-]*://[^/\s:@"'<>]*:([^/\s"'<>]+?)@[A-Za-z0-9\[]"#,
            1,
            false,
            is_value,
        ),
        detector(Class::UrlPassword, r#"[A-Za-z][A-Za-z0-9+.-]*://([^/\s:@"'<>]{16,})@"#, 1, false, is_value),
        detector(Class::Cookie, r"(?i)\b(?:set-)?cookie: *[^=\s;]+=([^;\s]{6,})", 1, false, is_value),
        detector(
            Class::Assignment,
            &format!(r#"{telling}\\?["']? *(?:=|:=|=>) *\\?["']([^"'\\\r\n]+)\\?["']"#),
            2,
            false,
            any,
        ),
        detector(Class::Assignment, &format!(r#"{telling}=([^\s"'\\,;&)\]}}]+)"#), 2, false, any),
        detector(Class::Assignment, &format!(r#"{telling}\\?["']?: *\\?["']([^"'\\\r\n]+)\\?["']"#), 2, false, any),
        detector(Class::Assignment, &format!(r#"{telling}:[ \t]+([^\s"'\\,;&)\]}}]+)"#), 2, false, any),
        detector(Class::Assignment, &format!(r#"--{telling}[ \t]+["']?([^\s"'-][^\s"']+)"#), 2, false, any),
        detector(Class::Assignment, r"(?i)\bidentified by '([^']+)'", 1, false, any),
    ]
});

/// All secrets in a text, in order, none overlapping another.
pub(super) fn find(text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    for (rank, detector) in DETECTORS.iter().enumerate() {
        for captures in detector.regex.captures_iter(text) {
            let Some(hit) = captures.get(detector.group) else { continue };
            let told = detector.class != Class::Assignment
                || captures.len() < 3
                || is_assigned(&captures[0], &captures[1], hit.as_str());
            if told && !is_placeholder(hit.as_str()) && (detector.check)(hit.as_str()) {
                found.push((rank, Found { range: hit.range(), class: detector.class, base64: detector.base64 }));
            }
        }
    }
    found.extend(bootstrap(text).map(|range| (99, Found { range, class: Class::Token, base64: false })));
    // The longest of those that begin together; detectors earlier in the list know more.
    found.sort_by_key(|(rank, f)| (f.range.start, usize::MAX - f.range.end, *rank));
    let mut end = 0;
    let mut kept: Vec<Found> = Vec::new();
    for (_, f) in found {
        if f.range.start >= end {
            end = f.range.end;
            kept.push(f);
        }
    }
    kept
}

/// Whether what follows a telling name is its secret, given the whole match, the name and the value.
fn is_assigned(whole: &str, name: &str, value: &str) -> bool {
    let value = value.trim_end_matches(['.', ':']);
    if !is_value(value) || (value.contains("://") && !value.contains('@')) {
        return false;
    }
    let after = &whole[name.len().min(whole.len())..];
    let quoted = after.contains(['"', '\'']);
    let strong = match sense(name.trim_matches(['-', '.'])) {
        Sense::Yes => true,
        Sense::Maybe => return looks_random(value),
        Sense::No => return false,
    };
    // Prose: `invalid token: unexpected EOF`. A colon outside a document says little by itself.
    let prose = after.starts_with(": ") && !quoted && value.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-');
    strong && !(prose && value.len() < 32) && value.len() >= 3
}

fn holds_private_key(text: &str) -> bool {
    let is_key = |plain: Vec<u8>| {
        let plain = String::from_utf8_lossy(&plain);
        plain.contains("PRIVATE KEY-----") && !is_placeholder(&plain)
    };
    decode_base64(text).is_some_and(is_key)
}

fn holds_jwt(text: &str) -> bool {
    let is_jwt = |plain: Vec<u8>| {
        String::from_utf8(plain)
            .is_ok_and(|t| t.starts_with("eyJ") && t.matches('.').count() == 2 && !is_placeholder(&t))
    };
    decode_base64(text).is_some_and(is_jwt)
}

fn is_basic(text: &str) -> bool {
    decode_base64(text).and_then(|plain| String::from_utf8(plain).ok()).is_some_and(|pair| {
        pair.split_once(':').is_some_and(|(_, password)| !is_placeholder(password)) && !pair.contains(char::is_control)
    })
}

fn is_not_prose(text: &str) -> bool {
    is_value(text) && !text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-' || b == b'.')
}

/// `abcdef.0123456789abcdef`, as kubeadm writes its tokens, standing alone.
fn bootstrap(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let bytes = text.as_bytes();
    let small = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let edge =
        |b: Option<&u8>| b.is_none_or(|b| !b.is_ascii_alphanumeric() && !matches!(b, b'.' | b'-' | b'_' | b'/' | b'@'));
    memchr::memchr_iter(b'.', bytes).filter_map(move |dot| {
        let range = dot.checked_sub(6)?..dot + 17;
        let whole = text.get(range.clone())?;
        let (id, rest) = (&whole.as_bytes()[..6], &whole.as_bytes()[7..]);
        // A name such as `worker.kubernetesnodes1` needs digits in both to pass for one.
        let digits = rest.iter().filter(|b| b.is_ascii_digit()).count() >= 2;
        let alone = edge(range.start.checked_sub(1).and_then(|n| bytes.get(n))) && edge(bytes.get(range.end));
        (alone && digits && id.iter().all(small) && rest.iter().all(small) && !is_placeholder(whole)).then_some(range)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(text: &str) -> Vec<(Class, &str)> {
        assert!(is_suspect(text) || find(text).is_empty(), "{text}");
        find(text).into_iter().map(|f| (f.class, &text[f.range])).collect()
    }

    #[test]
    fn running_text_gives_up_its_secrets() {
        let cases = [
            ("Authorization: Bearer abc.DEF-123", Class::Bearer, "abc.DEF-123"),
            ("postgres://app:p%40ss@db:5432/x", Class::UrlPassword, "p%40ss"),
            ("--db-password=hunter2 --v=4", Class::Assignment, "hunter2"),
            ("mysql --password hunter2 -h db", Class::Assignment, "hunter2"),
            (r#"{"level":"info","password":"hunter two"}"#, Class::Assignment, "hunter two"),
            (r#"said \"token\":\"a-b-c\" then"#, Class::Assignment, "a-b-c"),
            ("admin_password: hunter2", Class::Assignment, "hunter2"),
            ("key AKIAIOSFODNN7EXAMPLE in use", Class::CloudKey, "AKIAIOSFODNN7EXAMPLE"),
            ("join with abcdef.0123456789abcdef please", Class::Token, "abcdef.0123456789abcdef"),
            ("Authorization: Basic dXNlcjpwYXNz", Class::BasicAuth, "dXNlcjpwYXNz"),
            ("x eyJhbGciOiJub25lIn0.eyJhIjoxfQ.c2ln y", Class::Jwt, "eyJhbGciOiJub25lIn0.eyJhIjoxfQ.c2ln"),
            ("AccountName=a;AccountKey=aGVsbG9oZWxsb2hlbGxv==;", Class::CloudKey, "aGVsbG9oZWxsb2hlbGxv=="),
        ];
        for (text, class, secret) in cases {
            assert_eq!(secrets(text), [(class, secret)], "{text}");
        }
    }

    #[test]
    fn innocent_text_is_left_alone() {
        let texts = [
            "invalid bearer token, token lookup failed",
            "couldn't get token: unexpected EOF",
            "secret \"db\" not found",
            "Mounting volume secret=\"default/db-creds\"",
            "--service-account-key-file=/etc/k/sa.pub --token-ttl=3h",
            "https://kubernetes.default.svc:443/api?resourceVersion=12",
            "password: $(DB_PASSWORD)",
            "Basic authentication is off",
            "docker://sha256:0123456789abcdef0123456789abcdef",
            "system:serviceaccount:demo:default",
            "MountVolume.SetUp failed for volume \"kube-api-access-x\" : configmap \"kube-root-ca.crt\" not registered",
            "git@github.com:a/b.git ssh://git@github.com/a/b",
            "password=redacted-01234567",
        ];
        for text in texts {
            assert_eq!(secrets(text), [], "{text}");
        }
    }

    #[test]
    fn keys_are_found_whole_cut_and_wrapped() {
        let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----";
        assert_eq!(secrets(&format!("a\n{key}\nb")), [(Class::PrivateKey, key)]);
        assert_eq!(secrets("cut -----BEGIN PRIVATE KEY-----\nMIIE")[0].0, Class::PrivateKey);
        let wrapped = BASE64.encode(key);
        assert_eq!(secrets(&wrapped), [(Class::PrivateKey, wrapped.as_str())]);
        assert_eq!(secrets("-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----"), []);
    }
}
