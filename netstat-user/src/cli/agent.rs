//! The command line of `agent`.

use super::help::AllPages;
use super::names::{AGENT, MOST_REMEMBERED, SOCKET};
use super::value::{duration, mode, number, size};
use super::{Invocation, Refusal, help};
use clap::{CommandFactory, FromArgMatches, Parser, ValueEnum};
use std::{ffi::OsString, path::PathBuf, time::Duration};

/// Keep the table of all sockets of all network namespaces, who owns them and what became of them, and answer queries on a local socket.
///
/// Runs in the foreground. Reports to systemd when it is ready ($NOTIFY_SOCKET). SIGHUP sets the table right from the kernel's lists, as
/// happens by itself after a loss; SIGTERM and SIGINT end it.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(name = AGENT, bin_name = AGENT, disable_version_flag = true)]
pub struct Options {
    /// Path of the socket
    #[arg(long, value_name = "PATH", default_value = SOCKET)]
    pub socket: PathBuf,

    /// Mode of the socket, in octal: 660 lets its group ask, 666 everyone
    #[arg(long, value_name = "MODE", default_value = "600", value_parser = mode, allow_hyphen_values = true)]
    pub mode: u32,

    /// Group of the socket, by name or number; its members are served where the mode lets them
    #[arg(long, value_name = "GROUP")]
    pub group: Option<String>,

    /// User to run as once everything is loaded and attached, by name or number. Unless given: netstat-user, where there is such a user that
    /// nobody logs in as. A folder that is made for the socket is that user's
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,

    /// What is kept of root's privileges once everything is loaded and attached: "full" keeps what it takes to enter other network namespaces, so
    /// that their sockets have cookies; "least" keeps only what it takes to look into processes
    #[arg(long, value_enum, value_name = "full|least", default_value_t = Privileges::Full)]
    pub privileges: Privileges,

    /// What users other than root and the agent's own are shown: "own", what they could see themselves (the sockets of their network
    /// namespaces, owners of their own sockets only), or "all"
    #[arg(long, value_enum, value_name = "own|all", default_value_t = Share::Own)]
    pub share: Share,

    /// How long closed sockets are kept for --recent
    #[arg(long, value_name = "DUR", default_value = "10m", value_parser = duration, allow_hyphen_values = true)]
    pub recent: Duration,

    /// How many closed sockets are kept at most
    #[arg(long, value_name = "N", default_value_t = 65_536, value_parser = number::<usize>(0..=u64::MAX), allow_hyphen_values = true)]
    pub recent_count: usize,

    /// How many clients are served at a time
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = number::<usize>(1..=65_536), allow_hyphen_values = true)]
    pub clients: usize,

    /// How often the table is compared with the kernel's lists although no event was lost
    #[arg(long, value_name = "DUR", default_value = "60s", value_parser = duration, allow_hyphen_values = true)]
    pub poll: Duration,

    /// Size of the kernel's ring buffer, rounded up to a power of two: 64K, 16M (4 KiB to 1 GiB)
    #[arg(long, value_name = "SIZE", default_value = "16M", value_parser = size, allow_hyphen_values = true)]
    pub buffer: u32,

    /// How many sockets the kernel programs can remember at least (1 to 16777216); the events of more sockets lack owner and times. The memory,
    /// 168 bytes for each socket, is taken when it is needed. 1048576 unless given; before Linux 6.1 65536, and the memory is taken at the
    /// start
    #[arg(long, value_name = "N", value_parser = number::<u32>(1..=MOST_REMEMBERED.into()), allow_hyphen_values = true)]
    pub remember: Option<u32>,
}

/// What is kept of root's privileges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Privileges {
    /// To look into every process, and to enter other network namespaces
    Full,
    /// To look into every process
    Least,
}

/// What users other than root and the agent's own are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Share {
    /// What they could see themselves
    Own,
    /// Everything
    All,
}

/// The definition that `--help` and the man page are made from.
pub fn command() -> clap::Command {
    Options::command()
}

/// The pages of help.
pub fn page() -> help::Page {
    help::of_verb("agent", command(), "netstat-user agent [OPTIONS]")
}

/// Reads the options of `agent`; `argv` begins with the verb.
///
/// # Errors
/// A [`Refusal`] with exit code 2.
pub fn parse(argv: &[OsString], all: AllPages) -> Result<Invocation, Refusal> {
    let matches = match help::read(page(), argv, all)? {
        help::HelpRequest::Page(page) => return Ok(page),
        help::HelpRequest::Options(matches) => matches,
    };
    Options::from_arg_matches(&matches)
        .map(Invocation::Agent)
        .map_err(|error| help::mistake::refusal(AGENT, &error, all))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(line: &str) -> Result<Options, u8> {
        let argv: Vec<OsString> = std::iter::once("agent").chain(line.split_whitespace()).map(Into::into).collect();
        match parse(&argv, crate::cli::all_pages) {
            Ok(Invocation::Agent(options)) => Ok(options),
            Ok(_) => Err(0),
            Err(refusal) => Err(refusal.exit),
        }
    }

    #[test]
    fn reads_options() {
        let options =
            agent("--socket /x --mode 0660 --group 7 --recent 5s --recent-count 0 --clients 3 --poll 1m --remember 9")
                .unwrap();
        assert_eq!((options.socket.to_str(), options.mode), (Some("/x"), 0o660));
        assert_eq!((options.recent, options.recent_count, options.clients), (Duration::from_secs(5), 0, 3));
        assert_eq!((options.remember, agent("").unwrap().remember), (Some(9), None));
        assert_eq!(agent("").unwrap().socket, PathBuf::from(SOCKET));
        assert_eq!((options.share, agent("--share all").unwrap().share), (Share::Own, Share::All));
        for line in [
            "--share some",
            "--poll 10000000000000000000",
            "--mode 8",
            "--mode 1777",
            "--recent 0",
            "--clients 0",
            "--buffer 1",
            "--remember 0",
            "operand",
            "--nonsense",
        ] {
            assert_eq!(agent(line), Err(2), "{line}");
        }
        assert_eq!(agent("--help"), Err(0));
    }

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }
}
