//! Fields of recorded objects as pieces that can go: what a server said of an object, never what a client sent, for a
//! live client sends that again.

use super::units::Unit;
use crate::format::Tree;
use crate::format::model::{Body, Call};
use crate::replay::Route;
use std::collections::BTreeSet;

/// Members of `metadata` without which an object is none.
const IDENTITY: [&str; 7] =
    ["creationTimestamp", "deletionTimestamp", "generateName", "name", "namespace", "resourceVersion", "uid"];

/// The fields of all objects that answers and events of a call show, two levels deep.
pub(super) fn of(call: &Call, collection: &str) -> BTreeSet<Unit> {
    let mut found = BTreeSet::new();
    let mut add = |path: String| found.insert(Unit::Field(collection.to_owned(), path));
    let mut copy = call.clone();
    each_object(&mut copy, &mut |object| {
        for (key, value) in object.entries() {
            match key.as_str() {
                "kind" | "apiVersion" => continue,
                "metadata" => {}
                key => drop(add(key.to_owned())),
            }
            let wanted = |name: &&(String, Tree)| key != "metadata" || !IDENTITY.contains(&name.0.as_str());
            for (name, _) in value.entries().iter().filter(wanted) {
                add(format!("{key}.{name}"));
            }
        }
    });
    found
}

/// Takes fields out of what a call shows.
pub(super) fn drop_from(call: &mut Call, route: &Route, gone: &BTreeSet<Unit>) {
    let collection = route.collection();
    let paths: Vec<&str> = gone
        .iter()
        .filter_map(|unit| match unit {
            Unit::Field(of, path) if *of == collection => Some(path.as_str()),
            _ => None,
        })
        .collect();
    if paths.is_empty() {
        return;
    }
    each_object(call, &mut |object| {
        for path in &paths {
            match path.split_once('.') {
                Some((parent, name)) => drop(object.get_mut(parent).and_then(|parent| parent.remove(name))),
                None => drop(object.remove(path)),
            }
        }
    });
}

/// Calls a function with every object that answers and events show.
fn each_object(call: &mut Call, visit: &mut dyn FnMut(&mut Tree)) {
    for frame in &mut call.frames {
        if let Body::Json { tree, .. } = &mut frame.content
            && tree.text_at(&["type"]) != "BOOKMARK"
            && let Some(object) = tree.get_mut("object")
        {
            visit(object);
        }
    }
    let body = call.response.as_mut().filter(|response| response.status < 300).and_then(|r| r.body.as_mut());
    if let Some(Body::Json { tree, .. }) = body {
        if let Some(Tree::List(items)) = tree.get_mut("items") {
            items.iter_mut().for_each(visit);
        } else if !tree.text_at(&["metadata", "name"]).is_empty() {
            visit(tree);
        }
    }
}
