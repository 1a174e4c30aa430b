//! Content decoding while a body passes: tapes hold what a server said, not how it was packed.

use flate2::write::{GzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use std::io::Write as _;

/// Undoes one `Content-Encoding`, piece by piece.
pub(crate) enum Decoder {
    /// Nothing to undo.
    Identity,
    Gzip(GzDecoder<Vec<u8>>),
    Deflate(ZlibDecoder<Vec<u8>>),
    /// An encoding nobody here knows, or data that does not decode: kept as it is.
    Opaque,
}

impl Decoder {
    /// For the encoding these headers name.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let encoding = headers.get(CONTENT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or_default().trim();
        match encoding.to_ascii_lowercase().as_str() {
            "" | "identity" => Self::Identity,
            "gzip" | "x-gzip" => Self::Gzip(GzDecoder::new(Vec::new())),
            "deflate" => Self::Deflate(ZlibDecoder::new(Vec::new())),
            _ => Self::Opaque,
        }
    }

    /// Whether what comes out is what went in.
    pub(crate) fn passes(&self) -> bool {
        matches!(self, Self::Identity | Self::Opaque)
    }

    /// Whether the content is packed in a way that cannot be undone.
    pub(crate) fn is_opaque(&self) -> bool {
        matches!(self, Self::Opaque)
    }

    /// What these bytes unpack to so far. An error means that the encoding was not what it said.
    pub(crate) fn feed(&mut self, data: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Identity | Self::Opaque => Ok(data.to_vec()),
            Self::Gzip(decoder) => {
                decoder.write_all(data)?;
                decoder.flush()?;
                Ok(std::mem::take(decoder.get_mut()))
            }
            Self::Deflate(decoder) => {
                decoder.write_all(data)?;
                decoder.flush()?;
                Ok(std::mem::take(decoder.get_mut()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    fn headers(encoding: &str) -> HeaderMap {
        [(CONTENT_ENCODING, encoding.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn gzip_comes_out_whatever_the_cuts() {
        let text = "pods and more pods ".repeat(500);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        let packed = encoder.finish().unwrap();
        let mut decoder = Decoder::of(&headers("gzip"));
        let plain: Vec<u8> = packed.chunks(7).flat_map(|piece| decoder.feed(piece).unwrap()).collect();
        assert_eq!(String::from_utf8(plain).unwrap(), text);
    }

    #[test]
    fn what_is_not_gzip_is_an_error_and_what_is_unknown_stays() {
        assert!(Decoder::of(&headers("gzip")).feed(b"plain text, and enough of it to notice").is_err());
        assert!(Decoder::of(&headers("br")).is_opaque());
    }
}
