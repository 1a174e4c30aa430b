//! Whether a value satisfies a schema, in the words of the real server.
//!
//! Counterpart: kube-openapi `validation/validate`, the ratcheting validator around it and the translation of its errors
//! in apiextensions-apiserver `apiserver/validation`. A value that did not change in an update is not judged again.

use super::list_types::keys_of;
use super::structural::{Additional, Bound, Schema};
use rehearsal_apimachinery::catalog::ListSemantics;
use rehearsal_apimachinery::field::{ErrorKind, FieldError, Path, go_quote};
use serde_json::{Map, Number, Value};

/// The errors of a value. `base` is put before the paths of the fields but not before the paths within messages, as the
/// server does for `/status`. `old` is the value it replaces.
pub(super) fn validate(value: &Value, old: Option<&Value>, schema: &Schema, base: Option<&str>) -> Vec<FieldError> {
    let place = |name: &str| match (base, name) {
        (None, "") => "<nil>".to_owned(),
        (None, name) => name.to_owned(),
        (Some(base), "") => base.to_owned(),
        (Some(base), name) => Path::new(base).child(name).into(),
    };
    Judge::value(value, old, schema, "").errors.into_iter().map(|e| e.translate(&place)).collect()
}

/// One error before its path is settled.
#[derive(Clone)]
enum Error {
    /// At a path, with a value.
    At(String, ErrorKind, Value, String),
    /// About alternatives, without a path.
    Composite(String),
}

impl Error {
    fn translate(self, place: &dyn Fn(&str) -> String) -> FieldError {
        match self {
            Self::At(path, kind, value, detail) => FieldError { kind, field: place(&path), value, detail, shown: None },
            Self::Composite(text) => FieldError::invalid(place(""), "", text),
        }
    }
}

#[derive(Default)]
struct Outcome {
    errors: Vec<Error>,
    /// How much of the schema had something to say: decides which failed alternative is shown.
    matches: usize,
}

impl Outcome {
    fn merge(&mut self, other: Self) {
        self.errors.extend(other.errors);
        self.matches += other.matches;
    }

    fn is_valid(&self) -> bool {
        self.errors.is_empty()
    }
}

/// A schema, a value and where it stands.
struct Judge<'a> {
    schema: &'a Schema,
    value: &'a Value,
    old: Option<&'a Value>,
    path: &'a str,
    out: Outcome,
}

impl<'a> Judge<'a> {
    fn value(value: &'a Value, old: Option<&'a Value>, schema: &'a Schema, path: &'a str) -> Outcome {
        if old == Some(value) {
            return Outcome::default();
        }
        let mut judge = Judge { schema, value, old, path, out: Outcome::default() };
        judge.types();
        if value.is_null() {
            judge.allowed();
            return judge.out;
        }
        judge.alternatives();
        match value {
            Value::String(text) => judge.string(text),
            Value::Number(number) => judge.number(number),
            Value::Array(items) => judge.list(items),
            _ => {}
        }
        judge.allowed();
        if let Value::Object(members) = value {
            judge.object(members);
        }
        judge.out.matches += 1;
        judge.out
    }

    fn fail(&mut self, kind: ErrorKind, value: Value, detail: String) {
        self.out.errors.push(Error::At(self.path.to_owned(), kind, value, detail));
    }

    /// `… in body` with the path before it, as messages begin.
    fn refuse(&mut self, value: impl Into<Value>, text: &str) {
        let detail = format!("{} in body {text}", self.path);
        self.fail(ErrorKind::Invalid, value.into(), detail);
    }

    fn types(&mut self) {
        let types = &self.schema.types;
        if types.is_empty() || self.value.is_null() && self.schema.nullable {
            return;
        }
        let found = type_name(self.value);
        let fits = |wanted: &String| {
            let whole = || found == "number" && self.value.as_f64().is_some_and(|f| f.fract() == 0.0);
            wanted == found || wanted == "number" && found == "integer" || wanted == "integer" && whole()
        };
        let formatted = self.schema.format.is_some()
            && matches!(self.value, Value::String(_) | Value::Array(_))
            && !types.iter().any(|t| t == "integer" || t == "number");
        self.out.matches += 1;
        if types.iter().any(fits) || formatted {
            return;
        }
        let detail = format!("{} in body must be of type {}: {}", self.path, types.join(","), go_quote(found));
        self.fail(ErrorKind::TypeInvalid, found.into(), detail);
    }

    fn allowed(&mut self) {
        let allowed = &self.schema.rules.allowed;
        if allowed.is_empty() || allowed.iter().any(|a| same(a, self.value)) {
            return;
        }
        let names = allowed.iter().map(|a| a.as_str().map_or_else(|| a.to_string(), str::to_owned));
        let error = FieldError::not_supported("", self.value.clone(), &names.collect::<Vec<_>>());
        self.fail(ErrorKind::NotSupported, error.value, error.detail);
    }

    fn string(&mut self, text: &str) {
        let rules = &self.schema.rules;
        let length = text.chars().count();
        if let Some(max) = rules.max_length.filter(|max| length > *max) {
            self.fail(ErrorKind::TooLong, Value::Null, FieldError::too_long("", max).detail);
        }
        if let Some(min) = rules.min_length.filter(|min| length < *min) {
            self.refuse(text, &format!("should be at least {min} chars long"));
        }
        if let Some((pattern, regex)) = &rules.pattern
            && regex.as_ref().is_some_and(|r| !r.is_match(text))
        {
            self.refuse(text, &format!("should match '{pattern}'"));
        }
        if self.schema.format.is_some_and(|f| !f.accepts(text)) {
            let detail =
                format!("{} in body must be of type {}: {}", self.path, self.schema.format_name, go_quote(text));
            self.fail(ErrorKind::TypeInvalid, text.into(), detail);
        }
    }

    fn number(&mut self, number: &Number) {
        let rules = &self.schema.rules;
        self.range(number);
        let value = number.as_f64().unwrap_or_default();
        if let Some(factor) = rules.multiple_of.filter(|f| *f != 0.0) {
            let times = value / factor;
            if (times - times.round()).abs() > f64::EPSILON * times.abs().max(1.0) {
                self.refuse(self.value.clone(), &format!("should be a multiple of {}", go_float(factor)));
            }
        }
        // Whole numbers are held against whole limits.
        let native = |b: Bound| Bound { limit: if number.is_f64() { b.limit } else { b.limit.trunc() }, ..b };
        let outside = |bound: &Bound, beyond: bool| beyond || bound.exclusive && value == bound.limit;
        if let Some(max) = rules.maximum.map(native).filter(|b| outside(b, value > b.limit)) {
            let relation = if max.exclusive { "less than" } else { "less than or equal to" };
            self.refuse(self.value.clone(), &format!("should be {relation} {}", go_float(max.limit)));
        }
        if let Some(min) = rules.minimum.map(native).filter(|b| outside(b, value < b.limit)) {
            let relation = if min.exclusive { "greater than" } else { "greater than or equal to" };
            self.refuse(self.value.clone(), &format!("should be {relation} {}", go_float(min.limit)));
        }
    }

    /// Whether the number exists in the type and format at all.
    fn range(&mut self, number: &Number) {
        if !self.schema.types.iter().any(|t| t == "integer") || self.schema.int_or_string {
            return;
        }
        let format = self.schema.format_name.as_str();
        let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from)).or_else(|| {
            #[allow(clippy::cast_possible_truncation, reason = "a fraction has been excluded and `as` saturates")]
            number.as_f64().filter(|f| f.fract() == 0.0).map(|f| f as i128)
        });
        let fits = |n: i128| match format {
            "int32" => i32::try_from(n).is_ok(),
            _ => i64::try_from(n).is_ok(),
        };
        if whole.is_some_and(fits) {
            return;
        }
        let of = if !matches!(format, "int32" | "int64") {
            "(default format)".to_owned()
        } else {
            format!("with format {format}")
        };
        let text = format!("Checked value must be of type integer {of} in {}", self.path);
        self.out.errors.push(Error::Composite(text));
    }

    fn list(&mut self, items: &'a [Value]) {
        let rules = &self.schema.rules;
        if let Some(inner) = &self.schema.items {
            for (i, item) in items.iter().enumerate() {
                let old = self.old_item(item);
                self.out.merge(Judge::value(item, old, inner, &format!("{}[{i}]", self.path)));
            }
        }
        let count = items.len();
        if let Some(min) = rules.min_items.filter(|min| count < *min) {
            self.refuse(count, &format!("should have at least {min} items"));
        }
        if let Some(max) = rules.max_items.filter(|max| count > *max) {
            let error = FieldError::too_many("", count, max);
            self.fail(ErrorKind::TooMany, error.value, error.detail);
        }
    }

    /// The old item that an item of a keyed list replaces; other lists are judged as a whole.
    fn old_item(&self, item: &Value) -> Option<&'a Value> {
        let ListSemantics::Map(keys) = &self.schema.list else { return None };
        let wanted = keys_of(item, keys);
        self.old?.as_array()?.iter().find(|old| keys_of(old, keys) == wanted)
    }

    fn object(&mut self, members: &'a Map<String, Value>) {
        let rules = &self.schema.rules;
        let count = members.len();
        if let Some(min) = rules.min_properties.filter(|min| count < *min) {
            return self.refuse(count, &format!("should have at least {min} properties"));
        }
        if let Some(max) = rules.max_properties.filter(|max| count > *max) {
            let error = FieldError::too_many("", count, max);
            return self.fail(ErrorKind::TooMany, error.value, error.detail);
        }
        for (name, member) in members {
            let path = self.below(name);
            let inner = match (self.schema.properties.get(name), &self.schema.additional) {
                (Some(inner), _) => inner,
                (None, Additional::Schema(inner)) => inner,
                (None, Additional::Allowed(false)) => {
                    let detail = format!("{path} in body is a forbidden property");
                    self.fail(ErrorKind::Invalid, "".into(), detail);
                    continue;
                }
                (None, _) => continue,
            };
            let old = self.old.and_then(|o| o.get(name));
            self.out.merge(Judge::value(member, old, inner, &path));
        }
        for name in rules.required.iter().filter(|name| !members.contains_key(*name)) {
            let path = self.below(name);
            self.out.errors.push(Error::At(path, ErrorKind::Required, Value::Null, String::new()));
        }
    }

    fn below(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// `anyOf`, `oneOf`, `allOf` and `not`. Of failed alternatives the one that got furthest is shown.
    fn alternatives(&mut self) {
        let rules = &self.schema.rules;
        let (value, old, path) = (self.value, self.old, self.path);
        let judge = |schema: &'a Schema| Judge::value(value, old, schema, path);
        if !rules.any_of.is_empty() {
            self.any_of(rules.any_of.iter().map(judge));
        }
        if !rules.one_of.is_empty() {
            self.one_of(rules.one_of.iter().map(judge));
        }
        let mut valid = 0;
        for outcome in rules.all_of.iter().map(judge) {
            valid += usize::from(outcome.is_valid());
            self.out.merge(outcome);
        }
        if valid < rules.all_of.len() {
            let none = if valid == 0 && rules.all_of.len() > 1 { ". None validated" } else { "" };
            self.composite(&format!("must validate all the schemas (allOf){none}"));
        }
        if rules.not.as_deref().is_some_and(|not| judge(not).is_valid()) {
            self.composite("must not validate the schema (not)");
        }
    }

    fn any_of(&mut self, outcomes: impl Iterator<Item = Outcome>) {
        let mut best: Option<Outcome> = None;
        for outcome in outcomes {
            if outcome.is_valid() {
                return;
            }
            if best.as_ref().is_none_or(|b| outcome.matches > b.matches) {
                best = Some(outcome);
            }
        }
        self.composite("must validate at least one schema (anyOf)");
        if let Some(best) = best {
            self.out.merge(best);
        }
    }

    fn one_of(&mut self, outcomes: impl Iterator<Item = Outcome>) {
        let mut valid = 0;
        let mut best: Option<Outcome> = None;
        for outcome in outcomes {
            if outcome.is_valid() {
                valid += 1;
                best = None;
            } else if valid == 0 && best.as_ref().is_none_or(|b| outcome.matches > b.matches) {
                best = Some(outcome);
            }
        }
        if valid == 1 {
            return;
        }
        let found =
            if valid == 0 { "Found none valid".to_owned() } else { format!("Found {valid} valid alternatives") };
        self.composite(&format!("must validate one and only one schema (oneOf). {found}"));
        if let Some(best) = best {
            self.out.merge(best);
        }
    }

    fn composite(&mut self, text: &str) {
        self.out.errors.push(Error::Composite(format!("\"{}\" {text}", self.path)));
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Equality in which 1 and 1.0 are the same.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        // The server never finds null among the allowed values.
        (Value::Null, Value::Null) => false,
        _ => a == b,
    }
}

/// Go's `%v` of a float.
fn go_float(float: f64) -> String {
    crate::schema::columns::go_float(float)
}
