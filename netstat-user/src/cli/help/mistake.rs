//! What is wrong with the command line of a verb, in the form that every message has: the option, its value, what is accepted, the way out.

use super::{AllPages, Page, valued};
use crate::cli::Refusal;
use crate::cli::select::instead_of_option;
use crate::field::{RowKinds, nearest};
use crate::model::visible::{escape_lines, escape_text};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};
use std::any::TypeId;
use std::error::Error;
use std::ffi::OsString;
use std::fmt::Display;
use std::path::PathBuf;

/// A wrong command line of `netstat-user VERB`, as `command` names it. What could drive a terminal in it is made visible.
pub fn wrong(command: &str, what: &dyn Display) -> Refusal {
    Refusal { reason: None, message: escape_lines(&format!("{command}: {what}\n")), exit: 2 }
}

/// The first word that should be text, and is none: which option's value it is, clap does not say.
pub fn not_text(command: &Command, argv: &[OsString]) -> Refusal {
    let is_path = |arg: &Arg| arg.get_value_parser().type_id() == TypeId::of::<PathBuf>();
    let mut before = None;
    let mut what = "a value is not UTF-8".to_owned();
    for word in argv.iter().skip(1) {
        let option = before.take();
        if let Some(word) = word.to_str() {
            before = if option.is_some() { None } else { valued(command, word) };
            continue;
        }
        let bytes = word.as_encoded_bytes();
        let at = bytes.iter().position(|&byte| byte == b'=').unwrap_or(0);
        let within = || valued(command, str::from_utf8(&bytes[..at]).ok()?).map(|arg| (arg, &bytes[at + 1..]));
        let found = option.map(|arg| (arg, bytes)).or_else(within);
        let shown = |bytes: &[u8]| String::from_utf8_lossy(&escape_text(bytes)).into_owned();
        match found {
            Some((arg, _)) if is_path(arg) => continue,
            Some((arg, value)) => {
                let name = arg.get_long().unwrap_or_default();
                what = format!("--{name}: `{}' is not accepted: write it in UTF-8", shown(value));
            }
            None => what = format!("`{}' is not UTF-8", shown(bytes)),
        }
        break;
    }
    wrong(command.get_name(), &what)
}

/// What clap found wrong; `all` has the options that other pages than this command's have.
pub fn refusal(command: &str, error: &clap::Error, all: AllPages) -> Refusal {
    wrong(command, &sentence(command, error, all))
}

fn sentence(command: &str, error: &clap::Error, all: AllPages) -> String {
    let option = text(error, ContextKind::InvalidArg).unwrap_or_default();
    let value = text(error, ContextKind::InvalidValue).unwrap_or_default();
    let help = format!("{command} --help lists the options");
    match error.kind() {
        ErrorKind::UnknownArgument if option.starts_with('-') => {
            let pages = all();
            match instead(command, &option, &pages) {
                Some(way) => format!("there is no option `{option}': {help}; {way}"),
                None => {
                    let whose = whose(command, &option, &pages);
                    let meant = meant(command, &option, &pages);
                    format!("there is no option `{option}'{whose}: {help}{meant}")
                }
            }
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
        ErrorKind::TooManyValues => format!("{option}: it takes no value: leave `={value}' out"),
        _ => format!("{}: {help}", error.kind()),
    }
}

/// The names of the options that a verb has, as `command` names it.
fn own_options<'p>(command: &str, pages: &'p [(&str, Page)]) -> Option<(&'p str, Vec<&'p str>)> {
    let (verb, page) = pages.iter().find(|(verb, _)| is_of(command, verb))?;
    Some((verb, page.command.get_arguments().filter_map(|arg| arg.get_long()).collect()))
}

/// Whether `command` is the command line of the verb; the program's own, without a verb, is none.
fn is_of(command: &str, verb: &str) -> bool {
    !verb.is_empty() && command.ends_with(verb)
}

/// What to write in place of an option that no verb has, or another one for something else, where conditions say it.
fn instead(command: &str, option: &str, pages: &[(&str, Page)]) -> Option<String> {
    let (verb, own) = own_options(command, pages)?;
    own.contains(&"where").then(|| instead_of_option(option.trim_start_matches('-'), rows(verb), &own)).flatten()
}

/// Which other command line has an option that the verb does not have, if one does.
fn whose(command: &str, option: &str, pages: &[(&str, Page)]) -> String {
    let Some(name) = option.strip_prefix("--") else { return String::new() };
    let has = |page: &Page| page.command.get_arguments().any(|arg| arg.get_long() == Some(name));
    if pages.iter().any(|(verb, page)| verb.is_empty() && has(page)) {
        return " here, it is an option of the tables".to_owned();
    }
    let others = pages.iter().filter(|(verb, page)| !is_of(command, verb) && has(page));
    let names: Vec<&str> = others.map(|(verb, _)| *verb).collect();
    if names.is_empty() { String::new() } else { format!(" here, it is an option of {}", names.join(" and ")) }
}

/// The option of the verb that was probably meant.
fn meant(command: &str, option: &str, pages: &[(&str, Page)]) -> String {
    let Some((verb, own)) = own_options(command, pages) else { return String::new() };
    let near = match of_others(option).filter(|_| verb == "events") {
        Some(way) => Some(way),
        // What is right elsewhere is no slip of a finger.
        None if whose(command, option, pages).is_empty() => nearest(option.trim_start_matches('-'), own),
        None => None,
    };
    near.map_or_else(String::new, |near| format!("; did you mean `--{near}'?"))
}

/// What tcplife, tcpstates and the tables have a letter for.
fn of_others(option: &str) -> Option<&'static str> {
    Some(match option {
        "-p" => "pid PID",
        "-L" => "lport PORT",
        "-D" => "rport PORT",
        "-t" => "proto tcp",
        "-u" => "proto udp",
        "-4" => "proto tcp4,udp4",
        "-6" => "proto tcp6,udp6",
        _ => return None,
    })
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
    let text = if is_option { text.split([' ', '=']).next().unwrap_or_default() } else { text };
    Some(String::from_utf8_lossy(&escape_text(text.as_bytes())).into_owned())
}

#[cfg(test)]
mod tests {
    use crate::cli::parse;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    #[test]
    fn what_is_no_text_is_named_with_its_option() {
        let said = |words: &[&[u8]]| {
            let argv = [&b"netstat-user"[..]].into_iter().chain(words.iter().copied());
            parse(argv.map(|word| OsString::from_vec(word.to_vec())), false).unwrap_err().message
        };
        let accepted = "netstat-user events: --netns: `a\\xff' is not accepted: write it in UTF-8\n";
        assert_eq!(said(&[b"events", b"--netns", b"a\xff"]), accepted);
        assert_eq!(said(&[b"events", b"--json", b"--netns=a\xff"]), accepted);
        assert_eq!(
            said(&[b"events", b"--agent", b"/\xff", b"--netns", b"a\xff"]),
            accepted,
            "a path may have such bytes"
        );
        assert_eq!(
            said(&[b"agent", b"--group", b"\xff"]),
            "netstat-user agent: --group: `\\xff' is not accepted: write it in UTF-8\n"
        );
        assert_eq!(
            said(&[b"kill", b"--where", b"\xff"]),
            "netstat-user kill: --where: `\\xff' is not accepted: write it in UTF-8\n"
        );
    }

    /// The expression is shown with its mark, and nothing in it drives the terminal.
    #[test]
    fn a_wrong_expression_is_shown_without_its_controls() {
        let argv = ["netstat-user", "events", "--where", "\x1b[31mx"].map(OsString::from);
        let said = parse(argv, false).unwrap_err().message;
        assert!(said.lines().count() == 3 && !said.contains('\x1b'), "{said}");
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!((lines[1], lines[2]), ("  \\x1b[31mx", "  ^^^^^^^^^"), "{said}");
    }

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
                "events: there is no option `--csv': netstat-user events --help lists the options; there is no CSV: --json prints one object per line, --columns ",
            ),
            (
                "kill --csv",
                "kill: there is no option `--csv': netstat-user kill --help lists the options; there is no CSV: --json prints one object per line\n",
            ),
            (
                "kill --user root",
                "kill: there is no option `--user': netstat-user kill --help lists the options; did you mean `--where \"user = TEXT\"'?\n",
            ),
            (
                "kill --sport 80",
                "kill: there is no option `--sport': netstat-user kill --help lists the options; did you mean `--lport'?\n",
            ),
            (
                "events --dport=80",
                "events: there is no option `--dport': netstat-user events --help lists the options; did you mean `--rport'?\n",
            ),
            ("events --json=x", "events: --json: it takes no value: leave `=x' out\n"),
            (
                "events \x1b[31mx",
                "events: `\\x1b[31mx' belongs to no option: netstat-user events --help lists the options\n",
            ),
            ("events --pid \x1b[31m", "events: --pid: `\\x1b[31m' is no process id: "),
            ("events --count \x1b\n", "events: --count: `\\x1b\\n' is not accepted: "),
            ("events --\x1b[1m", "events: there is no option `--\\x1b[1m': "),
            ("agent --share \x1b", "agent: --share: `\\x1b' is not accepted: "),
            ("kill --lport \x1b", "kill: --lport: expected a port such as `:80' or `:ssh', not `\\x1b'\n"),
            (
                "events -L 80",
                "events: there is no option `-L': netstat-user events --help lists the options; did you mean `--lport PORT'?\n",
            ),
            (
                "events -p 12",
                "events: there is no option `-p': netstat-user events --help lists the options; did you mean `--pid PID'?\n",
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
                "doctor: there is no option `--life' here, it is an option of events: netstat-user doctor --help lists the options\n",
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
            let refusal = parse(argv, false).unwrap_err();
            assert!(refusal.message.starts_with(&format!("netstat-user {said}")), "{line}: {}", refusal.message);
            assert_eq!((refusal.message.lines().count(), refusal.exit), (1, 2), "{line}: {}", refusal.message);
        }
    }
}
