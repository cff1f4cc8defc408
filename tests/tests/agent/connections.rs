//! Ground truth of connections: how they are made and accepted, and every way they end.

use crate::stage::play;
use netstat_tests::truth::check::Life;
use netstat_tests::truth::made::{self, Family, Made, Pair, tcp};
use netstat_tests::truth::runner::{Done, Test};
use netstat_tests::truth::scale::{count, patience};
use netstat_tests::truth::tcp_info::{at_rest, tcp_info};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, SockFilter, SockRef, Socket};
use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[
    ("connections::plain", plain),
    ("connections::reset_by_either_end", reset_by_either_end),
    ("connections::refused", refused),
    ("connections::timed_out_connecting", timed_out_connecting),
    ("connections::timed_out_established", timed_out_established),
    ("connections::half_closed_and_time_wait", half_closed_and_time_wait),
    ("connections::orphans_with_unsent_data", orphans_with_unsent_data),
    ("connections::half_open", half_open),
    ("connections::never_accepted", never_accepted),
];

pub use netstat_tests::truth::paths::*;

/// A listener with room for a crowd, and what is true of it.
pub fn listener(family: Family) -> (TcpListener, Made) {
    let listener = made::listener_with(family, 4096);
    let made = Made::of(&listener);
    (listener, made)
}

/// Closes with a reset.
pub fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// Reads to the end, which must come.
pub fn drain(stream: &mut TcpStream) -> u64 {
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).unwrap();
    heard.len() as u64
}

/// A classic BPF program that drops every packet: what is sent to such a socket goes nowhere.
fn go_deaf(socket: SockRef<'_>) {
    const BPF_RET_K: u16 = 0x06;
    socket.attach_filter(&[SockFilter::new(BPF_RET_K, 0, 0, 0)]).unwrap();
}

fn pairs(family: Family, listener: &TcpListener, count: usize) -> Vec<Pair> {
    (0..count).map(|_| Pair::new(family, listener)).collect()
}

fn plain() -> Done {
    play("plain", |stage| {
        let mut lives = Vec::new();
        let mut open = Vec::new();
        for family in Family::ALL {
            let (listener, listens) = listener(family);
            lives.push(Life::tcp(&listens, LISTENED, "closed"));
            let made = pairs(family, &listener, count(150));
            open.push((listener, listens, made));
        }
        let listed = stage.equal("all open");
        let all: usize = open.iter().map(|(_, _, pairs)| 2 * pairs.len() + 1).sum();
        assert_eq!(listed.len(), all);
        for (_, listens, pairs) in open {
            for (number, pair) in pairs.into_iter().enumerate() {
                let Pair { mut client, mut server, client_made, server_made } = pair;
                client.write_all(b"ping").unwrap();
                server.read_exact(&mut [0; 4]).unwrap();
                server.write_all(b"pong!").unwrap();
                client.read_exact(&mut [0; 5]).unwrap();
                let (client_path, server_path) = match number % 2 {
                    0 => {
                        drop(client);
                        drain(&mut server);
                        drop(server);
                        (ACTIVE_CLIENT, PASSIVE_SERVER)
                    }
                    _ => {
                        drop(server);
                        drain(&mut client);
                        drop(client);
                        (PASSIVE_CLIENT, ACTIVE_SERVER)
                    }
                };
                lives.push(Life::tcp(&client_made, client_path, "closed").bytes(5, 4));
                lives.push(Life::tcp(&server_made, server_path, "closed").bytes(4, 5).accepted_from(&listens));
            }
        }
        stage.equal("only what remains");
        lives
    });
    Done::Passed
}

fn reset_by_either_end() -> Done {
    play("reset by either end", |stage| {
        let mut lives = Vec::new();
        for family in [Family::V4, Family::V6] {
            let (listener, listens) = listener(family);
            for (number, pair) in pairs(family, &listener, count(300)).into_iter().enumerate() {
                let Pair { mut client, mut server, client_made, server_made } = pair;
                let sender = if number % 2 == 0 { &mut client } else { &mut server };
                sender.write_all(b"never read").unwrap();
                let (mine, theirs) = if number % 2 == 0 { (server, client) } else { (client, server) };
                let by_server = number % 2 == 0;
                if number % 4 < 2 {
                    // Closed with what has come still unread.
                    mine.peek(&mut [0; 1]).unwrap();
                    drop(mine);
                } else {
                    reset(mine);
                }
                let mut theirs = theirs;
                assert_eq!(theirs.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionReset);
                drop(theirs);
                let (client_end, server_end) =
                    if by_server { ("reset_received", "reset_sent") } else { ("reset_sent", "reset_received") };
                // Whether the data came before the reset decides what was received.
                let (client_bytes, server_bytes) = if by_server { ((0, 10), (10, 0)) } else { ((10, 0), (0, 10)) };
                let life = Life::tcp(&client_made, BROKEN_CLIENT, client_end).bytes(client_bytes.0, client_bytes.1);
                lives.push(life);
                let life = Life::tcp(&server_made, BROKEN_SERVER, server_end).bytes(server_bytes.0, server_bytes.1);
                lives.push(life.accepted_from(&listens));
            }
            lives.push(Life::tcp(&listens, LISTENED, "closed"));
        }
        assert!(stage.equal("all gone").is_empty());
        lives
    });
    Done::Passed
}

/// A socket that could not connect: what was true of it before it tried, and where it wanted to.
fn attempt(socket: &Socket, to: SocketAddr) -> (Made, ErrorKind) {
    let before = Made::of(socket);
    let error = socket.connect(&to.into()).unwrap_err().kind();
    (Made { local: Some((to.ip(), 0).into()), remote: Some(to), ..before }, error)
}

fn refused() -> Done {
    play("refused", |stage| {
        let mut lives = Vec::new();
        for family in [Family::V4, Family::V6, Family::Mapped] {
            // The port of a listener that has gone.
            let (gone, made) = listener(family);
            let to = family.address(gone.local_addr().unwrap().port());
            drop(gone);
            lives.push(Life::tcp(&made, LISTENED, "closed"));
            for _ in 0..count(350) {
                let (made, error) = attempt(&tcp(Domain::for_address(to)), to);
                assert_eq!(error, ErrorKind::ConnectionRefused);
                lives.push(Life::tcp(&made, "CLOSE SYN_SENT CLOSE", "refused"));
            }
        }
        assert!(stage.equal("all refused").is_empty());
        lives
    });
    Done::Passed
}

/// Waits until each of these is writable or broken, and returns the error of each.
fn errors(sockets: &[Socket]) -> Vec<Option<ErrorKind>> {
    let deadline = Instant::now() + patience() + Duration::from_secs(30);
    let mut errors = vec![None; sockets.len()];
    let mut left: Vec<usize> = (0..sockets.len()).collect();
    while !left.is_empty() && Instant::now() < deadline {
        let mut polled: Vec<PollFd<'_>> =
            left.iter().map(|&at| PollFd::new(sockets[at].as_fd(), PollFlags::POLLERR)).collect();
        poll(&mut polled, PollTimeout::from(500u16)).unwrap();
        let broken: Vec<bool> = polled.iter().map(|fd| fd.any().unwrap_or(true)).collect();
        let mut at = 0;
        left.retain(|&socket| {
            at += 1;
            if broken[at - 1] {
                errors[socket] = sockets[socket].take_error().unwrap().map(|error| error.kind());
            }
            !broken[at - 1]
        });
    }
    errors
}

fn timed_out_connecting() -> Done {
    play("timed out connecting", |stage| {
        let mut lives = Vec::new();
        for family in [Family::V4, Family::V6] {
            let (deaf, listens) = listener(family);
            go_deaf(SockRef::from(&deaf));
            let to = family.address(deaf.local_addr().unwrap().port());
            let (mut sockets, mut attempts) = (Vec::new(), Vec::new());
            for _ in 0..count(500) {
                let socket = tcp(Domain::for_address(to));
                // Long enough for a look at all of them.
                socket.set_tcp_user_timeout(Some(Duration::from_secs(6))).unwrap();
                socket.set_nonblocking(true).unwrap();
                let made = Made::of(&socket);
                let error = socket.connect(&to.into()).unwrap_err();
                assert_eq!(error.raw_os_error(), Some(nix::libc::EINPROGRESS));
                let made = Made { local: socket.local_addr().unwrap().as_socket(), remote: Some(to), ..made };
                attempts.push(Life::tcp(&made, "CLOSE SYN_SENT CLOSE", "timed_out"));
                sockets.push(socket);
            }
            let listed = stage.equal("all SYN_SENT");
            assert_eq!(listed.iter().filter(|row| row.state == "SYN_SENT").count(), sockets.len());
            for error in errors(&sockets) {
                assert_eq!(error, Some(ErrorKind::TimedOut));
            }
            let again = sockets.iter().map(|socket| tcp_info(socket).tcpi_total_retrans);
            lives.extend(attempts.into_iter().zip(again).map(|(life, again)| life.retransmits(again)));
            lives.push(Life::tcp(&listens, LISTENED, "closed"));
        }
        assert!(stage.equal("all gone").is_empty());
        lives
    });
    Done::Passed
}

fn timed_out_established() -> Done {
    play("timed out established", |stage| {
        let (listener, listens) = listener(Family::V4);
        let mut lives = vec![Life::tcp(&listens, LISTENED, "closed")];
        let open = pairs(Family::V4, &listener, count(500));
        let (mut clients, mut unheard) = (Vec::new(), Vec::new());
        let mut servers = Vec::new();
        for Pair { mut client, server, client_made, server_made } in open {
            go_deaf(SockRef::from(&server));
            SockRef::from(&client).set_tcp_user_timeout(Some(Duration::from_millis(1000))).unwrap();
            client.write_all(b"into the void").unwrap();
            lives.push(Life::tcp(&server_made, BROKEN_SERVER, "reset_sent").accepted_from(&listens));
            unheard.push(Life::tcp(&client_made, BROKEN_CLIENT, "timed_out").bytes(0, 13));
            clients.push(Socket::from(client));
            servers.push(server);
        }
        for error in errors(&clients) {
            assert_eq!(error, Some(ErrorKind::TimedOut));
        }
        let again = clients.iter().map(|client| tcp_info(client).tcpi_total_retrans);
        lives.extend(unheard.into_iter().zip(again).map(|(life, again)| life.retransmits(again)));
        stage.equal("one end timed out, the other knows nothing");
        drop(clients);
        servers.into_iter().for_each(reset);
        drop(listener);
        assert!(stage.equal("all gone").is_empty());
        lives
    });
    Done::Passed
}

fn half_closed_and_time_wait() -> Done {
    play("half closed and TIME_WAIT", |stage| {
        let mut lives = Vec::new();
        for family in [Family::V4, Family::V6] {
            let (listener, listens) = listener(family);
            lives.push(Life::tcp(&listens, LISTENED, "closed"));
            let mut open = pairs(family, &listener, count(300));
            for pair in &mut open {
                pair.client.write_all(b"the question").unwrap();
                pair.client.shutdown(Shutdown::Write).unwrap();
                assert_eq!(drain(&mut pair.server), 12);
            }
            let states = |rows: &[crate::kernel::Row]| {
                let mut states: HashMap<String, usize> = HashMap::new();
                rows.iter().for_each(|row| *states.entry(row.state.clone()).or_default() += 1);
                states
            };
            let mut seen = states(&stage.equal("half closed"));
            // The server's kernel may put off acknowledging a FIN for some 40 ms.
            let deadline = Instant::now() + patience();
            while seen.contains_key("FIN_WAIT1") && Instant::now() < deadline {
                seen = states(&stage.equal("half closed"));
            }
            assert_eq!((seen["FIN_WAIT2"], seen["CLOSE_WAIT"]), (open.len(), open.len()), "{seen:?}");
            // Half of the clients let go: what remains of them waits in FIN_WAIT2 without them.
            let mut held = Vec::new();
            let mut servers = Vec::new();
            for (number, Pair { client, server, client_made, server_made }) in open.into_iter().enumerate() {
                if number % 2 == 0 {
                    drop(client);
                    let path = "CLOSE SYN_SENT ESTABLISHED FIN_WAIT1 FIN_WAIT2 CLOSE";
                    lives.push(Life::tcp(&client_made, path, "closed").bytes(0, 12));
                    servers.push((server, false));
                    lives.push(Life::tcp(&server_made, PASSIVE_SERVER, "closed").bytes(12, 0).accepted_from(&listens));
                } else {
                    held.push(client);
                    lives.push(Life::tcp(&client_made, ACTIVE_CLIENT, "closed").bytes(13, 12));
                    servers.push((server, true));
                    lives.push(Life::tcp(&server_made, PASSIVE_SERVER, "closed").bytes(12, 13).accepted_from(&listens));
                }
            }
            stage.equal("half of them without an owner");
            for (mut server, answers) in servers {
                if answers {
                    server.write_all(b"a late answer").unwrap();
                }
                drop(server);
            }
            for client in &mut held {
                assert_eq!(drain(client), 13);
            }
            let seen = states(&stage.equal("TIME_WAIT beside sockets that are still held"));
            assert!(seen["TIME_WAIT"] >= 2 * held.len() && !seen.contains_key("FIN_WAIT2"), "{seen:?}");
            drop(held);
            stage.equal("TIME_WAIT alone");
        }
        lives
    });
    Done::Passed
}

fn orphans_with_unsent_data() -> Done {
    play("orphans with unsent data", |stage| {
        let (listener, listens) = listener(Family::V4);
        SockRef::from(&listener).set_recv_buffer_size(2048).unwrap();
        let mut lives = vec![Life::tcp(&listens, LISTENED, "closed")];
        let mut servers = Vec::new();
        for Pair { client, server, client_made, server_made } in pairs(Family::V4, &listener, count(500)) {
            // More than fits through the window of a reader that does not read.
            SockRef::from(&client).set_nonblocking(true).unwrap();
            let mut sent = 0;
            while let Ok(count) = (&client).write(&[7; 4096]) {
                sent += count as u64;
                if sent >= 64 << 10 {
                    break;
                }
            }
            drop(client);
            // A window that is full is probed; how often anything was sent again nobody can ask, as nobody holds it.
            let client = Life { retransmits: None, ..Life::tcp(&client_made, ACTIVE_CLIENT, "closed") };
            lives.push(client.bytes(0, sent));
            let receiver = Life::tcp(&server_made, PASSIVE_SERVER, "closed").bytes(sent, 0).accepted_from(&listens);
            servers.push((server, sent, receiver));
        }
        let listed = stage.equal("orphans");
        let orphans = listed.iter().filter(|row| row.state == "FIN_WAIT1" && row.inode == 0).count();
        assert_eq!(orphans, servers.len());
        let rows = stage.agent.classic(&["-t", "-n", "-p"]);
        let orphans: Vec<_> = rows.iter().filter(|row| row["state"] == "FIN_WAIT1").collect();
        assert_eq!(orphans.len(), servers.len());
        let own = std::process::id();
        for row in orphans {
            // Nobody holds it; JSON names whose it was, and how that is known.
            let owner = &row["owners"][0];
            assert_eq!((owner["pid"].as_u64(), owner["owner"].as_str()), (Some(own.into()), Some("created")), "{row}");
        }
        for (mut server, sent, receiver) in servers {
            assert_eq!(drain(&mut server), sent);
            lives.push(receiver.retransmits(tcp_info(&server).tcpi_total_retrans));
        }
        drop(listener);
        stage.equal("what remains of them");
        lives
    });
    Done::Passed
}

/// Requests that wait for a peer who does not hear that he is answered.
fn half_open() -> Done {
    play("half open", |stage| {
        let (listener, listens) = listener(Family::V4);
        let to = listener.local_addr().unwrap();
        let mut clients = Vec::new();
        for _ in 0..count(600) {
            let socket = tcp(Domain::IPV4);
            let made = Made::of(&socket);
            go_deaf(SockRef::from(&socket));
            socket.set_nonblocking(true).unwrap();
            assert_eq!(socket.connect(&to.into()).unwrap_err().raw_os_error(), Some(nix::libc::EINPROGRESS));
            let local = socket.local_addr().unwrap().as_socket();
            clients.push((socket, Made { local, remote: Some(to), ..made }));
        }
        let waiting = |when: &str| {
            let listed = stage.equal(when);
            assert_eq!(listed.iter().filter(|row| row.state == "SYN_RECV").count(), clients.len(), "{when}");
        };
        waiting("all wait");
        // The timer of a request runs out after a second for the first time: from then on it is reported.
        thread::sleep(Duration::from_millis(1500));
        waiting("all wait on");
        let mut lives = vec![Life::tcp(&listens, LISTENED, "closed")];
        let gone = clients.split_off(clients.len() / 2);
        for (socket, made) in gone {
            let again = tcp_info(&socket).tcpi_total_retrans;
            // The next answer finds nobody, and the reset for it ends the request.
            drop(socket);
            let (local, remote) = (Some(to), made.local);
            stage.requested(Made { local, remote, cookie: 0, inode: 0, child: true, ..listens.clone() });
            lives.push(Life::tcp(&made, "CLOSE SYN_SENT CLOSE", "abandoned").retransmits(again));
        }
        let mut waiting: HashMap<SocketAddr, (Socket, Made)> = HashMap::new();
        for (socket, made) in clients {
            socket.detach_filter().unwrap();
            waiting.insert(made.local.unwrap(), (socket, made));
        }
        while !waiting.is_empty() {
            let (mut server, server_made) = made::accept(&listener);
            let (client, client_made) = waiting.remove(&server_made.remote.unwrap()).expect("a connection of ours");
            let mut client = TcpStream::from(client);
            client.write_all(b"at last").unwrap();
            let client_again = at_rest(&client).tcpi_total_retrans;
            drop(client);
            assert_eq!(drain(&mut server), 7);
            // Its SYN-ACK was.
            let server_again = tcp_info(&server).tcpi_total_retrans;
            drop(server);
            let life = Life::tcp(&client_made, ACTIVE_CLIENT, "closed").bytes(0, 7);
            lives.push(life.retransmits(client_again));
            let life = Life::tcp(&server_made, PASSIVE_SERVER, "closed").bytes(7, 0).accepted_from(&listens);
            lives.push(life.retransmits(server_again));
        }
        let deadline = Instant::now() + patience();
        while stage.equal("what remains").iter().any(|row| row.state == "SYN_RECV") {
            assert!(Instant::now() < deadline, "requests of nobody stay");
            thread::sleep(Duration::from_millis(200));
        }
        drop(listener);
        stage.equal("TIME_WAIT alone");
        lives
    });
    Done::Passed
}

fn never_accepted() -> Done {
    play("never accepted", |stage| {
        let mut lives = Vec::new();
        let mut open = Vec::new();
        for number in 0..count(100) {
            let family = [Family::V4, Family::V6][number % 2];
            let listener = made::listener_with(family, 8);
            let listens = Made::of(&listener);
            let to = family.address(listener.local_addr().unwrap().port());
            let clients: Vec<TcpStream> = (0..5).map(|_| made::connect(Domain::for_address(to), to).unwrap()).collect();
            open.push((listener, listens, to, clients));
        }
        let listed = stage.equal("none accepted");
        assert_eq!(listed.len(), open.len() * 11);
        for (listener, listens, to, clients) in open {
            drop(listener);
            for mut client in clients {
                assert_eq!(client.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionReset);
                let made = Made { remote: Some(to), ..Made::of(&client) };
                lives.push(Life::tcp(&made, BROKEN_CLIENT, "reset_received"));
                // Nobody ever held the other end: no inode, and no way to ask for its cookie.
                let (local, remote) = (Some(to), made.local);
                let child = Made { local, remote, cookie: 0, inode: 0, child: true, ..listens.clone() };
                lives.push(Life::tcp(&child, BROKEN_SERVER, "reset_sent"));
            }
            lives.push(Life::tcp(&listens, LISTENED, "closed"));
        }
        assert!(stage.equal("all gone").is_empty());
        lives
    });
    Done::Passed
}
