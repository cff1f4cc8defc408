//! The command line of `kill`.

use super::help::AllPages;
use super::names::KILL;
use super::select::{self, GivenOptions, Selection};
use super::{Invocation, Refusal, help};
use crate::field::schema::{self, KeyValues, SchemaKey};
use crate::field::{Column, Field, RowKinds};
use crate::filter::Spelling;
use crate::model::KillResult;
use clap::{Arg, ArgAction, Command};
use std::ffi::OsString;
use std::fmt::Display;

/// What to close, and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// Which sockets; there is always an expression.
    pub selection: Selection,
    /// Only list them.
    pub dry_run: bool,
    /// Do not ask.
    pub yes: bool,
    /// JSON Lines.
    pub json: bool,
}

/// The options of tables that have no meaning here.
const NOT_HERE: [&str; 4] = ["columns", "sort", "limit", "count-by"];

const DRY_RUN: &str = "dry-run";
const YES: &str = "yes";
const JSON: &str = "json";
const SCHEMA: &str = "schema";

/// What becomes of sockets, by the names in JSON.
const RESULTS: [&str; KillResult::ALL.len()] = {
    let mut names = [""; KillResult::ALL.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = KillResult::ALL[at].name();
        at += 1;
    }
    names
};

/// The schema of the lines of `--json`.
fn schema() -> String {
    let field = |field| Column::Field(field);
    let columns = [
        field(Field::Proto),
        Column::Group("local"),
        Column::Group("remote"),
        field(Field::State),
        field(Field::Uid),
        field(Field::Inode),
        Column::Group("owners"),
        field(Field::Netns),
        field(Field::Cookie),
    ];
    let more = [
        SchemaKey::new(
            "result",
            KeyValues::Words(&RESULTS),
            "what became of it; aborted: its process sees the error and must close it",
        ),
        SchemaKey::new("error", KeyValues::Text, "why it was not closed"),
    ];
    schema::of_lines("kill", &[schema::of_columns("a socket that the expression selects", &columns, &more)])
}

/// The definition that `--help` and the man page are made from.
pub fn command() -> Command {
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    Command::new(KILL)
        .bin_name(KILL)
        .about("Close the sockets that an expression selects, whichever processes hold them")
        .long_about(
            "Close the sockets that an expression selects, whichever processes hold them: TCP sockets in every state (listeners, TIME_WAIT and \
             requests included), UDP and raw sockets. Their processes see ECONNABORTED, the peers of connections a reset; accept(2) of a \
             listener fails with EINVAL, ECONNABORTED is in its SO_ERROR. A datagram socket that was bound to a port is aborted: its process \
             sees the error, and the port is free once the process closes the socket. The kernel has no way to close UDP-Lite sockets.\n\n\
             The kernel closes a socket by its addresses and its cookie. So a socket that has taken the place of a selected one is not closed.\n\n\
             This takes CAP_NET_ADMIN, and a kernel with CONFIG_INET_DIAG_DESTROY. On a kernel without that, from Linux 6.5 on, it takes CAP_BPF \
             and CAP_PERFMON: then TCP and UDP sockets are closed, but no requests, none in TIME_WAIT, and none in FIN_WAIT2 that no process \
             holds any more.",
        )
        .disable_version_flag(true)
        .args(select::options().into_iter().filter(|arg| !NOT_HERE.contains(&arg.get_id().as_str())))
        .arg(flag(DRY_RUN, "Only list what would be closed"))
        .arg(flag(YES, "Do not ask; needed where standard input is no terminal"))
        .arg(flag(JSON, "Print a JSON object per socket: `result' is what became of it, `error' why it was not closed"))
        .arg(flag(SCHEMA, "Print the JSON Schema of these objects and exit"))
}

/// The pages of help.
pub fn page() -> help::Page {
    help::of_verb("kill", command(), "netstat-user kill --where EXPR [OPTIONS]")
}

/// Reads the options of `kill`; `argv` begins with the verb.
///
/// # Errors
/// A [`Refusal`] with exit code 2.
pub fn parse(argv: &[OsString], all: AllPages) -> Result<Invocation, Refusal> {
    let matches = match help::read(page(), argv, all)? {
        help::HelpRequest::Page(page) => return Ok(page),
        help::HelpRequest::Options(matches) => matches,
    };
    if matches.get_flag(SCHEMA) {
        return Ok(Invocation::Print(schema()));
    }
    let wrong = |error: &dyn Display| help::mistake::wrong(KILL, error);
    let (mut given, mut narrows) = (GivenOptions::default(), false);
    for arg in select::options() {
        let id = arg.get_id().as_str();
        if NOT_HERE.contains(&id) {
            continue;
        }
        for value in matches.get_many::<String>(id).into_iter().flatten() {
            given.take(id, value.as_ref()).map_err(|error| wrong(&error))?;
            narrows |= id != Spelling::Netns.option() && !value.trim().is_empty();
        }
    }
    if !narrows {
        return Err(wrong(&"an expression is required: --where EXPR, or a short spelling like --lport"));
    }
    given.only_internet().map_err(|error| wrong(&error))?;
    let selection = given.read(RowKinds::INET).map_err(|error| wrong(&error))?;
    let flag = |name| matches.get_flag(name);
    Ok(Invocation::Kill(Options { selection, dry_run: flag(DRY_RUN), yes: flag(YES), json: flag(JSON) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kill(words: &[&str]) -> Result<Options, (u8, String)> {
        let argv: Vec<OsString> = std::iter::once(&"kill").chain(words).map(Into::into).collect();
        match parse(&argv, crate::cli::all_pages) {
            Ok(Invocation::Kill(options)) => Ok(options),
            Ok(_) => Err((0, String::new())),
            Err(refusal) => Err((refusal.exit, refusal.message)),
        }
    }

    #[test]
    fn reads_options() {
        let options = kill(&["--where", "state established", "--lport", "80,443", "--yes", "--json"]).unwrap();
        assert!(options.selection.expr.is_some() && options.yes && options.json && !options.dry_run);
        let options = kill(&["--netns", "blue", "--pid", "7", "--dry-run"]).unwrap();
        assert_eq!((options.selection.netns, options.dry_run), (vec!["blue".to_owned()], true));
    }

    #[test]
    fn an_expression_is_required() {
        for words in [&[][..], &["--yes"], &["--netns", "self", "--yes"], &["--where", ""], &["--where", "  "]] {
            let (exit, message) = kill(words).unwrap_err();
            assert_eq!(exit, 2, "{words:?}");
            assert!(message.contains("expression"), "{message}");
        }
    }

    #[test]
    fn what_is_wrong_is_refused() {
        for words in [
            &["--where", "nonsense = 1"][..],
            &["--proto", "unix"],
            &["--proto", "tcp,SCTP"],
            &["--columns", "pid", "--pid", "1"],
            &["operand"],
            &["--limit", "3"],
        ] {
            assert_eq!(kill(words).unwrap_err().0, 2, "{words:?}");
        }
        let help = page().long();
        assert_eq!(kill(&["--help"]).unwrap_err().0, 0);
        // It has no such option, and takes no family.
        assert!(help.contains("--proto") && !help.contains("--protocol"), "{help}");
        assert!(help.contains("\nSelecting:\n"), "{help}");
        command().debug_assert();
    }
}
