//! Watch events that rules and scenarios wait for: a delivered frame is what a client hears.

use crate::facts::{EventType, FrameFacts};
use crate::glob::Pattern;
use crate::matcher::split_resource;
use crate::object::{ObjectConditions, ObjectMatcher};

/// Which watch event is waited for. Parts that are not given match all.
///
/// # Example
/// ```
/// use rehearsal_faults::{EventPattern, EventType, Plan, Rule};
///
/// let ready = EventPattern::of(EventType::Modified).resource("pods").filter("@.status.phase == 'Running'");
/// let built = Plan::seed(1).rule(Rule::new("late").after_seen(ready).fault("reset"));
/// let yaml = "
/// seed: 1
/// rules:
///   - id: late
///     when: {after: {event: {type: MODIFIED, resource: pods, filter: \"@.status.phase == 'Running'\"}}}
///     do: reset
/// ";
/// assert_eq!(Plan::from_yaml("plan.yaml", yaml)?, built);
/// # Ok::<(), rehearsal_faults::PlanError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventPattern {
    pub(crate) event: Option<EventType>,
    pub(crate) resource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) object: ObjectConditions,
}

impl EventPattern {
    /// Any event at all.
    #[must_use]
    pub fn any() -> Self {
        Self::default()
    }

    /// Events of that type.
    #[must_use]
    pub fn of(event: EventType) -> Self {
        Self { event: Some(event), ..Self::default() }
    }

    /// A resource: `pods` in any group, `deployments.apps` in that one.
    #[must_use]
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.resource = resource.into();
        self
    }

    /// The namespace of the object; a glob.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// The name of the object; a glob.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// A label of the object; value a glob.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.object.labels.insert(key.into(), value.into());
        self
    }

    /// A label selector that the object meets; of several, one.
    #[must_use]
    pub fn label_selector(mut self, selector: impl Into<String>) -> Self {
        self.object.label_selector.push(selector.into());
        self
    }

    /// A field selector that the object meets; of several, one.
    #[must_use]
    pub fn field_selector(mut self, selector: impl Into<String>) -> Self {
        self.object.field_selector.push(selector.into());
        self
    }

    /// A member of the object by dotted path or JSONPath; value a glob, `*` for being there.
    #[must_use]
    pub fn object(mut self, path: impl Into<String>, value: impl Into<String>) -> Self {
        self.object.members.insert(path.into(), value.into());
        self
    }

    /// A JSONPath filter expression that holds of the object; of several, one.
    #[must_use]
    pub fn filter(mut self, expression: impl Into<String>) -> Self {
        self.object.filter.push(expression.into());
        self
    }
}

/// A pattern, compiled.
#[derive(Debug)]
pub(crate) struct EventMatcher {
    event: Option<EventType>,
    resource: String,
    group: Option<String>,
    namespace: Pattern,
    name: Pattern,
    object: ObjectMatcher,
}

impl EventMatcher {
    pub(crate) fn new(pattern: &EventPattern) -> Self {
        let glob = |text: &str| if text.is_empty() { Pattern::Any } else { Pattern::new(text) };
        let (resource, group) = split_resource(&pattern.resource);
        Self {
            event: pattern.event,
            resource,
            group,
            namespace: glob(&pattern.namespace),
            name: glob(&pattern.name),
            object: ObjectMatcher::new(&pattern.object),
        }
    }

    /// Whether a frame tells of such an event.
    pub(crate) fn sees(&self, frame: &FrameFacts<'_>) -> bool {
        self.event.is_none_or(|event| event == frame.event)
            && (self.resource.is_empty() || self.resource == frame.request.resource)
            && self.group.as_deref().is_none_or(|group| group == frame.request.group)
            && self.namespace.matches(frame.namespace)
            && self.name.matches(frame.name)
            && self.object.mismatch(frame.object).is_none()
    }
}
