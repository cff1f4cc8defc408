//! Answers of sock_diag.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netstat_fuzz::bodies::sock_diag::run(bytes));
