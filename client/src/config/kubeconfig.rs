//! One kubeconfig file: its shape, read leniently, with every unknown member kept for writing back.
//!
//! Counterpart: client-go `clientcmd/api/v1`. Merging of several files is in `merge.rs`, choosing a context in
//! `client_config.rs`.

use super::ConfigError;
use crate::Secret;
use base64::engine::general_purpose::STANDARD;
use rehearsal_apimachinery::codec::yaml;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A kubeconfig, of one file or merged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kubeconfig {
    /// Servers by name.
    pub clusters: BTreeMap<String, Cluster>,
    /// Credentials by name.
    pub users: BTreeMap<String, AuthInfo>,
    /// Pairings by name.
    pub contexts: BTreeMap<String, KubeContext>,
    /// The pairing in use.
    pub current_context: String,
    /// Everything else at the top level.
    pub extra: Map<String, Value>,
}

/// Where an entry comes from and what it carries besides its body.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Origin {
    pub(crate) file: Option<PathBuf>,
    pub(crate) beside: Map<String, Value>,
}

/// A server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Cluster {
    /// URL.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub server: String,
    /// Name to verify instead of the host.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub tls_server_name: String,
    /// Accept any certificate.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "or_default")]
    pub insecure_skip_tls_verify: bool,
    /// Authorities, file.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub certificate_authority: String,
    /// Authorities, PEM.
    #[serde(skip_serializing_if = "Vec::is_empty", with = "base64_bytes")]
    pub certificate_authority_data: Vec<u8>,
    /// Proxy.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub proxy_url: String,
    /// No gzip.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "or_default")]
    pub disable_compression: bool,
    /// Named extensions.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub extensions: Vec<Value>,
    /// Unknown members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
    #[serde(skip)]
    pub(crate) origin: Origin,
}

/// Credentials.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct AuthInfo {
    /// Certificate, file.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub client_certificate: String,
    /// Certificate, PEM.
    #[serde(skip_serializing_if = "Vec::is_empty", with = "base64_bytes")]
    pub client_certificate_data: Vec<u8>,
    /// Key, file.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub client_key: String,
    /// Key, PEM.
    #[serde(skip_serializing_if = "Secret::is_empty", with = "base64_secret")]
    pub client_key_data: Secret,
    /// Bearer token.
    #[serde(skip_serializing_if = "Secret::is_empty", with = "plain_secret")]
    pub token: Secret,
    /// File of the bearer token.
    #[serde(rename = "tokenFile", skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub token_file: String,
    /// User to act as.
    #[serde(rename = "as", skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub impersonate: String,
    /// Uid to act as.
    #[serde(rename = "as-uid", skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub impersonate_uid: String,
    /// Groups to act in.
    #[serde(rename = "as-groups", skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub impersonate_groups: Vec<String>,
    /// Extras to act with.
    #[serde(rename = "as-user-extra", skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "or_default")]
    pub impersonate_extra: BTreeMap<String, Vec<String>>,
    /// Basic authentication.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub username: String,
    /// Basic authentication.
    #[serde(skip_serializing_if = "Secret::is_empty", with = "plain_secret")]
    pub password: Secret,
    /// Legacy provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_provider: Option<AuthProviderEntry>,
    /// Credential plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecEntry>,
    /// Named extensions.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub extensions: Vec<Value>,
    /// Unknown members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
    #[serde(skip)]
    pub(crate) origin: Origin,
}

/// A legacy auth provider as written; its settings hold tokens and are not printed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuthProviderEntry {
    /// `oidc`; no other is left.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Settings.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", with = "secrets")]
    pub config: BTreeMap<String, Secret>,
    /// Unknown members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A credential plugin as written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExecEntry {
    /// Version of the protocol.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub api_version: String,
    /// Program.
    #[serde(deserialize_with = "or_default")]
    pub command: String,
    /// Arguments.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub args: Vec<String>,
    /// Variables.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub env: Vec<NameValue>,
    /// Shown when the program is missing.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub install_hint: String,
    /// Tell the plugin about the cluster.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "or_default")]
    pub provide_cluster_info: bool,
    /// `Never`, `IfAvailable` or `Always`.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub interactive_mode: String,
    /// Unknown members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A variable.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NameValue {
    /// Name.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Value.
    #[serde(with = "plain_secret")]
    pub value: Secret,
}

/// A pairing of a server with credentials.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct KubeContext {
    /// Name of a cluster.
    #[serde(deserialize_with = "or_default")]
    pub cluster: String,
    /// Name of a user.
    #[serde(deserialize_with = "or_default")]
    pub user: String,
    /// Namespace; empty means `default`.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub namespace: String,
    /// Named extensions.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub extensions: Vec<Value>,
    /// Unknown members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
    #[serde(skip)]
    pub(crate) origin: Origin,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// `null` reads as the zero value, as in Go.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

mod plain_secret {
    use super::{Deserialize, Deserializer, Secret, Serializer};

    #[allow(clippy::redundant_pub_crate)]
    pub(super) fn serialize<S: Serializer>(secret: &Secret, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(secret.expose())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Secret, D::Error> {
        Ok(Option::<String>::deserialize(from)?.unwrap_or_default().into())
    }
}

mod secrets {
    use super::{BTreeMap, Deserialize, Deserializer, Secret, Serializer};

    pub(super) fn serialize<S: Serializer>(secrets: &BTreeMap<String, Secret>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(secrets.iter().map(|(name, secret)| (name, secret.expose())))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Secret>, D::Error> {
        let plain = Option::<BTreeMap<String, Option<String>>>::deserialize(from)?.unwrap_or_default();
        Ok(plain.into_iter().map(|(name, secret)| (name, secret.unwrap_or_default().into())).collect())
    }
}

mod base64_bytes {
    use super::{Deserialize, Deserializer, STANDARD, Serializer};
    use base64::Engine as _;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let mut text = Option::<String>::deserialize(from)?.unwrap_or_default();
        text.retain(|c| c != '\n' && c != '\r');
        STANDARD.decode(text).map_err(|_| serde::de::Error::custom("illegal base64 data"))
    }
}

mod base64_secret {
    use super::{Deserializer, Secret, Serializer, base64_bytes};

    pub(super) fn serialize<S: Serializer>(secret: &Secret, to: S) -> Result<S::Ok, S::Error> {
        base64_bytes::serialize(secret.expose().as_bytes(), to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Secret, D::Error> {
        let bytes = base64_bytes::deserialize(from)?;
        String::from_utf8(bytes).map(Secret::from).map_err(|_| serde::de::Error::custom("key data is no PEM text"))
    }
}

/// An entry of one of the three lists.
trait Entry: DeserializeOwned + Serialize {
    const BODY: &'static str;
    fn origin(&mut self) -> &mut Origin;
    fn beside(&self) -> &Map<String, Value>;
}

macro_rules! entry {
    ($type:ident, $body:literal) => {
        impl Entry for $type {
            const BODY: &'static str = $body;
            fn origin(&mut self) -> &mut Origin {
                &mut self.origin
            }
            fn beside(&self) -> &Map<String, Value> {
                &self.origin.beside
            }
        }
    };
}

entry!(Cluster, "cluster");
entry!(AuthInfo, "user");
entry!(KubeContext, "context");

fn take_entries<T: Entry>(
    top: &mut Map<String, Value>,
    list: &str,
    file: Option<&Path>,
) -> Result<BTreeMap<String, T>, String> {
    let mut found = BTreeMap::new();
    let items = match top.remove(list) {
        None | Some(Value::Null) => return Ok(found),
        Some(Value::Array(items)) => items,
        Some(_) => return Err(format!("{list} is not a list")),
    };
    for item in items {
        let Value::Object(mut item) = item else { return Err(format!("an item of {list} is not a map")) };
        let name = match item.remove("name") {
            Some(Value::String(name)) => name,
            None | Some(Value::Null) => String::new(),
            Some(_) => return Err(format!("a name in {list} is not a string")),
        };
        let body = item.remove(T::BODY).filter(|b| !b.is_null()).unwrap_or_else(|| Value::Object(Map::new()));
        let mut entry: T = serde_json::from_value(body).map_err(|e| format!("{} {name:?}: {e}", T::BODY))?;
        *entry.origin() = Origin { file: file.map(Path::to_owned), beside: item };
        if found.insert(name.clone(), entry).is_some() {
            return Err(format!("duplicate name {name:?} in {list}"));
        }
    }
    Ok(found)
}

fn give_entries<T: Entry>(entries: &BTreeMap<String, T>) -> Value {
    let items = entries.iter().map(|(name, entry)| {
        let mut item = entry.beside().clone();
        item.insert("name".into(), name.clone().into());
        item.insert(T::BODY.into(), serde_json::to_value(entry).unwrap_or_default());
        Value::Object(item)
    });
    Value::Array(items.collect())
}

impl Kubeconfig {
    /// Reads YAML or JSON. Empty text is an empty configuration.
    ///
    /// # Errors
    /// Text that is neither, or a member of the wrong type, or a name twice in a list.
    pub fn parse(text: &[u8]) -> Result<Self, ConfigError> {
        Self::parse_at(text, None).map_err(ConfigError::Invalid)
    }

    fn parse_at(text: &[u8], file: Option<&Path>) -> Result<Self, String> {
        if text.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        // The parser's message may quote a line that holds a secret.
        let (value, _) = yaml::parse(text).map_err(|_| "the file is no valid YAML".to_owned())?;
        let mut top = match value {
            Value::Null => Map::new(),
            Value::Object(top) => top,
            _ => return Err("the file does not hold a map".into()),
        };
        if let Some(kind) = top.get("kind").and_then(Value::as_str)
            && !kind.is_empty()
            && kind != "Config"
        {
            return Err(format!("kind is {kind:?}, expected Config"));
        }
        Ok(Self {
            clusters: take_entries(&mut top, "clusters", file)?,
            users: take_entries(&mut top, "users", file)?,
            contexts: take_entries(&mut top, "contexts", file)?,
            current_context: match top.remove("current-context") {
                Some(Value::String(name)) => name,
                None | Some(Value::Null) => String::new(),
                Some(_) => return Err("current-context is not a string".into()),
            },
            extra: top,
        })
    }

    /// Reads a file; entries remember it, for relative paths and for writing back.
    ///
    /// # Errors
    /// An unreadable file or what [`Kubeconfig::parse`] refuses.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read(path).map_err(|e| ConfigError::file(path, &e))?;
        Self::parse_at(&text, Some(path)).map_err(|e| ConfigError::file(path, &e))
    }

    /// The file as YAML, unknown members included.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let mut top = self.extra.clone();
        top.entry("apiVersion").or_insert_with(|| "v1".into());
        top.entry("kind").or_insert_with(|| "Config".into());
        top.insert("clusters".into(), give_entries(&self.clusters));
        top.insert("users".into(), give_entries(&self.users));
        top.insert("contexts".into(), give_entries(&self.contexts));
        top.insert("current-context".into(), self.current_context.clone().into());
        yaml::encode(&Value::Object(top))
    }

    /// Whether nothing is configured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clusters.is_empty()
            && self.users.is_empty()
            && self.contexts.is_empty()
            && self.current_context.is_empty()
            && self.extra.keys().all(|k| k == "kind" || k == "apiVersion" || k == "preferences")
    }

    /// Makes relative paths start at the directory of the file they were read from.
    pub(crate) fn resolve_paths(&mut self) {
        for cluster in self.clusters.values_mut() {
            resolve(&mut cluster.certificate_authority, cluster.origin.file.as_deref());
        }
        for user in self.users.values_mut() {
            let file = user.origin.file.as_deref();
            for path in [&mut user.client_certificate, &mut user.client_key, &mut user.token_file] {
                resolve(path, file);
            }
            if let Some(exec) = &mut user.exec
                && exec.command.contains(std::path::is_separator)
            {
                resolve(&mut exec.command, file);
            }
        }
    }
}

fn resolve(path: &mut String, file: Option<&Path>) {
    if path.is_empty() || Path::new(path.as_str()).is_absolute() {
        return;
    }
    if let Some(dir) = file.and_then(Path::parent) {
        *path =
            std::path::absolute(dir.join(&*path)).map_or_else(|_| path.clone(), |p| p.to_string_lossy().into_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r"
apiVersion: v1
kind: Config
current-context: dev
colour: blue
clusters:
- name: c
  note: kept
  cluster:
    server: https://a:6443
    certificate-authority-data: Q0E=
    shade: dark
    extensions:
    - name: client.authentication.k8s.io/exec
      extension: {audience: x}
users:
- name: u
  user:
    token: hunter2
    as-user-extra: {k: [v]}
    exec: {apiVersion: client.authentication.k8s.io/v1, command: ./bin/p, args: null, env: [{name: A, value: b}], interactiveMode: Never, odd: 1}
contexts:
- name: dev
  context: {cluster: c, user: u}
";

    #[test]
    fn known_members_are_typed_and_secrets_hidden() {
        let config = Kubeconfig::parse(TEXT.as_bytes()).unwrap();
        assert_eq!(config.clusters["c"].certificate_authority_data, b"CA");
        assert_eq!(config.users["u"].token.expose(), "hunter2");
        assert!(!format!("{config:?}").contains("hunter2"));
        assert_eq!(config.current_context, "dev");
    }

    #[test]
    fn writing_back_loses_nothing() {
        let config = Kubeconfig::parse(TEXT.as_bytes()).unwrap();
        let text = config.to_yaml();
        assert_eq!(Kubeconfig::parse(text.as_bytes()).unwrap(), config);
        for kept in ["colour: blue", "note: kept", "shade: dark", "odd: 1", "audience: x"] {
            assert!(text.contains(kept), "{kept} in {text}");
        }
    }

    #[test]
    fn empty_files_are_empty_configurations() {
        for text in ["", " \n", "{}", "kind: Config\napiVersion: v1\nclusters: null\n"] {
            assert!(Kubeconfig::parse(text.as_bytes()).unwrap().is_empty(), "{text:?}");
        }
    }

    #[test]
    fn bad_files_are_refused_without_quoting_them() {
        for text in ["- hunter2", "clusters: hunter2", "users: [{name: u, user: {token: [hunter2]}}]", "a: [hunter2"] {
            let error = Kubeconfig::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        let twice = "users: [{name: u, user: {}}, {name: u, user: {}}]";
        assert!(Kubeconfig::parse(twice.as_bytes()).unwrap_err().to_string().contains("duplicate name"));
        assert!(Kubeconfig::parse(b"kind: Pod").is_err());
    }

    #[test]
    fn relative_paths_start_at_their_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config");
        let text = "clusters: [{name: c, cluster: {certificate-authority: ca.crt}}]\nusers:\n- name: u\n  user: {client-key: /abs/key, tokenFile: ../token, exec: {command: plugin}}\n- name: v\n  user: {exec: {command: ./plugin}}\n";
        std::fs::write(&file, text).unwrap();
        let mut config = Kubeconfig::read(&file).unwrap();
        config.resolve_paths();
        assert_eq!(Path::new(&config.clusters["c"].certificate_authority), dir.path().join("ca.crt"));
        assert_eq!(config.users["u"].client_key, "/abs/key");
        assert!(config.users["u"].token_file.ends_with("/../token"));
        assert_eq!(config.users["u"].exec.as_ref().unwrap().command, "plugin", "a bare name is looked up in PATH");
        assert!(Path::new(&config.users["v"].exec.as_ref().unwrap().command).is_absolute());
    }
}
