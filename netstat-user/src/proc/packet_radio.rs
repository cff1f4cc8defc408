//! Readers of /proc/net/{ax25,nr,rose,x25,ipx}: columns between blanks, one row per line.
//!
//! A line that is not a row is [`Bogus`]: the tables say so where it stands, as netstat does.

use super::words::hex;
use crate::model::packet_radio::{Ax25Row, IpxEnd, IpxRow, NetromRow, Progress, RoseRow, X25Row};
use std::io;
use std::path::Path;

/// A line that is not a row of its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bogus;

/// One line of a table.
pub type Line<R> = Result<R, Bogus>;

/// The table of a family: where it is, and what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the families")]
pub enum PacketTable {
    Ipx,
    Ax25,
    X25,
    Netrom,
    Rose,
}

impl PacketTable {
    /// netstat's name for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ipx => "AF IPX",
            Self::Ax25 => "AF AX25",
            Self::X25 => "AF X25",
            Self::Netrom => "AF NETROM",
            Self::Rose => "AF ROSE",
        }
    }

    /// The file in /proc, as netstat names it.
    pub const fn file(self) -> &'static str {
        match self {
            Self::Ipx => "net/ipx",
            Self::Ax25 => "net/ax25",
            Self::X25 => "net/x25",
            Self::Netrom => "net/nr",
            Self::Rose => "net/rose",
        }
    }

    /// The table's bytes, `None` where this kernel has no such table.
    ///
    /// # Errors
    /// Any failure to read a table that is there.
    pub fn read(self, proc: &Path) -> io::Result<Option<Vec<u8>>> {
        let file = proc.join(self.file());
        // X.25 and IPX have been files, and folders with the table in "socket".
        for file in [file.join("socket"), file] {
            match super::whole(&file) {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(error) => match error.kind() {
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {}
                    _ => return Err(error),
                },
            }
        }
        Ok(None)
    }
}

/// Rows of /proc/net/ax25, of today's kernels and of those before 2.1 (with a line of headings).
pub fn ax25(table: &[u8]) -> impl Iterator<Item = Line<Ax25Row<'_>>> {
    let old = table.starts_with(b"dest_addr");
    lines(table, old).map(move |line| if old { old_ax25_row(line) } else { ax25_row(line) }.ok_or(Bogus))
}

/// `pointer device source dest,digi,… st vs vr va`, thirteen timers and limits, then `Snd-Q Rcv-Q inode` or stars.
fn ax25_row(line: &[u8]) -> Option<Ax25Row<'_>> {
    let mut words = Words(line);
    words.next()?;
    let (device, source, path) = (words.next()?, words.next()?, words.next()?);
    let (dest, digipeaters) = path.split_at(path.iter().position(|&b| b == b',').unwrap_or(path.len()));
    let (state, vs, vr) = (words.number()?, words.number()?, words.number()?);
    words.skip(14);
    let progress = Progress { state, vr, vs, ..words.queues() };
    Some(Ax25Row { dest, source, digipeaters, device, progress })
}

/// `dest source device st vs vr va t1 t2 t3 idle n2 rtt window paclen Snd-Q Rcv-Q inode`, the last three maybe missing.
fn old_ax25_row(line: &[u8]) -> Option<Ax25Row<'_>> {
    let mut words = Words(line);
    let (dest, source, device) = (words.next()?, words.next()?, words.next()?);
    let (state, vs, vr) = (words.number()?, words.number()?, words.number()?);
    words.skip(9);
    let progress = Progress { state, vr, vs, ..words.queues() };
    Some(Ax25Row { dest, source, digipeaters: b"", device, progress })
}

/// Rows of /proc/net/nr: `user dest source device my your st vs vr va t1 t2 t4 idle n2 wnd Snd-Q Rcv-Q inode`.
pub fn netrom(table: &[u8]) -> impl Iterator<Item = Line<NetromRow<'_>>> {
    lines(table, true).map(|line| netrom_row(line).ok_or(Bogus))
}

fn netrom_row(line: &[u8]) -> Option<NetromRow<'_>> {
    let mut words = Words(line);
    let (user, dest, source, device) = (words.next()?, words.next()?, words.next()?, words.next()?);
    words.skip(2);
    let (state, vs, vr) = (words.number()?, words.number()?, words.number()?);
    words.skip(7);
    let progress = Progress { state, vr, vs, ..words.queues() };
    progress.recv_q?;
    Some(NetromRow { user, dest, source, device, progress })
}

/// Rows of /proc/net/rose: `dest call source call device lci neigh st vs vr va t t1 t2 t3 hb idle Snd-Q Rcv-Q inode`.
pub fn rose(table: &[u8]) -> impl Iterator<Item = Line<RoseRow<'_>>> {
    lines(table, true).map(|line| rose_row(line).ok_or(Bogus))
}

fn rose_row(line: &[u8]) -> Option<RoseRow<'_>> {
    let mut words = Words(line);
    let (dest, dest_call) = (words.next()?, words.next()?);
    let (source, source_call, device) = (words.next()?, words.next()?, words.next()?);
    let (lci, neighbour) = (words.hex()?, words.number()?);
    let (state, vs, vr) = (words.number()?, words.number()?, words.number()?);
    words.skip(7);
    let progress = Progress { state, vr, vs, ..words.queues() };
    Some(RoseRow { dest, dest_call, source, source_call, device, lci, neighbour, progress })
}

/// Rows of /proc/net/x25: `dest source device lci st vs vr va t t2 t21 t22 t23 Snd-Q Rcv-Q inode`.
pub fn x25(table: &[u8]) -> impl Iterator<Item = Line<X25Row<'_>>> {
    lines(table, true).map(|line| x25_row(line).ok_or(Bogus))
}

fn x25_row(line: &[u8]) -> Option<X25Row<'_>> {
    let mut words = Words(line);
    let (dest, source, device) = (words.next()?, words.next()?, words.next()?);
    let lci = words.hex()?;
    let (state, vs, vr) = (words.number()?, words.number()?, words.number()?);
    words.skip(6);
    let progress = Progress { state, vr, vs, ..words.queues() };
    progress.recv_q?;
    Some(X25Row { dest, source, device, lci, progress })
}

/// Rows of /proc/net/ipx/socket: `local remote Tx_Queue Rx_Queue state uid`, hex but for the last; an end is
/// `network:node:port`, the other one may be `Not_Connected`.
pub fn ipx(table: &[u8]) -> impl Iterator<Item = Line<IpxRow>> {
    lines(table, true).map(|line| ipx_row(line).ok_or(Bogus))
}

fn ipx_row(line: &[u8]) -> Option<IpxRow> {
    let mut words = Words(line);
    let local = ipx_end(words.next()?)?;
    let remote = match words.next()? {
        b"Not_Connected" => None,
        end => Some(ipx_end(end)?),
    };
    let (send_q, recv_q) = (words.hex()?.into(), words.hex()?.into());
    Some(IpxRow { local, remote, send_q, recv_q, state: words.hex()?, uid: words.number()? })
}

fn ipx_end(text: &[u8]) -> Option<IpxEnd> {
    let mut parts = text.split(|&b| b == b':');
    let network = hex::<8>(parts.next()?)?;
    let (high, low) = parts.next()?.split_at_checked(4)?;
    let [_, _, a, b] = hex::<4>(high)?.to_be_bytes();
    let [c, d, e, f] = hex::<8>(low)?.to_be_bytes();
    let port = hex::<4>(parts.next()?)?.try_into().ok()?;
    Some(IpxEnd { network, node: [a, b, c, d, e, f], port })
}

/// The lines of a table, without its headings if it has any.
fn lines(table: &[u8], headings: bool) -> impl Iterator<Item = &[u8]> {
    let table = table.strip_suffix(b"\n").unwrap_or(table);
    table.split(|&b| b == b'\n').skip(usize::from(headings)).filter(|_| !table.is_empty())
}

/// The words of a line, taken off its front.
struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        let line = self.0.trim_ascii_start();
        let (word, rest) = line.split_at(line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len()));
        self.0 = rest;
        (!word.is_empty()).then_some(word)
    }

    fn skip(&mut self, words: usize) {
        for _ in 0..words {
            self.next();
        }
    }

    fn number(&mut self) -> Option<u32> {
        parse(self.next()?)
    }

    fn hex(&mut self) -> Option<u32> {
        hex::<8>(self.next()?)
    }

    /// The `Snd-Q Rcv-Q inode` that end a line, nothing where they are stars or missing.
    fn queues(&mut self) -> Progress {
        let (send_q, recv_q) = (self.next().and_then(parse), self.next().and_then(parse));
        Progress { send_q, recv_q, inode: self.next().and_then(parse), ..Progress::default() }
    }
}

fn parse<N: std::str::FromStr>(word: &[u8]) -> Option<N> {
    str::from_utf8(word).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
