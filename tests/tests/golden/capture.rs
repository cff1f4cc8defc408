//! Captures what netstat reads of /proc from the zoo into a folder.

use netstat_tests::scenes::{Scene, Theatre};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

const OF_SOCKETS: [&str; 12] =
    ["tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6", "unix", "snmp", "netstat", "snmp6"];
const OF_NETWORK: [&str; 6] = ["route", "ipv6_route", "igmp", "igmp6", "dev", "if_inet6"];

/// Copies the tables of the zoo, and the processes that own what is in them, to `proc`, which is emptied before.
///
/// # Errors
/// When a scene cannot be made, or a file not be written.
pub fn zoo(theatre: &Theatre, proc: &Path) -> io::Result<()> {
    if proc.exists() {
        fs::remove_dir_all(proc)?;
    }
    fs::create_dir_all(proc.join("net"))?;
    for (scene, names) in [(Scene::Sockets, &OF_SOCKETS[..]), (Scene::Network, &OF_NETWORK[..])] {
        let copy = |name: &&str| -> io::Result<()> {
            match fs::read(Path::new("/proc/thread-self/net").join(name)) {
                Ok(bytes) => fs::write(proc.join("net").join(name), bytes),
                // A kernel without UDP-Lite.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error),
            }
        };
        theatre.stage(scene).sandbox.netns().enter(|| names.iter().try_for_each(copy))?;
    }
    processes(proc)
}

/// Processes with a socket of the captured tables. A socket that several hold is left to the first: which one a table names
/// depends on the order of a folder, and every file system has its own.
fn processes(proc: &Path) -> io::Result<()> {
    let mut tables = Vec::new();
    for name in &OF_SOCKETS[..9] {
        tables.extend(fs::read(proc.join("net").join(name)).unwrap_or_default());
    }
    let known = |inode: &[u8]| tables.split(u8::is_ascii_whitespace).any(|word| word == inode);
    let mut pids: Vec<u32> =
        fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    let mut taken: Vec<Vec<u8>> = Vec::new();
    for pid in pids {
        let from = Path::new("/proc").join(pid.to_string());
        // A process that has ended since holds nothing.
        let Ok(entries) = fs::read_dir(from.join("fd")) else { continue };
        for entry in entries.flatten() {
            let Ok(link) = fs::read_link(entry.path()) else { continue };
            let link = link.as_os_str().as_bytes();
            let inode = link.strip_prefix(b"socket:[").and_then(|rest| rest.strip_suffix(b"]"));
            if !inode.is_some_and(|inode| inode != b"0" && known(inode)) || taken.iter().any(|other| other == link) {
                continue;
            }
            let to = proc.join(pid.to_string());
            if !to.exists() {
                fs::create_dir_all(to.join("fd"))?;
                fs::write(to.join("cmdline"), fs::read(from.join("cmdline"))?)?;
            }
            symlink(OsStr::from_bytes(link), to.join("fd").join(entry.file_name()))?;
            taken.push(link.to_owned());
        }
    }
    Ok(())
}
