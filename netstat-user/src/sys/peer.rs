//! Who is at the other end of a UNIX socket, and what may be sent over it.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// The supplementary groups of the peer when it connected (`SO_PEERGROUPS`, Linux 4.13).
///
/// # Errors
/// The kernel's.
pub fn peer_groups(socket: impl AsFd) -> io::Result<Vec<u32>> {
    // `NGROUPS_MAX`.
    let mut groups = vec![0u32; 65_536];
    let mut len = (groups.len() * size_of::<u32>()) as libc::socklen_t;
    // SAFETY: the descriptor is borrowed for the call, and the pointer and the length describe `groups`.
    let failed = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERGROUPS,
            groups.as_mut_ptr().cast(),
            &mut len,
        )
    };
    if failed != 0 {
        return Err(io::Error::last_os_error());
    }
    groups.truncate(len as usize / size_of::<u32>());
    Ok(groups)
}

/// Whether the peer has closed its socket, or takes nothing any more and sends nothing (`unix_poll`). One that only sends no more has not.
pub fn has_hung_up(socket: impl AsFd) -> bool {
    let mut polled = [PollFd::new(&socket, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut polled, Some(&now)), Ok(1..)) && polled[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
}

/// `SO_PEERPIDFD` of `include/uapi/asm-generic/socket.h`, since Linux 6.5.
const SO_PEERPIDFD: libc::c_int = 77;

/// The process that connected, whatever its number stands for by now; `None` where the kernel does not say it (before Linux 6.5).
///
/// # Errors
/// The process has gone, or no descriptor is left.
pub fn peer_process(socket: impl AsFd) -> io::Result<Option<OwnedFd>> {
    let mut process: libc::c_int = -1;
    let mut len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is borrowed for the call, and the pointer and the length describe `process`.
    let failed = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PEERPIDFD,
            (&raw mut process).cast(),
            &mut len,
        )
    };
    if failed != 0 {
        let error = io::Error::last_os_error();
        return if error.raw_os_error() == Some(libc::ENOPROTOOPT) { Ok(None) } else { Err(error) };
    }
    // SAFETY: the call that succeeded has opened this descriptor for the caller.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(process) }))
}

/// A number that no other process has while the kernel runs, of a process by its descriptor (pidfd_open(2)); the same for all before Linux 6.9.
///
/// # Errors
/// The kernel's.
pub fn process_id(process: impl AsFd) -> io::Result<u64> {
    Ok(rustix::fs::fstat(process)?.st_ino)
}

/// The same of the process with this number.
///
/// # Errors
/// It has gone, or no descriptor is left.
pub fn process_id_of(pid: u32) -> io::Result<u64> {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
    process_id(rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?)
}

/// Whether a process has ended (`pidfd_poll()`).
pub fn has_ended(process: impl AsFd) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut ends = [PollFd::new(&process, PollFlags::IN)];
    poll(&mut ends, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ended| ended > 0)
}

/// `SO_PASSRIGHTS` of `include/uapi/asm-generic/socket.h`, since Linux 6.16.
const SO_PASSRIGHTS: libc::c_int = 83;

/// Has the kernel refuse descriptors that are sent to this socket, or to one that it accepts. Whoever drops the last one of a socket that lingers, or
/// of a file of a slow filesystem, waits for its end: nobody is to have this process do that.
///
/// # Errors
/// The kernel cannot refuse them (before Linux 6.16).
pub fn refuse_descriptors(socket: impl AsFd) -> io::Result<()> {
    let none: libc::c_int = 0;
    // SAFETY: the descriptor is borrowed for the call, and the pointer and the length describe `none`.
    let failed = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PASSRIGHTS,
            (&raw const none).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether what is to be read next from a UNIX socket came with descriptors. They stay there.
pub fn brings_descriptors(socket: impl AsFd) -> bool {
    let mut byte = 0u8;
    let mut part = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    // SAFETY: a header of zeroes is one with nothing in it (recvmsg(2)).
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    (header.msg_iov, header.msg_iovlen) = (&raw mut part, 1);
    // SAFETY: the header describes one byte of room, which lives until the end, and no room for descriptors.
    let read =
        unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut header, libc::MSG_PEEK | libc::MSG_DONTWAIT) };
    read >= 0 && header.msg_flags & libc::MSG_CTRUNC != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    use std::io::{IoSlice, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn the_process_that_connected_is_found_while_it_is_there() {
        let folder = tempfile();
        let listener = std::os::unix::net::UnixListener::bind(&folder).unwrap();
        let path = folder.to_str().unwrap();
        let connects =
            format!("import socket,sys;s=socket.socket(socket.AF_UNIX);s.connect('{path}');sys.stdin.read()");
        let mut child = std::process::Command::new("python3")
            .args(["-c", &connects])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let (stream, _) = listener.accept().unwrap();
        std::fs::remove_file(&folder).unwrap();
        let found = peer_process(&stream).unwrap();
        assert!(found.as_ref().is_none_or(|process| !has_ended(process)));
        let id = process_id_of(child.id()).unwrap();
        assert!(found.as_ref().is_none_or(|process| process_id(process).unwrap() == id));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(found.as_ref().is_none_or(has_ended));
        assert!(process_id_of(child.id()).is_err());
        assert!(peer_process(&stream).is_ok_and(|found| found.is_none_or(has_ended)) || peer_process(&stream).is_err());
    }

    fn tempfile() -> std::path::PathBuf {
        std::env::temp_dir().join(format!("netstat-user-peer-{}", std::process::id()))
    }

    fn send_descriptor(over: &UnixStream) -> rustix::io::Result<usize> {
        let stdin = std::io::stdin();
        let descriptors = [stdin.as_fd()];
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        assert!(rights.push(SendAncillaryMessage::ScmRights(&descriptors)));
        sendmsg(over, &[IoSlice::new(b"x")], &mut rights, SendFlags::empty())
    }

    #[test]
    fn descriptors_are_noticed_and_refused() {
        let (mut here, there) = UnixStream::pair().unwrap();
        assert!(!brings_descriptors(&there), "nothing was sent");
        here.write_all(b"x").unwrap();
        assert!(!brings_descriptors(&there));
        let (here, there) = UnixStream::pair().unwrap();
        send_descriptor(&here).unwrap();
        assert!(brings_descriptors(&there) && brings_descriptors(&there));
        if refuse_descriptors(&there).is_ok() {
            assert_eq!(send_descriptor(&here), Err(rustix::io::Errno::PERM));
        }
    }
}
