//! Options of delete: as a query, and as the body of the request.
//!
//! Counterpart: `meta/v1.DeleteOptions`. The body is read with Go's type errors.

use super::QueryPairs;
use super::query::{Writer, all, first, flag, number};
use serde_json::{Map, Value, json};

/// What a deletion insists on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preconditions {
    /// The uid the object must have.
    pub uid: Option<String>,
    /// The resourceVersion the object must have.
    pub resource_version: Option<String>,
}

/// Options of delete and deletecollection; preconditions travel in the body alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// `gracePeriodSeconds`
    pub grace_period_seconds: Option<i64>,
    /// `preconditions`
    pub preconditions: Option<Preconditions>,
    /// `orphanDependents`, the forerunner of `propagationPolicy`.
    pub orphan_dependents: Option<bool>,
    /// `propagationPolicy`: `Foreground`, `Background` or `Orphan`.
    pub propagation_policy: Option<String>,
    /// `dryRun`: empty or `All`.
    pub dry_run: Vec<String>,
    /// `ignoreStoreReadErrorWithClusterBreakingPotential`
    pub ignore_store_read_error: Option<bool>,
}

impl DeleteOptions {
    /// Reads the query, which the server does when the request has no body.
    ///
    /// # Errors
    /// The server's text for a malformed number.
    pub fn from_query(query: &[(String, String)]) -> Result<Self, String> {
        Ok(Self {
            grace_period_seconds: number(query, "gracePeriodSeconds")?,
            preconditions: None,
            orphan_dependents: flag(query, "orphanDependents"),
            propagation_policy: first(query, "propagationPolicy").map(str::to_owned),
            dry_run: all(query, "dryRun"),
            ignore_store_read_error: flag(query, "ignoreStoreReadErrorWithClusterBreakingPotential"),
        })
    }

    /// The query that says the same (without preconditions), in key order.
    #[must_use]
    pub fn to_query(&self) -> QueryPairs {
        Writer::default()
            .all("dryRun", &self.dry_run)
            .number("gracePeriodSeconds", self.grace_period_seconds)
            .flag("ignoreStoreReadErrorWithClusterBreakingPotential", self.ignore_store_read_error)
            .flag("orphanDependents", self.orphan_dependents)
            .text("propagationPolicy", self.propagation_policy.as_deref().unwrap_or_default())
            .0
    }

    /// Reads the body of a DELETE; `kind` and `apiVersion` are the caller's business, unknown members are ignored.
    ///
    /// # Errors
    /// The decoder's text for a member of the wrong type.
    pub fn from_json(body: &Value) -> Result<Self, String> {
        let members = Members::of(body, "DeleteOptions", "", "v1.DeleteOptions")?;
        let preconditions = match members.get("preconditions") {
            None => None,
            Some(value) => {
                let inner = Members::of(value, "DeleteOptions", "preconditions", "v1.Preconditions")?;
                Some(Preconditions {
                    uid: inner.text("uid", "types.UID")?,
                    resource_version: inner.text("resourceVersion", "string")?,
                })
            }
        };
        Ok(Self {
            grace_period_seconds: members.number("gracePeriodSeconds")?,
            preconditions,
            orphan_dependents: members.flag("orphanDependents")?,
            propagation_policy: members.text("propagationPolicy", "v1.DeletionPropagation")?,
            dry_run: members.texts("dryRun")?,
            ignore_store_read_error: members.flag("ignoreStoreReadErrorWithClusterBreakingPotential")?,
        })
    }

    /// The body of a DELETE request.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut body = Map::new();
        body.insert("kind".into(), "DeleteOptions".into());
        body.insert("apiVersion".into(), "v1".into());
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        put("gracePeriodSeconds", self.grace_period_seconds.map(Value::from));
        put("preconditions", self.preconditions.as_ref().map(Preconditions::to_json));
        put("orphanDependents", self.orphan_dependents.map(Value::from));
        put("propagationPolicy", self.propagation_policy.clone().map(Value::from));
        put("dryRun", (!self.dry_run.is_empty()).then(|| json!(self.dry_run)));
        put("ignoreStoreReadErrorWithClusterBreakingPotential", self.ignore_store_read_error.map(Value::from));
        Value::Object(body)
    }

    /// Sets `gracePeriodSeconds`.
    #[must_use]
    pub fn grace_period_seconds(mut self, seconds: i64) -> Self {
        self.grace_period_seconds = Some(seconds);
        self
    }

    /// Sets `preconditions`.
    #[must_use]
    pub fn preconditions(mut self, preconditions: Preconditions) -> Self {
        self.preconditions = Some(preconditions);
        self
    }

    /// Sets `propagationPolicy`.
    #[must_use]
    pub fn propagation_policy(mut self, policy: impl Into<String>) -> Self {
        self.propagation_policy = Some(policy.into());
        self
    }

    /// Sets `dryRun=All`.
    #[must_use]
    pub fn dry_run(mut self) -> Self {
        self.dry_run = vec!["All".into()];
        self
    }

    /// Whether nothing may be stored.
    #[must_use]
    pub fn is_dry_run(&self) -> bool {
        !self.dry_run.is_empty()
    }
}

impl Preconditions {
    /// Sets the uid.
    #[must_use]
    pub fn uid(mut self, uid: impl Into<String>) -> Self {
        self.uid = Some(uid.into());
        self
    }

    /// Sets the resourceVersion.
    #[must_use]
    pub fn resource_version(mut self, version: impl Into<String>) -> Self {
        self.resource_version = Some(version.into());
        self
    }

    fn to_json(&self) -> Value {
        let pairs = [("uid", &self.uid), ("resourceVersion", &self.resource_version)];
        pairs.into_iter().filter_map(|(k, v)| Some((k.to_owned(), Value::from(v.clone()?)))).collect()
    }
}

/// The members of a JSON object, read with Go's type errors.
struct Members<'a> {
    map: Option<&'a Map<String, Value>>,
    place: String,
}

impl<'a> Members<'a> {
    fn of(value: &'a Value, kind: &str, field: &str, go_type: &str) -> Result<Self, String> {
        let place = if field.is_empty() { kind.to_owned() } else { format!("{kind}.{field}") };
        match value {
            Value::Object(map) => Ok(Self { map: Some(map), place }),
            Value::Null => Ok(Self { map: None, place }),
            other if field.is_empty() => {
                Err(format!("json: cannot unmarshal {} into Go value of type {go_type}", go_kind(other)))
            }
            other => Err(mismatch(other, &place, go_type)),
        }
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.and_then(|m| m.get(name)).filter(|v| !v.is_null())
    }

    fn read<T>(&self, name: &str, go_type: &str, read: impl Fn(&Value) -> Option<T>) -> Result<Option<T>, String> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let place = format!("{}.{name}", self.place);
        read(value).map(Some).ok_or_else(|| mismatch(value, &place, go_type))
    }

    fn text(&self, name: &str, go_type: &str) -> Result<Option<String>, String> {
        self.read(name, go_type, |v| v.as_str().map(str::to_owned))
    }

    fn number(&self, name: &str) -> Result<Option<i64>, String> {
        self.read(name, "int64", Value::as_i64)
    }

    fn flag(&self, name: &str) -> Result<Option<bool>, String> {
        self.read(name, "bool", Value::as_bool)
    }

    fn texts(&self, name: &str) -> Result<Vec<String>, String> {
        let items = self.read(name, "[]string", |v| v.as_array().cloned())?.unwrap_or_default();
        let place = format!("{}.{name}", self.place);
        let text = |v: &Value| match v {
            Value::Null => Ok(String::new()),
            other => other.as_str().map(str::to_owned).ok_or_else(|| mismatch(other, &place, "string")),
        };
        items.iter().map(text).collect()
    }
}

fn mismatch(value: &Value, place: &str, go_type: &str) -> String {
    let shown = match value {
        Value::Number(n) if go_type == "int64" => format!("number {n}"),
        other => go_kind(other).to_owned(),
    };
    format!("json: cannot unmarshal {shown} into Go struct field {place} of type {go_type}")
}

fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
