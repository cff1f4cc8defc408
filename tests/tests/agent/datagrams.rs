//! Ground truth of what has no connections: UDP, bound, unbound and connected, and raw sockets; and of several namespaces.

use crate::owners::other_namespaces;
use crate::stage::play;
use netstat_tests::truth::check::Life;
use netstat_tests::truth::made::Made;
use netstat_tests::truth::runner::{Done, Test};
use netstat_tests::truth::scale::count;
use socket2::{Domain, Protocol, Socket, Type};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

pub const TESTS: &[Test] =
    &[("datagrams::udp", udp), ("datagrams::raw", raw), ("datagrams::other_namespaces", other_namespaces)];

fn loopback(number: usize) -> (Domain, SocketAddr) {
    match number % 2 {
        0 => (Domain::IPV4, (Ipv4Addr::LOCALHOST, 0).into()),
        _ => (Domain::IPV6, (Ipv6Addr::LOCALHOST, 0).into()),
    }
}

fn udp() -> Done {
    play("udp", |stage| {
        let mut sockets = Vec::new();
        let mut listed = 0;
        for number in 0..count(1500) {
            let (domain, address) = loopback(number);
            let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP)).unwrap();
            // Unconnected and unbound; bound; connected; connected, and let go again by another one that it sends to.
            match number / 2 % 4 {
                0 => {}
                1 => socket.bind(&address.into()).unwrap(),
                2 => socket.connect(&SocketAddr::new(address.ip(), 9).into()).unwrap(),
                _ => {
                    socket.send_to(b"hello", &SocketAddr::new(address.ip(), 9).into()).unwrap();
                }
            }
            listed += usize::from(number / 2 % 4 != 0);
            sockets.push(socket);
        }
        assert_eq!(stage.equal("all open").len(), listed);
        let lives = sockets.iter().map(|socket| Life::stateless(&Made::of(socket))).collect();
        drop(sockets);
        assert!(stage.equal("all gone").is_empty());
        lives
    });
    Done::Passed
}

fn raw() -> Done {
    play("raw", |stage| {
        let mut sockets = Vec::new();
        for number in 0..count(1000) {
            let (domain, address) = loopback(number);
            let protocol = if number % 2 == 0 { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
            let socket = Socket::new(domain, Type::RAW, Some(protocol)).unwrap();
            match number / 2 % 3 {
                0 => {}
                1 => socket.bind(&address.into()).unwrap(),
                _ => socket.connect(&address.into()).unwrap(),
            }
            let made = Made::of(&socket);
            // It has no port for getpeername(2) to return.
            let remote = (number / 2 % 3 == 2).then(|| SocketAddr::new(address.ip(), 0));
            sockets.push((socket, Made { remote, ..made }));
        }
        assert_eq!(stage.equal("all open").len(), sockets.len());
        let lives = sockets.iter().map(|(_, made)| Life::stateless(made)).collect();
        drop(sockets);
        assert!(stage.equal("all gone").is_empty());
        lives
    });
    Done::Passed
}
