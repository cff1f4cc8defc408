//! What the views of one run share.

use super::output::Output;
use crate::cli::classic::{Filter, Options, Tables, Want};
use crate::lang::Lang;
use crate::model::Owners;
use crate::names::Names;
use crate::proc::{fds, whole};
use crate::view::Listed;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// The `-p` warning where some processes could be read.
const NOT_ALL: &str = "(Not all processes could be identified, non-owned process info\n will not be shown, you would have to be root to see it all.)\n";
/// The `-p` warning where none could.
const NONE: &str = "(No info could be read for \"-p\": geteuid()=%d but you should be root.)\n";

/// One classic run.
pub struct Session<'a> {
    /// The command line.
    pub options: &'a Options,
    /// Its tables, defaults resolved.
    pub tables: Tables,
    /// Where /proc is mounted.
    pub proc: PathBuf,
    /// The words of the user's language.
    pub lang: Lang,
    /// Standard output and error.
    pub out: Output,
    /// Host, port, user and network names, kept from round to round.
    pub names: Names,
    /// Rounds of `-c` before this one.
    pub round: u64,
    /// The descriptor scan of this round: one for all tables, as in netstat.
    scan: Option<fds::Scan>,
}

impl From<Filter> for Listed {
    fn from(filter: Filter) -> Self {
        match filter {
            Filter::All => Self::All,
            Filter::Listening => Self::Listening,
            Filter::Connected => Self::Connected,
        }
    }
}

impl<'a> Session<'a> {
    /// A run over the machine's own /proc.
    pub fn new(options: &'a Options) -> Self {
        Self {
            options,
            tables: options.tables(),
            proc: "/proc".into(),
            lang: crate::run::locale::lang(),
            out: Output::new(),
            names: Names::new(),
            round: 0,
            scan: None,
        }
    }

    /// Forgets what was true in the last round.
    pub fn next_round(&mut self) {
        self.round += 1;
        self.scan = None;
    }

    /// The bytes of a file under /proc; where it cannot be read, says `failure` (in the user's language) and why, and
    /// gives `None`.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn read(&mut self, path: &str, failure: &str) -> io::Result<Option<Vec<u8>>> {
        match whole(&self.proc.join(path)) {
            Ok(text) => Ok(Some(text)),
            Err(error) => {
                let mut note = self.lang.text(failure).to_vec();
                let reason = error.to_string();
                let reason = reason.split(" (os error").next().unwrap_or_default();
                note.extend_from_slice(format!(": {reason}\n").as_bytes());
                self.out.note(&note)?;
                Ok(None)
            }
        }
    }

    /// Says, on standard output as netstat does, that the kernel has no such routing tables; returns the exit code.
    pub fn not_configured(&mut self, text: &str) -> u8 {
        self.out.bytes().extend_from_slice(self.lang.text(text));
        1
    }

    /// Starts to look for the processes that hold sockets, beside whatever the caller does next. Only with `-p` and
    /// `--json` is there anything to look for.
    pub fn start_scan(&mut self) {
        if self.scan.is_none() && (self.options.programs || self.options.json) {
            self.scan = Some(fds::Scan::start(&self.proc));
        }
    }

    /// The processes that hold these sockets; nobody without `-p` or `--json`. Says once per round, as netstat does,
    /// when other users' processes could not be read.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn owners(&mut self, inodes: impl Iterator<Item = u64>) -> io::Result<Owners> {
        self.start_scan();
        let Some(scan) = &mut self.scan else { return Ok(Owners::default()) };
        let owners = scan.owners(inodes);
        if self.options.programs && !scan.reported {
            scan.reported = true;
            // Without a /proc nobody's processes are refused.
            let euid = std::fs::metadata(self.proc.join("self")).map_or(0, |own| own.uid());
            let note = match scan.blind() {
                fds::Blind::No => None,
                fds::Blind::Partly => Some(self.lang.text(NOT_ALL).to_vec()),
                fds::Blind::Wholly => Some(self.lang.fill(NONE, &[&euid])),
            };
            if let Some(note) = note {
                self.out.note(&note)?;
            }
        }
        Ok(owners)
    }

    /// What it means that the kernel has no such table; `name` as in netstat's message. Returns the exit code that ends
    /// the run, 0 where the table was not asked for by name.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn no_table(&mut self, name: &str, want: Want) -> io::Result<u8> {
        let asked = want == Want::Asked;
        if asked || self.options.verbose {
            self.out.note(format!("netstat: no support for `{name}' on this system.\n").as_bytes())?;
        }
        Ok(u8::from(asked))
    }

    /// Says that a file of /proc could not be read, and returns the exit code that ends the run.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn unreadable(&mut self, file: &str, error: &io::Error) -> io::Result<u8> {
        let path = self.proc.join(file);
        self.out.note(format!("netstat-user: cannot read {}: {error}\n", path.display()).as_bytes())?;
        Ok(1)
    }
}
