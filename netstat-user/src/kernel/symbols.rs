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
    let mut symbols = Symbols::default();
    for found in memchr::memmem::find_iter(text, b"tw_timer_handler\n") {
        take(text, found, b"tw_timer_handler", &mut symbols.tw_timer);
    }
    for found in memchr::memmem::find_iter(text, b"reqsk_timer_handler\n") {
        take(text, found, b"reqsk_timer_handler", &mut symbols.req_timer);
    }
    for found in memchr::memmem::find_iter(text, b"inet_twsk_deschedule_put\n") {
        take(text, found, b"inet_twsk_deschedule_put", &mut symbols.deschedule);
    }
    let Symbols { tw_timer, req_timer, deschedule, .. } = symbols;
    if [tw_timer, req_timer, deschedule].contains(&0) {
        return Err("addresses are hidden: set kernel.kptr_restrict to 1 or 0, or grant cap_syslog".into());
    }
    let lines = text.split(|&byte| byte == b'\n');
    let next = lines.filter_map(address).filter(|&at| at > deschedule).min();
    symbols.deschedule_end = next.unwrap_or(deschedule + 256);
    Ok(symbols)
}

/// Takes the address of the line that ends with a name at `found`, if the whole name is that.
fn take(text: &[u8], found: usize, name: &[u8], into: &mut u64) {
    let start = memchr::memrchr(b'\n', &text[..found]).map_or(0, |newline| newline + 1);
    let line = &text[start..found + name.len()];
    if line.rsplit(|&byte| byte == b' ').next() == Some(name)
        && let Some(at) = address(line)
    {
        *into = at;
    }
}

fn address(line: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(line.get(..memchr::memchr(b' ', line)?)?).ok()?;
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "ffffffff81000010 t __pfx_tw_timer_handler\nffffffff81000020 t tw_timer_handler\n\
        ffffffff81000040 T inet_twsk_deschedule_put\nffffffff81000090 t reqsk_timer_handler\n\
        ffffffff81000070 T next\nffffffffc0000000 t other\t[module]\n";

    #[test]
    fn finds_whole_names() {
        let symbols = read(TEXT.as_bytes()).unwrap();
        assert_eq!(symbols.tw_timer, 0xffff_ffff_8100_0020);
        assert_eq!(symbols.req_timer, 0xffff_ffff_8100_0090);
        assert_eq!((symbols.deschedule, symbols.deschedule_end), (0xffff_ffff_8100_0040, 0xffff_ffff_8100_0070));
    }

    #[test]
    fn hidden_addresses_are_no_addresses() {
        let hidden: String = TEXT.lines().map(|line| format!("0000000000000000{}\n", &line[16..])).collect();
        assert!(read(hidden.as_bytes()).unwrap_err().contains("kptr_restrict"));
        assert!(read(b"").is_err());
    }
}
