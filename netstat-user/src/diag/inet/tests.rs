use super::super::wire::{DONE, Messages};
use super::*;
use crate::diag::info;
use proptest::prelude::*;

/// A dump of Linux 6.18 by [`TCP_OF_BOTH_FAMILIES`] with `tcp_info`: listeners at `[::1]:9090` and `127.0.0.1:8080`, both ends of a connection to the
/// latter of which one has sent 100 bytes and the other has read 40, and what is left of a connection to the former.
const TCP: &[u8] = include_bytes!("../captured/tcp.bin");
/// A socket at `[::]:5353`.
const UDP6: &[u8] = include_bytes!("../captured/udp6.bin");

fn replies(datagrams: &[u8]) -> Vec<Reply<'_>> {
    Messages::new(datagrams).filter(|message| message.kind != DONE).map(|m| Reply::parse(m.payload).unwrap()).collect()
}

fn end(text: &str) -> Endpoint {
    let socket: std::net::SocketAddr = text.parse().unwrap();
    Endpoint { addr: socket.ip(), port: socket.port() }
}

#[test]
fn a_dump_of_tcp() {
    let all = replies(TCP);
    let states: Vec<_> = all.iter().map(|reply| (reply.v6, reply.state, reply.timer)).collect();
    assert_eq!(states, [(true, 10, 0), (false, 10, 0), (false, 1, 0), (false, 1, 0), (true, 6, 3)]);
    assert_eq!((all[0].id.local, all[0].id.remote), (end("[::1]:9090"), end("[::]:0")));
    assert_eq!((all[0].recv_q, all[0].send_q, all[1].send_q), (0, 3, 7));
    let (server, client, wait) = (&all[2], &all[3], &all[4]);
    assert_eq!((server.id.local, server.recv_q), (end("127.0.0.1:8080"), 60));
    assert_eq!((client.id.remote, client.recv_q, client.send_q), (end("127.0.0.1:8080"), 0, 0));
    assert_eq!((client.id.local, client.id.remote), (server.id.remote, server.id.local));
    assert!(client.inode != 0 && client.id.cookie != 0 && client.id.cookie != server.id.cookie);
    assert_eq!((wait.inode, wait.uid, wait.info(), wait.id.local.addr), (0, 0, None, end("[::1]:0").addr));
    assert!((59_000..=60_000).contains(&wait.expires_ms), "{}", wait.expires_ms);
    assert_eq!((server.cgroup(), server.mark(), server.id.interface), (Some(1), Some(0), 0));
    let of = |reply: &Reply<'_>| info::parse(reply.info().unwrap(), reply.congestion());
    let (sent, received) = (of(client), of(server));
    assert_eq!(sent.congestion(), Some(b"bbr".as_slice()));
    assert_eq!(
        (sent.get("bytes_sent"), sent.get("bytes_acked"), sent.get("segs_out")),
        (Some(100), Some(101), Some(3))
    );
    assert_eq!((received.get("bytes_received"), received.get("bytes_sent")), (Some(100), Some(0)));
    assert_eq!((sent.get("ssthresh"), sent.get("pmtu")), (None, Some(65_535)));
    assert!(sent.get("rtt_us").is_some_and(|rtt| rtt > 0 && rtt < 1_000_000));
    assert_eq!(of(&all[1]).get("rtt_us"), None);
}

#[test]
fn a_dump_of_udp() {
    let all = replies(UDP6);
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].id.local, all[0].state, all[0].v6), (end("[::]:5353"), 7, true));
    assert!(all[0].info().is_none() && all[0].congestion().is_none());
}

#[test]
fn a_request_names_the_socket_as_its_answer_does() {
    for reply in replies(TCP) {
        let family = if reply.v6 { DiagFamily::V6 } else { DiagFamily::V4 };
        let request = of_socket(family, 6, 0, &reply.id);
        assert_eq!(request.len(), 56);
        // The kernel writes `struct inet_diag_sockid` behind four bytes, and reads it behind eight.
        let payload =
            Messages::new(TCP).find(|m| Reply::parse(m.payload).is_some_and(|r| r.id == reply.id)).unwrap().payload;
        assert_eq!(request[8..], payload[4..52]);
        assert_eq!(request[..4], [family.number(), 6, 0, 0]);
    }
}

#[test]
fn requests_have_the_sizes_of_their_structures() {
    assert_eq!(of_family(DiagFamily::V6, 17, EVERY_STATE, 0).len(), 56);
    assert_eq!(of_both_families(LISTENING, extension::INFO).len(), 60);
}

#[test]
fn what_is_cut_short_or_of_another_family_is_no_socket() {
    let whole = Messages::new(TCP).next().unwrap().payload;
    for length in 0..REPLY {
        assert!(Reply::parse(&whole[..length]).is_none(), "{length} bytes");
    }
    let mut other = whole.to_vec();
    other[0] = 1;
    assert!(Reply::parse(&other).is_none());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(mut bytes: Vec<u8>, v6: bool) {
        if let Some(first) = bytes.first_mut() {
            *first = if v6 { V6 } else { V4 };
        }
        bytes.resize(bytes.len() + 80, 7);
        if let Some(reply) = Reply::parse(&bytes) {
            let _ = (reply.info(), reply.congestion(), reply.mark(), reply.cgroup());
        }
    }
}
