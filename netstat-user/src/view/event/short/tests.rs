use super::*;
use crate::model::{CloseReason, Comm, Ended, Grade, Proto, TcpState, Totals};
use proptest::prelude::*;

fn owner(pid: u32, grade: Grade) -> Option<Owner> {
    Some(Owner { pid, comm: Comm::new(b"python3"), grade, cgroup_id: None, start: 0 })
}

fn event(kind: EventKind) -> SocketEvent {
    SocketEvent {
        time_ns: 1_769_860_800_123_456_789,
        kind,
        proto: Proto::Tcp,
        local: Some(EventEnd { addr: [127, 0, 0, 1].into(), port: Some(53_812) }),
        remote: Some(EventEnd { addr: [127, 0, 0, 1].into(), port: Some(8080) }),
        owner: owner(17_029, Grade::Created),
        uid: Some(1000),
        inode: Some(123),
        cookie: Some(77),
        netns: Some(4_026_531_840),
    }
}

fn totals(reason: CloseReason) -> Totals {
    Totals {
        duration_ns: Some(3_004_000_000),
        rx_bytes: Some(1_300_000),
        tx_bytes: Some(300),
        rtt_us: Some(35),
        retransmits: Some(0),
        reason,
        closed_by: None,
    }
}

fn look(width: Option<u16>) -> Short {
    Short::new(Look { width, colour: false, offset: |_| 3_600, home: None })
}

fn line(view: &mut Short, event: &SocketEvent) -> String {
    let mut out = Vec::new();
    view.event(&mut out, event, None);
    String::from_utf8(out).unwrap()
}

fn life(view: &mut Short, event: &SocketEvent, ended: &Ended) -> String {
    let mut out = Vec::new();
    view.life(&mut out, event, ended, None);
    String::from_utf8(out).unwrap()
}

const CONNECT: EventKind =
    EventKind::State { old: TcpState::SynSent, new: TcpState::Established, in_state_ns: Some(35_120) };

#[test]
fn each_event_at_a_glance() {
    let mut view = look(None);
    let mut open = event(EventKind::Open);
    (open.local, open.remote) = (None, None);
    let mut accepted =
        event(EventKind::State { old: TcpState::Established, new: TcpState::CloseWait, in_state_ns: None });
    accepted.owner = owner(8, Grade::Accepted);
    let mut listens = event(EventKind::State { old: TcpState::Close, new: TcpState::Listen, in_state_ns: None });
    listens.remote = Some(EventEnd { addr: [0, 0, 0, 0].into(), port: Some(0) });
    let mut nobodys = event(CONNECT);
    nobodys.owner = None;
    let events = [
        open,
        event(CONNECT),
        accepted,
        listens,
        nobodys,
        event(EventKind::Close(totals(CloseReason::Closed))),
        event(EventKind::Close(totals(CloseReason::ResetReceived))),
    ];
    let lines: String = events.iter().map(|event| line(&mut view, event)).collect();
    assert_eq!(
        lines,
        "13:00:00.123456 open  tcp  -                  -                                         17029/python3 created\n\
         13:00:00.123456 state tcp  127.0.0.1:53812 -> 127.0.0.1:8080  SYN_SENT -> ESTABLISHED   17029/python3 created\n\
         13:00:00.123456 state tcp  127.0.0.1:53812 <- 127.0.0.1:8080  ESTABLISHED -> CLOSE_WAIT 8/python3 accepted\n\
         13:00:00.123456 state tcp  127.0.0.1:53812    0.0.0.0:*       CLOSE -> LISTEN           17029/python3 created\n\
         13:00:00.123456 state tcp  127.0.0.1:53812 -> 127.0.0.1:8080  SYN_SENT -> ESTABLISHED   -\n\
         13:00:00.123456 close tcp  127.0.0.1:53812 -> 127.0.0.1:8080  closed 3.00s rx 1.2M tx 300 17029/python3 created\n\
         13:00:00.123456 close tcp  127.0.0.1:53812 -> 127.0.0.1:8080  reset_received 3.00s rx 1.2M tx 300 17029/python3 created\n"
    );
}

#[test]
fn an_empty_name_is_shown() {
    let mut nameless = event(EventKind::Open);
    nameless.owner = owner(7, Grade::Created).map(|owner| Owner { comm: Comm::new(b""), ..owner });
    assert!(line(&mut look(None), &nameless).ends_with(" 7/\"\" created\n"));
}

#[test]
fn a_narrow_terminal_has_the_essence() {
    let mut view = look(Some(80));
    let events = [
        event(EventKind::Open),
        event(CONNECT),
        event(EventKind::Close(totals(CloseReason::Closed))),
        event(EventKind::Close(totals(CloseReason::ResetReceived))),
    ];
    let lines: String = events.iter().map(|event| line(&mut view, event)).collect();
    assert_eq!(
        lines,
        "13:00:00.123456 tcp  127.0.0.1:53812 -> 127.0.0.1:8080  open        17029/pytho~\n\
         13:00:00.123456 tcp  127.0.0.1:53812 -> 127.0.0.1:8080  ESTABLISHED 17029/pytho~\n\
         13:00:00.123456 tcp  127.0.0.1:53812 -> 127.0.0.1:8080  closed 3.00s 17029/pyth~\n\
         13:00:00.123456 tcp  127.0.0.1:53812 -> 127.0.0.1:8080  reset_received 17029/py~\n"
    );
}

/// Long addresses make their own line longer, not those after it, and leave nothing out.
#[test]
fn long_addresses_are_never_cut_and_have_the_rest_below() {
    let long = |last: &str, port| EventEnd {
        addr: format!("2001:db8:1234:5678:9abc:def0:1234:{last}").parse().unwrap(),
        port: Some(port),
    };
    let far = |kind| {
        let ends = (Some(long("5672", 45_786)), Some(long("5671", 18_081)));
        SocketEvent { proto: Proto::Tcp6, local: ends.0, remote: ends.1, ..event(kind) }
    };
    let close = EventKind::Close(totals(CloseReason::ResetSent));
    let ends = "2001:db8:1234:5678:9abc:def0:1234:5672:45786 -> 2001:db8:1234:5678:9abc:def0:1234:5671:18081";
    for width in [80, 120] {
        let mut view = look(Some(width));
        let before = line(&mut view, &event(CONNECT));
        let word = if width == 80 { "" } else { "close " };
        let whole = "reset_sent 3.00s rx 1.2M tx 300 17029/python3 created";
        assert_eq!(
            line(&mut view, &far(close)),
            format!("13:00:00.123456 {word}tcp6 {ends}\n                {whole}\n")
        );
        assert_eq!(line(&mut view, &event(CONNECT)), before, "{width}: the lines after it are as those before");
    }
    let mut file = look(None);
    let before = line(&mut file, &event(close));
    assert_eq!(
        line(&mut file, &far(close)),
        format!("13:00:00.123456 close tcp6 {ends} reset_sent 3.00s rx 1.2M tx 300 17029/python3 created\n"),
        "a file has one line for each"
    );
    assert_eq!(line(&mut file, &event(close)), before);
    // One that fits half: an owner is never without its name.
    let one = SocketEvent { local: event(CONNECT).local, ..far(CONNECT) };
    let text = line(&mut look(Some(100)), &one);
    assert!(text.lines().count() == 2 && text.ends_with("\n                17029/python3 created\n"), "{text}");
}

fn whole_life() -> Ended {
    let mut ended = Ended { direction: Some(Direction::Out), ..Ended::default() };
    for (state, ns) in [
        (TcpState::Close, 44_577),
        (TcpState::SynSent, 35_120),
        (TcpState::Established, 3_000_000_000),
        (TcpState::FinWait1, 20_000),
        (TcpState::FinWait2, 8_000),
    ] {
        ended.times.add(state, Some(ns));
    }
    ended
}

#[test]
fn a_life_in_one_line() {
    let (ended, closed) = (whole_life(), event(EventKind::Close(totals(CloseReason::Closed))));
    let whole = "13:00:00.123456 tcp  127.0.0.1:53812 -> 127.0.0.1:8080  closed 3.00s rx 1.2M tx 300 rtt 35us retrans 0 \
                 17029/python3 created connect 35us, established 3.00s, closing 28us\n";
    assert_eq!(life(&mut look(None), &closed, &ended), whole);
    assert_eq!(life(&mut look(Some(whole.len() as u16)), &closed, &ended), whole);
    let mut datagrams = closed;
    datagrams.proto = Proto::Udp;
    assert!(life(&mut look(None), &datagrams, &Ended::default()).ends_with(" retrans 0 17029/python3 created\n"));
    assert_eq!(life(&mut look(Some(125)), &datagrams, &Ended::default()).lines().count(), 1);
}

#[test]
fn a_life_on_a_terminal_lacks_nothing() {
    let (ended, closed) = (whole_life(), event(EventKind::Close(totals(CloseReason::Closed))));
    assert_eq!(
        life(&mut look(Some(120)), &closed, &ended),
        "13:00:00.123456 tcp  127.0.0.1:53812 -> 127.0.0.1:8080  closed 3.00s rx 1.2M tx 300 rtt 35us retrans 0 17029/python3\n\
        \x20               connect 35us, established 3.00s, closing 28us owner created\n"
    );
    assert_eq!(
        life(&mut look(Some(80)), &closed, &ended),
        "13:00:00.123456 tcp  127.0.0.1:53812 -> 127.0.0.1:8080  closed 3.00s 17029/pyth~\n\
        \x20 rx 1.2M tx 300 rtt 35us retrans 0 connect 35us, est 3.00s, closing 28us\n"
    );
    let facts =
        ["closed", "3.00s", "rx 1.2M", "tx 300", "rtt 35us", "retrans 0", "17029/pyt", "connect 35us,", "closing 28us"];
    for width in 80..200 {
        let fitted = life(&mut look(Some(width)), &closed, &ended);
        assert!(fitted.lines().all(|line| line.len() <= usize::from(width)), "{width}: {fitted}");
        assert!(facts.iter().all(|fact| fitted.contains(fact)), "{width}: {fitted}");
        assert!(fitted.lines().count() <= 2, "{width}: {fitted}");
        assert!(fitted.contains("est 3.00s") || fitted.contains("established 3.00s"), "{width}: {fitted}");
    }
    // Where the ends alone fill the line, the owner is below, too.
    let mut far = closed;
    far.proto = Proto::Tcp6;
    far.remote = Some(EventEnd { addr: "2001:db8:1111:2222:3333:4444:5555:6666".parse().unwrap(), port: Some(65_535) });
    let fitted = life(&mut look(Some(80)), &far, &ended);
    assert!(fitted.lines().skip(1).all(|line| line.starts_with("  ") && line.len() <= 80), "{fitted}");
    assert!(fitted.contains("\n  3.00s rx 1.2M tx 300 rtt 35us retrans 0 17029/python3 connect 35us,"), "{fitted}");
}

#[test]
fn events_from_elsewhere_have_their_namespace() {
    let mut view = Short::new(Look { width: Some(120), colour: false, offset: |_| 0, home: Some(7) });
    let mut written = |event: &SocketEvent, netns: Option<&[u8]>| {
        let mut out = Vec::new();
        view.event(&mut out, event, netns);
        view.life(&mut out, event, &whole_life(), netns);
        String::from_utf8(out).unwrap()
    };
    let (connect, closed) = (event(CONNECT), event(EventKind::Close(totals(CloseReason::Closed))));
    assert!(written(&connect, Some(b"blue\n")).contains(" 17029/python3 created @blue\\n\n"));
    let numbered = written(&closed, None);
    assert!(numbered.lines().take(2).all(|line| line.contains(" @4026531840") && line.len() <= 120), "{numbered}");
    let mut home = connect;
    home.netns = Some(7);
    assert!(!written(&home, Some(b"red")).contains('@'));
    view.set_width(Some(80));
    let mut out = Vec::new();
    view.event(&mut out, &connect, Some(b"blue"));
    assert!(out.ends_with(b" ESTABLISHED 17029 @blue\n"), "{}", String::from_utf8_lossy(&out));
    // Nor is one lost that has no room beside its owner.
    for event in [connect, closed, event(EventKind::Close(totals(CloseReason::ResetReceived)))] {
        for width in [80, 90, 100, 120] {
            view.set_width(Some(width));
            let mut out = Vec::new();
            view.event(&mut out, &event, None);
            let text = String::from_utf8(out).unwrap();
            assert!(text.ends_with(" @4026531840\n"), "{width}: {text}");
            assert!(text.lines().all(|line| line.len() <= width.into()), "{width}: {text}");
            assert_eq!(text.lines().count(), if width == 80 { 2 } else { 1 }, "{width}: {text}");
        }
    }
}

/// What docs/events.md says: first the bytes, then how the owner is known, the end of its name, the duration.
#[test]
fn what_does_not_fit_is_left_out_in_order() {
    let facts = |width: u16| {
        let text = line(&mut look(Some(width)), &event(EventKind::Close(totals(CloseReason::Closed))));
        [" rx 1.2M", " created", "/python3", " 3.00s"].map(|fact| text.contains(fact))
    };
    let mut before = facts(200);
    assert_eq!(before, [true; 4]);
    for width in (72..200).rev() {
        let now = facts(width);
        // No fact is there while one that is worth less is, too, and none comes back.
        let narrow = now.is_sorted() && now.iter().zip(before).all(|(now, before)| before || !now);
        // The form of narrow terminals has more room for the rest.
        assert!(narrow || now.is_sorted() && width < 112, "{width}: {now:?} after {before:?}");
        before = now;
    }
}

#[test]
fn colour_is_for_states_failures_and_own_words() {
    let mut view = Short::new(Look { width: None, colour: true, offset: |_| 0, home: None });
    let connect = line(&mut view, &event(CONNECT));
    let states = "\x1b[2mSYN_SENT\x1b[0m\x1b[2m -> \x1b[0m\x1b[32mESTABLISHED\x1b[0m   17029/python3";
    assert!(connect.contains(states), "{connect:?}");
    let reset = line(&mut view, &event(EventKind::Close(totals(CloseReason::ResetReceived))));
    assert!(reset.contains("\x1b[31mreset_received\x1b[0m 3.00s"), "{reset:?}");
    let plain = |text: &str| {
        let mut rest = text;
        let mut out = String::new();
        while let Some((before, after)) = rest.split_once("\x1b[") {
            out.push_str(before);
            rest = after.split_once('m').unwrap().1;
        }
        out + rest
    };
    let uncoloured =
        line(&mut Short::new(Look { width: None, colour: false, offset: |_| 0, home: None }), &event(CONNECT));
    assert_eq!(plain(&connect), uncoloured);
    let mut out = Vec::new();
    view.lost(&mut out, 0, 12);
    let lost = plain(&String::from_utf8(out).unwrap());
    assert_eq!(lost, "00:00:00.000000 lost  12 events: the ring buffer was full, or the kernel left out a program\n");
    let mut out = Vec::new();
    view.lost(&mut out, 0, 1);
    assert!(plain(&String::from_utf8(out).unwrap()).contains(" lost  1 event: the ring"));
}

fn end_v4() -> impl Strategy<Value = Option<EventEnd>> {
    prop_oneof![
        Just(None),
        (any::<[u8; 4]>(), prop::option::of(any::<u16>()))
            .prop_map(|(addr, port)| Some(EventEnd { addr: addr.into(), port })),
    ]
}

/// The longest life that is promised to fit: a hundred years and more.
const LIFE: u64 = 4_000_000_000_000_000_000;

fn any_kind() -> impl Strategy<Value = EventKind> {
    let state = || (0..11_usize).prop_map(|at| TcpState::ALL[at]);
    let close = (0..8_usize, prop::option::of(0..LIFE), any::<u64>(), any::<u64>());
    prop_oneof![
        Just(EventKind::Open),
        (state(), state()).prop_map(|(old, new)| EventKind::State { old, new, in_state_ns: None }),
        close.prop_map(|(reason, duration_ns, rx, tx)| EventKind::Close(Totals {
            duration_ns,
            rx_bytes: Some(rx),
            tx_bytes: Some(tx),
            ..totals(CloseReason::ALL[reason])
        })),
    ]
}

proptest! {
    #[test]
    fn every_line_of_ipv4_fits(
        kind in any_kind(),
        local in end_v4(),
        remote in end_v4(),
        pid in 1..4_194_304_u32,
        name in prop::collection::vec(any::<u8>(), 0..16),
        width in prop::option::of(120..300_u16),
    ) {
        let mut some = event(kind);
        (some.local, some.remote) = (local, remote);
        some.owner = Some(Owner { pid, comm: Comm::new(&name), grade: Grade::Inherited, cgroup_id: None, start: 0 });
        let mut view = look(width);
        let mut out = Vec::new();
        view.event(&mut out, &some, None);
        let text = out.trim_ascii_end();
        prop_assert!(columns(text) <= usize::from(width.unwrap_or(120)), "{}", String::from_utf8_lossy(&out));
        prop_assert!(out.ends_with(b"\n") && text.iter().all(|byte| !byte.is_ascii_control()));
        let ends = |from: Option<EventEnd>| {
            let mut out = Vec::new();
            end(&mut out, from);
            out
        };
        for whole in [ends(local), ends(remote), pid.to_string().into_bytes()] {
            prop_assert!(out.windows(whole.len()).any(|there| there == whole), "ends and numbers are whole");
        }
    }
}
