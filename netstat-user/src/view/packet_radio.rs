//! The AX.25, NET/ROM, ROSE, X.25 and IPX tables, and their JSON.

use super::json::Object;
use super::text::{escape, left, put};
use crate::lang::Lang;
use crate::model::packet_radio::{Ax25Row, IpxEnd, IpxRow, NetromRow, Progress, RoseRow, X25Row};
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
mod tests {
    use super::*;

    const PROGRESS: Progress =
        Progress { state: 3, vr: 6, vs: 5, send_q: Some(12), recv_q: Some(34), inode: Some(999) };
    const AX25: Ax25Row<'static> = Ax25Row {
        dest: b"DL2DEF-15",
        source: b"DL1ABC-1",
        digipeaters: b",RELAY-1*,WIDE-2",
        device: b"ax0",
        progress: PROGRESS,
    };
    const NETROM: NetromRow<'static> = NetromRow {
        user: b"DL1ABC-1",
        dest: b"*",
        source: b"DL1ABC-7",
        device: b"???",
        progress: Progress { state: 0, vr: 0, vs: 0, send_q: None, recv_q: None, inode: None },
    };
    const ROSE: RoseRow<'static> = RoseRow {
        dest: b"2080123457",
        dest_call: b"DL2DEF-1",
        source: b"2080123456",
        source_call: b"DL1ABC-1",
        device: b"rose0",
        lci: 10,
        neighbour: 12,
        progress: Progress { state: 2, ..PROGRESS },
    };
    const X25: X25Row<'static> =
        X25Row { dest: b"2345678901", source: b"1234567890", device: b"x25if", lci: 16, progress: PROGRESS };
    const IPX: IpxRow = IpxRow {
        local: IpxEnd { network: 0x1234_5678, node: [0, 0, 0, 0, 0, 0xa1], port: 0x4003 },
        remote: Some(IpxEnd { network: 2, node: [0; 6], port: 0x451 }),
        send_q: 32,
        recv_q: 16,
        state: 1,
        uid: 1000,
    };

    fn tables(lang: &Lang) -> String {
        let mut out = Vec::new();
        ipx_heading(&mut out, lang, true);
        ipx(&mut out, lang, &IPX, Some(b"me"));
        ipx(&mut out, lang, &IpxRow { remote: None, state: 9, ..IPX }, Some(b"1000"));
        ax25_heading(&mut out, lang);
        ax25(&mut out, lang, &AX25);
        ax25(&mut out, lang, &Ax25Row { progress: Progress { state: 7, ..PROGRESS }, ..AX25 });
        x25_heading(&mut out);
        x25(&mut out, &X25, true);
        x25(&mut out, &X25Row { progress: Progress { state: 5, ..PROGRESS }, ..X25 }, false);
        netrom_heading(&mut out, lang);
        netrom(&mut out, lang, &NETROM);
        rose_heading(&mut out);
        rose(&mut out, lang, &ROSE);
        bogus(&mut out, lang, &"/proc/net/rose");
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn english() {
        assert_eq!(
            tables(&Lang::ENGLISH),
            "Active IPX sockets\n\
             Proto Recv-Q Send-Q Local Address              Foreign Address            State User\n\
             IPX       16     32 12345678:0000000000A1:4003 00000002:0451              ESTAB me        \n\
             IPX       16     32 12345678:0000000000A1:4003 -                          UNK.  1000      \n\
             Active AX.25 sockets\n\
             Dest       Source     Device  State        Vr/Vs    Send-Q  Recv-Q\n\
             DL2DEF-15  DL1ABC-1   ax0     ESTABLISHED  006/005  12      34    \n\
             DL2DEF-15  DL1ABC-1   ax0     UNKNOWN      006/005  12      34    \n\
             Active X.25 sockets\n\
             Dest         Source          Device  LCI  State        Vr/Vs  Send-Q  Recv-Q\n\
             2345678901      123456789       x25if   16   ESTABLISHED  06/05  12      34    \n\
             2345678901      1234567890      x25if   16   DEFERRED     06/05  12      34    \n\
             Active NET/ROM sockets\n\
             User       Dest       Source     Device  State        Vr/Vs    Send-Q  Recv-Q\n\
             DL1ABC-1   *          DL1ABC-7   ???     LISTENING    000/000  0       0     \n\
             Active ROSE sockets\n\
             dest_addr   dest_call  src_addr    src_call  dev   lci neigh   state\n\
             2080123457  DL2DEF-1   2080123456  DL1ABC-1  rose0  10    12   DISC SENT\n\
             Problem reading data from /proc/net/rose\n"
        );
    }

    #[test]
    fn german() {
        assert_eq!(
            tables(&Lang::german_utf8()),
            "Aktive IPX Sockets\n\
             Proto Recv-Q Send-Q Lokale Adresse             Gegenadresse               Zustand Benutzer\n\
             IPX       16     32 12345678:0000000000A1:4003 00000002:0451              VERBUNDEN me        \n\
             IPX       16     32 12345678:0000000000A1:4003 -                          UNB.  1000      \n\
             Aktive AX.25 Sockets\n\
             Ziel       Quelle     Gerät   Zustand      Vr/Vs    Send-Q  Empf-Q\n\
             DL2DEF-15  DL1ABC-1   ax0     VERBUNDEN    006/005  12      34    \n\
             DL2DEF-15  DL1ABC-1   ax0     UNBEKANNT    006/005  12      34    \n\
             Active X.25 sockets\n\
             Dest         Source          Device  LCI  State        Vr/Vs  Send-Q  Recv-Q\n\
             2345678901      123456789       x25if   16   ESTABLISHED  06/05  12      34    \n\
             2345678901      1234567890      x25if   16   DEFERRED     06/05  12      34    \n\
             Aktive NET/ROM Sockets\n\
             Benutzer   Ziel       Quelle     Gerät   Zustand      Vr/Vs    Send-Q  Recv-Q\n\
             DL1ABC-1   *          DL1ABC-7   ???     HÖRT        000/000  0       0     \n\
             Active ROSE sockets\n\
             dest_addr   dest_call  src_addr    src_call  dev   lci neigh   state\n\
             2080123457  DL2DEF-1   2080123456  DL1ABC-1  rose0  10    12   VERBINDUNGSABBAU GESCHICKT\n\
             Probleme beim Lesen von /proc/net/rose\n"
        );
    }

    #[test]
    fn json_rows() {
        let mut out = Vec::new();
        ax25_json(&mut out, &AX25);
        netrom_json(&mut out, &NETROM);
        rose_json(&mut out, &ROSE);
        x25_json(&mut out, &X25Row { progress: Progress { state: 99, ..PROGRESS }, ..X25 });
        ipx_json(&mut out, &IPX, Some(b"me"));
        ipx_json(&mut out, &IpxRow { remote: None, state: 9, ..IPX }, None);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"proto\":\"ax25\",\"dest\":\"DL2DEF-15\",\"source\":\"DL1ABC-1\",\
             \"digipeaters\":[\"RELAY-1*\",\"WIDE-2\"],\"device\":\"ax0\",\"state\":\"ESTABLISHED\",\
             \"vr\":6,\"vs\":5,\"send_q\":12,\"recv_q\":34,\"inode\":999}\n\
             {\"proto\":\"netrom\",\"user\":\"DL1ABC-1\",\"dest\":null,\"source\":\"DL1ABC-7\",\"device\":null,\
             \"state\":\"LISTENING\",\"vr\":0,\"vs\":0,\"send_q\":null,\"recv_q\":null,\"inode\":null}\n\
             {\"proto\":\"rose\",\"dest_addr\":\"2080123457\",\"dest_call\":\"DL2DEF-1\",\"src_addr\":\"2080123456\",\
             \"src_call\":\"DL1ABC-1\",\"dev\":\"rose0\",\"lci\":10,\"neigh\":12,\"state\":\"DISC SENT\",\
             \"vr\":6,\"vs\":5,\"send_q\":12,\"recv_q\":34,\"inode\":999}\n\
             {\"proto\":\"x25\",\"dest\":\"2345678901\",\"source\":\"1234567890\",\"device\":\"x25if\",\"lci\":16,\
             \"state\":null,\"vr\":6,\"vs\":5,\"send_q\":12,\"recv_q\":34,\"inode\":999}\n\
             {\"proto\":\"ipx\",\"recv_q\":16,\"send_q\":32,\"local\":{\"network\":\"12345678\",\
             \"node\":\"0000000000A1\",\"port\":16387},\"remote\":{\"network\":\"00000002\",\"node\":\"000000000000\",\
             \"port\":1105},\"state\":\"ESTABLISHED\",\"uid\":1000,\"user\":\"me\"}\n\
             {\"proto\":\"ipx\",\"recv_q\":16,\"send_q\":32,\"local\":{\"network\":\"12345678\",\
             \"node\":\"0000000000A1\",\"port\":16387},\"remote\":null,\"state\":null,\"uid\":1000,\"user\":null}\n"
        );
    }
}
