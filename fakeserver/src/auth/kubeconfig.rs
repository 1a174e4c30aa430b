//! A kubeconfig file for a server, and writing it so that nobody reads half of it or another's token.

use super::certificates::Identity;
use super::secret::Token;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// How the user of a kubeconfig proves who it is.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// Not at all.
    None,
    /// By bearer token.
    Token(Token),
    /// By client certificate and key, both PEM.
    Certificate {
        /// The certificate.
        certificate_pem: String,
        /// The private key; hidden in `Debug`.
        key_pem: Token,
    },
}

impl From<&Identity> for Credentials {
    fn from(identity: &Identity) -> Self {
        Self::Certificate { certificate_pem: identity.pem.clone(), key_pem: Token::new(&identity.key_pem) }
    }
}

/// The text of a kubeconfig with one cluster, one user and one context, all named `rehearsal`. Without `ca_pem` the
/// client uses the machine's trust store (or plain HTTP).
#[must_use]
pub fn kubeconfig(server_url: &str, ca_pem: Option<&str>, credentials: &Credentials) -> String {
    let mut cluster = json!({"server": server_url});
    if let Some(pem) = ca_pem {
        cluster["certificate-authority-data"] = STANDARD.encode(pem).into();
    }
    let user: Value = match credentials {
        Credentials::None => json!({}),
        Credentials::Token(token) => json!({"token": token.expose()}),
        Credentials::Certificate { certificate_pem, key_pem } => json!({
            "client-certificate-data": STANDARD.encode(certificate_pem),
            "client-key-data": STANDARD.encode(key_pem.expose()),
        }),
    };
    let name = "rehearsal";
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "default"}}],
        "current-context": name,
    });
    yaml(&config)
}

/// Block style YAML of a small object: strings as JSON strings, which YAML reads as they are.
fn yaml(config: &Value) -> String {
    let mut out = String::new();
    write_yaml(config, 0, &mut out);
    out
}

fn write_yaml(value: &Value, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                out.push_str(&format!("{pad}{key}:"));
                write_member(value, indent + 2, out);
            }
        }
        Value::Array(list) => {
            for value in list {
                let mut item = String::new();
                write_yaml(value, indent + 2, &mut item);
                out.push_str(&format!("{pad}- {}", item.trim_start()));
            }
        }
        scalar => out.push_str(&format!("{pad}{scalar}\n")),
    }
}

fn write_member(value: &Value, indent: usize, out: &mut String) {
    let empty = value.as_object().is_some_and(serde_json::Map::is_empty);
    if (value.is_object() || value.is_array()) && !empty {
        out.push('\n');
        write_yaml(value, indent, out);
    } else {
        out.push_str(&format!(" {value}\n"));
    }
}

/// Writes a file in one step: a reader sees the old contents or the new ones, and only the owner may read it (mode
/// 0600, on Unix). The directory must exist.
///
/// # Errors
/// Whatever the file system refuses; no half-written file is left under `path`.
pub fn write_atomically(path: &Path, contents: &str) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut temporary = name.to_owned();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(temporary);
    let written = write_private(&temporary, contents).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one to tell; a leftover is at worst untidy.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write_private(path: &Path, contents: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(contents.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_reads_as_kubectl_writes_it() {
        let text = kubeconfig("https://127.0.0.1:6443", Some("PEM"), &Credentials::Token(Token::new("t")));
        let expected = "apiVersion: \"v1\"\nclusters:\n  - cluster:\n      certificate-authority-data: \"UEVN\"\n      server: \"https://127.0.0.1:6443\"\n    name: \"rehearsal\"\ncontexts:\n  - context:\n      cluster: \"rehearsal\"\n      namespace: \"default\"\n      user: \"rehearsal\"\n    name: \"rehearsal\"\ncurrent-context: \"rehearsal\"\nkind: \"Config\"\nusers:\n  - name: \"rehearsal\"\n    user:\n      token: \"t\"\n";
        assert_eq!(text, expected);
        assert!(kubeconfig("http://x", None, &Credentials::None).contains("user: {}\n"));
    }

    #[test]
    fn credentials_are_hidden_in_debug() {
        let credentials = Credentials::Certificate { certificate_pem: "C".into(), key_pem: Token::new("KEY") };
        assert!(!format!("{credentials:?}").contains("KEY"));
    }

    #[test]
    fn a_file_is_replaced_whole_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        write_atomically(&path, "one").unwrap();
        write_atomically(&path, "two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions()) & 0o777, 0o600);
        assert!(write_atomically(&dir.path().join("no/such"), "x").is_err());
    }
}
