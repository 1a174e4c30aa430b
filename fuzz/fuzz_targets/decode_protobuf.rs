#![no_main]
//! Protobuf bodies: as whatever the envelope says they are, and as a bare Pod.

use libfuzzer_sys::fuzz_target;
use rehearsal_apimachinery::codec::protobuf;
use rehearsal_apimachinery::{Catalog, GroupVersion};

fuzz_target!(|bytes: &[u8]| {
    let catalog = Catalog::builtin();
    if let Ok(value) = protobuf::decode_object(bytes, catalog) {
        let _ = protobuf::encode_object(&value, catalog);
    }
    let pod = GroupVersion::parse("v1").expect("v1 is a version").kind("Pod");
    if let Some(root) = catalog.type_of(&pod) {
        let _ = protobuf::decode_message(bytes, &catalog.types, root);
    }
});
