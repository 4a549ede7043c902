//! Bytes as the text of a quantity.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _read = holdfast::kit::quantity::fuzzing::quantity(bytes);
});
