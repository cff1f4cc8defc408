//! Addresses of kernel functions. Since Linux 6.4 the verifier fills them in for a program, even where the kernel hides its symbols from users
//! (`kernel.kptr_restrict`). On earlier kernels the programs work without them.

use super::{btf::Btf, plan::Symbols};
use crate::sys::bpf;
use std::io;

/// The functions that are looked for; the last may be a part of its callers.
const WANTED: [&str; 4] = ["tw_timer_handler", "reqsk_timer_handler", "mod_timer_pending", "__mod_timer"];

/// What follows the last two in `kernel/time/timer.c`: one of these ends where they do.
const NEIGHBOURS: [&str; 8] = [
    "mod_timer",
    "timer_reduce",
    "add_timer",
    "add_timer_on",
    "del_timer",
    "timer_delete",
    "try_to_del_timer_sync",
    "timer_delete_sync",
];

/// No function of these is longer.
const LONGEST: u64 = 4096;

/// The functions whose numbers in BTF are asked for.
pub fn names() -> impl Iterator<Item = &'static str> {
    WANTED.into_iter().chain(NEIGHBOURS)
}

/// Asks the verifier, which knows functions by their numbers in BTF. `None` where it does not know one that is needed.
pub fn find(btf: &Btf<'_>) -> Option<Symbols> {
    ask(btf, &bpf::addresses)
}

fn ask(btf: &Btf<'_>, addresses: &dyn Fn(&[u32]) -> io::Result<Vec<u64>>) -> Option<Symbols> {
    let known: Vec<(&str, u32)> = names().filter_map(|name| Some((name, btf.function_id(name)?))).collect();
    let numbers: Vec<u32> = known.iter().map(|known| known.1).collect();
    let found = addresses(&numbers).ok()?;
    let of =
        |name| known.iter().zip(&found).find(|(known, _)| known.0 == name).map(|(_, &at)| at).filter(|&at| at != 0);
    // The function that follows is the nearest above.
    let range = |start: u64| {
        let next = found.iter().copied().filter(|&at| at > start).min().unwrap_or(u64::MAX);
        (start, next.min(start.saturating_add(LONGEST)))
    };
    let [tw_timer, req_timer, mod_pending, mod_timer] = WANTED.map(of);
    Some(Symbols {
        tw_timer: tw_timer?,
        req_timer: req_timer?,
        mod_timer: mod_timer.map_or((0, 0), range),
        mod_pending: range(mod_pending?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_verifier_is_asked_by_number() {
        let Ok(blob) = fs::read("/sys/kernel/btf/vmlinux") else { return };
        let btf = Btf::parse(&blob, &|_| true).unwrap();
        let number = |name| btf.function_id(name).unwrap();
        let answer = |numbers: &[u32]| {
            let place = |&asked: &u32| match asked {
                asked if asked == number("tw_timer_handler") => 0x9000,
                asked if asked == number("reqsk_timer_handler") => 0xa000,
                asked if asked == number("mod_timer_pending") => 0x1000,
                asked if asked == number("mod_timer") => 0x1040,
                asked => 0x2000 + u64::from(asked),
            };
            Ok(numbers.iter().map(place).collect())
        };
        let symbols = ask(&btf, &answer).unwrap();
        assert_eq!((symbols.tw_timer, symbols.req_timer, symbols.mod_pending), (0x9000, 0xa000, (0x1000, 0x1040)));
        assert_eq!(ask(&btf, &|_| Err(io::ErrorKind::PermissionDenied.into())), None);
        assert_eq!(ask(&btf, &|numbers| Ok(vec![0; numbers.len()])), None);
    }
}
