//! Bodies: from the bytes of the wire into the most readable form that gives the same bytes back.

use super::json;
use super::model::{Body, Render};
use super::tree::Tree;

/// Deeper trees stay text: a document wraps a body in some levels of its own, and YAML readers stop at 128.
const MAX_DEPTH: usize = 100;
/// Longer keys stay text: YAML allows 1024 characters before the colon of a plain entry.
const MAX_KEY: usize = 900;

impl Render {
    /// What Go's encoder writes, with the newline at the end: answers of an API server to programs, watch events.
    pub const GO: Self = Self { indent: false, html: true, newline: true, spaced: false, ascii: false };
    /// What an API server writes for curl and browsers.
    pub const PRETTY: Self = Self { indent: true, html: true, newline: false, spaced: false, ascii: false };
    /// Compact, nothing escaped that need not be; what most other programs send.
    pub const COMPACT: Self = Self { indent: false, html: false, newline: false, spaced: false, ascii: false };
}

impl Body {
    /// Captures JSON. The bytes are made again from the tree and compared; where they differ (unusual white space,
    /// doubled keys, `1.0`), and for anything that is not JSON, the body is [`Body::Text`] or [`Body::Bytes`].
    #[must_use]
    pub fn from_json(bytes: &[u8]) -> Self {
        let Ok(tree) = Tree::from_json(bytes) else { return Self::from_text(bytes) };
        if !fits(&tree, MAX_DEPTH) {
            return Self::from_text(bytes);
        }
        let fitting = json::candidates(bytes).into_iter().find(|how| json::render(&tree, *how) == bytes);
        match fitting {
            Some(render) => Self::Json { tree, render },
            None => Self::from_text(bytes),
        }
    }

    /// Captures text; [`Body::Bytes`] where it is not UTF-8.
    #[must_use]
    pub fn from_text(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Bytes(bytes.to_vec()),
        }
    }

    /// Captures YAML; [`Body::Bytes`] where it is not UTF-8.
    #[must_use]
    pub fn from_yaml(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Yaml(text.to_owned()),
            Err(_) => Self::Bytes(bytes.to_vec()),
        }
    }

    /// Captures a body by its `Content-Type`. Protobuf becomes [`Body::Proto`] without a summary, which the caller may
    /// fill in; `None` for an empty body.
    #[must_use]
    pub fn capture(content_type: &str, bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return None;
        }
        let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        Some(match media.as_str() {
            "application/vnd.kubernetes.protobuf" => Self::Proto { bytes: bytes.to_vec(), summary: Vec::new() },
            "application/yaml" | "application/x-yaml" | "application/apply-patch+yaml" | "text/yaml" => {
                // Apply bodies are often JSON, which is YAML too.
                match Self::from_json(bytes) {
                    json @ Self::Json { .. } => json,
                    _ => Self::from_yaml(bytes),
                }
            }
            // Text errors are often JSON under `text/plain` (request timeouts are).
            _ if matches!(bytes.first(), Some(b'{' | b'[')) => Self::from_json(bytes),
            media if media == "application/json" || media.ends_with("+json") => Self::from_json(bytes),
            _ => Self::from_text(bytes),
        })
    }

    /// The recorded bytes. `None` for [`Body::Ref`] and [`Body::Same`], whose bytes are elsewhere.
    #[must_use]
    pub fn bytes(&self) -> Option<Vec<u8>> {
        Some(match self {
            Self::Json { tree, render } => json::render(tree, *render),
            Self::Yaml(text) | Self::Text(text) => text.clone().into_bytes(),
            Self::Proto { bytes, .. } | Self::Bytes(bytes) => bytes.clone(),
            Self::Ref { .. } | Self::Same { .. } => return None,
        })
    }

    /// The body as a tree: JSON as it is, text and YAML parsed. `None` where it is neither, or is elsewhere.
    #[must_use]
    pub fn tree(&self) -> Option<Tree> {
        match self {
            Self::Json { tree, .. } => Some(tree.clone()),
            Self::Text(text) => Tree::from_json(text.as_bytes()).ok(),
            Self::Yaml(text) => serde_yaml::from_str(text).ok(),
            _ => None,
        }
    }

    /// The tree of a JSON body, without a copy.
    #[must_use]
    pub fn json(&self) -> Option<&Tree> {
        match self {
            Self::Json { tree, .. } => Some(tree),
            _ => None,
        }
    }

    /// What human readers and indexes want to know of it: `type` (watch events), `apiVersion`, `kind`, `name`, `uid`,
    /// `resourceVersion`, as far as they are there.
    #[must_use]
    pub fn summary(&self) -> Vec<(String, String)> {
        match self {
            Self::Json { tree, .. } => summary(tree),
            Self::Proto { summary, .. } | Self::Ref { summary, .. } => summary.clone(),
            _ => Vec::new(),
        }
    }

    /// One entry of the summary; empty where it is not known. Makes no copy of the others.
    #[must_use]
    pub fn fact(&self, name: &str) -> &str {
        match self {
            Self::Json { tree, .. } => fact(tree, name),
            Self::Proto { summary, .. } | Self::Ref { summary, .. } => {
                summary.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
            }
            _ => "",
        }
    }
}

const FACTS: [&str; 6] = ["type", "apiVersion", "kind", "name", "uid", "resourceVersion"];

fn summary(tree: &Tree) -> Vec<(String, String)> {
    let known = FACTS.iter().map(|name| (*name, fact(tree, name))).filter(|(_, value)| !value.is_empty());
    known.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A watch event is `{type, object}`; a Secret has a `type` too, but no object within.
fn fact<'t>(tree: &'t Tree, name: &str) -> &'t str {
    let event = tree.get("object").filter(|_| tree.get("type").is_some());
    let object = event.unwrap_or(tree);
    match name {
        "type" => event.map_or("", |_| tree.text_at(&["type"])),
        "apiVersion" | "kind" => object.text_at(&[name]),
        _ => object.text_at(&["metadata", name]),
    }
}

fn fits(tree: &Tree, depth: usize) -> bool {
    match tree {
        Tree::List(items) => depth > 0 && items.iter().all(|item| fits(item, depth - 1)),
        Tree::Map(entries) => {
            depth > 0 && entries.iter().all(|(key, value)| key.len() <= MAX_KEY && fits(value, depth - 1))
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render_of(text: &str) -> Option<Render> {
        let body = Body::from_json(text.as_bytes());
        assert_eq!(body.bytes().unwrap(), text.as_bytes());
        match body {
            Body::Json { render, .. } => Some(render),
            _ => None,
        }
    }

    #[test]
    fn each_form_of_json_is_told_apart_and_comes_back() {
        assert_eq!(render_of("{\"a\":\"\\u003c\"}\n"), Some(Render::GO));
        assert_eq!(render_of("{\"a\":1}\n"), Some(Render::GO));
        assert_eq!(render_of("{\n  \"a\": \"\\u003c\"\n}"), Some(Render::PRETTY));
        assert_eq!(render_of("{\"a\":\"<\"}"), Some(Render::COMPACT));
        assert_eq!(render_of("{\"a\":\"<\"}\n"), Some(Render { html: false, ..Render::GO }));
        assert_eq!(
            render_of("{\"a\": [1, \"\\u00e9\"]}"),
            Some(Render { spaced: true, ascii: true, ..Render::COMPACT })
        );
    }

    #[test]
    fn what_cannot_be_made_again_stays_text() {
        for text in
            ["{\"a\":1.0}", "{ \"a\":1}", "{\"a\":1,\"a\":2}", "{\"a\":1}\n\n", "\"\\u0041\"", "not json", "1E3"]
        {
            assert_eq!(render_of(text), None, "{text}");
        }
        assert_eq!(Body::from_json(&[0xff, 0xfe]), Body::Bytes(vec![0xff, 0xfe]));
    }

    #[test]
    fn depth_and_keys_beyond_what_yaml_takes_stay_text() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(render_of(&deep(100)).is_some());
        assert!(render_of(&deep(101)).is_none());
        assert!(render_of(&format!("{{\"{}\":1}}", "k".repeat(901))).is_none());
    }

    #[test]
    fn a_body_is_captured_by_what_it_is() {
        assert_eq!(Body::capture("application/json", b""), None);
        assert!(matches!(Body::capture("text/plain", b"{\"message\":\"x\"}"), Some(Body::Json { .. })));
        assert!(matches!(Body::capture("application/apply-patch+yaml", b"kind: Pod\n"), Some(Body::Yaml(_))));
        assert!(matches!(
            Body::capture("application/apply-patch+yaml", b"{\"kind\":\"Pod\"}"),
            Some(Body::Json { .. })
        ));
        assert!(matches!(Body::capture("text/plain; charset=utf-8", b"Too many"), Some(Body::Text(_))));
        assert!(matches!(
            Body::capture("application/vnd.kubernetes.protobuf;stream=watch", b"k8s\0"),
            Some(Body::Proto { .. })
        ));
    }

    #[test]
    fn the_summary_of_a_watch_event_is_its_objects() {
        let event = br#"{"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","uid":"u","resourceVersion":"7"}}}"#;
        let body = Body::from_json(event);
        let names: Vec<_> = body.summary().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, FACTS);
        assert_eq!(body.fact("resourceVersion"), "7");
        assert_eq!(body.fact("type"), "ADDED");
    }
}
