//! What is known of a connection that has ended, in pieces of a line.

use super::line::ShortCells;
use crate::model::{StateTimes, TcpState, Totals};
use crate::view::colour::Role;
use crate::view::text::span;

/// What of a line is shown, from all to least.
#[derive(Clone, Copy, Debug)]
pub struct Detail {
    pub bytes: bool,
    pub duration: bool,
}

/// How a socket ended, with its time and its bytes.
pub fn result_of(cells: &mut ShortCells, totals: &Totals, detail: Detail) {
    let reason = totals.reason.name().as_bytes();
    cells.put(Role::of_reason(reason), reason);
    if detail.duration {
        cells.append(&lasted(totals));
    }
    if detail.bytes {
        carried(totals).iter().for_each(|piece| cells.append(piece));
    }
}

/// For how long it was open.
pub fn lasted(totals: &Totals) -> ShortCells {
    let mut cells = ShortCells::default();
    cells.put(Role::Data, b" ");
    cells.put(Role::Data, totals.duration_ns.map_or("-".into(), span).as_bytes());
    cells
}

/// Payload received and sent.
pub fn carried(totals: &Totals) -> Vec<ShortCells> {
    let known = [("rx", totals.rx_bytes), ("tx", totals.tx_bytes)].into_iter();
    known.filter_map(|(label, bytes)| Some(ShortCells::labelled(label, &size(bytes?)))).collect()
}

/// Round-trip time and retransmissions.
pub fn trip(totals: &Totals) -> Vec<ShortCells> {
    let mut pieces = Vec::new();
    if let Some(rtt_us) = totals.rtt_us {
        pieces.push(ShortCells::labelled("rtt", &span(u64::from(rtt_us) * 1_000)));
    }
    if let Some(retransmits) = totals.retransmits {
        let mut piece = ShortCells::labelled("retrans", itoa::Buffer::new().format(retransmits));
        if retransmits > 0 {
            piece.set_role(Role::Failure);
        }
        pieces.push(piece);
    }
    pieces
}

/// The states that a connection passed, in their order, under the names of what it did in them.
pub fn summed_up(times: &StateTimes) -> Vec<(&'static str, Option<u64>)> {
    let mut parts: Vec<(&str, Option<u64>)> = Vec::new();
    for (state, ns) in times.iter() {
        let word = match state {
            TcpState::SynSent => "connect",
            TcpState::SynRecv => "handshake",
            TcpState::Established => "established",
            TcpState::CloseWait => "close_wait",
            TcpState::FinWait1 | TcpState::FinWait2 | TcpState::Closing | TcpState::LastAck => "closing",
            // Before it connected, and after it was over.
            TcpState::Close | TcpState::Listen | TcpState::TimeWait => continue,
        };
        match parts.iter_mut().find(|(there, _)| *there == word) {
            Some((_, sum)) => *sum = sum.zip(ns).map(|(sum, ns)| sum.saturating_add(ns)),
            None => parts.push((word, ns)),
        }
    }
    parts
}

/// `connect 35us, established 3.00s, closing 28us`, in pieces; the longest word may be abbreviated.
pub fn listed(parts: &[(&str, Option<u64>)], abbreviated: bool) -> Vec<ShortCells> {
    let last = parts.len().saturating_sub(1);
    let piece = |(at, (word, ns)): (usize, &(&str, Option<u64>))| {
        let word = if abbreviated && *word == "established" { "est" } else { word };
        let mut piece = ShortCells::labelled(word, &ns.map_or("-".into(), span));
        if at < last {
            piece.put(Role::Own, b",");
        }
        piece
    };
    parts.iter().enumerate().map(piece).collect()
}

/// A number of bytes in at most four letters: `999`, `1.2K`, `35M`.
fn size(bytes: u64) -> String {
    if bytes < 1_000 {
        return bytes.to_string();
    }
    let mut unit = 1_u64 << 10;
    for letter in ["K", "M", "G", "T", "P"] {
        let tenths = u128::from(bytes) * 10 / u128::from(unit);
        match tenths {
            0..100 => return format!("{}.{}{letter}", tenths / 10, tenths % 10),
            100..10_000 => return format!("{}{letter}", tenths / 10),
            _ => unit <<= 10,
        }
    }
    format!("{}E", bytes / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "0.9K"),
            (1_024, "1.0K"),
            (10_239, "9.9K"),
            (10_240, "10K"),
            (1_023_999, "999K"),
            (1_024_000, "0.9M"),
            (1_300_000, "1.2M"),
            (u64::MAX, "15E"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
