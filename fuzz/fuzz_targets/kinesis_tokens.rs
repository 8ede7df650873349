#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| kolk_fuzz_targets::run("kinesis_tokens", input));
