//! Bytes as the body of an admission review.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    let _read = holdfast::sizing::fuzzing::admission(body);
});
