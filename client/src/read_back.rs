//! What became of a create whose answer was lost: looking whether the object is there.
//!
//! No counterpart in client-go, where callers have to know which errors leave a write's outcome open.

use crate::dynamic::DynamicResource;
use crate::error::Error;
use rehearsal_apimachinery::{GetOptions, ListOptions};
use serde_json::Value;

/// What of the metadata tells whose object it is.
const OWN: [&str; 4] = ["generateName", "labels", "annotations", "ownerReferences"];

impl DynamicResource {
    /// The objects that an object that was sent to be created can have become: those of its name, or of its
    /// `generateName`, with the labels, annotations and owners that were sent. None means that it was not stored, or not
    /// yet: a server that is behind may store it later. Several mean that labels or owners do not tell one from another.
    /// What is beside the metadata is not compared, for the server rewrites it.
    ///
    /// # Errors
    /// As [`DynamicResource::get`] and [`DynamicResource::list`].
    pub async fn read_back(&self, sent: &Value) -> Result<Vec<Value>, Error> {
        let meta = |key: &str| sent.pointer(&format!("/metadata/{key}"));
        let name = meta("name").and_then(Value::as_str).unwrap_or_default();
        if name.is_empty() {
            let labels = meta("labels").and_then(Value::as_object).into_iter().flatten();
            let labels = labels.filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
            let options = ListOptions::default().labels(&labels.collect::<Vec<_>>().join(","));
            let list = self.list(&options).await?;
            let items = list.get("items").and_then(Value::as_array).into_iter().flatten();
            return Ok(items.filter(|found| is_of(found, sent)).cloned().collect());
        }
        match self.get(name, &GetOptions::default(), &[]).await {
            Ok(found) => Ok(Some(found).filter(|found| is_of(found, sent)).into_iter().collect()),
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

fn is_of(found: &Value, sent: &Value) -> bool {
    let of = |object: &Value, key: &str| object.pointer(&format!("/metadata/{key}")).cloned().unwrap_or_default();
    OWN.into_iter().all(|key| holds(&of(found, key), &of(sent, key)))
}

/// Whether all of `sent` is in `found`.
fn holds(found: &Value, sent: &Value) -> bool {
    match (found, sent) {
        (_, Value::Null) => true,
        (Value::Object(found), Value::Object(sent)) => {
            sent.iter().all(|(key, sent)| found.get(key).is_some_and(|found| holds(found, sent)))
        }
        (Value::Array(found), Value::Array(sent)) => {
            sent.iter().all(|sent| found.iter().any(|found| holds(found, sent)))
        }
        (found, Value::Object(sent)) => sent.is_empty() && found.is_null(),
        (found, Value::Array(sent)) => sent.is_empty() && found.is_null(),
        (found, sent) => found == sent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_object_is_known_by_the_metadata_that_was_sent() {
        let sent =
            json!({"metadata": {"generateName": "a-", "labels": {"app": "x"}, "ownerReferences": [{"uid": "1"}]}});
        let mut found = json!({"metadata": {"name": "a-7", "generateName": "a-", "labels": {"app": "x", "more": "y"},
            "ownerReferences": [{"uid": "1", "kind": "Job"}], "resourceVersion": "5"}, "spec": {}});
        assert!(is_of(&found, &sent));
        found["metadata"]["ownerReferences"][0]["uid"] = json!("2");
        assert!(!is_of(&found, &sent));
        assert!(is_of(&json!({"metadata": {"name": "a"}}), &json!({"metadata": {"name": "a", "labels": {}}})));
        assert!(!is_of(&json!({"metadata": {"name": "a"}}), &json!({"metadata": {"name": "a", "labels": {"b": "c"}}})));
    }
}
