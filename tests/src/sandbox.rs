//! A place to run a program in: a network namespace, and files bound over the system's in a mount namespace of its own.

use crate::command::{self, Outcome};
use crate::netns::{NetNs, in_thread};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A network namespace and what is mounted over the file system inside it.
#[derive(Debug)]
pub struct Sandbox {
    netns: NetNs,
    binds: Vec<(PathBuf, PathBuf)>,
}

/// How to run a program in a [`Sandbox`].
#[derive(Clone, Debug, Default)]
pub struct Invocation {
    /// `argv[0]`, where it is not the path of the program.
    pub arg0: Option<OsString>,
    /// The arguments after `argv[0]`.
    pub args: Vec<OsString>,
    /// The whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// Run as this user, and the group of the same number, with no other groups. While such a child starts, the standard
    /// library talks to it through a socket pair, which other programs in the sandbox can see.
    pub uid: Option<u32>,
    /// Mounts of this run only, after the sandbox's: what, where.
    pub binds: Vec<(PathBuf, PathBuf)>,
}

impl Invocation {
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.args(&self.args).env_clear().envs(self.env.iter().map(|(k, v)| (k, v))).current_dir("/");
        if let Some(arg0) = &self.arg0 {
            command.arg0(arg0);
        }
        if let Some(uid) = self.uid {
            command.uid(uid).gid(uid);
        }
        command
    }
}

impl Sandbox {
    /// A fresh network namespace with nothing mounted over.
    ///
    /// # Errors
    /// As [`NetNs::new`].
    pub fn new() -> io::Result<Self> {
        Ok(Self { netns: NetNs::new()?, binds: Vec::new() })
    }

    /// Mounts the file or folder `what` over `over` for every program run here.
    #[must_use]
    pub fn bind(mut self, what: impl Into<PathBuf>, over: impl Into<PathBuf>) -> Self {
        self.binds.push((what.into(), over.into()));
        self
    }

    /// The network namespace.
    pub fn netns(&self) -> &NetNs {
        &self.netns
    }

    fn inside<T: Send>(&self, invocation: &Invocation, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        in_thread(|| {
            setns(self.netns.file(), CloneFlags::CLONE_NEWNET)?;
            unshare(CloneFlags::CLONE_NEWNS)?;
            let none = None::<&str>;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
            for (what, over) in self.binds.iter().chain(&invocation.binds) {
                mount(Some(what), over, none, MsFlags::MS_BIND | MsFlags::MS_REC, none).map_err(|error| {
                    io::Error::other(format!("bind {} over {}: {error}", what.display(), over.display()))
                })?;
            }
            work()
        })
    }

    /// Runs a program here to its end, or until `limit`.
    ///
    /// # Errors
    /// When a mount is refused or the program cannot be started.
    pub fn run(
        &self,
        program: &Path,
        invocation: &Invocation,
        stdout: Option<Stdio>,
        limit: Duration,
    ) -> io::Result<Outcome> {
        self.inside(invocation, || command::run(&mut invocation.command(program), stdout, limit))
    }

    /// Starts a program here, its standard input and output as given; the caller ends it.
    ///
    /// # Errors
    /// When a mount is refused or the program cannot be started.
    pub fn start(&self, program: &Path, invocation: &Invocation, stdin: Stdio, stdout: Stdio) -> io::Result<Child> {
        self.spawn(program, invocation, [stdin, stdout, Stdio::inherit()])
    }

    /// The same, with standard input, output and error as given.
    ///
    /// # Errors
    /// When a mount is refused or the program cannot be started.
    pub fn spawn(&self, program: &Path, invocation: &Invocation, files: [Stdio; 3]) -> io::Result<Child> {
        let [stdin, stdout, stderr] = files;
        self.inside(invocation, || invocation.command(program).stdin(stdin).stdout(stdout).stderr(stderr).spawn())
    }
}
