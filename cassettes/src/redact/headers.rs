//! The line and the headers of requests and answers. Credentials go, their presence and scheme stay; who somebody
//! impersonates becomes a pseudonym.

use super::detect::{BASE64_URL, decode_base64};
use super::dictionary::Reach;
use super::names::{Sense, is_credential_header, is_value, sense};
use super::policy::Action;
use super::pseudonym::is_placeholder;
use super::walk::{Walk, learn_within, pseudonymous};
use super::{Context, Core};
use crate::format::model::Request;
use base64::Engine as _;

/// What stands for a credential that was dropped.
pub(super) const DROPPED: &str = "redacted";
/// The subprotocol that carries a browser's token.
const BEARER_PROTOCOL: &str = "base64url.bearer.authorization.k8s.io.";

/// Redacts the path, the query and the headers of a request.
pub(super) fn request(core: &Core, context: &Context, request: &mut Request) {
    for name in [&context.info.name, &context.info.namespace] {
        core.dictionary.lock().identifier(name);
    }
    text(core, context, &mut request.path);
    // `command=--token&command=x`: a flag tells what the next argument is.
    let mut told = false;
    for (key, value) in &mut request.query {
        let is_flag = key == "command" && value.starts_with('-');
        if told && key == "command" && !is_flag && is_value(value) {
            *value = core.shaped(value.as_bytes(), Reach::Anywhere);
        }
        told = is_flag && !value.contains('=') && sense(value.trim_start_matches('-')) == Sense::Yes;
        query(core, context, key, value);
    }
    fields(core, context, &mut request.headers);
}

/// Redacts the headers of an answer.
pub(super) fn response(core: &Core, context: &Context, headers: &mut Vec<(String, String)>) {
    fields(core, context, headers);
}

fn text(core: &Core, context: &Context, text: &mut String) {
    if let Some(clean) = Walk::new(core, context).line(text) {
        *text = clean;
    }
}

fn query(core: &Core, context: &Context, key: &str, value: &mut String) {
    // These are the API's own, and some look random.
    if matches!(key, "continue" | "resourceVersion" | "resourceVersionMatch" | "fieldManager" | "fieldValidation") {
        return;
    }
    let name = key.to_ascii_lowercase();
    let telling = sense(&name) == Sense::Yes
        || matches!(name.as_str(), "sig" | "signature" | "key" | "auth" | "code" | "secret" | "pass" | "credential")
        || name.ends_with("-signature")
        || name.ends_with("-credential");
    if telling && is_value(value) {
        core.learn(value.as_bytes(), Reach::Anywhere);
        DROPPED.clone_into(value);
    } else {
        text(core, context, value);
    }
}

fn fields(core: &Core, context: &Context, headers: &mut Vec<(String, String)>) {
    headers.retain_mut(|(name, value)| match core.policy.header(context, name) {
        Some(Action::Keep) => true,
        Some(Action::Drop) => {
            learn(core, name, value);
            false
        }
        Some(action) => {
            if !is_placeholder(value) {
                core.learn(value.as_bytes(), Reach::Anywhere);
                *value = ruled(core, action, value);
            }
            true
        }
        None => {
            field(core, context, name, value);
            true
        }
    });
}

fn ruled(core: &Core, action: &Action, value: &str) -> String {
    match action {
        Action::Constant(text) => text.clone(),
        Action::Hash => core.names.hash(value.as_bytes()),
        Action::Shape => core.names.shaped(value.as_bytes()),
        _ => core.names.flat(value.as_bytes()),
    }
}

fn field(core: &Core, context: &Context, name: &str, value: &mut String) {
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "set-cookie" | "cookie" | "authorization" | "proxy-authorization" => {
            learn(core, &name, value);
            *value = kept(&name, value);
        }
        "sec-websocket-protocol" => *value = protocols(core, value),
        "impersonate-user" | "impersonate-group" | "impersonate-uid" => identity(core, value, Reach::Words),
        _ if name.starts_with("impersonate-extra-") => identity(core, value, Reach::Nowhere),
        // Set by authenticating proxies: they name users, and certificates prove them.
        _ if name.starts_with("x-remote-")
            || name.starts_with("x-forwarded-client-cert")
            || name.starts_with("x-client-cert")
            || name.starts_with("x-ssl-client")
            || name.starts_with("ssl-client") =>
        {
            learn(core, &name, value);
            DROPPED.clone_into(value);
        }
        _ if is_credential_header(&name) || sense(&name) == Sense::Yes => {
            learn(core, &name, value);
            DROPPED.clone_into(value);
        }
        _ => text(core, context, value),
    }
}

fn identity(core: &Core, value: &mut String, reach: Reach) {
    if let Some(pseudonym) = pseudonymous(core, value, reach) {
        *value = pseudonym;
    }
}

/// Whether a header's value is what [`field`] leaves of a credential.
pub(super) fn is_dropped(name: &str, value: &str) -> bool {
    matches!(name, "cookie" | "set-cookie") && kept(name, value) == value
}

/// A credential's header with the credential gone.
fn kept(name: &str, value: &str) -> String {
    let cookie = |part: &str| match part.split_once('=') {
        Some((name, _)) => format!("{}={DROPPED}", name.trim()),
        None => DROPPED.to_owned(),
    };
    match name {
        "cookie" => value.split(';').map(cookie).collect::<Vec<_>>().join("; "),
        "set-cookie" => match value.split_once(';') {
            Some((first, attributes)) => format!("{};{attributes}", cookie(first)),
            None => cookie(value),
        },
        _ => match value.trim().split_once(' ') {
            Some((scheme, _)) if scheme.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-') => {
                format!("{scheme} {DROPPED}")
            }
            _ => DROPPED.to_owned(),
        },
    }
}

/// Remembers the credentials of a header.
fn learn(core: &Core, name: &str, value: &str) {
    let secret = |text: &str| {
        let text = text.trim();
        if is_value(text) {
            core.learn(text.as_bytes(), Reach::Anywhere);
        }
    };
    match name {
        "cookie" | "set-cookie" => {
            let pairs = if name == "cookie" { value.split(';').count() } else { 1 };
            value
                .split(';')
                .take(pairs)
                .filter_map(|p| p.split_once('='))
                .for_each(|(_, v)| secret(v.trim_matches('"')));
        }
        "authorization" | "proxy-authorization" => {
            let (scheme, rest) = value.trim().split_once(' ').unwrap_or(("", value));
            secret(rest);
            if scheme.eq_ignore_ascii_case("basic") {
                let pair = decode_base64(rest.trim()).unwrap_or_default();
                core.learn(&pair, Reach::Anywhere);
                if let Some(colon) = pair.iter().position(|b| *b == b':') {
                    core.learn(&pair[colon + 1..], Reach::Anywhere);
                    core.learn(&pair[..colon], Reach::Words);
                }
            } else {
                learn_within(core, rest);
            }
        }
        _ if name.starts_with("x-remote-") => {
            if !value.starts_with("system:") {
                core.learn(value.as_bytes(), Reach::Words);
            }
        }
        _ => secret(value),
    }
}

/// A list of subprotocols without the token that may be among them.
fn protocols(core: &Core, value: &str) -> String {
    let one = |part: &str| match part.trim().strip_prefix(BEARER_PROTOCOL) {
        Some(token) if token != DROPPED => {
            core.learn(token.as_bytes(), Reach::Anywhere);
            if let Ok(plain) = BASE64_URL.decode(token) {
                core.learn(&plain, Reach::Anywhere);
            }
            format!("{BEARER_PROTOCOL}{DROPPED}")
        }
        _ => part.trim().to_owned(),
    };
    value.split(',').map(one).collect::<Vec<_>>().join(", ")
}
