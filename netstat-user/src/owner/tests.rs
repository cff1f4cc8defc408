use super::*;
use crate::model::{CloseReason, Proto, Totals};

fn end(addr: &str, port: u16) -> EventEnd {
    EventEnd { addr: addr.parse().unwrap(), port: Some(port) }
}

fn event(kind: EventKind, local: EventEnd, inode: u64, cookie: u64) -> SocketEvent {
    SocketEvent {
        time_ns: 0,
        kind,
        proto: Proto::Tcp,
        local: Some(local),
        remote: Some(end("127.0.0.1", 9)),
        owner: None,
        uid: None,
        inode: Some(inode),
        cookie: Some(cookie),
        netns: Some(1),
    }
}

fn state(old: TcpState, new: TcpState) -> EventKind {
    EventKind::State { old, new, in_state_ns: None }
}

const CLOSE: EventKind = EventKind::Close(Totals::unknown(CloseReason::Closed));

fn resolved(owners: &mut Owners, mut event: SocketEvent) -> Option<(u32, Grade)> {
    owners.resolve(&mut event);
    event.owner.map(|owner| (owner.pid, owner.grade))
}

#[test]
fn a_scanned_owner_stays_when_the_inode_has_gone() {
    let mut owners = Owners::default();
    owners.scanned(5, 100, Comm::new(b"first"));
    owners.scanned(5, 200, Comm::new(b"second"));
    let here = end("127.0.0.1", 80);
    let leaving = state(TcpState::Established, TcpState::FinWait1);
    assert_eq!(resolved(&mut owners, event(leaving, here, 5, 77)), Some((100, Grade::Scanned)));
    let orphan = state(TcpState::FinWait1, TcpState::FinWait2);
    assert_eq!(resolved(&mut owners, event(orphan, here, 0, 77)), Some((100, Grade::Scanned)));
    assert_eq!(resolved(&mut owners, event(CLOSE, here, 0, 77)), Some((100, Grade::Scanned)));
    assert_eq!(resolved(&mut owners, event(orphan, here, 0, 77)), None, "forgotten once closed");
}

#[test]
fn nothing_is_kept_of_lives_that_are_over() {
    let mut owners = Owners::default();
    let there = end("127.0.0.1", 80);
    for port in 1..100 {
        let (inode, cookie) = (u64::from(port), u64::from(port) + 1000);
        owners.scanned(inode, 100, Comm::new(b"client"));
        // The local port is not chosen yet, then it is.
        let here = EventEnd { port: None, ..end("127.0.0.1", 0) };
        let beginning = SocketEvent {
            remote: Some(there),
            ..event(state(TcpState::Close, TcpState::SynSent), here, inode, cookie)
        };
        assert_eq!(resolved(&mut owners, beginning), Some((100, Grade::Scanned)));
        let here = end("127.0.0.1", port);
        for kind in
            [state(TcpState::SynSent, TcpState::Established), state(TcpState::Established, TcpState::Close), CLOSE]
        {
            resolved(&mut owners, SocketEvent { remote: Some(there), ..event(kind, here, inode, cookie) });
        }
    }
    // A request that is given up.
    owners.scanned(1, 100, Comm::new(b"server"));
    owners.listening(1, there, 1);
    for kind in [state(TcpState::Listen, TcpState::SynRecv), state(TcpState::SynRecv, TcpState::Close)] {
        assert_eq!(resolved(&mut owners, event(kind, there, 0, 7)), Some((100, Grade::Inherited)));
    }
    assert_eq!((owners.by_identity.len(), owners.by_inode.len()), (0, 1));
}

#[test]
fn a_child_inherits_from_the_one_listener_that_could_have_taken_it() {
    let mut owners = Owners::default();
    for (inode, pid) in [(1, 10), (2, 20), (3, 30)] {
        owners.scanned(inode, pid, Comm::new(b"server"));
    }
    owners.listening(1, end("0.0.0.0", 80), 1);
    owners.listening(1, end("127.0.0.2", 80), 2);
    let child = |addr| SocketEvent {
        cookie: None,
        remote: None,
        ..event(state(TcpState::Listen, TcpState::SynRecv), end(addr, 80), 0, 0)
    };
    assert_eq!(resolved(&mut owners, child("127.0.0.1")), Some((10, Grade::Inherited)));
    assert_eq!(resolved(&mut owners, child("127.0.0.2")), Some((20, Grade::Inherited)));
    assert_eq!(resolved(&mut owners, child("::ffff:127.0.0.2")), Some((20, Grade::Inherited)));
    owners.listening(1, end("::", 80), 3);
    assert_eq!(resolved(&mut owners, child("127.0.0.1")), None, "two could have taken it");
    let gone = event(state(TcpState::Listen, TcpState::Close), end("0.0.0.0", 80), 1, 9);
    assert_eq!(resolved(&mut owners, gone), Some((10, Grade::Scanned)));
    assert_eq!(resolved(&mut owners, child("127.0.0.1")), Some((30, Grade::Inherited)));
}

/// The kernel gives the number of an inode to another socket when the one that had it is gone.
#[test]
fn an_inode_that_is_used_again_has_not_its_old_owner() {
    let mut owners = Owners::default();
    owners.scanned(5, 100, Comm::new(b"first"));
    let here = end("127.0.0.1", 80);
    assert_eq!(resolved(&mut owners, event(CLOSE, here, 5, 77)), Some((100, Grade::Scanned)));
    let next = state(TcpState::Close, TcpState::SynSent);
    assert_eq!(resolved(&mut owners, event(next, end("127.0.0.1", 81), 5, 78)), None);
}

/// A connection that comes in at this address, of a listener at port 80.
fn child(addr: &str) -> SocketEvent {
    let began = state(TcpState::Listen, TcpState::SynRecv);
    SocketEvent { cookie: None, remote: None, ..event(began, end(addr, 80), 0, 0) }
}

/// Two that share a port (`SO_REUSEPORT`) are one process's; the one that is left is as good as both.
#[test]
fn listeners_of_one_process_go_one_by_one() {
    let mut owners = Owners::default();
    for inode in [1, 2] {
        owners.scanned(inode, 10, Comm::new(b"server"));
        owners.listening(1, end("127.0.0.1", 80), inode);
    }
    for (inode, left) in [(1, Some((10, Grade::Inherited))), (2, None)] {
        assert_eq!(resolved(&mut owners, child("127.0.0.1")), Some((10, Grade::Inherited)));
        resolved(&mut owners, event(state(TcpState::Listen, TcpState::Close), end("127.0.0.1", 80), inode, 9));
        assert_eq!(resolved(&mut owners, child("127.0.0.1")), left);
    }
    assert!(owners.listeners.is_empty(), "nothing is kept");
}

/// A listener of another address, port or namespace is none of a connection's.
#[test]
fn a_child_inherits_within_its_namespace_and_port() {
    let mut owners = Owners::default();
    owners.scanned(1, 10, Comm::new(b"server"));
    owners.listening(1, end("127.0.0.1", 80), 1);
    assert_eq!(resolved(&mut owners, SocketEvent { netns: Some(2), ..child("127.0.0.1") }), None);
    assert_eq!(resolved(&mut owners, SocketEvent { local: Some(end("127.0.0.1", 81)), ..child("127.0.0.1") }), None);
    assert_eq!(resolved(&mut owners, child("127.0.0.2")), None);
    // What is no beginning inherits nothing; a connection that was not seen to begin does.
    let kind = state(TcpState::Established, TcpState::CloseWait);
    assert_eq!(resolved(&mut owners, SocketEvent { kind, ..child("127.0.0.1") }), None);
    let kind = state(TcpState::SynRecv, TcpState::Established);
    assert_eq!(resolved(&mut owners, SocketEvent { kind, ..child("127.0.0.1") }), Some((10, Grade::Inherited)));
}

#[test]
fn listeners_are_learnt_from_their_events() {
    let mut owners = Owners::default();
    let begins = |inode| SocketEvent {
        owner: Some(Owner { pid: 7, comm: Comm::new(b"maker"), grade: Grade::Created, cgroup_id: None, start: 0 }),
        ..event(state(TcpState::Close, TcpState::Listen), end("::ffff:127.0.0.1", 80), inode, 9)
    };
    resolved(&mut owners, begins(0));
    assert_eq!(resolved(&mut owners, child("127.0.0.1")), None, "without an inode it could not be forgotten");
    resolved(&mut owners, begins(4));
    assert_eq!(resolved(&mut owners, child("127.0.0.1")), Some((7, Grade::Inherited)));
    // A listing that names another one first does not overrule it.
    owners.scanned(4, 8, Comm::new(b"other"));
    owners.listening(1, end("127.0.0.1", 80), 4);
    assert_eq!(resolved(&mut owners, child("127.0.0.1")), Some((7, Grade::Inherited)));
}

#[test]
fn a_later_look_takes_the_place_of_the_last_one() {
    let mut owners = Owners::default();
    owners.scanned(5, 100, Comm::new(b"before"));
    owners.scanned(6, 100, Comm::new(b"before"));
    owners.listening(1, end("127.0.0.1", 80), 6);
    let leaving = state(TcpState::Established, TcpState::FinWait1);
    resolved(&mut owners, event(leaving, end("127.0.0.1", 81), 5, 77));
    let mut later = Owners::default();
    later.scanned(7, 200, Comm::new(b"after"));
    later.listening(1, end("127.0.0.2", 80), 7);
    owners.renew(later);
    assert_eq!((owners.holder(5), owners.holder(7).map(|owner| owner.pid)), (None, Some(200)));
    assert_eq!(resolved(&mut owners, child("127.0.0.1")), None);
    assert_eq!(resolved(&mut owners, child("127.0.0.2")), Some((200, Grade::Inherited)));
    let orphan = state(TcpState::FinWait1, TcpState::FinWait2);
    let known = resolved(&mut owners, event(orphan, end("127.0.0.1", 81), 0, 77));
    assert_eq!(known, Some((100, Grade::Scanned)), "what was learnt of a socket stays");
}

#[test]
fn what_the_kernel_knows_is_not_overruled() {
    let mut owners = Owners::default();
    owners.scanned(5, 100, Comm::new(b"scan"));
    let mut made = event(state(TcpState::Close, TcpState::SynSent), end("127.0.0.1", 1), 5, 6);
    made.owner = Some(Owner { pid: 7, comm: Comm::new(b"maker"), grade: Grade::Created, cgroup_id: None, start: 0 });
    assert_eq!(resolved(&mut owners, made), Some((7, Grade::Created)));
}
