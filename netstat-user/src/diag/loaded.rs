//! Whether a request to `sock_diag` would make the kernel load a module: it loads what it lacks by itself, for everybody
//! (`sock_load_diag_module`), and a look at sockets is no reason to change the kernel.

use super::Protocol;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// A part of `sock_diag`, which may be a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// TCP.
    Tcp,
    /// UDP and UDP-Lite.
    Udp,
    /// Raw sockets.
    Raw,
    /// UNIX sockets.
    Unix,
}

impl Part {
    /// The one that knows the sockets of a protocol.
    pub const fn of(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Tcp => Self::Tcp,
            Protocol::Udp | Protocol::UdpLite => Self::Udp,
            Protocol::Raw => Self::Raw,
        }
    }

    /// Its own module, as the kernel names it.
    pub const fn module(self) -> &'static str {
        self.modules()[0]
    }

    /// The modules that are needed, as the kernel names them.
    const fn modules(self) -> &'static [&'static str] {
        match self {
            Self::Tcp => &["tcp_diag", "inet_diag"],
            Self::Udp => &["udp_diag", "inet_diag"],
            Self::Raw => &["raw_diag", "inet_diag"],
            Self::Unix => &["unix_diag"],
        }
    }
}

/// What is known of the kernel's modules.
#[derive(Debug)]
pub struct LoadedFacts<'a> {
    /// /proc/modules, `None` where the kernel has no loadable modules at all.
    pub modules: Option<&'a [u8]>,
    /// Whether the kernel may load no module any more: /proc/sys/kernel/modules_disabled, or no /proc/sys/kernel/modprobe.
    pub fixed: bool,
    /// `modules.builtin` of the running kernel, `None` where it is not to be had.
    pub built_in: Option<&'a [u8]>,
}

impl LoadedFacts<'_> {
    /// Whether a request for the part loads nothing: because all of it is there, or because nothing can be loaded.
    pub fn loads_nothing(&self, part: Part) -> bool {
        let Some(modules) = self.modules else { return true };
        let is_there = |name: &str| {
            let loaded = modules
                .split(|&byte| byte == b'\n')
                .any(|line| line.split(|&b| b == b' ').next() == Some(name.as_bytes()));
            loaded || self.built_in.is_some_and(|list| is_built_in(list, name))
        };
        self.fixed || part.modules().iter().all(|name| is_there(name))
    }
}

/// Whether `modules.builtin` (a path a line, like `kernel/net/ipv4/tcp_diag.ko`) has a module.
fn is_built_in(list: &[u8], name: &str) -> bool {
    let stem = |line: &[u8]| {
        let file = line.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        file.strip_suffix(b".ko").is_some_and(|file| file == name.as_bytes())
    };
    list.split(|&byte| byte == b'\n').any(stem)
}

/// Whether a request for the part loads nothing, for the kernel whose /proc is at `root`.
pub fn loads_nothing(root: &Path, part: Part) -> bool {
    let modules = match fs::read(root.join("modules")) {
        Ok(modules) => Some(modules),
        // A kernel without modules has no such file; without a /proc nobody knows.
        Err(error) if error.kind() == io::ErrorKind::NotFound && root.join("self").exists() => return true,
        Err(_) => return false,
    };
    let facts = LoadedFacts { modules: modules.as_deref(), fixed: false, built_in: None };
    if facts.loads_nothing(part) {
        return true;
    }
    let word = |file: &str| fs::read_to_string(root.join("sys/kernel").join(file)).map(|text| text.trim().to_owned());
    let fixed =
        word("modules_disabled").is_ok_and(|word| word == "1") || word("modprobe").is_ok_and(|word| word.is_empty());
    let release = word("osrelease").unwrap_or_default();
    let built_in = ["/lib/modules", "/usr/lib/modules"]
        .iter()
        .find_map(|folder| diag_lines(&Path::new(folder).join(&release).join("modules.builtin")).ok());
    LoadedFacts { fixed, built_in: built_in.as_deref(), ..facts }.loads_nothing(part)
}

/// The lines of `modules.builtin` that are ours: the whole has some hundred.
fn diag_lines(path: &Path) -> io::Result<Vec<u8>> {
    let mut found = Vec::new();
    for line in BufReader::new(fs::File::open(path)?).split(b'\n') {
        let line = line?;
        if line.ends_with(b"_diag.ko") {
            found.extend(line);
            found.push(b'\n');
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_and_what_would_be_loaded() {
        let loaded: &[u8] =
            b"udp_diag 16384 0 - Live 0x0\ninet_diag 28672 1 udp_diag, Live 0x0\nxunix_diag 1 0 - Live 0x0\n";
        let built_in: &[u8] = b"kernel/net/unix/unix_diag.ko\nkernel/net/ipv4/xtcp_diag.ko\n";
        let facts = |modules, fixed, built_in| LoadedFacts { modules, fixed, built_in };
        for (facts, part, expected) in [
            (facts(None, false, None), Part::Tcp, true),
            (facts(Some(loaded), false, None), Part::Udp, true),
            (facts(Some(loaded), false, None), Part::Tcp, false),
            (facts(Some(loaded), false, None), Part::Unix, false),
            (facts(Some(loaded), true, None), Part::Tcp, true),
            (facts(Some(loaded), false, Some(built_in)), Part::Unix, true),
            (facts(Some(loaded), false, Some(built_in)), Part::Tcp, false),
            (
                facts(Some(b""), false, Some(b"kernel/net/ipv4/raw_diag.ko\nkernel/net/ipv4/inet_diag.ko")),
                Part::Raw,
                true,
            ),
            (facts(Some(b""), false, Some(b"")), Part::Raw, false),
        ] {
            assert_eq!(facts.loads_nothing(part), expected, "{facts:?} {part:?}");
        }
    }

    #[test]
    fn without_a_proc_nothing_is_risked() {
        assert!(!loads_nothing(Path::new("/nonexistent"), Part::Tcp));
    }
}
