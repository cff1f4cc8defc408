//! What is wrong with the command line of a verb, in the form that every message has: the option, its value, what is accepted, the way out.

use super::Page;
use crate::cli::select::instead_of_option;
use crate::cli::{self, Refusal, classic};
use crate::field::{RowKinds, nearest};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::error::Error;
use std::fmt::Display;

/// A wrong command line of `netstat-user VERB`, as `command` names it.
pub fn wrong(command: &str, what: &dyn Display) -> Refusal {
    Refusal { reason: None, message: format!("{command}: {what}\n"), exit: 2 }
}

/// What clap found wrong.
pub fn refusal(command: &str, error: &clap::Error) -> Refusal {
    wrong(command, &sentence(command, error))
}

fn sentence(command: &str, error: &clap::Error) -> String {
    let option = text(error, ContextKind::InvalidArg).unwrap_or_default();
    let value = text(error, ContextKind::InvalidValue).unwrap_or_default();
    let help = format!("{command} --help lists the options");
    match error.kind() {
        ErrorKind::UnknownArgument if option.starts_with('-') => {
            format!("there is no option `{option}'{}: {help}{}", whose(command, &option), meant(command, &option))
        }
        ErrorKind::UnknownArgument => format!("`{option}' belongs to no option: {help}"),
        ErrorKind::InvalidValue if value.is_empty() => format!("{option}: a value is missing{}", accepted(error)),
        ErrorKind::InvalidValue => format!("{option}: `{value}' is not accepted{}", accepted(error)),
        ErrorKind::ValueValidation => {
            let way = error.source().map_or_else(String::new, |source| format!(": {source}"));
            format!("{option}: `{value}' is not accepted{way}")
        }
        ErrorKind::ArgumentConflict => match text(error, ContextKind::PriorArg).filter(|prior| *prior != option) {
            Some(prior) => format!("{option} cannot be given with {prior}: leave one of them out"),
            None => format!("{option} can be given once: leave the other one out"),
        },
        ErrorKind::InvalidUtf8 => format!("a value is not UTF-8: {help}"),
        _ => format!("{}: {help}", error.kind()),
    }
}

/// Whose an option is that the verb does not have, if it is one.
fn whose(command: &str, option: &str) -> String {
    let Some(name) = option.strip_prefix("--") else { return String::new() };
    let has = |page: &Page| page.command.get_arguments().any(|arg| arg.get_long() == Some(name));
    if has(&classic::page()) {
        return " here, it is one of the tables".to_owned();
    }
    let others = cli::pages().into_iter().filter(|(verb, page)| !command.ends_with(verb) && has(page));
    let names: Vec<&str> = others.map(|(verb, _)| verb).collect();
    if names.is_empty() { String::new() } else { format!(" here, it is one of {}", names.join(" and ")) }
}

/// The option of the verb that was probably meant.
fn meant(command: &str, option: &str) -> String {
    let pages = cli::pages();
    let Some((verb, page)) = pages.iter().find(|(verb, _)| command.ends_with(verb)) else { return String::new() };
    let own: Vec<&str> = page.command.get_arguments().filter_map(|arg| arg.get_long()).collect();
    let near = match (option.trim_start_matches('-'), *verb) {
        ("limit", "events") => Some("count"),
        // What is right elsewhere is no slip of a finger.
        (name, _) if whose(command, option).is_empty() => {
            let way = own.contains(&"where").then(|| instead_of_option(name, rows(verb)));
            if let Some(way) = way.flatten() {
                return format!("; {way}");
            }
            nearest(name, own)
        }
        _ => None,
    };
    near.map_or_else(String::new, |near| format!("; did you mean `--{near}'?"))
}

/// The kinds of rows that the conditions of a verb are about.
fn rows(verb: &str) -> RowKinds {
    if verb == "kill" { RowKinds::INET } else { RowKinds::EVENT.or(RowKinds::LIFE) }
}

/// What may be written, where that is a list of words.
fn accepted(error: &clap::Error) -> String {
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(words)) if !words.is_empty() => format!(": write one of {}", words.join(" ")),
        _ => String::new(),
    }
}

/// A word of clap's; of an option its name alone.
fn text(error: &clap::Error, kind: ContextKind) -> Option<String> {
    let text = match error.get(kind)? {
        ContextValue::String(text) => text,
        ContextValue::Strings(several) => several.first()?,
        _ => return None,
    };
    let is_option = kind != ContextKind::InvalidValue && text.starts_with('-');
    Some(if is_option { text.split([' ', '=']).next().unwrap_or_default().to_owned() } else { text.clone() })
}

#[cfg(test)]
mod tests {
    use crate::cli::parse;
    use std::ffi::OsString;

    #[test]
    fn every_mistake_names_the_option_the_value_and_the_way_out() {
        for (line, said) in [
            ("events --count 0", "events: --count: `0' is not accepted: write a whole number from 1 on"),
            ("events --event opened", "events: --event: `opened' is not accepted: write one of open state close"),
            (
                "events --probe perf",
                "events: --probe: `perf' is not accepted: write one of auto tp_btf raw_tp tracepoint fentry kprobe",
            ),
            ("events --count", "events: --count: a value is missing"),
            ("events --color", "events: --color: a value is missing: write one of auto always never"),
            ("events --life --event close", "events: --life cannot be given with --event: leave one of them out"),
            ("events --failed --state LISTEN", "events: --failed cannot be given with --state: leave one of them out"),
            ("events --count 1 --count 2", "events: --count can be given once: leave the other one out"),
            (
                "events --jsn",
                "events: there is no option `--jsn': netstat-user events --help lists the options; did you mean `--json'?",
            ),
            (
                "events --uid 0",
                "events: there is no option `--uid': netstat-user events --help lists the options; did you mean `--where \"uid = N\"'?",
            ),
            (
                "kill --send-q 1",
                "kill: there is no option `--send-q': netstat-user kill --help lists the options; did you mean `--where \"send_q = N\"'?",
            ),
            (
                "events --cols pid",
                "events: there is no option `--cols': netstat-user events --help lists the options; did you mean `--columns'?",
            ),
            (
                "events --csv",
                "events: there is no option `--csv': netstat-user events --help lists the options; there is no CSV: --json prints ",
            ),
            ("events operand", "events: `operand' belongs to no option: netstat-user events --help lists the options"),
            (
                "events --limit 3",
                "events: --sort and --limit are for what --count-by counts: events are printed as they come, and --count N ends after N of them",
            ),
            (
                "events --sort pid",
                "events: --sort and --limit are for what --count-by counts: events are printed as they come, and --count N ends after N of them",
            ),
            (
                "doctor --life",
                "doctor: there is no option `--life' here, it is one of events: netstat-user doctor --help lists the options\n",
            ),
            ("agent --recent-count -1", "agent: --recent-count: `-1' is not accepted: write a whole number from 0 on"),
            ("events --count -1", "events: --count: `-1' is not accepted: write a whole number from 1 on"),
            ("events --duration -5s", "events: --duration: `-5s' is not accepted: write a time above zero"),
            ("agent --mode 8", "agent: --mode: `8' is not accepted: write an octal mode such as 660"),
            ("agent --share some", "agent: --share: `some' is not accepted: write one of own all"),
            ("doctor --agent /x --no-agent", "doctor: --agent cannot be given with --no-agent: leave one of them out"),
            ("events --pid 0", "events: --pid: `0' is no process id: write a number from 1 to 4194304"),
            ("kill --state opened", "kill: --state: `opened' is no state: write one of "),
        ] {
            let argv = std::iter::once("netstat-user").chain(line.split(' ')).map(OsString::from);
            let refusal = parse(argv).unwrap_err();
            assert!(refusal.message.starts_with(&format!("netstat-user {said}")), "{line}: {}", refusal.message);
            assert_eq!((refusal.message.lines().count(), refusal.exit), (1, 2), "{line}: {}", refusal.message);
        }
    }
}
