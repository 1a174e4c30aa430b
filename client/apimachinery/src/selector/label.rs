//! Label selectors: `app=web,tier in (a,b),!legacy`, and the `LabelSelector` objects of specs.
//!
//! Counterparts: apimachinery `labels.Selector`, `meta/v1.LabelSelectorAsSelector` and `ValidateLabelSelector`.
//! Requirements are kept sorted by key and values sorted without duplicates, so printing is canonical.

use super::parser;
use crate::field::{self, FieldError, Path};
use crate::validation;
use serde_json::Value;
use std::fmt;
use std::str::FromStr;

/// What a requirement asks of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Operator {
    DoesNotExist,
    Equals,
    DoubleEquals,
    In,
    NotEquals,
    NotIn,
    Exists,
    GreaterThan,
    LessThan,
}

/// One condition on one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

impl Requirement {
    /// A checked requirement; `path` stands before the fields `key` and `values` in errors.
    ///
    /// # Errors
    /// The errors of key, number of values and values.
    pub fn new(key: &str, operator: Operator, values: &[String], path: &Path) -> Result<Self, Vec<FieldError>> {
        let mut errors: Vec<FieldError> = key_error(key, path.child("key").as_str()).into_iter().collect();
        let at = path.child("values");
        let mut refuse = |text: &str| errors.push(FieldError::invalid(&at, values.to_vec(), text));
        match operator {
            Operator::In | Operator::NotIn if values.is_empty() => {
                refuse("for 'in', 'notin' operators, values set can't be empty");
            }
            Operator::Equals | Operator::DoubleEquals | Operator::NotEquals if values.len() != 1 => {
                refuse("exact-match compatibility requires one single value");
            }
            Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
                refuse("values set must be empty for exists and does not exist");
            }
            Operator::GreaterThan | Operator::LessThan => {
                if values.len() != 1 {
                    refuse("for 'Gt', 'Lt' operators, exactly one value is required");
                }
                for (i, value) in values.iter().enumerate().filter(|(_, v)| v.parse::<i64>().is_err()) {
                    let text = "for 'Gt', 'Lt' operators, the value must be an integer";
                    errors.push(FieldError::invalid(at.index(i), value.as_str(), text));
                }
            }
            _ => {}
        }
        for (i, value) in values.iter().enumerate() {
            let complaints = validation::is_valid_label_value(value);
            if !complaints.is_empty() {
                errors.push(FieldError::invalid(at.index(i).key(key), value.as_str(), complaints.join("; ")));
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut values = values.to_vec();
        values.sort();
        values.dedup();
        Ok(Self { key: key.to_owned(), operator, values })
    }

    /// The label key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The operator.
    #[must_use]
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// The values, sorted.
    #[must_use]
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Whether a value (or its absence) satisfies the requirement.
    #[must_use]
    pub fn matches(&self, value: Option<&str>) -> bool {
        let listed = |v: &str| self.values.iter().any(|x| x == v);
        match self.operator {
            Operator::In | Operator::Equals | Operator::DoubleEquals => value.is_some_and(listed),
            Operator::NotIn | Operator::NotEquals => !value.is_some_and(listed),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => self.compare(value).is_some_and(|(have, want)| have > want),
            Operator::LessThan => self.compare(value).is_some_and(|(have, want)| have < want),
        }
    }

    fn compare(&self, value: Option<&str>) -> Option<(i64, i64)> {
        let have = value?.parse().ok()?;
        let want = self.values.first()?.parse().ok()?;
        Some((have, want))
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.values.join(",");
        let key = &self.key;
        match self.operator {
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::Exists => f.write_str(key),
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
        }
    }
}

/// A conjunction of requirements; the empty one matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
    nothing: bool,
}

impl LabelSelector {
    /// Matches everything.
    #[must_use]
    pub fn everything() -> Self {
        Self::default()
    }

    /// Matches nothing; prints as the empty text, as the server's does.
    #[must_use]
    pub fn nothing() -> Self {
        Self { requirements: Vec::new(), nothing: true }
    }

    /// A selector of these requirements.
    #[must_use]
    pub fn of(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Self { requirements, nothing: false }
    }

    /// Parses the text of a query parameter.
    ///
    /// # Errors
    /// The server's text.
    pub fn parse(text: &str) -> Result<Self, String> {
        parser::parse(text).map(Self::of)
    }

    /// Equality on every pair, without checks (`labels.SelectorFromSet`).
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let requirement = |(key, value): (&str, &str)| Requirement {
            key: key.to_owned(),
            operator: Operator::Equals,
            values: vec![value.to_owned()],
        };
        Self::of(pairs.into_iter().map(requirement).collect())
    }

    /// Equality on every member of a JSON map of strings, such as `spec.selector` of a Service.
    #[must_use]
    pub fn from_map(map: &serde_json::Map<String, Value>) -> Self {
        Self::from_pairs(map.iter().map(|(k, v)| (k.as_str(), v.as_str().unwrap_or_default())))
    }

    /// Reads a `LabelSelector` object: nothing for null, everything for the empty object.
    ///
    /// # Errors
    /// The first bad operator, key or value, in the server's words.
    pub fn from_object(object: &Value) -> Result<Self, String> {
        let Some(object) = object.as_object() else {
            return Ok(Self::nothing());
        };
        let mut requirements = Vec::new();
        for (key, value) in object.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
            let values = [value.as_str().unwrap_or_default().to_owned()];
            requirements.push(checked(key, Operator::Equals, &values)?);
        }
        for expression in object.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
            let (key, operator, values) = expression_parts(expression);
            let operator = match operator {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => return Err(format!("{} is not a valid label selector operator", field::go_quote(other))),
            };
            requirements.push(checked(key, operator, &values)?);
        }
        Ok(Self::of(requirements))
    }

    /// The requirements, sorted by key.
    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether it matches everything.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty() && !self.nothing
    }

    /// Whether labels, looked up through a closure, satisfy all requirements.
    pub fn matches<'a>(&self, lookup: impl Fn(&str) -> Option<&'a str>) -> bool {
        !self.nothing && self.requirements.iter().all(|r| r.matches(lookup(&r.key)))
    }

    /// Whether the labels of a JSON map satisfy all requirements; no map counts as no labels.
    #[must_use]
    pub fn matches_map(&self, labels: Option<&serde_json::Map<String, Value>>) -> bool {
        self.matches(|key| labels.and_then(|l| l.get(key)).and_then(Value::as_str))
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, requirement) in self.requirements.iter().enumerate() {
            write!(f, "{}{requirement}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl FromStr for LabelSelector {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }
}

pub(super) fn checked(key: &str, operator: Operator, values: &[String]) -> Result<Requirement, String> {
    Requirement::new(key, operator, values, &Path::root()).map_err(|errors| field::aggregate(&errors))
}

pub(super) fn key_error(key: &str, at: &str) -> Option<FieldError> {
    let complaints = validation::is_qualified_name(key);
    (!complaints.is_empty()).then(|| FieldError::invalid(at, key, complaints.join("; ")))
}

fn expression_parts(expression: &Value) -> (&str, &str, Vec<String>) {
    let text = |name: &str| expression.get(name).and_then(Value::as_str).unwrap_or_default();
    let values = expression.get("values").and_then(Value::as_array);
    let values = values.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    (text("key"), text("operator"), values)
}

/// Checks a `LabelSelector` object as specs are checked (`metav1/validation.ValidateLabelSelector`).
///
/// `lenient_values` tolerates bad values in expressions, as the server does for objects that already have them.
#[must_use]
pub fn validate_label_selector(selector: &Value, lenient_values: bool, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let labels = path.child("matchLabels");
    for (key, value) in selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        errors.extend(
            validation::is_qualified_name(key).into_iter().map(|e| FieldError::invalid(&labels, key.as_str(), e)),
        );
        errors.extend(
            validation::is_valid_label_value(value).into_iter().map(|e| FieldError::invalid(&labels, value, e)),
        );
    }
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    for (i, expression) in expressions.into_iter().flatten().enumerate() {
        errors.extend(validate_expression(expression, lenient_values, &path.child("matchExpressions").index(i)));
    }
    errors
}

fn validate_expression(expression: &Value, lenient_values: bool, path: &Path) -> Vec<FieldError> {
    let (key, operator, values) = expression_parts(expression);
    let mut errors = Vec::new();
    match operator {
        "In" | "NotIn" if values.is_empty() => errors
            .push(FieldError::required(path.child("values"), "must be specified when `operator` is 'In' or 'NotIn'")),
        "Exists" | "DoesNotExist" if !values.is_empty() => errors.push(FieldError::forbidden(
            path.child("values"),
            "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        )),
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => errors.push(FieldError::invalid(path.child("operator"), other, "not a valid selector operator")),
    }
    let at = path.child("key");
    errors.extend(validation::is_qualified_name(key).into_iter().map(|e| FieldError::invalid(&at, key, e)));
    if !lenient_values {
        for (i, value) in values.iter().enumerate() {
            let at = path.child("values").index(i);
            let complaints = validation::is_valid_label_value(value);
            errors.extend(complaints.into_iter().map(|e| FieldError::invalid(&at, value.as_str(), e)));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn texts_parse_and_print_canonically() {
        let cases = [
            ("", ""),
            ("a", "a"),
            ("!a", "!a"),
            ("b=1,a", "a,b=1"),
            ("a==1", "a==1"),
            ("a!=1", "a!=1"),
            ("a = 1 , b in ( y, x,x )", "a=1,b in (x,y)"),
            ("a notin (x)", "a notin (x)"),
            ("a in (,)", "a in ()"),
            ("a>1,b<2", "a>1,b<2"),
            ("a=", "a="),
            ("in in (in,notin)", "in in (in,notin)"),
            ("a.b/c=d", "a.b/c=d"),
        ];
        for (text, printed) in cases {
            assert_eq!(LabelSelector::parse(text).unwrap().to_string(), printed, "{text:?}");
        }
    }

    #[test]
    fn refusals_read_as_the_server_writes_them() {
        let cases = [
            ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
            ("=a", "found '=', expected: !, identifier, or 'end of string'"),
            ("a,", "found '', expected: identifier after ','"),
            ("a in x", "unable to parse requirement: found 'x' expected: '('"),
            ("a in (x", "unable to parse requirement: found '', expected: ',' or ')'"),
            ("a in (x y)", "unable to parse requirement: found 'y', expected: ',' or ')'"),
            ("a in (=)", "unable to parse requirement: found '=', expected: ',', ')' or identifier"),
            ("!a=b", "found '=', expected: ',' or 'end of string'"),
            ("!", "unable to parse requirement: found '', expected: identifier"),
            ("a==!", "unable to parse requirement: found '!', expected: identifier"),
            (
                "a in ()",
                "unable to parse requirement: values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty",
            ),
            (
                "a>x",
                "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer",
            ),
        ];
        for (text, error) in cases {
            assert_eq!(LabelSelector::parse(text).unwrap_err(), error, "{text:?}");
        }
        let e = LabelSelector::parse("-a=b").unwrap_err();
        assert!(
            e.starts_with("unable to parse requirement: <nil>: Invalid value: \"-a\": name part must consist"),
            "{e}"
        );
        let e = LabelSelector::parse("a=-").unwrap_err();
        assert!(e.starts_with("unable to parse requirement: values[0][a]: Invalid value: \"-\": a valid label"), "{e}");
    }

    #[test]
    fn matching_follows_the_operators() {
        let labels = json!({"app": "web", "n": "5"});
        let cases = [
            ("app=web", true),
            ("app!=web", false),
            ("other!=x", true),
            ("app in (api,web)", true),
            ("other notin (x)", true),
            ("!app", false),
            ("n>4", true),
            ("n<5", false),
            ("app>1", false),
            ("", true),
        ];
        for (text, want) in cases {
            assert_eq!(LabelSelector::parse(text).unwrap().matches_map(labels.as_object()), want, "{text}");
        }
        assert!(!LabelSelector::nothing().matches(|_| None));
    }

    #[test]
    fn objects_become_selectors() {
        let object = json!({"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "In", "values": ["y", "x"]}, {"key": "b", "operator": "Exists"}]});
        assert_eq!(LabelSelector::from_object(&object).unwrap().to_string(), "a=b,b,c in (x,y)");
        assert_eq!(LabelSelector::from_object(&Value::Null).unwrap(), LabelSelector::nothing());
        assert!(LabelSelector::from_object(&json!({})).unwrap().is_everything());
        let bad = json!({"matchExpressions": [{"key": "a", "operator": "Is"}]});
        assert_eq!(LabelSelector::from_object(&bad).unwrap_err(), "\"Is\" is not a valid label selector operator");
    }

    #[test]
    fn selector_objects_are_checked_field_by_field() {
        let bad = json!({"matchLabels": {"a": "-"}, "matchExpressions": [{"key": "a", "operator": "In"}, {"key": "a", "operator": "Is"}]});
        let fields: Vec<_> =
            validate_label_selector(&bad, false, &Path::new("spec")).into_iter().map(|e| e.field).collect();
        assert_eq!(
            fields,
            ["spec.matchLabels", "spec.matchExpressions[0].values", "spec.matchExpressions[1].operator"]
        );
    }

    fn requirement() -> impl Strategy<Value = Requirement> {
        let operators = prop_oneof![
            Just(Operator::In),
            Just(Operator::NotIn),
            Just(Operator::Equals),
            Just(Operator::DoubleEquals),
            Just(Operator::NotEquals),
            Just(Operator::Exists),
            Just(Operator::DoesNotExist),
            Just(Operator::GreaterThan),
        ];
        let values = proptest::collection::vec("[a-z0-9]([a-z0-9._-]{0,5}[a-z0-9])?", 1..4);
        ("([a-z]{1,4}/)?[a-zA-Z0-9]{1,6}", operators, values).prop_map(|(key, operator, mut values)| {
            match operator {
                Operator::Exists | Operator::DoesNotExist => values.clear(),
                Operator::GreaterThan => values = vec!["7".into()],
                Operator::In | Operator::NotIn => {}
                _ => values.truncate(1),
            }
            Requirement::new(&key, operator, &values, &Path::root()).unwrap()
        })
    }

    proptest! {
        #[test]
        fn printing_then_parsing_gives_the_same(list in proptest::collection::vec(requirement(), 0..5)) {
            let selector = LabelSelector::of(list);
            prop_assert_eq!(LabelSelector::parse(&selector.to_string()).unwrap(), selector);
        }

        #[test]
        fn no_text_panics(text in "[a-z!=(),<> \u{e4}]{0,24}") {
            let _ = LabelSelector::parse(&text);
        }
    }
}
