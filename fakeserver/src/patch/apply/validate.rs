//! Whether a value fits its type, in the words server-side apply refuses it with.
//!
//! Counterpart: structured-merge-diff `typed/validate.go`.

use super::path::PathElement;
use super::set::Set;
use super::typed::{Case, Scalar, Ty};
use super::value::{go_plain, go_syntax, go_type};
use serde_json::{Map, Value};

/// Whether an associative list may name an item twice: stored objects may, applied ones may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::patch) enum Duplicates {
    /// Taken as they are.
    Allowed,
    /// Refused.
    Refused,
}

/// One finding: where and what.
struct Finding {
    path: String,
    text: String,
}

/// Checks a value.
///
/// # Errors
/// All findings in one text: `.spec.foo: field not declared in schema`, or `errors:` with a line each.
pub(in crate::patch) fn validate(value: &Value, ty: Ty<'_>, duplicates: Duplicates) -> Result<(), String> {
    let mut walk = Walk { duplicates, findings: Vec::new() };
    walk.value(value, ty);
    let print = |f: &Finding| if f.path.is_empty() { f.text.clone() } else { format!("{}: {}", f.path, f.text) };
    match walk.findings.as_slice() {
        [] => Ok(()),
        [one] => Err(print(one)),
        many => {
            let lines: Vec<_> = many.iter().map(|f| format!("\n  {}", print(f))).collect();
            Err(format!("errors:{}", lines.concat()))
        }
    }
}

struct Walk {
    duplicates: Duplicates,
    findings: Vec<Finding>,
}

impl Walk {
    fn find(&mut self, text: String) {
        self.findings.push(Finding { path: String::new(), text });
    }

    /// Checks what is below an element, whose name is put before the paths of the findings.
    fn below(&mut self, element: &PathElement<'_>, value: &Value, ty: Ty<'_>) {
        let before = self.findings.len();
        self.value(value, ty);
        for finding in &mut self.findings[before..] {
            finding.path = format!("{element}{}", finding.path);
        }
    }

    fn value(&mut self, value: &Value, ty: Ty<'_>) {
        match ty.case(value) {
            Case::Scalar => {
                if let Some(text) = misfit(value, ty.scalar()) {
                    self.find(text);
                }
            }
            Case::Map => match value {
                Value::Object(map) => self.members(map, ty),
                Value::Null => {}
                other => self.find(format!("expected map, got &{{{}}}", go_plain(other))),
            },
            Case::List => match value {
                Value::Array(items) => self.items(items, ty),
                Value::Null => {}
                other => self.find(format!("expected list, got &{{{}}}", go_plain(other))),
            },
        }
    }

    fn members(&mut self, map: &Map<String, Value>, ty: Ty<'_>) {
        if matches!(ty, Ty::Deduced | Ty::Untyped) {
            return;
        }
        for (name, value) in map {
            let element = PathElement::Field(name);
            match ty.field(name) {
                Some(ty) => self.below(&element, value, ty),
                None => {
                    let text = "field not declared in schema".into();
                    self.findings.push(Finding { path: element.to_string(), text });
                    return;
                }
            }
        }
    }

    fn items(&mut self, items: &[Value], ty: Ty<'_>) {
        if matches!(ty, Ty::Deduced | Ty::Untyped) {
            return;
        }
        if ty.is_atomic(Case::List) {
            for (i, item) in items.iter().enumerate() {
                self.below(&PathElement::Index(i64::try_from(i).unwrap_or(i64::MAX)), item, ty.item());
            }
            return;
        }
        let mut seen = Set::default();
        for (i, item) in items.iter().enumerate() {
            let element = match ty.element(item) {
                Ok(element) => element,
                Err(why) => return self.find(format!("element {i}: {why}")),
            };
            if self.duplicates == Duplicates::Refused {
                if seen.has(std::slice::from_ref(&element)) {
                    self.find(format!("duplicate entries for key {element}"));
                }
                seen.push(element.clone(), true, Set::default());
            }
            self.below(&element, item, ty.item());
        }
    }
}

/// Why a value is not a scalar of this type.
pub(super) fn misfit(value: &Value, scalar: Scalar) -> Option<String> {
    match (scalar, value) {
        (_, Value::Null)
        | (Scalar::Numeric, Value::Number(_))
        | (Scalar::String, Value::String(_))
        | (Scalar::Boolean, Value::Bool(_))
        | (Scalar::Any, Value::Number(_) | Value::String(_) | Value::Bool(_)) => None,
        (Scalar::Numeric, v) => Some(format!("expected numeric (int or float), got {}", go_type(v))),
        (Scalar::String, v) => Some(format!("expected string, got &value.valueUnstructured{{Value:{}}}", go_syntax(v))),
        (Scalar::Boolean, v) => Some(format!("expected boolean, got &{{{}}}", go_plain(v))),
        (Scalar::Any, v) => Some(format!("expected any scalar, got &{{{}}}", go_plain(v))),
    }
}
