//! The manager of a request that names none.
//!
//! Counterpart: apiserver `handlers/create.go`, `managerOrUserAgent`.

/// Longest manager name (bytes).
const MAX_MANAGER: usize = 128;

/// The manager of a request that names none: its User-Agent up to the first `/`, unprintable characters dropped, at
/// most 128 bytes. Nothing left counts as `unknown`.
#[must_use]
pub fn manager_from_user_agent(user_agent: &str) -> String {
    let mut out = String::new();
    for c in user_agent.split('/').next().unwrap_or_default().chars().filter(|c| is_printable(*c)) {
        if out.len() + c.len_utf8() > MAX_MANAGER {
            break;
        }
        out.push(c);
    }
    if out.is_empty() { "unknown".into() } else { out }
}

/// Near enough to Go's `unicode.IsPrint`: no controls, no white space but the blank, no invisible or private marks.
fn is_printable(c: char) -> bool {
    let invisible = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    c == ' ' || !(c.is_control() || c.is_whitespace() || invisible || ('\u{e000}'..='\u{f8ff}').contains(&c))
}
