//! The table of built-in kinds: which strategy serves a resource, and which generic rules hold for it.
//!
//! Counterpart: the `Store` each kind of kube-apiserver builds in `registry/<group>/<resource>/storage` together with
//! the flags of its strategy. Everything that differs between kinds without needing code is a column here; the generic
//! registry reads the columns and never asks for a kind by name.

use super::Strategy;
use super::{
    admission_registration as admissionregistration, api_service, certificate_signing_request, config_map,
    controller_revision, cron_job, custom_resource, custom_resource_definition, daemon_set, deployment, endpoint_slice,
    endpoints, event, flow_control, horizontal_pod_autoscaler, ingress, ingress_class, ip_address, job, lease,
    limit_range, namespace, network_policy, node, persistent_volume, persistent_volume_claim, pod,
    pod_disruption_budget, pod_template, priority_class, rbac, replica_set, replication_controller, resource_claims,
    resource_quota, runtime_class, secret, service, service_account, service_cidr, stateful_set, storage,
};

/// Which names a kind accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameRule {
    /// RFC 1123 subdomain, at most 253 characters. The rule of most kinds.
    Subdomain,
    /// RFC 1123 label, at most 63 characters (namespaces, services).
    Label,
    /// Anything that fits one path segment: no `/`, no `%`, not `.` or `..` (RBAC objects, core events, CSRs). Kinds
    /// with a rule of their own (CRDs, APIServices) also have this one; their strategy checks the rest.
    PathSegment,
    /// An IP address in canonical form.
    IpAddress,
    /// RFC 1123 subdomain of at most 63 characters in which upper case is fine (CSI drivers).
    CsiDriver,
}

/// When `metadata.generation` rises. Every rule but `None` sets 1 on create.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GenerationRule {
    /// The kind does not manage it: what a client sends survives.
    None,
    /// Always 1.
    Fixed,
    /// When one of these top-level members changes.
    Members(&'static [&'static str]),
    /// When one of these top-level members or an annotation changes.
    MembersOrAnnotations(&'static [&'static str]),
    /// When `spec` changes through the object itself or a subresource other than `binding`, and on a graceful delete.
    Pod,
    /// When anything outside the metadata, or a label, changes.
    ContentOrLabels,
    /// When anything changes outside metadata (and outside `status`, where that is a subresource).
    CustomResource,
}

/// What a write to `/status` does with the metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusMetadata {
    /// Labels, annotations, finalizers and owners are taken from the request.
    Keep,
    /// As `Keep`, but owner references and the deletion timestamp stay as stored.
    KeepButOwners,
    /// Labels stay as stored, all else is taken from the request.
    ResetLabels,
    /// Everything but `managedFields` stays as stored.
    Reset,
}

/// What a DELETE without a propagation policy does to dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultPropagation {
    /// The garbage collector removes them afterwards.
    Background,
    /// They are kept.
    Orphan,
}

/// How a request with an unknown field selector is refused (400).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownFieldLabel {
    /// `"x" is not a known field selector: only "metadata.name", "metadata.namespace"`
    NotKnown,
    /// `field label not supported: x`
    NotSupported,
    /// `field label "x" not supported for <type>`
    NotSupportedFor(&'static str),
}

impl UnknownFieldLabel {
    /// The text of the refusal.
    #[must_use]
    pub fn text(self, label: &str) -> String {
        match self {
            Self::NotKnown => {
                format!("{label:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
            }
            Self::NotSupported => format!("field label not supported: {label}"),
            Self::NotSupportedFor(kind) => format!("field label {label:?} not supported for {kind}"),
        }
    }
}

/// The generic rules of one kind.
#[derive(Clone, Copy)]
pub struct KindRules {
    /// Hooks of the kind.
    pub strategy: &'static dyn Strategy,
    /// Rule for `metadata.name`.
    pub name_rule: NameRule,
    /// A PUT of a missing name creates it.
    pub create_on_update: bool,
    /// A PUT needs `metadata.resourceVersion`.
    pub rv_required: bool,
    /// When `metadata.generation` rises.
    pub generation: GenerationRule,
    /// Metadata on `/status` writes.
    pub status_metadata: StatusMetadata,
    /// A DELETE that removes the object answers with the object, not with a `Status`.
    pub returns_object_on_delete: bool,
    /// Propagation when the request names none.
    pub default_propagation: DefaultPropagation,
    /// Whether the garbage collector looks at the kind at all (not at events).
    pub gc_supported: bool,
    /// Selectable fields beyond `metadata.name` and `metadata.namespace`; [`Strategy::selectable_fields`] has values.
    pub selectable: &'static [&'static str],
    /// Refusal of other field selectors.
    pub unknown_field_label: UnknownFieldLabel,
    /// A create keeps the `status` it is sent, although there is a status subresource (nodes).
    pub keeps_status_on_create: bool,
    /// Text of the `Warning` header of every request.
    pub deprecation: Option<&'static str>,
}

impl std::fmt::Debug for KindRules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KindRules")
            .field("name_rule", &self.name_rule)
            .field("create_on_update", &self.create_on_update)
            .field("rv_required", &self.rv_required)
            .field("generation", &self.generation)
            .field("status_metadata", &self.status_metadata)
            .field("returns_object_on_delete", &self.returns_object_on_delete)
            .field("default_propagation", &self.default_propagation)
            .field("gc_supported", &self.gc_supported)
            .field("selectable", &self.selectable)
            .finish_non_exhaustive()
    }
}

/// A strategy without hooks.
#[derive(Clone, Copy, Debug)]
pub struct NoStrategy;

impl Strategy for NoStrategy {}

/// The rules of a kind about which nothing is special.
const PLAIN: KindRules = KindRules {
    strategy: &NoStrategy,
    name_rule: NameRule::Subdomain,
    create_on_update: false,
    rv_required: false,
    generation: GenerationRule::None,
    status_metadata: StatusMetadata::Keep,
    returns_object_on_delete: false,
    default_propagation: DefaultPropagation::Background,
    gc_supported: true,
    selectable: &[],
    unknown_field_label: UnknownFieldLabel::NotKnown,
    keeps_status_on_create: false,
    deprecation: None,
};

/// The rules of every custom resource; what its CRD defines is in the rules of its row.
pub const CUSTOM_RESOURCE: KindRules = KindRules {
    strategy: &custom_resource::CustomResource,
    rv_required: true,
    generation: GenerationRule::CustomResource,
    status_metadata: StatusMetadata::Reset,
    unknown_field_label: UnknownFieldLabel::NotSupported,
    ..PLAIN
};

const SPEC: GenerationRule = GenerationRule::Members(&["spec"]);

const fn plain(strategy: &'static dyn Strategy) -> KindRules {
    KindRules { strategy, ..PLAIN }
}

const fn spec(strategy: &'static dyn Strategy) -> KindRules {
    KindRules { strategy, generation: SPEC, ..PLAIN }
}

const fn object_back(strategy: &'static dyn Strategy) -> KindRules {
    KindRules { strategy, returns_object_on_delete: true, ..PLAIN }
}

const fn rbac_kind(strategy: &'static dyn Strategy) -> KindRules {
    KindRules { strategy, name_rule: NameRule::PathSegment, create_on_update: true, ..PLAIN }
}

const fn admission(strategy: &'static dyn Strategy, members: &'static [&'static str]) -> KindRules {
    KindRules {
        strategy,
        rv_required: true,
        generation: GenerationRule::Members(members),
        status_metadata: StatusMetadata::Reset,
        ..PLAIN
    }
}

const EVENT_FIELDS: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

const REGARDING_FIELDS: &[&str] = &[
    "regarding.kind",
    "regarding.namespace",
    "regarding.name",
    "regarding.uid",
    "regarding.apiVersion",
    "regarding.resourceVersion",
    "regarding.fieldPath",
    "reason",
    "reportingController",
    "source",
    "type",
];

const POD_FIELDS: &[&str] = &[
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.podIPs",
    "status.nominatedNodeName",
];

const fn selectable(rules: KindRules, fields: &'static [&'static str]) -> KindRules {
    KindRules { selectable: fields, unknown_field_label: UnknownFieldLabel::NotSupported, ..rules }
}

const fn event_kind(
    strategy: &'static dyn Strategy,
    name_rule: NameRule,
    fields: &'static [&'static str],
) -> KindRules {
    selectable(KindRules { strategy, name_rule, create_on_update: true, gc_supported: false, ..PLAIN }, fields)
}

const fn rv_required(rules: KindRules) -> KindRules {
    KindRules { rv_required: true, ..rules }
}

const fn create_on_update(rules: KindRules) -> KindRules {
    KindRules { create_on_update: true, ..rules }
}

const fn status_reset(rules: KindRules) -> KindRules {
    KindRules { status_metadata: StatusMetadata::Reset, ..rules }
}

const fn named(rules: KindRules, name_rule: NameRule) -> KindRules {
    KindRules { name_rule, ..rules }
}

const ADMISSION: &str = "admissionregistration.k8s.io";
const APPS: &str = "apps";
const FLOW: &str = "flowcontrol.apiserver.k8s.io";
const NETWORKING: &str = "networking.k8s.io";
const RBAC: &str = "rbac.authorization.k8s.io";
const RESOURCE: &str = "resource.k8s.io";
const STORAGE: &str = "storage.k8s.io";

/// One row a resource: group, plural, rules.
static TABLE: &[(&str, &str, KindRules)] = &[
    ("", "configmaps", plain(&config_map::ConfigMapStrategy)),
    ("", "componentstatuses", KindRules { deprecation: Some("v1 ComponentStatus is deprecated in v1.19+"), ..PLAIN }),
    (
        "",
        "endpoints",
        KindRules {
            deprecation: Some("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"),
            ..create_on_update(plain(&endpoints::EndpointsStrategy))
        },
    ),
    ("", "events", event_kind(&event::CORE, NameRule::PathSegment, EVENT_FIELDS)),
    ("", "limitranges", create_on_update(plain(&limit_range::LimitRangeStrategy))),
    (
        "",
        "namespaces",
        selectable(named(object_back(&namespace::NamespaceStrategy), NameRule::Label), &["status.phase"]),
    ),
    (
        "",
        "nodes",
        KindRules { keeps_status_on_create: true, ..selectable(plain(&node::NodeStrategy), &["spec.unschedulable"]) },
    ),
    ("", "persistentvolumeclaims", object_back(&persistent_volume_claim::PersistentVolumeClaimStrategy)),
    ("", "persistentvolumes", object_back(&persistent_volume::PersistentVolumeStrategy)),
    (
        "",
        "pods",
        selectable(
            KindRules {
                generation: GenerationRule::Pod,
                status_metadata: StatusMetadata::KeepButOwners,
                ..object_back(&pod::PodStrategy)
            },
            POD_FIELDS,
        ),
    ),
    (
        "",
        "podtemplates",
        KindRules {
            generation: GenerationRule::Members(&["template"]),
            ..object_back(&pod_template::PodTemplateStrategy)
        },
    ),
    (
        "",
        "replicationcontrollers",
        selectable(
            KindRules {
                default_propagation: DefaultPropagation::Orphan,
                ..spec(&replication_controller::ReplicationControllerStrategy)
            },
            &["status.replicas"],
        ),
    ),
    ("", "resourcequotas", object_back(&resource_quota::ResourceQuotaStrategy)),
    ("", "secrets", selectable(plain(&secret::SecretStrategy), &["type"])),
    ("", "serviceaccounts", object_back(&service_account::ServiceAccountStrategy)),
    (
        "",
        "services",
        selectable(
            named(create_on_update(object_back(&service::ServiceStrategy)), NameRule::Label),
            &["spec.clusterIP", "spec.type"],
        ),
    ),
    (
        ADMISSION,
        "mutatingadmissionpolicies",
        admission(&admissionregistration::MutatingAdmissionPolicyStrategy, &["spec"]),
    ),
    (
        ADMISSION,
        "mutatingadmissionpolicybindings",
        admission(&admissionregistration::MutatingAdmissionPolicyBindingStrategy, &["spec"]),
    ),
    (
        ADMISSION,
        "mutatingwebhookconfigurations",
        admission(&admissionregistration::MutatingWebhookConfigurationStrategy, &["webhooks"]),
    ),
    (
        ADMISSION,
        "validatingadmissionpolicies",
        admission(&admissionregistration::ValidatingAdmissionPolicyStrategy, &["spec"]),
    ),
    (
        ADMISSION,
        "validatingadmissionpolicybindings",
        admission(&admissionregistration::ValidatingAdmissionPolicyBindingStrategy, &["spec"]),
    ),
    (
        ADMISSION,
        "validatingwebhookconfigurations",
        admission(&admissionregistration::ValidatingWebhookConfigurationStrategy, &["webhooks"]),
    ),
    (
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        KindRules {
            rv_required: true,
            ..named(spec(&custom_resource_definition::CustomResourceDefinition), NameRule::PathSegment)
        },
    ),
    (
        "apiregistration.k8s.io",
        "apiservices",
        named(status_reset(plain(&api_service::ApiServiceStrategy)), NameRule::PathSegment),
    ),
    (APPS, "controllerrevisions", plain(&controller_revision::ControllerRevisionStrategy)),
    (APPS, "daemonsets", spec(&daemon_set::DaemonSetStrategy)),
    (
        APPS,
        "deployments",
        KindRules {
            strategy: &deployment::DeploymentStrategy,
            generation: GenerationRule::MembersOrAnnotations(&["spec"]),
            status_metadata: StatusMetadata::ResetLabels,
            ..PLAIN
        },
    ),
    (APPS, "replicasets", selectable(spec(&replica_set::ReplicaSetStrategy), &["status.replicas"])),
    (APPS, "statefulsets", spec(&stateful_set::StatefulSetStrategy)),
    ("autoscaling", "horizontalpodautoscalers", plain(&horizontal_pod_autoscaler::HorizontalPodAutoscalerStrategy)),
    ("batch", "cronjobs", spec(&cron_job::CronJobStrategy)),
    (
        "batch",
        "jobs",
        KindRules {
            default_propagation: DefaultPropagation::Orphan,
            selectable: &["status.successful"],
            unknown_field_label: UnknownFieldLabel::NotSupportedFor("batchv1.Job"),
            ..spec(&job::JobStrategy)
        },
    ),
    (
        "certificates.k8s.io",
        "certificatesigningrequests",
        selectable(
            named(plain(&certificate_signing_request::CertificateSigningRequestStrategy), NameRule::PathSegment),
            &["spec.signerName"],
        ),
    ),
    ("coordination.k8s.io", "leases", rv_required(create_on_update(plain(&lease::LeaseStrategy)))),
    (
        "discovery.k8s.io",
        "endpointslices",
        KindRules { generation: GenerationRule::ContentOrLabels, ..plain(&endpoint_slice::EndpointSliceStrategy) },
    ),
    ("events.k8s.io", "events", event_kind(&event::EVENTS, NameRule::Subdomain, REGARDING_FIELDS)),
    (FLOW, "flowschemas", status_reset(spec(&flow_control::FlowSchemaStrategy))),
    (FLOW, "prioritylevelconfigurations", status_reset(spec(&flow_control::PriorityLevelConfigurationStrategy))),
    (NETWORKING, "ingressclasses", spec(&ingress_class::IngressClassStrategy)),
    (NETWORKING, "ingresses", spec(&ingress::IngressStrategy)),
    (NETWORKING, "ipaddresses", named(plain(&ip_address::IpAddressStrategy), NameRule::IpAddress)),
    (NETWORKING, "networkpolicies", spec(&network_policy::NetworkPolicyStrategy)),
    (NETWORKING, "servicecidrs", plain(&service_cidr::ServiceCidrStrategy)),
    ("node.k8s.io", "runtimeclasses", rv_required(create_on_update(plain(&runtime_class::RuntimeClassStrategy)))),
    ("policy", "poddisruptionbudgets", rv_required(spec(&pod_disruption_budget::PodDisruptionBudgetStrategy))),
    (RBAC, "clusterrolebindings", rbac_kind(&rbac::ClusterRoleBindingStrategy)),
    (RBAC, "clusterroles", rbac_kind(&rbac::ClusterRoleStrategy)),
    (RBAC, "rolebindings", rbac_kind(&rbac::RoleBindingStrategy)),
    (RBAC, "roles", rbac_kind(&rbac::RoleStrategy)),
    (RESOURCE, "deviceclasses", KindRules { generation: SPEC, ..object_back(&resource_claims::DeviceClassStrategy) }),
    (RESOURCE, "resourceclaims", status_reset(object_back(&resource_claims::ResourceClaimStrategy))),
    (RESOURCE, "resourceclaimtemplates", object_back(&resource_claims::ResourceClaimTemplateStrategy)),
    (
        RESOURCE,
        "resourceslices",
        selectable(
            KindRules { generation: SPEC, ..object_back(&resource_claims::ResourceSliceStrategy) },
            &["spec.nodeName", "spec.driver"],
        ),
    ),
    (
        "scheduling.k8s.io",
        "priorityclasses",
        KindRules { generation: GenerationRule::Fixed, ..plain(&priority_class::PriorityClassStrategy) },
    ),
    (
        STORAGE,
        "csidrivers",
        KindRules {
            generation: SPEC,
            ..named(rv_required(object_back(&storage::CsiDriverStrategy)), NameRule::CsiDriver)
        },
    ),
    (STORAGE, "csinodes", rv_required(object_back(&storage::CsiNodeStrategy))),
    (STORAGE, "csistoragecapacities", rv_required(plain(&storage::CsiStorageCapacityStrategy))),
    (STORAGE, "storageclasses", object_back(&storage::StorageClassStrategy)),
    (STORAGE, "volumeattachments", status_reset(rv_required(object_back(&storage::VolumeAttachmentStrategy)))),
    (STORAGE, "volumeattributesclasses", object_back(&storage::VolumeAttributesClassStrategy)),
];

static UNKNOWN: KindRules = PLAIN;

/// The rules of a built-in resource. A resource that the table does not name has no peculiarities.
#[must_use]
pub fn rules(group: &str, resource: &str) -> &'static KindRules {
    TABLE.iter().find(|(g, r, _)| *g == group && *r == resource).map_or(&UNKNOWN, |(_, _, rules)| rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eleven_kinds_and_the_core_events_twin_are_created_by_an_update() {
        let names: Vec<_> = TABLE.iter().filter(|(_, _, r)| r.create_on_update).map(|(_, r, _)| *r).collect();
        let expected = [
            "endpoints",
            "events",
            "limitranges",
            "services",
            "leases",
            "events",
            "runtimeclasses",
            "clusterrolebindings",
            "clusterroles",
            "rolebindings",
            "roles",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn every_row_is_unique_and_its_group_is_served() {
        for (i, (g, r, _)) in TABLE.iter().enumerate() {
            assert!(TABLE.iter().skip(i + 1).all(|(g2, r2, _)| (g, r) != (g2, r2)), "{g}/{r} twice");
        }
    }

    #[test]
    fn a_job_orphans_and_a_pod_comes_back_on_delete() {
        assert_eq!(rules("batch", "jobs").default_propagation, DefaultPropagation::Orphan);
        assert!(rules("", "pods").returns_object_on_delete);
        assert!(!rules("", "configmaps").returns_object_on_delete);
        assert!(rules("policy", "poddisruptionbudgets").rv_required);
    }

    #[test]
    fn unknown_field_labels_are_refused_in_three_ways() {
        assert_eq!(
            rules("", "configmaps").unknown_field_label.text("data.k"),
            "\"data.k\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        );
        assert_eq!(rules("", "pods").unknown_field_label.text("a"), "field label not supported: a");
        assert_eq!(
            rules("batch", "jobs").unknown_field_label.text("a"),
            "field label \"a\" not supported for batchv1.Job"
        );
    }

    #[test]
    fn every_strategy_survives_an_empty_object_and_defaults_once() {
        let cluster = crate::admission::testing::Cluster::new(vec![]);
        for (group, resource, rules) in TABLE {
            for object in
                [serde_json::json!({}), serde_json::json!({"metadata": {"name": "a"}, "spec": {}, "status": {}})]
            {
                let mut once = object.clone();
                rules.strategy.default(&mut once);
                let mut twice = once.clone();
                rules.strategy.default(&mut twice);
                assert_eq!(once, twice, "defaults of {group}/{resource} are not idempotent");
                for subresource in ["", "status"] {
                    let cx = super::super::WriteContext { subresource, ..cluster.cx() };
                    let mut new = once.clone();
                    rules.strategy.prepare_create(&cx, &mut new);
                    rules.strategy.prepare_update(&cx, &mut new, &once);
                    let _ = rules.strategy.validate_create(&cx, &new);
                    let _ = rules.strategy.validate_update(&cx, &new, &once);
                    let _ = rules.strategy.warnings(&cx, &new, Some(&once));
                    let labels: Vec<_> = rules.strategy.selectable_fields(&new).into_iter().map(|(l, _)| l).collect();
                    for label in rules.selectable {
                        assert!(labels.contains(label), "{group}/{resource} has no value for {label}");
                    }
                }
            }
        }
    }
}
