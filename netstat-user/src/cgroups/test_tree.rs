//! A tree like /proc, for tests.

use std::fs;
use std::path::PathBuf;

/// A container.
pub const ID: &str = "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d";

/// A tree like /proc with one process, in one cgroup.
pub fn tree(name: &str, pid: u32, cgroup: &str) -> PathBuf {
    let root = std::env::temp_dir().join(format!("netstat-user-workloads-{name}-{}", std::process::id()));
    let process = root.join(pid.to_string());
    fs::create_dir_all(&process).unwrap();
    fs::write(process.join("cgroup"), format!("0::{cgroup}\n")).unwrap();
    fs::write(process.join("comm"), "server\n").unwrap();
    root
}
