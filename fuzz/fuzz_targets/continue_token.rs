#![no_main]
//! Tokens of paged lists: what is accepted says the same when written again.

use libfuzzer_sys::fuzz_target;
use rehearsal_fakeserver::store::ContinueToken;

fuzz_target!(|text: &str| {
    if let Ok(token) = ContinueToken::decode(text) {
        assert_eq!(ContinueToken::decode(&token.encode()).as_ref(), Ok(&token));
    }
});
