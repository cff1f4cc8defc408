//! Where we are deliberately better than netstat: its bugs, asserted to be ours no more.

use netstat_tests::case::Case;
use netstat_tests::command::{End, Outcome};
use netstat_tests::programs;
use netstat_tests::scenes::{Scene, Theatre};
use std::fs::OpenOptions;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// What is expected instead of netstat's bytes.
#[derive(Clone, Copy, Debug)]
enum Expect {
    /// What netstat writes for another command line.
    SameAs(&'static str),
    /// This holds of the outcome; the text says what, for the report.
    Holds(&'static str, fn(&Outcome) -> bool),
    /// With name servers that never answer (each try of the C library takes 5 s, and there are dozens of addresses to ask
    /// for): the table, within this time.
    EndsWithin(Duration),
    /// With standard output on /dev/full: a message, exit code 1, no crash.
    FailsToWrite,
    /// With a reader that has gone: a quiet end.
    EndsQuietly,
}

/// One deliberate difference.
#[derive(Clone, Copy, Debug)]
pub struct Better {
    case: Case,
    expect: Expect,
}

const fn same(scene: Scene, args: &'static str, as_args: &'static str) -> Better {
    Better { case: Case::new(scene, args), expect: Expect::SameAs(as_args) }
}

const fn holds(scene: Scene, args: &'static str, what: &'static str, test: fn(&Outcome) -> bool) -> Better {
    Better { case: Case::new(scene, args), expect: Expect::Holds(what, test) }
}

fn has(bytes: &[u8], part: &str) -> bool {
    bytes.windows(part.len()).any(|window| window == part.as_bytes())
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|&b| b == b'\n')
}

fn unsupported(outcome: &Outcome) -> bool {
    outcome.end == End::Exit(1)
        && outcome.stdout.is_empty()
        && (has(&outcome.stderr, "not supported") || has(&outcome.stderr, "no support"))
}

/// No byte of standard output may move a terminal's cursor or change its state.
fn printable(outcome: &Outcome) -> bool {
    let text = String::from_utf8_lossy(&outcome.stdout);
    text.chars().all(|c| c == '\n' || !c.is_control()) && outcome.end == End::Exit(0)
}

const DEAD_RESOLVER: &[(&str, &str)] =
    &[("etc-dead/resolv.conf", "/etc/resolv.conf"), ("etc-dead/nsswitch.conf", "/etc/nsswitch.conf")];
/// A bounded wait, and time for a busy machine.
const BOUND: Duration = Duration::from_secs(9);

const TABLE: &[Better] = &[
    same(Scene::Network, "-rN", "-r"),
    same(Scene::Network, "-rN --inet6", "-r --inet6"),
    same(Scene::Network, "-rneee", "-rnee"),
    same(Scene::Network, "-rneeeee", "-rnee"),
    same(Scene::Sockets, "--tcpip -an", "--inet -an"),
    same(Scene::Sockets, "--tcpip -tan", "--inet -tan"),
    holds(Scene::Network, "-gn -4", "the IPv4 groups and no Internet table", |o| {
        !has(&o.stdout, "Active Internet") && has(&o.stdout, "239.1.2.3") && o.end == End::Exit(0)
    }),
    holds(Scene::Network, "-gn -6", "the IPv6 groups and no Internet table", |o| {
        !has(&o.stdout, "Active Internet") && has(&o.stdout, "ff02::fb") && o.end == End::Exit(0)
    }),
    // netstat takes the IPv4 groups of every round but the first for IPv6 ones.
    Better {
        case: Case::new(Scene::Network, "-gnc").stop(1600),
        expect: Expect::Holds("the same groups twice", |o| {
            let (first, second) = o.stdout.split_at(o.stdout.len() / 2);
            has(first, "239.1.2.3") && first == second
        }),
    },
    holds(Scene::LongName, "-i", "counters of a 15-character interface", |o| {
        let line = lines(&o.stdout).find(|line| line.starts_with(b"abcdefghijklmno")).unwrap_or_default();
        let sent = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).nth(6);
        sent.is_some_and(|sent| sent != b"0")
    }),
    holds(Scene::Blanks, "-xl", "whole paths, blanks included", |o| {
        ["/two words.sock\n", "/ leading.sock\n", "/trailing .sock\n", "/a  b   c.sock\n"]
            .iter()
            .all(|path| has(&o.stdout, path))
    }),
    holds(Scene::BigUid, "-tlne", "a uid above 2³¹, unsigned", |o| has(&o.stdout, " 3000000000 ")),
    holds(Scene::BigUid, "-ulne", "the largest uid, unsigned", |o| has(&o.stdout, " 4294967294 ")),
    holds(Scene::Sockets, "--ddp", "that the family is not supported", unsupported),
    holds(Scene::Sockets, "--appletalk", "that the family is not supported", unsupported),
    holds(Scene::Sockets, "-A ash", "that the family is not supported", unsupported),
    holds(Scene::Sockets, "-A econet", "that the family is not supported", unsupported),
    holds(Scene::Tree("ipx"), "--ipx -an", "queues and ports in their own columns", |o| {
        has(&o.stdout, "IPX        2      1 00000123:000000000001:4004") && has(&o.stdout, "00000456:000000000002:0451")
    }),
    holds(Scene::Tree("rose"), "--rose", "the addresses of a ROSE socket", |o| has(&o.stdout, "0123456789  N0CALL-0")),
    holds(Scene::Tree("hostile"), "-xa", "control characters in paths escaped", printable),
    holds(Scene::Tree("hostile"), "-anp", "control characters in program names escaped", printable),
    holds(Scene::Tree("hostile"), "-anpeoW", "control characters in program names escaped", printable),
    holds(Scene::Tree("hostile"), "-rn", "a torn route table survived", printable),
    holds(Scene::Tree("hostile"), "-rn -6", "a torn IPv6 route table survived", printable),
    holds(Scene::Tree("hostile"), "-gn", "torn group tables survived", printable),
    holds(Scene::Tree("hostile"), "-s", "torn counters survived", |o| matches!(o.end, End::Exit(_))),
    holds(Scene::Tree("hostile"), "-s -6", "torn IPv6 counters survived", |o| matches!(o.end, End::Exit(_))),
    holds(Scene::Tree("hostile"), "-A ax25,netrom,x25,rose,ipx -a", "torn tables survived", |o| {
        matches!(o.end, End::Exit(_))
    }),
    holds(Scene::Tree("hostile"), "-Sa", "torn SCTP tables survived", |o| matches!(o.end, End::Exit(_))),
    Better { case: Case::new(Scene::Sockets, "-an"), expect: Expect::FailsToWrite },
    Better { case: Case::new(Scene::Sockets, "-x"), expect: Expect::FailsToWrite },
    Better { case: Case::new(Scene::Network, "-rn"), expect: Expect::FailsToWrite },
    Better { case: Case::new(Scene::Network, "-i"), expect: Expect::FailsToWrite },
    Better { case: Case::new(Scene::Tree("counters"), "-s"), expect: Expect::FailsToWrite },
    Better { case: Case::new(Scene::Sockets, "-h"), expect: Expect::FailsToWrite },
    Better { case: Case::new(Scene::Sockets, "-an"), expect: Expect::EndsQuietly },
    Better { case: Case::new(Scene::Sockets, "-anc"), expect: Expect::EndsQuietly },
    Better { case: Case::new(Scene::Network, "-ic"), expect: Expect::EndsQuietly },
    Better { case: Case::new(Scene::Tree("counters"), "-s"), expect: Expect::EndsQuietly },
    Better { case: Case::new(Scene::Sockets, "-at").binds(DEAD_RESOLVER), expect: Expect::EndsWithin(BOUND) },
    Better { case: Case::new(Scene::Network, "-r").binds(DEAD_RESOLVER), expect: Expect::EndsWithin(BOUND) },
    holds(Scene::Sockets, "-V", "a version, exit code 0", |o| !o.stdout.is_empty() && o.end == End::Exit(0)),
    holds(Scene::Sockets, "--version", "a version, exit code 0", |o| !o.stdout.is_empty() && o.end == End::Exit(0)),
    holds(Scene::Sockets, "-h", "the usage on standard output, exit code 0", |o| {
        ["--numeric", "events", "agent", "kill", "doctor", "Examples:"].iter().all(|word| has(&o.stdout, word))
            && o.stdout.iter().filter(|&&byte| byte == b'\n').count() <= 24
            && o.end == End::Exit(0)
    }),
    holds(Scene::Sockets, "--help", "the usage on standard output, exit code 0", |o| {
        has(&o.stdout, "--numeric") && o.end == End::Exit(0)
    }),
];

/// Every deliberate difference.
pub fn all() -> Vec<Better> {
    TABLE.to_vec()
}

impl Better {
    /// Where it is judged.
    pub fn scene(&self) -> Scene {
        self.case.scene
    }

    /// A name that says what is better.
    pub fn name(&self) -> String {
        let what = match self.expect {
            Expect::SameAs(args) => format!("as netstat {args}"),
            Expect::Holds(what, _) => what.to_owned(),
            Expect::EndsWithin(limit) => format!("no slower than {limit:?}"),
            Expect::FailsToWrite => "on /dev/full".to_owned(),
            Expect::EndsQuietly => "into a closed pipe".to_owned(),
        };
        format!("better: {}: {what}", self.case.name())
    }

    /// Runs ours, and netstat where it is the measure.
    ///
    /// # Errors
    /// A report of what does not hold.
    pub fn judge(&self, theatre: &Theatre) -> Result<(), String> {
        let ours = |stdout| self.case.run(theatre, programs::netstat_user(), stdout);
        let require = |holds: bool, what: &str, outcome: &Outcome| {
            if holds { Ok(()) } else { Err(format!("expected {what}, got {outcome:?}")) }
        };
        match self.expect {
            Expect::SameAs(args) => self.case.compare_with(theatre, &Case { args, ..self.case }),
            Expect::Holds(what, test) => {
                let outcome = ours(None)?;
                require(test(&outcome), what, &outcome)
            }
            Expect::EndsWithin(limit) => {
                let start = Instant::now();
                let outcome = ours(None)?;
                let in_time = start.elapsed() <= limit && !outcome.stdout.is_empty() && outcome.end == End::Exit(0);
                require(in_time, &format!("a table within {limit:?}, not {:?}", start.elapsed()), &outcome)?;
                let said = lines(&outcome.stderr).filter(|line| has(line, "look-ups took too long")).count();
                require(said == 1, "one line on names that did not come in time", &outcome)
            }
            Expect::FailsToWrite => {
                let full = OpenOptions::new().write(true).open("/dev/full").map_err(|error| error.to_string())?;
                let outcome = ours(Some(full.into()))?;
                let said = !outcome.stderr.is_empty();
                require(said && outcome.end == End::Exit(1), "one message and exit code 1", &outcome)
            }
            Expect::EndsQuietly => {
                let (reader, writer) = std::io::pipe().map_err(|error| error.to_string())?;
                drop(reader);
                let outcome = ours(Some(Stdio::from(writer)))?;
                let quiet = outcome.stderr.is_empty() && outcome.end == End::Exit(0);
                require(quiet, "silence and exit code 0", &outcome)
            }
        }
    }
}
