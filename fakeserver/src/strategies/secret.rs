//! Secret: `stringData` becomes data, types ask for keys, `immutable` freezes.
//!
//! Counterpart: `registry/core/secret`, `ValidateSecret` and the v1 conversion of `stringData`.

use super::access::{bool_at, entries_at, has, is_empty_at, object_mut, remove, semantic_eq, set, str_at};
use super::checks::{IMMUTABLE, base64_len, data_size, each};
use super::config_map::MAX_BYTES;
use super::{Strategy, WriteContext};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rehearsal_apimachinery::codec::json;
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::meta::ObjectMeta;
use rehearsal_apimachinery::validation::is_config_map_key;
use serde_json::Value;

const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";

/// Hooks of Secret.
#[derive(Clone, Copy, Debug)]
pub struct SecretStrategy;

impl Strategy for SecretStrategy {
    fn default(&self, object: &mut Value) {
        if str_at(object, "type").is_empty() {
            set(object, "type", "Opaque");
        }
        let Some(Value::Object(texts)) = remove(object, "stringData") else { return };
        if texts.is_empty() {
            return;
        }
        if let Some(data) = object_mut(&mut object["data"]) {
            for (key, text) in texts {
                data.insert(key, STANDARD.encode(text.as_str().unwrap_or_default()).into());
            }
        }
    }

    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        secret(object)
    }

    fn validate_update(&self, _cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if str_at(object, "type") != str_at(old, "type") {
            errors.push(FieldError::invalid("type", str_at(object, "type"), IMMUTABLE));
        }
        errors.extend(frozen(object, old, &["data"]));
        errors.extend(secret(object));
        errors
    }

    fn selectable_fields(&self, object: &Value) -> Vec<(&'static str, String)> {
        vec![("type", str_at(object, "type").into())]
    }
}

/// Refuses changes to an object whose `immutable` was true, its own withdrawal included.
pub(crate) fn frozen(object: &Value, old: &Value, members: &[&str]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if !bool_at(old, "immutable") {
        return errors;
    }
    let detail = "field is immutable when `immutable` is set";
    if !bool_at(object, "immutable") {
        errors.push(FieldError::forbidden("immutable", detail));
    }
    for member in members.iter().filter(|m| !semantic_eq(&object[**m], &old[**m])) {
        errors.push(FieldError::forbidden(*member, detail));
    }
    errors
}

fn secret(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let data = Path::new("data");
    for (key, _) in entries_at(object, "data") {
        errors.extend(each(&data.key(key), key, is_config_map_key(key)));
    }
    if data_size(object, "data", base64_len) > MAX_BYTES {
        errors.push(FieldError::too_long(&data, MAX_BYTES));
    }
    let missing = |key: &str| FieldError::required(data.key(key), "");
    let absent = |key: &str| object["data"].get(key).is_none();
    match str_at(object, "type") {
        "kubernetes.io/service-account-token" if object.annotation(ACCOUNT_NAME).unwrap_or_default().is_empty() => {
            let path = Path::new("metadata").child("annotations").key(ACCOUNT_NAME);
            errors.push(FieldError::required(path, ""));
        }
        "kubernetes.io/dockercfg" => errors.extend(docker(object, ".dockercfg")),
        "kubernetes.io/dockerconfigjson" => errors.extend(docker(object, ".dockerconfigjson")),
        "kubernetes.io/basic-auth" if absent("username") && absent("password") => {
            errors.extend([missing("username"), missing("password")]);
        }
        "kubernetes.io/ssh-auth" if is_empty_at(&object["data"], "ssh-privatekey") => {
            errors.push(missing("ssh-privatekey"));
        }
        "kubernetes.io/tls" => {
            errors.extend(["tls.crt", "tls.key"].into_iter().filter(|k| absent(k)).map(missing));
        }
        _ => {}
    }
    errors
}

fn docker(object: &Value, key: &str) -> Option<FieldError> {
    let path = Path::new("data").key(key);
    if !has(&object["data"], key) {
        return Some(FieldError::required(path, ""));
    }
    let bytes = STANDARD.decode(str_at(&object["data"], key)).unwrap_or_default();
    let why = match json::parse(&bytes) {
        Ok((Value::Object(_) | Value::Null, _)) => return None,
        Ok((other, _)) => format!(
            "json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            crate::patch::json::kind(&other)
        ),
        Err(why) => why.to_string(),
    };
    Some(FieldError::invalid(path, "<secret contents redacted>", why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn texts(errors: &[FieldError]) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn string_data_wins_over_data_and_disappears() {
        let mut object = json!({"stringData": {"u": "admin", "p": "s3cret"}, "data": {"p": "b3RoZXI="}});
        SecretStrategy.default(&mut object);
        let expected = json!({"data": {"p": "czNjcmV0", "u": "YWRtaW4="}, "type": "Opaque"});
        assert_eq!(object, expected);
        SecretStrategy.default(&mut object);
        assert_eq!(object, expected);
    }

    #[test]
    fn types_ask_for_their_keys() {
        assert_eq!(
            texts(&secret(&json!({"type": "kubernetes.io/tls", "data": {"tls.crt": ""}}))),
            ["data[tls.key]: Required value"]
        );
        assert_eq!(
            texts(&secret(&json!({"type": "kubernetes.io/service-account-token"}))),
            ["metadata.annotations[kubernetes.io/service-account.name]: Required value"]
        );
    }

    #[test]
    fn docker_configurations_are_objects() {
        let refusal = |content: &str| {
            let data = json!({"data": {".dockercfg": STANDARD.encode(content)}});
            docker(&data, ".dockercfg").map(|e| e.to_string().split(": ").skip(3).collect::<Vec<_>>().join(": "))
        };
        assert_eq!(refusal("{}"), None);
        assert_eq!(refusal("x").as_deref(), Some("invalid character 'x' looking for beginning of value"));
        assert_eq!(refusal("").as_deref(), Some("unexpected end of JSON input"));
        let list = "json: cannot unmarshal array into Go value of type map[string]interface {}";
        assert_eq!(refusal("[]").as_deref(), Some(list));
    }

    #[test]
    fn a_frozen_secret_stays_frozen() {
        let old = json!({"immutable": true, "data": {"a": "dg=="}});
        assert_eq!(
            texts(&frozen(&json!({"data": {"a": "eA=="}}), &old, &["data"])),
            [
                "immutable: Forbidden: field is immutable when `immutable` is set",
                "data: Forbidden: field is immutable when `immutable` is set",
            ]
        );
    }
}
