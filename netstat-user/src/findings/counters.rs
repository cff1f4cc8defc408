//! What an agent's counters mean, and what mends what they show.

use super::lacks::{not_remembered, of_others};
use crate::cli::names::MOST_REMEMBERED;
use crate::cli::value::LARGEST_BUFFER;
use crate::model::{Check, Level};
use crate::query::{Past, Status};
use crate::sys::local_time;
use crate::view::text::{counted, span};

/// Where the packaged service has the options of the agent.
const SERVICE_OPTIONS: &str = "/etc/default/netstat-user";
/// What a socket takes that the kernel programs remember, as the help of `--remember` says.
const REMEMBERED_BYTES: u64 = 200;
/// What the packaged service may take (`MemoryMax=` of its unit), in which there is room for the usual sizes and some more.
const SERVICE_BYTES: u64 = 1 << 30;

/// What the agent has counted, until now.
pub fn of_status(status: &Status, now_ns: u64) -> Vec<Check> {
    let larger = larger(status.buffer, status.pid);
    let mut checks = vec![
        table(status),
        buffer(status, &larger),
        of_losses(status, now_ns, &larger),
        recent(status, now_ns),
        share(status),
        resyncs(status),
    ];
    checks.extend(forgotten(status));
    checks.extend(readers(status));
    checks
}

/// The sockets of its table.
fn table(Status { live, recent, events, .. }: &Status) -> Check {
    let (live, events) = (counted(*live, "socket", "sockets"), counted(*events, "event", "events"));
    Check::ok("table", format!("{live}, {recent} that ended recently, {events} so far"))
}

/// The ring buffer; `larger` mends one that is too small.
fn buffer(status: &Status, larger: &str) -> Check {
    let Status { buffer, peak_fill, .. } = *status;
    let fill = format!("{} KiB, filled up to {} % so far", buffer >> 10, peak_fill * 100 / buffer.max(1));
    match status.is_buffer_short() {
        true => Check::amiss("buffer", Level::Note, fill, larger),
        false => Check::ok("buffer", fill),
    }
}

/// How far the memory of closed sockets reaches back.
fn recent(status: &Status, now_ns: u64) -> Check {
    let Status { past, crowd, .. } = *status;
    let ago_ns = |time_ns: u64| now_ns.saturating_sub(time_ns);
    let reach = format!("reaches back {}", span(ago_ns(past.since_ns)));
    if !past.crowded {
        return Check::ok("recent", reach);
    }
    let found = format!("{reach} only: --recent-count {} keeps no more{}", past.most, of_others(crowd, ago_ns));
    let mend = started_with(&format!("--recent-count {}", past.most.max(1).saturating_mul(4)));
    Check::amiss("recent", Level::Note, found, mend)
}

/// Who is shown what.
fn share(status: &Status) -> Check {
    let found = match status.shares_all {
        true => "all: whoever may ask is shown everything",
        false => "own: users other than root are shown what they could see themselves",
    };
    Check::ok("share", found)
}

/// How often the table was compared with the kernel's lists.
fn resyncs(status: &Status) -> Check {
    let looks = counted(status.resyncs, "look", "looks");
    Check::ok(
        "resyncs",
        format!("{looks} at the kernel's lists, {} set right", counted(status.corrected, "socket", "sockets")),
    )
}

/// The sockets that the kernel programs had no room for, if there were any.
fn forgotten(&Status { forgotten, live, .. }: &Status) -> Option<Check> {
    let mend = || format!("{}; {WITHOUT_MEMORY}", remembering(live.saturating_add(forgotten)));
    (forgotten > 0).then(|| Check::amiss("forgotten", Level::Bad, not_remembered(forgotten), mend()))
}

/// The readers that were too slow, if there were any.
fn readers(status: &Status) -> Option<Check> {
    let found = match status.dropped_readers {
        0 => return None,
        1 => "1 reader of events was too slow: it missed events, and its stream reported how many".to_owned(),
        several => {
            format!(
                "{several} readers of events were too slow: they missed events, and their streams reported how many"
            )
        }
    };
    Some(Check::amiss("readers", Level::Note, found, "let them filter: --proto, --port, --state, --netns"))
}

/// The events that were lost: when, and until when sockets that closed then are missing from what `--recent` can list.
fn of_losses(status: &Status, now_ns: u64, larger: &str) -> Check {
    let (Past { since_ns, lost_ns, .. }, lost) = (status.past, status.lost);
    let Some(lost_ns) = lost_ns.filter(|_| lost > 0) else { return Check::ok("lost", "no event") };
    let (last, ago) = (local_time(lost_ns), span(now_ns.saturating_sub(lost_ns)));
    let when = match lost {
        1 => format!("1 event was lost at {last} ({ago} ago)"),
        _ => format!("{lost} events were lost, the last at {last} ({ago} ago)"),
    };
    let until_ns = lost_ns.saturating_add(status.keeps_ns);
    // What closed before is not listed any more, for its age or for want of room.
    if status.keeps_ns > 0 && until_ns < now_ns || since_ns > lost_ns {
        return Check::ok("lost", format!("{when}; --recent lists nothing of that time any more"));
    }
    let until = match status.keeps_ns {
        0 => String::new(),
        _ => format!(", until {}", local_time(until_ns)),
    };
    let lacks = format!(
        "{when}; the table is right since then, but --recent lacks sockets that opened and closed at that time{until}"
    );
    if status.is_buffer_short() {
        return Check::amiss("lost", Level::Bad, lacks, larger);
    }
    let found = format!(
        "{lacks}; the buffer had room: as a rule the kernel left out a program that ran already on the processor"
    );
    Check::amiss("lost", Level::Bad, found, "no option prevents this; the table is already right again")
}

/// How an agent gets an option, started by hand or as the service.
fn started_with(option: &str) -> String {
    format!("start the agent with {option}; the service netstat-user has its options in {SERVICE_OPTIONS}")
}

/// The same of an option that takes so many bytes of the kernel's memory, which count as the service's.
fn started_with_memory(option: &str, bytes: u64) -> String {
    match bytes > SERVICE_BYTES / 4 {
        false => started_with(option),
        true => {
            format!("{}, and needs a MemoryMax= above {} MiB then", started_with(option), (bytes + SERVICE_BYTES) >> 20)
        }
    }
}

/// What mends a buffer of so many bytes that is too small: one of four times the size, as far as there is one.
fn larger(bytes: u64, pid: u32) -> String {
    let most = u64::from(LARGEST_BUFFER);
    if bytes >= most {
        return format!(
            "there is no larger --buffer: give the agent more of the processors, so that it reads in time (renice -n -10 -p {pid}; \
             CPUWeight= of the service)"
        );
    }
    let larger = bytes.saturating_mul(4).clamp(1 << 20, most);
    started_with_memory(&format!("--buffer {}M", larger >> 20), larger)
}

/// What mends a table of sockets to remember that was full with so many.
fn remembering(sockets: u64) -> String {
    if sockets >= MOST_REMEMBERED.into() {
        return format!(
            "the kernel programs remember {MOST_REMEMBERED} sockets at most: let idle connections end sooner"
        );
    }
    let sockets = more(sockets);
    started_with_memory(&format!("--remember {sockets}"), sockets.saturating_mul(REMEMBERED_BYTES))
}

/// What else keeps the kernel programs from remembering a socket.
const WITHOUT_MEMORY: &str = "if there were fewer sockets than it remembers now, the kernel had no memory for them: raise MemoryMax= of the unit";

/// A number of sockets to remember that would be enough for so many, and half as many more.
fn more(sockets: u64) -> u64 {
    sockets.saturating_add(sockets / 2).clamp(1 << 20, MOST_REMEMBERED.into()).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{epoch_ns, kernel_monotonic_ns};

    #[test]
    fn a_loss_is_bad_while_it_affects_an_answer() {
        const MINUTE: u64 = 60_000_000_000;
        let now = epoch_ns() + kernel_monotonic_ns();
        let found = |lost, ago_ns, since_ago_ns, keeps_ns| {
            let past = Past { lost_ns: Some(now - ago_ns), since_ns: now - since_ago_ns, lost, ..Past::default() };
            let check = of_losses(&Status { lost, past, keeps_ns, ..Status::default() }, now, "more");
            (check.level, check.found)
        };
        let (level, one) = found(1, 5 * MINUTE, 60 * MINUTE, 10 * MINUTE);
        let (lost, until) = (local_time(now - 5 * MINUTE), local_time(now + 5 * MINUTE));
        assert!(one.starts_with(&format!("1 event was lost at {lost} (5m00s ago); ")), "{one}");
        assert!(level == Level::Bad && one.contains(&format!(" at that time, until {until}; ")), "{one}");
        let (level, old) = found(7, 11 * MINUTE, 60 * MINUTE, 10 * MINUTE);
        assert!(level == Level::Ok && old.starts_with("7 events were lost, the last at "), "{old}");
        // The history does not reach back to it.
        assert_eq!(found(7, 5 * MINUTE, MINUTE, 10 * MINUTE).0, Level::Ok);
        // An agent of an earlier release does not say for how long it keeps them.
        assert_eq!(found(7, 50 * MINUTE, 60 * MINUTE, 0).0, Level::Bad);
    }

    #[test]
    fn what_the_agent_counted_is_judged() {
        let found = |status: &Status, name: &str| {
            of_status(status, epoch_ns() + kernel_monotonic_ns())
                .into_iter()
                .find(|check| check.name == name)
                .map(|check| (check.level, check.mend))
        };
        let well = Status { buffer: 16 << 20, peak_fill: 1 << 20, ..Status::default() };
        assert!(of_status(&well, epoch_ns() + kernel_monotonic_ns()).iter().all(|check| check.level == Level::Ok));
        let now = epoch_ns() + kernel_monotonic_ns();
        let lossy = Past { lost_ns: Some(now), lost: 3, ..Past::default() };
        let full = Status { lost: 3, past: lossy, peak_fill: 9 << 20, dropped_readers: 1, forgotten: 2, ..well };
        let started = |option: &str, memory: &str| {
            let service = "; the service netstat-user has its options in /etc/default/netstat-user";
            Some(format!("start the agent with {option}{service}{memory}"))
        };
        let larger = started("--buffer 64M", "");
        assert_eq!(found(&full, "lost"), Some((Level::Bad, larger.clone())));
        // What was lost while the buffer had room is no question of its size.
        let (level, mend) = found(&Status { peak_fill: 1 << 20, ..full.clone() }, "lost").unwrap();
        assert!(
            level == Level::Bad && mend.as_ref().is_some_and(|mend| mend.starts_with("no option prevents")),
            "{mend:?}"
        );
        assert_eq!(found(&full, "buffer"), Some((Level::Note, larger)));
        assert!(found(&full, "readers").is_some());
        let past = Past { crowded: true, most: 65_536, ..lossy };
        assert_eq!(
            found(&Status { past, ..full.clone() }, "recent"),
            Some((Level::Note, started("--recent-count 262144", "")))
        );
        let more = started("--remember 1048576", &format!("; {WITHOUT_MEMORY}"));
        assert_eq!(found(&full, "forgotten"), Some((Level::Bad, more)));
        assert_eq!((super::more(1_000_000), super::more(u64::MAX / 2)), (2_097_152, MOST_REMEMBERED.into()));
    }

    /// An agent that is started as `doctor` says is no mistake of its command line.
    #[test]
    fn every_mend_is_accepted() {
        let option = |mend: &str| {
            let words = mend.strip_prefix("start the agent with ").unwrap_or_else(|| panic!("{mend}"));
            let argv = ["netstat-user", "agent"].into_iter().chain(words.split(';').next().unwrap().split(' '));
            (
                crate::cli::parse(argv.map(Into::into), false).unwrap_or_else(|refusal| panic!("{mend}: {refusal:?}")),
                mend.to_owned(),
            )
        };
        for shift in 12..30 {
            option(&larger(1 << shift, 7));
        }
        let largest = larger(512 << 20, 7);
        assert!(
            largest.contains("--buffer 1024M;") && largest.ends_with("MemoryMax= above 2048 MiB then"),
            "{largest}"
        );
        assert!(larger(1 << 30, 7).contains("renice -n -10 -p 7"), "there is none beyond it");
        for sockets in [1, 5_000_000, 12_000_000, (1 << 24) - 1] {
            option(&remembering(sockets));
        }
        assert!(remembering(12_000_000).ends_with("MemoryMax= above 4224 MiB then"), "{}", remembering(12_000_000));
        assert!(!remembering(1 << 24).contains("--remember"), "there is none beyond it");
    }
}
