#![no_main]
//! Tapes of every layer: a tape or a refusal; what is read is written, read again and the same.

use libfuzzer_sys::fuzz_target;
use rehearsal_cassettes::format;

fuzz_target!(|bytes: &[u8]| {
    let Ok(loaded) = format::load_bytes(bytes) else { return };
    let text = format::to_text(&loaded.tape);
    let again = format::from_text(&text).expect("what was written can be read");
    assert_eq!(format::to_text(&again), text);
    let mut symbolic = again.clone();
    format::symbolise(&mut symbolic);
    format::literal(&mut symbolic);
    let mut plain = again;
    format::literal(&mut plain);
    assert_eq!(symbolic, plain);
});
