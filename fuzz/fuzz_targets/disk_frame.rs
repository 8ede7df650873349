#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| kolk_fuzz_targets::run("disk_frame", input));
