//! Bytes as a TLS client, or as what happens between an honest one and the server.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _went_well = holdfast::webhook::fuzzing::records(bytes);
});
