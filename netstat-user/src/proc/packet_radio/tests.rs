use super::*;
use std::fs;

#[test]
fn ax25_with_and_without_a_socket() {
    let table = b"00000000d0bc5f3a ax0 DL1ABC-1 * 0 0 0 0 0 10 0 3 0 0 0 0 0 10 5 2 256 * * *\n\
        00000000d0bc5f3c ax1 DL1ABC-0* DL2DEF-0,RELAY-1*,WIDE-2 4 5 6 7 0 10 0 3 0 0 0 0 0 10 5 2 256 12 34 999\n\
        00000000d0bc5f3c ax1 DL1ABC-0\n";
    let rows: Vec<_> = ax25(table).collect();
    let first = rows[0].clone().unwrap();
    assert_eq!((first.dest, first.source, first.device), (&b"*"[..], &b"DL1ABC-1"[..], &b"ax0"[..]));
    assert_eq!(first.progress, Progress::default());
    let second = rows[1].clone().unwrap();
    assert_eq!((second.dest, second.digipeaters), (&b"DL2DEF-0"[..], &b",RELAY-1*,WIDE-2"[..]));
    let progress = Progress { state: 4, vr: 6, vs: 5, send_q: Some(12), recv_q: Some(34), inode: Some(999) };
    assert_eq!(second.progress, progress);
    assert_eq!(rows[2], Err(Bogus));
    assert_eq!(rows.len(), 3);
}

#[test]
fn ax25_of_old() {
    let table =
        b"dest_addr src_addr  dev  st vs vr va    t1     t2     t3   idle  n2  rtt wnd paclen Snd-Q Rcv-Q inode\n\
        DL2DEF-15 DL1ABC-15 ax0  3  5  6  7  00/10  00/03  00/30 00/0 00/10 05 2 256 12 34 5678\n\
        *         DL1ABC-1  ax0  0  0  0  0  00/10  00/03  00/30 00/0 00/10 05 2 256\n";
    let rows: Vec<_> = ax25(table).map(Result::unwrap).collect();
    let progress = Progress { state: 3, vr: 6, vs: 5, send_q: Some(12), recv_q: Some(34), inode: Some(5678) };
    assert_eq!(rows[0].progress, progress);
    assert_eq!((rows[1].dest, rows[1].progress.recv_q), (&b"*"[..], None));
}

#[test]
fn netrom_rows() {
    let table = b"user_addr dest_node src_node  dev    my  your  st  vs  vr  va    t1     t2     t4      idle   n2  wnd Snd-Q Rcv-Q inode\n\
        DL1ABC-1  DL2DEF-8  DL1ABC-7  nr0  01/02 03/04  3   1   2   3   0/120   0/05   0/180   0/900   0/03   4    12    34 8902\n\
        DL1ABC-1  DL2DEF-8  DL1ABC-7  nr0  01/02 03/04  3\n";
    let rows: Vec<_> = netrom(table).collect();
    let row = rows[0].clone().unwrap();
    assert_eq!((row.user, row.dest, row.source), (&b"DL1ABC-1"[..], &b"DL2DEF-8"[..], &b"DL1ABC-7"[..]));
    let progress = Progress { state: 3, vr: 2, vs: 1, send_q: Some(12), recv_q: Some(34), inode: Some(8902) };
    assert_eq!(row.progress, progress);
    assert_eq!(rows[1], Err(Bogus));
}

#[test]
fn channels_are_hexadecimal() {
    let table = b"dest_addr  dest_call src_addr   src_call  dev   lci neigh st vs vr va   t  t1  t2  t3  hb    idle Snd-Q Rcv-Q inode\n\
        2080123457 DL2DEF-1  2080123456 DL1ABC-1  rose0 00A 00012  3  1  2  3   0 200 180  180   5 000/000    10    20 4322\n";
    let row = rose(table).next().unwrap().unwrap();
    assert_eq!((row.dest, row.lci, row.neighbour), (&b"2080123457"[..], 10, 12));
    assert_eq!((row.progress.send_q, row.progress.recv_q, row.progress.inode), (Some(10), Some(20), Some(4322)));

    let table = b"dest_addr  src_addr   dev   lci st vs vr va   t  t2 t21 t22 t23 Snd-Q Rcv-Q inode\n\
        *          1234567890 ???   000  0  0  0  0   0   3   0 200 180     0     0 7777\n\
        234567890123456 1234567890 x25if 01F  3  1  2  3   0   3   0 200 180    11    22 7778\n";
    let rows: Vec<_> = x25(table).map(Result::unwrap).collect();
    assert_eq!((rows[0].dest, rows[0].lci), (&b"*"[..], 0));
    assert_eq!((rows[1].dest, rows[1].lci, rows[1].progress.vr), (&b"234567890123456"[..], 31, 2));
    assert_eq!(rows[1].progress.inode, Some(7778));
}

#[test]
fn ipx_rows() {
    let table = b"Local_Address               Remote_Address              Tx_Queue  Rx_Queue  State  Uid\n\
        12345678:0000000000A1:4003  Not_Connected               00000000  00000010  07     000\n\
        12345678:0000000000A1:4004  00000002:0000000000B2:0451  00000020  00000000  01     1000\n\
        12345678:FF0000000000A1:4004  Not_Connected 0 0 1 1\n";
    let rows: Vec<_> = ipx(table).collect();
    let local = IpxEnd { network: 0x1234_5678, node: [0, 0, 0, 0, 0, 0xa1], port: 0x4003 };
    assert_eq!(rows[0], Ok(IpxRow { local, remote: None, send_q: 0, recv_q: 16, state: 7, uid: 0 }));
    let remote = Some(IpxEnd { network: 2, node: [0, 0, 0, 0, 0, 0xb2], port: 0x451 });
    let second = rows[1].unwrap();
    assert_eq!((second.remote, second.send_q, second.state, second.uid), (remote, 32, 1, 1000));
    assert_eq!(rows[2], Err(Bogus));
}

#[test]
fn no_rows_in_nothing() {
    for table in [&b""[..], b"\n", b"headings\n", b"headings"] {
        assert_eq!(netrom(table).count(), 0, "{table:?}");
    }
    assert_eq!(ax25(b"").count(), 0);
}

#[test]
fn absent_tables_and_both_places_of_x25() {
    let root = std::env::temp_dir().join(format!("netstat-user-packet-radio-{}", std::process::id()));
    fs::create_dir_all(root.join("net")).unwrap();
    assert_eq!(PacketTable::X25.read(&root).unwrap(), None);
    fs::write(root.join("net/x25"), "old").unwrap();
    assert_eq!(PacketTable::X25.read(&root).unwrap().unwrap(), b"old");
    fs::remove_file(root.join("net/x25")).unwrap();
    fs::create_dir(root.join("net/x25")).unwrap();
    fs::write(root.join("net/x25/socket"), "new").unwrap();
    assert_eq!(PacketTable::X25.read(&root).unwrap().unwrap(), b"new");
    fs::remove_dir_all(root).unwrap();
}
