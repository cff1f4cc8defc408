//! Command lines, one word per line: read or refused, with netstat's exit codes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netstat_fuzz::bodies::command_line::run(bytes));
