//! The AX.25, NET/ROM, ROSE, X.25 and IPX tables, and their JSON.

use super::json::Object;
use super::text::{left, put};
use crate::lang::Lang;
use crate::model::packet_radio::{Ax25Row, IpxEnd, IpxRow, NetromRow, Progress, RoseRow, X25Row};
use crate::model::visible::escape;
use std::borrow::Cow;
use std::fmt::Display;

const AX25_STATES: [&str; 5] = ["LISTENING", "SABM SENT", "DISC SENT", "ESTABLISHED", "RECOVERY"];
const NETROM_STATES: [&str; 4] = ["LISTENING", "CONN SENT", "DISC SENT", "ESTABLISHED"];
/// netstat knows the first four and prints what lies behind them in memory for the others; these are the kernel's.
const ROSE_STATES: [&str; 6] = ["LISTENING", "CONN SENT", "DISC SENT", "ESTABLISHED", "RECOVERY", "DEFERRED"];
/// netstat knows the first five.
const X25_STATES: [&str; 6] = ["LISTENING", "SABM_SENT", "DISC_SENT", "ESTABLISHED", "RECOVERY", "DEFERRED"];

fn state(names: &[&'static str], number: u32) -> &'static str {
    usize::try_from(number).ok().and_then(|at| names.get(at)).copied().unwrap_or("UNKNOWN")
}

/// A line of a table that could not be read, where it stood.
pub fn bogus(out: &mut Vec<u8>, lang: &Lang, file: &dyn Display) {
    out.extend(lang.fill("Problem reading data from %s\n", &[file]));
}

/// Title and headings of the AX.25 table.
pub fn ax25_heading(out: &mut Vec<u8>, lang: &Lang) {
    out.extend(lang.text("Active AX.25 sockets\n"));
    out.extend(lang.text("Dest       Source     Device  State        Vr/Vs    Send-Q  Recv-Q\n"));
}

/// A row of the AX.25 table; digipeaters have no column.
pub fn ax25(out: &mut Vec<u8>, lang: &Lang, row: &Ax25Row<'_>) {
    columns(out, &[(row.dest, 9), (row.source, 9), (row.device, 6)]);
    progress(out, lang.text(state(&AX25_STATES, row.progress.state)), &row.progress);
}

/// Title and headings of the NET/ROM table.
pub fn netrom_heading(out: &mut Vec<u8>, lang: &Lang) {
    out.extend(lang.text("Active NET/ROM sockets\n"));
    out.extend(lang.text("User       Dest       Source     Device  State        Vr/Vs    Send-Q  Recv-Q\n"));
}

/// A row of the NET/ROM table.
pub fn netrom(out: &mut Vec<u8>, lang: &Lang, row: &NetromRow<'_>) {
    columns(out, &[(row.user, 9), (row.dest, 9), (row.source, 9), (row.device, 6)]);
    progress(out, lang.text(state(&NETROM_STATES, row.progress.state)), &row.progress);
}

/// Columns of fixed width, two blanks behind each.
fn columns(out: &mut Vec<u8>, columns: &[(&[u8], usize)]) {
    for &(text, width) in columns {
        left(out, &escape(text), width);
        out.extend(b"  ");
    }
}

/// The end of AX.25 and NET/ROM rows.
fn progress(out: &mut Vec<u8>, state: &[u8], progress: &Progress) {
    left(out, state, 11);
    let (send_q, recv_q) = (progress.send_q.unwrap_or(0), progress.recv_q.unwrap_or(0));
    put!(out, "  {:03}/{:03}  {send_q:<6}  {recv_q:<6}\n", progress.vr, progress.vs);
}

/// Title and headings of the ROSE table, the same in every language.
pub fn rose_heading(out: &mut Vec<u8>) {
    out.extend(b"Active ROSE sockets\n");
    out.extend(b"dest_addr   dest_call  src_addr    src_call  dev   lci neigh   state\n");
}

/// A row of the ROSE table.
pub fn rose(out: &mut Vec<u8>, lang: &Lang, row: &RoseRow<'_>) {
    columns(out, &[(row.dest, 10), (row.dest_call, 9), (row.source, 10)]);
    left(out, &escape(row.source_call), 9);
    out.push(b' ');
    left(out, &escape(row.device), 5);
    put!(out, " {:3} {:5}   ", row.lci, row.neighbour);
    out.extend(lang.text(state(&ROSE_STATES, row.progress.state)));
    out.push(b'\n');
}

/// Title and headings of the X.25 table, the same in every language.
pub fn x25_heading(out: &mut Vec<u8>) {
    out.extend(b"Active X.25 sockets\n");
    out.extend(b"Dest         Source          Device  LCI  State        Vr/Vs  Send-Q  Recv-Q\n");
}

/// A row of the X.25 table; its states are never translated. netstat shows nine digits of the socket's own address: `cut`
/// does so too.
pub fn x25(out: &mut Vec<u8>, row: &X25Row<'_>, cut: bool) {
    let source = if cut { &row.source[..row.source.len().min(9)] } else { row.source };
    for (text, width) in [(row.dest, 15), (source, 15), (row.device, 7)] {
        left(out, &escape(text), width);
        out.push(b' ');
    }
    let Progress { vr, vs, send_q, recv_q, .. } = row.progress;
    let (send_q, recv_q) = (send_q.unwrap_or(0), recv_q.unwrap_or(0));
    let state = state(&X25_STATES, row.progress.state);
    put!(out, "{:<3}  {state:<11}  {vr:02}/{vs:02}  {send_q:<6}  {recv_q:<6}\n", row.lci);
}

/// Title and headings of the IPX table.
pub fn ipx_heading(out: &mut Vec<u8>, lang: &Lang, extended: bool) {
    out.extend(lang.text(
        "Active IPX sockets\n\
         Proto Recv-Q Send-Q Local Address              Foreign Address            State",
    ));
    if extended {
        out.extend(lang.text(" User"));
    }
    out.push(b'\n');
}

/// A row of the IPX table; `user` is the label of the extended form.
pub fn ipx(out: &mut Vec<u8>, lang: &Lang, row: &IpxRow, user: Option<&[u8]>) {
    put!(out, "IPX   {:6} {:6} ", row.recv_q, row.send_q);
    left(out, ipx_end(&row.local).as_bytes(), 26);
    out.push(b' ');
    left(out, row.remote.as_ref().map_or(Cow::Borrowed("-"), |end| ipx_end(end).into()).as_bytes(), 26);
    out.push(b' ');
    left(out, lang.text(ipx_state(row.state)), 5);
    if let Some(user) = user {
        out.push(b' ');
        left(out, &escape(user), 10);
    }
    out.push(b'\n');
}

fn ipx_state(number: u32) -> &'static str {
    match number {
        1 => "ESTAB",
        7 => "",
        _ => "UNK.",
    }
}

/// Nothing without a network, and no node that is all zero: netstat's form.
fn ipx_end(end: &IpxEnd) -> String {
    match (end.network, end.node) {
        (0, _) => format!(":{:04X}", end.port),
        (network, [0, 0, 0, 0, 0, 0]) => format!("{network:08X}:{:04X}", end.port),
        (network, _) => format!("{network:08X}:{}:{:04X}", ipx_node(end), end.port),
    }
}

fn ipx_node(end: &IpxEnd) -> String {
    end.node.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// A row of the AX.25 table as JSON.
pub fn ax25_json(out: &mut Vec<u8>, row: &Ax25Row<'_>) {
    let mut object = begin(out, "ax25");
    name(&mut object, "dest", row.dest);
    name(&mut object, "source", row.source);
    object.strings("digipeaters", row.digipeaters.split(|&b| b == b',').filter(|call| !call.is_empty()));
    name(&mut object, "device", row.device);
    progress_json(object, state(&AX25_STATES, row.progress.state), &row.progress);
}

/// A row of the NET/ROM table as JSON.
pub fn netrom_json(out: &mut Vec<u8>, row: &NetromRow<'_>) {
    let mut object = begin(out, "netrom");
    name(&mut object, "user", row.user);
    name(&mut object, "dest", row.dest);
    name(&mut object, "source", row.source);
    name(&mut object, "device", row.device);
    progress_json(object, state(&NETROM_STATES, row.progress.state), &row.progress);
}

/// A row of the ROSE table as JSON.
pub fn rose_json(out: &mut Vec<u8>, row: &RoseRow<'_>) {
    let mut object = begin(out, "rose");
    name(&mut object, "dest_addr", row.dest);
    name(&mut object, "dest_call", row.dest_call);
    name(&mut object, "src_addr", row.source);
    name(&mut object, "src_call", row.source_call);
    name(&mut object, "dev", row.device);
    object.number("lci", row.lci);
    object.number("neigh", row.neighbour);
    progress_json(object, state(&ROSE_STATES, row.progress.state), &row.progress);
}

/// A row of the X.25 table as JSON.
pub fn x25_json(out: &mut Vec<u8>, row: &X25Row<'_>) {
    let mut object = begin(out, "x25");
    name(&mut object, "dest", row.dest);
    name(&mut object, "source", row.source);
    name(&mut object, "device", row.device);
    object.number("lci", row.lci);
    progress_json(object, state(&X25_STATES, row.progress.state), &row.progress);
}

/// A row of the IPX table as JSON; `user` is the name of its user, where it has one.
pub fn ipx_json(out: &mut Vec<u8>, row: &IpxRow, user: Option<&[u8]>) {
    let mut object = begin(out, "ipx");
    object.number("recv_q", row.recv_q);
    object.number("send_q", row.send_q);
    for (at, end) in [("local", Some(row.local)), ("remote", row.remote)] {
        match end {
            Some(end) => {
                let mut inner = object.object(at);
                inner.string("network", format!("{:08X}", end.network).as_bytes());
                inner.string("node", ipx_node(&end).as_bytes());
                inner.number("port", end.port);
                inner.close();
            }
            None => object.optional_string(at, None),
        }
    }
    object.optional_string(
        "state",
        match row.state {
            1 => Some(b"ESTABLISHED"),
            7 => Some(b"CLOSE"),
            _ => None,
        },
    );
    object.number("uid", row.uid);
    object.optional_string("user", user);
    object.end();
}

fn begin<'a>(out: &'a mut Vec<u8>, proto: &str) -> Object<'a> {
    let mut object = Object::begin(out);
    object.string("proto", proto.as_bytes());
    object
}

/// A name, `null` for the kernel's stars and question marks.
fn name(object: &mut Object<'_>, key: &str, text: &[u8]) {
    object.optional_string(key, (!matches!(text, b"*" | b"???" | b"??????-?")).then_some(text));
}

fn progress_json(mut object: Object<'_>, state: &str, progress: &Progress) {
    object.optional_string("state", (state != "UNKNOWN").then_some(state.as_bytes()));
    object.number("vr", progress.vr);
    object.number("vs", progress.vs);
    object.optional("send_q", progress.send_q);
    object.optional("recv_q", progress.recv_q);
    object.optional("inode", progress.inode);
    object.end();
}

#[cfg(test)]
mod tests;
