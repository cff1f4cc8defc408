//! Which version of the GNU C library a program needs, by the symbols that it asks for.

use crate::sh;
use anyhow::{Result, bail};
use std::path::Path;
use std::process::Command;

/// The newest version that the program asks for; an error if that is above `most`.
pub fn check(binary: &Path, most: (u32, u32)) -> Result<(u32, u32)> {
    // Binutils of any architecture read the dynamic symbols of every other.
    let symbols = sh::output(Command::new("objdump").arg("-T").arg(binary))?;
    let Some((needs, symbol)) = newest(&symbols) else {
        bail!("{} asks the C library for nothing: is it static? Then names would not be looked up", binary.display());
    };
    if needs > most {
        let ((major, minor), (most_major, most_minor)) = (needs, most);
        bail!("{} needs {symbol} of glibc {major}.{minor}, and is for {most_major}.{most_minor} on", binary.display());
    }
    for name in ["getaddrinfo", "getnameinfo"] {
        if !symbols.lines().any(|line| line.ends_with(&format!(" {name}"))) {
            bail!("{} does not ask for {name}: names would not be looked up as the system says", binary.display());
        }
    }
    Ok(needs)
}

/// The newest version, and a symbol that needs it. The loader asks for the version also of a symbol that may be missing (`w`).
fn newest(symbols: &str) -> Option<((u32, u32), &str)> {
    let version = |line: &'_ str| {
        let at = line.find("GLIBC_")?;
        let mut numbers = line[at + 6..].split(|c: char| !c.is_ascii_digit() && c != '.').next()?.split('.');
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    };
    let needed = symbols.lines().filter(|line| line.contains("*UND*"));
    let needed = needed.filter_map(|line| Some((version(line)?, line.split_whitespace().last()?)));
    needed.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYMBOLS: &str = "
0000000000000000      DF *UND*  0000000000000000 (GLIBC_2.2.5) getaddrinfo
0000000000000000      DF *UND*  0000000000000000 (GLIBC_2.17) clock_gettime
0000000000000000  w   DF *UND*  0000000000000000  Base        __gmon_start__
0000000000000000      DF *UND*  0000000000000000 (GLIBC_2.9) pipe2
0000000000000000 g    DF .text  0000000000000000 (GLIBC_2.99) ours
";

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(newest(SYMBOLS), Some(((2, 17), "clock_gettime")));
        assert_eq!(newest(""), None);
    }
}
