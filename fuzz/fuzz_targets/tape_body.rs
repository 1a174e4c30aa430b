#![no_main]
//! Bodies of the wire: whatever form they are kept in, the bytes come back.

use libfuzzer_sys::fuzz_target;
use rehearsal_cassettes::format::model::Body;

fuzz_target!(|bytes: &[u8]| {
    assert_eq!(Body::from_json(bytes).bytes().expect("a body of its own"), bytes);
});
