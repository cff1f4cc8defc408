//! What one round of a run prints, and says beside it.

use crate::cli::classic::Options;
use crate::model::visible::escape_text;
use crate::run::failure::unread_processes;
use crate::run::hint;
use crate::stdio::Written;
use crate::stdio::output::BufferedOutput;
use std::io::{self, IsTerminal};

/// The output of a round: `-c` has many, every other run one.
pub struct Round {
    out: BufferedOutput,
    /// Rounds before this one.
    number: u64,
    /// Whether it has been said in this round that not all namespaces can be found.
    said_of_namespaces: bool,
    /// The network namespaces that rows were wanted of, and that were reported not to be read; whether that was for want of anything.
    unread: Vec<(u32, bool)>,
    /// Whether it was reported that no network namespace can be found.
    finds_none: bool,
    /// Whether it was reported that something of processes could not be read.
    lacks_processes: bool,
    /// Whether it was reported that the marks of sockets could not be read.
    lacks_marks: bool,
    /// Whether it was reported that the kernel did not list sockets with what it knows of them.
    lacks_diag: bool,
    /// Whether it was reported that names of users could not be read.
    lacks_users: bool,
}

impl Round {
    /// The first one, of nothing yet.
    pub fn first() -> Self {
        Self {
            out: BufferedOutput::stdout(),
            number: 0,
            said_of_namespaces: false,
            unread: Vec::new(),
            finds_none: false,
            lacks_processes: false,
            lacks_marks: false,
            lacks_diag: false,
            lacks_users: false,
        }
    }

    /// A trial, of which nobody is to see anything.
    pub fn silent() -> Self {
        Self { out: BufferedOutput::silent(), ..Self::first() }
    }

    /// Ends a round, and begins the next one.
    pub fn next(&mut self) {
        self.number += 1;
        self.said_of_namespaces = false;
        self.unread.clear();
        self.finds_none = false;
        self.lacks_processes = false;
        self.lacks_marks = false;
        self.lacks_diag = false;
        self.lacks_users = false;
    }

    /// Notes that a network namespace that rows are wanted of was not read: because that failed, or it was not asked for. False where that is known.
    pub fn is_unread(&mut self, netns: u32, failed: bool) -> bool {
        let new = self.unread.iter().all(|&(known, _)| known != netns);
        if new {
            self.unread.push((netns, failed));
        }
        new
    }

    /// Notes that no network namespace can be found. False where that is known.
    pub const fn finds_no_namespaces(&mut self) -> bool {
        !std::mem::replace(&mut self.finds_none, true)
    }

    /// Whether a network namespace that was asked for was not read.
    pub fn lacks_namespaces(&self) -> bool {
        self.finds_none || self.unread.iter().any(|&(_, failed)| failed)
    }

    /// Reports, once a round, that not every process could be looked into: what is shown of the holders of sockets may lack some.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn report_processes(&mut self, error: &io::Error) -> Written<()> {
        if std::mem::replace(&mut self.lacks_processes, true) {
            return Ok(());
        }
        self.note(&unread_processes(error))
    }

    /// Whether something of processes could not be read.
    pub const fn lacks_processes(&self) -> bool {
        self.lacks_processes
    }

    /// Reports, once a round, that the kernel keeps the marks of sockets from this process; `is_nested`: it has the right in a user namespace that the
    /// network does not belong to.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn report_marks(&mut self, is_nested: bool) -> Written<()> {
        if std::mem::replace(&mut self.lacks_marks, true) {
            return Ok(());
        }
        self.note_at_first(if is_nested {
            "fwmark is null: the kernel shows it to who has CAP_NET_ADMIN in the user namespace of the network alone; run as root of the host"
        } else {
            "fwmark is null: the kernel shows it to who has CAP_NET_ADMIN alone; run as root"
        })
    }

    /// Reports, once a round, that the kernel did not list sockets with what it knows of them, and why.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn report_diag(&mut self, why: &str) -> Written<()> {
        if std::mem::replace(&mut self.lacks_diag, true) {
            return Ok(());
        }
        self.note_at_first(why)
    }

    /// Reports, once a round, that names of users could not be read, and why.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn report_users(&mut self, why: &str) -> Written<()> {
        if std::mem::replace(&mut self.lacks_users, true) {
            return Ok(());
        }
        self.note_at_first(&format!("user of some sockets is null: the names of users could not be read: {why}"))
    }

    /// Whether something that was asked of sockets could not be read.
    pub const fn lacks_facts(&self) -> bool {
        self.lacks_marks || self.lacks_diag || self.lacks_users
    }

    /// Whether none was before it.
    pub const fn is_first(&self) -> bool {
        self.number == 0
    }

    /// Where to append what goes to standard output.
    pub const fn bytes(&mut self) -> &mut Vec<u8> {
        self.out.bytes()
    }

    /// Writes what is buffered.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn flush(&mut self) -> Written<()> {
        self.out.flush()
    }

    /// Says something of netstat's, newline included, on standard error, in its place among what is printed.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn say(&mut self, text: &[u8]) -> Written<()> {
        self.out.note(text)
    }

    /// Says something of our own there.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn note(&mut self, message: &str) -> Written<()> {
        let message = escape_text(message.as_bytes());
        self.say(&[crate::stdio::program().as_bytes(), b": ", &message, b"\n"].concat())
    }

    /// Says something of our own that holds in every round, once.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn note_at_first(&mut self, message: &str) -> Written<()> {
        if self.is_first() { self.note(message) } else { Ok(()) }
    }

    /// Says, once a round, that there may be more namespaces than were found: others' processes may not be asked for theirs.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn say_of_namespaces(&mut self, options: &Options) -> Written<()> {
        if std::mem::replace(&mut self.said_of_namespaces, true) {
            return Ok(());
        }
        self.say(b"(Not all network namespaces could be found, you would have to be root to see them all.)\n")?;
        self.hint(options, "list those of others")
    }

    /// What an agent could do that this user may not; nothing where none may be asked.
    pub fn could(options: &Options, what: &str) -> Option<String> {
        options.agent.path().map(|path| hint::could(path, what, hint::SHARE_ALL))
    }

    /// Names the agent, which could do what this user may not: to a person, and beside what is our own. Elsewhere standard error is netstat's.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn hint(&mut self, options: &Options, what: &str) -> Written<()> {
        let to_whom = self.is_first() && (options.json || io::stderr().is_terminal());
        match Self::could(options, what).filter(|_| to_whom) {
            Some(hint) => self.note(&hint),
            None => Ok(()),
        }
    }
}
