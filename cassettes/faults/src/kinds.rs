//! The resources that every cluster has: enough to tell a slip of the pen from a custom resource.
//!
//! Group, resource, kind, scope and short names as kube-apiserver 1.36 serves them. Not a catalogue of types.

use crate::facts::qualified;
use crate::words::nearest;

/// One built-in resource.
pub(crate) struct Kind {
    pub(crate) group: &'static str,
    pub(crate) resource: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) namespaced: bool,
    pub(crate) short: &'static [&'static str],
}

const fn kind(
    group: &'static str,
    resource: &'static str,
    kind: &'static str,
    namespaced: bool,
    short: &'static [&'static str],
) -> Kind {
    Kind { group, resource, kind, namespaced, short }
}

/// Subresources of built-in kinds and of custom resources.
pub(crate) const SUBRESOURCES: [&str; 14] = [
    "status",
    "scale",
    "log",
    "exec",
    "attach",
    "portforward",
    "proxy",
    "binding",
    "eviction",
    "ephemeralcontainers",
    "resize",
    "token",
    "finalize",
    "approval",
];

/// Every built-in of that resource name, in whatever group.
pub(crate) fn named(resource: &str) -> impl Iterator<Item = &'static Kind> {
    KINDS.iter().filter(move |kind| kind.resource == resource)
}

/// Whether a group is built in, so that custom resources do not live there.
pub(crate) fn is_builtin_group(group: &str) -> bool {
    KINDS.iter().any(|kind| kind.group == group)
}

/// The resource that a kind, a singular, a short name or a misspelling most likely meant.
pub(crate) fn suggest(word: &str) -> Option<String> {
    let bare = word.split('.').next().unwrap_or(word);
    let by_other_name = KINDS.iter().find(|kind| kind.kind.eq_ignore_ascii_case(bare) || kind.short.contains(&bare));
    let near = || nearest(bare, KINDS.iter().map(|kind| kind.resource)).and_then(|resource| named(resource).next());
    by_other_name.or_else(near).map(|kind| qualified(kind.resource, kind.group))
}

const KINDS: &[Kind] = &[
    kind("", "bindings", "Binding", true, &[]),
    kind("", "componentstatuses", "ComponentStatus", false, &["cs"]),
    kind("", "configmaps", "ConfigMap", true, &["cm"]),
    kind("", "endpoints", "Endpoints", true, &["ep"]),
    kind("", "events", "Event", true, &["ev"]),
    kind("", "limitranges", "LimitRange", true, &["limits"]),
    kind("", "namespaces", "Namespace", false, &["ns"]),
    kind("", "nodes", "Node", false, &["no"]),
    kind("", "persistentvolumeclaims", "PersistentVolumeClaim", true, &["pvc"]),
    kind("", "persistentvolumes", "PersistentVolume", false, &["pv"]),
    kind("", "pods", "Pod", true, &["po"]),
    kind("", "podtemplates", "PodTemplate", true, &[]),
    kind("", "replicationcontrollers", "ReplicationController", true, &["rc"]),
    kind("", "resourcequotas", "ResourceQuota", true, &["quota"]),
    kind("", "secrets", "Secret", true, &[]),
    kind("", "serviceaccounts", "ServiceAccount", true, &["sa"]),
    kind("", "services", "Service", true, &["svc"]),
    kind("apiregistration.k8s.io", "apiservices", "APIService", false, &[]),
    kind("apps", "controllerrevisions", "ControllerRevision", true, &[]),
    kind("apps", "daemonsets", "DaemonSet", true, &["ds"]),
    kind("apps", "deployments", "Deployment", true, &["deploy"]),
    kind("apps", "replicasets", "ReplicaSet", true, &["rs"]),
    kind("apps", "statefulsets", "StatefulSet", true, &["sts"]),
    kind("events.k8s.io", "events", "Event", true, &["ev"]),
    kind("authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview", false, &[]),
    kind("authentication.k8s.io", "tokenreviews", "TokenReview", false, &[]),
    kind("authorization.k8s.io", "localsubjectaccessreviews", "LocalSubjectAccessReview", true, &[]),
    kind("authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview", false, &[]),
    kind("authorization.k8s.io", "selfsubjectrulesreviews", "SelfSubjectRulesReview", false, &[]),
    kind("authorization.k8s.io", "subjectaccessreviews", "SubjectAccessReview", false, &[]),
    kind("autoscaling", "horizontalpodautoscalers", "HorizontalPodAutoscaler", true, &["hpa"]),
    kind("batch", "cronjobs", "CronJob", true, &["cj"]),
    kind("batch", "jobs", "Job", true, &[]),
    kind("certificates.k8s.io", "certificatesigningrequests", "CertificateSigningRequest", false, &["csr"]),
    kind("networking.k8s.io", "ingressclasses", "IngressClass", false, &[]),
    kind("networking.k8s.io", "ingresses", "Ingress", true, &["ing"]),
    kind("networking.k8s.io", "ipaddresses", "IPAddress", false, &["ip"]),
    kind("networking.k8s.io", "networkpolicies", "NetworkPolicy", true, &["netpol"]),
    kind("networking.k8s.io", "servicecidrs", "ServiceCIDR", false, &[]),
    kind("policy", "poddisruptionbudgets", "PodDisruptionBudget", true, &["pdb"]),
    kind("rbac.authorization.k8s.io", "clusterrolebindings", "ClusterRoleBinding", false, &[]),
    kind("rbac.authorization.k8s.io", "clusterroles", "ClusterRole", false, &[]),
    kind("rbac.authorization.k8s.io", "rolebindings", "RoleBinding", true, &[]),
    kind("rbac.authorization.k8s.io", "roles", "Role", true, &[]),
    kind("storage.k8s.io", "csidrivers", "CSIDriver", false, &[]),
    kind("storage.k8s.io", "csinodes", "CSINode", false, &[]),
    kind("storage.k8s.io", "csistoragecapacities", "CSIStorageCapacity", true, &[]),
    kind("storage.k8s.io", "storageclasses", "StorageClass", false, &["sc"]),
    kind("storage.k8s.io", "volumeattachments", "VolumeAttachment", false, &[]),
    kind("storage.k8s.io", "volumeattributesclasses", "VolumeAttributesClass", false, &["vac"]),
    kind("admissionregistration.k8s.io", "mutatingadmissionpolicies", "MutatingAdmissionPolicy", false, &[]),
    kind(
        "admissionregistration.k8s.io",
        "mutatingadmissionpolicybindings",
        "MutatingAdmissionPolicyBinding",
        false,
        &[],
    ),
    kind("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", false, &[]),
    kind("admissionregistration.k8s.io", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", false, &[]),
    kind(
        "admissionregistration.k8s.io",
        "validatingadmissionpolicybindings",
        "ValidatingAdmissionPolicyBinding",
        false,
        &[],
    ),
    kind(
        "admissionregistration.k8s.io",
        "validatingwebhookconfigurations",
        "ValidatingWebhookConfiguration",
        false,
        &[],
    ),
    kind("apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition", false, &["crd", "crds"]),
    kind("scheduling.k8s.io", "priorityclasses", "PriorityClass", false, &["pc"]),
    kind("coordination.k8s.io", "leases", "Lease", true, &[]),
    kind("node.k8s.io", "runtimeclasses", "RuntimeClass", false, &[]),
    kind("discovery.k8s.io", "endpointslices", "EndpointSlice", true, &[]),
    kind("resource.k8s.io", "deviceclasses", "DeviceClass", false, &[]),
    kind("resource.k8s.io", "resourceclaims", "ResourceClaim", true, &[]),
    kind("resource.k8s.io", "resourceclaimtemplates", "ResourceClaimTemplate", true, &[]),
    kind("resource.k8s.io", "resourceslices", "ResourceSlice", false, &[]),
    kind("flowcontrol.apiserver.k8s.io", "flowschemas", "FlowSchema", false, &[]),
    kind("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", "PriorityLevelConfiguration", false, &[]),
];
