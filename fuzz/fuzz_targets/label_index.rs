//! A label index that is nonsense behind right checksums gives answers or damage: what tantivy makes of it, a panic
//! included, stays within.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(
    // libFuzzer's own hook ends the process at a panic, contained or not. One that gets out still does so.
    init: std::panic::set_hook(Box::new(|_| ())),
    |data: &[u8]| timberline_store::fuzzing::open_label_index(data)
);
