//! Addresses of kernel functions. Since Linux 6.4 the verifier fills them in for a program, whatever the kernel shows people of its
//! symbols; before, they are in /proc/kallsyms, unless that hides them.

use super::{btf::Btf, plan::Symbols};
use crate::sys::bpf;
use std::{fs, io, path::Path};

/// The kernel's symbols, one a line: address, kind, name, and the module in brackets.
pub const KALLSYMS: &str = "/proc/kallsyms";

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

/// Whether a function's number in BTF is asked for.
pub fn wants(name: &[u8]) -> bool {
    WANTED.iter().chain(&NEIGHBOURS).any(|wanted| wanted.as_bytes() == name)
}

/// Looks up what the programs need.
///
/// # Errors
/// Why they are not known, for people.
pub fn find(btf: Option<&Btf<'_>>, kallsyms: &Path) -> Result<Symbols, String> {
    if let Some(symbols) = btf.and_then(|btf| ask(btf, &bpf::addresses)) {
        return Ok(symbols);
    }
    // Takes the kernel some 50 to 100 ms to print.
    let text = fs::read(kallsyms).map_err(|error| format!("{}: {error}", kallsyms.display()))?;
    read(&text).map_err(|what| format!("{}: {what}", kallsyms.display()))
}

/// Asks the verifier, which knows functions by their numbers in BTF. `None` where it does not know one that is needed.
fn ask(btf: &Btf<'_>, addresses: &dyn Fn(&[u32]) -> io::Result<Vec<u64>>) -> Option<Symbols> {
    let names = WANTED.iter().chain(&NEIGHBOURS);
    let known: Vec<(&str, u32)> = names.filter_map(|&name| Some((name, btf.function_id(name)?))).collect();
    let numbers: Vec<u32> = known.iter().map(|known| known.1).collect();
    let found = addresses(&numbers).ok()?;
    let of =
        |name| known.iter().zip(&found).find(|(known, _)| known.0 == name).map(|(_, &at)| at).filter(|&at| at != 0);
    symbols(of, &found)
}

/// Puts together what was found: an address by name, and where other functions are.
fn symbols(of: impl Fn(&'static str) -> Option<u64>, others: &[u64]) -> Option<Symbols> {
    // The function that follows is the nearest above.
    let range = |start: u64| {
        let next = others.iter().copied().filter(|&at| at > start).min().unwrap_or(u64::MAX);
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

fn read(text: &[u8]) -> Result<Symbols, String> {
    let others: Vec<u64> = text.split(|&byte| byte == b'\n').filter_map(address).collect();
    symbols(|name| find_in(text, name.as_bytes()), &others)
        .ok_or_else(|| "addresses are hidden: set kernel.kptr_restrict to 1 or 0, or grant cap_syslog".into())
}

/// The address of the line whose name is just that; `None` if there is none, or it is hidden.
fn find_in(text: &[u8], name: &[u8]) -> Option<u64> {
    let ends = memchr::memmem::find_iter(text, name).map(|found| found + name.len());
    let lines = ends.filter(|&end| matches!(text.get(end), Some(b'\n') | None)).map(|end| {
        let start = memchr::memrchr(b'\n', &text[..end]).map_or(0, |newline| newline + 1);
        &text[start..end]
    });
    let mut whole = lines.filter(|line| line.rsplit(|&byte| byte == b' ').next() == Some(name));
    whole.find_map(address).filter(|&at| at != 0)
}

fn address(line: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(line.get(..memchr::memchr(b' ', line)?)?).ok()?;
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "ffffffff81000010 t __pfx_tw_timer_handler\nffffffff81000020 t tw_timer_handler\n\
        ffffffff81000040 T mod_timer_pending\nffffffff81000090 t reqsk_timer_handler\n\
        ffffffff81000070 T next\nffffffffc0000000 t other\t[module]\n";

    #[test]
    fn finds_whole_names() {
        let symbols = read(TEXT.as_bytes()).unwrap();
        assert_eq!(symbols.tw_timer, 0xffff_ffff_8100_0020);
        assert_eq!(symbols.req_timer, 0xffff_ffff_8100_0090);
        assert_eq!(symbols.mod_pending, (0xffff_ffff_8100_0040, 0xffff_ffff_8100_0070));
        assert_eq!(symbols.mod_timer, (0, 0), "a part of its callers");
        let more = format!("{TEXT}ffffffff81000060 t __mod_timer\n");
        assert_eq!(read(more.as_bytes()).unwrap().mod_timer, (0xffff_ffff_8100_0060, 0xffff_ffff_8100_0070));
    }

    #[test]
    fn the_verifier_is_asked_by_number() {
        let Ok(blob) = fs::read("/sys/kernel/btf/vmlinux") else { return };
        let btf = Btf::parse(&blob, &wants).unwrap();
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

    #[test]
    fn hidden_addresses_are_no_addresses() {
        let hidden: String = TEXT.lines().map(|line| format!("0000000000000000{}\n", &line[16..])).collect();
        assert!(read(hidden.as_bytes()).unwrap_err().contains("kptr_restrict"));
        assert!(read(b"").is_err());
    }
}
