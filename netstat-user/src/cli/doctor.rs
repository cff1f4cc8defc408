//! The command line of `doctor`.

use super::{Colour, Refusal, Request, help};
use clap::{CommandFactory, FromArgMatches, Parser};
use std::{ffi::OsString, path::PathBuf};

/// Say how well sockets can be traced here: each hook with the variant attached and those refused, what cannot be seen, what tracing
/// depends on, losses, and for each thing amiss the line that mends it.
///
/// Asks the agent where one answers; else attaches the programs itself for a moment, if it may.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(name = "netstat-user doctor", bin_name = "netstat-user doctor", disable_version_flag = true)]
pub struct Options {
    /// Print JSON Lines: an object per hook, check, program, and the verdict
    #[arg(long)]
    pub json: bool,

    /// Ask the agent behind this socket, not the one on /run/netstat-user/agent.sock
    #[arg(long, value_name = "PATH", conflicts_with = "no_agent")]
    pub agent: Option<PathBuf>,

    /// Colour of the verdict and the findings
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Colour::Auto)]
    pub color: Colour,

    /// Ask no agent
    #[arg(long)]
    pub no_agent: bool,
}

/// The definition that `--help` and the man page are made from.
pub fn command() -> clap::Command {
    Options::command()
}

/// The pages of help.
pub fn page() -> help::Page {
    help::of_verb("doctor", command(), "netstat-user doctor [OPTIONS]")
}

/// Reads the options of `doctor`; `argv` begins with the verb.
///
/// # Errors
/// A [`Refusal`] with exit code 2.
pub fn parse(argv: &[OsString]) -> Result<Request, Refusal> {
    let matches = match help::read(page(), argv)? {
        help::HelpRequest::Page(page) => return Ok(page),
        help::HelpRequest::Options(matches) => matches,
    };
    Options::from_arg_matches(&matches).map(Request::Doctor).map_err(|error| help::refusal(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doctor(line: &str) -> Result<Options, u8> {
        let argv: Vec<OsString> = std::iter::once("doctor").chain(line.split_whitespace()).map(Into::into).collect();
        match parse(&argv) {
            Ok(Request::Doctor(options)) => Ok(options),
            Ok(_) => Err(0),
            Err(refusal) => Err(refusal.exit),
        }
    }

    #[test]
    fn reads_options() {
        let options = doctor("--json --agent /x").unwrap();
        assert_eq!((options.json, options.agent, options.no_agent), (true, Some(PathBuf::from("/x")), false));
        for line in ["--agent", "--agent /x --no-agent", "operand", "--nonsense"] {
            assert_eq!(doctor(line), Err(2), "{line}");
        }
        assert_eq!(doctor("--help"), Err(0));
        command().debug_assert();
    }
}
