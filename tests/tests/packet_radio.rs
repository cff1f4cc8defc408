//! AX.25 and NET/ROM with real bound sockets, beside net-tools. Few kernels have the modules: on others the tests say so.
//! `cargo xtask vm` runs them on Debian's full 6.1 kernel with the modules loaded.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

use netstat_tests::command::{End, Outcome, run};
use netstat_tests::programs::{net_tools, netstat_user};
use nix::libc;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;
use std::sync::Once;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

/// A callsign as AX.25 writes it: six characters and the station number, each shifted left by one bit.
fn callsign(name: &str, station: u8) -> [u8; 7] {
    let mut call = [b' ' << 1; 7];
    for (to, from) in call.iter_mut().zip(name.bytes().take(6)) {
        *to = from << 1;
    }
    call[6] = station << 1;
    call
}

/// A sequenced-packet socket of the family (`AF_AX25`, `AF_NETROM`), bound to the callsign. `None` where the kernel lacks the family.
fn bound(family: i32, call: [u8; 7]) -> Option<Socket> {
    let socket = match Socket::new(Domain::from(family), Type::SEQPACKET, Some(Protocol::from(0))) {
        Ok(socket) => socket,
        Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => return None,
        Err(error) => panic!("a socket of family {family}: {error}"),
    };
    // struct full_sockaddr_ax25: family, callsign, padding, number of digipeaters, eight digipeaters.
    let mut address = [0u8; 72];
    address[..2].copy_from_slice(&(family as u16).to_ne_bytes());
    address[2..9].copy_from_slice(&call);
    let length = if family == libc::AF_AX25 {
        // A null digipeater: bound to no device, so that none is needed.
        address[12..16].copy_from_slice(&1u32.to_ne_bytes());
        address[16..23].copy_from_slice(&callsign("", 0));
        72
    } else {
        16
    };
    // SAFETY: the descriptor is open, and `address` is readable for `length` bytes.
    let result = unsafe { libc::bind(socket.as_raw_fd(), address.as_ptr().cast(), length) };
    assert_eq!(result, 0, "bind: {}", io::Error::last_os_error());
    Some(socket)
}

fn table(program: &Path, arguments: &[&str]) -> Outcome {
    run(Command::new(program).args(arguments).env("LC_ALL", "C"), None, LIMIT).expect("the program runs")
}

/// Both programs print the same bytes, and `rows` rows of them.
fn same(arguments: &[&str], rows: usize) {
    let ours = table(netstat_user(), arguments);
    println!("netstat-user {}\n{}", arguments.join(" "), String::from_utf8_lossy(&ours.stdout));
    assert_eq!(ours.end, End::Exit(0), "{ours:?}");
    assert_eq!(ours.stdout.iter().filter(|&&byte| byte == b'\n').count(), 2 + rows, "{ours:?}");
    match net_tools() {
        Some(reference) => assert_eq!(ours, table(reference, arguments)),
        None => {
            static SAID: Once = Once::new();
            SAID.call_once(|| println!("packet_radio: skipped: the bytes of net-tools, which is not installed"));
        }
    }
}

#[test]
fn ax25_sockets_are_listed_as_net_tools_lists_them() {
    let Some(listening) = bound(libc::AF_AX25, callsign("N0CALL", 7)) else {
        println!("skipped: this kernel has no AX.25");
        return;
    };
    listening.listen(5).expect("listen");
    let idle = bound(libc::AF_AX25, callsign("W1AW", 0)).expect("the family is there");
    for arguments in [&["--ax25"][..], &["-A", "ax25", "-a"], &["--ax25", "-n"], &["--ax25", "-l"]] {
        same(arguments, 2);
    }
    drop((listening, idle));
}

#[test]
fn netrom_sockets_are_listed_as_net_tools_lists_them() {
    // A NET/ROM socket is bound to the callsign of a device of its kind.
    let station = callsign("N0NODE", 3);
    let address = station.map(|byte| format!("{byte:02x}")).join(":");
    let family = Socket::new(Domain::from(libc::AF_NETROM), Type::SEQPACKET, Some(Protocol::from(0)));
    if family.is_err_and(|error| error.raw_os_error() == Some(libc::EAFNOSUPPORT)) {
        println!("skipped: this kernel has no NET/ROM");
        return;
    }
    for arguments in [&["link", "set", "dev", "nr0", "address", &address][..], &["link", "set", "dev", "nr0", "up"]] {
        let outcome = run(Command::new("ip").args(arguments), None, LIMIT).expect("ip runs");
        assert_eq!(outcome.end, End::Exit(0), "ip {arguments:?}: {outcome:?}");
    }
    let listening = bound(libc::AF_NETROM, station).expect("the family is there");
    listening.listen(5).expect("listen");
    for arguments in [&["--netrom"][..], &["-A", "netrom", "-a"], &["--netrom", "-n"], &["--netrom", "-l"]] {
        same(arguments, 1);
    }
}
