#![no_main]
//! YAML bodies: a value or a refusal.

use libfuzzer_sys::fuzz_target;
use rehearsal_apimachinery::codec::{json, yaml};

fuzz_target!(|bytes: &[u8]| {
    let Ok((value, _)) = yaml::parse(bytes) else { return };
    let _ = json::encode(&value, None);
});
