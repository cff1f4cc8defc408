use super::*;

const PROGRESS: Progress = Progress { state: 3, vr: 6, vs: 5, send_q: Some(12), recv_q: Some(34), inode: Some(999) };
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
