//! What the views of one run share.

use super::selected::Selected;
use crate::cli::agent::SOCKET;
use crate::cli::classic::{AgentChoice, Filter, Options, Tables, Want};
use crate::field::Need;
use crate::lang::Lang;
use crate::model::SocketHolders;
use crate::names::Names;
use crate::proc::netns::{self, Namespace};
use crate::proc::{fds, whole};
use crate::run::hint;
use crate::source::{KernelSource, RowNeeds};
use crate::stdio::Written;
use crate::stdio::output::BufferedOutput;
use crate::stdio::screen;
use crate::view::Listed;
use std::io::{self, IsTerminal};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The `-p` warning where some processes could be read.
const NOT_ALL: &str = "(Not all processes could be identified, non-owned process info\n will not be shown, you would have to be root to see it all.)\n";
/// The `-p` warning where none could.
const NONE: &str = "(No info could be read for \"-p\": geteuid()=%d but you should be root.)\n";

/// The `--all-netns` warning where processes could not be asked for theirs.
const NOT_ALL_NAMESPACES: &[u8] =
    b"(Not all network namespaces could be found, you would have to be root to see them all.)\n";

/// One classic run.
pub struct Session<'a> {
    /// The command line.
    pub options: &'a Options,
    /// Its tables, defaults resolved.
    pub tables: Tables,
    /// Where /proc is mounted.
    pub proc: PathBuf,
    /// Where the kernel's rows are read.
    pub source: KernelSource,
    /// The words of the user's language.
    pub lang: Lang,
    /// Standard output and error.
    pub out: BufferedOutput,
    /// Host, port, user and network names, kept from round to round.
    pub names: Names,
    /// What of the rows is wanted, and as what it is shown.
    pub selected: Selected,
    /// Rounds of `-c` before this one.
    pub round: u64,
    /// The descriptor scan of this round: one for all tables, as in netstat.
    scan: Option<fds::Scan>,
    /// Whether it has been said in this round that not all namespaces can be found.
    told_of_namespaces: bool,
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

/// A place to read tables from: the reader's own namespace, or one of all of them.
pub struct Space {
    /// The namespace, `None` for the reader's own.
    pub namespace: Option<Namespace>,
    proc: PathBuf,
}

impl Space {
    /// Whether the namespace, another than the reader's own, has gone meanwhile.
    pub fn is_gone(&self) -> bool {
        self.namespace.as_ref().is_some_and(|namespace| namespace.is_gone(&self.proc, Path::new(netns::NAMES)))
    }

    /// Runs `f` with a root below which `net/` is that of the namespace.
    ///
    /// # Errors
    /// The namespace cannot be entered.
    pub fn within<T: Send>(&self, f: impl FnOnce(&Path) -> T + Send) -> io::Result<T> {
        match &self.namespace {
            None => Ok(f(&self.proc)),
            Some(namespace) => namespace.within(&self.proc, Path::new(netns::NAMES), f),
        }
    }
}

impl<'a> Session<'a> {
    /// A run over the machine's own /proc, which shows what is `selected`.
    pub fn new(options: &'a Options, selected: Selected) -> Self {
        let (json, view) = (options.json && selected.shows_view(), selected.shows_view());
        let needs = RowNeeds {
            cookies: json || selected.needs().meets(Need::COOKIES),
            users: json || view && options.extend > 0 || selected.asks(&["uid", "user"]),
            timers: json || view && options.timers || selected.asks(&["timer."]),
            lasting: false,
        };
        Self {
            options,
            tables: options.tables(),
            source: KernelSource::new(Path::new("/proc"), needs),
            proc: "/proc".into(),
            lang: crate::run::locale::lang(),
            out: BufferedOutput::stdout(),
            names: Names::new(),
            selected,
            round: 0,
            scan: None,
            told_of_namespaces: false,
        }
    }

    /// Forgets what was true in the last round.
    pub fn next_round(&mut self) {
        self.round += 1;
        self.scan = None;
        self.told_of_namespaces = false;
    }

    /// Says something of our own on standard error, in its place among what is printed.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn note(&mut self, message: &str) -> Written<()> {
        self.out.note(format!("{}: {message}\n", crate::stdio::program()).as_bytes())
    }

    /// The bytes of a file under /proc; where it cannot be read, says `failure` (in the user's language) and why, and
    /// gives `None`.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn read(&mut self, path: &str, failure: &str) -> Written<Option<Vec<u8>>> {
        match whole(&self.proc.join(path)) {
            Ok(text) => Ok(Some(text)),
            Err(error) => {
                let mut note = self.lang.text(failure).to_vec();
                note.extend_from_slice(format!(": {}\n", reason(&error)).as_bytes());
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
        if self.scan.is_none() && self.wants_holders() {
            self.scan = Some(self.source.holders());
        }
    }

    /// The reader's own namespace, or with `--all-netns` all of them. Says once per round when there may be others.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn spaces(&mut self) -> Written<Vec<Space>> {
        let proc = &self.proc;
        if !self.reads_all_netns() {
            return Ok(vec![Space { namespace: None, proc: proc.clone() }]);
        }
        let mut found = netns::all(proc, Path::new(netns::NAMES));
        if let Some(listed) = self.selected.netns() {
            found.namespaces.retain(|namespace| listed.contains(&namespace.inode));
        }
        let space = |namespace| Space { namespace: Some(namespace), proc: proc.clone() };
        let spaces = found.namespaces.into_iter().map(space).collect();
        // A container's root is refused what root of the machine runs, and that is no matter of being root.
        let refused = found.refused && !rustix::process::geteuid().is_root();
        if refused {
            self.lacks_namespaces()?;
        }
        Ok(spaces)
    }

    /// Says once per round that this user is not shown every namespace.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn lacks_namespaces(&mut self) -> Written<()> {
        if !std::mem::replace(&mut self.told_of_namespaces, true) {
            self.out.note(NOT_ALL_NAMESPACES)?;
            self.hint("list those of others")?;
        }
        Ok(())
    }

    /// Whether other namespaces than the reader's own are looked into.
    pub fn reads_all_netns(&self) -> bool {
        self.options.all_netns || self.selected.netns().is_some()
    }

    /// Whether it matters which processes hold sockets.
    pub fn wants_holders(&self) -> bool {
        let shown = (self.options.programs || self.options.json) && self.selected.shows_view();
        shown || self.selected.needs().meets(Need::OWNERS)
    }

    /// Whether the holders of sockets matter that are not of the tables an agent has: UNIX domain sockets, SCTP, the other ends.
    pub fn lists_other_sockets(&self) -> bool {
        let Tables { protocols, unix, .. } = self.tables;
        protocols.sctp || unix != Want::No || self.selected.needs().meets(Need::PEERS)
    }

    /// Whether their names as the kernel keeps them matter.
    fn wants_comms(&self) -> bool {
        self.options.json && self.selected.shows_view() || self.selected.needs().meets(Need::COMMS)
    }

    /// Prints what waited for the end of the round: rows in order, columns, counts.
    pub fn end_selected(&mut self) {
        let terminal = screen::width().map(usize::from);
        self.selected.end(self.out.bytes(), terminal);
    }

    /// Takes a scan that somebody else has made for that of this round.
    pub fn scanned(&mut self, scan: fds::Scan) {
        self.scan = Some(scan);
    }

    /// The processes that hold these sockets; nobody without `-p` or `--json`. Says once per round, as netstat does,
    /// when other users' processes could not be read.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn owners(&mut self, inodes: impl Iterator<Item = u64>) -> Written<SocketHolders> {
        self.start_scan();
        let comms = self.wants_comms();
        let Some(scan) = &mut self.scan else { return Ok(SocketHolders::default()) };
        let owners = scan.owners(inodes, comms);
        if self.options.programs && !scan.reported {
            scan.reported = true;
            // Without a /proc nobody's processes are refused.
            let euid = std::fs::metadata(self.proc.join("self")).map_or(0, |own| own.uid());
            let blind = scan.blind();
            let failure = scan.failure();
            let note = match blind {
                fds::Blind::No => None,
                fds::Blind::Partly => Some(self.lang.text(NOT_ALL).to_vec()),
                fds::Blind::Wholly => Some(self.lang.fill(NONE, &[&euid])),
            };
            if let Some(note) = note {
                self.out.note(&note)?;
                self.hint("name them")?;
            }
            if let Some(error) = failure {
                let reason = reason(&error);
                self.note(&format!("not every process could be looked into: {reason}"))?;
            }
        }
        Ok(owners)
    }

    /// Names the agent, which could do what this user may not: to a person, and beside what is our own. Elsewhere standard error is netstat's.
    fn hint(&mut self, what: &str) -> Written<()> {
        let path = match &self.options.agent {
            AgentChoice::Never => return Ok(()),
            AgentChoice::Auto => Path::new(SOCKET),
            AgentChoice::At(path) => path,
        };
        if self.round > 0 || !self.options.json && !io::stderr().is_terminal() {
            return Ok(());
        }
        let hint = hint::could(path, what, hint::SHARE_ALL);
        self.note(&hint)
    }

    /// What it means that the kernel has no such table; `name` as in netstat's message. Returns the exit code that ends
    /// the run, 0 where the table was not asked for by name.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn no_table(&mut self, name: &str, want: Want) -> Written<u8> {
        let asked = want == Want::Asked;
        if asked || self.options.verbose {
            self.out.note(format!("netstat: no support for `{name}' on this system.\n").as_bytes())?;
        }
        Ok(u8::from(asked))
    }

    /// Says that a file of /proc could not be read, and returns the exit code that ends the run: netstat's -1.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn unreadable(&mut self, file: &str, error: &io::Error) -> Written<u8> {
        let path = self.proc.join(file);
        self.out.note(format!("{}: {}\n", path.display(), reason(error)).as_bytes())?;
        Ok(255)
    }
}

/// What the C library says of an error, in the user's language.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
