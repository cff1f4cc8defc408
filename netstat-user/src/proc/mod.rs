//! Readers of /proc, each with an injectable root path, and the descriptor scan.

pub mod access;
pub mod addresses;
pub mod cgroup;
pub mod cursor;
pub mod dev;
pub mod fds;
pub mod hidden;
pub mod igmp;
pub mod inet;
pub mod lines;
pub mod netns;
pub mod packet_radio;
pub mod packet_routes;
pub mod route;
pub mod sctp;
pub mod snmp;
mod stat;
pub mod tenure;
#[cfg(test)]
pub mod tree;
pub mod unix;
pub mod words;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// All of a file of /proc. Such a file has no size; a first read that is large enough for most of them saves the small ones by which
/// [`std::fs::read`] finds it.
///
/// # Errors
/// The file cannot be opened or read.
pub fn whole(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(16 * 1024);
    File::open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}
