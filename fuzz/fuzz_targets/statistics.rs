//! /proc/net/{snmp,netstat,snmp6} and sctp/snmp: the same bytes read as each, and printed in both forms.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netstat_fuzz::bodies::statistics::run(bytes));
