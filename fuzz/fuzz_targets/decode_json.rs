#![no_main]
//! JSON bodies: read untyped and as a Pod, written, and read again.

use libfuzzer_sys::fuzz_target;
use rehearsal_apimachinery::codec::json;
use rehearsal_apimachinery::{Catalog, GroupVersion};

fuzz_target!(|bytes: &[u8]| {
    let Ok((value, _)) = json::parse(bytes) else { return };
    let printed = json::encode(&value, None);
    json::parse(&printed).expect("what was read can be written and read again");
    let catalog = Catalog::builtin();
    let pod = GroupVersion::parse("v1").expect("v1 is a version").kind("Pod");
    let Some(root) = catalog.type_of(&pod) else { return };
    let mut findings = Vec::new();
    if let Ok(value) = json::conform(value, &catalog.types, root, &mut findings) {
        let _ = json::encode(&value, Some((&catalog.types, root)));
    }
});
