//! What happens at and below a place that is secret by its kind: see [`super::super::kinds`].

use base64::Engine as _;

use super::learn::learn_within;
use super::place::Place;
use super::{Fate, Walk, scalar};
use crate::format::Tree;
use crate::redact::detect::{BASE64, decode_base64};
use crate::redact::dictionary::Reach;
use crate::redact::kinds::Treatment;
use crate::redact::path::Step;
use crate::redact::pseudonym::is_placeholder;
use crate::redact::{Class, Core};

impl Walk<'_> {
    pub(super) fn treat(&mut self, tree: &mut Tree, treatment: Treatment, place: &Place<'_>) {
        match tree {
            Tree::Map(entries) => {
                let rename = self.renames(place);
                entries.retain_mut(|(key, value)| {
                    let at = place.down(Step::Key(key));
                    let fate = self.ruled(value, &at);
                    if fate.is_none() {
                        self.treat(value, treatment, &at);
                    }
                    if rename {
                        self.rename(key);
                    }
                    fate != Some(Fate::Drop)
                });
            }
            Tree::List(items) => {
                for (n, item) in items.iter_mut().enumerate() {
                    self.treat(item, treatment, &place.down(Step::Index(n)));
                }
            }
            _ => match treatment {
                Treatment::Bytes => self.bytes(tree, place),
                Treatment::Text => {
                    let class = if place.scope.kind == "Secret" { Class::SecretData } else { Class::Token };
                    self.secret(tree, class, reach_of(place), place);
                }
                Treatment::Identity => {
                    if let Tree::Text(text) = tree
                        && let Some(new) = self.identity(text, place)
                    {
                        *text = new;
                        self.hit(place, Class::Identity);
                    }
                }
                Treatment::Message => {
                    if let Tree::Text(text) = tree
                        && let Some(clean) = self.message(text)
                    {
                        *text = clean;
                        self.hit(place, Class::Echo);
                    }
                }
            },
        }
    }

    /// Replaces base64 of a secret.
    fn bytes(&mut self, tree: &mut Tree, place: &Place<'_>) {
        let Some(text) = scalar(tree) else { return };
        let plain = decode_base64(&text).unwrap_or_else(|| text.clone().into_bytes());
        if plain.is_empty() || is_placeholder(&text) || std::str::from_utf8(&plain).is_ok_and(is_placeholder) {
            return;
        }
        let class = if place.scope.kind == "Secret" { Class::SecretData } else { Class::Certificate };
        let placeholder = self.core.shaped(&plain, reach_of(place));
        if let Ok(inner) = std::str::from_utf8(&plain) {
            learn_within(self.core, inner);
        }
        *tree = Tree::Text(BASE64.encode(placeholder));
        self.hit(place, class);
    }

    /// Replaces a secret that stands as it is.
    pub(super) fn secret(&mut self, tree: &mut Tree, class: Class, reach: Reach, place: &Place<'_>) {
        let Some(text) = scalar(tree) else { return };
        if text.is_empty() || is_placeholder(&text) {
            return;
        }
        let placeholder = self.core.shaped(text.as_bytes(), reach);
        learn_within(self.core, &text);
        *tree = Tree::Text(placeholder);
        self.hit(place, class);
    }

    fn identity(&self, text: &str, place: &Place<'_>) -> Option<String> {
        let steps = place.steps(false);
        let personal = !steps.iter().any(|s| matches!(s, Step::Key("uid" | "extra")));
        let reach = if personal { Reach::Words } else { Reach::Nowhere };
        pseudonymous(self.core, text, reach)
    }
}

/// How far the values of well-known keys may be looked for: some are public.
fn reach_of(place: &Place<'_>) -> Reach {
    match place.key() {
        "namespace" | "ca.crt" | "service-ca.crt" | "token-id" | "expiration" | "description" | "auth-extra-groups" => {
            Reach::Nowhere
        }
        key if key.starts_with("usage-bootstrap-") => Reach::Nowhere,
        "username" | "user" | "host" | "hostname" | "port" | "database" | "dbname" | "endpoint" => Reach::Words,
        "request" | "certificate" | "certificateChain" => Reach::Nowhere,
        _ => Reach::Anywhere,
    }
}

/// A user's pseudonym; the system's own users and groups keep their names.
pub(in crate::redact) fn pseudonymous(core: &Core, name: &str, reach: Reach) -> Option<String> {
    let own = name.is_empty() || name.starts_with("system:") || is_placeholder(name);
    (!own).then(|| core.flat(name.as_bytes(), reach))
}
