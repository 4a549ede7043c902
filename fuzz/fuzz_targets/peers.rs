//! Bytes as a state on its way from another node.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _read = holdfast::agent::peers::fuzzing::stream(bytes);
});
