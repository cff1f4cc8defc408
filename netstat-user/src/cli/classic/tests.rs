use super::*;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

fn run(line: &str) -> Result<Invocation, Refusal> {
    let argv: Vec<OsString> = std::iter::once("netstat").chain(line.split_whitespace()).map(Into::into).collect();
    parse(&argv, false)
}

fn options(line: &str) -> Options {
    match run(line) {
        Ok(Invocation::Classic(options)) => options,
        other => panic!("{line}: {other:?}"),
    }
}

/// A reason in English.
fn filled(reason: &RefusalReason) -> Vec<u8> {
    let text = reason.text.replace("%c", "%s");
    let mut parts = text.split("%s");
    let first = parts.next().unwrap_or_default().as_bytes().to_vec();
    reason.values.iter().zip(parts).fold(first, |out, (value, part)| [&out, &**value, part.as_bytes()].concat())
}

fn refused(line: &str) -> (u8, String) {
    match run(line) {
        Err(refusal) => {
            let text = filled(&refusal.reason.unwrap_or(RefusalReason { text: "\n", values: vec![] }));
            (refusal.exit, String::from_utf8(text).unwrap().strip_suffix('\n').unwrap().to_owned())
        }
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn letters_combine_and_operands_are_skipped() {
    let o = options("foo -tap 5 -en -");
    assert!(o.protocols.tcp && o.all && o.programs && o.numeric.hosts && o.extend == 1);
    assert_eq!(options("-- -r").view(), View::Tables);
    assert!(options("-d").families.is_empty());
}

#[test]
fn families_keep_their_order_and_repeats() {
    use Family::{Econet, Inet, Inet6, Unix};
    assert_eq!(
        options("-6 -A inet,unix -4 --ip -Aip6 -x --protocol=econet").families,
        [Inet6, Inet, Unix, Inet, Inet, Inet6, Unix, Econet]
    );
    assert_eq!(options("--tcpip").families, [Inet]);
    assert_eq!(options("-A unix").families, options("--proto unix").families);
    assert_eq!(options("-A ip,inet6").families, options("--proto=ip,inet6").families);
}

#[test]
fn prefixes_are_getopts() {
    assert!(options("--list").listening);
    assert!(options("--prog").programs);
    assert!(options("--al").all, "ours never make netstat's prefixes ambiguous");
    assert!(options("--all-netns").all_netns);
    for ours in ["--all-n", "--jso", "--rece", "--whe", "--limi"] {
        assert_eq!(refused(ours), (3, format!("netstat: unrecognized option '{ours}'")), "ours are written in full");
    }
    assert!(options("--w").wide && options("--net").has(Family::Netrom) && options("--sym").symbolic);
    assert_eq!(options("--ine").families, [Family::Inet]);
    assert_eq!(options("--x").families, [Family::X25]);
    assert_eq!(options("--ap").families, [Family::Ddp]);
    assert_eq!(refused("--tc").0, 3);
    assert_eq!(
        refused("--num").1,
        "netstat: option '--num' is ambiguous; possibilities: '--numeric' '--numeric-hosts' '--numeric-ports' \
         '--numeric-users'"
    );
}

#[test]
fn refusals_carry_netstats_codes_and_words() {
    for (line, exit, message) in [
        ("-q", 3, "netstat: invalid option -- 'q'"),
        ("-c5", 3, "netstat: invalid option -- '5'"),
        ("--ip6", 3, "netstat: unrecognized option '--ip6'"),
        ("--foo=1", 3, "netstat: unrecognized option '--foo=1'"),
        ("--ip=x", 3, "netstat: option '--ip' doesn't allow an argument"),
        ("--uni", 3, "netstat: option '--uni' is ambiguous; possibilities: '--unix' '--unix'"),
        ("--in=x", 3, "netstat: option '--in=x' is ambiguous; possibilities: '--inet' '--interfaces'"),
        ("--all=3", 3, "netstat: option '--all' doesn't allow an argument"),
        ("-A", 3, "netstat: option requires an argument -- 'A'"),
        ("--protocol", 3, "netstat: option '--protocol' requires an argument"),
        ("-A foo -q", 1, "Unknown address family `foo'."),
        ("-A inet,", 1, "Unknown address family `'."),
        ("--proto tpc", 1, "Unknown address family `tpc'."),
        ("-rr", 3, "netstat: only one of -r, -i, -s and -M can be given, and only once"),
        (
            "--recent soon",
            3,
            "netstat: --recent: `soon' is not accepted: write a time above zero such as 500ms, 1.5s, 5m, 2h or 1d",
        ),
    ] {
        assert_eq!(refused(line), (exit, message.to_owned()), "{line}");
    }
    assert_eq!(refused("-?").0, 3);
}

/// getopt's words are bytes, and so are its messages; ours show what could drive a terminal.
#[test]
fn messages_have_the_bytes_that_were_typed() {
    let reason = |words: &[&[u8]]| {
        let argv: Vec<OsString> = words.iter().map(|word| OsString::from_vec(word.to_vec())).collect();
        filled(&parse(&argv, false).unwrap_err().reason.unwrap())
    };
    for (word, said) in [
        ("-ä".as_bytes(), &b"n\xff: invalid option -- '\xc3'\n"[..]),
        (b"-\xe4", b"n\xff: invalid option -- '\xe4'\n"),
        (b"--\xff=1", b"n\xff: unrecognized option '--\xff=1'\n"),
        (b"--in=\xff", b"n\xff: option '--in=\xff' is ambiguous; possibilities: '--inet' '--interfaces'\n"),
        (b"-A\xff", b"Unknown address family `\xff'.\n"),
        (b"--color=\x1b[1m", b"netstat-user: --color: `\\x1b[1m' is not accepted: write one of auto always never\n"),
        (b"--recent=\x1b", b"netstat-user: --recent: `\\x1b' is not accepted: write a time above zero such as 500ms, 1.5s, 5m, 2h or 1d\n"),
        (b"--completions=\x1b", b"netstat-user: --completions: `\\x1b' is not accepted: write one of bash zsh fish\n"),
        (b"--limit=\x1b", b"netstat-user: --limit: `\\x1b' is no number of rows: write a whole number from 0 on\n"),
    ] {
        let got = reason(&[b"n\xff", word]);
        assert_eq!(got.escape_ascii().to_string(), said.escape_ascii().to_string());
    }
}

#[test]
fn the_first_word_that_is_no_option_ends_them_where_the_user_wants_posix() {
    let given = |words: &[&str], posix| {
        let words: Vec<OsString> = ["netstat-user"].iter().chain(words).map(OsString::from).collect();
        match parse(&words, posix) {
            Ok(Invocation::Classic(options)) => options,
            other => panic!("{words:?}: {other:?}"),
        }
    };
    let (plain, posix) = (given(&["-t", "foo", "-l"], false), given(&["-t", "foo", "-l"], true));
    assert!(plain.listening && plain.protocols.tcp && !posix.listening && posix.protocols.tcp);
    assert!(posix.remark.unwrap_or_default().starts_with("ignored: foo -l;"));
    assert!(given(&["foo", "-q"], true).families.is_empty(), "a wrong letter behind it is none");
}

#[test]
fn words_are_served_in_order() {
    assert!(matches!(run("-h -A foo"), Ok(Invocation::Print(_))));
    assert_eq!(refused("-A foo -h").0, 1);
    assert!(matches!(run("--vers -q"), Ok(Invocation::Version)));
    assert!(matches!(run("-aZq"), Ok(Invocation::Contexts)));
}

#[test]
fn tables_default_like_netstat() {
    let all = options("").tables();
    assert!(all.protocols.raw && all.protocols.sctp && all.v4 && all.v6);
    assert_eq!((all.unix, all.ipx, all.groups), (Want::IfThere, Want::IfThere, false));

    let tcp = options("-t6x").tables();
    assert!(tcp.protocols.tcp && !tcp.protocols.udp && tcp.v6 && !tcp.v4);
    assert_eq!((tcp.unix, tcp.ax25), (Want::Asked, Want::No));

    assert!(!options("-x").tables().protocols.any());
    assert!(!options("-g -4").tables().protocols.any(), "netstat prints the Internet table here; that is a bug");
    assert!(options("-tg").tables().protocols.tcp);
    assert!(options("-4").tables().protocols.sctp && options("-4").tables().lenient);
    assert_eq!(options("-A ash").tables().tableless, Some(Family::Ash));
}

#[test]
fn durations() {
    assert_eq!(options("--recent 500ms").recent, Some(Duration::from_millis(500)));
    assert_eq!(options("--recent=2m").recent, Some(Duration::from_secs(120)));
    assert_eq!(options("--recent 7").recent, Some(Duration::from_secs(7)));
    assert_eq!(options("--recent 1.5s").recent, Some(Duration::from_millis(1500)));
    assert_eq!(options("--recent 1d").recent, Some(Duration::from_secs(86_400)));
    assert_eq!(refused("--recent 99999999999999999999s").0, 3);
}

#[test]
fn ours_are_refused_where_they_could_have_no_effect() {
    for line in ["--recent 5", "-t --recent 5", "-x -t --recent 5", "--all-netns", "-x --all-netns", "-6 --all-netns"] {
        options(line);
    }
    for line in ["-r --recent 5", "-x --recent 5", "-g --recent 5", "--recent 5 --no-agent"] {
        assert!(refused(line).1.contains(": --recent "), "{line}");
    }
    for line in ["-i --all-netns", "-s --all-netns", "-g --all-netns", "-t -A ax25 --all-netns"] {
        let (exit, reason) = refused(line);
        assert!(exit == 3 && reason.contains(": --all-netns "), "{line}: {reason}");
    }
    options("-t --info --where state=LISTEN --sort pid");
    options("-t --info --json --columns local,info.rtt_us");
    for line in ["-t --info --columns local", "--info --count-by state"] {
        let (exit, reason) = refused(line);
        assert!(exit == 3 && reason.contains(": --info "), "{line}: {reason}");
    }
}

/// netstat's message and code stay, and a last line names what was probably meant.
#[test]
fn the_nearest_option_is_named() {
    for (word, meant) in [
        ("--wher", Some("--where")),
        ("--colums", Some("--columns")),
        ("--cont-by=state", Some("--count-by")),
        ("--numerik", Some("--numeric")),
        ("--jso", Some("--json")),
        ("--ip6", Some("--inet6")),
        ("--life", Some("netstat-user events --life")),
        ("--dry-run", Some("netstat-user kill --dry-run")),
        ("--zzz", None),
        ("--", None),
        ("--num", None),
    ] {
        let Err(refusal) = run(word) else { continue };
        let last = refusal.message.lines().last().unwrap_or_default();
        let expected = meant.map(|meant| format!("did you mean `{meant}'?"));
        assert_eq!(Some(last.to_owned()).filter(|last| last.starts_with("did you")), expected, "{word}");
        assert_eq!(refusal.exit, 3, "{word}");
        assert!(refusal.message.starts_with("usage: "), "{word}: {}", refusal.message);
    }
}

/// A verb that stands behind an option is none, and is named for what it was meant.
#[test]
fn a_verb_behind_an_option_is_named() {
    for (line, says) in [
        ("-t events", Some("a verb stands before its options: netstat-user events --help")),
        ("-tan doctor", Some("netstat-user doctor --help")),
        ("evnts", Some("did you mean `netstat-user events'?")),
        ("-t 5", Some("`netstat-user --help' lists")),
    ] {
        let words: Vec<OsString> = std::iter::once("netstat-user").chain(line.split(' ')).map(OsString::from).collect();
        let Ok(Invocation::Classic(options)) = parse(&words, false) else { panic!("{line}") };
        let said = options.remark.unwrap_or_default();
        assert!(says.is_some_and(|says| said.contains(says)), "{line}: {said}");
    }
}

/// What people of ss, lsof and other tools type, and slips: one line names what to write here.
#[test]
fn what_others_write_is_answered_with_what_to_write_here() {
    for (line, says) in [
        ("--tan", "did you mean `-tan'?"),
        ("--tulpn", "did you mean `-tulpn'?"),
        ("--cols state", "did you mean `--columns'?"),
        ("--uid 0", "did you mean `--where \"uid = N\"'?"),
        ("--send-q=1", "did you mean `--where \"send_q = N\"'?"),
        ("--user root", "did you mean `--where \"user = TEXT\"'?"),
        ("--sport 80", "did you mean `--lport'?"),
        ("--dport=80", "did you mean `--rport'?"),
        ("--csv", "there is no CSV: --json prints one object per line, --columns FIELD,... the fields that it names"),
        ("-K", "-K of ss closes sockets: write `netstat-user kill --where EXPR'"),
        ("-tE", "-E of ss shows sockets as they end: write `netstat-user events --event close'"),
        ("-tm", "-m of ss shows the memory of sockets: "),
        ("--tpc", "did you mean `--tcp'?"),
        ("--tuna", "did you mean `-tuna'?"),
        ("--nmeric", "did you mean `--numeric'?"),
    ] {
        let refusal = run(line).unwrap_err();
        let hint = refusal.message.lines().last().unwrap_or_default();
        assert!(refusal.exit == 3 && hint.starts_with(says), "{line}: {hint}");
        assert_eq!(refusal.message.matches("did you mean").count(), usize::from(says.contains("did you")), "{line}");
    }
    for (line, says) in [
        ("-ti", "-i lists the interfaces, whatever stands beside it; what ss -i shows of each connection is --info"),
        ("-tnp 1234", "ignored: 1234; -p of netstat takes no value: did you mean `--pid 1234'?"),
        ("-i :80", "ignored: :80; did you mean `--port 80'?"),
        ("-tN blue", "ignored: blue; -N of ss is --netns: did you mean `--netns blue'?"),
        ("-tN $(reboot)", "ignored: $(reboot); -N of ss is --netns: did you mean `--netns '$(reboot)''?"),
        ("-tan comm = $(reboot)", "ignored: comm = $(reboot); did you mean --where 'comm = $(reboot)'?"),
        ("-tan comm = it's", r"ignored: comm = it's; did you mean --where 'comm = it'\''s'?"),
        ("-s sport = :80", "ignored: sport = :80; `netstat-user --help' lists options and verbs"),
        ("-g sport = :80", "ignored: sport = :80; `netstat-user --help' lists options and verbs"),
        ("help events", "ignored: help events; did you mean `netstat-user events --help'?"),
        ("help", "ignored: help; did you mean `netstat-user --help'?"),
        ("-i", ""),
        ("-tN", ""),
        ("-t --info", ""),
    ] {
        let words: Vec<OsString> = std::iter::once("netstat-user").chain(line.split(' ')).map(OsString::from).collect();
        let Ok(Invocation::Classic(options)) = parse(&words, false) else { panic!("{line}") };
        assert_eq!(options.remark.unwrap_or_default(), says, "{line}");
    }
    for line in [&["-ti"][..], &["-tln", "foo"], &["-t", "events"], &["help"], &["-tN", "blue"]] {
        let words: Vec<OsString> = ["/bin/netstat"].iter().chain(line).map(OsString::from).collect();
        let as_netstat = parse(&words, false);
        assert!(
            matches!(as_netstat, Ok(Invocation::Classic(options)) if options.remark.is_none()),
            "a script's: {line:?}"
        );
    }
}

/// Our own messages have our name before them, however the program was called; getopt's have the whole word, as netstat's.
#[test]
fn messages_begin_with_one_name() {
    let words = |program: &str, line: &str| -> Vec<OsString> {
        std::iter::once(program).chain(line.split(' ')).map(OsString::from).collect()
    };
    let called = |program: &str, line: &str| {
        let refusal = parse(&words(program, line), false).unwrap_err();
        refusal.reason.map(|reason| String::from_utf8(reason.values[0].clone()).unwrap()).unwrap_or_default()
    };
    for line in
        ["-t --where x", "-t --limit x", "--recent x", "--color x", "--completions x", "-r --where uid=1", "-ri"]
    {
        assert_eq!(called("/some/where/netstat-user", line), "netstat-user", "{line}");
        assert_eq!(called("/usr/bin/netstat", line), "netstat", "{line}");
    }
    assert_eq!(called("/some/where/netstat-user", "--nonsense"), "/some/where/netstat-user");
}
