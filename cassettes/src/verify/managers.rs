//! managedFields where they are compared: shown to a comparison that leaves them out otherwise, in one order, since a
//! server orders them by whole seconds.

use crate::format::Tree;

const MEMBER: &str = "managedFields";
/// What the member is called while it is compared.
const SHOWN: &str = "managedFields-shown";

/// A body whose managedFields are in one order, and are seen by a comparison of normal forms where `all` are wanted;
/// those that a tape asks for by their path are in any case.
pub(super) fn shown(tree: &Tree, all: bool) -> Tree {
    match tree {
        Tree::List(items) => Tree::List(items.iter().map(|item| shown(item, all)).collect()),
        Tree::Map(entries) => {
            let entry = |(key, value): &(String, Tree)| match value {
                Tree::List(items) if key == MEMBER && all => (SHOWN.to_owned(), Tree::List(ordered(items))),
                Tree::List(items) if key.ends_with(".managedFields") => (key.clone(), Tree::List(ordered(items))),
                _ => (key.clone(), shown(value, all)),
            };
            Tree::Map(entries.iter().map(entry).collect())
        }
        other => other.clone(),
    }
}

/// A path as it is told.
pub(super) fn named(path: &str) -> String {
    path.replace(SHOWN, MEMBER)
}

fn ordered(items: &[Tree]) -> Vec<Tree> {
    let mut items = items.to_vec();
    let key = |item: &Tree| {
        let fields = item.get("fieldsV1").map(|fields| serde_json::Value::from(fields).to_string());
        let texts = ["operation", "manager", "apiVersion", "subresource"].map(|key| item.text_at(&[key]).to_owned());
        (texts, fields)
    };
    items.sort_by_cached_key(key);
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_in_one_order_and_keep_their_name() {
        let tree = |text: &str| Tree::from_json(text.as_bytes()).unwrap();
        let one = tree(r#"{"metadata":{"managedFields":[{"manager":"b"},{"manager":"a"}]}}"#);
        let two = tree(r#"{"metadata":{"managedFields":[{"manager":"a"},{"manager":"b"}]}}"#);
        assert_eq!(shown(&one, true), shown(&two, true));
        assert_eq!(shown(&one, false), one);
        assert_eq!(named("metadata.managedFields-shown.0"), "metadata.managedFields.0");
    }
}
