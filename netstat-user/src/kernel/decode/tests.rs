use super::*;

/// A close record as the programs write it, with every field different.
fn close() -> Vec<u8> {
    let mut b = vec![3, 0, 0, 3, abi::linux::AF_INET, abi::HAS_TUPLE | abi::HAS_UID | abi::HAS_INODE];
    b.extend(6u16.to_ne_bytes());
    for word in [1_000u64, abi::UNKNOWN_NS, 77, 123] {
        b.extend(word.to_ne_bytes());
    }
    for word in [4_026_531_840u32, 1000, 9940, 555] {
        b.extend(word.to_ne_bytes());
    }
    b.extend([47_951u16.to_ne_bytes(), 80u16.to_ne_bytes()].concat());
    b.extend(888u32.to_ne_bytes());
    b.extend([[127, 0, 0, 1].as_slice(), &[0; 12], &[10, 0, 0, 2], &[0; 12]].concat());
    for word in [5_000u64, 11, 22] {
        b.extend(word.to_ne_bytes());
    }
    for word in [33u32, 2, 9941, 556] {
        b.extend(word.to_ne_bytes());
    }
    b.extend([1, abi::HAS_TOTALS, 0, 0, 0, 0, 0, 0]);
    b
}

fn name_of(process: RecordProcess) -> Comm {
    Comm::new(match process {
        (9940, 555) => b"curl",
        (9941, 556) => b"sh",
        _ => b"somebody else",
    })
}

fn read(bytes: &[u8], epoch_ns: u64) -> Result<(Option<SocketEvent>, SocketEvent), DecodeError> {
    match decode(bytes, epoch_ns, name_of)? {
        Decoded::Event { birth, event } => Ok((birth, event)),
        other => panic!("not an event: {other:?}"),
    }
}

#[test]
fn reads_processes() {
    let mut b = [[4, 0, 0, 0], 77u32.to_ne_bytes(), 88u32.to_ne_bytes(), [0; 4]].concat();
    b.extend(b"bash\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(decode(&b, 0, name_of), Ok(Decoded::Name((77, 88), Comm::new(b"bash"))));
    b[0] = 5;
    assert_eq!(decode(&b, 0, name_of), Ok(Decoded::Gone((77, 88))));
    assert_eq!(decode(&b[1..], 0, name_of), Err(DecodeError::Tag { what: "record kind", tag: 0 }));
    assert_eq!(decode(&b[..31], 0, name_of), Err(DecodeError::Length(31)));
}

#[test]
fn reads_every_field() {
    let event = read(&close(), 5).unwrap().1;
    assert_eq!(event.time_ns, 1_005);
    assert_eq!(event.proto, Proto::Tcp);
    assert_eq!(event.local.unwrap(), EventEnd { addr: [127, 0, 0, 1].into(), port: Some(47_951) });
    assert_eq!(event.remote.unwrap(), EventEnd { addr: [10, 0, 0, 2].into(), port: Some(80) });
    assert_eq!(
        event.owner.unwrap(),
        Owner {
            pid: 9940,
            comm: Comm::new(b"curl"),
            grade: Grade::Inherited,
            cgroup_id: NonZeroU64::new(888),
            start: 555
        }
    );
    assert_eq!(
        (event.uid, event.inode, event.cookie, event.netns),
        (Some(1000), Some(123), Some(77), Some(0xf000_0000))
    );
    let EventKind::Close(totals) = event.kind else { panic!("not a close") };
    assert_eq!(
        totals,
        Totals {
            duration_ns: Some(5_000),
            rx_bytes: Some(11),
            tx_bytes: Some(22),
            rtt_us: Some(33),
            retransmits: Some(2),
            reason: CloseReason::ResetReceived,
            closed_by: Some(Closer { pid: 9941, comm: Comm::new(b"sh"), start: 556 }),
        }
    );
}

#[test]
fn a_birth_is_reported_before_the_first_transition() {
    let mut b = close()[..size_of::<abi::Record>()].to_vec();
    (b[0], b[1], b[2]) = (2, 3, 1);
    b[5] |= abi::BORN;
    b[16..24].copy_from_slice(&400u64.to_ne_bytes());
    let (Some(birth), event) = read(&b, 0).unwrap() else { panic!("no birth") };
    assert_eq!((birth.time_ns, event.time_ns), (600, 1_000));
    let kind = |old, new, ns| EventKind::State { old, new, in_state_ns: Some(ns) };
    assert_eq!(birth.kind, kind(TcpState::Listen, TcpState::SynRecv, 0));
    assert_eq!(event.kind, kind(TcpState::SynRecv, TcpState::Established, 400));
    assert_eq!((birth.cookie, birth.owner, birth.remote), (event.cookie, event.owner, event.remote));
    b[5] &= !abi::BORN;
    assert_eq!(read(&b, 0).unwrap().0, None);
}

#[test]
fn unknown_is_none() {
    let mut b = close();
    b[3] = 0;
    b[5] = 0;
    b[24..32].fill(0);
    b[137] = 0;
    let event = read(&b, 0).unwrap().1;
    assert_eq!((event.local, event.remote, event.owner, event.uid, event.inode, event.cookie), Default::default());
    assert!(matches!(event.kind, EventKind::Close(Totals { rx_bytes: None, tx_bytes: None, retransmits: None, .. })));
}

#[test]
fn refuses_what_the_programs_do_not_write() {
    let whole = close();
    for len in 0..whole.len() {
        assert_eq!(read(&whole[..len], 0), Err(DecodeError::Length(len)));
    }
    for (at, what) in [(0, "record kind"), (3, "owner grade"), (4, "address family"), (136, "close reason")] {
        let mut b = whole.clone();
        b[at] = 200;
        assert_eq!(read(&b, 0), Err(DecodeError::Tag { what, tag: 200 }), "byte {at}");
    }
    let mut state = whole[..size_of::<abi::Record>()].to_vec();
    state[0] = 2;
    assert_eq!(read(&state, 0), Err(DecodeError::Tag { what: "TCP state", tag: 0 }));
}
