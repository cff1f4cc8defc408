//! What the kernel itself counts of a TCP connection.

use crate::truth::scale::patience;
use nix::libc;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Instant;

/// `getsockopt(TCP_INFO)`.
pub fn tcp_info(socket: impl AsFd) -> libc::tcp_info {
    let mut info = std::mem::MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    let descriptor = socket.as_fd().as_raw_fd();
    // SAFETY: the pointer and the length describe `info`, and any bytes are a `tcp_info`, which has integers only.
    unsafe {
        let failed =
            libc::getsockopt(descriptor, libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &mut length);
        assert_eq!(failed, 0);
        info.assume_init()
    }
}

/// The same once all that was sent is acknowledged: from then on the times that were measured stay as they are.
pub fn at_rest(socket: impl AsFd) -> libc::tcp_info {
    let deadline = Instant::now() + patience();
    loop {
        let info = tcp_info(&socket);
        if info.tcpi_unacked == 0 {
            return info;
        }
        assert!(Instant::now() < deadline, "{} segments are never acknowledged", info.tcpi_unacked);
    }
}
