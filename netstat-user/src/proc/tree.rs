//! A tree like /proc for tests: processes of which everything is as a test says, and stays so.

use rustix::process::{getegid, geteuid};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

/// The tree; removed when it is dropped.
pub struct Tree(PathBuf);

/// The network namespace of a process.
#[derive(Clone, Copy)]
pub enum NetNs {
    /// That of the process that runs the tests.
    Own,
    /// One that is known by this name, and that nobody can enter.
    Other(&'static str),
}

/// What is to be read of a process.
#[derive(Clone, Copy)]
pub struct TreeProcess {
    /// Real, effective and saved user ids; those of the process that runs the tests where they are not given.
    pub uids: Option<[u32; 3]>,
    /// Where it is.
    pub net: NetNs,
    /// The letter of its state.
    pub state: char,
}

impl Tree {
    /// A tree in which nobody is but who reads it. It has no `thread-self`: who reads it enters no namespace.
    pub fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("netstat-user-proc-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("net-namespaces")).unwrap();
        symlink("/proc/self", root.join("self")).unwrap();
        Self(root)
    }

    /// Its top folder.
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// The user whose processes are in it.
    pub fn uid(&self) -> u32 {
        geteuid().as_raw()
    }

    /// That user's group.
    pub fn gid(&self) -> u32 {
        getegid().as_raw()
    }

    /// Puts in a process, that can be dumped and is permitted nothing.
    pub fn add(&self, pid: u32, TreeProcess { uids, net, state }: TreeProcess) {
        let process = self.process(pid);
        fs::create_dir_all(process.join("ns")).unwrap();
        for kind in ["user", "pid"] {
            symlink(Path::new("/proc/self/ns").join(kind), process.join("ns").join(kind)).unwrap();
        }
        let ([real, effective, saved], gid) = (uids.unwrap_or([self.uid(); 3]), self.gid());
        let uids = format!("Uid:\t{real}\t{effective}\t{saved}\t{effective}");
        let status = format!("Name:\tx\n{uids}\nGid:\t{gid}\t{gid}\t{gid}\t{gid}\nCapPrm:\t0000000000000000\n");
        fs::write(process.join("status"), status).unwrap();
        fs::create_dir_all(self.thread(pid)).unwrap();
        self.put(pid, net);
        self.run(pid, state, 1);
    }

    /// Puts in a process that is there, as the kernel shows it.
    pub fn link(&self, pid: u32) {
        symlink(Path::new("/proc").join(pid.to_string()), self.process(pid)).unwrap();
    }

    /// Takes a process out.
    pub fn remove(&self, pid: u32) {
        fs::remove_dir_all(self.process(pid)).unwrap();
    }

    /// Moves a process to a network namespace.
    pub fn put(&self, pid: u32, net: NetNs) {
        let place = match net {
            NetNs::Own => "/proc/self/ns/net".into(),
            NetNs::Other(name) => self.namespace(name),
        };
        let link = self.process(pid).join("ns/net");
        let _ = fs::remove_file(&link);
        symlink(place, link).unwrap();
    }

    /// Gives a process another state, after it had a processor so many times.
    pub fn run(&self, pid: u32, state: char, turns: u32) {
        // The fields up to when it began (proc_pid_stat(5)).
        let stat = format!("{pid} (x) {state} 0 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 700 1 2 3\n");
        for folder in [self.process(pid), self.thread(pid)] {
            fs::write(folder.join("stat"), &stat).unwrap();
            fs::write(folder.join("schedstat"), format!("{turns}00 0 {turns}\n")).unwrap();
        }
    }

    /// The inode number of the network namespace that is known by a name.
    pub fn netns(&self, name: &str) -> u32 {
        fs::metadata(self.namespace(name)).unwrap().ino() as u32
    }

    fn namespace(&self, name: &str) -> PathBuf {
        let file = self.0.join("net-namespaces").join(name);
        if !file.exists() {
            fs::write(&file, "").unwrap();
        }
        file
    }

    fn process(&self, pid: u32) -> PathBuf {
        self.0.join(pid.to_string())
    }

    fn thread(&self, pid: u32) -> PathBuf {
        self.process(pid).join("task").join(pid.to_string())
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
