//! Connections that cannot be made, and those that break without a word.

use super::{BROKEN_CLIENT, BROKEN_SERVER, attempt, go_deaf, reset, retransmitted, traced};
use crate::check::Life;
use crate::made::{self, Family, Pair, tcp};
use crate::runner::Done;
use socket2::{Domain, SockRef};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

pub fn refused() -> Done {
    traced(&[], || {
        let mut lives = Vec::new();
        for family in [Family::V4, Family::V6, Family::Mapped] {
            for bind in [false, true] {
                let to = family.address(made::closed_port(family));
                let socket = tcp(Domain::for_address(to));
                if bind {
                    socket.bind(&SocketAddr::from((to.ip(), 0)).into()).unwrap();
                }
                let (made, error) = attempt(&socket, to);
                assert_eq!(error, ErrorKind::ConnectionRefused);
                lives.push(Life::tcp(&made, "CLOSE SYN_SENT CLOSE", "refused"));
            }
        }
        lives
    });
    Done::Passed
}

pub fn connect_times_out() -> Done {
    traced(&[], || {
        let mut lives = Vec::new();
        for family in [Family::V4, Family::V6] {
            let listener = made::listener(family);
            go_deaf(SockRef::from(&listener));
            let to = family.address(listener.local_addr().unwrap().port());
            let socket = tcp(Domain::for_address(to));
            socket.set_tcp_user_timeout(Some(Duration::from_millis(1200))).unwrap();
            let before = retransmitted();
            let (made, error) = attempt(&socket, to);
            assert_eq!(error, ErrorKind::TimedOut);
            let mut life = Life::tcp(&made, "CLOSE SYN_SENT CLOSE", "timed_out");
            life.retransmits = Some(retransmitted() - before);
            lives.push(life);
        }
        lives
    });
    Done::Passed
}

pub fn established_times_out() -> Done {
    traced(&["--proto", "tcp"], || {
        let listener = made::listener(Family::V4);
        let Pair { mut client, server, client_made, server_made } = Pair::new(Family::V4, &listener);
        go_deaf(SockRef::from(&server));
        SockRef::from(&client).set_tcp_user_timeout(Some(Duration::from_millis(300))).unwrap();
        let before = retransmitted();
        client.write_all(b"into the void").unwrap();
        assert_eq!(client.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::TimedOut);
        let again = retransmitted() - before;
        assert!(again > 0);
        drop(client);
        // The other end knows nothing of it, and its reset finds nobody.
        reset(server);
        let mut gone = Life::tcp(&client_made, BROKEN_CLIENT, "timed_out").bytes(0, 13);
        gone.retransmits = Some(again);
        vec![gone, Life::tcp(&server_made, BROKEN_SERVER, "reset_sent")]
    });
    Done::Passed
}
