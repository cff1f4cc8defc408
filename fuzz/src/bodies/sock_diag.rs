//! Answers of `sock_diag`: framed, read as Internet and as UNIX sockets, and the names of the latter believed or not in a table of /proc.

use netstat_user::diag::inet::Reply;
use netstat_user::diag::wire::Messages;
use netstat_user::diag::{info, unix};
use netstat_user::proc::unix::{Known, parse_known};

/// Runs one input: a datagram, and whatever it holds as the table.
///
/// # Panics
/// On an input that breaks what the module says.
pub fn run(bytes: &[u8]) {
    let mut known = Known::default();
    let mut count = 0;
    for message in Messages::new(bytes) {
        count += 1;
        message.errno();
        if let Some(reply) = Reply::parse(message.payload) {
            let _ = (reply.mark(), reply.cgroup());
            if let Some(bytes) = reply.info() {
                info::parse(bytes, reply.congestion());
            }
        }
        known.add(&unix::parse(message.payload).map_or_else(Vec::new, |socket| vec![socket]));
    }
    assert!(count <= bytes.len());
    let (rows, _) = parse_known(bytes, &known);
    assert!(rows.rows.len() + rows.bogus <= bytes.len());
}
