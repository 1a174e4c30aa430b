//! The envelope of objects on the wire: the magic number and `runtime.Unknown`.
//!
//! Counterpart: apimachinery `runtime/serializer/protobuf`. Kinds that OpenAPI does not name but clients speak of are
//! found here too: options of every group, `PartialObjectMetadata`, aggregated discovery, the plain `List`.

use super::decode::decode_at;
use super::encode::{write_list, write_message};
use super::wire::{BODY, Reader, Writer};
use super::{ProtobufError, special};
use crate::catalog::{Catalog, TypeId};
use crate::gvk::{GroupVersion, GroupVersionKind};
use serde_json::Value;

/// What every object on the wire begins with.
pub const MAGIC: [u8; 4] = *b"k8s\0";

/// An object whose kind is known and whose message is not read yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unknown<'a> {
    /// Group and version, as the sender names it.
    pub api_version: String,
    /// Kind, as the sender names it.
    pub kind: String,
    /// The message.
    pub raw: &'a [u8],
    /// How `raw` is encoded; empty for not at all.
    pub content_encoding: String,
    /// What `raw` is; empty for protobuf.
    pub content_type: String,
}

impl Unknown<'_> {
    /// The kind, with what the sender left out taken from elsewhere.
    ///
    /// # Errors
    /// [`ProtobufError::MissingKind`], [`ProtobufError::MissingVersion`].
    pub fn gvk(&self, defaults: Option<&GroupVersionKind>) -> Result<GroupVersionKind, ProtobufError> {
        let named = GroupVersion::parse(&self.api_version).unwrap_or_default().kind(&*self.kind);
        let mut gvk = named;
        if let Some(defaults) = defaults {
            if gvk.kind.is_empty() {
                gvk.kind.clone_from(&defaults.kind);
            }
            if gvk.version.is_empty() && gvk.group.is_empty() {
                gvk.group.clone_from(&defaults.group);
                gvk.version.clone_from(&defaults.version);
            }
        }
        if gvk.kind.is_empty() {
            return Err(ProtobufError::MissingKind { api_version: self.api_version.clone() });
        }
        if gvk.version.is_empty() {
            return Err(ProtobufError::MissingVersion { kind: self.kind.clone() });
        }
        Ok(gvk)
    }
}

/// Opens an envelope.
///
/// # Errors
/// If the bytes do not begin with [`MAGIC`], nothing follows it, or what follows is no `runtime.Unknown`.
pub fn decode_envelope(bytes: &[u8]) -> Result<Unknown<'_>, ProtobufError> {
    if bytes.is_empty() {
        return Err(ProtobufError::EmptyData);
    }
    let rest = bytes.strip_prefix(&MAGIC).ok_or(ProtobufError::Magic)?;
    if rest.is_empty() {
        return Err(ProtobufError::EmptyBody);
    }
    let mut unknown = Unknown::default();
    let mut reader = Reader::new(rest);
    while !reader.is_empty() {
        let tag = reader.tag("Unknown")?;
        let field = match tag.number {
            1 => "TypeMeta",
            2 => "Raw",
            3 => "ContentEncoding",
            4 => "ContentType",
            _ => {
                reader.skip(tag)?;
                continue;
            }
        };
        if tag.wire != BODY {
            return Err(ProtobufError::WrongWireType { wire: tag.wire, field: field.to_owned() });
        }
        let body = reader.body()?;
        match tag.number {
            1 => type_meta(body, &mut unknown)?,
            2 => unknown.raw = body,
            3 => unknown.content_encoding = special::string(body),
            _ => unknown.content_type = special::string(body),
        }
    }
    Ok(unknown)
}

fn type_meta(body: &[u8], unknown: &mut Unknown<'_>) -> Result<(), ProtobufError> {
    let mut reader = Reader::new(body);
    while !reader.is_empty() {
        let tag = reader.tag("TypeMeta")?;
        let (field, place) = match tag.number {
            1 => ("APIVersion", &mut unknown.api_version),
            2 => ("Kind", &mut unknown.kind),
            _ => {
                reader.skip(tag)?;
                continue;
            }
        };
        if tag.wire != BODY {
            return Err(ProtobufError::WrongWireType { wire: tag.wire, field: field.to_owned() });
        }
        *place = special::string(reader.body()?);
    }
    Ok(())
}

/// The built-in type behind a kind on the wire.
#[must_use]
pub fn type_of(gvk: &GroupVersionKind, catalog: &Catalog) -> Option<TypeId> {
    const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";
    if let Some(id) = catalog.type_of(gvk) {
        return Some(id);
    }
    let (package, name) = match (gvk.group.as_str(), gvk.version.as_str(), gvk.kind.as_str()) {
        (
            _,
            _,
            kind
            @ ("CreateOptions" | "UpdateOptions" | "PatchOptions" | "GetOptions" | "ListOptions" | "DeleteOptions"),
        )
        | ("meta.k8s.io", "v1" | "v1beta1", kind @ ("PartialObjectMetadata" | "PartialObjectMetadataList"))
        | ("", "v1", kind @ "List") => (META, kind),
        ("apidiscovery.k8s.io", "v2", kind @ ("APIGroupDiscoveryList" | "APIGroupDiscovery")) => {
            ("io.k8s.api.apidiscovery.v2", kind)
        }
        _ => return None,
    };
    catalog.types.id(&format!("{package}.{name}"))
}

/// Reads an enveloped object of a built-in kind, with `kind` and `apiVersion` set.
///
/// # Errors
/// [`ProtobufError`], also for kinds that are not built in.
pub fn decode_object(bytes: &[u8], catalog: &Catalog) -> Result<Value, ProtobufError> {
    decode(bytes, None, catalog, 0)
}

/// Like [`decode_object`]; a kind or version that the envelope leaves open is the expected one.
///
/// # Errors
/// [`ProtobufError`], also for kinds that are not built in.
pub fn decode_object_as(bytes: &[u8], expected: &GroupVersionKind, catalog: &Catalog) -> Result<Value, ProtobufError> {
    decode(bytes, Some(expected), catalog, 0)
}

/// Reads an object inside a message of some depth.
pub(super) fn decode_nested(bytes: &[u8], depth: usize) -> Result<Value, ProtobufError> {
    decode(bytes, None, Catalog::builtin(), depth)
}

fn decode(
    bytes: &[u8],
    defaults: Option<&GroupVersionKind>,
    catalog: &Catalog,
    depth: usize,
) -> Result<Value, ProtobufError> {
    let unknown = decode_envelope(bytes)?;
    let gvk = unknown.gvk(defaults)?;
    let id = type_of(&gvk, catalog).ok_or_else(|| not_registered(&gvk))?;
    let mut value = decode_at(unknown.raw, &catalog.types, id, depth)?;
    if let Value::Object(members) = &mut value {
        members.insert("apiVersion".to_owned(), Value::String(gvk.api_version()));
        members.insert("kind".to_owned(), Value::String(gvk.kind));
    }
    Ok(value)
}

fn not_registered(gvk: &GroupVersionKind) -> ProtobufError {
    ProtobufError::NotRegistered { api_version: gvk.api_version(), kind: gvk.kind.clone() }
}

/// Writes an object of a built-in kind into an envelope.
///
/// # Errors
/// [`ProtobufError::NotRegistered`] for other kinds, which have no form but JSON; also if `kind` or `apiVersion` is
/// missing.
pub fn encode_object(value: &Value, catalog: &Catalog) -> Result<Vec<u8>, ProtobufError> {
    let mut writer = Writer::new(1024);
    write_object(value, catalog, &mut writer)?;
    Ok(writer.into_vec())
}

/// Prepends an enveloped object.
pub(in crate::codec) fn write_object(value: &Value, catalog: &Catalog, out: &mut Writer) -> Result<(), ProtobufError> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let unknown = Unknown { api_version: api_version.to_owned(), kind: kind.to_owned(), ..Unknown::default() };
    let gvk = unknown.gvk(None)?;
    let id = type_of(&gvk, catalog).ok_or_else(|| not_registered(&gvk))?;
    wrap(api_version, kind, out, |out| write_message(value, &catalog.types, id, out));
    Ok(())
}

/// Puts a message that is written already into an envelope.
#[must_use]
pub fn encode_envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new(raw.len() + api_version.len() + kind.len() + 32);
    wrap(api_version, kind, &mut writer, |out| out.prepend(raw));
    writer.into_vec()
}

fn wrap(api_version: &str, kind: &str, out: &mut Writer, raw: impl FnOnce(&mut Writer)) {
    envelope_tail(out);
    out.nested(2, raw);
    envelope_head(api_version, kind, out);
}

fn envelope_tail(out: &mut Writer) {
    out.bytes(4, b"");
    out.bytes(3, b"");
}

fn envelope_head(api_version: &str, kind: &str, out: &mut Writer) {
    out.nested(1, |out| {
        out.bytes(2, kind.as_bytes());
        out.bytes(1, api_version.as_bytes());
    });
    out.prepend(&MAGIC);
}

/// Writes a list of a built-in kind into an envelope from its items, without collecting them in one value first.
/// `kind` is that of the list; `metadata` its `ListMeta`.
///
/// # Errors
/// [`ProtobufError::NotRegistered`] if there is no such list.
pub fn encode_list<'v>(
    gvk: &GroupVersionKind,
    metadata: &Value,
    items: impl DoubleEndedIterator<Item = &'v Value>,
    catalog: &Catalog,
) -> Result<Vec<u8>, ProtobufError> {
    let id = type_of(gvk, catalog).ok_or_else(|| not_registered(gvk))?;
    let mut writer = Writer::new(16 * 1024);
    wrap(&gvk.api_version(), &gvk.kind, &mut writer, |out| write_list(metadata, items, &catalog.types, id, out));
    Ok(writer.into_vec())
}

/// The message of an object of a built-in kind, without an envelope, from its JSON.
///
/// # Errors
/// [`ProtobufError::Value`] if it is not JSON.
pub fn encode_json_message(json: &[u8], root: TypeId, catalog: &Catalog) -> Result<Vec<u8>, ProtobufError> {
    let value: Value = serde_json::from_slice(json).map_err(|error| ProtobufError::Value(error.to_string()))?;
    let mut writer = Writer::new(json.len());
    write_message(&value, &catalog.types, root, &mut writer);
    Ok(writer.into_vec())
}

/// What precedes an item of a list whose message has this length.
#[must_use]
pub fn list_item_head(length: usize) -> Vec<u8> {
    let mut writer = Writer::new(12);
    writer.body_head(2, length);
    writer.into_vec()
}

/// What stands before and after the items of an enveloped list of a built-in kind, when these and what precedes each
/// take this many bytes. `kind` is that of the list; `metadata` its `ListMeta`.
///
/// # Errors
/// [`ProtobufError::NotRegistered`] if there is no such list.
pub fn list_frame(
    gvk: &GroupVersionKind,
    metadata: &Value,
    items: usize,
    catalog: &Catalog,
) -> Result<(Vec<u8>, Vec<u8>), ProtobufError> {
    let id = type_of(gvk, catalog).ok_or_else(|| not_registered(gvk))?;
    let mut tail = Writer::new(16);
    envelope_tail(&mut tail);
    let mut head = Writer::new(256);
    write_list(metadata, std::iter::empty(), &catalog.types, id, &mut head);
    head.body_head(2, head.len() + items);
    envelope_head(&gvk.api_version(), &gvk.kind, &mut head);
    Ok((head.into_vec(), tail.into_vec()))
}

/// Transcodes a JSON document of a built-in kind.
///
/// # Errors
/// As [`encode_object`]; [`ProtobufError::Value`] if the document is not JSON.
pub fn encode_json(json: &[u8], catalog: &Catalog) -> Result<Vec<u8>, ProtobufError> {
    let value: Value = serde_json::from_slice(json).map_err(|error| ProtobufError::Value(error.to_string()))?;
    encode_object(&value, catalog)
}
