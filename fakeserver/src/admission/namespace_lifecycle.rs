//! NamespaceLifecycle: nothing is made in a namespace that is missing or going, and some namespaces stay.

use super::{Attributes, Operation};
use crate::strategies::WriteContext;
use rehearsal_apimachinery::gvk::GroupResource;
use rehearsal_apimachinery::meta::ObjectMeta;
use rehearsal_apimachinery::status::Status;
use serde_json::Value;

const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];

pub(super) fn admit(cx: &WriteContext<'_>, at: &Attributes<'_>, object: Option<&Value>) -> Result<(), Status> {
    if at.is("", "namespaces") {
        let stays = at.operation == Operation::Delete && IMMORTAL.contains(&at.name);
        return if stays { Err(at.forbidden(None, "this namespace may not be deleted")) } else { Ok(()) };
    }
    let review = at.group == "authorization.k8s.io" && at.resource == "localsubjectaccessreviews";
    if at.namespace.is_empty() || at.resource == "namespaces" || at.operation == Operation::Delete || review {
        return Ok(());
    }
    let Some(namespace) = cx.peek.get("namespaces", "", at.namespace) else {
        return Err(Status::not_found(&GroupResource::new("", "namespaces"), at.namespace));
    };
    let terminating = namespace.is_deleting() || namespace["status"]["phase"] == "Terminating";
    if at.operation != Operation::Create || !terminating {
        return Ok(());
    }
    let name = at.namespace;
    let why = format!("unable to create new content in namespace {name} because it is being terminated");
    let cause = format!("namespace {name} is being terminated");
    Err(at.forbidden(object, why).cause("NamespaceTerminating", cause, "metadata.namespace"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Cluster, create};
    use super::*;
    use serde_json::json;

    #[test]
    fn missing_and_terminating_namespaces_take_nothing() {
        let empty = Cluster::new(vec![]);
        let refusal = admit(&empty.cx(), &create("configmaps"), None).unwrap_err();
        assert_eq!((refusal.code, refusal.message.as_str()), (404, "namespaces \"n\" not found"));
        let going =
            Cluster::new(vec![("namespaces", json!({"metadata": {"name": "n"}, "status": {"phase": "Terminating"}}))]);
        let refusal = admit(&going.cx(), &create("configmaps"), None).unwrap_err();
        assert_eq!(
            refusal.message,
            "configmaps \"p\" is forbidden: unable to create new content in namespace n because it is being terminated"
        );
        assert_eq!(refusal.details.unwrap().causes[0].reason, "NamespaceTerminating");
    }

    #[test]
    fn default_stays() {
        let cluster = Cluster::new(vec![]);
        let at =
            Attributes { operation: Operation::Delete, name: "default", namespace: "default", ..create("namespaces") };
        let refusal = admit(&cluster.cx(), &at, None).unwrap_err();
        assert_eq!(refusal.message, "namespaces \"default\" is forbidden: this namespace may not be deleted");
    }
}
