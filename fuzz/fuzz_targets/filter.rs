//! Expressions of `--where`: read and printed, or refused at a place.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netstat_fuzz::bodies::filter::run(bytes));
