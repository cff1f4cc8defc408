//! /proc/net/igmp and /proc/net/igmp6: the same bytes read as each, and printed in both forms.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netstat_fuzz::bodies::groups::run(bytes));
