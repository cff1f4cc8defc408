//! What a million sockets take in the live table: folded from events, and again while a listing of all of them is folded in. Prints a
//! table; `cargo xtask bench agent` runs it.

use netstat_user::model::{Comm, Endpoint, EventEnd, EventKind, Grade, Owner, Proto, SocketEvent, SocketRow, TcpState};
use netstat_user::owner::Owners;
use netstat_user::table::{Listing, Retention, Table};
use std::fs;
use std::time::Instant;

const SOCKETS: u32 = 1_000_000;

/// A field of /proc/self/status that is given in kB, in MiB.
fn mib(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) >> 10
}

fn ends(number: u32) -> (EventEnd, EventEnd) {
    let [a, b, c, d] = number.to_be_bytes();
    let end = |addr: [u8; 4], port| EventEnd { addr: addr.into(), port: Some(port) };
    (end([10, b, c, d], 1024 + u16::from(a)), end([10, 255, 0, 1], 443))
}

fn owner(number: u32) -> Owner {
    Owner { pid: number / 1000, comm: Comm::new(b"a-process-name"), grade: Grade::Created, cgroup_id: None, start: 0 }
}

fn event(number: u32, kind: EventKind) -> SocketEvent {
    let (local, remote) = ends(number);
    SocketEvent {
        time_ns: 1,
        kind,
        proto: Proto::Tcp,
        local: Some(local),
        remote: Some(remote),
        owner: Some(owner(number)),
        uid: Some(0),
        inode: Some(u64::from(number) + 1),
        cookie: Some(u64::from(number) + 1),
        netns: Some(1),
    }
}

fn row(number: u32) -> SocketRow {
    let (local, remote) = ends(number);
    let end = |end: EventEnd| Endpoint { addr: end.addr, port: end.port.unwrap_or(0) };
    SocketRow {
        inode: u64::from(number) + 1,
        netns: Some(1),
        ..SocketRow::bare(Proto::Tcp, end(local), end(remote), TcpState::Established as u8)
    }
}

fn main() {
    let before = mib("VmRSS");
    let mut table = Table::new(Retention { recent_ns: u64::MAX, recent_count: 65_536 });
    let mut owners = Owners::default();
    let start = Instant::now();
    let state = |old, new| EventKind::State { old, new, in_state_ns: Some(1) };
    let kinds = [state(TcpState::Close, TcpState::SynSent), state(TcpState::SynSent, TcpState::Established)];
    for number in 0..SOCKETS {
        for kind in kinds {
            let mut event = event(number, kind);
            owners.resolve(&mut event);
            table.event(&event);
        }
    }
    let each_ns = start.elapsed().as_nanos() / u128::from(2 * SOCKETS);
    let folded = mib("VmRSS");
    let bytes = table.bytes() as u64;

    // As the agent does it: rows, holders and owners are there at a time.
    let mut found = Owners::default();
    (0..SOCKETS).for_each(|number| found.scanned(u64::from(number) + 1, number / 1000, Comm::new(b"a-process-name")));
    table.begin_listing();
    let listing = Listing {
        rows: (0..SOCKETS).map(|number| (row(number), found.holder(u64::from(number) + 1))).collect(),
        protos: Proto::ALL.to_vec(),
        held: Some((1..=u64::from(SOCKETS)).collect()),
        spaces: None,
    };
    owners.renew(found);
    let start = Instant::now();
    let correction = table.listing(&listing, 2);
    let listed_ms = start.elapsed().as_millis();
    drop(listing);
    assert_eq!((table.len(), correction.added), (SOCKETS as usize, 0), "every one was known");

    println!("sockets              {SOCKETS}");
    println!(
        "bytes a socket       {} ({} MiB in all, closed sockets left out)",
        bytes / u64::from(SOCKETS),
        bytes >> 20
    );
    println!("RSS                  {folded} MiB, {before} MiB before");
    println!("peak, while listed   {} MiB", mib("VmHWM"));
    println!("an event             {each_ns} ns");
    println!("a listing of all     {listed_ms} ms");
}
