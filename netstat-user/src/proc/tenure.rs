//! Since when a network namespace is the same one: its inode number is given to another one as soon as it has ended.

use super::netns;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Processes remembered of a namespace.
const WITNESSES: usize = 4;

/// Parents looked at, one above the other.
const GENERATIONS: usize = 32;

/// Namespaces, each with processes that were seen in it: as long as one of them is in it, it is the same.
#[derive(Debug)]
pub struct Tenures {
    root: PathBuf,
    known: HashMap<u32, Tenure>,
}

#[derive(Debug)]
struct Tenure {
    since_ns: u64,
    /// Process id, and its start in ticks since the boot.
    witnesses: Vec<(u32, u64)>,
}

impl Tenures {
    /// Of no namespace yet; `root` is /proc.
    pub fn new(root: &Path) -> Self {
        Self { root: root.into(), known: HashMap::new() }
    }

    /// Since when the namespace with this number is known to be the one that is there now; `pids` are in it, `now_ns` is when it is new.
    pub fn since(&mut self, inode: u32, pids: impl IntoIterator<Item = u32>, now_ns: u64) -> u64 {
        let root = &self.root;
        let tenure = self.known.entry(inode).or_insert(Tenure { since_ns: now_ns, witnesses: Vec::new() });
        let is_in = |pid, begun| start(root, pid) == Some(begun) && netns::of(root, pid).is_ok_and(|its| its == inode);
        tenure.witnesses.retain(|&(pid, begun)| is_in(pid, begun));
        if tenure.witnesses.is_empty() {
            tenure.since_ns = now_ns;
        }
        // Whoever asks may be gone soon; who began it all stays.
        for pid in pids.into_iter().flat_map(|pid| [eldest(root, pid, inode), pid]) {
            if tenure.witnesses.len() >= WITNESSES {
                break;
            }
            if tenure.witnesses.iter().all(|&(known, _)| known != pid)
                && let Some(begun) = start(root, pid)
                && is_in(pid, begun)
            {
                tenure.witnesses.push((pid, begun));
            }
        }
        tenure.since_ns
    }

    /// Forgets all but these.
    pub fn keep(&mut self, there: &HashSet<u32>) {
        self.known.retain(|inode, _| there.contains(inode));
    }
}

/// When a process began (proc_pid_stat(5), field 22).
fn start(root: &Path, pid: u32) -> Option<u64> {
    after_name(root, pid, 19)
}

/// The first of the parents, one above the other, that are in the namespace with the process.
fn eldest(root: &Path, pid: u32, inode: u32) -> u32 {
    let parent = |pid: &u32| {
        let above = after_name(root, *pid, 1).and_then(|parent| u32::try_from(parent).ok())?;
        netns::of(root, above).is_ok_and(|its| its == inode).then_some(above)
    };
    std::iter::successors(Some(pid), parent).take(GENERATIONS).last().unwrap_or(pid)
}

/// A number in the stat of a process, counted from behind the name, which may hold anything.
fn after_name(root: &Path, pid: u32, number: usize) -> Option<u64> {
    let stat = fs::read(root.join(pid.to_string()).join("stat")).ok()?;
    let after = stat.iter().rposition(|&byte| byte == b')')?;
    std::str::from_utf8(&stat[after + 1..]).ok()?.split_ascii_whitespace().nth(number)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_number_with_other_processes_is_another_namespace() {
        let root = std::env::temp_dir().join(format!("netstat-user-tenure-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&root).unwrap();
        let namespace = root.join("namespace");
        fs::write(&namespace, "").unwrap();
        let inode = fs::metadata(&namespace).unwrap().ino() as u32;
        let appear = |pid: u32, begun: u64| {
            let folder = root.join(pid.to_string());
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(folder.join("ns")).unwrap();
            fs::hard_link(&namespace, folder.join("ns/net")).unwrap();
            let zeroes = "0 ".repeat(17);
            fs::write(folder.join("stat"), format!("{pid} (a) b) S 1 {zeroes}{begun} 0 0\n")).unwrap();
        };
        appear(1, 50);
        assert_eq!(start(&root, 1), Some(50));
        let mut tenures = Tenures::new(&root);
        assert_eq!(tenures.since(inode, [1], 0), 0);
        assert_eq!(tenures.since(inode, [1], 10), 0);
        // Another joins, and stays when the first has gone.
        appear(2, 60);
        assert_eq!(tenures.since(inode, [1, 2], 20), 0);
        fs::remove_dir_all(root.join("1")).unwrap();
        assert_eq!(tenures.since(inode, [2], 30), 0);
        // The same process number, another process.
        appear(2, 70);
        assert_eq!(tenures.since(inode, [2], 40), 40);
        assert_eq!(tenures.since(inode, [2], 50), 40);
        // Its parent outlives it: the parent's parent is in another namespace.
        appear(1, 50);
        fs::remove_file(root.join("1/ns/net")).unwrap();
        fs::write(root.join("1/ns/net"), "").unwrap();
        let zeroes = "0 ".repeat(17);
        appear(3, 80);
        appear(4, 90);
        fs::write(root.join("4/stat"), format!("4 (c) S 3 {zeroes}90 0 0\n")).unwrap();
        assert_eq!(eldest(&root, 4, inode), 3);
        assert_eq!(tenures.since(inode, [4], 55), 40);
        for gone in ["2", "4"] {
            fs::remove_dir_all(root.join(gone)).unwrap();
        }
        assert_eq!(tenures.since(inode, [], 57), 40);
        appear(2, 70);
        tenures.keep(&HashSet::new());
        assert_eq!(tenures.since(inode, [2], 60), 60);
        // In it by nobody's witness.
        assert_eq!(tenures.since(7, [], 70), 70);
        assert_eq!(tenures.since(7, [2], 80), 80);
        assert_eq!(tenures.since(7, [], 90), 90);
        fs::remove_dir_all(root).unwrap();
    }
}
