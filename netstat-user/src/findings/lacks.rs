//! What an agent's memory lacks, in words.

use crate::query::{Crowd, Past};
use crate::view::text::{counted, span};
use std::time::Duration;

/// That so many sockets found no room in the kernel.
pub fn not_remembered(sockets: u64) -> String {
    let sockets = counted(sockets, "socket", "sockets");
    format!("{sockets} could not be remembered in the kernel: their events lack owner and times")
}

/// The same, and what helps a run that goes on, or the next one.
pub fn not_remembered_yet(sockets: u64) -> String {
    format!(
        "{}; there are more than --remember makes room for, or the kernel had no memory for them (MemoryMax= of the unit)",
        not_remembered(sockets)
    )
}

/// What the sockets that closed within this time lack, in lines for the user.
pub fn gaps(past: &Past, crowd: Option<Crowd>, within: Duration, now_ns: u64) -> Vec<String> {
    let ago_ns = |time_ns: u64| now_ns.saturating_sub(time_ns);
    let mut gaps = Vec::new();
    let known_ns = ago_ns(past.since_ns);
    if u128::from(known_ns) < within.as_nanos() {
        let why = match past.crowded {
            true => format!(": --recent-count {} keeps no more{}", past.most, of_others(crowd, ago_ns)),
            false => String::new(),
        };
        gaps.push(format!(
            "it lists all that closed in the last {}, but not all that closed earlier{why}",
            span(known_ns)
        ));
    }
    if let Some(lost_ns) = past.lost_ns.map(ago_ns).filter(|&lost_ns| u128::from(lost_ns) < within.as_nanos()) {
        gaps.push(format!(
            "{}{} ago: of sockets that closed before, not all are listed",
            counted(past.lost, "event was lost, ", "events were lost, the last "),
            span(lost_ns)
        ));
    }
    gaps
}

/// What is kept all the same where only the sockets of one user found no room.
pub fn of_others(crowd: Option<Crowd>, ago_ns: impl Fn(u64) -> u64) -> String {
    crowd.map_or_else(String::new, |Crowd { uid, others_ns }| {
        format!(" of user {uid}; of all others it knows what closed within {}", span(ago_ns(others_ns)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_history_lacks_is_said() {
        let past = Past { since_ns: 100_000_000_000, most: 65_536, ..Past::default() };
        let lines = |past: &Past, seconds| gaps(past, None, Duration::from_secs(seconds), 109_000_000_000);
        assert_eq!(lines(&past, 9), Vec::<String>::new());
        assert_eq!(lines(&past, 10), ["it lists all that closed in the last 9.00s, but not all that closed earlier"]);
        let crowded = Past { crowded: true, lost_ns: Some(105_000_000_000), lost: 7, ..past };
        assert_eq!(lines(&crowded, 3), Vec::<String>::new());
        let [short, lost] = &lines(&crowded, 600)[..] else { panic!("two lines") };
        assert!(
            short.ends_with("--recent-count 65536 keeps no more")
                && lost.starts_with("7 events were lost, the last 4.00s ago")
        );
        let one = Past { crowded: false, lost: 1, ..crowded };
        assert!(lines(&one, 9)[0].starts_with("1 event was lost, 4.00s ago:"));
        let crowd = Some(Crowd { uid: 1000, others_ns: 49_000_000_000 });
        assert!(gaps(&crowded, crowd, Duration::from_secs(20), 109_000_000_000)[0].ends_with(
            "--recent-count 65536 keeps no more of user 1000; of all others it knows what closed within 1m00s"
        ));
    }

    #[test]
    fn one_socket_is_one() {
        assert!(not_remembered(1).starts_with("1 socket could not"));
    }
}
