//! Who follows the table of the agent has it at any time.

use super::*;
use crate::table::Table;

/// Follows the table of the agent, and reads what lives.
async fn follow(path: &PathBuf, wanted: Limits) -> (Asking, Vec<LiveSocket>) {
    // Whatever the age: the first listing is waited for in any case.
    let mut follower = Asking::new(path, &Request::Follow { wanted, age_ns: u64::MAX }).await;
    let (mut live, mut is_complete) = (Vec::new(), false);
    loop {
        match follower.next().await.unwrap() {
            Answer::Begin(_) | Answer::Status(_) | Answer::Coverage(_) => {}
            Answer::Live(socket) if !is_complete => live.push(socket),
            Answer::LiveEnd { time_ns } if !is_complete => is_complete = time_ns == 1 + EPOCH,
            Answer::End if is_complete => return (follower, live),
            other => panic!("{other:?}"),
        }
    }
}

/// Where no event reports a change, the listing that shows it is in the stream, at its place among the events.
#[test]
fn who_follows_gets_the_table_then_the_events_and_what_the_lists_change() {
    with_agent(4, async |path, fake, signals| {
        let unbound = SocketEvent { kind: EventKind::Open, local: None, remote: None, ..event(4) };
        let udp = SocketEvent { proto: Proto::Udp, ..unbound };
        fake.recorded.lock().unwrap().extend([unbound, event(5), SocketEvent { cookie: Some(9), ..udp }]);
        let tcp = Limits { protos: Some(vec![Proto::Tcp]), ..Limits::default() };
        let (mut follower, mut live) = follow(&path, tcp).await;
        live.sort_by_key(|socket| socket.cookie);
        assert!(matches!(live[..], [unbound, bound] if !unbound.is_listed() && bound.cookie == Some(5)), "{live:?}");
        fake.recorded.lock().unwrap().push(event(6));
        assert!(matches!(follower.next().await, Some(Answer::Event(event)) if event.cookie == Some(6)));
        // The socket of 6 is in another state, that of 5 is not there any more, another one was never reported, and is not wanted either.
        let (known, new) = (SocketRow { cookie: Some(6), netns: Some(1), state: 1, ..row(6) }, row(7));
        let other = SocketRow { proto: Proto::Udp, cookie: Some(8), ..row(8) };
        let new = SocketRow { cookie: Some(7), netns: Some(1), ..new };
        *fake.listing.lock().unwrap() = Listing {
            rows: [known, new, other].map(|row| (row, None)).to_vec(),
            protos: vec![Proto::Tcp],
            held: Some([4].into_iter().collect()),
            ..Listing::default()
        };
        signals.send(Signal::Resync).await.unwrap();
        let (mut gone, mut there) = (Vec::new(), Vec::new());
        while gone.len() + there.len() < 5 {
            match follower.next().await.unwrap() {
                Answer::Gone(socket) => gone.push(socket.cookie.unwrap()),
                Answer::Live(socket) => there.push((socket.cookie.unwrap(), socket.state)),
                other => panic!("{other:?}"),
            }
        }
        gone.sort_unstable();
        assert_eq!((gone, there), (vec![4, 5, 6], vec![(6, TcpState::Established), (7, TcpState::TimeWait)]));
        fake.lost.store(3, Ordering::SeqCst);
        assert_eq!(follower.next().await, Some(Answer::Lost { time_ns: 1 + EPOCH, count: 3 }));
        follower.stream.shutdown().await.unwrap();
        assert_eq!(follower.all().await, [Answer::End]);
    });
}

/// Followers that come at any moment, while everything changes, have the table of the agent in the end.
#[test]
fn a_copy_made_of_the_snapshot_and_the_stream_is_the_table() {
    with_agent(64, async |path, fake, _| {
        let change = |cookie: u64, kind, inode| SocketEvent { kind, inode: Some(inode), ..event(cookie) };
        let state = |old, new| EventKind::State { old, new, in_state_ns: None };
        let totals = crate::model::Totals::unknown(crate::model::CloseReason::Closed);
        let fold = async |(mut follower, live): (Asking, Vec<LiveSocket>)| {
            let mut table = Table::new(Retention { recent_ns: 0, recent_count: 0 });
            live.into_iter().for_each(|socket| table.put(socket));
            loop {
                match follower.next().await.unwrap() {
                    Answer::Event(event) => table.event(&event),
                    Answer::Gone(socket) => table.take(&socket),
                    Answer::Live(socket) => table.put(socket),
                    Answer::End => break,
                    other => panic!("{other:?}"),
                }
            }
            let mut live: Vec<LiveSocket> = table.live().copied().collect();
            live.sort_by_key(|socket| socket.cookie);
            live
        };
        let mut followers = Vec::new();
        for round in 0..40_u64 {
            // Of each 50 sockets, all are made and connected, and half of those of the last round end or are left in TIME_WAIT.
            for number in round * 50..round * 50 + 50 {
                let mut recorded = fake.recorded.lock().unwrap();
                recorded.push(change(number, EventKind::Open, 1000 + number));
                recorded.push(change(number, state(TcpState::Close, TcpState::SynSent), 1000 + number));
                recorded.push(change(number, state(TcpState::SynSent, TcpState::Established), 1000 + number));
                let ends = number.checked_sub(50);
                match ends.filter(|ends| ends % 2 == 0) {
                    Some(ends) if ends % 4 == 0 => recorded.push(change(ends, EventKind::Close(totals), 0)),
                    Some(ends) => recorded.push(change(ends, state(TcpState::FinWait2, TcpState::TimeWait), 0)),
                    None => {}
                }
            }
            // The list knows one that was never reported, and the next one does not.
            let row = SocketRow { cookie: Some(100_000 + round), netns: Some(1), ..row(60_000) };
            *fake.listing.lock().unwrap() = Listing { rows: vec![(row, None)], ..Listing::default() };
            if round % 4 == 0 {
                followers.push(follow(&path, Limits::default()).await);
            }
            if round % 10 == 0 {
                Asking::new(&path, &TABLE).await.all().await;
            }
        }
        let (last, expected) = follow(&path, Limits::default()).await;
        let mut expected = expected;
        expected.sort_by_key(|socket| socket.cookie);
        assert!(expected.len() > 1_500, "{}", expected.len());
        followers.push((last, expected.clone()));
        for (number, (mut follower, live)) in followers.into_iter().enumerate() {
            follower.stream.shutdown().await.unwrap();
            assert!(fold((follower, live)).await == expected, "follower {number}");
        }
    });
}
