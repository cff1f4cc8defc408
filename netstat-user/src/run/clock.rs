//! The clocks of events: what the kernel's programs record in monotonic time is shown in wall-clock time.

use crate::sys;
use jiff::{Timestamp, tz::TimeZone};
use rustix::time::ClockId;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

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
    let (time, now) = (local(time_ns), local(sys::clock_ns(ClockId::Realtime)));
    let same = time.strftime("%F").to_string() == now.strftime("%F").to_string();
    time.strftime(if same { "%T" } else { "%F %T" }).to_string()
}

/// The kernel's `CLOCK_MONOTONIC`, in nanoseconds: also in a time namespace, where a process reads another one.
pub fn monotonic_ns() -> u64 {
    sys::kernel_monotonic_ns()
}

/// What `CLOCK_REALTIME` is ahead of the kernel's `CLOCK_MONOTONIC`. Asked for each batch, since the former may be set, but taken anew only then:
/// the two clocks cannot be read at one instant, and the times of one socket's events must agree.
pub fn epoch_ns() -> u64 {
    /// A difference that no slow reading explains.
    const SET: u64 = 20_000_000;
    static EPOCH: AtomicU64 = AtomicU64::new(0);
    let before = monotonic_ns();
    let real = sys::clock_ns(ClockId::Realtime);
    let took = monotonic_ns().saturating_sub(before);
    let measured = real.saturating_sub(before + took / 2);
    let known = EPOCH.load(Ordering::Relaxed);
    if known != 0 && (measured.abs_diff(known) < SET || took > SET / 10) {
        return known;
    }
    EPOCH.store(measured, Ordering::Relaxed);
    measured
}
