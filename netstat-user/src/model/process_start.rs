//! When a process began, as the kernel programs note it.

/// Binary logarithm of the nanoseconds in a unit of [`Owner::start`](super::Owner::start), of `CLOCK_BOOTTIME`. The number has 32 bits.
pub const START_SHIFT: u32 = 16;

/// Nanoseconds in a tick of field 22 of proc_pid_stat(5): hundredths of a second on every architecture (`USER_HZ`).
pub const TICK_NS: u64 = 10_000_000;

/// Whether a process with this [`Owner::start`](super::Owner::start) may be the one that began within the tick that began then, in nanoseconds of
/// `CLOCK_BOOTTIME`; never where it is 0, not known.
pub const fn is_start(start: u32, tick_ns: u64) -> bool {
    let first = (tick_ns >> START_SHIFT) as u32;
    start != 0 && start.wrapping_sub(first) <= (TICK_NS >> START_SHIFT) as u32 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_lies_in_its_tick() {
        for ns in [3 * TICK_NS, 3 * TICK_NS + 1, 4 * TICK_NS - 1, 1 << 48, u64::MAX / 2] {
            let (start, ticks) = ((ns >> START_SHIFT) as u32, ns / TICK_NS);
            let is_start = |ticks| is_start(start, ticks * TICK_NS);
            assert_eq!([ticks - 2, ticks, ticks + 2].map(is_start), [false, start != 0, false], "{ns}");
        }
        assert!(!is_start(0, 0));
    }
}
