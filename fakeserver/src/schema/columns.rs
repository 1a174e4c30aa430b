//! Printer columns of custom resources: what `additionalPrinterColumns` define and the cells they give.
//!
//! Counterpart: apiextensions-apiserver `registry/customresource/tableconvertor`.

use super::jsonpath::JsonPath;
use crate::endpoints::table::descriptions;
use jiff::Timestamp;
use rehearsal_apimachinery::codec::json::encode;
use rehearsal_apimachinery::time::{human_duration, parse_time};
use serde_json::{Value, json};

/// A column whose cells a JSON path selects.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPathColumn {
    /// Header.
    pub name: String,
    /// Type: `integer`, `number`, `string`, `boolean` or `date`.
    pub kind: String,
    /// Format.
    pub format: String,
    /// Description.
    pub description: String,
    /// 0 is always shown, larger only in wide output.
    pub priority: i64,
    /// Where the value is; `None` when the path does not parse, then all cells are null.
    pub path: Option<JsonPath>,
}

impl JsonPathColumn {
    /// Reads one entry of `additionalPrinterColumns`. Without a description the column describes itself by its path.
    #[must_use]
    pub fn from_entry(entry: &Value) -> Self {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let json_path = text("jsonPath");
        let description = match text("description") {
            given if !given.is_empty() => given,
            _ => format!("Custom resource definition column (in JSONPath format): {json_path}"),
        };
        Self {
            name: text("name"),
            kind: text("type"),
            format: text("format"),
            description,
            priority: entry.get("priority").and_then(Value::as_i64).unwrap_or_default(),
            path: JsonPath::parse(&json_path).ok(),
        }
    }

    /// The columns of a CRD version after `Name`: the given ones, or `Age` when there are none.
    #[must_use]
    pub fn of_version(additional_printer_columns: Option<&Value>) -> Vec<Self> {
        let entries = additional_printer_columns.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if entries.is_empty() {
            return vec![Self::from_entry(&json!({
                "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp",
                "description": descriptions::CREATION_TIMESTAMP
            }))];
        }
        entries.iter().map(Self::from_entry).collect()
    }

    /// The cell for an object.
    #[must_use]
    pub fn cell(&self, object: &Value, now: Timestamp) -> Value {
        let found = self.path.as_ref().and_then(|path| path.find(object).ok()).unwrap_or_default();
        // Of several results only the first is shown.
        let Some(value) = found.first() else { return Value::Null };
        match (self.kind.as_str(), value) {
            ("string", value) => go_text(value).into(),
            ("integer", Value::Number(n)) => n.as_i64().or_else(|| n.as_f64().map(truncated)).into(),
            ("number", Value::Number(n)) => match n.as_f64() {
                // Go writes a whole float without a fraction.
                Some(f) if f.fract() == 0.0 && f.abs() < 9e15 => truncated(f).into(),
                _ => (*value).clone(),
            },
            ("boolean", Value::Bool(b)) => (*b).into(),
            ("date", Value::String(time)) => match parse_time(time) {
                Ok(then) => human_duration(now.duration_since(then).as_secs()).into(),
                Err(_) => "<invalid>".into(),
            },
            _ => Value::Null,
        }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "Go converts the same way, and `as` saturates")]
fn truncated(float: f64) -> i64 {
    float as i64
}

/// A value as Go's text output prints it: containers as JSON, scalars as `%v`.
fn go_text(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(n) => match (n.as_i64(), n.as_f64()) {
            (Some(int), _) => int.to_string(),
            (None, Some(float)) => go_float(float),
            (None, None) => n.to_string(),
        },
        Value::Bool(b) => b.to_string(),
        Value::Array(_) | Value::Object(_) => String::from_utf8_lossy(&encode(value, None)).into_owned(),
    }
}

/// Go prints floats with `%v`: shortest form, with an exponent below 1e-4 and from 1e21.
pub(crate) fn go_float(float: f64) -> String {
    let size = float.abs();
    if float == 0.0 || (1e-4..1e21).contains(&size) {
        return float.to_string();
    }
    let text = format!("{float:e}");
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
            format!("{digits}e{sign}{exponent:0>2}")
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(kind: &str, path: &str, object: &Value) -> Value {
        let column = JsonPathColumn::from_entry(&json!({"name": "X", "type": kind, "jsonPath": path}));
        column.cell(object, "2026-01-01T00:10:00Z".parse().unwrap())
    }

    #[test]
    fn cells_follow_the_type_of_their_column() {
        let object = json!({"i": 5, "f": 2.5, "w": 3.0, "b": true, "s": "x", "l": ["a", "b"], "m": {"k": "<v>"},
            "t": "2026-01-01T00:00:00Z", "n": null});
        for (kind, path, expected) in [
            ("integer", ".i", json!(5)),
            ("integer", ".f", json!(2)),
            ("integer", ".s", json!(null)),
            ("number", ".f", json!(2.5)),
            ("number", ".w", json!(3)),
            ("boolean", ".b", json!(true)),
            ("string", ".i", json!("5")),
            ("string", ".b", json!("true")),
            ("string", ".l[*]", json!("a")),
            ("string", ".l", json!("[\"a\",\"b\"]")),
            ("string", ".m", json!("{\"k\":\"\\u003cv\\u003e\"}")),
            ("string", ".n", json!("<no value>")),
            ("string", ".nope", json!(null)),
            ("date", ".t", json!("10m")),
            ("date", ".s", json!("<invalid>")),
            ("date", ".nope", json!(null)),
        ] {
            assert_eq!(cell(kind, path, &object), expected, "{kind} {path}");
        }
    }

    #[test]
    fn a_version_without_columns_shows_its_age() {
        let columns = JsonPathColumn::of_version(None);
        assert_eq!(columns.len(), 1);
        assert_eq!((columns[0].name.as_str(), columns[0].kind.as_str()), ("Age", "date"));
    }

    #[test]
    fn a_column_describes_itself_by_its_path() {
        let column = JsonPathColumn::from_entry(&json!({"name": "X", "type": "string", "jsonPath": ".spec.x"}));
        assert_eq!(column.description, "Custom resource definition column (in JSONPath format): .spec.x");
    }

    #[test]
    fn floats_print_as_go_prints_them() {
        for (float, text) in [(1.5, "1.5"), (0.00001, "1e-05"), (1e21, "1e+21"), (100000.0, "100000"), (0.0, "0")] {
            assert_eq!(go_float(float), text);
        }
    }
}
