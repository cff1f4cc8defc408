//! Ground truth of owners: who accepted, who was handed a socket, who had it before there was an agent.

use crate::agent::Agent;
use crate::cast::{HANDFUL, RINGS, WAYS};
use crate::connections::{
    ACTIVE_CLIENT, ACTIVE_SERVER, BROKEN_CLIENT, CROSSED, CROSSED_CLIENT, CROSSED_SERVER, LISTENED, PASSIVE_CLIENT,
    PASSIVE_SERVER, drain, listener, reset,
};
use crate::stage::{Stage, play, play_after};
use netstat_tests::netns::NetNs;
use netstat_tests::truth::actor::{self, Actor};
use netstat_tests::truth::check::{self, Life};
use netstat_tests::truth::event::Kind;
use netstat_tests::truth::made::{self, Family, Made, Pair};
use netstat_tests::truth::runner::{Done, Test};
use netstat_tests::truth::scale::{count, patience};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use socket2::{Domain, SockRef};
use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, IoSlice, PipeWriter, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::thread;

pub const TESTS: &[Test] = &[
    ("owners::every_way_to_accept", every_way_to_accept),
    ("owners::workers_of_one_listener", workers_of_one_listener),
    ("owners::threads_that_accept", threads_that_accept),
    ("owners::accepted_through_a_ring", accepted_through_a_ring),
    ("owners::accepted_at_once", accepted_at_once),
    ("owners::inherited_by_a_child", inherited_by_a_child),
    ("owners::handed_over", handed_over),
    ("owners::processes_that_exit_at_once", processes_that_exit_at_once),
    ("owners::older_than_the_agent", older_than_the_agent),
];

/// A process that accepts from a listener and says what it accepted. Killed when dropped: it would wait for ever.
struct Worker(Child);

impl Worker {
    fn start(listener: &TcpListener, name: &str, way: &str, threads: usize, says: PipeWriter) -> Self {
        let mut command = match RINGS.contains(&way) {
            true => actor::named(name, way, &[]),
            false => actor::named(name, "work", &[way, &threads.to_string()]),
        };
        let handed = listener.as_fd().try_clone_to_owned().unwrap();
        Self(command.stdin(Stdio::from(handed)).stdout(says).spawn().unwrap())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It has ended by itself unless something went wrong.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Connects so many times to the listener while these workers, who share it, accept; returns all lives but the listener's.
fn served(
    listener: &TcpListener,
    listens: &Made,
    workers: Vec<(String, String, usize)>,
    connections: usize,
) -> Vec<Life> {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut children: Vec<Worker> = Vec::new();
    let mut names = HashMap::new();
    for (name, way, threads) in workers {
        let worker = Worker::start(listener, &name, &way, threads, writer.try_clone().unwrap());
        names.insert(worker.0.id(), name);
        children.push(worker);
    }
    drop(writer);
    let to = listener.local_addr().unwrap();
    let mut lines = BufReader::new(reader).lines();
    let (mut lives, mut served) = (Vec::new(), HashSet::new());
    for _ in 0..connections / 2 {
        // Two at a time, so that several are at work.
        let clients: Vec<TcpStream> = (0..2).map(|_| made::connect(Domain::IPV4, to).unwrap()).collect();
        for mut client in clients {
            client.write_all(b"hello").unwrap();
            lives.push(Life::tcp(&Made::of(&client), ACTIVE_CLIENT, "closed").bytes(0, 5));
        }
        for _ in 0..2 {
            let made: Made = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
            assert_eq!(names.get(&made.pid), Some(&made.comm));
            served.insert(made.pid);
            lives.push(Life::tcp(&made, PASSIVE_SERVER, "closed").bytes(5, 0).accepted_from(listens));
        }
    }
    assert_eq!(served.len(), children.len(), "somebody had nothing to do");
    SockRef::from(listener).shutdown(Shutdown::Both).unwrap();
    for Worker(child) in &mut children {
        let end = netstat_tests::command::wait(child, patience()).unwrap();
        assert_eq!(end, netstat_tests::command::End::Exit(0), "a worker failed");
    }
    lives
}

/// So many connections to a listener for each of these ways, accepted by a worker that knows no other.
fn accepted_each_way(name: &str, ways: &[&str], connections: usize) -> Done {
    play(name, |stage| {
        let mut lives = Vec::new();
        for &way in ways {
            let (listener, listens) = listener(Family::V4);
            lives.push(Life::tcp(&listens, LISTENED, "closed"));
            lives.extend(served(&listener, &listens, vec![(way.into(), way.into(), 1)], connections));
        }
        stage.equal("what remains");
        lives
    });
    Done::Passed
}

fn every_way_to_accept() -> Done {
    accepted_each_way("every way to accept", &WAYS, count(250))
}

/// A thousand connections to one listener, accepted by these workers: each a name, a way, and its threads.
fn accepted_by(name: &str, workers: &[(String, &str, usize)]) -> Done {
    play(name, |stage| {
        let (listener, listens) = listener(Family::V4);
        let workers = workers.iter().map(|(name, way, threads)| (name.clone(), (*way).to_owned(), *threads));
        let mut lives = served(&listener, &listens, workers.collect(), count(1000));
        lives.push(Life::tcp(&listens, LISTENED, "closed"));
        drop(listener);
        stage.equal("what remains");
        lives
    });
    Done::Passed
}

fn workers_of_one_listener() -> Done {
    let worker = |number: usize| (format!("worker-{number}"), WAYS[number % WAYS.len()], 1);
    accepted_by("workers of one listener", &(0..4).map(worker).collect::<Vec<_>>())
}

fn threads_that_accept() -> Done {
    accepted_by("threads that accept", &[("threaded".to_owned(), "accept4", 8)])
}

fn accepted_through_a_ring() -> Done {
    if let Err(error) = io_uring::IoUring::new(8) {
        return Done::Skipped(format!("no io_uring: {error}"));
    }
    accepted_each_way("accepted through a ring", &RINGS, count(350))
}

/// As soon as a process knows of a connection that it accepts, the connection is its own: the first thing that happens to it says so.
fn accepted_at_once() -> Done {
    let namespace = NetNs::new().unwrap();
    let agent = Agent::start(&[]);
    let mut events = agent.events(&["--netns", &namespace.inode().unwrap().to_string()]);
    let ring = io_uring::IoUring::new(8).is_ok();
    let ways = WAYS.into_iter().chain(RINGS.into_iter().filter(|_| ring));
    let accepted: Vec<(&str, Made)> = namespace.enter(|| {
        let served = ways.flat_map(|way| {
            let (listener, _) = listener(Family::V4);
            let (reader, writer) = std::io::pipe().unwrap();
            let _worker = Worker::start(&listener, way, way, 1, writer);
            let mut lines = BufReader::new(reader).lines();
            let mut serve = || {
                let client = made::connect(Domain::IPV4, listener.local_addr().unwrap()).unwrap();
                let made: Made = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
                // Nobody does anything but the kernel, when the FIN comes.
                drop(client);
                (way, made)
            };
            (0..count(100)).map(|_| serve()).collect::<Vec<_>>()
        });
        served.collect()
    });
    events.wait_closed(accepted.iter().map(|(_, made)| made));
    let outcome = events.finish();
    for (way, made) in &accepted {
        let reported = outcome.events.iter().find(|event| {
            let half_closed = matches!(&event.kind, Kind::State { new, .. } if new == "CLOSE_WAIT");
            half_closed && event.cookie == Some(made.cookie)
        });
        let reported = reported.unwrap_or_else(|| panic!("{way}: nothing reported {}", made.name()));
        assert_eq!(
            (reported.pid, reported.owner.as_deref()),
            (Some(made.pid), Some("accepted")),
            "{way}: {}",
            reported.line
        );
    }
    agent.stop();
    Done::Passed
}

/// Connections of this process, of which another gets descriptors too.
fn shared(count: usize) -> (TcpListener, Made, Vec<Pair>) {
    let (listener, listens) = listener(Family::V4);
    let pairs = (0..count).map(|_| Pair::new(Family::V4, &listener)).collect();
    (listener, listens, pairs)
}

fn every_end(pairs: &[Pair]) -> Vec<Made> {
    pairs.iter().flat_map(|pair| [pair.client_made.clone(), pair.server_made.clone()]).collect()
}

/// Whoever holds them last closes them, in any order, and the FINs may cross; whose they were stays as it was reported at first.
fn lives_of(listens: &Made, ends: &[Made]) -> Vec<Life> {
    let mut lives = vec![Life::tcp(listens, LISTENED, "closed")];
    for pair in ends.chunks(2) {
        lives.push(Life::tcp(&pair[0], ACTIVE_CLIENT, "closed").or_path(PASSIVE_CLIENT).or_path(CROSSED_CLIENT));
        let server = Life::tcp(&pair[1], PASSIVE_SERVER, "closed").or_path(ACTIVE_SERVER).or_path(CROSSED_SERVER);
        lives.push(server.accepted_from(listens));
    }
    lives
}

fn own_name() -> (u32, String) {
    // netstat shows the name it was started by, in full.
    let path = std::env::args().next().unwrap();
    (std::process::id(), path.rsplit('/').next().unwrap_or_default().to_owned())
}

fn inherited_by_a_child() -> Done {
    play("inherited by a child", |stage| {
        let (listener, listens, pairs) = shared(count(500));
        let ends = every_end(&pairs);
        let keep = |keep: bool| {
            for end in pairs.iter().flat_map(|pair| [pair.client.as_fd(), pair.server.as_fd()]) {
                fcntl_setfd(end, if keep { FdFlags::empty() } else { FdFlags::CLOEXEC }).unwrap();
            }
        };
        keep(true);
        let mut child = Actor::start(actor::named("the-heir", "keep", &[]));
        keep(false);
        assert_eq!(child.hear::<String>(), "here");
        let (own, name) = own_name();
        stage.held_by(&ends, &[(own, &name), (child.pid(), "the-heir")], "both hold them");
        let heir = child.pid();
        drop(pairs);
        stage.held_by(&ends, &[(heir, "the-heir")], "the child alone holds them");
        stage.equal("held by the child");
        child.end();
        drop(listener);
        stage.equal("what remains");
        lives_of(&listens, &ends)
    });
    Done::Passed
}

fn send(to: &UnixStream, descriptors: &[BorrowedFd<'_>]) {
    let mut space = vec![std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(HANDFUL))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(descriptors)));
    rustix::net::sendmsg(to, &[IoSlice::new(b"!")], &mut control, SendFlags::empty()).unwrap();
}

fn handed_over() -> Done {
    play("handed over", |stage| {
        let (listener, listens, pairs) = shared(count(500));
        let ends = every_end(&pairs);
        let (mine, theirs) = UnixStream::pair().unwrap();
        let mut command = actor::named("the-taker", "receive", &[]);
        let mut child = command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::piped()).spawn().unwrap();
        drop(command);
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let descriptors: Vec<BorrowedFd<'_>> =
            pairs.iter().flat_map(|pair| [pair.client.as_fd(), pair.server.as_fd()]).collect();
        let mut taken = 0;
        for handful in descriptors.chunks(HANDFUL) {
            send(&mine, handful);
            taken = said.next().unwrap().unwrap().parse().unwrap();
        }
        assert_eq!(taken, descriptors.len());
        let (own, name) = own_name();
        stage.held_by(&ends, &[(own, &name), (child.id(), "the-taker")], "both hold them");
        drop(pairs);
        stage.held_by(&ends, &[(child.id(), "the-taker")], "the taker alone holds them");
        stage.equal("held by the taker");
        drop(mine);
        assert!(child.wait().unwrap().success());
        drop(listener);
        stage.equal("what remains");
        lives_of(&listens, &ends)
    });
    Done::Passed
}

fn processes_that_exit_at_once() -> Done {
    play("processes that exit at once", |stage| {
        let (listener, listens) = listener(Family::V4);
        let to = listener.local_addr().unwrap().to_string();
        let visitors = count(500);
        let (reader, writer) = std::io::pipe().unwrap();
        let mut lives = vec![Life::tcp(&listens, LISTENED, "closed")];
        thread::scope(|scope| {
            let to = &to;
            let spawner = scope.spawn(move || {
                for number in 0..visitors {
                    let name = format!("visitor-{}", number % 7);
                    let mut command = actor::named(&name, "visit", &[to, "hi"]);
                    let mut child = command.stdin(Stdio::null()).stdout(writer.try_clone().unwrap()).spawn().unwrap();
                    assert!(child.wait().unwrap().success());
                }
            });
            for line in BufReader::new(reader).lines() {
                let made: Made = serde_json::from_str(&line.unwrap()).unwrap();
                lives.push(Life::tcp(&made, ACTIVE_CLIENT, "closed").bytes(0, 2));
                let (mut server, made) = made::accept(&listener);
                assert_eq!(drain(&mut server), 2);
                lives.push(Life::tcp(&made, PASSIVE_SERVER, "closed").bytes(2, 0).accepted_from(&listens));
            }
            spawner.join().unwrap();
        });
        assert_eq!(lives.len(), 2 * visitors + 1);
        drop(listener);
        stage.equal("what remains");
        lives
    });
    Done::Passed
}

fn older_than_the_agent() -> Done {
    let before = || {
        let (listener, listens, pairs) = shared(count(400));
        let udp: Vec<socket2::Socket> = (0..count(200))
            .map(|number| {
                let (domain, to) = [(Domain::IPV4, "127.0.0.1:0"), (Domain::IPV6, "[::1]:0")][number % 2];
                actor::bound(domain, to.parse().unwrap())
            })
            .collect();
        let mut holder = Actor::start(actor::named("an-old-holder", "hold", &["pair"]));
        let held: Vec<Made> = holder.hear();
        (listener, listens, pairs, udp, holder, held)
    };
    play_after("older than the agent", before, |stage: &Stage, (listener, listens, pairs, udp, holder, held)| {
        stage.equal("older than the agent");
        let pid = holder.pid();
        stage.held_by(&held, &[(pid, "an-old-holder")], "an old process");
        let mut lives = vec![Life::tcp(&listens, "LISTEN CLOSE", "closed").scanned()];
        // A new connection of an old listener.
        let new = Pair::new(Family::V4, &listener);
        for (number, pair) in pairs.into_iter().enumerate() {
            let Pair { mut client, mut server, client_made, server_made } = pair;
            // Its child was old as well: it counts as a socket of its own.
            let server_made = Made { child: false, ..server_made };
            if number % 2 == 0 {
                client.write_all(b"last words").unwrap();
                drop(client);
                assert_eq!(drain(&mut server), 10);
                lives.push(
                    Life::tcp(&client_made, "ESTABLISHED FIN_WAIT1 FIN_WAIT2 CLOSE", "closed").bytes(0, 10).scanned(),
                );
                let path = "ESTABLISHED CLOSE_WAIT LAST_ACK CLOSE";
                lives.push(Life::tcp(&server_made, path, "closed").bytes(10, 0).scanned());
            } else {
                reset(client);
                assert!(server.read(&mut [0; 1]).is_err());
                lives.push(Life::tcp(&client_made, "ESTABLISHED CLOSE", "reset_sent").scanned());
                lives.push(Life::tcp(&server_made, "ESTABLISHED CLOSE", "reset_received").scanned());
            }
        }
        let Pair { client, mut server, client_made, server_made } = new;
        reset(client);
        assert!(server.read(&mut [0; 1]).is_err());
        lives.push(Life::tcp(&client_made, BROKEN_CLIENT, "reset_sent"));
        let broken = "LISTEN SYN_RECV ESTABLISHED CLOSE";
        lives.push(Life::tcp(&server_made, broken, "reset_received").accepted_from(&listens));
        drop((listener, server));
        for socket in udp {
            lives.push(Life::stateless(&Made::of(&socket)).scanned());
        }
        holder.end();
        for made in &held {
            lives.push(
                match made.remote {
                    None => Life::tcp(made, "LISTEN CLOSE", "closed"),
                    Some(_) => Life::tcp(
                        &Made { child: false, ..made.clone() },
                        "ESTABLISHED FIN_WAIT1 FIN_WAIT2 CLOSE",
                        "closed",
                    )
                    .or_path("ESTABLISHED CLOSE_WAIT LAST_ACK CLOSE")
                    .or_path(CROSSED),
                }
                .scanned(),
            );
        }
        stage.equal("what remains");
        lives
    });
    Done::Passed
}

/// A namespace each, one agent for all.
pub fn other_namespaces() -> Done {
    let agent = crate::agent::Agent::start(&[]);
    let mut tracer = agent.events(&[]);
    let mut lives = Vec::new();
    let spaces: Vec<NetNs> = (0..4).map(|_| NetNs::new().unwrap()).collect();
    let mut open = Vec::new();
    let at_home = |space: &NetNs| space.enter(|| Actor::start(actor::named("inhabitant", "keep", &[])));
    let inhabitants: Vec<Actor> = spaces.iter().map(at_home).collect();
    for space in &spaces {
        open.push(space.enter(|| shared(count(150))));
    }
    for (space, (listener, listens, pairs)) in spaces.iter().zip(open) {
        let netns = space.inode().unwrap();
        let rows = space.enter(|| crate::stage::equal(&agent, netns, "in a namespace"));
        assert_eq!(rows.len(), 2 * pairs.len() + 1);
        let ends = every_end(&pairs);
        assert!(ends.iter().all(|made| made.netns == netns));
        for Pair { client, server, .. } in pairs {
            drop(client);
            let mut server = server;
            drain(&mut server);
        }
        drop(listener);
        lives.extend(lives_of(&listens, &ends));
    }
    tracer.wait_closed(lives.iter().map(|life| &life.made));
    check::lives(&tracer.finish(), &lives);
    agent.stop();
    inhabitants.into_iter().for_each(Actor::end);
    Done::Passed
}
