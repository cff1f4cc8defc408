use super::*;
use crate::model::{CloseReason, Comm, Grade, Owner, Proto, TcpState, Totals};

fn event(kind: EventKind) -> SocketEvent {
    SocketEvent {
        time_ns: 1_769_860_800_123_456_789,
        kind,
        proto: Proto::Tcp,
        local: Some(EventEnd { addr: [127, 0, 0, 1].into(), port: Some(47_951) }),
        remote: Some(EventEnd { addr: [127, 0, 0, 1].into(), port: Some(80) }),
        owner: Some(Owner { pid: 9940, comm: Comm::new(b"curl"), grade: Grade::Created, cgroup_id: None, start: 0 }),
        uid: Some(1000),
        inode: Some(123),
        cookie: Some(77),
        netns: Some(4_026_531_840),
    }
}

fn state() -> EventKind {
    EventKind::State { old: TcpState::SynSent, new: TcpState::Established, in_state_ns: Some(35_120) }
}

fn form(json: bool) -> Form {
    if json { Form::Json } else { Form::Full }
}

fn line(json: bool, event: SocketEvent) -> String {
    let mut out = Vec::new();
    EventView::new(form(json)).write(&mut out, &Event::Socket(event), None);
    String::from_utf8(out).unwrap()
}

#[test]
fn the_contract_line() {
    assert_eq!(
        line(true, event(state())),
        concat!(
            r#"{"time":"2026-01-31T12:00:00.123456789Z","event":"state","proto":"tcp","local":{"addr":"127.0.0.1","port":47951},"#,
            r#""remote":{"addr":"127.0.0.1","port":80},"old_state":"SYN_SENT","new_state":"ESTABLISHED","in_state_ns":35120,"#,
            r#""pid":9940,"comm":"curl","uid":1000,"owner":"created","inode":123,"cookie":77,"netns":4026531840}"#,
            "\n"
        )
    );
}

#[test]
fn ipv4_compatible_addresses_are_dotted() {
    let mut compatible = event(state());
    compatible.remote = Some(EventEnd { addr: "::7f00:1".parse().unwrap(), port: Some(80) });
    assert!(line(true, compatible).contains("\"remote\":{\"addr\":\"::127.0.0.1\",\"port\":80}"));
    assert!(line(false, compatible).contains(" ::127.0.0.1:80 "));
}

#[test]
fn a_namespace_is_named_where_it_has_a_name() {
    let named = |json| {
        let mut out = Vec::new();
        EventView::new(form(json)).write(&mut out, &Event::Socket(event(EventKind::Open)), Some(b"a\"b\n"));
        String::from_utf8(out).unwrap()
    };
    assert!(named(true).ends_with(",\"netns\":4026531840}\n"), "the fields of JSON are fixed: {}", named(true));
    assert!(named(false).ends_with(" netns=4026531840 direction=out netns_name=a\"b\\n\n"), "{}", named(false));
}

#[test]
fn unknown_is_null() {
    let mut unknown = event(EventKind::Open);
    (unknown.local, unknown.remote, unknown.owner) = (None, None, None);
    (unknown.uid, unknown.inode, unknown.cookie, unknown.netns) = (None, None, None, None);
    assert_eq!(
        line(true, unknown),
        concat!(
            r#"{"time":"2026-01-31T12:00:00.123456789Z","event":"open","proto":"tcp","local":null,"remote":null,"pid":null,"#,
            r#""comm":null,"uid":null,"owner":null,"inode":null,"cookie":null,"netns":null}"#,
            "\n"
        )
    );
    assert_eq!(
        line(false, unknown),
        "2026-01-31T12:00:00.123456789Z open  tcp      -                       -                       -\
         \u{20}                         -                      -         uid=- inode=- cookie=- netns=- direction=-\n"
    );
}

#[test]
fn totals_of_a_close() {
    let totals = Totals {
        duration_ns: Some(5),
        rx_bytes: Some(11),
        tx_bytes: None,
        rtt_us: None,
        retransmits: Some(0),
        reason: CloseReason::ResetSent,
        closed_by: Some(Closer { pid: 7, comm: Comm::new(b"sh"), start: 0 }),
    };
    let json = line(true, event(EventKind::Close(totals)));
    assert!(json.ends_with(
        "\"netns\":4026531840,\"duration_ns\":5,\"rx_bytes\":11,\"tx_bytes\":null,\"rtt_us\":null,\"retransmits\":0,\
         \"reason\":\"reset_sent\",\"closed_by\":{\"pid\":7,\"comm\":\"sh\"}}\n"
    ));
    assert!(!json.contains("_state"));
    let text = line(false, event(EventKind::Close(totals)));
    assert!(text.ends_with(" duration_ns=5 rx_bytes=11 tx_bytes=- rtt_us=- retransmits=0 closed_by=7/sh\n"), "{text}");
}

#[test]
fn a_life_has_its_states() {
    let totals = Totals {
        duration_ns: Some(5),
        rx_bytes: Some(11),
        tx_bytes: None,
        rtt_us: None,
        retransmits: Some(0),
        reason: CloseReason::Refused,
        closed_by: None,
    };
    let mut ended = Ended::default();
    let life = |json, ended: &Ended| {
        let mut out = Vec::new();
        EventView::new(form(json)).write_life(&mut out, &event(EventKind::Close(totals)), ended, None);
        String::from_utf8(out).unwrap()
    };
    assert!(life(true, &ended).ends_with("\"closed_by\":null,\"states\":{}}\n"));
    assert!(life(false, &ended).ends_with(" closed_by=- states_ns=-\n"));
    ended.times.add(TcpState::Established, None);
    ended.times.add(TcpState::SynSent, Some(35_120));
    assert!(life(true, &ended).ends_with(",\"states\":{\"SYN_SENT\":35120,\"ESTABLISHED\":null}}\n"));
    assert!(life(false, &ended).ends_with(" states_ns=SYN_SENT:35120,ESTABLISHED:-\n"));
}

#[test]
fn names_cannot_break_a_line() {
    let mut odd = event(state());
    odd.owner =
        Some(Owner { pid: 1, comm: Comm::new(b"a\"\n\x1b[2J\xff"), grade: Grade::Created, cgroup_id: None, start: 0 });
    assert!(line(true, odd).contains("\"comm\":\"a\\\"\\n\\u001b[2J\u{fffd}\""));
    let mut out = Vec::new();
    EventView::new(Form::Full).write(&mut out, &Event::Socket(odd), None);
    assert_eq!(out.iter().filter(|byte| byte.is_ascii_control()).count(), 1, "only the end of the line");
}

#[test]
fn ports_and_addresses() {
    let mut connecting = event(state());
    connecting.local = Some(EventEnd { addr: "::ffff:1.2.3.4".parse().unwrap(), port: None });
    connecting.remote = Some(EventEnd { addr: "2001:db8::1".parse().unwrap(), port: Some(0) });
    assert!(line(true, connecting).contains(
        "\"local\":{\"addr\":\"::ffff:1.2.3.4\",\"port\":null},\"remote\":{\"addr\":\"2001:db8::1\",\"port\":0}"
    ));
    assert!(
        line(false, connecting)
            .contains(" ::ffff:1.2.3.4:-        2001:db8::1:*           SYN_SENT    -> ESTABLISHED 9940/curl ")
    );
}

#[test]
fn losses() {
    let mut out = Vec::new();
    EventView::new(Form::Json).write(&mut out, &Event::Lost { time_ns: 0, count: 12 }, None);
    EventView::new(Form::Full).write(&mut out, &Event::Lost { time_ns: 951_782_400_000_000_001, count: 3 }, None);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "{\"event\":\"lost\",\"count\":12}\n2000-02-29T00:00:00.000000001Z lost  3 events: the ring buffer was full, or the kernel left out a program\n"
    );
    let mut out = Vec::new();
    EventView::new(Form::Full).write(&mut out, &Event::Lost { time_ns: 0, count: 1 }, None);
    assert!(String::from_utf8(out).unwrap().contains("Z lost  1 event: the ring"));
}
