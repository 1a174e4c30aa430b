#![no_main]
//! JSON patches of a Pod: applied, or refused with the document as it was.

use libfuzzer_sys::fuzz_target;
use rehearsal_fakeserver::patch;
use serde_json::json;

fuzz_target!(|bytes: &[u8]| {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"a": "b"}},
                     "spec": {"containers": [{"name": "c", "image": "i", "args": ["x", "y"]}]}});
    let mut doc = pod.clone();
    if patch::json::apply(&mut doc, bytes).is_err() {
        assert_eq!(doc, pod);
    }
});
