//! Reports to the service manager how the service is: `sd_notify(3)`.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// How long a manager that takes nothing is waited for.
const PATIENCE: Duration = Duration::from_millis(200);

/// A datagram to the service manager (`sd_notify(3)`), if there is one.
///
/// # Errors
/// It cannot be reached, or takes nothing (`WouldBlock`).
pub fn notify(message: &[u8]) -> io::Result<()> {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    send(&path, message)
}

fn send(path: &OsStr, message: &[u8]) -> io::Result<()> {
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(path)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.send_to_addr(message, &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_manager_that_takes_nothing_is_not_waited_for_long() {
        let path = std::env::temp_dir().join(format!("netstat-user-manager-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let manager = UnixDatagram::bind(&path).unwrap();
        // Until its queue is full (net.unix.max_dgram_qlen).
        let begin = Instant::now();
        let error = (0..10_000).find_map(|_| send(path.as_os_str(), b"READY=1").err()).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(begin.elapsed() < Duration::from_secs(60));
        drop(manager);
        std::fs::remove_file(&path).unwrap();
    }
}
