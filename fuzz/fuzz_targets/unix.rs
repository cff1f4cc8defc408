//! /proc/net/unix: parsed, and printed in both forms.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netstat_fuzz::bodies::unix::run(bytes));
