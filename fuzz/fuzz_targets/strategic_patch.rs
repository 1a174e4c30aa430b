#![no_main]
//! Strategic merge patches and merge patches of a Pod.

use libfuzzer_sys::fuzz_target;
use rehearsal_apimachinery::{Catalog, GroupVersion};
use rehearsal_fakeserver::patch;
use serde_json::json;

fuzz_target!(|bytes: &[u8]| {
    let catalog = Catalog::builtin();
    let gvk = GroupVersion::parse("v1").expect("v1 is a version").kind("Pod");
    let Some(root) = catalog.type_of(&gvk) else { return };
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "finalizers": ["a/b", "c/d"]},
                     "spec": {"containers": [{"name": "c", "ports": [{"containerPort": 80}]}, {"name": "d"}],
                              "tolerations": [{"key": "k"}]}});
    let _ = patch::strategic::apply(&mut pod.clone(), bytes, &catalog.types, root);
    let _ = patch::merge::apply(&mut pod.clone(), bytes);
});
