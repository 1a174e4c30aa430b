//! JSON patches: a list of operations whose values belong where their pointers say.

use super::walk::{Place, Walk};
use crate::format::Tree;

/// Walks a JSON patch; `false` if the tree is none.
pub(super) fn operations(walk: &mut Walk<'_>, tree: &mut Tree, root: &Place<'_>) -> bool {
    let Tree::List(items) = tree else { return false };
    let is_operation = |item: &Tree| item.get("op").is_some() && item.get("path").is_some_and(|p| p.as_str().is_some());
    if items.is_empty() || !items.iter().all(is_operation) {
        return false;
    }
    for item in items {
        let mut pointer = pointer(item.text_at(&["path"]));
        if let Some(value) = item.get_mut("value") {
            walk.at_pointer(value, &pointer, root);
        }
        if let [member, key] = pointer.as_mut_slice()
            && matches!(member.as_str(), "data" | "stringData")
            && walk.renames(root)
        {
            walk.rename(key);
            item.set("path", format!("/{member}/{key}").into());
        }
    }
    true
}

/// The members a JSON pointer names.
fn pointer(text: &str) -> Vec<String> {
    text.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_unescaped() {
        assert_eq!(pointer("/data/a~1b~0c"), ["data", "a/b~c"]);
        assert_eq!(pointer(""), Vec::<String>::new());
        assert_eq!(pointer("/"), [""]);
    }
}
