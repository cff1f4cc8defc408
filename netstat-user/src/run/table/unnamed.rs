//! What is said where the processes that hold sockets are not known: netstat's warnings, and what it knows no words for.

use super::asked::AskedFor;
use super::round::Round;
use crate::field::Need;
use crate::model::SocketHolders;
use crate::proc::fds::{Blind, Scan};
use crate::run::shielded;
use crate::stdio::Written;
use crate::sys;
use std::os::unix::fs::MetadataExt;

/// The `-p` warning where some processes could be read.
const NOT_ALL: &str = "(Not all processes could be identified, non-owned process info\n will not be shown, you would have to be root to see it all.)\n";
/// The `-p` warning where none could.
const NONE: &str = "(No info could be read for \"-p\": geteuid()=%d but you should be root.)\n";

/// What could have been done about it, in the middle of a sentence.
const COULD: &str = "name them";

/// Says, once per scan, what it could not see, where that matters for the `owners` that it found.
///
/// # Errors
/// A failure to write to standard output.
pub fn report(asked: &AskedFor<'_>, round: &mut Round, scan: &mut Scan, owners: &SocketHolders) -> Written<()> {
    // An agent is asked for Internet sockets alone.
    let agent_names = asked.tables.protocols.any();
    if asked.options.programs
        && !scan.reported
        && let Some(warning) = netstat_warning(asked, scan.blind())
    {
        scan.reported = true;
        round.say(&warning)?;
        if agent_names {
            round.hint(asked.options, COULD)?;
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
        let could = Round::could(asked.options, COULD).filter(|_| agent_names);
        let could = could.map_or_else(String::new, |could| format!("; {could}"));
        round.note_at_first(&format!("{}{could}", why_unknown(may_look)))?;
    }
    match failed {
        Some(error) => round.report_processes(&error),
        None => Ok(()),
    }
}

/// Says why owners are not known, once per scan.
///
/// # Errors
/// A failure to write to standard output.
pub fn report_hidden(round: &mut Round, scan: &mut Scan) -> Written<()> {
    if std::mem::replace(&mut scan.reported, true) {
        return Ok(());
    }
    if scan.hides() || !scan.in_nested_pid_namespace() {
        return round.note_at_first(why_unknown(shielded::may_look()));
    }
    round.note_at_first(
        "the owners of some sockets are unknown: they may be processes of another PID namespace; run this outside of the container, or in the PID namespace of the host",
    )
}

/// netstat's warning of `-p`, if it has one.
fn netstat_warning(asked: &AskedFor<'_>, blind: Blind) -> Option<Vec<u8>> {
    match blind {
        Blind::No => None,
        Blind::Partly => Some(asked.lang.text(NOT_ALL).to_vec()),
        Blind::Wholly => {
            // Without a /proc nobody's processes are refused.
            let euid = std::fs::metadata(asked.proc.join("self")).map_or(0, |own| own.uid());
            Some(asked.lang.fill(NONE, &[&euid]))
        }
    }
}

/// Why owners are not known to this process; `may_look`: it has every right to look into others.
fn why_unknown(may_look: bool) -> &'static str {
    match (rustix::process::geteuid().is_root(), may_look) {
        (true, true) => {
            "the owners of some sockets are unknown: the kernel shields some processes from this one, although it has the rights"
        }
        (true, false) if sys::may_look_into_all() => {
            "the owners of some sockets are unknown to this process: it lacks CAP_DAC_READ_SEARCH"
        }
        (true, false) => "the owners of some sockets are unknown to this process: it lacks CAP_SYS_PTRACE",
        (false, _) => "the owners of other users' sockets are unknown to this user: run as root",
    }
}
