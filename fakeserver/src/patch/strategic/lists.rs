//! Lists of a strategic merge patch: merging by key or value, `$setElementOrder`, and the order of the result.
//!
//! Counterparts in `strategicpatch/patch.go`: `mergeSlice`, `mergePatchIntoOriginal`, `normalizeElementOrder`.

use super::schema::{Member, Schema};
use super::{
    DIRECTIVE, Outcome, Refusal, SET_ORDER, bad_directive, expected_list, expected_map, go_print, go_type, is_list,
    merge_map, no_merge_key, remove_directives,
};
use serde_json::{Map, Value};

pub(super) type Items = Vec<Value>;

/// Merges a list of the patch into a list of the object; `deletion` removes the values instead.
pub(super) fn merge_slice(original: Items, patch: Items, member: &Member<'_>, deletion: bool) -> Outcome<Items> {
    if original.is_empty() && patch.is_empty() {
        return Ok(original);
    }
    let maps = of_maps(&original, &patch)?;
    let key = member.merge_key;
    if !maps {
        if deletion {
            return Ok(original.into_iter().filter(|v| !patch.contains(v)).collect());
        }
        let both = original.iter().chain(&patch).cloned().collect();
        let (ours, theirs) = partition(deduplicate(both), &patch, key)?;
        return normalize(ours, theirs, &patch, &original, key, maps);
    }
    if key.is_empty() {
        let kind = member.schema.kind();
        return Err(Refusal::Other(format!("cannot merge lists without merge key for {kind}")));
    }
    let (original, patch) = special_elements(original, patch, key)?;
    let merged = plain_elements(original.clone(), &patch, key, member.schema)?;
    let (ours, theirs) = partition(merged, &patch, key)?;
    normalize(ours, theirs, &patch, &original, key, maps)
}

/// Whether the items are maps; all items of both lists must be of one type.
fn of_maps(a: &[Value], b: &[Value]) -> Outcome<bool> {
    let mut items = a.iter().chain(b);
    let Some(first) = items.next() else {
        return Err(Refusal::Other("no elements in any of the given slices".into()));
    };
    if first.is_array() {
        return Err(Refusal::Unprocessable);
    }
    if items.any(|item| go_type(item) != go_type(first)) {
        let shown = Value::from(vec![Value::from(a.to_vec()), Value::from(b.to_vec())]);
        return Err(Refusal::Other(format!("list element types are not identical: {}", go_print(&shown))));
    }
    Ok(first.is_object())
}

/// Drops repetitions; the last item takes the place of each one, as in the original.
fn deduplicate(mut items: Items) -> Items {
    let mut i = 0;
    while i < items.len() {
        let mut j = i + 1;
        while j < items.len() {
            if items.get(i) == items.get(j) {
                items.swap_remove(j);
            } else {
                j += 1;
            }
        }
        i += 1;
    }
    items
}

/// Handles items with a `$patch` directive; gives the object's list and the rest of the patch.
fn special_elements(mut original: Items, patch: Items, key: &str) -> Outcome<(Items, Items)> {
    let mut rest = Items::new();
    let mut replace = false;
    for item in patch {
        let Some(map) = item.as_object() else { return Err(expected_map(&item)) };
        match map.get(DIRECTIVE) {
            None => rest.push(item),
            Some(Value::String(word)) if word == "delete" => {
                let Some(value) = map.get(key) else { return Err(no_merge_key(map, key)) };
                original.retain(|o| o.get(key) != Some(value));
            }
            Some(Value::String(word)) if word == "replace" => replace = true,
            Some(Value::String(word)) if word == "merge" => {
                return Err(Refusal::Other("merging lists cannot yet be specified in the patch".into()));
            }
            Some(other) => return Err(bad_directive(other, map)),
        }
    }
    Ok(if replace { (rest, Items::new()) } else { (original, rest) })
}

fn plain_elements(mut original: Items, patch: &[Value], key: &str, schema: Schema<'_>) -> Outcome<Items> {
    for item in patch {
        let Some(map) = item.as_object() else { return Err(expected_map(item)) };
        let Some(value) = map.get(key) else { return Err(no_merge_key(map, key)) };
        match original.iter_mut().find(|o| o.get(key) == Some(value)) {
            Some(found) => {
                let current = found.as_object().cloned().unwrap_or_default();
                *found = Value::Object(merge_map(current, map.clone(), schema)?);
            }
            None => original.push(item.clone()),
        }
    }
    Ok(original)
}

/// Splits items into those the list names (by key or value) and the others.
fn partition(items: Items, list: &[Value], key: &str) -> Outcome<(Items, Items)> {
    let (mut named, mut others) = (Items::new(), Items::new());
    for item in items {
        let found = if key.is_empty() {
            list.contains(&item)
        } else {
            let value = key_of(&item, key)?;
            if let Some((i, _)) = list.iter().enumerate().find(|(_, v)| !v.is_object()) {
                return Err(Refusal::Other(format!("value for key {i} is not a map")));
            }
            list.iter().any(|v| v.get(key) == Some(value))
        };
        if found { named.push(item) } else { others.push(item) }
    }
    Ok((named, others))
}

fn key_of<'a>(item: &'a Value, key: &str) -> Outcome<&'a Value> {
    let map = item.as_object().ok_or_else(|| expected_map(item))?;
    map.get(key).ok_or_else(|| no_merge_key(map, key))
}

// === order ===

/// Sorts the patch's items by the wanted order, the server's by theirs, and weaves the two.
fn normalize(
    patch: Items,
    server: Items,
    wanted: &[Value],
    server_order: &[Value],
    key: &str,
    maps: bool,
) -> Outcome<Items> {
    let patch = sort_by(patch, wanted, key, maps)?;
    let server = sort_by(server, server_order, key, maps)?;
    Ok(weave(server, patch, server_order, key, maps))
}

fn position(order: &[Value], item: &Value, key: &str, maps: bool) -> Option<usize> {
    order.iter().position(|o| if maps { o.get(key) == item.get(key) } else { o == item })
}

/// An insertion sort, because an item that the order does not know is "less" than its neighbour both ways round.
fn sort_by(items: Items, order: &[Value], key: &str, maps: bool) -> Outcome<Items> {
    let (mut kept, mut deleted) = (Items::new(), Items::new());
    if maps {
        for item in items.iter().chain(order) {
            key_of(item, key)?;
        }
        for item in items {
            let gone = item.get(DIRECTIVE).and_then(Value::as_str) == Some("delete");
            if gone { deleted.push(item) } else { kept.push(item) }
        }
    } else {
        kept = items;
    }
    let less = |a: &Value, b: &Value| match (position(order, a, key, maps), position(order, b, key, maps)) {
        (Some(a), Some(b)) => a < b,
        _ => true,
    };
    for i in 1..kept.len() {
        let mut j = i;
        while j > 0 && less(&kept[j], &kept[j - 1]) {
            kept.swap(j, j - 1);
            j -= 1;
        }
    }
    kept.append(&mut deleted);
    Ok(kept)
}

/// Puts server items before the first patch item that stood behind them.
fn weave(server: Items, patch: Items, server_order: &[Value], key: &str, maps: bool) -> Items {
    let mut out = Items::with_capacity(server.len() + patch.len());
    let mut server = server.into_iter().peekable();
    for item in patch {
        let here = position(server_order, &item, key, maps);
        while let Some(next) = server.peek() {
            match (position(server_order, next, key, maps), here) {
                (Some(a), Some(b)) if a < b => out.extend(server.next()),
                _ => break,
            }
        }
        out.push(item);
    }
    out.extend(server);
    out
}

// === $setElementOrder ===

/// Merges every list that has an order directive, and takes both out of the patch.
pub(super) fn set_element_orders(
    original: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
    schema: Schema<'_>,
) -> Outcome<()> {
    let directives: Vec<String> = patch.keys().filter(|k| k.starts_with(SET_ORDER)).cloned().collect();
    for directive in directives {
        let order = is_list(patch.remove(&directive).unwrap_or_default())?;
        let Some(name) = directive.strip_prefix(SET_ORDER).and_then(|rest| rest.strip_prefix('/')) else {
            return Err(Refusal::Format("invalid patch format of setElementOrder list"));
        };
        ordered_list(original, patch, name, &order, schema)?;
    }
    Ok(())
}

fn ordered_list(
    original: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
    name: &str,
    order: &[Value],
    schema: Schema<'_>,
) -> Outcome<()> {
    let list = |value: Option<&Value>| match value {
        None => Ok(None),
        Some(Value::Array(items)) => Ok(Some(items.clone())),
        Some(other) => Err(expected_list(other)),
    };
    let (current, change) = (list(original.get(name))?, list(patch.get(name))?);
    let member = schema.list_member(name)?;
    let key = member.merge_key;
    check_order(change.as_deref().unwrap_or_default(), order, key)?;
    let merged = match (current.clone(), change.clone()) {
        (None, None) => return Ok(()),
        (Some(current), None) => current,
        (None, Some(change)) => {
            let mut added = Value::Array(change);
            remove_directives(&mut added);
            is_list(added)?
        }
        (Some(current), Some(change)) if member.merge => merge_slice(current, change, &member, false)?,
        (Some(_), Some(change)) => change,
    };
    let current = current.unwrap_or_default();
    let (named, others) = partition(merged, order, key)?;
    let maps = of_maps(&current, &change.unwrap_or_default())?;
    let sorted = normalize(named, others, order, &current, key, maps)?;
    original.insert(name.to_owned(), Value::Array(sorted));
    patch.remove(name);
    Ok(())
}

/// The items of the patch must appear in the order list, in its order; deletions are exempt.
fn check_order(patch: &[Value], order: &[Value], key: &str) -> Outcome<()> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut kept: Vec<&Value> = Vec::new();
    for item in patch {
        if !key.is_empty() && !item.is_object() {
            return Err(expected_map(item));
        }
        if key.is_empty() || item.get(DIRECTIVE).and_then(Value::as_str) != Some("delete") {
            kept.push(item);
        }
    }
    let (mut i, mut j) = (0, 0);
    while let (Some(item), Some(wanted)) = (kept.get(i), order.get(j)) {
        if item.as_object().is_some_and(|m| m.contains_key(DIRECTIVE)) {
            i += 1;
            continue;
        }
        let same = if key.is_empty() { *item == wanted } else { key_of(item, key)? == key_of(wanted, key)? };
        if same {
            i += 1;
        }
        j += 1;
    }
    if i < kept.len() && j >= order.len() {
        let (patch, order) = (go_print(&patch.to_vec().into()), go_print(&order.to_vec().into()));
        let text = format!("the order in patch list:\n{patch}\n doesn't match {SET_ORDER} list:\n{order}");
        return Err(Refusal::Other(text));
    }
    Ok(())
}
