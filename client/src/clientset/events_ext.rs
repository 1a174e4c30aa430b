//! What core events have beyond the verbs: writing into the event's own namespace, and searching by object.
//!
//! Counterpart: client-go `kubernetes/typed/core/v1/event_expansion.go`.

use super::TypedResource;
use super::handle::{ask, in_json};
use crate::error::Error;
use crate::rest::PatchType;
use crate::scheme::{List, Resource};
use http::Method;
use k8s_openapi::api::core::v1::{Event, ObjectReference};
use rehearsal_apimachinery::ListOptions;

impl TypedResource<Event> {
    /// Creates an event in its own namespace.
    ///
    /// # Errors
    /// A handle for another namespace; the server's refusal, or what kept its answer from arriving.
    pub async fn create_with_event_namespace(&self, event: &Event) -> Result<Event, Error> {
        let here = self.in_namespace_of(event, "create")?;
        ask(&in_json(here.collection(Method::POST), event)).await
    }

    /// Replaces an event in its own namespace.
    ///
    /// # Errors
    /// As [`TypedResource::create_with_event_namespace`].
    pub async fn update_with_event_namespace(&self, event: &Event) -> Result<Event, Error> {
        let here = self.in_namespace_of(event, "update")?;
        ask(&in_json(here.collection(Method::PUT).name(event.name()), event)).await
    }

    /// Patches an event in its own namespace, with a strategic merge patch.
    ///
    /// # Errors
    /// As [`TypedResource::create_with_event_namespace`].
    pub async fn patch_with_event_namespace(
        &self,
        event: &Event,
        patch: impl Into<bytes::Bytes> + Send,
    ) -> Result<Event, Error> {
        let here = self.in_namespace_of(event, "patch")?;
        let request = here.collection(Method::PATCH).name(event.name()).body(patch);
        ask(&request.header("content-type", PatchType::Strategic.media_type())).await
    }

    /// The events about an object: its kind, name and uid, as far as the reference has them.
    ///
    /// # Errors
    /// A handle for another namespace; the server's refusal, or what kept its answer from arriving.
    pub async fn search(&self, about: &ObjectReference) -> Result<List<Event>, Error> {
        let namespace = about.namespace.as_deref().unwrap_or_default();
        if !self.namespace().is_empty() && namespace != self.namespace() {
            return Err(foreign("search for", namespace, self.namespace()));
        }
        let selector = Self::field_selector(
            about.name.as_deref(),
            about.namespace.as_deref(),
            about.kind.as_deref(),
            about.uid.as_deref(),
        );
        self.list(&ListOptions { field_selector: selector, ..ListOptions::default() }).await
    }

    /// The field selector of the events about an object; what is `None` or empty does not matter. Counterpart:
    /// `GetFieldSelector`.
    #[must_use]
    pub fn field_selector(
        name: Option<&str>,
        namespace: Option<&str>,
        kind: Option<&str>,
        uid: Option<&str>,
    ) -> String {
        let members = [("kind", kind), ("name", name), ("namespace", namespace), ("uid", uid)];
        let terms = members.into_iter().filter_map(|(key, value)| {
            let value = value.filter(|v| !v.is_empty())?;
            Some(format!("involvedObject.{key}={}", escaped(value)))
        });
        terms.collect::<Vec<_>>().join(",")
    }

    /// A handle where the event lives. An event without a namespace goes to the cluster's path, as in client-go.
    fn in_namespace_of(&self, event: &Event, verb: &str) -> Result<Self, Error> {
        if !self.namespace().is_empty() && event.namespace() != self.namespace() {
            return Err(foreign(verb, event.namespace(), self.namespace()));
        }
        Ok(Self::namespaced(self.rest_client(), event.namespace()))
    }
}

fn foreign(verb: &str, theirs: &str, ours: &str) -> Error {
    Error::Request(format!("can't {verb} an event with namespace {theirs:?} in namespace {ours:?}"))
}

/// Field selectors escape what they are made of.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_name_what_is_known() {
        let field_selector = TypedResource::<Event>::field_selector;
        assert_eq!(field_selector(None, None, None, None), "");
        assert_eq!(
            field_selector(Some("a,b"), Some("ns"), Some("Pod"), Some("")),
            "involvedObject.kind=Pod,involvedObject.name=a\\,b,involvedObject.namespace=ns"
        );
    }
}
