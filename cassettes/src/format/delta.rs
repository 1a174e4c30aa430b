//! Watch events as differences: `event: {type, base, merge}`, where `base` is the `seq` of an earlier frame of the same
//! call about the same object, and `merge` an RFC 7386 patch that makes the object of it. A tape whose frames are written
//! so says `requires: [delta]`; in memory frames are always whole.
//!
//! A frame is written so only where the patch gives the very same object back, order of members included, and is worth it.

use super::fields::{Step, Wrong};
use super::model::{Body, Call, Frame, Seq};
use super::tree::Tree;
use std::collections::HashMap;

/// The word in `requires`.
pub const FEATURE: &str = "delta";

/// The call with its frames as differences, where there is one that is worth it.
pub(super) fn compressed(call: &Call) -> Option<Call> {
    let mut last: HashMap<&str, &Frame> = HashMap::new();
    let mut small: Option<Call> = None;
    for (at, frame) in call.frames.iter().enumerate() {
        let Some(object) = object(frame) else { continue };
        let uid = object.text_at(&["metadata", "uid"]);
        if uid.is_empty() {
            continue;
        }
        if let Some(base) = last.insert(uid, frame)
            && let Some(event) = difference(base, frame)
            && let Body::Json { render, .. } = frame.content
        {
            let copy = small.get_or_insert_with(|| call.clone());
            if let Some(frame) = copy.frames.get_mut(at) {
                frame.content = Body::Json { tree: event, render };
            }
        }
    }
    small
}

/// The object of `{type, object}`; none for anything else.
fn object(frame: &Frame) -> Option<&Tree> {
    let Body::Json { tree, .. } = &frame.content else { return None };
    match tree.entries() {
        [(kind, Tree::Text(_)), (object, value @ Tree::Map(_))] if kind == "type" && object == "object" => Some(value),
        _ => None,
    }
}

fn difference(base: &Frame, frame: &Frame) -> Option<Tree> {
    let (old, new) = (object(base)?, object(frame)?);
    let merge = patch(old, new)?;
    let mut made = old.clone();
    apply(&mut made, &merge);
    // A patch cannot say null, nor move a member.
    if made != *new || weight(&merge) * 2 > weight(new) {
        return None;
    }
    let Body::Json { tree, .. } = &frame.content else { return None };
    Some(Tree::Map(vec![
        ("type".to_owned(), tree.get("type")?.clone()),
        ("base".to_owned(), number(base.seq)?),
        ("merge".to_owned(), merge),
    ]))
}

fn number(seq: Seq) -> Option<Tree> {
    i64::try_from(seq).ok().map(Tree::Int)
}

/// A merge patch between two maps; none where one of them is no map.
fn patch(old: &Tree, new: &Tree) -> Option<Tree> {
    let (Tree::Map(before), Tree::Map(after)) = (old, new) else { return None };
    let mut entries = Vec::new();
    for (key, _) in before.iter().filter(|(key, _)| new.get(key).is_none()) {
        entries.push((key.clone(), Tree::Null));
    }
    for (key, value) in after {
        match old.get(key) {
            Some(was) if was == value => {}
            Some(was) => entries.push((key.clone(), patch(was, value).unwrap_or_else(|| value.clone()))),
            None => entries.push((key.clone(), value.clone())),
        }
    }
    Some(Tree::Map(entries))
}

fn apply(target: &mut Tree, patch: &Tree) {
    let Tree::Map(entries) = patch else {
        *target = patch.clone();
        return;
    };
    if !matches!(target, Tree::Map(_)) {
        *target = Tree::Map(Vec::new());
    }
    for (key, value) in entries {
        match value {
            Tree::Null => drop(target.remove(key)),
            value => match target.get_mut(key) {
                Some(member) => apply(member, value),
                None => target.set(key, value.clone()),
            },
        }
    }
}

/// About how many characters a tree takes.
fn weight(tree: &Tree) -> usize {
    match tree {
        Tree::Text(text) => text.len() + 2,
        Tree::List(items) => items.iter().map(|item| weight(item) + 2).sum::<usize>() + 2,
        Tree::Map(entries) => entries.iter().map(|(key, value)| key.len() + weight(value) + 4).sum::<usize>() + 2,
        _ => 5,
    }
}

/// Makes frames whole again.
pub(super) fn expand(frames: &mut [Frame]) -> Result<(), Wrong> {
    for at in 0..frames.len() {
        let (before, rest) = frames.split_at_mut(at);
        let Some(frame) = rest.first_mut() else { break };
        let Body::Json { tree, .. } = &mut frame.content else { continue };
        let [(kind, Tree::Text(word)), (base, seq), (merge, patch @ Tree::Map(_))] = tree.entries() else { continue };
        if (kind.as_str(), base.as_str(), merge.as_str()) != ("type", "base", "merge") {
            continue;
        }
        let wrong = |why: String| {
            let steps = ["base", "event"].map(|key| Step::Key(key.to_owned()));
            steps.into_iter().chain([Step::Item(at), Step::Key("frames".to_owned())]).fold(Wrong::new(why), Wrong::at)
        };
        let Some(found) = before.iter().find(|frame| number(frame.seq).as_ref() == Some(seq)) else {
            return Err(wrong("no earlier frame of this call has this seq".to_owned()));
        };
        let Some(mut made) = object(found).cloned() else {
            return Err(wrong("the frame with this seq holds no object to build on".to_owned()));
        };
        apply(&mut made, patch);
        let whole = vec![("type".to_owned(), Tree::Text(word.clone())), ("object".to_owned(), made)];
        *tree = Tree::Map(whole);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::model::{Entry, Marks, Tape};
    use super::super::{canonical, load, seal};
    use super::*;

    fn event(seq: Seq, object: &str) -> Frame {
        let text = format!("{{\"type\":\"MODIFIED\",\"object\":{object}}}\n");
        Frame { seq, content: Body::from_json(text.as_bytes()), ..Frame::default() }
    }

    fn pod(revision: u32, more: &str) -> String {
        let filler = "x".repeat(200);
        format!(
            r#"{{"kind":"Pod","metadata":{{"name":"a","uid":"u","resourceVersion":"{revision}"}},"spec":{{"f":"{filler}"}}{more}}}"#
        )
    }

    fn tape(frames: Vec<Frame>) -> Tape {
        let end = frames.len() as u64 + 10;
        let call = Call { id: 1, seq: Marks { req: 1, head: Some(2), end }, frames, ..Call::default() };
        let mut tape = Tape { entries: vec![Entry::Call(call)], ..Tape::default() };
        tape.header.format.requires.push(FEATURE.to_owned());
        tape
    }

    #[test]
    fn events_are_written_as_differences_and_read_whole() {
        let mut tape = tape(vec![
            event(3, &pod(1, "")),
            event(4, &pod(2, r#","status":{"phase":"Running"}"#)),
            event(5, &pod(3, "")),
        ]);
        seal(&mut tape);
        let text = canonical::to_text(&tape);
        assert_eq!(text.matches("      base: ").count(), 2, "{text}");
        assert!(text.contains("requires: [delta]") && text.contains("status: null"), "{text}");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.tape.yaml");
        canonical::save(&tape, &path).unwrap();
        let loaded = load(&path).unwrap();
        assert_eq!((&loaded.tape, loaded.seal), (&tape, super::super::Seal::Intact));
        assert_eq!(canonical::to_text(&loaded.tape), text);
        assert_eq!(super::super::TapeFile::open(&path).unwrap().tape().unwrap(), tape);
    }

    #[test]
    fn what_a_patch_cannot_say_is_written_whole() {
        let moved = pod(2, "").replacen(r#""kind":"Pod","#, "", 1).replacen('{', r#"{"kind":"Pod","#, 1);
        let order = moved.replace(r#""name":"a","uid":"u""#, r#""uid":"u","name":"a""#);
        let null = pod(2, r#","status":null"#);
        for second in [order, null] {
            let text = canonical::to_text(&tape(vec![event(3, &pod(1, "")), event(4, &second)]));
            assert!(!text.contains("base: "), "{text}");
        }
    }

    #[test]
    fn a_difference_to_nothing_is_refused_with_its_line() {
        let text = canonical::to_text(&tape(vec![event(3, &pod(1, "")), event(4, &pod(2, ""))]));
        let error = canonical::from_text(&text.replace("base: 3", "base: 9")).unwrap_err().to_string();
        assert!(error.contains("frames[1].event.base: no earlier frame of this call has this seq"), "{error}");
        assert!(error.starts_with("tape:") && !error.starts_with("tape:0"), "{error}");
    }
}
