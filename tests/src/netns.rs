//! Network namespaces of a test's own. A namespace lives as long as its [`NetNs`], a socket or a process in it.

use nix::sched::{CloneFlags, setns, unshare};
use socket2::{Domain, Protocol, Socket, Type};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;

/// A network namespace, entered thread by thread: the rest of the test stays where it is.
#[derive(Debug)]
pub struct NetNs {
    file: File,
}

impl NetNs {
    /// A fresh namespace with its loopback interface up. Needs `CAP_SYS_ADMIN`.
    ///
    /// # Errors
    /// When the kernel refuses the namespace or the interface.
    pub fn new() -> io::Result<Self> {
        in_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            loopback_up()?;
            Self::current()
        })
    }

    /// The namespace of the calling thread.
    ///
    /// # Errors
    /// When /proc is not mounted.
    pub fn current() -> io::Result<Self> {
        Self::open(Path::new("/proc/thread-self/ns/net"))
    }

    /// A namespace by its file: `/run/netns/NAME` or `/proc/PID/ns/net`.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(path)? })
    }

    /// The number the kernel names the namespace by, as in `net:[4026531840]`.
    ///
    /// # Errors
    /// When the namespace file cannot be read.
    pub fn inode(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.ino())
    }

    /// The namespace's file, for `setns(2)`.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Runs `work` on a thread in this namespace: sockets it makes, and processes it starts, belong here.
    ///
    /// # Panics
    /// When the namespace cannot be entered, or `work` panics.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        in_thread(|| {
            setns(&self.file, CloneFlags::CLONE_NEWNET).expect("enter the network namespace");
            work()
        })
    }
}

/// Runs `work` on a thread of its own, whose namespaces it may change.
///
/// # Panics
/// When `work` panics, with the same message.
pub fn in_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| match scope.spawn(work).join() {
        Ok(value) => value,
        Err(cause) => std::panic::resume_unwind(cause),
    })
}

/// `ip link set lo up` in the calling thread's namespace: one `RTM_NEWLINK` message and its acknowledgement.
///
/// # Errors
/// When the kernel refuses; it needs `CAP_NET_ADMIN`.
pub fn loopback_up() -> io::Result<()> {
    const LENGTH: u32 = 32;
    const RTM_NEWLINK: u16 = 16;
    const NLM_F_REQUEST_ACK: u16 = 1 | 4;
    const LOOPBACK_INDEX: i32 = 1;
    const IFF_UP: u32 = 1;

    let mut message = Vec::with_capacity(LENGTH as usize);
    // struct nlmsghdr: length, type, flags, sequence, port
    message.extend(LENGTH.to_ne_bytes());
    message.extend(RTM_NEWLINK.to_ne_bytes());
    message.extend(NLM_F_REQUEST_ACK.to_ne_bytes());
    message.extend([0; 8]);
    // struct ifinfomsg: family, padding, type, index, flags, change mask
    message.extend([0; 4]);
    message.extend(LOOPBACK_INDEX.to_ne_bytes());
    message.extend(IFF_UP.to_ne_bytes());
    message.extend(IFF_UP.to_ne_bytes());

    let netlink = Socket::new(Domain::from(nix::libc::AF_NETLINK), Type::RAW, Some(Protocol::from(0)))?;
    netlink.send(&message)?;
    let mut answer = [0; 512];
    let length = io::Read::read(&mut &netlink, &mut answer)?;
    // NLMSG_ERROR carries the negated errno after its header; 0 acknowledges.
    let code = answer.get(16..20).filter(|_| length >= 20).and_then(|b| b.try_into().ok()).map(i32::from_ne_bytes);
    match code {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(-code)),
        None => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_fresh_namespace_has_a_working_loopback_of_its_own() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: a network namespace needs root");
            return;
        }
        let (here, fresh) = (NetNs::current().unwrap(), NetNs::new().unwrap());
        assert_ne!(here.inode().unwrap(), fresh.inode().unwrap());
        let seen = fresh.enter(|| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            NetNs::current().unwrap().inode().unwrap()
        });
        assert_eq!(seen, fresh.inode().unwrap());
    }
}
