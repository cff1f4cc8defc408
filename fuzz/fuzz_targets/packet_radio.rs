//! /proc/net/{ax25,nr,rose,x25,ipx}: the same bytes read as each table, and printed in both forms.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netstat_fuzz::bodies::packet_radio::run(bytes));
