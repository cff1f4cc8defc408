//! The other processes of this suite: workers of a listener, holders of sockets that were handed to them.

use crate::agent::ask;
use crate::attack::{moving, numbers, sandboxed};
use bytes::BytesMut;
use io_uring::{IoUring, opcode, types};
use netstat_tests::truth::actor::{self, listen_up, say};
use netstat_tests::truth::made::Made;
use netstat_tests::truth::scale;
use netstat_user::model::limits::Kinds;
use netstat_user::model::{Limits, Proto, RowsWanted, TcpState};
use netstat_user::query::{Answer, Place, Request};
use nix::libc;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags};
use std::io::{IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::ExitCode;
use std::thread;

/// The ways to accept a connection.
pub const WAYS: [&str; 4] = ["accept", "accept-address", "accept4", "accept4-address"];

/// Plays a role.
pub fn run(arguments: &[String]) -> ExitCode {
    let argument = |index: usize| arguments.get(index).map(String::as_str).unwrap_or_default();
    match argument(0) {
        "work" => work(argument(1), argument(2).parse().unwrap()),
        way if RINGS.contains(&way) => ring(way),
        "keep" => {
            say(&"here");
            listen_up();
        }
        "receive" => receive(),
        "impostor" => impostor(argument(1)),
        "besiege" => besiege(argument(1), argument(2).parse().unwrap()),
        "blink" => blink(argument(1).parse().unwrap()),
        "look" => look(argument(1), argument(2).parse().unwrap()),
        "look-hidden" => {
            sandboxed::hide();
            look(argument(1), argument(2).parse().unwrap());
        }
        "freeze" => sandboxed::freeze(argument(1)),
        "wander" => sandboxed::wander(argument(1)),
        "table" => numbers::table(argument(1), argument(2).parse().unwrap()),
        "lend" => numbers::lend(argument(1)),
        "groups" => numbers::crowded_groups(argument(1).parse().unwrap()),
        "shift" => numbers::shift(argument(1).parse().unwrap()),
        "swap" => swap(argument(1), argument(2)),
        "rename" => rename(argument(1)),
        "answer" => answer(argument(1).parse().unwrap()),
        "datagrams" => datagrams(argument(1).parse().unwrap()),
        "unix" => unix(argument(1)),
        "rest" => moving::rest(),
        "roam" => moving::roam(),
        "leaderless" => moving::leaderless(),
        "denied" => crate::attack::denied::play(argument(1)),
        "crowd" => crowd(argument(1).parse().unwrap(), argument(2).parse().unwrap()),
        _ => return actor::run(arguments),
    }
    ExitCode::SUCCESS
}

/// Binds so many datagram sockets to ports of their own, from the first on.
fn crowd(first: u16, sockets: u16) {
    scale::open_files();
    let sockets: Vec<UdpSocket> =
        (0..sockets).map(|number| UdpSocket::bind(("127.1.0.1", first + number)).unwrap()).collect();
    say(&sockets.len());
    listen_up();
}

/// The listener that was handed over as standard input.
fn handed() -> TcpListener {
    TcpListener::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap())
}

/// Says a connection, reads it to its end, and closes it.
fn serve(mut stream: TcpStream) {
    say(&Made::accepted_unasked(&stream));
    stream.read_to_end(&mut Vec::new()).unwrap();
}

/// Accepts with so many threads until the listener is shut down.
fn work(way: &str, threads: usize) {
    let listener = handed();
    let accept = || match way {
        "accept" => rustix::net::accept(&listener).ok(),
        "accept-address" => rustix::net::acceptfrom(&listener).ok().map(|(stream, _)| stream),
        "accept4" => rustix::net::accept_with(&listener, SocketFlags::CLOEXEC).ok(),
        _ => rustix::net::acceptfrom_with(&listener, SocketFlags::CLOEXEC).ok().map(|(stream, _)| stream),
    };
    let serve_all = || {
        while let Some(stream) = accept() {
            serve(stream.into());
        }
    };
    if threads == 1 {
        return serve_all();
    }
    thread::scope(|scope| {
        for number in 0..threads {
            thread::Builder::new().name(format!("acceptor-{number}")).spawn_scoped(scope, serve_all).unwrap();
        }
    });
}

/// The ways to accept a connection through a ring.
pub const RINGS: [&str; 3] = ["ring", "ring-address", "ring-multishot"];

/// Accepts through a ring until the listener is shut down.
fn ring(way: &str) {
    let listener = handed();
    let fd = types::Fd(listener.as_raw_fd());
    let mut address = MaybeUninit::<libc::sockaddr_storage>::uninit();
    let mut length = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    let mut ring = IoUring::new(8).unwrap();
    let mut asked = false;
    loop {
        let entry = match way {
            "ring" => opcode::Accept::new(fd, std::ptr::null_mut(), std::ptr::null_mut()).build(),
            "ring-address" => opcode::Accept::new(fd, address.as_mut_ptr().cast(), &raw mut length).build(),
            _ => opcode::AcceptMulti::new(fd).build(),
        };
        if !asked {
            // SAFETY: what the entry points to, and the listener, outlive the ring's use of them.
            unsafe { ring.submission().push(&entry) }.unwrap();
        }
        ring.submit_and_wait(1).unwrap();
        let answer = ring.completion().next().unwrap();
        if answer.result() < 0 {
            return;
        }
        // One request may be answered many times.
        asked = io_uring::cqueue::more(answer.flags());
        // SAFETY: the kernel has just made this descriptor for us.
        serve(TcpStream::from(unsafe { OwnedFd::from_raw_fd(answer.result()) }));
    }
}

/// Answers in an agent's place until its input ends: there is nothing to list, and nothing ever ended.
fn impostor(path: &str) {
    let listener = UnixListener::bind(path).unwrap();
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    say(&"here");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 4];
            let _ = stream.read_exact(&mut head);
            let mut body = vec![0; u32::from_le_bytes(head).min(4096) as usize];
            let _ = stream.read_exact(&mut body);
            let mut out = BytesMut::new();
            let inode = |name| std::fs::metadata(format!("/proc/self/ns/{name}")).map_or(0, |ns| ns.ino());
            Answer::Begin(Place { pidns: inode("pid"), userns: inode("user") }).encode(&mut out);
            if let Ok(Request::Rows { wanted, .. }) = Request::decode(body.into()) {
                Answer::Namespace { netns: wanted.netns.unwrap_or(0), name: None }.encode(&mut out);
                wanted.protos.iter().for_each(|&proto| Answer::TableEnd { proto, bogus: 0 }.encode(&mut out));
            }
            Answer::End.encode(&mut out);
            let _ = stream.write_all(&out);
        }
    });
    listen_up();
}

/// Subscribes so many times without ever reading on, says how many were let in and how many were not, and stays. Each wants something
/// else, so that none shares what is sent to another: transitions into some states, or what is of one process or of nobody whom it may see.
fn besiege(path: &str, readers: u16) {
    let mut inside = Vec::new();
    let mut refused = 0;
    for number in 0..readers {
        let entered = TcpState::ALL.into_iter().filter(|&state| (number + 2) >> state as u16 & 1 != 0);
        let filter = match number % 2 {
            0 => Limits { kinds: Some(Kinds::STATE), entered: Some(entered.collect()), ..Limits::default() },
            _ => Limits { pids: Some(vec![number.into()]), ..Limits::default() },
        };
        let Ok(stream) = UnixStream::connect(path) else { continue };
        match crate::agent::Reader::new(stream, &Request::Events(filter)).and_then(|mut reader| {
            let first = reader.next()?;
            Ok((reader, first))
        }) {
            Ok((reader, Some(Answer::Begin(_)))) => inside.push(reader),
            _ => refused += 1,
        }
    }
    say(&(inside.len(), refused));
    listen_up();
}

/// Makes so many sockets that end at once, and says so.
fn blink(sockets: usize) {
    (0..sockets).for_each(|_| drop(UdpSocket::bind("127.0.0.1:0").unwrap()));
    say(&"made");
    listen_up();
}

/// Looks at all that another user can ask for, and says what was seen.
fn look(path: &str, other: u32) {
    let is_mine = |pid: u32| {
        std::fs::metadata(format!("/proc/{pid}")).is_ok_and(|process| process.uid() == crate::attack::STRANGER)
    };
    let asked = ask(path, &Request::Holders { of: vec![] });
    let holders_refused = matches!(asked[..], [.., Answer::Refused(_)]);
    let wanted = RowsWanted::of(Proto::ALL.to_vec());
    let beside = ask(path, &Request::Rows { wanted, recorded: false, holders: true });
    let links = asked.into_iter().chain(beside).filter_map(|answer| match answer {
        Answer::Links(links) => Some(links),
        _ => None,
    });
    let foreign_links = links.flatten().filter(|link| !is_mine(link.pid)).count();
    let rows = |netns: Option<u32>| {
        let wanted = RowsWanted { netns, ..RowsWanted::of(Proto::ALL.to_vec()) };
        ask(path, &Request::Rows { wanted, recorded: true, holders: false })
    };
    let spaces = rows(None).into_iter().filter_map(|answer| match answer {
        Answer::Namespace { netns, .. } => Some(netns),
        _ => None,
    });
    let namespaces: Vec<u32> = spaces.collect();
    let refused = rows(Some(other)).iter().any(|answer| matches!(answer, Answer::Refused(_)));
    let past = ask(path, &Request::Table { live: true, recent_ns: u64::MAX, netns: None, age_ns: 0, only: None });
    let ended: Vec<_> = past
        .into_iter()
        .filter_map(|answer| match answer {
            Answer::Closed(closed) => Some(closed),
            _ => None,
        })
        .collect();
    let mut ended_in: Vec<u32> = ended.iter().filter_map(|closed| closed.socket.netns).collect();
    ended_in.sort_unstable();
    ended_in.dedup();
    let owned = ended.iter().filter(|closed| closed.socket.owner.is_some() || closed.totals.closed_by.is_some());
    let owned = owned.count();
    say(&serde_json::json!({
        "holders_refused": holders_refused,
        "foreign_links": foreign_links,
        "namespaces": namespaces,
        "refused": refused,
        "owned": owned,
        "ownerless": ended.len() - owned,
        "ended_in": ended_in,
    }));
    listen_up();
}

/// Puts a link in the place of a file as often as it can, until its input ends.
fn swap(path: &str, target: &str) {
    say(&"here");
    thread::spawn({
        let (path, target) = (path.to_owned(), target.to_owned());
        move || {
            let link = format!("{path}.link");
            loop {
                let _ = std::os::unix::fs::symlink(&target, &link);
                if std::fs::symlink_metadata(&path).is_ok_and(|file| file.file_type().is_socket()) {
                    let _ = std::fs::rename(&link, &path);
                }
            }
        }
    });
    listen_up();
}

/// Holds sockets, says its number, at a nudge gives itself another name, and says so.
fn rename(name: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let server = listener.accept().unwrap();
    let pair = UnixStream::pair().unwrap();
    say(&std::process::id());
    listen_up();
    // This is the thread that leads the process.
    std::fs::write("/proc/self/comm", name).unwrap();
    say(&"renamed");
    listen_up();
    drop((listener, client, server, pair));
}

/// Listens on an address, says the listener; at a nudge accepts a connection, says it, and holds both to the end of its input.
fn answer(at: SocketAddr) {
    let listener = TcpListener::bind(at).unwrap();
    say(&Made::of(&listener));
    listen_up();
    let (stream, _) = listener.accept().unwrap();
    say(&Made::accepted(&stream));
    listen_up();
}

/// Holds a UDP socket that takes datagrams from anybody.
fn datagrams(at: SocketAddr) {
    let socket = UdpSocket::bind(at).unwrap();
    say(&Made::of(&socket));
    listen_up();
}

/// Listens on a path, says that; at a nudge accepts a connection, says its inode, and holds both to the end of its input.
fn unix(path: &str) {
    let listener = UnixListener::bind(path).unwrap();
    say(&"listens");
    listen_up();
    let (stream, _) = listener.accept().unwrap();
    say(&nix::sys::stat::fstat(&stream).unwrap().st_ino);
    listen_up();
}

/// Descriptors in one message, less than the kernel's most (`SCM_MAX_FD`).
pub const HANDFUL: usize = 200;

/// Takes descriptors from the connection that is its standard input, says how many at each message, and keeps them to the end of it.
fn receive() {
    let from = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
    let mut kept: Vec<OwnedFd> = Vec::new();
    loop {
        let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(HANDFUL))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let message =
            rustix::net::recvmsg(&from, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::empty()).unwrap();
        for item in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = item {
                kept.extend(descriptors);
            }
        }
        if message.bytes == 0 {
            return;
        }
        say(&kept.len());
    }
}
