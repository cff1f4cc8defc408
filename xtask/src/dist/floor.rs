//! Which version of the GNU C library a program needs, by the symbols that it asks for.

use crate::sh;
use anyhow::{Result, bail};
use std::path::Path;
use std::process::Command;

/// Libraries that are part of the GNU C library; packages say that they need that one, and no other.
const LIBRARIES: [&str; 6] = ["libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "ld-linux"];

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
    let headers = sh::output(Command::new("objdump").arg("-p").arg(binary))?;
    if let Some(library) = other_library(&headers) {
        bail!("{} needs {library}, which its packages do not say", binary.display());
    }
    Ok(needs)
}

/// A library that is needed and is none of [`LIBRARIES`].
fn other_library(headers: &str) -> Option<&str> {
    let needed = headers.lines().filter_map(|line| line.trim().strip_prefix("NEEDED")).map(str::trim);
    needed.into_iter().find(|name| !LIBRARIES.iter().any(|library| name.starts_with(library)))
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

    #[test]
    fn libraries_beside_the_c_library_are_found() {
        let headers =
            |name: &str| format!("Dynamic Section:\n  NEEDED   libc.so.6\n  NEEDED   {name}\n  INIT  0x1000\n");
        assert_eq!(other_library(&headers("ld-linux-x86-64.so.2")), None);
        assert_eq!(other_library(&headers("libgcc_s.so.1")), Some("libgcc_s.so.1"));
    }

    #[test]
    fn packages_need_the_c_library_that_is_checked_for() {
        let manifest = include_str!("../../../netstat-user/Cargo.toml").parse::<toml::Table>().unwrap();
        let depends = manifest["package"]["metadata"]["deb"]["depends"].as_str().unwrap();
        for target in super::super::TARGETS {
            let (major, minor) = target.glibc;
            assert!(depends.split(", ").any(|one| one == format!("libc6 (>= {major}.{minor})")), "{depends}");
        }
    }
}
