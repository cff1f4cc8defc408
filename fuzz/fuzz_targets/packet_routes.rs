//! /proc/net/{ax25_route,nr_nodes,nr_neigh,rose_nodes,rose_neigh} and x25/route: the same bytes read as each table, and
//! printed in both forms.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netstat_fuzz::bodies::packet_routes::run(bytes));
