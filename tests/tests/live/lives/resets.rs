//! Connections that are reset.

use super::{ACTIVE_CLIENT, BROKEN_CLIENT, BROKEN_SERVER, drain, reset, traced};
use crate::check::{self, Life};
use crate::event::Kind;
use crate::made::{self, Family, Made, Pair};
use crate::runner::Done;
use crate::scale::{count, patience};
use crate::tracer::Tracer;
use netstat_tests::netns::NetNs;
use netstat_tests::truth::tcp_info::at_rest;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::thread;

pub fn reset_by_either_end() -> Done {
    traced(&["--proto", "tcp,tcp6"], || {
        let mut lives = Vec::new();
        for family in Family::ALL {
            let listener = made::listener(family);
            for by_client in [true, false] {
                let Pair { mut client, mut server, client_made, server_made } = Pair::new(family, &listener);
                client.write_all(b"seven b").unwrap();
                server.read_exact(&mut [0; 7]).unwrap();
                // A reset is not answered: these are the last times that are measured.
                let [client_rtt, server_rtt] = [&client, &server].map(|end| at_rest(end).tcpi_rtt);
                let (first, mut second) = if by_client { (client, server) } else { (server, client) };
                reset(first);
                assert_eq!(second.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionReset);
                drop(second);
                let (client_end, server_end) =
                    if by_client { ("reset_sent", "reset_received") } else { ("reset_received", "reset_sent") };
                lives.push(Life::tcp(&client_made, BROKEN_CLIENT, client_end).bytes(0, 7).rtt(client_rtt));
                lives.push(Life::tcp(&server_made, BROKEN_SERVER, server_end).bytes(7, 0).rtt(server_rtt));
            }
        }
        lives
    });
    Done::Passed
}

/// One end closes in order, and the other one still sends: there is nobody left to take it.
pub fn reset_by_data_after_the_close() -> Done {
    traced(&["--proto", "tcp,tcp6"], || {
        no_minisockets();
        let mut lives = Vec::new();
        let mut play = |family, half_closed: bool| {
            let listener = made::listener(family);
            let Pair { mut client, mut server, client_made, server_made } = Pair::new(family, &listener);
            let in_time: &[u8] = if half_closed { b"in time" } else { b"" };
            if half_closed {
                client.shutdown(Shutdown::Write).unwrap();
                assert_eq!(drain(&mut server), 0);
                server.write_all(in_time).unwrap();
                client.read_exact(&mut vec![0; in_time.len()]).unwrap();
            }
            drop(client);
            server.write_all(b"too late").unwrap();
            wait_for_reset(&server);
            drop(server);
            let taken = in_time.len() as u64;
            lives.push(Life::tcp(&client_made, ACTIVE_CLIENT, "reset_sent").bytes(taken, 0));
            let given_up = "LISTEN SYN_RECV ESTABLISHED CLOSE_WAIT CLOSE";
            lives.push(Life::tcp(&server_made, given_up, "reset_received").bytes(0, taken + 8));
        };
        for _ in 0..10 {
            Family::ALL.into_iter().for_each(|family| play(family, false));
            Family::ALL.into_iter().for_each(|family| play(family, true));
        }
        lives
    });
    Done::Passed
}

/// One end closes while the other one sends and sends. The data that nobody takes may be there before the close, come during or after it.
pub fn reset_in_the_middle_of_a_stream() -> Done {
    let namespace = NetNs::new().unwrap();
    let mut tracer = Tracer::start(&["--proto", "tcp", "--netns", &namespace.inode().unwrap().to_string()]);
    let made = namespace.enter(|| {
        no_minisockets();
        let listener = made::listener(Family::V4);
        let play = |_| {
            let Pair { mut client, mut server, client_made, server_made } = Pair::new(Family::V4, &listener);
            let sends = thread::spawn(move || while server.write_all(&[0; 1000]).is_ok() {});
            for _ in 0..5 {
                assert_ne!(client.read(&mut [0; 1 << 16]).unwrap(), 0);
            }
            drop(client);
            sends.join().unwrap();
            (client_made, server_made)
        };
        (0..count(300)).map(play).collect::<Vec<(Made, Made)>>()
    });
    tracer.wait_closed(made.iter().flat_map(|(client, server)| [client, server]));
    let outcome = tracer.finish();
    check::stream(&outcome);
    let book = check::Book::new(&outcome.events);
    for (client, server) in &made {
        for (made, expected) in [(client, "reset_sent"), (server, "reset_received")] {
            let life = book.of(made);
            let ended = life.iter().find_map(|event| match &event.kind {
                Kind::Close(totals) => Some(totals.reason.as_str()),
                _ => None,
            });
            assert_eq!(ended, Some(expected), "{}: {life:#?}", made.name());
        }
    }
    Done::Passed
}

/// What waits for the peer's FIN for longer than TIME_WAIT lasts remains a socket: a minisocket would reset after the end of its own.
fn no_minisockets() {
    fs::write("/proc/sys/net/ipv4/tcp_fin_timeout", "120").unwrap();
}

/// Until the peer has reset the connection.
fn wait_for_reset(stream: &TcpStream) {
    let mut reset = [PollFd::new(stream.as_fd(), PollFlags::empty())];
    assert_eq!(poll(&mut reset, PollTimeout::try_from(patience()).unwrap()), Ok(1), "not reset");
}

pub fn reset_by_closing_with_unread_data() -> Done {
    traced(&["--proto", "tcp"], || {
        let listener = made::listener(Family::V4);
        let Pair { mut client, server, client_made, server_made } = Pair::new(Family::V4, &listener);
        client.write_all(b"nobody reads this").unwrap();
        // Until it is there, closing would be orderly.
        server.peek(&mut [0; 17]).unwrap();
        drop(server);
        assert_eq!(client.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        drop(client);
        vec![
            Life::tcp(&client_made, BROKEN_CLIENT, "reset_received").bytes(0, 17),
            Life::tcp(&server_made, BROKEN_SERVER, "reset_sent").bytes(17, 0),
        ]
    });
    Done::Passed
}
