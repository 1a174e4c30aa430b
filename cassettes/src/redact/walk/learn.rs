//! Secrets within secrets: the passwords of a configuration file that is kept in a Secret are looked for as well.

use super::place::{Place, Scope};
use super::texts::parse_json;
use super::{LONGEST_DOCUMENT, Walk};
use crate::format::Tree;
use crate::redact::detect::{self, decode_base64};
use crate::redact::dictionary::Reach;
use crate::redact::{Context, Core};

/// Learns the secrets within a secret: the passwords of a configuration file that is kept in one.
pub(in crate::redact) fn learn_within(core: &Core, text: &str) {
    let document = text.trim_start().starts_with('{') || text.contains('\n');
    if text.len() < 8 || text.len() > LONGEST_DOCUMENT || !(document || detect::is_suspect(text)) {
        return;
    }
    let context = Context::default();
    let scope = Scope { kind: String::new(), rows: &[], rules: Vec::new() };
    let place = Place { parent: None, step: None, scope: &scope, root: true };
    let mut walk = Walk { nesting: 1, ..Walk::new(core, &context) };
    if let Some(tree) = parse_json(text) {
        learn_docker(core, &tree);
    }
    if walk.embedded(text, &place).is_none() {
        walk.running(text, None);
    }
}

/// Credentials of registries.
fn learn_docker(core: &Core, tree: &Tree) {
    let top = tree.get("auths").unwrap_or(tree);
    for (_, entry) in top.entries() {
        for (key, value) in entry.entries() {
            let Some(text) = value.as_str() else { continue };
            match key.as_str() {
                "password" | "identitytoken" | "registrytoken" => core.learn(text.as_bytes(), Reach::Anywhere),
                "username" | "email" => core.learn(text.as_bytes(), Reach::Words),
                "auth" => {
                    core.learn(text.as_bytes(), Reach::Anywhere);
                    let plain = decode_base64(text).unwrap_or_default();
                    if let Some(colon) = plain.iter().position(|b| *b == b':') {
                        core.learn(&plain[colon + 1..], Reach::Anywhere);
                    }
                }
                _ => {}
            }
        }
    }
}
