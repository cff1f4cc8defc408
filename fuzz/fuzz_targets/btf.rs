//! The kernel's BTF: walked or refused, and asked for what the attach plan asks.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netstat_fuzz::bodies::btf::run(bytes));
