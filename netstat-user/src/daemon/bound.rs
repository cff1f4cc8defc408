//! The file of the agent's socket: made where nobody else can put something in its place, its mode and group set by descriptor, and
//! removed at the end.

mod folder;
pub mod watch;

use crate::client::{self, AskError};
use crate::model::reason;
use crate::sys::{self, Scarce};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, Uid, fstat, openat, statat, unlinkat};
use std::ffi::{OsStr, OsString};
use std::fs::Permissions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The kernel's.
    #[error("agent: {}: {}", .0.display(), way_out(.1))]
    Io(PathBuf, #[source] io::Error),
    /// A folder in which somebody else could put something in the place of the socket.
    #[error(
        "agent: {}: {whose}, who could put something in the place of the socket: give a --socket in a folder of root's",
        .path.display()

    )]
    Shared {
        /// The folder.
        path: PathBuf,
        /// Who else writes there.
        whose: String,
    },
    /// Something else is there.
    #[error("agent: {} is there and is no socket: give another --socket", .0.display())]
    NoSocket(PathBuf),
    /// Somebody listens there, as a rule another agent.
    #[error("agent: something listens on {} already: stop it, or give another --socket", .0.display())]
    Taken(PathBuf),
    /// Somebody listens there and says nothing.
    #[error(
        "agent: somebody listens on {} and does not answer: see whether it is stopped (kill -CONT), end it, or give another --socket",
        .0.display()
    )]
    Silent(PathBuf),
    /// Something else stands where the socket was.
    #[error("agent: {} is not this agent's socket any more: restart it", .0.display())]
    Replaced(PathBuf),
    /// The socket is gone, and a new one would be of another group.
    #[error("agent: {} is gone, and cannot be made for its group again: restart the agent", .0.display())]
    Group(PathBuf),
    /// The path ends in no name.
    #[error("--socket: `{}' is no file: give the path of a file", .0.display())]
    Nameless(PathBuf),
}

/// An error of the kernel's, and what to do about it.
fn way_out(error: &io::Error) -> String {
    let way = match (Scarce::of(error), error.kind()) {
        (Some(scarce), _) => return scarce.words(),
        (None, io::ErrorKind::PermissionDenied) => "run as root, or give a --socket in a folder of your own",
        (None, _) => "give another --socket",
    };
    format!("{}: {way}", reason(error).to_lowercase())
}

/// The socket's file, removed at the end.
#[derive(Debug)]
pub struct Bound {
    path: PathBuf,
    mode: u32,
    group: Option<u32>,
    listener: Option<UnixListener>,
    folder: OwnedFd,
    name: OsString,
    /// Device and inode of the file we made: another agent's is left alone.
    made: (u64, u64),
    /// That file: while it is open, no other one has its inode.
    file: OwnedFd,
}

/// What the socket's path leads to, a while after it was made.
#[derive(Debug)]
pub enum Standing {
    /// The socket.
    Here,
    /// Nothing was there: this one has been made in its place.
    Anew(UnixListener),
    /// Something else, or nothing, and it cannot be made again.
    Gone(BindError),
}

fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

impl Bound {
    /// Binds a socket to the path; its folder is made where it is missing, for `user` if the process is to run as another one later.
    ///
    /// # Errors
    /// A [`BindError`] that names the path and the way out.
    pub fn new(path: &Path, mode: u32, group: Option<u32>, user: Option<u32>) -> Result<Self, BindError> {
        let name = path.file_name().ok_or_else(|| BindError::Nameless(path.into()))?.to_owned();
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = folder::reach(parent, user)?;
        make_room(&folder, &name, path)?;
        // Nobody gets in before the mode is set.
        let (listener, file, stat) = bind(path, &folder, &name, 0o600)?;
        let (listener, made) = (Some(listener), identity(&stat));
        let bound = Self { path: path.into(), mode, group, listener, folder, name, made, file };
        if let Some(group) = group {
            let group = Some(rustix::fs::Gid::from_raw(group));
            rustix::fs::chownat(&bound.file, "", None::<Uid>, group, AtFlags::EMPTY_PATH)
                .map_err(|error| bound.said(error))?;
        }
        set_mode(&bound, mode).map_err(|error| BindError::Io(path.into(), error))?;
        Ok(bound)
    }

    fn said(&self, error: rustix::io::Errno) -> BindError {
        BindError::Io(self.path.clone(), error.into())
    }

    /// Looks whether the path still leads to the socket. Where nothing is there any more, it is made again, in a folder as trusted as the first; what
    /// else is there is left alone.
    pub fn look(&mut self) -> Standing {
        match rustix::fs::lstat(&self.path) {
            Ok(there) if identity(&there) == self.made => Standing::Here,
            Ok(_) => Standing::Gone(BindError::Replaced(self.path.clone())),
            Err(rustix::io::Errno::NOENT) => self.bind_again().map_or_else(Standing::Gone, Standing::Anew),
            Err(error) => Standing::Gone(self.said(error)),
        }
    }

    /// Makes the socket with no right but the process's own user's: with its mode from the first moment, since neither that nor its group can be
    /// changed once privileges are given up.
    fn bind_again(&mut self) -> Result<UnixListener, BindError> {
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = folder::reach(parent, None)?;
        let (listener, file, stat) = bind(&self.path, &folder, &self.name, self.mode)?;
        if self.group.is_some_and(|group| group != stat.st_gid) {
            // The clients that its group let in would be turned away now.
            let _ = unlinkat(&folder, &self.name, AtFlags::empty());
            return Err(BindError::Group(self.path.clone()));
        }
        (self.folder, self.made, self.file) = (folder, identity(&stat), file);
        Ok(listener)
    }

    /// Where the socket is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The listening socket, once.
    pub fn listener(&mut self) -> Option<UnixListener> {
        self.listener.take()
    }
}

/// Connections that may wait, as many as the kernel lets them.
const BACKLOG: i32 = 4096;

/// A listener on the path, which takes no descriptors from anybody where the kernel can refuse them.
fn listen(path: &Path) -> io::Result<UnixListener> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // Before Linux 6.16 it takes them.
    let _ = sys::refuse_descriptors(&socket);
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

fn is_our_socket(stat: &Stat) -> bool {
    stat.st_uid == rustix::process::geteuid().as_raw() && FileType::from_raw_mode(stat.st_mode) == FileType::Socket
}

/// Binds a socket whose file has this mode.
fn bind(path: &Path, folder: &OwnedFd, name: &OsStr, mode: u32) -> Result<(UnixListener, OwnedFd, Stat), BindError> {
    let said = |error: rustix::io::Errno| BindError::Io(path.into(), error.into());
    let before = rustix::process::umask(Mode::from_raw_mode(0o777 & !mode));
    let listener = listen(path);
    rustix::process::umask(before);
    let listener = listener.map_err(|error| BindError::Io(path.into(), error))?;
    // From here on by descriptor: the path may lead elsewhere by now.
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = openat(folder, name, flags, Mode::empty()).and_then(|file| Ok((fstat(&file)?, file)));
    let (stat, file) = opened.map_err(|error| {
        // Nobody would remove it later.
        if statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| is_our_socket(&stat)) {
            let _ = unlinkat(folder, name, AtFlags::empty());
        }
        said(error)
    })?;
    if !is_our_socket(&stat) {
        let parent = path.parent().unwrap_or(path);
        return Err(BindError::Shared { path: parent.into(), whose: "somebody else writes there".into() });
    }
    Ok((listener, file, stat))
}

/// fchmod(2) refuses what is opened as a path only; its link in /proc leads to the file itself, whatever stands under its name.
fn set_mode(bound: &Bound, mode: u32) -> io::Result<()> {
    let link = format!("/proc/self/fd/{}", bound.file.as_raw_fd());
    match std::fs::set_permissions(link, Permissions::from_mode(mode)) {
        // Without /proc by name, in a folder where only we can write.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok(rustix::fs::chmodat(&bound.folder, &bound.name, Mode::from_raw_mode(mode), AtFlags::empty())?)
        }
        outcome => outcome,
    }
}

/// Removes the socket that an agent has left behind.
fn make_room(folder: &OwnedFd, name: &OsStr, path: &Path) -> Result<(), BindError> {
    let Ok(file) = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else { return Ok(()) };
    if FileType::from_raw_mode(file.st_mode) != FileType::Socket {
        return Err(BindError::NoSocket(path.into()));
    }
    match client::connect(path) {
        Err(AskError::Io(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {}
        // Whether anybody answers is not for us to know.
        Err(AskError::Io(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(BindError::Io(path.into(), error));
        }
        Err(AskError::Io(error)) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
            return Err(BindError::Silent(path.into()));
        }
        // One that takes no more clients is there, too.
        _ => return Err(BindError::Taken(path.into())),
    }
    // Not what somebody else has put there meanwhile.
    let now = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
    if now.is_ok_and(|now| identity(&now) == identity(&file)) {
        unlinkat(folder, name, AtFlags::empty()).map_err(|error| BindError::Io(path.into(), error.into()))?;
    }
    Ok(())
}

impl Drop for Bound {
    fn drop(&mut self) {
        let there = statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW);
        if there.is_ok_and(|there| identity(&there) == self.made) {
            // What cannot be removed is replaced by the next agent.
            let _ = unlinkat(&self.folder, &self.name, AtFlags::empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    pub fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("netstat-user-bound-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn the_folder_and_the_socket_have_their_modes_whatever_the_umask() {
        let root = scratch("modes");
        let path = root.join("a/b/agent.sock");
        let mode = |path: &Path| fs::symlink_metadata(path).unwrap().mode() & 0o7777;
        let bound = Bound::new(&path, 0o660, None, None).unwrap();
        assert_eq!((mode(&root.join("a")), mode(&root.join("a/b")), mode(&path)), (0o755, 0o755, 0o660));
        assert!(matches!(Bound::new(&path, 0o600, None, None), Err(BindError::Taken(_))));
        drop(bound);
        assert!(!path.exists());
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let root = scratch("links");
        let (victim, path) = (root.join("victim"), root.join("agent.sock"));
        fs::write(&victim, "").unwrap();
        fs::set_permissions(&victim, Permissions::from_mode(0o600)).unwrap();
        symlink(&victim, &path).unwrap();
        assert!(matches!(Bound::new(&path, 0o666, None, None), Err(BindError::NoSocket(_))));
        assert_eq!(fs::metadata(&victim).unwrap().mode() & 0o777, 0o600);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_socket_that_is_gone_is_made_again() {
        let root = scratch("again");
        let path = root.join("a/agent.sock");
        let mut bound = Bound::new(&path, 0o666, None, None).unwrap();
        let first = bound.listener().unwrap();
        assert!(matches!(bound.look(), Standing::Here));
        for folder in [false, true] {
            if folder {
                fs::rename(root.join("a"), root.join("b")).unwrap();
            } else {
                fs::remove_file(&path).unwrap();
            }
            let Standing::Anew(listener) = bound.look() else { panic!("nothing is there") };
            assert_eq!(fs::symlink_metadata(&path).unwrap().mode() & 0o7777, 0o666);
            let _client = std::os::unix::net::UnixStream::connect(&path).unwrap();
            listener.accept().unwrap();
            assert!(matches!(bound.look(), Standing::Here));
        }
        // Another one's is left alone, also at the end.
        fs::remove_file(&path).unwrap();
        let _others = UnixListener::bind(&path).unwrap();
        let Standing::Gone(error) = bound.look() else { panic!("another one is there") };
        assert!(error.to_string().contains("not this agent's socket"), "{error}");
        drop((bound, first));
        assert!(path.exists());
        fs::remove_file(&path).unwrap();
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn where_others_write_no_socket_is_made() {
        let root = scratch("shared");
        let path = root.join("agent.sock");
        fs::set_permissions(&root, Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(Bound::new(&path, 0o600, None, None), Err(BindError::Shared { .. })));
        fs::set_permissions(&root, Permissions::from_mode(0o1777)).unwrap();
        drop(Bound::new(&path, 0o600, None, None).unwrap());
        if rustix::process::geteuid().is_root() {
            fs::set_permissions(&root, Permissions::from_mode(0o755)).unwrap();
            std::os::unix::fs::chown(&root, Some(65_534), None).unwrap();
            let error = Bound::new(&path, 0o600, None, None).unwrap_err().to_string();
            assert!(error.contains("user 65534's") && error.contains("--socket"), "{error}");
            assert!(!path.exists());
        }
        fs::remove_dir_all(root).unwrap();
    }
}
