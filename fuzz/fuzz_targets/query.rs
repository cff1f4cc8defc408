//! The agent's frames: the same bytes as a stream of requests and of answers. What is understood is written and understood
//! again as the same, and an answer's event is printed.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netstat_fuzz::bodies::query::run(bytes));
