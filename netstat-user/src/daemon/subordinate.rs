//! The subordinate user ids of this machine, as /etc/subuid has them (subuid(5)). What only NSS serves (`subid:` of nsswitch.conf) is not known.

use crate::model::{IdRange, Subordinates};
use nix::unistd::User;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file, read again whenever somebody looks; its owners are looked up only where it has changed, or where one could not be.
#[derive(Debug)]
pub struct SubordinateFile {
    path: PathBuf,
    text: Vec<u8>,
    /// Whether every owner could be looked up.
    whole: bool,
    known: Arc<Subordinates>,
}

impl SubordinateFile {
    /// The file below `root`, not read yet.
    pub fn new(root: &Path) -> Self {
        Self { path: root.join("etc/subuid"), text: Vec::new(), whole: true, known: Arc::default() }
    }

    /// What it says now. One that cannot be read says what it said before; one that is not there says nothing.
    pub fn look(&mut self) -> Arc<Subordinates> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(_) => return Arc::clone(&self.known),
        };
        if text != self.text || !self.whole {
            let by_name = |name: &str| User::from_name(name).map(|user| user.map(|user| user.uid.as_raw()));
            let (known, whole) = parse(&text, by_name);
            (self.known, self.whole, self.text) = (Arc::new(known), whole, text);
        }
        Arc::clone(&self.known)
    }
}

/// Reads the lines `OWNER:FIRST:COUNT`, and whether every owner could be looked up. An owner is a name or a number. The ranges of an owner who
/// is not found count together as their first id, and so do root's, whose containers are not to take what is root's.
pub fn parse<E>(text: &[u8], by_name: impl Fn(&str) -> Result<Option<u32>, E>) -> (Subordinates, bool) {
    let (mut ranges, mut owners, mut whole) = (Vec::new(), HashMap::new(), true);
    for line in text.split(|&byte| byte == b'\n') {
        let Ok(line) = std::str::from_utf8(line) else { continue };
        let mut fields = line.trim().split(':');
        let (Some(owner), Some(first), Some(count), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let (Ok(first), Ok(count)) = (first.parse::<u32>(), count.parse::<u64>()) else { continue };
        // A comment has a first field too, but no numbers behind it.
        let Some(more) = count.checked_sub(1).filter(|_| !owner.is_empty()) else { continue };
        let counts_as = *owners.entry(owner).or_insert_with(|| {
            let uid = owner.parse().map_or_else(|_| by_name(owner), |uid| Ok(Some(uid)));
            whole &= uid.is_ok();
            uid.ok().flatten().filter(|&uid| uid != 0).unwrap_or(first)
        });
        let last = u32::try_from(u64::from(first) + more.min(u32::MAX.into())).unwrap_or(u32::MAX);
        ranges.push(IdRange { first, last, counts_as });
    }
    (Subordinates::new(ranges), whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_owners_with_ranges() {
        let names = |name: &str| match name {
            "ann" => Ok(Some(1000)),
            "root" => Ok(Some(0)),
            "far" => Err(()),
            _ => Ok(None),
        };
        let text = b"# a comment: of two fields\nann:100000:65536\n1001:200000:10\nroot:300000:10\ngone:400000:10\n\n\
            ann:500000:1\ngone:600000:5\nroot:700000:2\nann:800000:0\nann:x:1\nann:900000:1:1\n:5:5\n\xff:6:6\n  ann:4294967290:99999999999 \n";
        let (found, whole) = parse(text, names);
        assert!(whole);
        let owners = [
            (99_999, 99_999),
            (100_000, 1000),
            (165_535, 1000),
            (165_536, 165_536),
            (200_009, 1001),
            (300_005, 300_000),
            (400_001, 400_000),
            (500_000, 1000),
            (600_004, 400_000),
            (700_001, 300_000),
            (800_000, 800_000),
            (900_000, 900_000),
            (5, 5),
            (4_294_967_294, 1000),
        ];
        owners.iter().for_each(|&(uid, owner)| assert_eq!(found.counts_as(uid), owner, "{uid}"));
        assert_eq!(parse(b"", names), (Subordinates::default(), true));
        let (found, whole) = parse(b"far:100000:10\n", names);
        assert_eq!((found.counts_as(100_009), whole), (100_000, false), "one to be looked up again");
    }

    #[test]
    fn the_file_is_read_anew() {
        let root = std::env::temp_dir().join(format!("netstat-user-subuid-{}", std::process::id()));
        fs::create_dir_all(root.join("etc")).unwrap();
        let mut file = SubordinateFile::new(&root);
        assert_eq!(file.look().counts_as(100_007), 100_007, "no file");
        for owner in [1000, 1001] {
            fs::write(root.join("etc/subuid"), format!("{owner}:100000:65536\n")).unwrap();
            assert_eq!(file.look().counts_as(100_007), owner);
        }
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(file.look().counts_as(100_007), 100_007);
    }
}
