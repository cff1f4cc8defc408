use super::*;

fn route4(flags: u32) -> Route4 {
    Route4 {
        iface: b"averylongname15".to_vec(),
        destination: [10, 1, 0, 0].into(),
        gateway: [192, 0, 2, 1].into(),
        mask: [255, 255, 0, 0].into(),
        flags,
        refs: -5,
        used: 123_456_789,
        metric: 4_278_198_272,
        mss: 1340,
        window: 5000,
        irtt: i64::MAX,
    }
}

fn table4(flags: &[u32], columns: RouteColumns) -> String {
    let mut out = Vec::new();
    for &flags in flags {
        let route = route4(flags);
        row4(&mut out, &Row { route: &route, destination: b"a-network.that-is-long", gateway: b"gw" }, columns);
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn rows_of_ipv4() {
    assert_eq!(
        table4(&[0x3, 0x205], RouteColumns::Plain),
        "a-network.that- gw              255.255.0.0     UG     1340 5000      -1 averylongname15\n\
         a-network.that- -               255.255.0.0     !H        - -          - -\n"
    );
    assert_eq!(
        table4(&[0x1, 0x201], RouteColumns::Extended),
        "a-network.that- gw              255.255.0.0     U     -16769024 -5 123456789 averylongname15\n\
         a-network.that- -               255.255.0.0     !     -16769024 -  123456789 -\n"
    );
    assert_eq!(
        table4(&[0x1, 0x201], RouteColumns::Both),
        "a-network.that- gw              255.255.0.0     U     -16769024 -5  123456789 averyl   1340  5000   -1\n\
         a-network.that- -               255.255.0.0     !     -16769024 -  123456789 -        -     -      -\n"
    );
}

#[test]
fn flags_as_letters() {
    assert_eq!(flags4(u32::MAX), "!HRDMdacoecfpluwin");
    assert_eq!(flags4(!RTF_REJECT), "UGHRDMdacoecfpluwin");
    assert_eq!(flags6(u32::MAX), "U!GHDACaemnf");
    assert_eq!(flags6(0), "");
}

#[test]
fn rows_of_ipv6() {
    let route = Route6 {
        iface: b"lo\x1b".to_vec(),
        destination: "2001:db8::".parse().unwrap(),
        prefix: 64,
        next_hop: "::".parse().unwrap(),
        metric: u32::MAX,
        refs: 1,
        used: 0,
        flags: 0x20_0200,
    };
    let mut out = Vec::new();
    row6(&mut out, &Row { route: &route, destination: b"2001:db8::", gateway: b"[::]" });
    json6(&mut out, &route);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "2001:db8::/64                  [::]                       !n   -1  1      0 lo\\x1b\n\
         {\"family\":\"inet6\",\"destination\":\"2001:db8::/64\",\"next_hop\":\"::\",\"flag\":\"!n\",\
         \"met\":4294967295,\"ref\":1,\"use\":0,\"if\":\"lo\\u001b\"}\n"
    );
}

#[test]
fn headings() {
    let text = |lang: &Lang, print: &dyn Fn(&mut Vec<u8>, &Lang)| {
        let mut out = Vec::new();
        print(&mut out, lang);
        String::from_utf8(out).unwrap()
    };
    let german = Lang::german_utf8();
    assert_eq!(
        text(&german, &|out, lang| heading4(out, lang, RouteColumns::new(0))),
        "Kernel-IP-Routentabelle\n\
         Ziel            Router          Genmask         Flags   MSS Fenster irtt Iface\n"
    );
    assert_eq!(
        text(&german, &|out, lang| heading4(out, lang, RouteColumns::new(3))),
        "Kernel-IP-Routentabelle\n\
         Ziel            Gateway         Maske           Flags Metric Ref    Benutzer Iface    MSS   Fenster irtt\n"
    );
    assert_eq!(
        text(&german, &|out, lang| heading4_cache(out, lang, RouteColumns::Plain)),
        "Kernel-IP-Routencache\nQuelle          Ziel            Maske           Flags   MSS Fenster irtt Iface\n"
    );
    assert_eq!(
        text(&german, &|out, lang| heading6(out, lang, false)),
        "Kernel-IPv6-Routentabelle\n\
         Destination                    Next Hop                   Flag Met Ref  Use If\n"
    );
    assert!(text(&Lang::ENGLISH, &|out, lang| heading6(out, lang, true)).starts_with("Kernel IPv6 routing cache\n"));
}

#[test]
fn ipv4_as_json() {
    let mut out = Vec::new();
    json4(&mut out, &route4(0x3));
    json4(&mut out, &Route4 { irtt: 0, ..route4(0x201) });
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "{\"family\":\"inet\",\"destination\":\"10.1.0.0\",\"gateway\":\"192.0.2.1\",\"genmask\":\"255.255.0.0\",\
         \"flags\":\"UG\",\"metric\":4278198272,\"ref\":-5,\"use\":123456789,\"iface\":\"averylongname15\",\
         \"mss\":1340,\"window\":5000,\"irtt\":9223372036854775807}\n\
         {\"family\":\"inet\",\"destination\":\"10.1.0.0\",\"gateway\":null,\"genmask\":\"255.255.0.0\",\
         \"flags\":\"!\",\"metric\":4278198272,\"ref\":null,\"use\":123456789,\"iface\":null,\
         \"mss\":null,\"window\":null,\"irtt\":null}\n"
    );
}
