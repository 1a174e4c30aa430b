//! TLS settings: which authorities to trust, who to be, what to call the server.
//!
//! Counterpart: client-go `rest.TLSClientConfig`. Data beats a file of the same thing; an authority given here replaces
//! the system's, it is not added to them.

use super::ConfigError;
use crate::transport::Identity;
use std::fmt;
use std::path::{Path, PathBuf};

/// TLS settings of a client.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// Accept any certificate. Excludes authorities.
    pub insecure: bool,
    /// Name to verify and to send as SNI instead of the host.
    pub server_name: String,
    /// Client certificate, PEM file; read again when it changes.
    pub cert_file: Option<PathBuf>,
    /// Client key, PEM file.
    pub key_file: Option<PathBuf>,
    /// Authorities, PEM file; read again when it changes.
    pub ca_file: Option<PathBuf>,
    /// Client certificate, PEM.
    pub cert_data: Vec<u8>,
    /// Client key, PEM.
    pub key_data: Vec<u8>,
    /// Authorities, PEM.
    pub ca_data: Vec<u8>,
    /// ALPN protocols. Empty means `h2` and `http/1.1`.
    pub next_protos: Vec<String>,
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |data: &[u8]| if data.is_empty() { "" } else { "[redacted]" };
        f.debug_struct("TlsConfig")
            .field("insecure", &self.insecure)
            .field("server_name", &self.server_name)
            .field("cert_file", &self.cert_file)
            .field("key_file", &self.key_file)
            .field("ca_file", &self.ca_file)
            .field("cert_data", &hidden(&self.cert_data))
            .field("key_data", &hidden(&self.key_data))
            .field("ca_data_bytes", &self.ca_data.len())
            .field("next_protos", &self.next_protos)
            .finish()
    }
}

fn load(data: &[u8], file: Option<&Path>) -> Result<Option<Vec<u8>>, ConfigError> {
    match file {
        _ if !data.is_empty() => Ok(Some(data.to_vec())),
        Some(path) => std::fs::read(path).map(Some).map_err(|e| ConfigError::file(path, &e)),
        None => Ok(None),
    }
}

impl TlsConfig {
    /// Whether a client certificate is set.
    #[must_use]
    pub fn has_client_cert(&self) -> bool {
        !self.cert_data.is_empty() || self.cert_file.is_some()
    }

    /// Whether an authority is set.
    #[must_use]
    pub fn has_ca(&self) -> bool {
        !self.ca_data.is_empty() || self.ca_file.is_some()
    }

    /// Whether a host without a scheme means https.
    pub(crate) fn is_default_tls(&self) -> bool {
        self.has_ca() || self.has_client_cert() || self.insecure
    }

    pub(crate) fn anonymous(&self) -> Self {
        Self { cert_file: None, key_file: None, cert_data: Vec::new(), key_data: Vec::new(), ..self.clone() }
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        if self.has_ca() && self.insecure {
            return Err(ConfigError::Invalid("a root certificates file cannot be used with the insecure flag".into()));
        }
        Ok(())
    }

    pub(crate) fn rotates_cert(&self) -> bool {
        self.cert_file.is_some() && self.key_file.is_some() && self.cert_data.is_empty() && self.key_data.is_empty()
    }

    pub(crate) fn rotates_ca(&self) -> bool {
        self.ca_file.is_some() && self.ca_data.is_empty()
    }

    /// The client certificate with its key, `None` without one.
    pub(crate) fn identity(&self) -> Result<Option<Identity>, ConfigError> {
        let cert = load(&self.cert_data, self.cert_file.as_deref())?;
        let key = load(&self.key_data, self.key_file.as_deref())?;
        match (cert, key) {
            (None, None) => Ok(None),
            (Some(cert), Some(key)) => Ok(Some(Identity { cert, key })),
            (Some(_), None) => Err(ConfigError::Invalid("a client certificate needs its key".into())),
            (None, Some(_)) => Err(ConfigError::Invalid("a client key needs its certificate".into())),
        }
    }

    pub(crate) fn ca_pem(&self) -> Result<Option<Vec<u8>>, ConfigError> {
        load(&self.ca_data, self.ca_file.as_deref())
    }
}
