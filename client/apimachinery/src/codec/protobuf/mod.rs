//! Kubernetes protobuf for every built-in kind, to and from JSON values, driven by the type catalogue.
//!
//! Counterparts: apimachinery `runtime/serializer/protobuf` (the envelope) and the generated `Marshal` and `Unmarshal`
//! methods of `k8s.io/api` (the messages). Nothing is generated here: how a type stands on the wire is compiled from
//! the catalogue once. Frames of a watch are in [`super::frames`].

mod decode;
mod encode;
mod envelope;
mod plan;
mod special;
mod typed;
mod wire;

pub use decode::decode_message;
pub use encode::encode_message;
pub(super) use envelope::write_object;
pub use envelope::{
    MAGIC, Unknown, decode_envelope, decode_object, decode_object_as, encode_envelope, encode_json,
    encode_json_message, encode_list, encode_object, list_frame, list_item_head, type_of,
};
pub use typed::{deserialize_object, deserialize_object_seed};
pub(super) use wire::{BODY, Reader, Writer};

/// Deepest nesting of messages; deeper ones are refused.
pub const MAX_DEPTH: usize = 100;

/// Why bytes are not the object they should be; `Display` is the text Go would print.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtobufError {
    /// No bytes at all.
    #[error("empty data")]
    EmptyData,
    /// The bytes do not begin with [`MAGIC`].
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    Magic,
    /// Nothing follows [`MAGIC`].
    #[error("empty body")]
    EmptyBody,
    /// The bytes end within a value.
    #[error("unexpected EOF")]
    UnexpectedEof,
    /// A number of more than 64 bits.
    #[error("proto: integer overflow")]
    IntegerOverflow,
    /// A length beyond 63 bits.
    #[error("proto: negative length found during unmarshaling")]
    NegativeLength,
    /// A group ends that never began.
    #[error("proto: unexpected end of group")]
    UnexpectedEndOfGroup,
    /// Wire type 6 or 7.
    #[error("proto: illegal wireType {0}")]
    IllegalWireType(u8),
    /// The end of a group where a member should begin.
    #[error("proto: {message}: wiretype end group for non-group")]
    EndGroup {
        /// Name of the message.
        message: String,
    },
    /// A field number that is not positive.
    #[error("proto: {message}: illegal tag {number} (wire type {key})")]
    IllegalTag {
        /// Name of the message.
        message: String,
        /// The number.
        number: i32,
        /// The whole tag.
        key: u64,
    },
    /// A known member of another wire type.
    #[error("proto: wrong wireType = {wire} for field {field}")]
    WrongWireType {
        /// Wire type found.
        wire: u8,
        /// Go name of the member.
        field: String,
    },
    /// Messages nested deeper than [`MAX_DEPTH`].
    #[error("proto: exceeded maximum nesting of {MAX_DEPTH} messages")]
    TooDeep,
    /// A value its own type refuses, such as a quantity.
    #[error("{0}")]
    Value(String),
    /// The envelope names no kind.
    #[error("Object 'Kind' is missing in 'runtime.TypeMeta{{APIVersion:{api_version:?}, Kind:\"\"}}'")]
    MissingKind {
        /// What it names.
        api_version: String,
    },
    /// The envelope names no version.
    #[error("Object 'apiVersion' is missing in 'runtime.TypeMeta{{APIVersion:\"\", Kind:{kind:?}}}'")]
    MissingVersion {
        /// What it names.
        kind: String,
    },
    /// No built-in kind of this name.
    #[error(
        "no kind {kind:?} is registered for version {api_version:?} in scheme \"pkg/api/legacyscheme/scheme.go:30\""
    )]
    NotRegistered {
        /// Group and version.
        api_version: String,
        /// Kind.
        kind: String,
    },
}

#[cfg(test)]
mod tests;
