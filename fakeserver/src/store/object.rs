//! An object as it is kept: its complete JSON once, plus a small parsed header for filters.
//!
//! A [`Draft`] is what the registry hands in, with a hole for the resourceVersion that only the commit knows.

use super::Revision;
use arc_swap::ArcSwapOption;
use bytes::Bytes;
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// What filters and the garbage collector ask about an object without parsing it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.labels`, sorted by key.
    pub labels: Vec<(String, String)>,
    /// Values of the selectable fields, as (field label, value).
    pub fields: Vec<(Cow<'static, str>, String)>,
    /// Uids of the owners, in the order of `metadata.ownerReferences`.
    pub owners: Vec<String>,
}

/// An encoded object with a hole where the digits of `metadata.resourceVersion` go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// The JSON, with `"resourceVersion":""` in its metadata.
    pub json: Vec<u8>,
    /// Byte offset between these two quotes.
    pub hole: usize,
    /// The parsed header.
    pub header: Header,
}

impl Draft {
    /// The complete JSON at a revision.
    ///
    /// # Panics
    /// When the hole lies outside the JSON.
    #[must_use]
    pub fn bytes_at(&self, revision: Revision) -> Bytes {
        splice(&self.json[..self.hole], revision, &self.json[self.hole..])
    }
}

/// An immutable object of the store, shared as `Arc<StoredObject>`.
pub struct StoredObject {
    bytes: Bytes,
    revision: Revision,
    create_revision: Revision,
    hole: u32,
    key_length: u32,
    /// The protobuf message, once somebody has asked for it.
    protobuf: ArcSwapOption<Vec<u8>>,
    /// The key, then the header, see [`pack`]. A million objects are kept at once, so vectors of strings would cost
    /// more than the objects.
    packed: Box<[u8]>,
}

const _: () = assert!(size_of::<StoredObject>() <= 80, "this is paid a million times");

impl StoredObject {
    /// Fills a draft's hole. `create_revision` is the revision of the write that created the object.
    ///
    /// # Panics
    /// When the draft's hole lies outside its JSON, or beyond 4 GiB.
    #[must_use]
    pub fn new(key: &str, draft: &Draft, revision: Revision, create_revision: Revision) -> Self {
        let short = |length| u32::try_from(length).expect("keys and objects are far smaller than 4 GiB");
        let bytes = draft.bytes_at(revision);
        let packed = pack(key, &draft.header, &bytes);
        let (hole, key_length) = (short(draft.hole), short(key.len()));
        Self { bytes, revision, create_revision, hole, key_length, protobuf: ArcSwapOption::empty(), packed }
    }

    /// The key within the collection.
    #[must_use]
    pub fn key(&self) -> &str {
        // Packed from a `str`, so the fallback is never taken.
        std::str::from_utf8(self.key_bytes()).unwrap_or_default()
    }

    pub(super) fn key_bytes(&self) -> &[u8] {
        &self.packed[..self.key_length as usize]
    }

    /// The revision of the write that stored this version: the object's resourceVersion.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The revision of the write that created the object.
    #[must_use]
    pub fn create_revision(&self) -> Revision {
        self.create_revision
    }

    /// The complete JSON.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// `metadata.uid`.
    #[must_use]
    pub fn uid(&self) -> &str {
        self.section(Section::Uid).next().unwrap_or_default()
    }

    /// The value of a label.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels().find(|(k, _)| *k == key).map(|(_, v)| v)
    }

    /// All labels.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        pairs(self.section(Section::Labels))
    }

    /// The value of a selectable field.
    #[must_use]
    pub fn field(&self, label: &str) -> Option<&str> {
        self.fields().find(|(k, _)| *k == label).map(|(_, v)| v)
    }

    /// All selectable fields.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        pairs(self.section(Section::Fields))
    }

    /// Uids of the owners.
    pub fn owners(&self) -> impl Iterator<Item = &str> {
        self.section(Section::Owners)
    }

    /// The object parsed, anew at every call: the store keeps bytes only.
    ///
    /// # Panics
    /// When the draft was not JSON, which is a fault of its encoder.
    #[must_use]
    pub fn value(&self) -> Arc<Value> {
        Arc::new(serde_json::from_slice(&self.bytes).expect("drafts hold JSON"))
    }

    /// The protobuf message of the object, encoded when first asked for and kept with the object.
    ///
    /// # Errors
    /// Those of the encoder; they are not kept.
    pub fn protobuf<E>(&self, encode: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>) -> Result<Arc<Vec<u8>>, E> {
        if let Some(known) = self.protobuf.load_full() {
            return Ok(known);
        }
        let message = Arc::new(encode(&self.bytes)?);
        self.protobuf.store(Some(message.clone()));
        Ok(message)
    }

    /// Whether storing the draft would change nothing but the resourceVersion.
    #[must_use]
    pub fn same_content(&self, draft: &Draft) -> bool {
        let (head, tail) = self.around_revision();
        draft.json.get(..draft.hole) == Some(head) && draft.json.get(draft.hole..) == Some(tail)
    }

    /// The JSON with another resourceVersion, as DELETED events carry it.
    #[must_use]
    pub fn with_revision(&self, revision: Revision) -> Bytes {
        if revision == self.revision {
            return self.bytes.clone();
        }
        let (head, tail) = self.around_revision();
        splice(head, revision, tail)
    }

    /// The strings of one part of the header.
    fn section(&self, wanted: Section) -> impl Iterator<Item = &str> {
        let mut rest = &self.packed[self.key_length as usize..];
        std::iter::from_fn(move || {
            loop {
                let (section, string) = take(&mut rest, &self.bytes)?;
                if section == wanted as u8 {
                    return std::str::from_utf8(string).ok();
                }
            }
        })
    }

    /// The bytes before and after the digits of the resourceVersion.
    fn around_revision(&self) -> (&[u8], &[u8]) {
        let start = self.hole as usize;
        (&self.bytes[..start], &self.bytes[start + digits(self.revision)..])
    }
}

impl fmt::Debug for StoredObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No content: it may be a Secret's.
        f.debug_struct("StoredObject")
            .field("uid", &self.uid())
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

fn digits(revision: Revision) -> usize {
    revision.checked_ilog10().map_or(1, |log| log as usize + 1)
}

fn splice(head: &[u8], revision: Revision, tail: &[u8]) -> Bytes {
    // Exactly the right capacity: `Bytes` then needs no second allocation.
    let mut json = Vec::with_capacity(head.len() + digits(revision) + tail.len());
    json.extend_from_slice(head);
    json.extend_from_slice(revision.to_string().as_bytes());
    json.extend_from_slice(tail);
    json.into()
}

fn pairs<'a>(mut strings: impl Iterator<Item = &'a str>) -> impl Iterator<Item = (&'a str, &'a str)> {
    std::iter::from_fn(move || Some((strings.next()?, strings.next()?)))
}

// === the packed header ===

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Section {
    Uid,
    Labels,
    Fields,
    Owners,
}

/// Set when a string is not kept beside the JSON but found in it.
const WITHIN: u8 = 0x04;
/// Shorter strings are kept: a reference would not be smaller.
const WORTH_FINDING: usize = 8;
/// Strings are looked for in this much of the JSON; metadata stands in front.
const SEARCHED: usize = 2048;

/// Packs a key and a header: each string of the header has a byte with its section, [`WITHIN`] and 4 bits of its length
/// in front, and more of its length, 7 bits a byte, while the high bit is set.
fn pack(key: &str, header: &Header, json: &[u8]) -> Box<[u8]> {
    let json = &json[..json.len().min(SEARCHED)];
    let mut packed = key.as_bytes().to_vec();
    if !header.uid.is_empty() {
        push(&mut packed, Section::Uid, &header.uid, json);
    }
    for (key, value) in &header.labels {
        push(&mut packed, Section::Labels, key, json);
        push(&mut packed, Section::Labels, value, json);
    }
    for (key, value) in &header.fields {
        push(&mut packed, Section::Fields, key, json);
        push(&mut packed, Section::Fields, value, json);
    }
    for owner in &header.owners {
        push(&mut packed, Section::Owners, owner, json);
    }
    packed.into_boxed_slice()
}

fn push(packed: &mut Vec<u8>, section: Section, string: &str, json: &[u8]) {
    let place = Some(string.as_bytes()).filter(|s| s.len() > WORTH_FINDING).and_then(|s| memchr::memmem::find(json, s));
    let within = if place.is_some() { WITHIN } else { 0 };
    let first = section as u8 | within | ((string.len() & 0x0f) << 3) as u8;
    push_number(packed, first, string.len() >> 4);
    match place {
        Some(offset) => push_number(packed, (offset & 0x7f) as u8, offset >> 7),
        None => packed.extend_from_slice(string.as_bytes()),
    }
}

/// Writes a byte and, 7 bits a byte, what it had no room for.
fn push_number(packed: &mut Vec<u8>, mut byte: u8, mut rest: usize) {
    while rest > 0 {
        packed.push(byte | 0x80);
        byte = (rest & 0x7f) as u8;
        rest >>= 7;
    }
    packed.push(byte);
}

/// Takes one string off the front of a packed header.
fn take<'a>(rest: &mut &'a [u8], json: &'a [u8]) -> Option<(u8, &'a [u8])> {
    let first = *rest.first()?;
    let length = usize::from(first >> 3 & 0x0f) | take_number(rest)? << 4;
    let string = if first & WITHIN == 0 {
        let (string, after) = rest.split_at_checked(length)?;
        *rest = after;
        string
    } else {
        let offset = usize::from(rest.first()? & 0x7f) | take_number(rest)? << 7;
        json.get(offset..offset + length)?
    };
    Some((first & 0x03, string))
}

/// Takes a byte and returns what follows it because it had no room for it.
fn take_number(rest: &mut &[u8]) -> Option<usize> {
    let (&first, mut tail) = rest.split_first()?;
    let (mut number, mut shift, mut more) = (0, 0, first & 0x80 != 0);
    while more {
        let (&byte, after) = tail.split_first()?;
        number |= usize::from(byte & 0x7f) << shift;
        (shift, more, tail) = (shift + 7, byte & 0x80 != 0, after);
    }
    *rest = tail;
    Some(number)
}
