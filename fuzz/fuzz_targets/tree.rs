//! Bytes as an archive of a volume, or of a layer, from another node.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _is_whole = holdfast::tree::fuzzing::archive(bytes);
});
