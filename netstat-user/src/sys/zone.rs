//! Local time.

use super::clock::clock_ns;
use jiff::{Timestamp, tz::TimeZone};
use rustix::time::ClockId;
use std::sync::LazyLock;

/// Seconds that local time ($TZ, or /etc/localtime) is ahead of UTC, at a second since the Unix epoch; 0 where no zone is known.
pub fn local_offset(second: u64) -> i32 {
    static ZONE: LazyLock<TimeZone> = LazyLock::new(|| TimeZone::try_system().unwrap_or(TimeZone::UTC));
    let at = i64::try_from(second).ok().and_then(|second| Timestamp::from_second(second).ok());
    at.map_or(0, |at| ZONE.to_offset(at).seconds())
}

/// A time in nanoseconds since the Unix epoch as local time to the second, with its day where that is not today's.
pub fn local_time(time_ns: u64) -> String {
    let local = |time_ns: u64| {
        let second = time_ns / 1_000_000_000;
        let second = second.saturating_add_signed(local_offset(second).into());
        i64::try_from(second).ok().and_then(|second| Timestamp::from_second(second).ok()).unwrap_or_default()
    };
    let (time, now) = (local(time_ns), local(clock_ns(ClockId::Realtime)));
    let same = time.strftime("%F").to_string() == now.strftime("%F").to_string();
    time.strftime(if same { "%T" } else { "%F %T" }).to_string()
}
