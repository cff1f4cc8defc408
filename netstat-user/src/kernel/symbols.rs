//! Addresses of kernel functions, from /proc/kallsyms.

use super::plan::Symbols;
use std::{fs, path::Path};

/// The kernel's symbols, one a line: address, kind, name, and the module in brackets.
pub const KALLSYMS: &str = "/proc/kallsyms";

/// Looks up what the programs need. Takes the kernel some 50 to 100 ms to print.
///
/// # Errors
/// Why they are not known, for people.
pub fn find(path: &Path) -> Result<Symbols, String> {
    let text = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    read(&text).map_err(|what| format!("{}: {what}", path.display()))
}

fn read(text: &[u8]) -> Result<Symbols, String> {
    let (tw_timer, req_timer) = (find_in(text, b"tw_timer_handler"), find_in(text, b"reqsk_timer_handler"));
    let mod_pending = find_in(text, b"mod_timer_pending");
    let (Some(tw_timer), Some(req_timer), Some(mod_pending)) = (tw_timer, req_timer, mod_pending) else {
        return Err("addresses are hidden: set kernel.kptr_restrict to 1 or 0, or grant cap_syslog".into());
    };
    let mod_timer = find_in(text, b"__mod_timer");
    // The function that follows each is the nearest above it.
    let (mut pending_end, mut timer_end) = (u64::MAX, u64::MAX);
    for at in text.split(|&byte| byte == b'\n').filter_map(address) {
        if at > mod_pending {
            pending_end = pending_end.min(at);
        }
        if mod_timer.is_some_and(|start| at > start) {
            timer_end = timer_end.min(at);
        }
    }
    let mod_timer = mod_timer.map_or((0, 0), |start| (start, timer_end));
    Ok(Symbols { tw_timer, req_timer, mod_timer, mod_pending: (mod_pending, pending_end) })
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
    fn hidden_addresses_are_no_addresses() {
        let hidden: String = TEXT.lines().map(|line| format!("0000000000000000{}\n", &line[16..])).collect();
        assert!(read(hidden.as_bytes()).unwrap_err().contains("kptr_restrict"));
        assert!(read(b"").is_err());
    }
}
