//! /proc/net/dev and /proc/net/if_inet6: the same bytes read as each, and printed in every form, with flags and hardware
//! taken from them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netstat_fuzz::bodies::interfaces::run(bytes));
