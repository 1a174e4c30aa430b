//! Secrets by name: variables, flags, columns and members that say what they hold.

use base64::Engine as _;

use super::learn::learn_within;
use super::place::Place;
use super::{Walk, scalar};
use crate::format::Tree;
use crate::redact::Class;
use crate::redact::detect::{BASE64, decode_base64};
use crate::redact::dictionary::Reach;
use crate::redact::names::{Sense, is_credential_header, is_value, looks_random, sense};
use crate::redact::path::Step;
use crate::redact::pseudonym::is_placeholder;

impl Walk<'_> {
    /// `{name: DB_PASSWORD, value: x}` in environments, headers of probes and parameters.
    pub(super) fn pairs(&mut self, entries: &mut [(String, Tree)], place: &Place<'_>) {
        let Some(name) = entries.iter().find_map(|(k, v)| if k == "name" { v.as_str() } else { None }) else { return };
        let name = &name.to_owned();
        let certain = sense(name) == Sense::Yes || is_credential_header(name);
        let maybe = sense(name) == Sense::Maybe;
        for (key, value) in entries.iter_mut().filter(|(key, _)| key == "value") {
            let at = place.down(Step::Key(key));
            let hit = scalar(value).is_some_and(|v| (certain && is_value(&v)) || (maybe && looks_random(&v)));
            if hit && self.unruled(&at) {
                match value {
                    Tree::Text(text) if is_authorization(name) => {
                        if let Some(new) = self.scheme(text) {
                            *text = new;
                            self.hit(&at, Class::NamedValue);
                        }
                    }
                    value => self.secret(value, Class::NamedValue, Reach::Anywhere, &at),
                }
            }
        }
    }

    fn unruled(&self, place: &Place<'_>) -> bool {
        let steps = place.steps(false);
        !place.scope.rules.iter().any(|rule| rule.is_at(&steps))
    }

    /// `--password x` as two arguments.
    pub(super) fn flags(&mut self, items: &mut [Tree], place: &Place<'_>) {
        let mut told = false;
        for (n, item) in items.iter_mut().enumerate() {
            let Some(text) = item.as_str() else {
                told = false;
                continue;
            };
            let is_flag = text.starts_with('-');
            let next = is_flag && !text.contains('=') && sense(text.trim_start_matches('-')) == Sense::Yes;
            if told && !is_flag && is_value(text) {
                let at = place.down(Step::Index(n));
                if self.unruled(&at) {
                    self.secret(item, Class::NamedValue, Reach::Anywhere, &at);
                }
            }
            told = next;
        }
    }

    /// Cells of columns with telling names.
    pub(super) fn cells(&mut self, entries: &mut [(String, Tree)], place: &Place<'_>) {
        let columns = entries.iter().find(|(key, _)| key == "columnDefinitions").map(|(_, v)| v.items());
        let told: Vec<bool> =
            columns.unwrap_or_default().iter().map(|c| sense(c.text_at(&["name"])) == Sense::Yes).collect();
        if !told.contains(&true) {
            return;
        }
        let Some(Tree::List(rows)) = entries.iter_mut().find(|(key, _)| key == "rows").map(|(_, v)| v) else { return };
        let at = place.down(Step::Key("rows"));
        for (n, row) in rows.iter_mut().enumerate() {
            let (row_at, cells) = (at.down(Step::Index(n)), row.get_mut("cells"));
            let cells_at = row_at.down(Step::Key("cells"));
            if let Some(Tree::List(cells)) = cells {
                for (c, cell) in cells.iter_mut().enumerate().filter(|(c, _)| told.get(*c) == Some(&true)) {
                    if scalar(cell).is_some_and(|v| is_value(&v)) {
                        self.secret(cell, Class::NamedValue, Reach::Anywhere, &cells_at.down(Step::Index(c)));
                    }
                }
            }
        }
    }

    /// `Bearer x` with the word before the credential kept.
    pub(super) fn scheme(&self, text: &str) -> Option<String> {
        let (scheme, rest) =
            text.split_once(' ').filter(|(s, _)| s.bytes().all(|b| b.is_ascii_alphanumeric())).unwrap_or(("", text));
        if is_placeholder(rest) || is_placeholder(text) {
            return None;
        }
        learn_within(self.core, text);
        let placeholder = self.core.shaped(rest.as_bytes(), Reach::Anywhere);
        Some(if scheme.is_empty() { placeholder } else { format!("{scheme} {placeholder}") })
    }

    pub(super) fn named(&self, key: &str, text: &str) -> Option<String> {
        // `client-key-data` is base64 of PEM.
        if key.ends_with("-data")
            && let Some(plain) = decode_base64(text)
        {
            if std::str::from_utf8(&plain).is_ok_and(is_placeholder) {
                return None;
            }
            learn_within(self.core, &String::from_utf8_lossy(&plain));
            return Some(BASE64.encode(self.core.shaped(&plain, Reach::Anywhere)));
        }
        learn_within(self.core, text);
        Some(self.core.shaped(text.as_bytes(), Reach::Anywhere))
    }
}

pub(super) fn is_authorization(name: &str) -> bool {
    name.eq_ignore_ascii_case("authorization") || name.eq_ignore_ascii_case("proxy-authorization")
}
