#![no_main]
//! Label and field selectors: parsed, and asked about a label.

use libfuzzer_sys::fuzz_target;
use rehearsal_apimachinery::{FieldSelector, LabelSelector};

fuzz_target!(|text: &str| {
    if let Ok(selector) = LabelSelector::parse(text) {
        let _ = selector.matches(|key| (key.len() % 2 == 0).then_some("v"));
        let _ = LabelSelector::parse(&selector.to_string());
    }
    if let Ok(selector) = FieldSelector::parse(text) {
        let _ = selector.matches(|key| (key.len() % 2 == 0).then_some("v"));
    }
});
