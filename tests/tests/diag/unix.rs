//! Nobody can hide or invent a row of `-x` by the name of a socket.

use crate::missing;
use netstat_tests::netns::NetNs;
use netstat_tests::programs::{net_tools, netstat_user};
use netstat_tests::truth::runner::{Done, Test};
use netstat_tests::zoo::unix;
use netstat_user::diag::loaded::Part;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;

pub const TESTS: &[Test] = &[
    ("a_forged_row_in_a_name_is_no_row", a_forged_row_in_a_name_is_no_row),
    ("a_name_with_the_victims_own_row_hides_nothing", a_name_with_the_victims_own_row_hides_nothing),
    ("connections_that_wait_hide_nothing", connections_that_wait_hide_nothing),
    ("the_bytes_of_honest_sockets_are_netstats", the_bytes_of_honest_sockets_are_netstats),
];

/// A folder of the test's own.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ns-diag-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn output(program: &Path, options: &[&str]) -> String {
    let output = Command::new(program).args(options).output().unwrap();
    assert!(output.status.success(), "{options:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Path and inode of every JSON row.
fn rows() -> Vec<(Option<String>, Option<u64>)> {
    let lines = output(netstat_user(), &["-xa", "--json", "--no-agent"]);
    let row = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        (row["path"].as_str().map(str::to_owned), row["inode"].as_u64())
    };
    lines.lines().map(row).collect()
}

/// The line of /proc/net/unix with this path.
fn listed(path: &str) -> String {
    let table = std::fs::read_to_string("/proc/thread-self/net/unix").unwrap();
    table.lines().find(|line| line.ends_with(path)).unwrap().to_owned()
}

fn abstract_listener(name: &str) -> UnixListener {
    UnixListener::bind_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap()
}

/// Runs `test` in a namespace of its own, with a victim's listener there, and its path.
fn with_victim(name: &str, test: impl FnOnce(&str) + Send) -> Done {
    if let Some(reason) = missing(Part::Unix) {
        return Done::Skipped(reason);
    }
    let folder = Folder::new(name);
    let path = folder.0.join("v").to_str().unwrap().to_owned();
    NetNs::new().unwrap().enter(|| {
        let _victim = UnixListener::bind(&path).unwrap();
        test(&path);
    });
    Done::Passed
}

fn a_forged_row_in_a_name_is_no_row() -> Done {
    with_victim("forged", |path| {
        let row = listed(path);
        let start = row.strip_suffix(path).unwrap();
        // Many of them, so that some stand before the victim's row and some behind it.
        let names: Vec<String> = (0..16).map(|at| format!("x{at:02}\n{start}/etc/passwd{at:02}")).collect();
        let _attackers: Vec<_> = names.iter().map(|name| abstract_listener(name)).collect();
        let rows = rows();
        assert_eq!(rows.len(), 17);
        assert_eq!(rows.iter().filter(|row| row.0.as_deref() == Some(path)).count(), 1);
        for name in &names {
            let expected = format!("@{name}");
            assert_eq!(rows.iter().filter(|row| row.0.as_deref() == Some(&expected)).count(), 1, "{rows:?}");
        }
        let text = output(netstat_user(), &["-xan", "--no-agent"]);
        assert_eq!(text.lines().count(), 2 + 17, "{text}");
        assert_eq!(text.lines().filter(|line| line.ends_with(path)).count(), 1, "{text}");
        assert!(!text.lines().any(|line| line.contains(" /etc/passwd") && !line.contains("@x")), "{text}");
    })
}

fn a_name_with_the_victims_own_row_hides_nothing() -> Done {
    with_victim("same", |path| {
        let row = listed(path);
        let _attackers: Vec<_> = (0..16).map(|at| abstract_listener(&format!("{at:x}\n{row}"))).collect();
        let rows = rows();
        assert_eq!(rows.len(), 17);
        assert_eq!(rows.iter().filter(|row| row.0.as_deref() == Some(path)).count(), 1, "{rows:?}");
    })
}

/// The end of a connection that nobody accepted has no inode by which `sock_diag` could confirm it.
fn connections_that_wait_hide_nothing() -> Done {
    with_victim("waiting", |path| {
        let row = listed(path);
        let short = abstract_listener("s");
        let _long = abstract_listener(&format!("s\n{row}"));
        let to = short.local_addr().unwrap();
        let _waiting: Vec<_> = (0..64).map(|_| UnixStream::connect_addr(&to).unwrap()).collect();
        let rows = rows();
        assert_eq!(rows.iter().filter(|row| row.0.as_deref() == Some(path)).count(), 1, "{rows:?}");
        assert_eq!(rows.iter().filter(|row| row.1.is_none() && row.0.as_deref() == Some("@s")).count(), 64, "{rows:?}");
        assert_eq!(rows.len(), 3 + 64 + 64);
    })
}

fn the_bytes_of_honest_sockets_are_netstats() -> Done {
    let Some(netstat) = net_tools() else { return Done::Skipped("net-tools is not installed".into()) };
    if let Some(reason) = missing(Part::Unix) {
        return Done::Skipped(reason);
    }
    let folder = Folder::new("zoo");
    NetNs::new().unwrap().enter(|| {
        let _zoo = unix::zoo(&folder.0).unwrap();
        let _many: Vec<_> = (0..300).map(|_| UnixStream::pair().unwrap()).collect();
        for options in [["-xan"], ["-xln"], ["-xn"]] {
            let (theirs, ours) = (output(netstat, &options), output(netstat_user(), &options));
            assert!(theirs.lines().count() > 5);
            assert_eq!(theirs, ours, "{options:?}");
        }
    });
    Done::Passed
}
