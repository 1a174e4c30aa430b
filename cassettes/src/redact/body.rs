//! Bodies by their form. What is sensitive and cannot be read is not kept: a note with kind, name, length and keyed
//! hash takes its place.

use rehearsal_apimachinery::catalog::Catalog;
use rehearsal_apimachinery::codec::frames::{decode_protobuf_event, protobuf_event};
use rehearsal_apimachinery::codec::protobuf::{MAGIC, decode_envelope, decode_object, encode_object};
use serde_json::Value;

use super::dictionary::Reach;
use super::headers::DROPPED;
use super::kinds;
use super::pseudonym::is_placeholder;
use super::walk::Walk;
use super::{Context, Core};
use crate::format::Tree;
use crate::format::model::{Body, Render};

/// What a body belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Request,
    Response,
    Frame,
}

/// Redacts a body in its place.
pub(super) fn redact(core: &Core, context: &Context, body: &mut Body, of: Of) {
    // Megabytes of types, and no user's values.
    if context.is_schema() && of == Of::Response {
        return;
    }
    let clean = match body {
        Body::Json { tree, .. } => {
            Walk::new(core, context).document(tree);
            None
        }
        Body::Yaml(text) => match Walk::new(core, context).yaml_body(text) {
            Ok(clean) => clean.map(Body::Yaml),
            Err(()) => unread(core, context, text.as_bytes(), of).or_else(|| prose(core, context, text)),
        },
        Body::Text(text) if of == Of::Frame => streamed(core, context, text),
        Body::Text(text) => self::text(core, context, text, of),
        Body::Proto { bytes, .. } => proto(core, context, bytes, of),
        Body::Bytes(bytes) if bytes.starts_with(&MAGIC) => proto(core, context, bytes, of),
        Body::Bytes(bytes) => self::bytes(core, context, bytes),
        Body::Ref { .. } | Body::Same { .. } => None,
    };
    match (clean, body) {
        (None, _) => {}
        (Some(Body::Bytes(new)), Body::Proto { bytes, .. } | Body::Bytes(bytes)) => *bytes = new,
        (Some(new), body) => *body = new,
    }
}

fn prose(core: &Core, context: &Context, text: &str) -> Option<Body> {
    Walk::new(core, context).message(text).map(Body::Text)
}

/// A piece of a streamed log. A key that is printed line by line is recognised by its first line alone.
fn streamed(core: &Core, context: &Context, text: &str) -> Option<Body> {
    const END: &str = "-----END ";
    let mut out = String::new();
    let mut rest = text;
    if context.is_within_key() {
        let end = rest.find(END).map(|at| rest[at..].find('\n').map_or(rest.len(), |line| at + line));
        let (key, after) = rest.split_at(end.unwrap_or_else(|| rest.trim_end_matches('\n').len()));
        context.set_within_key(end.is_none());
        if !is_placeholder(key.trim()) {
            core.learn(key.trim().as_bytes(), Reach::Anywhere);
        }
        out.push_str(DROPPED);
        rest = after;
    }
    if let Some(at) = rest.rfind("PRIVATE KEY-----")
        && rest[..at].ends_with(|c: char| c.is_ascii_uppercase() || c == ' ')
        && rest[..at].contains("-----BEGIN ")
        && !rest[at..].contains(END)
        && !rest[..at].trim_end_matches(|c: char| c.is_ascii_uppercase() || c == ' ').ends_with("-----END")
    {
        context.set_within_key(true);
    }
    match self::text(core, context, rest, Of::Frame) {
        Some(Body::Text(clean)) => out.push_str(&clean),
        Some(closed) => return Some(closed),
        None => out.push_str(rest),
    }
    (out != text).then_some(Body::Text(out))
}

fn text(core: &Core, context: &Context, text: &str, of: Of) -> Option<Body> {
    let start = text.trim_start();
    if start.starts_with(['{', '[']) {
        if let Ok(value) = serde_json::from_str::<Value>(text) {
            // A body kept as text because its bytes cannot be made from a tree keeps its order all the same.
            let exact = Tree::from_json(text.as_bytes());
            let doubled = exact.is_err();
            let mut tree = exact.unwrap_or_else(|_| Tree::from(&value));
            let mut walk = Walk::new(core, context);
            walk.document(&mut tree);
            if doubled && !walk.changed {
                // The tree has the last of two equal keys, the text both.
                return prose(core, context, text);
            }
            let end = if text.ends_with('\n') { "\n" } else { "" };
            return walk.changed.then(|| Body::Text(serde_json::to_string(&tree).unwrap_or_default() + end));
        }
        // However short: it was to be an object.
        if let Some(closed) = unread(core, context, text.as_bytes(), Of::Response) {
            return Some(closed);
        }
    } else if context.is_sensitive()
        && of == Of::Response
        && let Ok(Some(clean)) = Walk::new(core, context).yaml_body(text)
    {
        return Some(Body::Text(clean));
    } else if of == Of::Request
        && let Some(closed) = unread(core, context, text.as_bytes(), of)
    {
        return Some(closed);
    }
    prose(core, context, text)
}

fn bytes(core: &Core, context: &Context, bytes: &[u8]) -> Option<Body> {
    if context.is_sensitive() {
        return Some(closed(core, context, "", bytes));
    }
    let text = String::from_utf8_lossy(bytes);
    Walk::new(core, context).message(&text).is_some().then(|| closed(core, context, "", bytes))
}

/// A sensitive body that does not parse. Short prose in an answer is an error message, not an object.
fn unread(core: &Core, context: &Context, bytes: &[u8], of: Of) -> Option<Body> {
    let an_object = of != Of::Frame || bytes.len() > 64;
    let matters = an_object && context.is_sensitive() && !bytes.trim_ascii().is_empty();
    matters.then(|| closed(core, context, "", bytes))
}

fn proto(core: &Core, context: &Context, bytes: &[u8], of: Of) -> Option<Body> {
    let catalog = Catalog::builtin();
    let event = of == Of::Frame && !bytes.starts_with(&MAGIC);
    let decoded = if event {
        decode_protobuf_event(bytes, catalog).map(|(kind, object)| (Some(kind), object))
    } else {
        decode_object(bytes, catalog).map(|object| (None, object))
    };
    let Ok((kind, object)) = decoded else {
        let named = decode_envelope(bytes).map(|envelope| envelope.kind).unwrap_or_default();
        let sensitive = context.is_sensitive() || kinds::is_sensitive(&named);
        let suspect = || Walk::new(core, context).message(&String::from_utf8_lossy(bytes)).is_some();
        return (sensitive || suspect()).then(|| closed(core, context, &named, bytes));
    };
    let mut tree = Tree::from(&object);
    let mut walk = Walk::new(core, context);
    walk.document(&mut tree);
    if !walk.changed {
        return None;
    }
    let object = Value::from(&tree);
    let encoded = match kind {
        Some(kind) => protobuf_event(&kind, &object, catalog).map(|bytes| bytes.get(4..).unwrap_or_default().to_vec()),
        None => encode_object(&object, catalog),
    };
    Some(encoded.map_or_else(|_| closed(core, context, "", bytes), Body::Bytes))
}

/// What stands for a body that could not be kept.
pub(super) fn closed(core: &Core, context: &Context, kind: &str, bytes: &[u8]) -> Body {
    let kind = if kind.is_empty() { context.kind() } else { kind };
    Body::Json {
        tree: note(kind, &context.info.name, bytes.len(), &core.names.digest(bytes)),
        render: Render::default(),
    }
}

pub(super) fn note(kind: &str, name: &str, length: usize, hmac: &str) -> Tree {
    Tree::Map(vec![
        ("kind".to_owned(), kind.into()),
        ("name".to_owned(), name.into()),
        ("bytes".to_owned(), Tree::Int(i64::try_from(length).unwrap_or(i64::MAX))),
        ("hmac".to_owned(), hmac.into()),
    ])
}
