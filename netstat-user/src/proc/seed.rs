//! Who holds the sockets that were there before the tracer: one look at /proc, through the procfs crate.

use crate::model::{Comm, EventEnd};
use crate::sys::Scarce;
use procfs::{
    ProcError, ProcResult,
    net::TcpState,
    process::{FDTarget, Process, all_processes},
};
use std::{collections::HashSet, ffi::OsStr};

/// What the look at /proc found.
#[derive(Debug, Default)]
pub struct Seed {
    /// Sockets held by processes, lowest process first: inode, process, name of its leader.
    pub holders: Vec<(u64, u32, Comm)>,
    /// TCP sockets that listen, in every namespace that has a process: namespace inode, local end, socket inode.
    pub listeners: Vec<(u32, EventEnd, u64)>,
    /// Processes whose descriptors could not be read, for want of privilege.
    pub unreadable: usize,
    /// What ran out before all processes were looked into.
    pub failed: Option<Scarce>,
}

/// Looks through /proc. Processes that end meanwhile are passed over.
///
/// # Errors
/// Only that /proc itself cannot be listed.
pub fn look() -> ProcResult<Seed> {
    let mut seed = Seed::default();
    let mut namespaces = HashSet::new();
    for process in all_processes()? {
        let process = match process {
            Ok(process) => process,
            Err(error) => {
                seed.note(&error);
                continue;
            }
        };
        holders(&mut seed, &process);
        let namespace =
            process.namespaces().ok().and_then(|all| all.0.get(OsStr::new("net")).map(|net| net.identifier));
        if let Some(netns) = namespace
            && namespaces.insert(netns)
        {
            listeners(&mut seed, &process, netns as u32);
        }
    }
    Ok(seed)
}

impl Seed {
    /// Keeps what an error comes of that is not about what was looked at.
    fn note(&mut self, error: &ProcError) {
        let scarce = match error {
            ProcError::Io(error, _) => Scarce::of(error),
            _ => None,
        };
        self.failed = self.failed.or(scarce);
    }
}

fn holders(seed: &mut Seed, process: &Process) {
    let descriptors = match process.fd() {
        Ok(descriptors) => descriptors,
        Err(ProcError::PermissionDenied(_)) => {
            seed.unreadable += 1;
            return;
        }
        Err(error) => return seed.note(&error),
    };
    let mut comm = None;
    for descriptor in descriptors {
        let descriptor = match descriptor {
            Ok(descriptor) => descriptor,
            Err(error) => {
                seed.note(&error);
                continue;
            }
        };
        if let FDTarget::Socket(inode) = descriptor.target {
            let comm = comm
                .get_or_insert_with(|| process.stat().map_or(Comm::default(), |stat| Comm::new(stat.comm.as_bytes())));
            seed.holders.push((inode, process.pid as u32, *comm));
        }
    }
}

fn listeners(seed: &mut Seed, process: &Process, netns: u32) {
    for table in [process.tcp(), process.tcp6()] {
        if let Err(error) = &table {
            seed.note(error);
        }
        for entry in table.into_iter().flatten().filter(|entry| entry.state == TcpState::Listen) {
            let local = EventEnd { addr: entry.local_address.ip(), port: Some(entry.local_address.port()) };
            seed.listeners.push((netns, local, entry.inode));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::TcpListener, os::fd::AsRawFd};

    #[test]
    fn finds_a_listener_and_its_holder() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let link = std::fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd())).unwrap();
        let inode: u64 = link.to_str().unwrap().trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
        let seed = look().unwrap();
        assert!(seed.holders.iter().any(|&(held, pid, _)| held == inode && pid == std::process::id()));
        let local = listener.local_addr().unwrap();
        let local = EventEnd { addr: local.ip(), port: Some(local.port()) };
        assert!(seed.listeners.iter().any(|&(_, end, listening)| end == local && listening == inode));
    }
}
