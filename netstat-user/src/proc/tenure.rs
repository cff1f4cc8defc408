//! Since when a network namespace is the same one: its inode number is given to another one as soon as it has ended.

use super::netns;
use crate::sys;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Reads what makes a namespace the one that it is: a number that no other one has while the kernel runs.
#[derive(Debug)]
pub struct NamespaceIds {
    root: PathBuf,
    /// The namespace of this process, which cannot end before it.
    own: Option<u32>,
}

/// The number of a namespace that no other one ever has.
pub type NamespaceId = u64;

impl NamespaceIds {
    /// `root` is /proc.
    pub fn new(root: &Path) -> Self {
        Self { root: root.into(), own: netns::own(root).ok() }
    }

    /// The network namespace of a process: its inode number, and what else it is known by. That is `None` where the kernel has no such
    /// number (before Linux 5.14), or gives it only to who enters the namespace (before 6.18), and this process may not.
    ///
    /// # Errors
    /// The process has gone, or may not be looked at.
    pub fn of(&self, pid: u32) -> io::Result<(u32, Option<NamespaceId>)> {
        let file = File::open(self.root.join(pid.to_string()).join("ns/net"))?;
        let inode = file.metadata()?.ino() as u32;
        if self.own == Some(inode) {
            return Ok((inode, Some(0)));
        }
        let object = sys::namespace_id(&file).or_else(|_| netns::enter(file, sys::netns_cookie)?);
        Ok((inode, object.ok()))
    }
}

/// What is known of namespaces by their inode numbers.
#[derive(Debug, Default)]
pub struct Tenures(HashMap<u32, Tenure>);

#[derive(Debug)]
struct Tenure {
    object: Option<NamespaceId>,
    since_ns: u64,
}

impl Tenures {
    /// Since when the namespace with this number is known to be the one that is there at `now_ns`, after its object was read. Where that is not
    /// known, it may be another one each time.
    pub fn since(&mut self, inode: u32, object: Option<NamespaceId>, now_ns: u64) -> u64 {
        let tenure = self.0.entry(inode).or_insert(Tenure { object, since_ns: now_ns });
        if object.is_none() || tenure.object != object {
            *tenure = Tenure { object, since_ns: now_ns };
        }
        tenure.since_ns
    }

    /// Forgets all but these.
    pub fn keep(&mut self, there: &HashSet<u32>) {
        self.0.retain(|inode, _| there.contains(inode));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command, Stdio};

    #[test]
    fn a_number_with_another_object_is_another_namespace() {
        let mut tenures = Tenures::default();
        assert_eq!([10, 20].map(|now_ns| tenures.since(1, Some(7), now_ns)), [10, 10]);
        assert_eq!([30, 40].map(|now_ns| tenures.since(1, Some(8), now_ns)), [30, 30]);
        // The first one has ended and cannot come back: its number is another one's again.
        assert_eq!(tenures.since(1, Some(7), 50), 50);
        // Where it is not known which one it is, it is a new one.
        assert_eq!([60, 70].map(|now_ns| tenures.since(1, None, now_ns)), [60, 70]);
        assert_eq!([80, 90].map(|now_ns| tenures.since(1, Some(7), now_ns)), [80, 80]);
        tenures.keep(&HashSet::from([2]));
        assert_eq!(tenures.since(1, Some(7), 100), 100);
    }

    /// A process in a network namespace of its own, `None` where none can be made.
    fn apart() -> Option<Child> {
        let mut command = Command::new("unshare");
        let mut child = command.args(["-n", "sh", "-c", "echo; exec sleep 60"]).stdout(Stdio::piped()).spawn().ok()?;
        io::Read::read_exact(&mut child.stdout.take()?, &mut [0]).ok()?;
        Some(child)
    }

    #[test]
    fn a_namespace_is_the_same_for_all_in_it_and_none_is_another() {
        let objects = NamespaceIds::new(Path::new("/proc"));
        let own = objects.of(std::process::id()).unwrap();
        assert_eq!(own, (netns::own(Path::new("/proc")).unwrap(), Some(0)));
        let [Some(mut one), Some(mut other)] = [apart(), apart()] else {
            println!("skipped: no network namespace can be made");
            return;
        };
        let [first, again, second] = [&one, &one, &other].map(|child| objects.of(child.id()).unwrap());
        assert_eq!(first, again);
        assert!(first.0 != second.0 && first.0 != own.0);
        if let (Some(first), Some(second)) = (first.1, second.1) {
            assert!(first != second && first != 0 && second != 0);
        }
        // The two ways to read it agree about what is the same.
        let cookie = |child: &Child| {
            let file = File::open(format!("/proc/{}/ns/net", child.id())).unwrap();
            netns::enter(file, sys::netns_cookie).unwrap()
        };
        if let (Ok(one), Ok(other)) = (cookie(&one), cookie(&other)) {
            assert_ne!(one, other);
        }
        for child in [&mut one, &mut other] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert!(objects.of(one.id()).is_err());
    }
}
