//! The classic command line: netstat's own options, and ours beside them.
//!
//! [`definitions`] holds every option once, as clap arguments: the help text, the man page and the parser all read them
//! from there. The parser is [`getopt`]'s, not clap's, because netstat's rules (operands ignored, prefixes, errors in
//! the order of the words) are getopt_long's.

mod definitions;
mod getopt;
mod meant;
mod options;
mod schema;

use super::select::{GivenOptions, SelectError, Selection};
use super::value::{ValueError, duration};
use super::{Colour, Invocation, Refusal, RefusalReason, shells};
use crate::field::RowKinds;
use crate::filter::{Spelling, WordError, protos};
use crate::model::visible::escape_lines;
use clap::ValueEnum;
use definitions::id;
pub use definitions::{command, man_page, page};
use getopt::{Getopt, Met};
pub use options::{AgentChoice, FAMILY_NAMES, Family, Filter, Numeric, Options, Protocols, Tables, View, Want};
use std::ffi::{OsStr, OsString};

/// Reads netstat's options; `argv` includes the program's name. Words are served in order, as getopt does: what stands
/// after `--help` or after a wrong option is never looked at; with `posix` neither is what stands after a word that is no option.
///
/// # Errors
/// A [`Refusal`] with netstat's exit code.
pub fn parse(argv: &[OsString], posix: bool) -> Result<Invocation, Refusal> {
    let called = argv.first().map_or(OsStr::new("netstat-user"), OsString::as_os_str);
    let program = super::program(called);
    let (netstats, ours) = (definitions::netstats(), definitions::ours());
    let mut getopt = Getopt::new(&netstats, &ours, argv.get(1..).unwrap_or_default(), posix);
    let (mut given, mut select) = (Options::default(), GivenOptions::default());
    let mut views = 0;
    loop {
        let met = match getopt.next() {
            Ok(Some(met)) => met,
            Ok(None) => break,
            Err(error) => {
                let meant = match &error {
                    getopt::Error::Unrecognized(word) => meant::by_name(&getopt, &String::from_utf8_lossy(word)),
                    getopt::Error::Invalid(letter) => meant::by_letter(*letter).map(str::to_owned),
                    _ => None,
                };
                let mut refusal = usage(Some(error.reason(called)));
                refusal.message.extend(meant.map(|meant| format!("{meant}\n")));
                return Err(refusal);
            }
        };
        match met.id {
            id::MAN => return Ok(Invocation::Print(man_page())),
            id::COMPLETIONS => {
                let shell = met.value.to_string_lossy();
                return match shells::script(&shell) {
                    Some(script) => Ok(Invocation::Print(script)),
                    None => {
                        let text = "%s: --completions: `%s' is not accepted: write one of bash zsh fish\n";
                        Err(refuse(own(text, &[program, &shell]), 3))
                    }
                };
            }
            id::HELP => return Ok(Invocation::Print(page().long())),
            id::SHORT_HELP => return Ok(Invocation::Print(page().short())),
            id::VERSION => return Ok(Invocation::Version),
            // `-?` is a question mark to getopt: no message of its own.
            id::QUESTION => return Err(usage(None)),
            id::CONTEXT => return Ok(Invocation::Contexts),
            id::ROUTE | id::INTERFACES | id::STATISTICS | id::MASQUERADE => views += 1,
            _ => {}
        }
        // `--proto' is netstat's `--protocol' where no protocol stands behind it.
        if met.id == Spelling::Proto.option() && !has_protocol(met.value) {
            let protocol = Met { id: id::PROTOCOL, value: met.value };
            take(&mut given, &protocol, program).map_err(|refusal| with_protocol(refusal, met.value))?;
        } else if !select.take(met.id, met.value).map_err(|error| wrong(program, &error))? {
            take(&mut given, &met, program)?;
        } else if select.asks_for_help() {
            return Ok(Invocation::Fields(RowKinds::ALL));
        }
    }
    let words: Vec<_> = getopt.ignored().iter().map(|word| word.to_string_lossy()).collect();
    // A verb stands first.
    let first = argv.get(1).filter(|first| getopt.ignored().first() == Some(&first.as_os_str()));
    given.remark = match words.is_empty() {
        // Standard error is netstat's, too, which says nothing of these.
        _ if super::is_netstat(called) => None,
        false => Some(meant::by_words(&words.join(" "), first.and_then(|first| first.to_str()), &given)),
        true => meant::by_letters(&given).map(str::to_owned),
    };
    if views > 1 {
        let text = "%s: only one of -r, -i, -s and -M can be given, and only once\n";
        return Err(usage(Some(own(text, &[program]))));
    }
    beyond(&given, program)?;
    if select.first().is_some() {
        given.selection = selection(&mut given, select, program)?;
    }
    let mut named =
        given.selection.columns.iter().chain(&given.selection.count_by).map(|column| column.name()).peekable();
    if given.info && named.peek().is_some() && !named.any(|name| name.starts_with("info.")) {
        let text = "%s: --info adds lines to the tables: it has no effect with --columns or --count-by, which show the fields that they name, such as \
                    info.rtt_us\n";
        return Err(usage(Some(own(text, &[program]))));
    }
    if given.schema {
        return Ok(Invocation::Print(schema::of(&given)));
    }
    Ok(Invocation::Classic(given))
}

/// Whether a word is the name of a protocol, and not of a family.
fn has_protocol(words: &OsStr) -> bool {
    let is_one = |word: &str| Family::parse(word.as_bytes()).is_none() && protos(word).is_ok();
    words.to_str().is_some_and(|words| words.split(',').any(is_one))
}

/// The refusal of a family, with the protocol that was probably meant by it.
fn with_protocol(mut refusal: Refusal, words: &OsStr) -> Refusal {
    let near = |word: &str| match protos(word) {
        Err(WordError::Proto { near, .. }) => near,
        _ => None,
    };
    let meant = words.to_str().and_then(|words| words.split(',').find_map(near));
    refusal.message.extend(meant.map(|meant| format!("did you mean `{meant}'?\n")));
    refusal
}

/// Reads the options that select, for the tables that are printed.
fn selection(given: &mut Options, select: GivenOptions, program: &str) -> Result<Selection, Refusal> {
    letters(given, &select);
    if let Some(option) = select.first().filter(|_| !can_select(given)) {
        let text = "%s: --%s selects Internet and UNIX sockets: it cannot be given with other families and views\n";
        return Err(usage(Some(own(text, &[program, option]))));
    }
    select.read(rows(given)).map_err(|error| wrong(program, &error))
}

/// Whether the view is one of rows that can be selected.
fn can_select(given: &Options) -> bool {
    let tables = given.tables();
    let asked = [tables.ipx, tables.ax25, tables.x25, tables.netrom, tables.rose].contains(&Want::Asked);
    let others = asked || tables.groups || tables.bluetooth || tables.tableless.is_some();
    given.view() == View::Tables && !others
}

/// Protocols by name stand for netstat's letters where there are none.
fn letters(given: &mut Options, select: &GivenOptions) {
    if given.families.is_empty() && !given.protocols.any() && !given.groups {
        for word in select.spelled(Spelling::Proto).iter().flat_map(|words| words.split(',')) {
            let lower = word.to_ascii_lowercase();
            let letter = match lower.trim_end_matches(['4', '6']) {
                "tcp" => &mut given.protocols.tcp,
                "udp" => &mut given.protocols.udp,
                "udplite" => &mut given.protocols.udplite,
                "raw" => &mut given.protocols.raw,
                _ => &mut given.protocols.sctp,
            };
            *letter = true;
        }
    }
}

/// The kinds of rows that the tables list.
fn rows(given: &Options) -> RowKinds {
    let (tables, mut rows) = (given.tables(), RowKinds::NONE);
    if tables.protocols.any() {
        rows = rows.or(RowKinds::INET);
    }
    if tables.protocols.sctp {
        rows = rows.or(RowKinds::SCTP);
    }
    if tables.unix != Want::No {
        rows = rows.or(RowKinds::UNIX);
    }
    if given.recent.is_some() {
        rows = rows.or(RowKinds::CLOSED);
    }
    rows
}

/// The kinds of rows that a command line lists which is still being typed: the options that select, and what is wrong, are passed over.
pub fn listed(argv: &[OsString]) -> RowKinds {
    let (netstats, ours) = (definitions::netstats(), definitions::ours());
    let mut getopt = Getopt::new(&netstats, &ours, argv.get(1..).unwrap_or_default(), false);
    let (mut given, mut select) = (Options::default(), GivenOptions::default());
    while let Ok(Some(met)) = getopt.next() {
        if !select.take(met.id, met.value).unwrap_or(true) {
            let _ = take(&mut given, &met, "");
        }
    }
    letters(&mut given, &select);
    if given.view() == View::Tables { rows(&given) } else { RowKinds::NONE }
}

/// A wrong value of one of the options that select: it says itself what is right.
fn wrong(program: &str, error: &SelectError) -> Refusal {
    refuse(own("%s: %s\n", &[program, &error.to_string()]), 3)
}

/// Refuses those of our own options that could have no effect.
fn beyond(given: &Options, program: &str) -> Result<(), Refusal> {
    let tables = given.tables();
    let sockets = given.view() == View::Tables;
    let others = [tables.ipx, tables.ax25, tables.x25, tables.netrom, tables.rose];
    let text = match () {
        () if given.recent.is_some() && given.agent == AgentChoice::Never => {
            "%s: --recent asks the agent: it cannot be given with --no-agent\n"
        }
        () if given.recent.is_some() && !(sockets && tables.protocols.any()) => {
            "%s: --recent lists Internet sockets: it can be given with -t, -u, -U, -w, or with none of the families and views\n"
        }
        () if given.all_netns && (!sockets || tables.groups || others.contains(&Want::Asked)) => {
            "%s: --all-netns lists Internet and UNIX sockets: it cannot be given with other families and views\n"
        }
        () if given.info && !(sockets && tables.protocols.tcp) => {
            "%s: --info shows TCP connections: it can be given with -t, or with none of the families and views\n"
        }
        () => return Ok(()),
    };
    Err(usage(Some(own(text, &[program]))))
}

/// Notes one option.
fn take(given: &mut Options, met: &Met<'_>, program: &str) -> Result<(), Refusal> {
    match met.id {
        id::ROUTE => given.route = true,
        id::INTERFACES => given.interfaces = true,
        id::STATISTICS => given.statistics = true,
        id::MASQUERADE => given.masquerade = true,
        id::GROUPS => given.groups = true,
        id::TCP => given.protocols.tcp = true,
        id::SCTP => given.protocols.sctp = true,
        id::UDP => given.protocols.udp = true,
        id::UDPLITE => given.protocols.udplite = true,
        id::RAW => given.protocols.raw = true,
        id::L2CAP | id::RFCOMM => given.bluetooth = true,
        id::ALL => given.all = true,
        id::LISTENING => given.listening = true,
        id::NUMERIC => given.numeric = Numeric { hosts: true, ports: true, users: true },
        id::NUMERIC_HOSTS => given.numeric.hosts = true,
        id::NUMERIC_PORTS => given.numeric.ports = true,
        id::NUMERIC_USERS => given.numeric.users = true,
        id::SYMBOLIC => given.symbolic = true,
        id::EXTEND => given.extend += 1,
        id::PROGRAMS => given.programs = true,
        id::TIMERS => given.timers = true,
        id::WIDE => given.wide = true,
        id::CONTINUOUS => given.continuous = true,
        id::VERBOSE => given.verbose = true,
        id::FIB => given.fib = true,
        id::CACHE => given.cache = true,
        id::DEBUG => {}
        id::PROTOCOL => {
            for word in met.value.as_encoded_bytes().split(|&b| b == b',') {
                let family = Family::parse(word).ok_or_else(|| {
                    let values = vec![word.to_vec()];
                    refuse(RefusalReason { text: "Unknown address family `%s'.\n", values }, 1)
                })?;
                given.families.push(family);
            }
        }
        id::JSON => given.json = true,
        id::SCHEMA => given.schema = true,
        id::COLOR => {
            given.color = met.value.to_str().and_then(|when| Colour::from_str(when, false).ok()).ok_or_else(|| {
                let text = "%s: --color: `%s' is not accepted: write one of auto always never\n";
                refuse(own(text, &[program, &met.value.to_string_lossy()]), 3)
            })?;
        }
        id::ALL_NETNS => given.all_netns = true,
        id::INFO => given.info = true,
        id::NO_AGENT => given.agent = AgentChoice::Never,
        id::AGENT => given.agent = AgentChoice::At(met.value.into()),
        id::RECENT => {
            let recent = met.value.to_str().map_or(Err(ValueError::Duration), duration).map_err(|error| {
                let text = "%s: --recent: `%s' is not accepted: %s\n";
                refuse(own(text, &[program, &met.value.to_string_lossy(), &error.to_string()]), 3)
            })?;
            given.recent = Some(recent);
        }
        // All others are the families with an option of their own, whose ids are their names.
        family => given.families.extend(Family::parse(family.as_bytes())),
    }
    Ok(())
}

/// A reason in our own words: what could drive a terminal in its values is made visible. netstat's reasons have the bytes that were typed.
fn own(text: &'static str, values: &[&str]) -> RefusalReason {
    RefusalReason { text, values: values.iter().map(|value| escape_lines(value).into_bytes()).collect() }
}

/// A wrong command line: the reason, then how to write a right one.
fn usage(reason: Option<RefusalReason>) -> Refusal {
    Refusal { reason, message: definitions::usage().to_string(), exit: 3 }
}

const fn refuse(reason: RefusalReason, exit: u8) -> Refusal {
    Refusal { reason: Some(reason), message: String::new(), exit }
}

#[cfg(test)]
mod tests;
