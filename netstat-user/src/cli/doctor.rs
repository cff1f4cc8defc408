//! The command line of `doctor`.

use super::help::AllPages;
use super::names::DOCTOR;
use super::{Colour, Invocation, Refusal, help};
use crate::field::schema::{self, KeyValues, SchemaKey};
use crate::model::Level;
use clap::{CommandFactory, FromArgMatches, Parser};
use std::{ffi::OsString, path::PathBuf};

/// Say how well sockets can be traced here: each hook with the variant attached and those refused, what cannot be seen, what tracing
/// depends on, losses, and for each thing that is wrong the command that mends it.
///
/// It asks the agent where one answers. Else it attaches the programs itself for a moment, if it may.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(name = DOCTOR, bin_name = DOCTOR, disable_version_flag = true)]
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

    /// Print the JSON Schema of the lines of --json and exit
    #[arg(long)]
    pub schema: bool,
}

const KIND: SchemaKey =
    SchemaKey::new("kind", KeyValues::Words(&["hook", "check", "program", "verdict"]), "what the line is about");
const LEVEL: SchemaKey = SchemaKey::new(
    "level",
    KeyValues::Words(&[Level::Ok.name(), Level::Note.name(), Level::Bad.name()]),
    "ok; note: something less than essential is missing; bad: something essential is",
);
const FOUND: [SchemaKey; 5] = [
    KIND,
    SchemaKey::new("name", KeyValues::Text, "what was looked at"),
    LEVEL,
    SchemaKey::new("found", KeyValues::Text, "how it is"),
    SchemaKey::new("mend", KeyValues::Text, "what mends it; null where nothing is amiss"),
];
const REFUSED: &[SchemaKey] = &[
    SchemaKey::new("variant", KeyValues::Text, "the way to attach it that could not be used"),
    SchemaKey::new("cause", KeyValues::Text, "why"),
    SchemaKey::new("effect", KeyValues::Text, "what that means for the events; empty where the hook is not attached"),
];
const PROGRAM: &[SchemaKey] = &[
    KIND,
    SchemaKey::new("name", KeyValues::Text, "name of the program in the kernel"),
    SchemaKey::new("runs", KeyValues::Number, "how often it ran; null where the kernel does not count that"),
    SchemaKey::new("run_ns", KeyValues::Number, "nanoseconds that it ran for"),
    SchemaKey::new("missed", KeyValues::Number, "runs that the kernel left out"),
];
const VERDICT: &[SchemaKey] = &[
    KIND,
    LEVEL,
    SchemaKey::new("source", KeyValues::Text, "who was asked"),
    SchemaKey::new("sentence", KeyValues::Text, "the verdict"),
];

/// The schema of the lines of `--json`.
fn schema() -> String {
    let hook = [
        &FOUND[..],
        &[
            SchemaKey::new("variant", KeyValues::Text, "the way in which it is attached; null where it is not"),
            SchemaKey::new("refused", KeyValues::Objects(REFUSED), "the ways that could not be used, the best first"),
        ],
    ]
    .concat();
    schema::of_lines(
        "doctor",
        &[
            schema::of_keys("a hook", &hook, None),
            schema::of_keys("what tracing depends on, and how it went", &FOUND, None),
            schema::of_keys("a program in the kernel", PROGRAM, None),
            schema::of_keys("the verdict, last", VERDICT, None),
        ],
    )
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
pub fn parse(argv: &[OsString], all: AllPages) -> Result<Invocation, Refusal> {
    let matches = match help::read(page(), argv, all)? {
        help::HelpRequest::Page(page) => return Ok(page),
        help::HelpRequest::Options(matches) => matches,
    };
    let options = Options::from_arg_matches(&matches).map_err(|error| help::mistake::refusal(DOCTOR, &error, all))?;
    Ok(if options.schema { Invocation::Print(schema()) } else { Invocation::Doctor(options) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doctor(line: &str) -> Result<Options, u8> {
        let argv: Vec<OsString> = std::iter::once("doctor").chain(line.split_whitespace()).map(Into::into).collect();
        match parse(&argv, crate::cli::all_pages) {
            Ok(Invocation::Doctor(options)) => Ok(options),
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
