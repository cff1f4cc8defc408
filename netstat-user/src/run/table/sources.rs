//! Where the rows, names and holders of a run come from, kept from table to table and from round to round.

use super::asked::AskedFor;
use super::round::Round;
use super::unnamed;
use crate::field::Need;
use crate::model::SocketHolders;
use crate::names::Names;
use crate::proc::fds;
use crate::source::KernelSource;
use crate::stdio::Written;

/// What answers a run.
pub struct Sources {
    /// Where the kernel's rows are read.
    pub source: KernelSource,
    /// Host, port, user and network names.
    pub names: Names,
    /// The descriptor scan of this round: one for all tables, as in netstat.
    scan: Option<fds::Scan>,
    /// Whether it is known only once the rows are decided if it matters which processes could not be seen.
    decides_first: bool,
}

impl Sources {
    /// Nothing read yet.
    pub fn new(asked: &AskedFor<'_>) -> Self {
        let source = KernelSource::new(&asked.proc, asked.row_needs());
        Self { source, names: Names::new(), scan: None, decides_first: false }
    }

    /// The same where [`Sources::report_hidden`] alone says why owners are not known, once the rows are decided.
    pub fn deciding_first(asked: &AskedFor<'_>) -> Self {
        Self { decides_first: true, ..Self::new(asked) }
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
        match scan.failure().filter(|_| self.decides_first) {
            Some(error) => round.report_processes(&error)?,
            None if self.decides_first => {}
            None => unnamed::report(asked, round, scan, &owners)?,
        }
        Ok(owners)
    }

    /// Looks once more for the processes that hold sockets: one that began during the first look was not among those that it read.
    pub fn look_again(&mut self, asked: &AskedFor<'_>) {
        let reported = self.scan.take().is_some_and(|scan| scan.reported);
        self.start_scan(asked);
        self.scan.iter_mut().for_each(|scan| scan.reported = reported);
    }

    /// Adds the processes that may hold sockets, too, as they could not be looked into, where it matters who holds them.
    pub fn add_unseen(&mut self, asked: &AskedFor<'_>, owners: &mut SocketHolders) {
        if let Some(scan) = self.scan.as_mut().filter(|_| asked.selected.needs().meets(Need::OWNERS)) {
            (owners.unseen, owners.in_nested_pid_namespace) = (scan.unseen(), scan.in_nested_pid_namespace());
        }
    }

    /// Says why owners are not known, where that was not said in this round.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn report_hidden(&mut self, round: &mut Round) -> Written<()> {
        match &mut self.scan {
            Some(scan) if !round.lacks_processes() => unnamed::report_hidden(round, scan),
            _ => Ok(()),
        }
    }
}
