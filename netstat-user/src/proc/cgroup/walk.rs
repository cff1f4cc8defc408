//! The cgroups there are, by a walk over the hierarchy.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirEntryExt;
use std::path::Path;

/// The cgroups that a walk found, by their ids. Each has its own name only, and so 255 bytes at most (`NAME_MAX`), however deep it is.
#[derive(Debug, Default)]
pub struct WalkedPaths {
    /// By id, where among the cgroups it stands.
    places: HashMap<u64, u32>,
    /// Those at the top first.
    cgroups: Vec<WalkedCgroup>,
}

#[derive(Debug)]
struct WalkedCgroup {
    /// Where the one stands that this one is in; `None` at the top.
    parent: Option<u32>,
    name: Box<[u8]>,
}

impl WalkedPaths {
    /// Walks over the hierarchy that is mounted here, until so many are found: those at the top first.
    pub fn of(point: &Path, most: usize) -> Self {
        let mut found = Self::default();
        let mut parent = None;
        loop {
            let path = found.path_at(parent);
            let dir = point.join(OsStr::from_bytes(path.strip_prefix(b"/").unwrap_or_default()));
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    continue;
                }
                if found.cgroups.len() >= most {
                    return found;
                }
                found.places.insert(entry.ino(), found.cgroups.len() as u32);
                found.cgroups.push(WalkedCgroup { parent, name: entry.file_name().as_bytes().into() });
            }
            let next = parent.map_or(0, |at| at + 1);
            if next as usize >= found.cgroups.len() {
                return found;
            }
            parent = Some(next);
        }
    }

    /// The path of a cgroup that was found.
    pub fn path(&self, id: u64) -> Option<Vec<u8>> {
        self.places.get(&id).map(|&at| self.path_at(Some(at)))
    }

    fn path_at(&self, at: Option<u32>) -> Vec<u8> {
        let cgroup = |at: Option<u32>| self.cgroups.get(at? as usize);
        let mut names: Vec<&[u8]> =
            std::iter::successors(cgroup(at), |last| cgroup(last.parent)).map(|cgroup| &*cgroup.name).collect();
        // The path begins with a slash.
        names.push(b"");
        names.reverse();
        names.join(&b'/')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_walk_finds_the_top_first_and_no_more_than_it_may() {
        let point = std::env::temp_dir().join(format!("netstat-user-walk-{}", std::process::id()));
        fs::create_dir_all(point.join("a/b/c")).unwrap();
        fs::create_dir_all(point.join("d")).unwrap();
        fs::write(point.join("cgroup.procs"), "").unwrap();
        let id = |path: &str| fs::metadata(point.join(path)).unwrap().ino();
        let found = |walked: &WalkedPaths| {
            let path = |path| walked.path(id(path)).map(|path| String::from_utf8(path).unwrap());
            ["a", "d", "a/b", "a/b/c", "cgroup.procs"].map(path)
        };
        let all = found(&WalkedPaths::of(&point, 100));
        let three = found(&WalkedPaths::of(&point, 3));
        let none = WalkedPaths::of(&point.join("none"), 3);
        fs::remove_dir_all(&point).unwrap();
        assert_eq!(all.each_ref().map(Option::as_deref), [Some("/a"), Some("/d"), Some("/a/b"), Some("/a/b/c"), None]);
        assert_eq!(three[..3], all[..3]);
        assert_eq!((&three[3], none.cgroups.len()), (&None, 0));
    }
}
