//! What a socket has received, sent and sent again in its life.

use crate::check::Life;
use crate::lives::{ACTIVE_CLIENT, PASSIVE_SERVER, attempt, drain, go_deaf, retransmitted, traced};
use crate::made::{self, Family, Made, Pair, tcp};
use crate::runner::{Done, Test};
use crate::scale::count;
use netstat_tests::truth::tcp_info::at_rest;
use socket2::{Domain, SockRef};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

pub const TESTS: &[Test] = &[
    ("totals::are_the_payload", are_the_payload),
    ("totals::are_of_all_connections_of_a_socket", are_of_all_connections_of_a_socket),
];

fn are_the_payload() -> Done {
    traced(&["--proto", "tcp,tcp6"], || {
        let mut lives = Vec::new();
        for family in [Family::V4, Family::V6] {
            let listener = made::listener(family);
            for megabytes in [1, 16] {
                let size = count(megabytes << 20);
                let Pair { mut client, mut server, client_made, server_made } = Pair::new(family, &listener);
                let payload = vec![0x5a; size];
                thread::scope(|scope| {
                    scope.spawn(|| {
                        client.write_all(&payload).unwrap();
                        client.shutdown(Shutdown::Write).unwrap();
                    });
                    assert_eq!(drain(&mut server), size as u64);
                });
                server.write_all(b"thanks").unwrap();
                // A loaded machine may well send something twice.
                let receiver_again = at_rest(&server).tcpi_total_retrans;
                drop(server);
                assert_eq!(drain(&mut client), 6);
                let sender_again = at_rest(&client).tcpi_total_retrans;
                drop(client);
                let size = size as u64;
                let sender = Life::tcp(&client_made, ACTIVE_CLIENT, "closed").bytes(6, size);
                let receiver = Life::tcp(&server_made, PASSIVE_SERVER, "closed").bytes(size, 6);
                lives.extend([sender.retransmits(sender_again), receiver.retransmits(receiver_again)]);
            }
        }
        lives
    });
    Done::Passed
}

/// A socket fails to connect after retransmissions, connects and sends, is disconnected, connects again and sends.
fn are_of_all_connections_of_a_socket() -> Done {
    traced(&["--proto", "tcp"], || {
        let deaf = made::listener(Family::V4);
        go_deaf(SockRef::from(&deaf));
        let socket = tcp(Domain::IPV4);
        socket.set_tcp_user_timeout(Some(Duration::from_millis(1200))).unwrap();
        let before = retransmitted();
        let (made, error) = attempt(&socket, deaf.local_addr().unwrap());
        assert_eq!(error, ErrorKind::TimedOut);
        let again = retransmitted() - before;
        assert!(again > 0);
        let listener = made::listener(Family::V4);
        let client = TcpStream::from(socket);
        let send = |payload: &[u8]| {
            rustix::net::connect(&client, &listener.local_addr().unwrap()).unwrap();
            let (mut server, _) = listener.accept().unwrap();
            (&client).write_all(payload).unwrap();
            server.read_exact(&mut vec![0; payload.len()]).unwrap();
            at_rest(&client);
            server
        };
        let server = send(b"seven b");
        rustix::net::connect_unspec(&client).unwrap();
        drop(server);
        let mut server = send(b"five!");
        drop(client);
        assert_eq!(drain(&mut server), 0);
        drop(server);
        // Each event has the ends it had then.
        let end = Some((Ipv4Addr::LOCALHOST, 0).into());
        let path = "CLOSE SYN_SENT CLOSE SYN_SENT ESTABLISHED CLOSE SYN_SENT ESTABLISHED FIN_WAIT1 FIN_WAIT2 CLOSE";
        let life = Life::tcp(&Made { local: end, remote: end, ..made }, path, "closed").bytes(0, 12);
        vec![life.retransmits(again)]
    });
    Done::Passed
}
