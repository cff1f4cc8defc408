//! nsswitch.conf, hosts, networks, passwd, services and protocols: the same bytes read as each.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netstat_fuzz::bodies::names::run(bytes));
