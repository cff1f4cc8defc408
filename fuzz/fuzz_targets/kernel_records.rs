//! Records of the kernel programs: read or refused, and printed in both forms.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netstat_fuzz::bodies::kernel_records::run(bytes));
