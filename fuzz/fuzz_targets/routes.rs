//! /proc/net/route and /proc/net/ipv6_route: the same bytes read as each table, and printed in every form.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netstat_fuzz::bodies::routes::run(bytes));
