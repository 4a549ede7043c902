//! Bytes as the beginning of what an API server sends.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _is_whole = holdfast::webhook::fuzzing::request(bytes);
});
