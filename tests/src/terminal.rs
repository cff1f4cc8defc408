//! A terminal of a test's own: what a person would see of a program, and type.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A pseudoterminal, from the side of whoever sits before it.
#[derive(Debug)]
pub struct Terminal {
    person: File,
    program: Option<File>,
    seen: Vec<u8>,
}

impl Terminal {
    /// A terminal with so many columns.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(columns: u16) -> io::Result<Self> {
        let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&person)?;
        unlockpt(&person)?;
        let name = ptsname(&person, Vec::new())?;
        let path = Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
        let program = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(nix::libc::O_NOCTTY | nix::libc::O_CLOEXEC)
            .open(path)?;
        tcsetwinsize(&program, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })?;
        Ok(Self { person: person.into(), program: Some(program), seen: Vec::new() })
    }

    /// The side of the program, for one of its standard files.
    ///
    /// # Panics
    /// After [`Terminal::started`].
    pub fn file(&self) -> Stdio {
        self.program.as_ref().unwrap().try_clone().unwrap().into()
    }

    /// Has reads and writes of the program fail that would have to wait, as whoever shares the terminal can.
    ///
    /// # Panics
    /// After [`Terminal::started`].
    pub fn does_not_wait(&self) {
        let flags = OFlags::RDWR | OFlags::NONBLOCK;
        fcntl_setfl(self.program.as_ref().unwrap(), flags).unwrap();
    }

    /// To be called when the program has its files: from then on its end ends what is read.
    pub fn started(&mut self) {
        self.program = None;
    }

    /// Types a line.
    pub fn type_line(&mut self, text: &str) {
        self.types(&format!("{text}\n"));
    }

    /// Types keys.
    pub fn types(&mut self, keys: &str) {
        self.person.write_all(keys.as_bytes()).unwrap();
    }

    /// Reads on until `text` is to be seen; false where it is not within this time.
    pub fn shows(&mut self, text: &str, limit: Duration) -> bool {
        self.read_until(limit, |seen| seen.contains(text))
    }

    /// All that is to be seen once the program has ended, or after this time.
    pub fn rest(mut self, limit: Duration) -> String {
        self.read_until(limit, |_| false);
        self.text()
    }

    /// What is to be seen so far; a bell is not.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).replace(['\r', '\x07'], "")
    }

    fn read_until(&mut self, limit: Duration, enough: impl Fn(&str) -> bool) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            if enough(&self.text()) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let mut wanted = [PollFd::new(self.person.as_fd(), PollFlags::POLLIN)];
            let ready = poll(&mut wanted, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)).unwrap_or(0);
            if ready == 0 {
                return false;
            }
            let mut chunk = [0; 4096];
            match self.person.read(&mut chunk) {
                // The last program that had it open has ended.
                Ok(0) | Err(_) => return enough(&self.text()),
                Ok(count) => self.seen.extend_from_slice(&chunk[..count]),
            }
        }
    }
}
