//! The kernel's clocks, as its own programs read them.

use rustix::time::ClockId;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A clock's time in nanoseconds, as this process sees it.
pub fn clock_ns(clock: ClockId) -> u64 {
    let time = rustix::time::clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// What this process's monotonic clocks are ahead of the kernel's (time_namespaces(7)), in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockOffsets {
    /// Of `CLOCK_MONOTONIC`.
    pub monotonic_ns: i64,
    /// Of `CLOCK_BOOTTIME`.
    pub boottime_ns: i64,
}

/// The offsets of this process's time namespace, zero in the initial one.
pub fn clock_offsets() -> ClockOffsets {
    static OFFSETS: OnceLock<ClockOffsets> = OnceLock::new();
    *OFFSETS.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/self/timens_offsets");
        text.map_or_else(|_| ClockOffsets::default(), |text| parse(&text))
    })
}

/// `CLOCK_MONOTONIC` of the initial time namespace, which is what the kernel's programs read (`bpf_ktime_get_ns`), in nanoseconds: a process in
/// another time namespace reads another one.
pub fn kernel_monotonic_ns() -> u64 {
    clock_ns(ClockId::Monotonic).saturating_add_signed(-clock_offsets().monotonic_ns)
}

/// What `CLOCK_REALTIME` is ahead of the kernel's `CLOCK_MONOTONIC`. Asked for each batch, since the former may be set, but taken anew only then:
/// the two clocks cannot be read at one instant, and the times of one socket's events must agree.
pub fn epoch_ns() -> u64 {
    /// A difference that no slow reading explains.
    const SET: u64 = 20_000_000;
    static EPOCH: AtomicU64 = AtomicU64::new(0);
    let before = kernel_monotonic_ns();
    let real = clock_ns(ClockId::Realtime);
    let took = kernel_monotonic_ns().saturating_sub(before);
    let measured = real.saturating_sub(before + took / 2);
    let known = EPOCH.load(Ordering::Relaxed);
    if known != 0 && (measured.abs_diff(known) < SET || took > SET / 10) {
        return known;
    }
    EPOCH.store(measured, Ordering::Relaxed);
    measured
}

/// Lines of a clock's name or number, seconds and nanoseconds.
fn parse(text: &str) -> ClockOffsets {
    let mut offsets = ClockOffsets::default();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let clock = match words.next() {
            Some("monotonic" | "1") => &mut offsets.monotonic_ns,
            Some("boottime" | "7") => &mut offsets.boottime_ns,
            _ => continue,
        };
        let mut number = || words.next().and_then(|word| word.parse::<i64>().ok()).unwrap_or(0);
        *clock = number().saturating_mul(1_000_000_000).saturating_add(number());
    }
    offsets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_read_as_the_kernel_writes_them() {
        let text = "monotonic      1000000         5\nboottime         -2000000         0\n";
        assert_eq!(
            parse(text),
            ClockOffsets { monotonic_ns: 1_000_000_000_000_005, boottime_ns: -2_000_000_000_000_000 }
        );
        assert_eq!(parse("monotonic 0 0\n"), ClockOffsets::default());
        assert_eq!(parse("nonsense"), ClockOffsets::default());
    }
}
