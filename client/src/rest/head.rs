//! What a JSON object says it is, read no further than needed.
//!
//! Servers write `kind` and `apiVersion` first, so a LIST of megabytes is not read twice for two words.

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use std::fmt;

/// The two words, as far as they were found.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Head {
    pub(crate) kind: Option<String>,
    pub(crate) api_version: Option<String>,
}

impl Head {
    /// Whether both are there.
    pub(crate) fn is_whole(&self) -> bool {
        self.kind.is_some() && self.api_version.is_some()
    }

    /// Reads members until there is enough, to the end otherwise.
    ///
    /// # Errors
    /// Bytes that are no JSON object, as far as they were read.
    pub(crate) fn peek(body: &[u8], enough: fn(&Self) -> bool) -> Result<Self, serde_json::Error> {
        let mut head = Self::default();
        let mut json = serde_json::Deserializer::from_slice(body);
        let read = Peek { head: &mut head, enough }.deserialize(&mut json).and_then(|()| json.end());
        match read {
            Err(error) if !enough(&head) => Err(error),
            _ => Ok(head),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Member {
    Kind,
    ApiVersion,
    #[serde(other)]
    Other,
}

struct Peek<'a> {
    head: &'a mut Head,
    enough: fn(&Head) -> bool,
}

impl<'de> DeserializeSeed<'de> for Peek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Peek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(member) = map.next_key()? {
            match member {
                Member::Kind => self.head.kind = Some(map.next_value()?),
                Member::ApiVersion => self.head.api_version = Some(map.next_value()?),
                Member::Other => drop(map.next_value::<IgnoredAny>()?),
            }
            if (self.enough)(self.head) {
                // An error is the only way out of a map that is not read to its end.
                return Err(A::Error::custom("enough"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peek(text: &str) -> Result<(String, String), serde_json::Error> {
        let head = Head::peek(text.as_bytes(), Head::is_whole)?;
        Ok((head.kind.unwrap_or_default(), head.api_version.unwrap_or_default()))
    }

    #[test]
    fn nothing_behind_the_two_words_is_read() {
        assert_eq!(peek(r#"{"kind":"Pod","apiVersion":"v1",!!!"#).unwrap(), ("Pod".into(), "v1".into()));
        assert_eq!(
            peek(r#"{"apiVersion":"v1","items":[{"kind":"x"}],"kind":"List"}"#).unwrap(),
            ("List".into(), "v1".into())
        );
    }

    #[test]
    fn missing_words_are_no_error_but_broken_objects_are() {
        assert_eq!(peek("{}").unwrap(), (String::new(), String::new()));
        assert_eq!(peek(r#"{"kind":"Pod"}"#).unwrap().1, "");
        for broken in ["", "[]", "7", r#"{"kind":7}"#, r#"{"kind":"Pod","#, "{} {}"] {
            assert!(peek(broken).is_err(), "{broken}");
        }
    }
}
