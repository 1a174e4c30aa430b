//! Frames of a watch beside the recorded ones, object by object: what a server says about one object has an order that
//! counts, the order between objects may differ where calls overlapped. Bookmarks that come by the clock do not count.

use super::bindings::Bindings;
use super::check::{body, content};
use super::names::{identity, is_timed};
use super::report::PlaceDifference;
use super::scope::Scope;
use crate::format::Tree;
use crate::format::model::{Body, Call};

/// Whether a frame counts.
#[must_use]
pub fn counts(frame: &Body) -> bool {
    !content(frame).is_some_and(|event| is_timed(&event))
}

/// Learns from the frames that came and says where they differ from the recorded ones.
pub fn check_frames(call: &Call, live: &[Body], bindings: &mut Bindings) -> Vec<PlaceDifference> {
    let scope = Scope::of(call);
    let recorded: Vec<Tree> =
        call.frames.iter().filter(|f| counts(&f.content)).filter_map(|f| content(&f.content)).collect();
    let live: Vec<Tree> = live.iter().filter(|frame| counts(frame)).filter_map(content).collect();
    let mut found = Vec::new();
    let mut open: Vec<Option<Tree>> = live.into_iter().map(Some).collect();
    for (at, old) in recorded.iter().enumerate() {
        let member = format!("frames.{at}");
        let next = open.iter().position(|new| new.as_ref().is_some_and(|new| fits(old, new, bindings)));
        match next.and_then(|next| open.get_mut(next)).and_then(Option::take) {
            Some(new) => found.extend(body(&member, old, new, &scope, bindings)),
            None => found.push(PlaceDifference { path: member, recorded: Some(brief(old)), live: None }),
        }
    }
    let more = open.into_iter().enumerate().filter_map(|(at, new)| Some((at, new?)));
    found.extend(more.map(|(at, new)| PlaceDifference {
        path: format!("frames.{at}"),
        recorded: None,
        live: Some(brief(&new)),
    }));
    found
}

/// Whether a frame is about the object that the recorded one is about, as far as its name can be known.
fn fits(recorded: &Tree, live: &Tree, bindings: &Bindings) -> bool {
    let (Some(old), Some(new)) = (recorded.get("object"), live.get("object")) else {
        return recorded.get("object").is_none() == live.get("object").is_none();
    };
    let generator = |object: &Tree| object.text_at(&["metadata", "generateName"]).to_owned();
    match (identity(old), identity(new)) {
        (Some((namespace, name)), Some(other)) => {
            let wanted = (bindings.text(namespace), bindings.text(name));
            let unknown = wanted.1 == name && !generator(old).is_empty();
            (wanted.0.as_str(), wanted.1.as_str()) == other || unknown && generator(old) == generator(new)
        }
        (None, None) => true,
        _ => false,
    }
}

fn brief(event: &Tree) -> serde_json::Value {
    let (namespace, name) = event.get("object").and_then(identity).unwrap_or_default();
    let slash = if namespace.is_empty() { "" } else { "/" };
    format!("{} {} {namespace}{slash}{name}", event.text_at(&["type"]), event.text_at(&["object", "kind"])).into()
}

/// How many recorded frames count, among those that came before a moment of the tape.
#[must_use]
pub fn before(call: &Call, seq: u64) -> usize {
    call.frames.iter().filter(|frame| frame.seq < seq && counts(&frame.content)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::model::Frame;

    fn event(kind: &str, name: &str, rv: &str) -> Body {
        let text =
            format!(r#"{{"type":"{kind}","object":{{"metadata":{{"name":"{name}","resourceVersion":"{rv}"}}}}}}"#);
        Body::from_json(text.as_bytes())
    }

    fn found(recorded: &[Body], live: &[Body]) -> Vec<String> {
        let frames = recorded.iter().map(|content| Frame { content: content.clone(), ..Frame::default() }).collect();
        let call = Call { frames, ..Call::default() };
        check_frames(&call, live, &mut Bindings::default()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_order_between_objects_does_not_count_but_that_of_one_object_does() {
        let (a, b, gone) = (event("ADDED", "a", "1"), event("ADDED", "b", "2"), event("DELETED", "a", "3"));
        let bookmark = Body::from_json(br#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}"#);
        assert!(
            found(&[a.clone(), b.clone(), gone.clone()], &[b.clone(), bookmark, a.clone(), gone.clone()]).is_empty()
        );
        assert_eq!(found(&[a.clone(), gone.clone()], &[gone, a.clone()]).len(), 2);
        assert_eq!(
            found(std::slice::from_ref(&a), &[a.clone(), b]),
            ["frames.1: nothing on the tape, \"ADDED  b\" now"]
        );
    }
}
