//! What an authorizer is asked and what it answers, and the 403 that follows from a refusal.
//!
//! Counterpart: apiserver `authorization/authorizer.AttributesRecord` and `handlers/responsewriters/errors.go`.

use crate::strategies::UserInfo;
use rehearsal_apimachinery::field::go_quote;
use rehearsal_apimachinery::gvk::GroupResource;
use rehearsal_apimachinery::status::Status;

/// The question to an authorizer: may this user do that?
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestAttributes {
    /// Who asks.
    pub user: UserInfo,
    /// Kubernetes verb (`list`), or the lower-cased method for a path.
    pub verb: String,
    /// API group; empty for the core group.
    pub group: String,
    /// API version; RBAC does not look at it.
    pub version: String,
    /// Plural resource.
    pub resource: String,
    /// Subresource or `""`.
    pub subresource: String,
    /// Namespace or `""`. For a single Namespace object this is its name, as the real server has it.
    pub namespace: String,
    /// Object name or `""`.
    pub name: String,
    /// URL path; what is asked about when `is_resource` is false.
    pub path: String,
    /// Whether the request is about a resource rather than a path.
    pub is_resource: bool,
    /// Field selector of a list, watch or deletecollection, as written.
    pub field_selector: Option<String>,
    /// Label selector of a list, watch or deletecollection, as written.
    pub label_selector: Option<String>,
}

impl RequestAttributes {
    /// A question about a resource; set namespace, name and subresource as needed.
    #[must_use]
    pub fn resource(user: UserInfo, verb: &str, group: &str, resource: &str) -> Self {
        Self {
            user,
            verb: verb.into(),
            group: group.into(),
            resource: resource.into(),
            is_resource: true,
            ..Self::default()
        }
    }

    /// A question about a path.
    #[must_use]
    pub fn path(user: UserInfo, verb: &str, path: &str) -> Self {
        Self { user, verb: verb.into(), path: path.into(), ..Self::default() }
    }

    /// The same question about another verb.
    #[must_use]
    pub fn verb(mut self, verb: impl Into<String>) -> Self {
        self.verb = verb.into();
        self
    }

    /// The same question within a namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// The same question about one object.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The same question about a subresource.
    #[must_use]
    pub fn subresource(mut self, subresource: impl Into<String>) -> Self {
        self.subresource = subresource.into();
        self
    }

    /// `pods`, or `pods/log` with a subresource: what rules name.
    #[must_use]
    pub fn combined_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }

    fn denial(&self) -> String {
        let user = go_quote(&self.user.name);
        if !self.is_resource {
            return format!("User {user} cannot {} path {}", self.verb, go_quote(&self.path));
        }
        let (resource, group) = (go_quote(&self.combined_resource()), go_quote(&self.group));
        let scope = match self.namespace.as_str() {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace {}", go_quote(namespace)),
        };
        format!("User {user} cannot {} resource {resource} in API group {group} {scope}", self.verb)
    }
}

/// The answer of an authorizer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Whether the request may go on.
    pub allowed: bool,
    /// Why; empty when there is nothing to say.
    pub reason: String,
    /// What went wrong while deciding. RBAC reports missing roles in `reason`, so this is usually empty.
    pub evaluation_error: String,
}

/// The 403 of a refused request; `reason` is appended when it is not empty.
///
/// Counterpart: `responsewriters.ForbiddenStatusError`; `&`, `<` and `>` in the sentence are escaped as for HTML.
#[must_use]
pub fn forbidden(attributes: &RequestAttributes, reason: &str) -> Status {
    let sentence = attributes.denial().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let why = if reason.is_empty() { sentence } else { format!("{sentence}: {reason}") };
    Status::forbidden(&GroupResource::new(&attributes.group, &attributes.resource), &attributes.name, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dev() -> UserInfo {
        UserInfo { name: "dev".into(), ..UserInfo::default() }
    }

    #[test]
    fn refusals_read_as_the_server_writes_them() {
        let list = || RequestAttributes::resource(dev(), "list", "", "configmaps");
        let cases = [
            (
                list().namespace("foo"),
                "configmaps is forbidden: User \"dev\" cannot list resource \"configmaps\" in API group \"\" in the namespace \"foo\"",
            ),
            (
                list(),
                "configmaps is forbidden: User \"dev\" cannot list resource \"configmaps\" in API group \"\" at the cluster scope",
            ),
            (
                RequestAttributes::resource(dev(), "get", "", "nodes").name("n"),
                "nodes \"n\" is forbidden: User \"dev\" cannot get resource \"nodes\" in API group \"\" at the cluster scope",
            ),
            (
                RequestAttributes::resource(dev(), "patch", "", "nodes").name("x").subresource("status"),
                "nodes \"x\" is forbidden: User \"dev\" cannot patch resource \"nodes/status\" in API group \"\" at the cluster scope",
            ),
            (
                RequestAttributes::resource(dev(), "list", "apps", "deployments"),
                "deployments.apps is forbidden: User \"dev\" cannot list resource \"deployments\" in API group \"apps\" at the cluster scope",
            ),
            (RequestAttributes::path(dev(), "get", "/metrics"), "forbidden: User \"dev\" cannot get path \"/metrics\""),
            (
                RequestAttributes::path(dev(), "get", "/<a&b>"),
                "forbidden: User \"dev\" cannot get path \"/&lt;a&amp;b&gt;\"",
            ),
        ];
        for (attributes, message) in cases {
            assert_eq!(forbidden(&attributes, "").message, message);
        }
    }

    #[test]
    fn a_reason_is_appended_and_the_details_name_the_resource() {
        let status = forbidden(&RequestAttributes::resource(dev(), "get", "apps", "deployments").name("a"), "RBAC: x");
        assert!(status.message.ends_with("at the cluster scope: RBAC: x"));
        let details = status.details.unwrap();
        assert_eq!(
            (details.name.as_str(), details.group.as_str(), details.kind.as_str()),
            ("a", "apps", "deployments")
        );
    }
}
