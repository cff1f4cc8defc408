//! What is asked, and of which machine: fixed for a run, whatever is read and printed.

use super::round::Round;
use super::selected::Selected;
use crate::cli::classic::{Filter, Options, Tables, Want};
use crate::field::Need;
use crate::lang::Lang;
use crate::model::reason;
use crate::proc::whole;
use crate::source::RowNeeds;
use crate::stdio::Written;
use crate::view::Listed;
use std::io;
use std::path::PathBuf;

/// What one classic run is asked for.
pub struct AskedFor<'a> {
    /// The command line.
    pub options: &'a Options,
    /// Its tables, defaults resolved.
    pub tables: Tables,
    /// Where /proc is mounted.
    pub proc: PathBuf,
    /// The words of the user's language.
    pub lang: Lang,
    /// What of the rows is wanted, and as what it is shown.
    pub selected: Selected,
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

impl<'a> AskedFor<'a> {
    /// What the options ask of this machine.
    pub fn new(options: &'a Options, selected: Selected) -> Self {
        Self { options, tables: options.tables(), proc: "/proc".into(), lang: crate::run::locale::lang(), selected }
    }

    /// Which sockets a table lists, in the words of its title.
    pub fn listed(&self) -> Listed {
        self.options.filter().into()
    }

    /// Whether rows are objects of the view, every key in them.
    pub fn shows_objects(&self) -> bool {
        self.options.json && self.selected.shows_view()
    }

    /// What of the rows will be looked at.
    pub fn row_needs(&self) -> RowNeeds {
        let (options, selected, json) = (self.options, &self.selected, self.shows_objects());
        let view = selected.shows_view();
        RowNeeds {
            cookies: json || selected.needs().meets(Need::COOKIES),
            users: json || view && options.extend > 0 || selected.asks(&["uid", "user"]),
            timers: json || view && options.timers || selected.asks(&["timer."]),
            lasting: false,
        }
    }

    /// Whether other namespaces than the reader's own are looked into.
    pub fn reads_all_netns(&self) -> bool {
        self.options.all_netns || self.selected.netns().is_some()
    }

    /// Whether the rows that are listed may be of more than one namespace.
    pub fn lists_several_netns(&self) -> bool {
        let several = |listed: &[u32]| listed.iter().any(|netns| *netns != listed[0]);
        self.options.all_netns || self.selected.netns().is_some_and(several)
    }

    /// Whether the view has the namespace of each row. JSON has more keys with `--all-netns` alone.
    pub fn shows_netns(&self) -> bool {
        if self.options.json { self.options.all_netns } else { self.lists_several_netns() }
    }

    /// Whether what is printed is netstat's, to the byte, and the exit code too.
    pub fn is_netstats(&self) -> bool {
        let options = self.options;
        self.selected.passes_all()
            && !(options.json || options.info || options.recent.is_some() || self.reads_all_netns())
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
    pub fn wants_comms(&self) -> bool {
        self.shows_objects() || self.selected.needs().meets(Need::COMMS)
    }

    /// The bytes of a file under /proc; where it cannot be read, says `failure` (in the user's language) and why, and
    /// gives `None`.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn read(&self, round: &mut Round, path: &str, failure: &str) -> Written<Option<Vec<u8>>> {
        match whole(&self.proc.join(path)) {
            Ok(text) => Ok(Some(text)),
            Err(error) => {
                let mut said = self.lang.text(failure).to_vec();
                said.extend_from_slice(format!(": {}\n", reason(&error)).as_bytes());
                round.say(&said)?;
                Ok(None)
            }
        }
    }

    /// Says, on standard output as netstat does, that the kernel has no such routing tables; returns the exit code. Where objects are printed it
    /// goes to standard error.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn not_configured(&self, round: &mut Round, text: &str) -> Written<u8> {
        if self.options.json {
            round.say(self.lang.text(text))?;
        } else {
            round.bytes().extend_from_slice(self.lang.text(text));
        }
        Ok(1)
    }

    /// What it means that the kernel has no such table; `name` as in netstat's message. Returns the exit code that ends
    /// the run, 0 where the table was not asked for by name.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn no_table(&self, round: &mut Round, name: &str, want: Want) -> Written<u8> {
        let asked = want == Want::Asked;
        if asked || self.options.verbose {
            round.say(format!("netstat: no support for `{name}' on this system.\n").as_bytes())?;
        }
        Ok(u8::from(asked))
    }

    /// Says that a file of /proc could not be read, and returns the exit code that ends the run: netstat's -1.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn unreadable(&self, round: &mut Round, file: &str, error: &io::Error) -> Written<u8> {
        let path = self.proc.join(file);
        round.say(format!("{}: {}\n", path.display(), reason(error)).as_bytes())?;
        Ok(255)
    }
}
