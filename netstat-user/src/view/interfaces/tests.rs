use super::*;
use crate::model::net::{DeviceMap, Inet6Address};

fn sample() -> Interface {
    Interface {
        name: b"averylongname15".to_vec(),
        flags: 0x1043,
        mtu: 1500,
        hardware: Some(1),
        address: [2, 3, 4, 5, 6, 7, 0, 0],
        queue: Some(1000),
        map: DeviceMap { mem_start: 0xfe00_0000, mem_end: 0xfe02_0000, base_addr: 0xff, irq: 16, dma: 3, port: 0 },
        inet: Some(InetAddress {
            address: [10, 0, 0, 1].into(),
            netmask: None,
            broadcast: Some([10, 0, 0, 255].into()),
            destination: None,
        }),
        inet6: vec![
            Inet6Address { address: "::1.2.3.4".parse().unwrap(), prefix: 96, scope: 0x80 },
            Inet6Address { address: "fe80::1".parse().unwrap(), prefix: 64, scope: 0x20 },
            Inet6Address { address: "2001:db8::1".parse().unwrap(), prefix: 64, scope: 0x01 },
        ],
        counters: Some(Traffic {
            rx_bytes: 560_125_540,
            rx_packets: 2,
            rx_errors: 3,
            rx_dropped: 4,
            rx_fifo: 5,
            rx_frame: 6,
            rx_compressed: 7,
            rx_multicast: 8,
            tx_bytes: 1024,
            tx_packets: 10,
            tx_errors: 11,
            tx_dropped: 12,
            tx_fifo: 13,
            collisions: 14,
            tx_carrier: 15,
            tx_compressed: 16,
        }),
    }
}

fn print(with: impl Fn(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    with(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_table() {
    let alias = Interface { name: b"eth1:9".to_vec(), flags: 0, counters: None, ..sample() };
    let table = |lang: &Lang| {
        print(|out| {
            title(out, lang);
            heading(out, lang);
            row(out, &sample(), lang);
            row(out, &alias, lang);
        })
    };
    assert_eq!(
        table(&Lang::ENGLISH),
        "Kernel Interface table\n\
         Iface             MTU    RX-OK RX-ERR RX-DRP RX-OVR    TX-OK TX-ERR TX-DRP TX-OVR Flg\n\
         averylongname15  1500        2      3      4 5            10     11     12     13 BMRU\n\
         eth1:9           1500      - no statistics available -                        [NO FLAGS]\n"
    );
    assert!(
        table(&Lang::german_utf8())
            .ends_with("eth1:9           1500      - keine Statistiken verfügbar -                   [KEINE FLAGS]\n")
    );
}

#[test]
fn a_block() {
    assert_eq!(
        print(|out| block(out, &sample(), &Lang::ENGLISH)),
        "averylongname15: flags=4163<UP,BROADCAST,RUNNING,MULTICAST>  mtu 1500
        inet 10.0.0.1  netmask [NONE SET]  broadcast 10.0.0.255
        inet6 ::1.2.3.4  prefixlen 96  scopeid 0x80<compat,global>
        inet6 fe80::1  prefixlen 64  scopeid 0x20<link>
        inet6 2001:db8::1  prefixlen 64  scopeid 0x1
        ether 02:03:04:05:06:07  txqueuelen 1000  (Ethernet)
        RX packets 2  bytes 560125540 (534.1 MiB)
        RX errors 3  dropped 4  overruns 5  frame 6
        TX packets 10  bytes 1024 (1024.0 B)
        TX errors 11  dropped 12 overruns 13  carrier 15  collisions 14
        device interrupt 16  memory 0xfe000000-fe020000    dma 0x3

"
    );
    let bare = Interface { name: b"l\x1b".to_vec(), flags: 0xe000, hardware: Some(772), ..Interface::default() };
    assert_eq!(
        print(|out| block(out, &bare, &Lang::german_utf8())),
        "l\\x1b: flags=-8192<DYNAMIC>  mtu 0\n        loop  (Lokale Schleife)\n        media unknownautoselect\n\n"
    );
    assert!(print(|out| block(out, &Interface { flags: 0, ..bare.clone() }, &Lang::ENGLISH)).contains("flags=0<  mtu"));
}

#[test]
fn bytes_for_people() {
    for (bytes, text) in [
        (0, "0.0 B"),
        (1024, "1024.0 B"),
        (1025, "1.0 KiB"),
        (1127, "1.1 KiB"),
        ((1 << 60) - 1, "1023.9 PiB"),
        (1 << 60, "1024.0 PiB"),
        (1 << 63, "8.0 EiB"),
        (u64::MAX, "16.0 EiB"),
    ] {
        assert_eq!(human(bytes), text);
    }
}

#[test]
fn an_object() {
    let text = print(|out| json(out, &sample()));
    assert!(text.starts_with("{\"iface\":\"averylongname15\",\"mtu\":1500,\"rx_ok\":2,\"rx_err\":3,\"rx_drp\":4,"));
    assert!(text.contains("\"flg\":\"BMRU\",\"flags\":4163,\"inet\":\"10.0.0.1\",\"netmask\":null,"));
    assert!(text.contains("\"inet6\":[\"::102:304/96\",\"fe80::1/64\",\"2001:db8::1/64\"],\"hardware\":\"ether\","));
}
