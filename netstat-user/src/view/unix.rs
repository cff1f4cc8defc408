//! The table of UNIX domain sockets, and its JSON.

use super::Listed;
use super::inet::beyond::{self, Netns};
use super::json::Object;
use super::text::{left, put};
use crate::lang::Lang;
use crate::model::visible::escape;
use crate::model::{Comm, Holder, UnixRow};

/// Whether a table lists the socket.
pub const fn is_listed(row: &UnixRow<'_>, listed: Listed) -> bool {
    let listens = row.state == 1 && row.accepts();
    match listed {
        Listed::All => true,
        Listed::Listening => listens,
        Listed::Connected => !listens,
    }
}

/// Title and column headings.
pub fn heading(out: &mut Vec<u8>, lang: &Lang, listed: Listed, programs: bool, netns: bool) {
    out.extend(lang.text("Active UNIX domain sockets "));
    out.extend(lang.text(listed.suffix()));
    out.extend(b"\nProto RefCnt Flags       Type       State         I-Node  ");
    if programs {
        out.extend(b" PID/Program name    ");
    }
    if netns {
        out.extend(b" Netns          ");
    }
    out.extend(lang.text(" Path\n"));
}

/// One row; `holder` is there where the column of processes was asked for, and has one where a process holds the socket; `netns` is
/// there where several namespaces are listed.
pub fn row(
    out: &mut Vec<u8>,
    lang: &Lang,
    row: &UnixRow<'_>,
    holder: Option<Option<&Holder>>,
    netns: Option<Netns<'_>>,
) {
    out.extend(if row.protocol == 0 { b"unix  " } else { b"??    " });
    put!(out, "{:<6} ", row.refcnt);
    let flags = out.len();
    out.extend(b"[ ");
    for name in row.flag_names() {
        out.extend(name.as_bytes());
        out.push(b' ');
    }
    out.push(b']');
    out.resize((flags + 11).max(out.len()), b' ');
    out.push(b' ');
    left(out, lang.text(row.kind_name().unwrap_or("UNKNOWN")), 10);
    out.push(b' ');
    left(out, lang.text(row.state_name().unwrap_or("UNKNOWN")), 13);
    put!(out, " {:<8}", row.inode);
    if let Some(holder) = holder {
        super::program(out, holder);
    }
    if let Some(netns) = netns {
        out.push(b' ');
        let start = out.len();
        beyond::netns(out, netns);
        super::text::pad(out, start, 15);
    }
    out.push(b' ');
    out.extend_from_slice(&escape(row.path));
    out.push(b'\n');
}

/// The row as JSON, with every process that holds the socket.
pub fn json<'a>(
    out: &mut Vec<u8>,
    row: &UnixRow<'_>,
    holders: impl IntoIterator<Item = &'a Holder>,
    netns: Option<Netns<'_>>,
) {
    let mut object = Object::begin(out);
    object.string("proto", b"unix");
    object.number("refcnt", row.refcnt);
    object.strings("flags", row.flag_names().map(str::as_bytes));
    object.optional_string("type", row.kind_name().map(str::as_bytes));
    object.optional_string("state", row.state_name().filter(|state| !state.is_empty()).map(str::as_bytes));
    object.optional("inode", (row.inode != 0).then_some(row.inode));
    object.objects("owners", holders, |object, holder: &Holder| {
        object.number("pid", holder.pid);
        object.string("program", &holder.program);
        object.optional_string("comm", holder.comm.as_ref().map(Comm::as_bytes));
    });
    object.optional_string("path", (!row.path.is_empty()).then_some(row.path));
    if let Some(netns) = netns {
        beyond::json_netns(&mut object, netns);
    }
    object.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: [UnixRow<'static>; 8] = [
        UnixRow { refcnt: 2, protocol: 0, flags: 0x10000, kind: 1, state: 1, inode: 100, path: b"/a b" },
        UnixRow { refcnt: 3, protocol: 0, flags: 0x70000, kind: 1, state: 0, inode: 101, path: b" /b\n" },
        UnixRow { refcnt: 3, protocol: 0, flags: 0, kind: 2, state: 2, inode: 0, path: b"@abc" },
        UnixRow { refcnt: 10_000_000, protocol: 0, flags: 0, kind: 3, state: 3, inode: 103, path: b"" },
        UnixRow { refcnt: 3, protocol: 0, flags: 0, kind: 4, state: 4, inode: 104, path: b"" },
        UnixRow { refcnt: 3, protocol: 0, flags: 0, kind: 5, state: 5, inode: u64::MAX, path: b"" },
        UnixRow { refcnt: 3, protocol: 0, flags: 0, kind: 6, state: 1, inode: 106, path: b"x" },
        UnixRow { refcnt: 2, protocol: 0, flags: 0x10000, kind: 1, state: 3, inode: 107, path: b"\xff\x1b" },
    ];

    fn table(lang: &Lang, listed: Listed, holder: Option<Option<&Holder>>) -> String {
        let mut out = Vec::new();
        heading(&mut out, lang, listed, holder.is_some(), false);
        for line in ROWS.iter().filter(|line| is_listed(line, listed)) {
            row(&mut out, lang, line, holder, None);
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn english() {
        assert_eq!(
            table(&Lang::ENGLISH, Listed::All, None),
            "Active UNIX domain sockets (servers and established)\n\
             Proto RefCnt Flags       Type       State         I-Node   Path\n\
             unix  2      [ ACC ]     STREAM     LISTENING     100      /a b\n\
             unix  3      [ ACC W N ] STREAM     FREE          101       /b\\n\n\
             unix  3      [ ]         DGRAM      CONNECTING    0        @abc\n\
             unix  10000000 [ ]         RAW        CONNECTED     103      \n\
             unix  3      [ ]         RDM        DISCONNECTING 104      \n\
             unix  3      [ ]         SEQPACKET  UNKNOWN       18446744073709551615 \n\
             unix  3      [ ]         UNKNOWN                  106      x\n\
             unix  2      [ ACC ]     STREAM     CONNECTED     107      \u{fffd}\\x1b\n"
        );
        let init = Holder { pid: 1, program: b"init\n a name that is too long".to_vec(), comm: None };
        assert_eq!(
            table(&Lang::ENGLISH, Listed::Listening, Some(Some(&init))),
            "Active UNIX domain sockets (only servers)\n\
             Proto RefCnt Flags       Type       State         I-Node   PID/Program name     Path\n\
             unix  2      [ ACC ]     STREAM     LISTENING     100      1/init\\n a name tha  /a b\n"
        );
        assert!(
            table(&Lang::ENGLISH, Listed::Listening, Some(None)).ends_with(" 100      -                    /a b\n")
        );
        assert_eq!(table(&Lang::ENGLISH, Listed::Connected, None).lines().count(), 2 + 7);
    }

    #[test]
    fn german() {
        assert_eq!(
            table(&Lang::german_utf8(), Listed::All, None),
            "Aktive Sockets in der UNIX-Domäne (Server und stehende Verbindungen)\n\
             Proto RefCnt Flags       Type       State         I-Node   Pfad\n\
             unix  2      [ ACC ]     STREAM     HÖRT         100      /a b\n\
             unix  3      [ ACC W N ] STREAM     FREI          101       /b\\n\n\
             unix  3      [ ]         DGRAM      VERBINDUNGSAUFBAU 0        @abc\n\
             unix  10000000 [ ]         RAW        VERBUNDEN     103      \n\
             unix  3      [ ]         RDM        VERBINDUNGSABBAU 104      \n\
             unix  3      [ ]         SEQPAKET   UNBEKANNT     18446744073709551615 \n\
             unix  3      [ ]         UNBEKANNT                106      x\n\
             unix  2      [ ACC ]     STREAM     VERBUNDEN     107      \u{fffd}\\x1b\n"
        );
    }

    #[test]
    fn json_rows() {
        let holders = [
            Holder { pid: 7, program: b"a".to_vec(), comm: Some(Comm::new(b"renamed")) },
            Holder { pid: 9, program: b"b".to_vec(), comm: None },
        ];
        let mut out = Vec::new();
        json(&mut out, &ROWS[0], &holders, None);
        json(&mut out, &ROWS[2], [], None);
        json(&mut out, &ROWS[6], [], None);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"proto\":\"unix\",\"refcnt\":2,\"flags\":[\"ACC\"],\"type\":\"STREAM\",\"state\":\"LISTENING\",\
             \"inode\":100,\"owners\":[{\"pid\":7,\"program\":\"a\",\"comm\":\"renamed\"},{\"pid\":9,\"program\":\"b\",\"comm\":null}],\"path\":\"/a b\"}\n\
             {\"proto\":\"unix\",\"refcnt\":3,\"flags\":[],\"type\":\"DGRAM\",\"state\":\"CONNECTING\",\
             \"inode\":null,\"owners\":[],\"path\":\"@abc\"}\n\
             {\"proto\":\"unix\",\"refcnt\":3,\"flags\":[],\"type\":null,\"state\":null,\
             \"inode\":106,\"owners\":[],\"path\":\"x\"}\n"
        );
    }
}
