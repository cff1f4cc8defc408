//! Where the rows, names and holders of a run come from, kept from table to table and from round to round.

use super::asked::AskedFor;
use super::round::Round;
use crate::field::Need;
use crate::model::SocketHolders;
use crate::names::Names;
use crate::proc::fds;
use crate::run::shielded;
use crate::source::KernelSource;
use crate::stdio::Written;
use crate::sys;
use std::os::unix::fs::MetadataExt;

/// The `-p` warning where some processes could be read.
const NOT_ALL: &str = "(Not all processes could be identified, non-owned process info\n will not be shown, you would have to be root to see it all.)\n";
/// The `-p` warning where none could.
const NONE: &str = "(No info could be read for \"-p\": geteuid()=%d but you should be root.)\n";

/// What answers a run.
pub struct Sources {
    /// Where the kernel's rows are read.
    pub source: KernelSource,
    /// Host, port, user and network names.
    pub names: Names,
    /// The descriptor scan of this round: one for all tables, as in netstat.
    scan: Option<fds::Scan>,
}

impl Sources {
    /// Nothing read yet.
    pub fn new(asked: &AskedFor<'_>) -> Self {
        Self { source: KernelSource::new(&asked.proc, asked.row_needs()), names: Names::new(), scan: None }
    }

    /// Forgets what was true in the last round.
    pub fn next_round(&mut self) {
        self.scan = None;
    }

    /// Forgets what was only true of the tables that have been read.
    pub fn next_tables(&mut self) {
        self.scan = self.scan.take().filter(|scan| scan.whole);
    }

    /// Starts to look for the processes that hold sockets, beside whatever the caller does next. Only with `-p` and
    /// `--json` is there anything to look for.
    pub fn start_scan(&mut self, asked: &AskedFor<'_>) {
        if self.scan.is_none() && asked.wants_holders() {
            self.scan = Some(self.source.holders());
        }
    }

    /// Takes a scan that has been begun elsewhere, if any has, for that of this round.
    pub fn scanned(&mut self, scan: Option<fds::Scan>) {
        self.scan = scan.or_else(|| self.scan.take());
    }

    /// The processes that hold these sockets; nobody without `-p` or `--json`. Says once per round, as netstat does,
    /// when other users' processes could not be read.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn owners(
        &mut self,
        asked: &AskedFor<'_>,
        round: &mut Round,
        inodes: impl Iterator<Item = u64>,
    ) -> Written<SocketHolders> {
        self.start_scan(asked);
        let Some(scan) = &mut self.scan else { return Ok(SocketHolders::default()) };
        let owners = scan.owners(inodes, asked.wants_comms());
        // An agent is asked for Internet sockets alone.
        let agent_names = asked.tables.protocols.any();
        if asked.options.programs && !scan.reported {
            // Without a /proc nobody's processes are refused.
            let euid = std::fs::metadata(asked.proc.join("self")).map_or(0, |own| own.uid());
            let said = match scan.blind() {
                fds::Blind::No => None,
                fds::Blind::Partly => Some(asked.lang.text(NOT_ALL).to_vec()),
                fds::Blind::Wholly => Some(asked.lang.fill(NONE, &[&euid])),
            };
            if let Some(said) = said {
                scan.reported = true;
                round.say(&said)?;
                if agent_names {
                    round.hint(asked.options, "name them")?;
                }
            }
        }
        // netstat knows no word for the rest. To whom every process is open, what failed is the reason.
        let may_look = shielded::may_look();
        // A dash in the column of programs is what netstat prints; who has every right can do no more about it.
        let shows = asked.options.programs && !may_look || asked.selected.needs().meets(Need::OWNERS);
        let failed = scan.failure();
        let is_explained = failed.is_some() && may_look;
        if shows && !asked.is_netstats() && !is_explained && !scan.reported && owners.lacks_some() && scan.hides() {
            scan.reported = true;
            let could = Round::could(asked.options, "name them").filter(|_| agent_names);
            let could = could.map_or_else(String::new, |could| format!("; {could}"));
            let unknown = match (rustix::process::geteuid().is_root(), may_look) {
                (true, true) => {
                    "the owners of some sockets are unknown: the kernel shields some processes from this one, although it has the rights"
                }
                (true, false) if sys::may_look_into_all() => {
                    "the owners of some sockets are unknown to this process: it lacks CAP_DAC_READ_SEARCH"
                }
                (true, false) => "the owners of some sockets are unknown to this process: it lacks CAP_SYS_PTRACE",
                (false, _) => "the owners of other users' sockets are unknown to this user: run as root",
            };
            round.note_at_first(&format!("{unknown}{could}"))?;
        }
        if let Some(error) = failed {
            round.report_processes(&error)?;
        }
        Ok(owners)
    }
}
