//! Merging an applied configuration into the stored value.
//!
//! Counterpart: structured-merge-diff `typed/merge.go`. Nothing is removed by a merge. Items of associative lists
//! take the order of the configuration; items it does not name stay where they were among them.

use super::path::PathElement;
use super::typed::{Case, Ty};
use serde_json::Value;

/// Merges `config` into `live`.
///
/// # Errors
/// When a list item of either side has no path element.
pub(super) fn merge(live: &mut Value, config: &Value, ty: Ty<'_>) -> Result<(), String> {
    let case = ty.case(config);
    if !ty.is_atomic(case) {
        match (live, config, case) {
            (Value::Object(live), Value::Object(config), Case::Map) if !live.is_empty() => {
                for (name, value) in config {
                    match live.get_mut(name) {
                        Some(there) => merge(there, value, ty.field(name).unwrap_or(Ty::Deduced))
                            .map_err(|e| prefixed(&PathElement::Field(name), &e))?,
                        None => {
                            live.insert(name.clone(), value.clone());
                        }
                    }
                }
                return Ok(());
            }
            (Value::Array(live), Value::Array(config), Case::List) if !live.is_empty() => {
                *live = lists(std::mem::take(live), config, ty)?;
                return Ok(());
            }
            // An explicit null or nothing of the same form: what is there stays unless it is empty.
            (Value::Object(live), Value::Null, Case::Map) if !live.is_empty() => return Ok(()),
            (Value::Array(live), Value::Null, Case::List) if !live.is_empty() => return Ok(()),
            (live, config, _) => *live = config.clone(),
        }
        return Ok(());
    }
    live.clone_from(config);
    Ok(())
}

fn prefixed(element: &PathElement<'_>, error: &str) -> String {
    if error.starts_with(['.', '[']) { format!("{element}{error}") } else { format!("{element}: {error}") }
}

/// Where an item of one side has its partner on the other.
struct Partners {
    /// Live items, each with the config item of the same element.
    live: Vec<Option<usize>>,
    /// Config items, each with the first live item of the same element.
    config: Vec<Option<usize>>,
    /// Live items that share their element with another: they are replaced, not merged.
    twins: Vec<bool>,
}

fn partners(live: &[Value], config: &[Value], ty: Ty<'_>) -> Result<Partners, String> {
    let l = elements_of(live, ty)?;
    let c = elements_of(config, ty)?;
    let sorted = |e: &[PathElement<'_>]| {
        let mut order: Vec<usize> = (0..e.len()).collect();
        order.sort_by(|a, b| e[*a].order(&e[*b]));
        order
    };
    let (l_order, c_order) = (sorted(&l), sorted(&c));
    let mut out = Partners { live: vec![None; l.len()], config: vec![None; c.len()], twins: vec![false; l.len()] };
    for pair in l_order.windows(2) {
        if l[pair[0]].order(&l[pair[1]]).is_eq() {
            out.twins[pair[0]] = true;
            out.twins[pair[1]] = true;
        }
    }
    for (i, element) in l.iter().enumerate() {
        out.live[i] = c_order.binary_search_by(|j| c[*j].order(element)).ok().map(|at| c_order[at]);
        if let Some(j) = out.live[i] {
            out.config[j].get_or_insert(i);
        }
    }
    Ok(out)
}

fn elements_of<'v, 'a: 'v>(items: &'v [Value], ty: Ty<'a>) -> Result<Vec<PathElement<'v>>, String> {
    items.iter().enumerate().map(|(i, item)| ty.element(item).map_err(|e| format!("element {i}: {e}"))).collect()
}

/// Walks both lists side by side. Items only the live list has are taken as they come; an item both have is taken
/// when its turn in the configuration has come.
fn lists(live: Vec<Value>, config: &[Value], ty: Ty<'_>) -> Result<Vec<Value>, String> {
    let partners = partners(&live, config, ty)?;
    let mut live: Vec<Option<Value>> = live.into_iter().map(Some).collect();
    let mut out = Vec::with_capacity(live.len().max(config.len()));
    let mut shared = (0..config.len()).filter(|j| partners.config[*j].is_some());
    let mut next_shared = shared.next();
    let mut merged = vec![false; config.len()];
    let (mut l, mut c) = (0, 0);
    let take = |c: usize, live: &mut Vec<Option<Value>>| -> Result<Value, String> {
        let partner = partners.config[c].filter(|i| !partners.twins[*i]);
        let Some(mut item) = partner.and_then(|i| live[i].take()) else { return Ok(config[c].clone()) };
        merge(&mut item, &config[c], ty.item())
            .map_err(|e| ty.element(&config[c]).map_or_else(|why| why, |element| prefixed(&element, &e)))?;
        Ok(item)
    };
    while l < live.len() || c < config.len() {
        if l < live.len() && c < config.len() {
            if partners.live[l] == Some(c) {
                merged[c] = true;
                out.push(take(c, &mut live)?);
                (l, c) = (l + 1, c + 1);
                next_shared = shared.next();
                continue;
            }
            if partners.live[l].is_some() && next_shared.is_some() && next_shared != partners.live[l] {
                // Shared, but another's turn.
                l += 1;
                continue;
            }
        }
        if l < live.len() {
            match partners.live[l] {
                None => {
                    out.extend(live[l].take());
                    l += 1;
                    continue;
                }
                Some(j) if merged[j] => l += 1,
                Some(_) => {}
            }
        }
        if c < config.len() {
            merged[c] = true;
            out.push(take(c, &mut live)?);
            if next_shared == Some(c) {
                next_shared = shared.next();
            }
            c += 1;
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::Schema;
    use super::*;
    use rehearsal_apimachinery::{Catalog, GroupVersionKind};
    use serde_json::json;

    fn merged(live: Value, config: &Value) -> Value {
        let catalog = Catalog::builtin();
        let ty = Schema::new(&catalog.types, catalog.type_of(&GroupVersionKind::new("", "v1", "ConfigMap"))).ty();
        let mut out = live;
        merge(&mut out, config, ty).unwrap();
        out
    }

    fn finalizers(names: &str) -> Value {
        json!({"metadata": {"finalizers": names.chars().map(String::from).collect::<Vec<_>>()}})
    }

    #[test]
    fn list_items_take_the_order_of_the_configuration() {
        let cases = [
            ("abc", "cb", "acb"),
            ("abc", "bxc", "abxc"),
            ("abc", "x", "abcx"),
            ("abcd", "db", "acdb"),
            ("ab", "xa", "xab"),
            ("abc", "cxa", "bcxa"),
            ("", "ba", "ba"),
            ("ba", "", "ba"),
        ];
        for (live, config, want) in cases {
            assert_eq!(merged(finalizers(live), &finalizers(config)), finalizers(want), "{live} + {config}");
        }
    }

    #[test]
    fn an_explicit_null_keeps_what_has_content() {
        let live = json!({"data": {"a": "1"}, "metadata": {"finalizers": ["x"], "labels": {}}});
        let config = json!({"data": null, "metadata": {"finalizers": null, "labels": null, "name": "n"}});
        let want = json!({"data": {"a": "1"}, "metadata": {"finalizers": ["x"], "labels": null, "name": "n"}});
        assert_eq!(merged(live, &config), want);
    }

    #[test]
    fn stored_twins_give_way_to_the_applied_item() {
        assert_eq!(merged(finalizers("xaxa"), &finalizers("a")), finalizers("xax"));
    }
}
