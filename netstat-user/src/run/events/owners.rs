//! Who holds the sockets that were there before the kernel programs were attached.

use crate::owner::Owners;
use crate::proc::seed;
use crate::stdio::complain;
use crate::view::text::counted;

/// The holders that /proc shows. What it does not show is reported on standard error.
pub fn of_older_sockets() -> Owners {
    let mut owners = Owners::default();
    match seed::look() {
        Ok(seed) => {
            for (inode, pid, comm) in seed.holders {
                owners.scanned(inode, pid, comm);
            }
            for (netns, local, inode) in seed.listeners {
                owners.listening(netns, local, inode);
            }
            if let Some(scarce) = seed.failed {
                complain(&format!(
                    "not every process could be looked into, later events of their sockets may lack an owner: {}",
                    scarce.words()
                ));
            }
            if seed.unreadable > 0 {
                complain(&format!(
                    "the sockets of {} could not be looked up, their later events may lack an owner: \
                     grant cap_sys_ptrace and cap_dac_read_search, or run as root",
                    counted(seed.unreadable as u64, "process", "processes")
                ));
            }
        }
        Err(error) => complain(&format!("/proc cannot be read, sockets older than the tracer have no owner: {error}")),
    }
    owners
}
