//! Who holds the sockets that were there before the kernel programs were attached.

use crate::kernel;
use crate::model::{Proto, RowsWanted};
use crate::owner::Owners;
use crate::proc::netns;
use crate::run::ready::report_proc;
use crate::run::shielded;
use crate::source::{KernelSource, RowNeeds};
use crate::stdio::complain;
use crate::sys::{Capability, Scarce, why};
use std::fs;
use std::path::Path;

/// The holders that can be found. What cannot be looked into is reported on standard error.
pub fn of_older_sockets() -> Owners {
    let proc = Path::new("/proc");
    if let Err(error) = fs::read_dir(proc) {
        complain(&format!(
            "/proc cannot be read, sockets older than the tracer have no owner: {}; mount it: mount -t proc proc /proc",
            why(&error)
        ));
        return Owners::default();
    }
    report_proc("");
    // Whoever listens has no peer.
    let wanted = RowsWanted { peer: Some(false), ..RowsWanted::of(vec![Proto::Tcp, Proto::Tcp6]) };
    let mut failed = None;
    let namespaces = || {
        let found = netns::all(proc, Path::new(netns::NAMES));
        failed = found.failed;
        found.namespaces
    };
    let mut found = KernelSource::new(proc, RowNeeds::default()).evidence(namespaces, &wanted);
    let mut lacking = found.tables.into_iter().flat_map(|space| space.tables).filter_map(|(_, table)| table.err());
    let scarce = lacking.find(|error| Scarce::of(error).is_some());
    if let Some(error) = failed.or_else(|| found.scan.failure()).or(scarce) {
        complain(&format!(
            "not every process could be looked into, later events of their sockets may lack an owner: {}",
            why(&error)
        ));
    }
    if found.scan.hides() {
        complain(&not_looked_into(&found.scan.denied(), shielded::may_look()));
    }
    found.owners
}

/// That the sockets of these processes are not known; `may_look` where this one has every right to look into them.
fn not_looked_into(denied: &[u32], may_look: bool) -> String {
    if let Some(shielded) = shielded::words(denied).filter(|_| may_look) {
        return format!("{shielded}: later events of their sockets may lack an owner");
    }
    let way = if kernel::is_contained() {
        kernel::OUTSIDE.to_owned()
    } else {
        format!("grant {}, or run as root", Capability::TO_FIND_OWNERS.map(|needed| needed.name).join(" and "))
    };
    format!("the sockets of some processes could not be looked up, their later events may lack an owner: {way}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_the_rights_is_not_advised_to_get_them() {
        let shielded = not_looked_into(&[12, 40], true);
        assert!(shielded.contains("shields 2 processes") && shielded.contains("process 12 for one:"), "{shielded}");
        assert!(!shielded.contains("root") && !shielded.contains("grant"), "{shielded}");
        for said in [not_looked_into(&[12], false), not_looked_into(&[], true)] {
            assert!(said.contains("run as root"), "{said}");
        }
    }
}
