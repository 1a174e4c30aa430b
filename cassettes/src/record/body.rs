//! What a protobuf body says of itself, and the body of a frame, which may be empty and still is one.

use crate::format::model::Body;

/// A protobuf message of Kubernetes begins so.
const MAGIC: &[u8] = b"k8s\0";

/// The body that these bytes are, by their media type; none for no bytes.
#[must_use]
pub fn body_of(media: &str, bytes: &[u8]) -> Option<Body> {
    let mut body = Body::capture(media, bytes)?;
    if let Body::Proto { bytes, summary } = &mut body {
        *summary = summary_of(bytes);
    }
    Some(body)
}

/// As [`body_of`], for what may be empty and still is something: the frame of a stream.
pub(crate) fn content_of(media: &str, bytes: &[u8]) -> Body {
    body_of(media, bytes).unwrap_or_default()
}

/// What a reader wants to know of a protobuf body: `type` for a watch event, then `apiVersion`, `kind`, `name`, `uid` and
/// `resourceVersion`, as far as they can be read.
#[must_use]
pub fn summary_of(bytes: &[u8]) -> Vec<(String, String)> {
    let mut summary = Vec::new();
    let envelope = match bytes.strip_prefix(MAGIC) {
        Some(envelope) => envelope,
        // A watch event: its type, and the object in a message of its own.
        None => {
            if let Some(kind) = field(bytes, 1).and_then(|b| std::str::from_utf8(b).ok()) {
                summary.push(("type".to_owned(), kind.to_owned()));
            }
            let object = field(bytes, 2).and_then(|extension| field(extension, 1)).unwrap_or_default();
            object.strip_prefix(MAGIC).unwrap_or_default()
        }
    };
    let mut note = |key: &str, value: Option<&[u8]>| {
        if let Some(text) = value.and_then(|b| std::str::from_utf8(b).ok()).filter(|t| !t.is_empty()) {
            summary.push((key.to_owned(), text.to_owned()));
        }
    };
    let types = field(envelope, 1).unwrap_or_default();
    let kind = field(types, 2);
    note("apiVersion", field(types, 1));
    note("kind", kind);
    let metadata = field(envelope, 2).and_then(|raw| field(raw, 1)).unwrap_or_default();
    if kind.is_some_and(|kind| kind.ends_with(b"List")) {
        note("resourceVersion", field(metadata, 2));
    } else {
        note("name", field(metadata, 1));
        note("uid", field(metadata, 5));
        note("resourceVersion", field(metadata, 6));
    }
    summary
}

/// The first length-delimited field of this number in a message.
fn field(mut message: &[u8], number: u64) -> Option<&[u8]> {
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        let length = match tag & 7 {
            0 => {
                varint(&mut message)?;
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut message)?).ok()?,
            5 => 4,
            _ => return None,
        };
        let (content, rest) = message.split_at_checked(length)?;
        if tag == number << 3 | 2 {
            return Some(content);
        }
        message = rest;
    }
    None
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delimited(number: u8, content: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat()
    }

    fn pod() -> Vec<u8> {
        let types = [delimited(1, b"v1"), delimited(2, b"Pod")].concat();
        let metadata = [delimited(1, b"web"), vec![7 << 3, 5], delimited(6, b"42")].concat();
        [MAGIC, &delimited(1, &types), &delimited(2, &delimited(1, &metadata))].concat()
    }

    fn shown(bytes: &[u8]) -> String {
        summary_of(bytes).iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn protobuf_says_what_it_holds() {
        assert_eq!(shown(&pod()), "apiVersion=v1 kind=Pod name=web resourceVersion=42");
        let event = [delimited(1, b"ADDED"), delimited(2, &delimited(1, &pod()))].concat();
        assert_eq!(shown(&event), "type=ADDED apiVersion=v1 kind=Pod name=web resourceVersion=42");
        for cut in 0..event.len() {
            let _ = summary_of(&event[..cut]);
        }
    }
}
