//! What the kernel programs leave out of the stream: with limits they report what they report without, but for what does not pass.

use crate::cgroup::Cgroup;
use crate::event::Kind;
use crate::lives;
use crate::made::{self, Family};
use crate::runner::{Done, Test};
use crate::scale::{patience, scale};
use crate::tracer::{Tracer, events};
use bytes::BytesMut;
use netstat_tests::netns::NetNs;
use netstat_user::kernel::{Tracer as Programs, Wanted};
use netstat_user::model::Network;
use netstat_user::model::limits::{self, Kinds, Limits, Ports, Prefixes};
use netstat_user::model::{EventKind, Proto, SocketEvent, TcpState};
use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[
    ("limits::only_what_passes_is_missing", only_what_passes_is_missing),
    ("limits::cgroup_of_the_owner", cgroup_of_the_owner),
    ("limits::what_is_reset_ends_as_what_it_was", what_is_reset_ends_as_what_it_was),
];

fn start(limits: Limits) -> Programs {
    // Few sockets: many of these are loaded at a time, on an emulated machine with little memory.
    Programs::start(&Wanted { ring_bytes: 1 << 20, remember: Some(1024), limits, ..Wanted::default() }).unwrap()
}

/// Adds what a ring holds.
fn take(programs: &mut Programs, events: &mut Vec<SocketEvent>) {
    let mut buffer = BytesMut::new();
    programs.catch_up().unwrap();
    loop {
        let mut records = programs.take(&mut buffer).unwrap();
        while let Some(event) = programs.next(&mut records, 0) {
            events.push(event.unwrap());
        }
        if !records.is_full() {
            return;
        }
    }
}

/// What distinguishes an event from others, whatever the clock said: which socket, what happened, who owns it.
type Sign = (Option<u64>, String);

fn sign(event: &SocketEvent) -> Sign {
    let what = match event.kind {
        EventKind::Open => "open".to_owned(),
        EventKind::State { old, new, .. } => format!("{}>{}", old.name(), new.name()),
        EventKind::Close(totals) => format!("close {:?} {:?}", totals.reason, totals.closed_by),
    };
    let owner = event.owner.map(|owner| (owner.pid, owner.grade, owner.cgroup_id));
    (event.cookie, format!("{what} {} {:?} {:?} {owner:?}", event.proto.name(), event.local, event.remote))
}

/// The signs of those that pass, in an order that two tracers share.
fn signs(events: &[SocketEvent], limits: &Limits) -> Vec<Sign> {
    let mut signs: Vec<Sign> = events.iter().filter(|event| limits.passes(event)).map(sign).collect();
    signs.sort();
    signs
}

/// A connection of each family to each port, closed in order from one end or the other, a refusal, and UDP.
fn traffic(listeners: &[TcpListener]) {
    for listener in listeners {
        let address = listener.local_addr().unwrap();
        for client_first in [true, false] {
            let client = TcpStream::connect(address).unwrap();
            let (mut server, _) = listener.accept().unwrap();
            server.write_all(b"data").unwrap();
            if client_first { drop((client, server)) } else { drop((server, client)) }
        }
        // One that is never accepted.
        drop(TcpStream::connect(address).unwrap());
    }
    let closed = Family::V4.address(made::closed_port(Family::V4));
    assert!(TcpStream::connect(closed).is_err());
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.connect(listeners[0].local_addr().unwrap()).unwrap();
}

fn prefixes(list: &[(&str, u8)], unknown: bool) -> Option<Prefixes> {
    let prefix = |&(addr, len): &(&str, u8)| Network { addr: addr.parse::<IpAddr>().unwrap(), len };
    Some(Prefixes { list: list.iter().map(prefix).collect(), unknown })
}

fn only_what_passes_is_missing() -> Done {
    let namespace = NetNs::new().unwrap();
    let netns = u32::try_from(namespace.inode().unwrap()).unwrap();
    let listeners = namespace.enter(|| {
        let bind = |address: &str| TcpListener::bind(address).unwrap();
        vec![bind("127.0.0.1:0"), bind("127.0.0.2:0"), bind("[::1]:0")]
    });
    let ports: Vec<u16> =
        listeners.iter().map(|listener| listener.local_addr().unwrap()).map(|a: SocketAddr| a.port()).collect();
    let (one, two) = (Ports::one(ports[0]), Ports::one(ports[1]));
    let established: limits::States = [TcpState::Established].into_iter().collect();
    let everything = Limits { netns: Some(vec![netns, 7]), ..Limits::default() };
    let sets = [
        Limits { lports: Some(one.clone().or(&two)), ..Limits::default() },
        Limits { rports: Some(one.clone()), ..Limits::default() },
        Limits { ports: Some(two.clone()), ..Limits::default() },
        Limits {
            rports: Some(one.clone().complement()),
            kinds: Some(Kinds::OPEN.or(Kinds::CLOSE)),
            ..Limits::default()
        },
        Limits { laddrs: prefixes(&[("127.0.0.2", 32), ("::1", 128)], false), ..Limits::default() },
        Limits { addrs: prefixes(&[("127.0.0.0", 30)], true), protos: Some(vec![Proto::Tcp]), ..Limits::default() },
        Limits { raddrs: prefixes(&[("10.0.0.0", 8)], false), ..Limits::default() },
        Limits { kinds: Some(Kinds::STATE), entered: Some(established), ..Limits::default() },
        Limits {
            left: Some(established.complement()),
            protos: Some(vec![Proto::Tcp6, Proto::Udp]),
            ..Limits::default()
        },
        Limits { pids: Some(vec![1, std::process::id()]), kinds: Some(Kinds::CLOSE), ..Limits::default() },
        Limits { pids: Some(vec![1]), ..Limits::default() },
        Limits { netns: Some(vec![7, 8]), ..Limits::default() },
        Limits::nothing(),
    ];
    // On an emulated machine the verifier takes some ten seconds for each.
    let (sets, least) = if scale() < 1.0 { (sets.into_iter().step_by(3).collect(), 3) } else { (Vec::from(sets), 9) };
    let found_some = compare(&sets, &everything, &namespace, &listeners);
    assert!(found_some >= least, "{found_some} of {} let something pass", sets.len());
    Done::Passed
}

/// Compares the streams of tracers with these limits, and of one without, of the same traffic. Returns how many let something pass.
fn compare(sets: &[Limits], everything: &Limits, namespace: &NetNs, listeners: &[TcpListener]) -> usize {
    let mut whole = start(everything.clone());
    let mut limited: Vec<(Limits, Programs)> = std::thread::scope(|scope| {
        let limits = sets.iter().map(|limits| limits.clone().and(everything.clone()));
        let starting: Vec<_> = limits.map(|limits| scope.spawn(move || (limits.clone(), start(limits)))).collect();
        starting.into_iter().map(|starts| starts.join().unwrap()).collect()
    });
    namespace.enter(|| traffic(listeners));
    let mut all = Vec::new();
    let mut found: Vec<Vec<SocketEvent>> = vec![Vec::new(); limited.len()];
    let end = Instant::now() + patience();
    loop {
        take(&mut whole, &mut all);
        for ((_, programs), found) in limited.iter_mut().zip(&mut found) {
            take(programs, found);
        }
        let complete =
            limited.iter().zip(&found).all(|((limits, _), found)| signs(found, limits) == signs(&all, limits));
        if complete && all.len() > 60 || Instant::now() > end {
            break;
        }
        sleep(Duration::from_millis(50));
    }
    assert!(all.len() > 60, "{all:?}");
    for (set, ((limits, programs), found)) in limited.iter().zip(&found).enumerate() {
        assert_eq!(signs(found, limits), signs(&all, limits), "set {set}");
        assert!(found.len() < all.len(), "nothing was left out by set {set}");
        assert_eq!(programs.lost().unwrap(), 0);
    }
    let passed: Vec<usize> = limited.iter().map(|(limits, _)| signs(&all, limits).len()).collect();
    passed.iter().filter(|&&passed| passed > 0).count()
}

/// A reset clears the ends of a socket before its end is reported: whoever asked for others is not shown it for that.
fn what_is_reset_ends_as_what_it_was() -> Done {
    let namespace = NetNs::new().unwrap();
    let number = namespace.inode().unwrap().to_string();
    let (listener, port) = namespace.enter(|| {
        let listener = made::listener(Family::V4);
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    });
    let start = |expression: &str| Tracer::spawn(events(&["--json", "--netns", &number, "--where", expression]));
    let not_there = [
        format!("not ( sport = :{port} or dport = :{port} )"),
        format!("remote.port != {port} and local.port != {port}"),
        "dport = :0 and not state listening".to_owned(),
    ];
    let others: Vec<_> = not_there.iter().map(|expression| start(expression)).collect();
    let mut there = start(&format!("dport = :{port}"));
    let clients: Vec<_> = namespace.enter(|| {
        (0..20)
            .map(|_| {
                let pair = made::Pair::new(Family::V4, &listener);
                let made = pair.client_made.clone();
                lives::reset(pair.client);
                made
            })
            .collect()
    });
    there.wait_closed(&clients);
    for (tracer, expression) in others.into_iter().zip(&not_there) {
        let wrong: Vec<_> = tracer
            .finish()
            .events
            .into_iter()
            .filter(|event| clients.iter().any(|made| Some(made.cookie) == event.cookie))
            .collect();
        // Before it connects, a socket has no ends yet.
        let closes: Vec<_> = wrong.iter().filter(|event| matches!(event.kind, Kind::Close(_))).collect();
        assert!(closes.is_empty(), "{expression}: {closes:?}");
    }
    Done::Passed
}

/// A process in a cgroup makes a socket and is moved to another one: the first one is the socket's. Limits of cgroups hold for those below, too.
fn cgroup_of_the_owner() -> Done {
    let (home, other) = (Cgroup::new("home"), Cgroup::new("other"));
    let level = 1;
    // In a namespace of its own: what others do meanwhile would fill the rings, which nobody reads while the next is made.
    let namespace = NetNs::new().unwrap();
    let here = Limits { netns: Some(vec![u32::try_from(namespace.inode().unwrap()).unwrap()]), ..Limits::default() };
    let below = |id| Limits { cgroups: Some(vec![limits::Cgroup { id, level }]), ..here.clone() };
    let (mut whole, mut within, mut outside) = (start(here.clone()), start(below(home.id())), start(below(other.id())));
    let script = "read go; exec 3<>/dev/udp/127.0.0.1/9; echo made; read go; exec 3>&-; echo closed; read go";
    let mut bash = Command::new("bash");
    bash.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut shell) = namespace.enter(|| bash.spawn()) else {
        return Done::Skipped("bash, which makes sockets by itself, is not installed".into());
    };
    home.take(shell.id());
    let (mut stdin, mut stdout) = (shell.stdin.take().unwrap(), std::io::BufReader::new(shell.stdout.take().unwrap()));
    let mut step = || {
        stdin.write_all(b"\n").unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    };
    step();
    other.take(shell.id());
    step();
    drop(stdin);
    shell.wait().unwrap();
    let of_shell = |programs: &mut Programs| {
        let (mut events, end) = (Vec::new(), Instant::now() + patience());
        let mine = |event: &&SocketEvent| event.owner.is_some_and(|owner| owner.pid == shell.id());
        loop {
            take(programs, &mut events);
            let closed = events.iter().filter(mine).any(|event| matches!(event.kind, EventKind::Close(_)));
            if closed || Instant::now() > end {
                return events.iter().filter(mine).map(|event| event.owner.unwrap().cgroup_id).collect::<Vec<_>>();
            }
            sleep(Duration::from_millis(20));
        }
    };
    assert_eq!(of_shell(&mut whole), [std::num::NonZeroU64::new(home.id()); 2]);
    assert_eq!(of_shell(&mut within), [std::num::NonZeroU64::new(home.id()); 2]);
    let mut left = Vec::new();
    take(&mut outside, &mut left);
    assert!(left.iter().all(|event| event.owner.is_none_or(|owner| owner.pid != shell.id())), "{left:?}");
    Done::Passed
}
