//! /proc/net/{tcp,…,raw6} and /proc/net/sctp: the same bytes read as each table, and printed in both forms.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netstat_fuzz::bodies::inet::run(bytes));
