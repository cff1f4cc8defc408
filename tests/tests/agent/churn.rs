//! Sockets of every kind that come and go, for as long as is wanted: the load under which the agent must stay true.

use netstat_tests::netns::NetNs;
use netstat_tests::truth::actor::{self, Actor};
use netstat_tests::truth::made::{self, Family, tcp};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::any::Any;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// Sockets that one thread keeps open at a time.
const OPEN: usize = 150;

/// A namespace with a process in it, by which its lists are found.
pub struct Place {
    pub namespace: NetNs,
    pub netns: u64,
    inhabitant: Actor,
}

impl Place {
    pub fn new() -> Self {
        let namespace = NetNs::new().unwrap();
        let inhabitant = namespace.enter(|| Actor::start(actor::named("inhabitant", "keep", &[])));
        Self { netns: namespace.inode().unwrap(), namespace, inhabitant }
    }

    /// A process in it.
    pub fn pid(&self) -> u32 {
        self.inhabitant.pid()
    }

    pub fn leave(self) {
        self.inhabitant.end();
    }
}

/// Numbers that look like chance, and are the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

type Keep = Box<dyn Any + Send>;

/// One socket or one pair, opened, perhaps used, perhaps half closed; what is to stay open for a while is returned.
fn one(dice: &mut Dice, listeners: &[(Family, TcpListener)]) -> Option<Keep> {
    let (family, listener) = &listeners[dice.roll(listeners.len() as u64) as usize];
    let to = family.address(listener.local_addr().unwrap().port());
    let pair = || -> std::io::Result<(TcpStream, TcpStream)> {
        let client = made::connect(Domain::for_address(to), to)?;
        Ok((client, listener.accept()?.0))
    };
    match dice.roll(10) {
        0 => {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).ok()?;
            socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).ok()?;
            Some(Box::new(socket))
        }
        1 => {
            let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP)).ok()?;
            socket.connect(&"[::1]:9".parse::<SocketAddr>().unwrap().into()).ok()?;
            Some(Box::new(socket))
        }
        2 => Some(Box::new(Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)).ok()?)),
        3 => Some(Box::new(made::listener(Family::V6))),
        4 => {
            // Refused: the port is one that nobody has.
            let _ = tcp(Domain::IPV4).connect(&SocketAddr::from(([127, 0, 0, 1], 1)).into());
            None
        }
        5 => {
            let (client, server) = pair().ok()?;
            SockRef::from(&client).set_linger(Some(Duration::ZERO)).ok()?;
            drop((client, server));
            None
        }
        6 => {
            let (mut client, mut server) = pair().ok()?;
            client.write_all(b"hello").ok()?;
            client.shutdown(Shutdown::Write).ok()?;
            server.read_to_end(&mut Vec::new()).ok()?;
            // Half closed for as long as it is kept; or orphaned, to wait for an end that comes late.
            if dice.roll(2) == 0 { Some(Box::new((client, server))) } else { Some(Box::new(server)) }
        }
        7 => {
            let (client, server) = pair().ok()?;
            drop(server);
            drop(client);
            None
        }
        _ => Some(Box::new(pair().ok()?)),
    }
}

/// Goes on until asked to stop, with a pause after every few, and returns what is open then. Counts what it makes.
fn churn(seed: u64, pause: Duration, stop: &AtomicBool, made: &AtomicU64) -> Vec<Keep> {
    let mut dice = Dice(seed);
    let listeners = Family::ALL.map(|family| (family, made::listener(family)));
    let mut open: VecDeque<Keep> = VecDeque::new();
    while !stop.load(Ordering::Relaxed) {
        open.extend(one(&mut dice, &listeners));
        if made.fetch_add(1, Ordering::Relaxed).is_multiple_of(8) {
            thread::sleep(pause);
        }
        if open.len() > OPEN {
            open.remove(dice.roll(OPEN as u64) as usize);
        }
    }
    let mut kept: Vec<Keep> = open.into();
    kept.push(Box::new(listeners));
    kept
}

/// Sets a flag when it is dropped: what goes on until then ends also where something panics that it runs beside.
pub struct Ends<'a>(pub &'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `work` while sockets come and go in every place, and `rest` when they rest, those open that are open then. Returns how many
/// were made.
pub fn while_they_come_and_go(places: &[Place], pause: Duration, work: impl FnOnce(), rest: impl FnOnce()) -> u64 {
    let (stop, made) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let threads: Vec<_> = (0..)
            .zip(places)
            .map(|(seed, place)| {
                let (stop, made) = (&stop, &made);
                scope.spawn(move || place.namespace.enter(|| churn(seed, pause, stop, made)))
            })
            .collect();
        let stops = Ends(&stop);
        work();
        drop(stops);
        let kept: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        rest();
        drop(kept);
    });
    made.load(Ordering::Relaxed)
}
