//! Conditions on an object: that of a request, of a watch frame, or of an event that a rule waits for.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::glob::Pattern;
use crate::jsonpath::{Filter, JsonPath};
use crate::selector::{FieldSelector, LabelSelector};

/// The conditions as written. Empty ones hold for everything; all others need an object that meets them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ObjectConditions {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) label_selector: Vec<String>,
    pub(crate) field_selector: Vec<String>,
    /// Globs by dotted path or JSONPath.
    pub(crate) members: BTreeMap<String, String>,
    pub(crate) filter: Vec<String>,
}

/// What is wrong with a condition: its field, its key or position in it, whether nothing can meet it, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadCondition {
    pub(crate) field: &'static str,
    pub(crate) key: Option<String>,
    pub(crate) index: Option<usize>,
    pub(crate) impossible: bool,
    pub(crate) message: String,
}

impl ObjectConditions {
    pub(crate) fn is_empty(&self) -> bool {
        self.given().is_empty()
    }

    /// The fields that are given.
    pub(crate) fn given(&self) -> Vec<&'static str> {
        let fields = [
            ("labels", self.labels.is_empty()),
            ("labelSelector", self.label_selector.is_empty()),
            ("fieldSelector", self.field_selector.is_empty()),
            ("object", self.members.is_empty()),
            ("filter", self.filter.is_empty()),
        ];
        fields.into_iter().filter(|(_, empty)| !empty).map(|(field, _)| field).collect()
    }

    /// Whether every object that meets `other` meets these too. May say no where the truth is yes.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        fn list(mine: &[String], theirs: &[String]) -> bool {
            mine.is_empty() || (!theirs.is_empty() && theirs.iter().all(|one| mine.contains(one)))
        }
        fn map(mine: &BTreeMap<String, String>, theirs: &BTreeMap<String, String>) -> bool {
            mine.iter().all(|(key, value)| theirs.get(key) == Some(value))
        }
        map(&self.labels, &other.labels)
            && map(&self.members, &other.members)
            && list(&self.label_selector, &other.label_selector)
            && list(&self.field_selector, &other.field_selector)
            && list(&self.filter, &other.filter)
    }

    /// Selectors in their shortest spelling, so that `a==b` and `a in (b)` are one plan.
    pub(crate) fn normalise(&mut self) {
        for text in &mut self.label_selector {
            if let Ok(selector) = LabelSelector::parse(text) {
                *text = selector.to_string();
            }
        }
        for text in &mut self.field_selector {
            if let Ok(selector) = FieldSelector::parse(text) {
                *text = selector.to_string();
            }
        }
        for text in &mut self.filter {
            *text = text.trim().to_owned();
        }
    }

    /// Everything that is wrong with the conditions.
    pub(crate) fn problems(&self) -> Vec<BadCondition> {
        let mut bad = Vec::new();
        let mut list = |field, texts: &[String], check: &dyn Fn(&str) -> Result<Option<String>, String>| {
            for (n, text) in texts.iter().enumerate() {
                let (impossible, message) = match check(text) {
                    Ok(None) => continue,
                    Ok(Some(clash)) => (true, clash),
                    Err(message) => (false, message),
                };
                let index = (texts.len() > 1).then_some(n);
                bad.push(BadCondition { field, key: None, index, impossible, message });
            }
        };
        list("labelSelector", &self.label_selector, &|text| LabelSelector::parse(text).map(|s| s.contradiction()));
        list("fieldSelector", &self.field_selector, &|text| FieldSelector::parse(text).map(|s| s.contradiction()));
        list("filter", &self.filter, &|text| Filter::parse(text).map(|_| None));
        for path in self.members.keys() {
            if let Err(message) = Member::new(path) {
                bad.push(BadCondition {
                    field: "object",
                    key: Some(path.clone()),
                    index: None,
                    impossible: false,
                    message,
                });
            }
        }
        bad
    }
}

/// The conditions, compiled.
#[derive(Debug, Default)]
pub(crate) struct ObjectMatcher {
    labels: Vec<(String, Pattern)>,
    label_selectors: Vec<LabelSelector>,
    field_selectors: Vec<FieldSelector>,
    members: Vec<(Member, Pattern)>,
    filters: Vec<Filter>,
    /// The first field that is given, to be named where there is no object.
    first: Option<&'static str>,
    /// A condition could not be read: nothing meets it.
    unreadable: bool,
}

/// Where in an object.
#[derive(Debug)]
enum Member {
    /// Members by name, items by number.
    Dotted(Vec<String>),
    Path(JsonPath),
}

impl Member {
    fn new(text: &str) -> Result<Self, String> {
        if JsonPath::is_meant(text) {
            return JsonPath::parse(text).map(Self::Path);
        }
        Ok(Self::Dotted(text.split('.').map(str::to_owned).collect()))
    }

    fn is(&self, object: &Value, wanted: &Pattern) -> bool {
        // A list or a map has no text, so only `*` (it is there) can match it.
        let matches = |found: &Value| match scalar(found) {
            Some(text) => wanted.matches(&text),
            None => *wanted == Pattern::Any,
        };
        match self {
            Self::Dotted(path) => member(object, path).is_some_and(matches),
            Self::Path(path) => path.any(object, matches),
        }
    }
}

impl ObjectMatcher {
    pub(crate) fn new(conditions: &ObjectConditions) -> Self {
        fn read<T>(texts: &[String], parse: fn(&str) -> Result<T, String>, unreadable: &mut bool) -> Vec<T> {
            let read: Vec<T> = texts.iter().filter_map(|text| parse(text).ok()).collect();
            *unreadable |= read.len() < texts.len();
            read
        }
        let mut unreadable = false;
        let member = |(path, glob): (&String, &String)| Some((Member::new(path).ok()?, Pattern::new(glob)));
        let members: Vec<_> = conditions.members.iter().filter_map(member).collect();
        unreadable |= members.len() < conditions.members.len();
        Self {
            labels: conditions.labels.iter().map(|(key, glob)| (key.clone(), Pattern::new(glob))).collect(),
            label_selectors: read(&conditions.label_selector, LabelSelector::parse, &mut unreadable),
            field_selectors: read(&conditions.field_selector, FieldSelector::parse, &mut unreadable),
            members,
            filters: read(&conditions.filter, Filter::parse, &mut unreadable),
            first: conditions.given().first().copied(),
            unreadable,
        }
    }

    /// Whether there is nothing to look at in an object.
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The first field that does not match; `None` when all do. Without an object no condition is met.
    pub(crate) fn mismatch(&self, object: Option<&Value>) -> Option<&'static str> {
        let first = self.first?;
        match object.filter(|_| !self.unreadable) {
            Some(object) => self.mismatch_of(object),
            None => Some(first),
        }
    }

    fn mismatch_of(&self, object: &Value) -> Option<&'static str> {
        fn any<T>(list: &[T], holds: impl Fn(&T) -> bool) -> bool {
            list.is_empty() || list.iter().any(holds)
        }
        let labels = object.get("metadata").and_then(|meta| meta.get("labels"));
        let found = |key: &str| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
        if !self.labels.iter().all(|(key, wanted)| found(key).is_some_and(|text| wanted.matches(text))) {
            Some("labels")
        } else if !any(&self.label_selectors, |selector| selector.matches(object)) {
            Some("labelSelector")
        } else if !any(&self.field_selectors, |selector| selector.matches(object)) {
            Some("fieldSelector")
        } else if !self.members.iter().all(|(member, wanted)| member.is(object, wanted)) {
            Some("object")
        } else if !any(&self.filters, |filter| filter.holds(object)) {
            Some("filter")
        } else {
            None
        }
    }
}

/// The member at a dotted path; list items are numbered from 0.
pub(crate) fn member<'v>(object: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(object, |value, step| match value {
        Value::Object(map) => map.get(step),
        Value::Array(items) => step.parse::<usize>().ok().and_then(|index| items.get(index)),
        _ => None,
    })
}

/// The text of a value that is not a list or a map.
pub(crate) fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(truth) => Some(Cow::Borrowed(if *truth { "true" } else { "false" })),
        Value::Null => Some(Cow::Borrowed("")),
        Value::Array(_) | Value::Object(_) => None,
    }
}
