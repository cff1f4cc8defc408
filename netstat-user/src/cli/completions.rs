//! What a shell completes: options, verbs and the words that their values are made of.
//!
//! The shell's script (`--completions bash`) calls the program with [`VARIABLE`] in the environment and the words typed so far as arguments.
//! So a script never grows old, and a list behind a comma is completed as its first word is.

use super::classic;
use super::shells::SHELLS;
pub use super::shells::{VARIABLE, script};
use crate::field::FIELDS;
use crate::model::{Proto, TcpState};
use clap::{Arg, Command, ValueHint};
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate};
use clap_complete::env::Shells;
use std::ffi::{OsStr, OsString};
use std::io;

/// The whole command line as one tree, with the words of every value that has any.
pub fn command() -> Command {
    // Each is called as it is typed, and not by its whole name as in its help.
    let verbs = super::pages().into_iter().map(|(name, page)| page.command.name(name).mut_args(valued));
    classic::command().mut_args(valued).subcommands(verbs).disable_help_subcommand(true)
}

/// Gives an option the words of its value, by its name: the same options stand in several verbs.
fn valued(arg: Arg) -> Arg {
    let words: fn() -> Vec<CompletionCandidate> = match arg.get_long() {
        Some("proto") => || named(Proto::ALL.into_iter().map(Proto::name)),
        Some("state") => || named(TcpState::ALL.into_iter().map(TcpState::name)),
        Some("protocol") => || named(classic::FAMILY_NAMES.into_iter()),
        Some("event") => || named(EVENTS.into_iter()),
        Some("columns" | "count-by") => || fields("").collect(),
        Some("sort") => || fields("").chain(fields("-")).collect(),
        Some("where") => return arg.add(ArgValueCompleter::new(expression)),
        Some("completions") => || named(SHELLS.into_iter()),
        Some("agent" | "socket") => return arg.value_hint(ValueHint::FilePath),
        _ => return arg,
    };
    let arg = arg.add(ArgValueCandidates::new(words));
    match arg.get_long() {
        Some("completions") => arg,
        // The parser of the classic command line splits lists itself.
        _ => arg.value_delimiter(','),
    }
}

/// The events of `events --event`.
const EVENTS: [&str; 3] = ["open", "state", "close"];

/// The fields by their names, each with what it means.
fn fields(prefix: &str) -> impl Iterator<Item = CompletionCandidate> {
    FIELDS
        .iter()
        .map(move |spec| CompletionCandidate::new(format!("{prefix}{}", spec.name)).help(Some(spec.doc.into())))
}

/// The last word of an expression may be a field, whatever stands before it.
fn expression(typed: &OsStr) -> Vec<CompletionCandidate> {
    let Some(typed) = typed.to_str() else { return Vec::new() };
    let begin = typed.rfind([' ', '(', '!']).map_or(0, |at| at + 1);
    let (before, word) = typed.split_at(begin);
    let matching = FIELDS.iter().filter(|spec| spec.name.starts_with(word));
    matching
        .map(|spec| CompletionCandidate::new(format!("{before}{}", spec.name)).help(Some(spec.doc.into())))
        .collect()
}

fn named(names: impl Iterator<Item = &'static str>) -> Vec<CompletionCandidate> {
    names.map(CompletionCandidate::new).collect()
}

/// What the shell asks for, ready to be printed; `argv` is that of the program, as the script calls it: `netstat-user -- WORD…`.
///
/// # Errors
/// The shell is unknown, or says that it is at a word that is not there.
pub fn answer(shell: &str, argv: impl IntoIterator<Item = OsString>) -> io::Result<Vec<u8>> {
    let unknown = || io::Error::other(format!("{VARIABLE}={shell}: the shells are {}", SHELLS.join(", ")));
    let shells = Shells::builtins();
    let completer = shells.completer(shell).ok_or_else(unknown)?;
    let words = argv.into_iter().skip_while(|word| word != "--").skip(1).collect();
    let mut answer = Vec::new();
    completer.write_complete(&mut command(), words, None, &mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What completes the last word of a line.
    fn completed(line: &str) -> Vec<String> {
        let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
        let last = words.len() - 1;
        let found = clap_complete::engine::complete(&mut command(), words, last, None).unwrap();
        found.iter().map(|candidate| candidate.get_value().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn options_and_verbs_complete() {
        assert_eq!(completed("netstat-user --lis"), ["--listening"]);
        assert_eq!(completed("netstat-user --all-n"), ["--all-netns"]);
        assert_eq!(completed("netstat-user ev"), ["events"]);
        assert_eq!(completed("netstat-user events --dur"), ["--duration"]);
        assert_eq!(completed("netstat-user agent --recent-"), ["--recent-count"]);
        assert!(completed("netstat-user ").contains(&"doctor".to_owned()));
    }

    #[test]
    fn values_complete_also_behind_a_comma() {
        assert_eq!(completed("netstat-user events --proto udpl"), ["udplite", "udplite6"]);
        assert_eq!(completed("netstat-user events --state ESTABLISHED,TIME"), ["ESTABLISHED,TIME_WAIT"]);
        assert_eq!(completed("netstat-user events --state=LIS"), ["--state=LISTEN"]);
        assert_eq!(completed("netstat-user events --probe raw"), ["raw_tp"]);
        assert_eq!(completed("netstat-user -A inet,ne"), ["inet,netrom"]);
        assert_eq!(completed("netstat-user --completions f"), ["fish"]);
    }

    #[test]
    fn fields_complete_wherever_they_may_be_named() {
        let complete = |option: &'static str, word: &str| {
            let mut command = Command::new("netstat-user").arg(Arg::new(option).long(option)).mut_args(valued);
            let words = ["netstat-user".into(), format!("--{option}").into(), word.into()].to_vec();
            let found = clap_complete::engine::complete(&mut command, words, 2, None).unwrap();
            found.iter().map(|found| found.get_value().to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(complete("columns", "local.addr,remote.p"), ["local.addr,remote.port"]);
        assert_eq!(complete("count-by", "coo"), ["cookie"]);
        assert_eq!(complete("sort", "proto,-coo"), ["proto,-cookie"]);
        assert_eq!(complete("where", "state=LISTEN and not(local.po"), ["state=LISTEN and not(local.port"]);
        assert_eq!(complete("event", "clo"), ["close"]);
    }

    #[test]
    fn every_shell_has_a_script() {
        for shell in SHELLS {
            let script = script(shell).unwrap();
            assert!(script.contains(VARIABLE) && script.contains("netstat-user"), "{script}");
        }
        assert_eq!(script("csh"), None);
        assert!(answer("csh", []).is_err());
    }

    #[test]
    fn the_tree_is_sound_and_has_every_verb() {
        command().debug_assert();
        let verbs: Vec<_> = command().get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
        // Each is a verb to the parser: its `--help` is no table.
        for verb in &verbs {
            let help = crate::cli::parse(["netstat-user".into(), verb.into(), "--help".into()]);
            assert!(matches!(help, Ok(crate::cli::Request::Print(_))), "{verb}");
        }
        // And the other way round: the synopsis names no verb that does not complete.
        for line in classic::command().render_usage().to_string().lines() {
            let words: Vec<_> = line.trim_start().trim_start_matches("Usage: ").split(' ').collect();
            if let ["netstat-user", verb, ..] = words[..]
                && !verb.starts_with('[')
            {
                assert!(verbs.iter().any(|known| known == verb), "{verb} does not complete");
            }
        }
    }
}
