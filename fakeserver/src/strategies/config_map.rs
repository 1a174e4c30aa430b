//! ConfigMap: keys, size, immutability.
//!
//! Counterpart: `registry/core/configmap` and `ValidateConfigMap`.

use super::access::entries_at;
use super::checks::{base64_len, data_size, each};
use super::secret::frozen;
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::validation::is_config_map_key;
use serde_json::Value;

/// Most bytes of data in a ConfigMap or a Secret.
pub(crate) const MAX_BYTES: usize = 1024 * 1024;

/// Hooks of ConfigMap.
#[derive(Clone, Copy, Debug)]
pub struct ConfigMapStrategy;

impl Strategy for ConfigMapStrategy {
    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        config_map(object)
    }

    fn validate_update(&self, _cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = frozen(object, old, &["data", "binaryData"]);
        errors.extend(config_map(object));
        errors
    }
}

fn config_map(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (key, _) in entries_at(object, "data") {
        let path = Path::new("data").key(key);
        errors.extend(each(&path, key, is_config_map_key(key)));
        if object["binaryData"].get(key).is_some() {
            errors.push(FieldError::invalid(path, key, "duplicate of key present in binaryData"));
        }
    }
    for (key, _) in entries_at(object, "binaryData") {
        errors.extend(each(&Path::new("binaryData").key(key), key, is_config_map_key(key)));
    }
    if data_size(object, "data", str::len) + data_size(object, "binaryData", base64_len) > MAX_BYTES {
        // The real server builds this path from an empty name, which prints as an index without number.
        errors.push(FieldError::too_long("[]", MAX_BYTES));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn refusals_read_as_the_real_servers() {
        let cases = [
            (
                json!({"data": {"bad key": "v"}}),
                "data[bad key]: Invalid value: \"bad key\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
            ),
            (json!({"data": {"..": "v"}}), "data[..]: Invalid value: \"..\": must not be '..'"),
            (
                json!({"data": {"k": "v"}, "binaryData": {"k": "aGk="}}),
                "data[k]: Invalid value: \"k\": duplicate of key present in binaryData",
            ),
            (json!({"data": {"k": "v".repeat(MAX_BYTES + 1)}}), "[]: Too long: may not be more than 1048576 bytes"),
        ];
        for (object, expected) in cases {
            let texts: Vec<_> = config_map(&object).iter().map(ToString::to_string).collect();
            assert_eq!(texts, [expected]);
        }
    }
}
