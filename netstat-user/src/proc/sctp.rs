//! Readers of /proc/net/sctp/{eps,assocs}.

use super::lines::Lines;
use super::words;
use crate::model::{SctpPeer, SctpRow};
use std::io;
use std::net::IpAddr;
use std::path::Path;

/// What one file held.
#[derive(Debug, Default)]
pub struct SctpTable {
    /// Its rows, in the kernel's order.
    pub rows: Vec<SctpRow>,
    /// Lines that are no row and were left out.
    pub bogus: usize,
}

/// Reads the endpoints: sockets, whether they listen or not.
///
/// # Errors
/// The file could not be read; `NotFound` where the kernel has no SCTP.
pub fn endpoints(root: &Path) -> io::Result<SctpTable> {
    read(&root.join("net/sctp/eps"), endpoint)
}

/// Reads the associations.
///
/// # Errors
/// The file could not be read; `NotFound` where the kernel has no SCTP.
pub fn associations(root: &Path) -> io::Result<SctpTable> {
    read(&root.join("net/sctp/assocs"), association)
}

fn read(path: &Path, parse: fn(&[u8]) -> Option<SctpRow>) -> io::Result<SctpTable> {
    let mut table = SctpTable::default();
    let mut lines = Lines::open(path)?;
    if lines.line()?.is_none() {
        return Ok(table);
    }
    while let Some(line) = lines.line()? {
        match parse(line) {
            Some(row) => table.rows.push(row),
            None => table.bogus += 1,
        }
    }
    Ok(table)
}

/// `ENDPT SOCK STY SST HBKT LPORT UID INODE LADDRS` (`sctp_eps_seq_show`).
pub fn endpoint(line: &[u8]) -> Option<SctpRow> {
    let mut words = words::of(line).skip(3);
    let state = number(words.next())?;
    let mut words = words.skip(1);
    let local_port = number(words.next())?;
    let uid = number(words.next())?;
    let inode = number(words.next())?;
    let local: Vec<IpAddr> = words.map_while(address).collect();
    (!local.is_empty()).then_some(SctpRow { local, local_port, peer: None, state, uid, inode })
}

/// `ASSOC SOCK STY SST ST HBKT ASSOC-ID TX_QUEUE RX_QUEUE UID INODE LPORT RPORT LADDRS <-> RADDRS ...`
/// (`sctp_assocs_seq_show`); the primary addresses are marked with a star.
pub fn association(line: &[u8]) -> Option<SctpRow> {
    let mut words = words::of(line).skip(3);
    let state = number(words.next())?;
    let mut words = words.skip(3);
    let send_q = number(words.next())?;
    let recv_q = number(words.next())?;
    let uid = number(words.next())?;
    let inode = number(words.next())?;
    let local_port = number(words.next())?;
    let port = number(words.next())?;
    let mut local = Vec::new();
    loop {
        match words.next()? {
            b"<->" => break,
            word => local.push(address(word)?),
        }
    }
    let addrs: Vec<IpAddr> = words.map_while(address).collect();
    if local.is_empty() || addrs.is_empty() {
        return None;
    }
    let peer = Some(SctpPeer { addrs, port, recv_q, send_q });
    Some(SctpRow { local, local_port, peer, state, uid, inode })
}

fn number<T: TryFrom<u64>>(word: Option<&[u8]>) -> Option<T> {
    std::str::from_utf8(word?).ok()?.parse::<u64>().ok().and_then(|value| T::try_from(value).ok())
}

fn address(word: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(word.strip_prefix(b"*").unwrap_or(word)).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_and_associations() {
        let row = endpoint(b"ffff8880 ffff8881 2   10  29   5555      0 12345 10.0.0.1 2001:0db8:0000::0001 ").unwrap();
        assert_eq!((row.local.len(), row.local_port, row.state, row.inode), (2, 5555, 10, 12345));
        assert!(row.peer.is_none());

        let line =
            b"ffff8 ffff8 2   1   4  1205  963        5        7     200 77 11567 11166  10.0.0.102 *10.0.0.70 <-> \
            *10.0.0.109 10.0.0.77 \t    1000     2     2   10    0    0        0        1        0   212992   212992";
        let row = association(line).unwrap();
        let peer = row.peer.unwrap();
        assert_eq!((row.local.len(), row.uid, row.local_port), (2, 200, 11567));
        assert_eq!((peer.addrs.len(), peer.port, peer.send_q, peer.recv_q), (2, 11166, 5, 7));
    }

    #[test]
    fn what_is_cut_short_is_no_row() {
        for line in [&b""[..], b"a b", b"a b 2 10 29 5555 0 1", b"a b 2 10 29 99999 0 1 10.0.0.1"] {
            assert_eq!(endpoint(line), None);
        }
        assert_eq!(association(b"a b 2 1 4 1205 963 0 0 200 77 1 2 10.0.0.1 <-> "), None);
        assert_eq!(association(b"a b 2 1 4 1205 963 0 0 200 77 1 2 10.0.0.1"), None);
    }
}
