//! Rules and faults built in code. Each method has the meaning of the field of the same name in a plan file.

use std::time::Duration;

use crate::action::Stage;
use crate::event::EventPattern;
use crate::facts::{EventType, Protocol};
use crate::plan::{Fault, Rule, Then};
use crate::schedule::{Per, Trigger, Window};
use crate::units::duration_text;

macro_rules! lists {
    ($($(#[$doc:meta])* $field:ident,)+) => {
        $(
            $(#[$doc])*
            #[must_use]
            pub fn $field(mut self, value: impl Into<String>) -> Self {
                self.when.$field.push(value.into());
                self
            }
        )+
    };
}

/// Conditions. Said twice, one of a kind widens the rule: either value will do.
impl Rule {
    /// A rule about every request that its fault makes sense for. `id` names it in reports and in every draw.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), ..Self::default() }
    }

    /// The set that states of a scenario know the rule by. Default: its id.
    #[must_use]
    pub fn set(mut self, set: impl Into<String>) -> Self {
        self.set = Some(set.into());
        self
    }

    lists! {
        /// A Kubernetes verb.
        verb,
        /// A resource: `pods` in any group, `deployments.apps` in that one.
        resource,
        /// An API group; the empty one is the core group.
        group,
        /// An API version.
        version,
        /// A subresource; the empty one is the object itself.
        subresource,
        /// A namespace; a glob.
        namespace,
        /// An object name; a glob.
        name,
        /// A lane.
        lane,
        /// A User-Agent; a glob.
        user_agent,
        /// An HTTP method.
        method,
        /// A URL path; a glob.
        path,
    }

    /// A header; name in any case, value a glob.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.when.header.insert(name.into(), value.into());
        self
    }

    /// A label of the object; value a glob.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.when.object.labels.insert(key.into(), value.into());
        self
    }

    /// A label selector that the object meets, as kubectl writes it: `app in (a,b),!canary`.
    #[must_use]
    pub fn label_selector(mut self, selector: impl Into<String>) -> Self {
        self.when.object.label_selector.push(selector.into());
        self
    }

    /// A field selector that the object meets: `spec.nodeName=a,status.phase!=Running`, by any member of it.
    #[must_use]
    pub fn field_selector(mut self, selector: impl Into<String>) -> Self {
        self.when.object.field_selector.push(selector.into());
        self
    }

    /// A member of the object by dotted path (`spec.containers.0.image`) or JSONPath (`$.spec.containers[*].image`, or as
    /// for kubectl `{.spec.containers[*].image}`), of which one match is enough; value a glob, `*` for being there.
    #[must_use]
    pub fn object(mut self, path: impl Into<String>, value: impl Into<String>) -> Self {
        self.when.object.members.insert(path.into(), value.into());
        self
    }

    /// A JSONPath filter expression that holds of the object: `@.spec.replicas > 3 && @.status.phase == 'Running'`.
    #[must_use]
    pub fn filter(mut self, expression: impl Into<String>) -> Self {
        self.when.object.filter.push(expression.into());
        self
    }

    /// The HTTP version.
    #[must_use]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.when.protocol = Some(protocol);
        self
    }

    /// Whether the request is a dry run.
    #[must_use]
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.when.dry_run = Some(dry_run);
        self
    }

    /// The ordinal of the connection, from 1.
    #[must_use]
    pub fn connection(mut self, n: u64) -> Self {
        self.when.connection = Some(n);
        self
    }

    /// The ordinal of the request on its connection, from 1.
    #[must_use]
    pub fn stream(mut self, n: u64) -> Self {
        self.when.stream = Some(n);
        self
    }

    /// The type of a frame, for rules at [`Stage::Frame`].
    #[must_use]
    pub fn event(mut self, event: EventType) -> Self {
        self.when.event.push(event);
        self
    }
}

/// Occurrences, times and chances.
impl Rule {
    /// Only the n-th occurrence, from 1.
    #[must_use]
    pub fn nth(mut self, n: u64) -> Self {
        self.schedule.nth = Some(n);
        self
    }

    /// Every n-th occurrence.
    #[must_use]
    pub fn every(mut self, n: u64) -> Self {
        self.schedule.every = Some(n);
        self
    }

    /// Only the first n occurrences.
    #[must_use]
    pub fn first(mut self, n: u64) -> Self {
        self.schedule.first = Some(n);
        self
    }

    /// Not the first n occurrences; `nth`, `every` and `first` count from there.
    #[must_use]
    pub fn after(mut self, n: u64) -> Self {
        self.schedule.skip = Some(n);
        self
    }

    /// Only once the rule with that id has fired.
    #[must_use]
    pub fn after_rule(mut self, id: impl Into<String>) -> Self {
        self.schedule.trigger = Some(Trigger::Rule(id.into()));
        self
    }

    /// Only once the mark was set.
    #[must_use]
    pub fn after_mark(mut self, mark: impl Into<String>) -> Self {
        self.schedule.trigger = Some(Trigger::Mark(mark.into()));
        self
    }

    /// Only once a watch was sent such an event; name and namespace are globs, empty for any.
    #[must_use]
    pub fn after_event(self, event: EventType, resource: &str, namespace: &str, name: &str) -> Self {
        let pattern = EventPattern::of(event).resource(resource).namespace(namespace).name(name);
        self.after_seen(pattern)
    }

    /// Only once a watch was sent an event of that pattern.
    #[must_use]
    pub fn after_seen(mut self, event: EventPattern) -> Self {
        self.schedule.trigger = Some(Trigger::Event(event));
        self
    }

    /// Only once no request that the rule is about has come for this long.
    #[must_use]
    pub fn after_idle(mut self, wait: Duration) -> Self {
        self.schedule.trigger = Some(Trigger::Idle(wait));
        self
    }

    /// Only between two times of the engine's clock.
    #[must_use]
    pub fn between(mut self, from: Duration, until: Duration) -> Self {
        self.schedule.window = Some(Window { from: Some(from), until: Some(until), ..Window::default() });
        self
    }

    /// Only for a while after the mark was set last.
    #[must_use]
    pub fn during(mut self, mark: impl Into<String>, lasts: Duration) -> Self {
        self.schedule.window = Some(Window { mark: Some(mark.into()), lasts: Some(lasts), ..Window::default() });
        self
    }

    /// Only with this probability, above 0 and up to 1: a hash of seed, rule, scope, request and occurrence.
    #[must_use]
    pub fn probability(mut self, p: f64) -> Self {
        self.schedule.probability = Some(p);
        self
    }

    /// What occurrences are counted by. Default [`Per::Object`].
    #[must_use]
    pub fn per(mut self, per: Per) -> Self {
        self.schedule.per = Some(per);
        self
    }

    /// At most this many firings in each scope.
    #[must_use]
    pub fn count(mut self, n: u64) -> Self {
        self.count = Some(n);
        self
    }

    /// At most one firing in each scope: `count(1)`.
    #[must_use]
    pub fn once(self) -> Self {
        self.count(1)
    }

    /// At least this long between two firings in a scope.
    #[must_use]
    pub fn cooldown(mut self, wait: Duration) -> Self {
        self.cooldown = Some(wait);
        self
    }
}

/// What goes wrong.
impl Rule {
    /// When on the way of the request. Default: the first stage of the fault's row.
    #[must_use]
    pub fn at(mut self, stage: Stage) -> Self {
        self.at = Some(stage);
        self
    }

    /// Adds a fault of the catalogue; a name alone stands for its defaults.
    #[must_use]
    pub fn fault(mut self, fault: impl Into<Fault>) -> Self {
        self.faults.push(fault.into());
        self
    }

    /// What becomes of later rules.
    #[must_use]
    pub fn then(mut self, then: Then) -> Self {
        self.then = Some(then);
        self
    }
}

impl Fault {
    /// A fault by name or id; knobs have their defaults.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Sets a knob.
    #[must_use]
    pub fn knob(mut self, name: impl Into<String>, value: impl Into<KnobText>) -> Self {
        self.knobs.insert(name.into(), value.into().0);
        self
    }

    /// An answer with that status and a generic `Status` body.
    #[must_use]
    pub fn respond(status: u16) -> Self {
        Self::new("respond").knob("status", u64::from(status))
    }

    /// A delay.
    #[must_use]
    pub fn delay(wait: Duration) -> Self {
        Self::new("delay").knob("wait", wait)
    }
}

impl From<&str> for Fault {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

/// The value of a knob as plans write it; made from numbers, durations and text.
#[derive(Debug, Clone)]
pub struct KnobText(String);

impl From<u64> for KnobText {
    fn from(n: u64) -> Self {
        Self(n.to_string())
    }
}

impl From<Duration> for KnobText {
    fn from(duration: Duration) -> Self {
        Self(duration_text(duration))
    }
}

impl From<&str> for KnobText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for KnobText {
    fn from(text: String) -> Self {
        Self(text)
    }
}
