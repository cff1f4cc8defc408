//! The command line of `events`.

use super::help::AllPages;
use super::names::{EVENTS, MOST_REMEMBERED};
use super::select::{EventArgs, Selection};
use super::value::{duration, event, number, size};
use super::{Colour, Invocation, Refusal, help};
use crate::field::{RowKinds, schema};
use crate::model::EventName;
use clap::{CommandFactory, FromArgMatches, Parser, ValueEnum};
use std::{ffi::OsString, path::PathBuf, time::Duration};

/// Stream what happens to sockets: opened, each TCP state change, closed with totals.
///
/// Standard output has one short line per event: local time, event, protocol, both ends with who connected ("->" the local end, "<-" the
/// remote end), transition or result, owner. A line fits the terminal, or 120 columns. On a narrow terminal it has neither the word for the
/// event nor the state before the transition. What does not fit a terminal, of --life or beside long addresses, follows on indented lines.
/// -v shows everything. A socket outside one's own network namespace has the name or number of its namespace behind an @. Unknown values are
/// shown as "-", in JSON as null.
///
/// Standard error has one line that begins with "tracing:" once every hook is attached: it names each hook; on a terminal, without -v, it has
/// their number. A summary follows at the end: on SIGINT or SIGTERM, after --count or --duration.
///
/// Without --netns every network namespace is seen. pid, ports, protocol, state and namespace are filtered in the kernel.
///
/// The owner is created (the process made the socket), accepted (it took the connection), inherited (the owner of the listener:
/// no process has accepted the connection yet) or scanned (found among the open files). A close has the totals, closed_by (the
/// process that closed the socket, null if the kernel did) and the reason: closed, reset_received, reset_sent, refused,
/// timed_out, unreachable, abandoned (closed before it was established) or unknown.
#[derive(Clone, Debug, PartialEq, Parser)]
#[command(name = EVENTS, bin_name = EVENTS, disable_version_flag = true)]
pub struct Options {
    /// Print JSON Lines; their fields are described by --schema
    #[arg(long)]
    pub json: bool,

    /// Every fact of each event in the text form, and the time in UTC to the nanosecond
    #[arg(short, long)]
    pub verbose: bool,

    /// Only these events: open, state, close; may be given again
    #[arg(long, value_name = "EVENT,…", value_delimiter = ',', value_parser = event, ignore_case = true)]
    pub event: Vec<EventName>,

    /// One line per connection, when it ends: who, to whom, how it ended, how long it lived, bytes, round-trip time, retransmissions, and the
    /// time in its states; without a terminal the line is as long as it needs to be. With --json the close event with "states", an object of
    /// nanoseconds by state
    #[arg(long, conflicts_with_all = ["event", "state"])]
    pub life: bool,

    /// Only connections that were never established, or that ended otherwise than by an orderly close, each with the reason when it
    /// ends
    #[arg(long, conflicts_with_all = ["event", "state"])]
    pub failed: bool,

    /// Which events, and which facts of them.
    #[command(flatten)]
    pub select: EventArgs,

    /// What these options select.
    #[arg(skip)]
    pub selection: Selection,

    /// End after this many lines
    #[arg(long, value_name = "N", value_parser = number::<u64>(1..=u64::MAX), allow_hyphen_values = true)]
    pub count: Option<u64>,

    /// End after this time: 500ms, 1.5s, 5m, 2h, 1d; a bare number is seconds
    #[arg(long, value_name = "DUR", value_parser = duration, allow_hyphen_values = true)]
    pub duration: Option<Duration>,

    /// How to listen to TCP transitions; fentry and kprobe do not see a socket begin to listen, nor a connection come in
    #[arg(long, value_enum, default_value_t = Probe::Auto)]
    pub probe: Probe,

    /// Size of the kernel's ring buffer, rounded up to a power of two: 64K, 16M (4 KiB to 1 GiB)
    #[arg(long, value_name = "SIZE", default_value = "16M", value_parser = size, allow_hyphen_values = true)]
    pub buffer: u32,

    /// How many sockets the kernel programs can remember at least (1 to 16777216); the events of more sockets lack owner and times. The memory,
    /// 168 bytes for each socket, is taken when it is needed. 1048576 unless given; before Linux 6.1 65536, and the memory is taken at the
    /// start
    #[arg(long, value_name = "N", value_parser = number::<u32>(1..=MOST_REMEMBERED.into()), allow_hyphen_values = true)]
    pub remember: Option<u32>,

    /// Read the stream of the agent behind this socket; this takes no privilege but to use the socket. Without this option the same is done
    /// where the privilege to trace is missing and an agent answers on /run/netstat-user/agent.sock
    #[arg(long, value_name = "PATH", conflicts_with_all = ["probe", "buffer", "remember", "debug"])]
    pub agent: Option<PathBuf>,

    /// Exit with 3 if events were lost
    #[arg(long)]
    pub strict: bool,

    /// Show the kernel programs' own debug log on standard error
    #[arg(long)]
    pub debug: bool,

    /// Colour of states, failures and this program's own words in the short lines
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Colour::Auto)]
    pub color: Colour,

    /// Print the JSON Schema of the event lines and exit
    #[arg(long)]
    pub schema: bool,
}

impl Options {
    /// Whether such events are printed, or needed for the lines that are.
    pub fn wants(&self, event: EventName) -> bool {
        match (self.life, self.failed) {
            (true, _) => event != EventName::Open,
            (false, true) => event == EventName::Close,
            (false, false) => self.event.is_empty() || self.event.contains(&event),
        }
    }
}

/// A variant of the hook on TCP transitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Probe {
    /// The best that this kernel has
    Auto,
    /// BTF tracepoint inet_sock_set_state
    TpBtf,
    /// Raw tracepoint inet_sock_set_state
    RawTp,
    /// Classic tracepoint sock:inet_sock_set_state
    Tracepoint,
    /// Entry of tcp_set_state, by trampoline
    Fentry,
    /// Entry of tcp_set_state, by breakpoint
    Kprobe,
}

/// The definition that `--help` and the man page are made from.
pub fn command() -> clap::Command {
    Options::command()
}

/// The pages of help.
pub fn page() -> help::Page {
    help::of_verb("events", command(), "netstat-user events [OPTIONS]")
}

/// The kinds of rows that are listed.
pub const fn listed(life: bool) -> RowKinds {
    if life { RowKinds::EVENT.or(RowKinds::LIFE) } else { RowKinds::EVENT }
}

/// Reads the options of `events`; `argv` begins with the verb.
///
/// # Errors
/// A [`Refusal`] with exit code 2.
pub fn parse(argv: &[OsString], all: AllPages) -> Result<Invocation, Refusal> {
    let matches = match help::read(page(), argv, all)? {
        help::HelpRequest::Page(page) => return Ok(page),
        help::HelpRequest::Options(matches) => matches,
    };
    let mut options =
        Options::from_arg_matches(&matches).map_err(|error| help::mistake::refusal(EVENTS, &error, all))?;
    let given = options.select.given();
    if given.asks_for_help() {
        return Ok(Invocation::Fields(RowKinds::EVENT.or(RowKinds::LIFE)));
    }
    let read = given.only_internet().and_then(|()| given.read(listed(options.life)));
    options.selection = read.map_err(|error| help::mistake::wrong(EVENTS, &error))?;
    let counts = !options.selection.count_by.is_empty();
    if !counts && (!options.selection.sort.is_empty() || options.selection.limit.is_some()) {
        let message = "--sort and --limit are for what --count-by counts: events are printed as they come, and --count N ends after N of them";
        return Err(help::mistake::wrong(EVENTS, &message));
    }
    if options.select.names_states() && !options.wants(EventName::State) {
        let message = "--state lets only transitions pass: --event must name state beside it, or be left out";
        return Err(help::mistake::wrong(EVENTS, &message));
    }
    Ok(if options.schema { Invocation::Print(schema_of(&options.selection)) } else { Invocation::Events(options) })
}

/// The schema of the lines that are selected.
fn schema_of(selection: &Selection) -> String {
    match (&selection.columns[..], &selection.count_by[..]) {
        ([], []) => schema::EVENTS.to_owned(),
        ([], counted) => {
            let counts = schema::of_columns("a count", counted, &[schema::COUNT]);
            schema::of_lines(
                "counts of events",
                &[counts, schema::of_keys("all other values", &[schema::OTHERS], None)],
            )
        }
        (columns, _) => {
            schema::of_lines("columns of events", &[schema::of_columns("the chosen columns", columns, &[])])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(line: &str) -> Result<Options, u8> {
        let argv: Vec<OsString> = std::iter::once("events").chain(line.split_whitespace()).map(Into::into).collect();
        match parse(&argv, crate::cli::all_pages) {
            Ok(Invocation::Events(options)) => Ok(options),
            Ok(_) => Err(0),
            Err(refusal) => {
                assert!(refusal.message.ends_with('\n'));
                Err(refusal.exit)
            }
        }
    }

    #[test]
    fn reads_every_filter() {
        let options = events(
            "--json --proto tcp,UDP6 --state established,Time_Wait --lport 80 --rport 1 --port 0 --pid 7 --comm x --netns self \
             --count 3 --duration 1.5s --probe raw_tp --buffer 5000 --remember 7 --strict --debug",
        )
        .unwrap();
        let expr = options.selection.expr.as_ref().map(ToString::to_string).unwrap_or_default();
        for part in [
            "proto = tcp6",
            "proto = udp6",
            "state established state time-wait",
            "sport = :80",
            "dport = :0",
            "netns = self",
        ] {
            assert!(expr.contains(part), "{part}: {expr}");
        }
        assert_eq!(options.duration, Some(Duration::from_millis(1500)));
        assert_eq!(options.probe, Probe::RawTp);
        assert_eq!((options.buffer, options.remember), (8192, Some(7)));
        for line in [
            "--life --columns pid,reason,states,states.SYN_SENT",
            "--life --where states.ESTABLISHED>10s",
            "--failed --count-by reason",
            "--life --failed --count-by comm --json",
        ] {
            assert!(events(line).is_ok(), "{line}");
        }
        assert_eq!(events("--agent /x --strict --pid 7").unwrap().agent, Some(PathBuf::from("/x")));
    }

    #[test]
    fn reads_which_lines_are_wanted() {
        let wanted = |line: &str| {
            let options = events(line).unwrap();
            EventName::ALL.into_iter().filter(|&event| options.wants(event)).map(EventName::name).collect::<Vec<_>>()
        };
        assert_eq!(wanted(""), ["open", "state", "close"]);
        assert_eq!(wanted("--event close,open"), ["open", "close"]);
        assert_eq!(wanted("--event STATE --event open --json"), ["open", "state"]);
        assert_eq!(wanted("--failed -v"), ["close"]);
        assert_eq!(wanted("--life --failed --json"), ["state", "close"]);
        assert_eq!(wanted("--state LISTEN --event state,close"), ["state", "close"]);
    }

    #[test]
    fn refuses_bad_filters() {
        for line in [
            "--event opened",
            "--event open,",
            "--event close --state LISTEN",
            "--life --event close",
            "--failed --state LISTEN",
            "--proto tpc",
            "--proto unix",
            "--proto tcp,sctp",
            "--where fwmark=1",
            "--where proto=unix",
            "--state OPEN",
            "--port 65536",
            "--port -1",
            "--pid 0",
            "--pid x",
            "--netns 0",
            "--where x",
            "--where",
            "--columns nosuch",
            "--columns states",
            "--failed --where states.SYN_SENT>1s",
            "--count-by state --columns pid",
            "--count 0",
            "--duration 0",
            "--duration 5x",
            "--duration 1e400",
            "--duration 10000000000000000000",
            "--duration 36501d",
            "--probe perf",
            "--buffer 1",
            "--buffer 2G",
            "--buffer 9999999999999999999G",
            "--agent x --buffer 1M",
            "--agent x --remember 5",
            "--remember 0",
            "--remember 16777217",
            "--agent x --probe raw_tp",
            "--agent",
            "--nonsense",
            "operand",
        ] {
            assert_eq!(events(line), Err(2), "{line}");
        }
        assert_eq!(events("--help"), Err(0));
        for line in ["--schema", "--schema --life", "--schema --columns pid", "--count-by pid --schema"] {
            assert_eq!(events(line), Err(0), "a schema is text to print: {line}");
        }
    }

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }
}
