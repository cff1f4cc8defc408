//! The kernel's tables read in two ways, which must agree: from /proc, and as is tested.

use netstat_user::model::{Proto, SocketRow, Timer};
use netstat_user::proc::inet;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// The rows of a protocol's families, IPv4 first.
pub type Families = [Vec<SocketRow>; 2];

/// The calling thread's namespace as /proc lists it, each family's file in its order.
pub fn listed(protos: [Proto; 2]) -> Families {
    protos.map(|proto| inet::read(Path::new("/proc/thread-self"), proto, |_| true).unwrap().rows)
}

/// Without what /proc does not know, and what moves with time.
fn still(row: &SocketRow) -> SocketRow {
    SocketRow { cookie: None, netns: None, timer: Timer { expires: 0, ..row.timer }, ..*row }
}

/// The rows of both sources, which must agree; `read` has all of this namespace. Timers run, and retransmissions happen: it reads between two readings of
/// /proc, and again until nothing happened meanwhile.
pub fn agreed(protos: [Proto; 2], netns: u32, read: impl Fn() -> Families) -> Vec<SocketRow> {
    let shape = |rows: &Families| rows.iter().flatten().map(still).collect::<Vec<_>>();
    let expires = |rows: &Families| rows.iter().flatten().map(|row| row.timer.expires).collect::<Vec<_>>();
    for _ in 0..200 {
        let (before, between, after) = (listed(protos), read(), listed(protos));
        // Acknowledgements and data set a timer anew.
        let quiet = shape(&before) == shape(&after)
            && expires(&before).iter().zip(expires(&after)).all(|(&before, after)| after <= before);
        if !quiet {
            continue;
        }
        let (seen, wanted) = (shape(&between), shape(&before));
        assert_eq!(seen.len(), wanted.len(), "{protos:?}: the number of rows");
        for (at, (seen, wanted)) in seen.iter().zip(&wanted).enumerate() {
            assert_eq!(seen, wanted, "{protos:?}: row {at}");
        }
        for ((before, between), after) in expires(&before).into_iter().zip(expires(&between)).zip(expires(&after)) {
            assert!((after..=before).contains(&between), "{protos:?}: {after} ≤ {between} ≤ {before}");
        }
        let rows = between.concat();
        assert!(rows.iter().all(|row| row.netns == Some(netns)), "the namespace");
        let cookies: BTreeSet<_> = rows.iter().filter_map(|row| row.cookie).collect();
        assert_eq!(cookies.len(), rows.len(), "a cookie for each socket");
        return rows;
    }
    panic!("{protos:?}: the table never stood still");
}

/// Sockets are in every state that a table lists, and every timer runs.
pub fn assert_every_state_and_timer(rows: &[SocketRow]) {
    let states: BTreeSet<u8> = rows.iter().map(|row| row.state).collect();
    // All but CLOSE, which no table lists.
    assert_eq!(states, (1..=11).filter(|&state| state != 7).collect());
    let timers: BTreeSet<u32> = rows.iter().map(|row| row.timer.kind).collect();
    assert_eq!(timers, (0..=4).collect());
}

/// Waits until segments and requests that nobody acknowledges have been sent again.
pub fn wait_for_retransmissions(rows: impl Fn() -> Vec<SocketRow>) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let rows = rows();
        let again = |state| rows.iter().any(|row| row.state == state && row.timer.retransmits > 0);
        if again(1) && again(3) && rows.iter().any(|row| row.timer.probes > 0) {
            return;
        }
        assert!(Instant::now() < deadline, "nothing was sent again");
        std::thread::sleep(Duration::from_millis(200));
    }
}
