//! /proc/net/{snmp,netstat,snmp6} and sctp/snmp: the same bytes read as each, and printed in both forms.

use crate::{assert_json, assert_table};
use netstat_user::lang::Lang;
use netstat_user::proc::snmp::{pairs, sctp, snmp6};
use netstat_user::view::statistics::{Sections, SentencePrinter, json};

/// Runs one input.
///
/// # Panics
/// On an input that breaks what the module says.
pub fn run(file: &[u8]) {
    let mut tables = pairs(file).tables;
    tables.extend(snmp6(file));
    tables.push(sctp(file));
    let lang = Lang::german_utf8();
    let (mut text, mut lines) = (Vec::new(), Vec::new());
    let mut printer = SentencePrinter::new(&lang, Sections::ALL);
    for table in &tables {
        printer.table(&mut text, table);
        json(&mut lines, table);
    }
    let count = text.iter().filter(|&&byte| byte == b'\n').count();
    assert!(count >= tables.len());
    assert_table(&text, count);
    assert_json(&lines, tables.len());
}
