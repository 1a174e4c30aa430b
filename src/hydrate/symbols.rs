//! What is called otherwise in this run than in the recording: uids and generated names.

use rehearsal_cassettes::format::Tree;
use serde_json::Value;
use std::collections::HashMap;

/// Recorded text by live text. Uids are replaced wherever they stand, names only where they are the whole text.
#[derive(Clone, Debug, Default)]
pub(super) struct Symbols {
    uids: HashMap<String, String>,
    names: HashMap<String, String>,
}

impl Symbols {
    /// Learns from a recorded answer to a write and the live answer to the same write.
    pub(super) fn learn(&mut self, recorded: &Tree, live: &Value) {
        let text = |path: &str| live.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let (was, is) = (recorded.text_at(&["metadata", "uid"]), text("/metadata/uid"));
        if !was.is_empty() && !is.is_empty() && was != is {
            self.uids.insert(was.to_owned(), is.to_owned());
        }
        let (was, is) = (recorded.text_at(&["metadata", "name"]), text("/metadata/name"));
        if !was.is_empty() && !is.is_empty() && was != is {
            self.names.insert(was.to_owned(), is.to_owned());
        }
    }

    /// A recorded name as it is now.
    pub(super) fn name<'a>(&'a self, recorded: &'a str) -> &'a str {
        self.names.get(recorded).map_or(recorded, String::as_str)
    }

    /// A recorded text as it is now.
    fn text(&self, text: &mut String) {
        if let Some(name) = self.names.get(text.as_str()) {
            text.clone_from(name);
            return;
        }
        if text.len() < 36 || self.uids.is_empty() {
            return;
        }
        if let Some(uid) = self.uids.get(text.as_str()) {
            text.clone_from(uid);
            return;
        }
        for (was, is) in &self.uids {
            if text.contains(was.as_str()) {
                *text = text.replace(was.as_str(), is);
            }
        }
    }

    /// A recorded value as it is now.
    pub(super) fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(map) => map.values_mut().for_each(|item| self.value(item)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn uids_are_replaced_within_texts_and_names_only_as_a_whole() {
        let recorded = json!({"metadata": {"uid": "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "name": "web-abcde"}});
        let live = json!({"metadata": {"uid": "00000000-0000-4000-8000-000000000001", "name": "web-xyz12"}});
        let mut symbols = Symbols::default();
        symbols.learn(&Tree::from(&recorded), &live);
        let mut value = json!({"a": ["web-abcde", "not web-abcde"], "b": "uid 6ba7b810-9dad-11d1-80b4-00c04fd430c8!"});
        symbols.value(&mut value);
        let expected = json!({"a": ["web-xyz12", "not web-abcde"], "b": "uid 00000000-0000-4000-8000-000000000001!"});
        assert_eq!(value, expected);
    }
}
