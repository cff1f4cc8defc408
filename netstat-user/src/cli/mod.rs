//! argv → [`Invocation`]: what was asked for, validated, with no I/O.

pub mod agent;
pub mod classic;
pub mod completions;
pub mod doctor;
#[cfg(test)]
mod documents;
pub mod events;
pub mod help;
pub mod kill;
pub mod names;
pub mod select;
mod shells;
pub mod value;

use crate::field::RowKinds;
use clap::ValueEnum;
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// When there is colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless $NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What the command line asks for.
#[allow(clippy::large_enum_variant, reason = "there is one in a run")]
#[derive(Debug, PartialEq)]
pub enum Invocation {
    /// netstat's own views: no verb given.
    Classic(classic::Options),
    /// `agent`: the live table, kept and served.
    Agent(agent::Options),
    /// `doctor`: how well sockets can be traced here.
    Doctor(doctor::Options),
    /// `events`: the stream of what happens to sockets.
    Events(events::Options),
    /// `kill`: sockets to close.
    Kill(kill::Options),
    /// `-Z`: which ends the program, as netstat does where SELinux is off.
    Contexts,
    /// `--version`
    Version,
    /// The fields that these rows have, for `--columns help`.
    Fields(RowKinds),
    /// Text to print on standard output, and then exit 0 (`--help`, `events --schema`).
    Print(String),
}

/// Why argv cannot be served: what to write to standard error, and the exit code.
#[derive(Debug, PartialEq)]
pub struct Refusal {
    /// What is wrong, where there are words for it in other languages.
    pub reason: Option<RefusalReason>,
    /// The message, or what follows the reason, newline included.
    pub message: String,
    /// 2 for our verbs, netstat's own codes for the classic views.
    pub exit: u8,
}

/// What is wrong, not yet in the reader's language.
#[derive(Debug, PartialEq)]
pub struct RefusalReason {
    /// The English text, newline included, with a `%` directive for each value.
    pub text: &'static str,
    /// The values, as bytes: those of netstat's own messages are the words that were typed. In messages of our own what could drive a terminal is
    /// visible already.
    pub values: Vec<Vec<u8>>,
}

/// What is typed as a verb, and is none.
const HELP: &str = "help";

/// The variable by which a user has words that are no options end the options of a command line, as getopt does.
pub const POSIX: &str = "POSIXLY_CORRECT";

/// Reads a whole command line, program name included. The first argument selects a verb only if it is exactly its name:
/// netstat ignores operands, and so every other word belongs to the classic command line. Called as `netstat`, it has no verbs: a script
/// that gives netstat the operand `events` gets its table. `posix`: [`POSIX`] is in the environment.
///
/// # Errors
/// A [`Refusal`] that names the argument and the way out.
pub fn parse(argv: impl IntoIterator<Item = OsString>, posix: bool) -> Result<Invocation, Refusal> {
    let argv: Vec<OsString> = argv.into_iter().collect();
    let as_netstat = argv.first().is_some_and(|name| is_netstat(name));
    match argv.get(1).and_then(|a| a.to_str()).filter(|_| !as_netstat) {
        Some("agent") => agent::parse(&argv[1..], all_pages),
        Some("doctor") => doctor::parse(&argv[1..], all_pages),
        Some("events") => events::parse(&argv[1..], all_pages),
        Some("kill") => kill::parse(&argv[1..], all_pages),
        _ => classic::parse(&argv, posix),
    }
}

/// The name that messages begin with, but for getopt's, which have the whole first word: netstat's, where the program was called by it.
pub fn program(called: &OsStr) -> &'static str {
    if is_netstat(called) { "netstat" } else { "netstat-user" }
}

/// Whether the program is called as netstat by this first word of its command line.
pub fn is_netstat(program: &OsStr) -> bool {
    Path::new(program).file_name() == Some("netstat".as_ref())
}

/// The pages of help of every verb, by its name.
pub fn pages() -> Vec<(&'static str, help::Page)> {
    vec![("events", events::page()), ("agent", agent::page()), ("doctor", doctor::page()), ("kill", kill::page())]
}

/// Every page: those of the verbs, and that of the program itself, whose name is empty.
pub fn all_pages() -> Vec<(&'static str, help::Page)> {
    let mut all = pages();
    all.push(("", classic::page()));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What has to be written for a new verb, and where: none of it may be missing.
    #[test]
    fn every_verb_is_called_described_and_packaged() {
        let packaged = concat!(env!("CARGO_MANIFEST_DIR"), "/../xtask/src/dist/content.rs");
        let packaged = std::fs::read_to_string(packaged).unwrap();
        let packaged = packaged.lines().find(|line| line.starts_with("pub const VERBS")).unwrap();
        let packaged: Vec<&str> = packaged.split('"').skip(1).step_by(2).collect();
        assert_eq!(packaged, names::VERBS, "xtask/src/dist/content.rs: verbs with a manual page");
        assert_eq!(pages().into_iter().map(|(verb, _)| verb).collect::<Vec<_>>(), names::VERBS, "pages()");
        let tables = classic::page();
        for (verb, page) in pages() {
            let called = parse(["netstat-user", verb, "--man"].map(OsString::from), false);
            assert_eq!(called, Ok(Invocation::Print(page.man())), "parse() does not call {verb}");
            assert!(!help::short_of(verb).is_empty(), "help/short.rs: {verb} -h");
            assert!(tables.synopsis.iter().any(|line| line.starts_with(&format!("netstat-user {verb} "))), "{verb}");
            assert!(
                classic::man_page().contains(&format!(".SH \"{}\"", verb.to_uppercase())),
                "the manual page of the program: {verb}"
            );
            assert!(help::short_of("").contains(&format!("netstat-user {verb} ")), "-h of the program: {verb}");
        }
    }

    #[test]
    fn a_link_named_netstat_has_no_verbs() {
        let parsed = |line: &str| parse(line.split(' ').map(OsString::from), false);
        for program in ["netstat", "/usr/bin/netstat"] {
            assert!(matches!(parsed(&format!("{program} events")), Ok(Invocation::Classic(_))), "{program}");
        }
        assert!(matches!(parsed("netstat-user events"), Ok(Invocation::Events(_))));
        let refused = parsed("/bin/netstat -k").unwrap_err();
        assert_eq!(refused.reason.unwrap().values[0], b"/bin/netstat", "as getopt_long names it");
    }
}
