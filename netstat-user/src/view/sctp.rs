//! The SCTP rows of the Internet table: a line per address, the columns at its end on the last line only.

use super::inet::beyond::{self, Beyond};
use super::inet::{self, Style};
use super::json::Object;
use super::text;
use crate::model::{AddressText, Holder, Labels, SctpRow, TcpState};
use std::net::IpAddr;

/// Width of an address and its port. They are never cut.
const ADDRESS_WIDTH: usize = 23;

/// One endpoint or association.
pub fn row(out: &mut Vec<u8>, style: Style<'_>, row: &SctpRow, holder: Option<&Holder>, beyond: &Beyond<'_>) {
    let remote = row.peer.as_ref().map_or(&[][..], |peer| &peer.addrs);
    for line in 0..row.local.len().max(remote.len()).max(1) {
        if line > 0 {
            out.push(b'\n');
        }
        let start = out.len();
        if line == 0 {
            out.extend_from_slice(b"sctp  ");
            if let Some(peer) = &row.peer {
                text::right(out, peer.recv_q, 6);
                out.push(b' ');
                text::right(out, peer.send_q, 6);
                out.push(b' ');
            }
        }
        text::pad(out, start, 20);
        // Only the first address of an association comes with its port.
        let with_port = line == 0 || row.peer.is_none();
        let start = out.len();
        address(out, style, row.local.get(line), with_port.then_some(row.local_port));
        // An endpoint has the columns of both addresses for its own.
        if row.peer.is_some() {
            out.push(b' ');
            address(out, style, remote.get(line), row.peer.as_ref().filter(|_| line == 0).map(|peer| peer.port));
        } else {
            text::pad(out, start, 2 * ADDRESS_WIDTH + 1);
        }
        out.push(b' ');
        let start = out.len();
        if let Some(state) = TcpState::from_kernel(row.state).filter(|_| line == 0) {
            // Not translated, whatever other tables say.
            out.extend_from_slice(state.name().as_bytes());
        }
        text::pad(out, start, 11);
    }
    inet::ending(out, style, row.uid, row.inode, holder);
    if style.columns.timers {
        out.push(b' ');
    }
    let start = out.len();
    beyond::cells(out, style, beyond, start);
    out.push(b'\n');
}

fn address(out: &mut Vec<u8>, style: Style<'_>, addr: Option<&IpAddr>, port: Option<u16>) {
    let start = out.len();
    if let Some(addr) = addr {
        inet::host(out, style, addr);
        if let Some(port) = port {
            out.push(b':');
            inet::port(out, style.labels, "sctp", port);
        }
    }
    text::pad(out, start, ADDRESS_WIDTH);
}

/// One endpoint or association as a JSON object: `local` and `remote` are the first addresses, `local_addrs` and
/// `remote_addrs` all of them.
pub fn json<'a>(
    out: &mut Vec<u8>,
    row: &SctpRow,
    labels: &Labels,
    holders: impl IntoIterator<Item = &'a Holder>,
    beyond: &Beyond<'_>,
) {
    let texts = |addrs: &[IpAddr]| addrs.iter().map(|&addr| AddressText(addr).to_string()).collect::<Vec<_>>();
    let remote = row.peer.as_ref();
    let mut object = Object::begin(out);
    object.string("proto", b"sctp");
    object.optional("recv_q", remote.map(|peer| peer.recv_q));
    object.optional("send_q", remote.map(|peer| peer.send_q));
    inet::json_end(&mut object, "local", row.local.first().map(|&addr| (addr, Some(row.local_port))));
    inet::json_end(&mut object, "remote", remote.and_then(|peer| Some((*peer.addrs.first()?, Some(peer.port)))));
    object.strings("local_addrs", texts(&row.local).iter().map(String::as_bytes));
    object.strings("remote_addrs", remote.map_or(Vec::new(), |peer| texts(&peer.addrs)).iter().map(String::as_bytes));
    object.optional_string("state", TcpState::from_kernel(row.state).map(|state| state.name().as_bytes()));
    object.number("uid", row.uid);
    object.optional_string("user", labels.users.get(&row.uid).map(Vec::as_slice));
    object.number("inode", row.inode);
    inet::json_owners(&mut object, holders, None);
    if let Some(netns) = beyond.netns {
        beyond::json_netns(&mut object, netns);
    }
    object.end();
}
