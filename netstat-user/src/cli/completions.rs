//! What a shell completes: options, verbs and the words that their values are made of.
//!
//! The shell's script (`--completions bash`) calls the program with [`VARIABLE`] in the environment and the words typed so far as arguments.
//! So a script never grows old, and a list behind a comma is completed as its first word is.

mod words;

use super::shells::SHELLS;
pub use super::shells::{VARIABLE, script};
use super::{classic, events};
use crate::field::RowKinds;
use crate::model::EventName;
use clap::{Arg, Command, ValueHint};
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate};
use clap_complete::env::Shells;
use std::ffi::{OsStr, OsString};
use std::io;
use words::named;

/// The whole command line as one tree, with the words of every value that has any; `typed` are the words before the one that is completed,
/// and `word` is that one, as far as it is typed.
pub fn command(typed: &[OsString], word: &OsStr) -> Command {
    let known = TypedWords::of(typed, word);
    let valued = |arg: Arg| valued(arg, &known);
    // A link named netstat has no verbs.
    if typed.first().is_some_and(|program| super::is_netstat(program)) {
        return classic::command().mut_args(valued).disable_help_subcommand(true);
    }
    // Each is called as it is typed, and not by its whole name as in its help.
    let verbs = super::pages().into_iter().map(|(name, page)| page.command.name(name).mut_args(valued));
    classic::command().mut_args(valued).subcommands(verbs).disable_help_subcommand(true)
}

/// What the words that are typed say of the values of the one that is completed.
#[derive(Clone)]
struct TypedWords {
    /// The rows that are listed.
    rows: RowKinds,
    /// Whether rows are counted, and by which fields.
    counted: Vec<String>,
    /// What stands in the list already, before its last comma.
    listed: Vec<String>,
}

impl TypedWords {
    fn of(typed: &[OsString], word: &OsStr) -> Self {
        let rows = match typed.get(1).and_then(|verb| verb.to_str()) {
            Some("events") => events::listed(typed.iter().any(|word| word == "--life")),
            Some("kill") => RowKinds::INET,
            _ => classic::listed(typed),
        };
        let mut words = typed.iter().filter_map(|word| word.to_str());
        let mut counted = Vec::new();
        while let Some(word) = words.next() {
            let value = if word == "--count-by" { words.next() } else { word.strip_prefix("--count-by=") };
            counted.extend(value.into_iter().flat_map(|names| names.split(',')).map(str::to_owned));
        }
        let word = word.to_str().unwrap_or_default();
        let value = word.split_once('=').filter(|_| word.starts_with("--")).map_or(word, |(_, value)| value);
        let listed = value.rsplit_once(',').map_or("", |(listed, _)| listed);
        Self { rows, counted, listed: listed.split(',').map(str::to_owned).collect() }
    }

    /// Those that the list does not have yet; a key has one order.
    fn unlisted(&self, candidates: Vec<CompletionCandidate>) -> Vec<CompletionCandidate> {
        let key = |word: &str| word.trim_start_matches('-').to_owned();
        let has = |candidate: &CompletionCandidate| {
            let word = key(&candidate.get_value().to_string_lossy());
            self.listed.iter().any(|listed| key(listed) == word)
        };
        candidates.into_iter().filter(|candidate| !has(candidate)).collect()
    }

    /// What rows can be sorted by, or their counts where they are counted.
    fn keys(&self) -> Vec<CompletionCandidate> {
        let prefixed = |prefix: &str| match &self.counted[..] {
            [] => words::fields(self.rows, prefix),
            fields => named(fields.iter().map(String::as_str).chain(["count"]).map(|name| format!("{prefix}{name}"))),
        };
        prefixed("").into_iter().chain(prefixed("-")).collect()
    }
}

/// Gives an option the words of its value, by its name: the same options stand in several verbs.
fn valued(arg: Arg, known: &TypedWords) -> Arg {
    let rows = known.rows;
    let words: Box<dyn Fn() -> Vec<CompletionCandidate> + Send + Sync> = match arg.get_long() {
        Some("proto") => Box::new(move || named(words::protocols(rows))),
        Some("protocol") => Box::new(|| named(classic::FAMILY_NAMES)),
        Some("event") => Box::new(|| named(EventName::ALL.map(EventName::name))),
        Some("columns" | "count-by") => Box::new(move || words::fields(rows, "")),
        Some("sort") => {
            let known = known.clone();
            Box::new(move || known.keys())
        }
        Some("completions") => return arg.add(ArgValueCandidates::new(|| named(SHELLS))),
        Some("state") => {
            let known = known.clone();
            let states = move |typed: &OsStr| known.unlisted(words::states(typed));
            return arg.add(ArgValueCompleter::new(states)).value_delimiter(',');
        }
        Some("where") => return arg.add(ArgValueCompleter::new(move |typed: &OsStr| words::expression(typed, rows))),
        // A socket is no regular file.
        Some("agent" | "socket") => return arg.value_hint(ValueHint::AnyPath),
        _ => return arg,
    };
    // What is greatest comes first behind a dash.
    let dash = arg.get_long() == Some("sort");
    let known = known.clone();
    // The parser of the classic command line splits lists itself.
    arg.add(ArgValueCandidates::new(move || known.unlisted(words()))).value_delimiter(',').allow_hyphen_values(dash)
}

/// A shell that there are no completions for.
#[derive(Debug, thiserror::Error)]
#[error("{VARIABLE}={0}: the shells are {shells}", shells = SHELLS.join(", "))]
struct UnknownShell(String);

/// What the shell asks for, ready to be printed; `argv` is that of the program, as the script calls it: `netstat-user -- WORD…`, up to the
/// word that is completed.
///
/// # Errors
/// The shell is unknown, or says that it is at a word that is not there.
pub fn answer(shell: &str, argv: impl IntoIterator<Item = OsString>) -> io::Result<Vec<u8>> {
    let unknown = || io::Error::new(io::ErrorKind::InvalidInput, UnknownShell(shell.to_owned()));
    let shells = Shells::builtins();
    let completer = shells.completer(shell).ok_or_else(unknown)?;
    let mut words: Vec<OsString> = argv.into_iter().skip_while(|word| word != "--").skip(1).collect();
    if let Some(unquoted) = words.last().and_then(|word| unquoted(word)) {
        words.pop();
        words.push(unquoted);
    }
    let (word, before) = words.split_last().map_or((OsStr::new(""), &[][..]), |(word, before)| (word, before));
    // Paths that are not absolute are the shell's, which is in the same folder.
    let folder = std::env::current_dir().ok();
    let mut answer = Vec::new();
    completer.write_complete(&mut command(before, word), words.clone(), folder.as_deref(), &mut answer)?;
    Ok(answer)
}

/// A word without the quote that is still open in it, which zsh and fish pass on; what they complete has none.
fn unquoted(word: &OsStr) -> Option<OsString> {
    let word = word.to_str()?;
    let value = word.find('=').filter(|_| word.starts_with("--")).map_or(0, |at| at + 1);
    let rest = word[value..].strip_prefix(['\'', '"'])?;
    Some(format!("{}{rest}", &word[..value]).into())
}

#[cfg(test)]
mod tests;
