//! /proc/net/{tcp,…,raw6} and /proc/net/sctp: the same bytes read as each table, and printed in both forms.

use crate::{assert_json, assert_table};
use netstat_user::lang::Lang;
use netstat_user::model::{Holder, Labels, Proto};
use netstat_user::proc::fds::program_name;
use netstat_user::proc::{inet as sockets, sctp};
use netstat_user::view::inet::beyond::Beyond;
use netstat_user::view::inet::{self, Columns, Style};
use netstat_user::view::sctp as sctp_view;

/// Runs one input.
///
/// # Panics
/// On an input that breaks what the module says.
pub fn run(file: &[u8]) {
    let (lang, labels) = (Lang::ENGLISH, Labels::default());
    let columns = Columns { extend: true, programs: true, timers: true, ..Columns::default() };
    let beyond = Beyond::default();
    let holder = Holder { pid: 1, program: program_name(file).to_vec(), comm: None };
    for wide in [false, true] {
        let style = Style { lang: &lang, columns, wide, labels: &labels, numeric_hosts: wide };
        let (mut text, mut lines, mut count) = (Vec::new(), Vec::new(), 0);
        for line in file.split(|&byte| byte == b'\n') {
            for row in Proto::ALL.into_iter().filter_map(|proto| sockets::row(line, proto)) {
                inet::row(&mut text, style, &row, Some(&holder), &beyond);
                inet::json(&mut lines, &row, &labels, [&holder], &beyond);
                count += 1;
            }
            for row in [sctp::endpoint(line), sctp::association(line)].into_iter().flatten() {
                sctp_view::json(&mut lines, &row, &labels, [&holder], &beyond);
                // A row has a line for each of its addresses.
                let start = text.len();
                sctp_view::row(&mut text, style, &row, Some(&holder), &beyond);
                let printed = text[start..].iter().filter(|&&byte| byte == b'\n').count();
                let addresses = row.local.len().max(row.peer.map_or(0, |peer| peer.addrs.len()));
                assert_eq!(printed, addresses);
                text.truncate(start);
                text.push(b'\n');
                count += 1;
            }
        }
        assert_table(&text, count);
        assert_json(&lines, count);
    }
}
