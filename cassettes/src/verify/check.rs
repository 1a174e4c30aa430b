//! [`check`]: one live answer beside the recorded one: status, what headers say, the body after normalisation.
//!
//! A body is compared after the live values have been put into the recorded one, so that an answer that names another
//! object's uid or name is a difference. Metadata that a server sets is compared by being there or not.

use super::bindings::{Bindings, Clash};
use super::managers;
use super::names;
use super::report::PlaceDifference;
use super::scope::Scope;
use super::symbols::same;
use crate::format::Tree;
use crate::format::model::{Body, Call};
use crate::history;
use crate::replay::{Route, normal};
use serde_json::Value;

/// Headers that say something to a client.
const HEADERS: [&str; 6] = ["allow", "content-type", "location", "retry-after", "warning", "www-authenticate"];

/// Metadata that is there or not, whatever its value.
const PRESENCE: [&str; 4] = ["creationTimestamp", "deletionTimestamp", "resourceVersion", "uid"];

/// Differences of one answer that are looked for; no reader wants more.
const MOST: usize = 500;

/// An answer of the server at hand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    /// HTTP status.
    pub status: u16,
    /// Headers with lower-case names.
    pub headers: Vec<(String, String)>,
    /// The body, content-decoded.
    pub body: Option<Body>,
}

/// Learns from an answer and says where it differs from the recorded one.
pub fn check(call: &Call, live: &Live, bindings: &mut Bindings) -> Vec<PlaceDifference> {
    let Some(recorded) = &call.response else { return Vec::new() };
    let scope = Scope::of(call);
    let mut found = Vec::new();
    if recorded.status != live.status {
        found.push(place("status", Some(recorded.status.into()), Some(live.status.into())));
    }
    let bodies = (recorded.body.as_ref().and_then(content), live.body.as_ref().and_then(content));
    match bodies {
        (Some(old), Some(new)) => {
            let new = if old.entries().is_empty() { new } else { scope.project(new) };
            let writes = Route::of(&call.request).is_write() && (200..300).contains(&recorded.status);
            let late = if writes { bindings.not_newer(&old, &new) } else { None };
            let mut differences: Vec<_> = late.into_iter().map(|clash| clashed("body", clash)).collect();
            differences.extend(body("body", &old, new, &scope, bindings));
            if !scope.status {
                found.extend(differences);
            }
        }
        _ if scope.status => {}
        (None, None) => {}
        (old, new) => found.push(place("body", old.as_ref().map(Value::from), new.as_ref().map(Value::from))),
    }
    if !scope.status {
        headers(&recorded.headers, &live.headers, &scope, bindings, &mut found);
    }
    found
}

fn place(path: &str, recorded: Option<Value>, live: Option<Value>) -> PlaceDifference {
    PlaceDifference { path: path.to_owned(), recorded, live }
}

/// A body as a tree; text that is no object as it is.
pub(super) fn content(body: &Body) -> Option<Tree> {
    history::object(body).or_else(|| match body {
        Body::Text(text) | Body::Yaml(text) if !text.is_empty() => Some(Tree::Text(text.clone())),
        Body::Bytes(bytes) => Some(Tree::Text(format!("{} bytes", bytes.len()))),
        _ => None,
    })
}

/// Where two bodies differ. `member` names them: the paths begin with it.
pub(super) fn body(
    member: &str,
    recorded: &Tree,
    live: Tree,
    scope: &Scope,
    bindings: &mut Bindings,
) -> Vec<PlaceDifference> {
    let clashes = bindings.learn(recorded, &live);
    let live = names::in_recorded_order(recorded, live, bindings);
    let wanted = bindings.tree(recorded);
    let mut found: Vec<_> = clashes.into_iter().map(|clash| clashed(member, clash)).collect();
    presence(&wanted, &live, &mut member.to_owned(), &mut found);
    let managed = |tree: &Tree| managers::shown(tree, scope.managed_fields);
    let (mut old, mut new) = (normal::normalise(&managed(&wanted)), normal::normalise(&managed(&live)));
    scope.settle(member, &mut old);
    scope.settle(member, &mut new);
    let text = |value: &Option<Value>| value.as_ref().and_then(Value::as_str).map(str::to_owned);
    let differ = |difference: &normal::Difference| match (text(&difference.recorded), text(&difference.live)) {
        (Some(old), Some(new)) => !same(&old, &new, bindings.symbolic),
        _ => true,
    };
    let differences = normal::differences(&old, &new, MOST).into_iter().filter(differ);
    found.extend(differences.map(|difference| {
        let difference = normal::Difference { path: managers::named(&difference.path), ..difference };
        let path = if difference.path.is_empty() { member.to_owned() } else { format!("{member}.{}", difference.path) };
        PlaceDifference { path, recorded: difference.recorded, live: difference.live }
    }));
    found.retain(|place| !ignored(scope, &place.path));
    found
}

/// Whether a path is below one that is left out.
fn ignored(scope: &Scope, path: &str) -> bool {
    let parts: Vec<_> = path.split('.').collect();
    scope.ignore.iter().any(|rule| {
        let rule: Vec<_> = rule.split('.').collect();
        rule.len() <= parts.len() && rule.iter().zip(&parts).all(|(a, b)| *a == "*" || a == b)
    })
}

/// Says that an identity is another one now.
fn clashed(member: &str, clash: Clash) -> PlaceDifference {
    if let Some((older, than)) = clash.older {
        let recorded = format!("{}, newer than {older}", clash.recorded);
        let live = format!("{}, not newer than {than}", clash.live);
        return place(&format!("{member}.{}", clash.path), Some(recorded.into()), Some(live.into()));
    }
    let recorded = match clash.expected {
        Some(expected) => format!("{} (so far {expected})", clash.recorded),
        None => format!("{} (new)", clash.recorded),
    };
    place(&format!("{member}.{}", clash.path), Some(recorded.into()), Some(clash.live.into()))
}

fn presence(recorded: &Tree, live: &Tree, path: &mut String, found: &mut Vec<PlaceDifference>) {
    match (recorded, live) {
        (Tree::Map(entries), Tree::Map(_)) => {
            for (key, old) in entries {
                let Some(new) = live.get(key) else { continue };
                let length = path.len();
                path.push('.');
                path.push_str(key);
                if key == "metadata" {
                    let set =
                        |tree: &Tree, key: &str| tree.get(key).filter(|tree| **tree != Tree::Null).map(Value::from);
                    for key in PRESENCE {
                        let (old, new) = (set(old, key), set(new, key));
                        if old.is_some() != new.is_some() {
                            found.push(place(&format!("{path}.{key}"), old, new));
                        }
                    }
                }
                presence(old, new, path, found);
                path.truncate(length);
            }
        }
        (Tree::List(items), Tree::List(others)) => {
            for (at, (old, new)) in items.iter().zip(others).enumerate() {
                let length = path.len();
                path.push_str(&format!(".{at}"));
                presence(old, new, path, found);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

fn headers(
    recorded: &[(String, String)],
    live: &[(String, String)],
    scope: &Scope,
    bindings: &Bindings,
    found: &mut Vec<PlaceDifference>,
) {
    for name in HEADERS.into_iter().filter(|name| scope.has_header(name)) {
        let of = |headers: &[(String, String)]| {
            let mut values: Vec<_> =
                headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect();
            values.sort();
            values
        };
        let old: Vec<_> = of(recorded).iter().map(|value| bindings.text(value)).collect();
        let new = of(live);
        // Protobuf is asked for as JSON.
        let another_form = name == "content-type" && old.iter().any(|value| value.contains("protobuf"));
        let equal = old.len() == new.len() && old.iter().zip(&new).all(|(a, b)| same(a, b, bindings.symbolic));
        if !equal && !another_form {
            found.push(place(&format!("headers.{name}"), Some(old.join(", ").into()), Some(new.join(", ").into())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::model::Response;

    fn json(text: &str) -> Option<Body> {
        Some(Body::from_json(text.as_bytes()))
    }

    fn paths(recorded: &str, live: &str, bindings: &mut Bindings) -> Vec<String> {
        let response = Response { status: 200, body: json(recorded), ..Response::default() };
        let call = Call { response: Some(response), ..Call::default() };
        let live = Live { status: 200, body: json(live), ..Live::default() };
        check(&call, &live, bindings).into_iter().map(|place| place.path).collect()
    }

    #[test]
    fn what_no_two_servers_share_is_no_difference() {
        let mut bindings = Bindings::default();
        let of = |uid: &str, rv: &str, name: &str| {
            format!(
                r#"{{"metadata":{{"uid":"{uid}","resourceVersion":"{rv}","name":"{name}","generateName":"a-"}},"s":"{name}"}}"#
            )
        };
        let (one, two) = ("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "7ca7b810-9dad-11d1-80b4-00c04fd430c8");
        assert!(paths(&of(one, "5", "a-x"), &of(two, "77", "a-y"), &mut bindings).is_empty());
        assert_eq!(
            paths(&of(one, "6", "a-x"), &of(two, "77", "a-y"), &mut bindings),
            ["body.metadata.resourceVersion"]
        );
    }

    #[test]
    fn a_write_is_newer_than_what_was_seen_before_it() {
        let of =
            |uid: &str, rv: &str| format!(r#"{{"metadata":{{"uid":"{uid}","resourceVersion":"{rv}","name":"a"}}}}"#);
        let write = |bindings: &mut Bindings, recorded: &str, live: &str| -> Vec<String> {
            let response = Response { status: 200, body: json(recorded), ..Response::default() };
            let mut call = Call { response: Some(response), ..Call::default() };
            (call.request.method, call.request.path) = ("PUT".into(), "/api/v1/namespaces/d/pods/a".into());
            let live = Live { status: 200, body: json(live), ..Live::default() };
            check(&call, &live, bindings).iter().map(ToString::to_string).collect()
        };
        let mut bindings = Bindings::default();
        assert!(write(&mut bindings, &of("u", "100"), &of("v", "7")).is_empty());
        // Another object, written later in the recording and earlier now.
        assert_eq!(
            write(&mut bindings, &of("w", "105"), &of("x", "6")),
            [r#"body.metadata.resourceVersion: "105, newer than 100" on the tape, "6, not newer than 7" now"#]
        );
        // What overlapped may come the other way round.
        assert!(write(&mut bindings, &of("y", "90"), &of("z", "9")).is_empty());
    }

    #[test]
    fn states_of_one_object_keep_their_order() {
        let of =
            |uid: &str, rv: &str| format!(r#"{{"metadata":{{"uid":"{uid}","resourceVersion":"{rv}","name":"a"}}}}"#);
        let mut bindings = Bindings::default();
        assert!(paths(&of("u", "100"), &of("v", "7"), &mut bindings).is_empty());
        assert!(paths(&of("u", "120"), &of("v", "12"), &mut bindings).is_empty());
        assert_eq!(paths(&of("u", "110"), &of("v", "13"), &mut bindings), ["body.metadata.resourceVersion"]);
        assert!(paths(&of("u", "111"), &of("v", "9"), &mut bindings).is_empty());
    }

    #[test]
    fn metadata_is_there_or_not() {
        let found = paths(
            r#"{"metadata":{"deletionTimestamp":"2026-01-02T03:04:05Z"}}"#,
            r#"{"metadata":{}}"#,
            &mut Bindings::default(),
        );
        assert_eq!(found, ["body.metadata.deletionTimestamp"]);
    }

    #[test]
    fn lists_of_generated_names_are_laid_side_by_side() {
        let list = |names: [&str; 2]| {
            let items =
                names.map(|name| format!(r#"{{"metadata":{{"name":"{name}","generateName":"a-"}},"n":"{name}"}}"#));
            format!(r#"{{"items":[{}]}}"#, items.join(","))
        };
        let mut bindings = Bindings::default();
        let one = |name: &str| format!(r#"{{"metadata":{{"name":"{name}","generateName":"a-"}}}}"#);
        assert!(paths(&one("a-1"), &one("a-z"), &mut bindings).is_empty());
        assert!(paths(&list(["a-1", "a-2"]), &list(["a-b", "a-z"]), &mut bindings).is_empty());
    }

    #[test]
    fn redacted_texts_and_placeholders_stand_for_any() {
        let mut bindings = Bindings::new(true);
        let recorded = r#"{"a":"redacted","metadata":{"resourceVersion":"<rv:1>"},"m":"at <time>: {{rv}}"}"#;
        let live = r#"{"a":"x","metadata":{"resourceVersion":"5"},"m":"at 2026-01-02T03:04:05Z: 123456"}"#;
        assert!(paths(recorded, live, &mut bindings).is_empty());
        assert_eq!(bindings.text("<rv:1> {{rv}}"), "5 123456");
    }
}
