//! The folder of the socket, reached from the root step by step: on no step can anybody else lead elsewhere, or put another folder in the place
//! of one that was passed.

use super::BindError;
use rustix::fs::{FileType, Mode, OFlags, Stat, Uid, fchown, fstat, mkdirat, open, openat, readlinkat};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// Mode of a folder that is made for the socket, whatever the umask: who may ask decides the socket's own mode.
const FOLDER: Mode = Mode::from_raw_mode(0o755);
/// Symbolic links on one way, as in path_resolution(7).
const LINKS: usize = 40;

/// A part of the way that is still to go.
enum Step {
    Root,
    Up,
    Into(OsString),
}

fn steps(path: &Path) -> impl DoubleEndedIterator<Item = Step> {
    path.components().filter_map(|component| match component {
        Component::RootDir => Some(Step::Root),
        Component::ParentDir => Some(Step::Up),
        Component::Normal(name) => Some(Step::Into(name.into())),
        Component::CurDir | Component::Prefix(_) => None,
    })
}

/// Opens the folder, for names in it only (`O_PATH`). What is missing of it is made; if that is the folder itself, for `user`.
///
/// # Errors
/// A folder or link on the way of which somebody else could make another one: not root's, our own or `user`'s, or a folder that others may
/// write to, unless its sticky bit leaves its entries to their owners (/tmp).
pub fn reach(path: &Path, user: Option<u32>) -> Result<OwnedFd, BindError> {
    let whole = std::path::absolute(path).map_err(|error| BindError::Io(path.into(), error))?;
    let mut way: VecDeque<Step> = steps(&whole).collect();
    let root = open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let root = root.map_err(|error| BindError::Io("/".into(), error.into()))?;
    let (mut passed, mut links): (Vec<(OwnedFd, PathBuf)>, _) = (Vec::new(), 0);
    let mut here = (root, PathBuf::from("/"));
    trusted(&fstat(&here.0).map_err(|error| BindError::Io("/".into(), error.into()))?, &here.1, user)?;
    while let Some(step) = way.pop_front() {
        let name = match step {
            Step::Root => {
                if let Some(root) = passed.drain(..).next() {
                    here = root;
                }
                continue;
            }
            Step::Up => {
                here = passed.pop().unwrap_or(here);
                continue;
            }
            Step::Into(name) => name,
        };
        let to = here.1.join(&name);
        let said = |error: Errno| BindError::Io(to.clone(), error.into());
        let entry = entry(&here.0, &name, user.filter(|_| way.is_empty())).map_err(said)?;
        let stat = fstat(&entry).map_err(said)?;
        trusted(&stat, &to, user)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => passed.push(std::mem::replace(&mut here, (entry, to))),
            FileType::Symlink if links == LINKS => return Err(said(Errno::LOOP)),
            FileType::Symlink => {
                links += 1;
                let target = readlinkat(&entry, "", Vec::new()).map_err(said)?;
                let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
                steps(&target).rev().for_each(|step| way.push_front(step));
            }
            _ => return Err(said(Errno::NOTDIR)),
        }
    }
    Ok(here.0)
}

/// What has this name, no link followed; a folder, new and for `user`, where there is nothing.
fn entry(folder: &OwnedFd, name: &OsStr, user: Option<u32>) -> Result<OwnedFd, Errno> {
    let look = || openat(folder, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    match look() {
        Err(Errno::NOENT) => {}
        found => return found,
    }
    // With its mode from the first moment: that cannot be changed once privileges are given up.
    let before = rustix::process::umask(Mode::from_raw_mode(0o777).difference(FOLDER));
    let made = mkdirat(folder, name, FOLDER);
    rustix::process::umask(before);
    match made {
        Err(Errno::EXIST) => return look(),
        outcome => outcome?,
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = openat(folder, name, flags, Mode::empty())?;
    if user.is_some() && fstat(&made)?.st_uid == rustix::process::geteuid().as_raw() {
        fchown(&made, user.map(Uid::from_raw), None)?;
    }
    Ok(made)
}

/// Whether only root, we or `user` decide what this leads to, and what is in it; else who could.
fn trusted(stat: &Stat, path: &Path, user: Option<u32>) -> Result<(), BindError> {
    let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
    let own = rustix::process::geteuid().as_raw();
    let whose = if stat.st_uid != 0 && stat.st_uid != own && Some(stat.st_uid) != user {
        let what = if is_link { "link" } else { "folder" };
        format!("the {what} is user {}'s", stat.st_uid)
    } else if !is_link && stat.st_mode & 0o1000 == 0 && stat.st_mode & 0o022 != 0 {
        // Where the sticky bit is set, only the owner of a file replaces it (/tmp).
        "the folder may be written to by others".into()
    } else {
        return Ok(());
    };
    Err(BindError::Shared { path: path.into(), whose })
}

#[cfg(test)]
mod tests {
    use super::super::tests::scratch;
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};

    fn inode(folder: &OwnedFd) -> u64 {
        fstat(folder).unwrap().st_ino
    }

    fn refused(path: &Path) -> String {
        reach(path, None).unwrap_err().to_string()
    }

    #[test]
    fn links_of_ones_own_and_steps_up_are_followed() {
        let root = scratch("steps");
        fs::create_dir_all(root.join("a/b")).unwrap();
        let wanted = fs::metadata(root.join("a/b")).unwrap().ino();
        symlink("a", root.join("near")).unwrap();
        symlink(root.join("near/b"), root.join("far")).unwrap();
        for way in ["a/b", "near/b", "far", "a/../a/./b", "far/../b", "new/../near/b"] {
            assert_eq!(inode(&reach(&root.join(way), None).unwrap()), wanted, "{way}");
        }
        assert!(reach(Path::new("/run"), None).is_ok());
        symlink("round", root.join("round")).unwrap();
        assert!(refused(&root.join("round")).contains("symbolic links"));
        fs::write(root.join("file"), "").unwrap();
        assert!(refused(&root.join("file/x")).contains("not a directory"));
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn no_folder_or_link_on_the_way_is_anothers() {
        let root = scratch("way");
        let inner = root.join("theirs/x/y");
        fs::create_dir_all(&inner).unwrap();
        fs::set_permissions(root.join("theirs"), Permissions::from_mode(0o775)).unwrap();
        assert!(refused(&inner).contains("theirs: the folder may be written to by others"), "{}", refused(&inner));
        fs::set_permissions(root.join("theirs"), Permissions::from_mode(0o1777)).unwrap();
        assert!(reach(&inner, None).is_ok());
        if rustix::process::geteuid().is_root() {
            fs::set_permissions(root.join("theirs"), Permissions::from_mode(0o755)).unwrap();
            chown(root.join("theirs"), Some(65_534), None).unwrap();
            assert!(refused(&inner).contains("theirs: the folder is user 65534's"), "{}", refused(&inner));
            assert!(refused(&root.join("theirs/new")).contains("user 65534's"));
            assert!(!root.join("theirs/new").exists());
            // Whom the agent is to run as may have it.
            assert!(reach(&inner, Some(65_534)).is_ok());
            fs::create_dir(root.join("ours")).unwrap();
            symlink("ours", root.join("link")).unwrap();
            lchown(root.join("link"), Some(65_534), None).unwrap();
            assert!(refused(&root.join("link")).contains("link: the link is user 65534's"));
            lchown(root.join("link"), Some(0), None).unwrap();
            assert!(reach(&root.join("link"), None).is_ok());
        }
        fs::remove_dir_all(root).unwrap();
    }
}
