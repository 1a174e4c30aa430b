//! The pod spec, shared by pods and by every kind with a pod template: conditional defaults, validation, warnings.
//!
//! Counterpart: `apis/core/v1/defaults.go`, `apis/core/validation` and `api/pod`. Only what concerns a live Pod as such
//! (updates, status, ephemeral containers, resize) is apart, in [`update`], [`ephemeral`], [`resize`] and [`status`].

mod affinity;
mod annotations;
mod containers;
pub(crate) mod defaults;
mod dns;
mod env;
pub(crate) mod ephemeral;
mod mounts;
mod os;
mod probes;
mod projected;
pub(crate) mod resize;
pub(crate) mod resources;
mod scheduling;
mod security;
pub(crate) mod status;
pub(crate) mod update;
mod validate;
mod volume_sources;
mod volumes;
pub(crate) mod warnings;

use annotations::pod_annotations;
pub(crate) use validate::{pod_metadata_and_spec, pod_template};

use super::access::list_at;
use rehearsal_apimachinery::field::Path;
use serde_json::Value;

/// The lists of containers, in the order in which the server visits them.
const CONTAINER_LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// All containers of a pod spec with their paths: init, regular, ephemeral.
pub(crate) fn containers<'a>(spec: &'a Value, path: &Path) -> impl Iterator<Item = (&'a Value, Path)> {
    CONTAINER_LISTS.into_iter().flat_map(move |list| {
        let path = path.child(list);
        list_at(spec, list).iter().enumerate().map(move |(i, container)| (container, path.index(i)))
    })
}

/// Whether an init container keeps running beside the regular ones.
pub(crate) fn is_sidecar(container: &Value) -> bool {
    container["restartPolicy"] == "Always"
}

/// Where a security profile of a new Pod is given as annotation and as field, both must say the same.
pub(crate) fn annotations_match_fields(pod: &Value, errors: &mut super::rules::Errors) {
    annotations::pod_seccomp_annotations_match(pod, errors);
    annotations::app_armor_annotations_match(pod, errors);
}
