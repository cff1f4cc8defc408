//! What people see on terminals, and nobody else: what is waited for, questions before something is closed, colour.

use crate::world::{World, text};
use netstat_tests::command::End;
use netstat_tests::truth::runner::{Done, Test};
use netstat_tests::truth::scale::patience;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use socket2::{Domain, SockAddr, Socket, Type};
use std::time::Duration;
use unicode_width::UnicodeWidthStr;

pub const TESTS: &[Test] = &[
    ("terminals::what_is_waited_for_is_named", what_is_waited_for_is_named),
    ("terminals::kill_asks_before_it_closes", kill_asks_before_it_closes),
    ("terminals::columns_have_colour", columns_have_colour),
    ("terminals::events_fit_and_lack_nothing", events_fit_and_lack_nothing),
    ("terminals::counts_are_shown_when_they_change", counts_are_shown_when_they_change),
    ("terminals::counts_as_objects_come_at_the_end", counts_as_objects_come_at_the_end),
    ("terminals::counts_fit_the_height_meanwhile", counts_fit_the_height_meanwhile),
    ("terminals::findings_fit", findings_fit),
    ("terminals::what_would_be_closed_fits", what_would_be_closed_fits),
    ("terminals::mistakes_are_marked_where_they_are", mistakes_are_marked_where_they_are),
    ("terminals::hooks_are_counted_and_named_on_request", hooks_are_counted_and_named_on_request),
    (
        "terminals::the_wait_for_an_agent_that_does_not_answer_is_reported",
        the_wait_for_an_agent_that_does_not_answer_is_reported,
    ),
    ("terminals::nothing_that_is_typed_drives_them", nothing_that_is_typed_drives_them),
    ("terminals::marks_are_in_the_glossary", marks_are_in_the_glossary),
    ("terminals::help_fits", help_fits),
];

/// Five letters, each two columns wide: as many bytes as a name has at most.
const WIDE: &str = "日本語日本";

fn fits(line: &str, columns: u16) -> bool {
    line.width() <= columns.into()
}

fn args(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn what_is_waited_for_is_named() -> Done {
    let mut world = World::new();
    // The only name server takes questions, and answers none.
    world.web.does(&["mute bind-udp 127.0.0.1:53"]);
    world.client.does(&["far connect-udp 192.0.2.77:9"]);
    let said = "netstat-user: waiting for the tables and host names (-n leaves names out) …\n";
    assert!(said.chars().count() <= 81, "one line of a terminal, and its end");
    let (mut child, terminal) = world.on_terminal(&args("-u"), 80);
    let seen = terminal.rest(patience());
    assert!(child.wait().unwrap().success(), "{seen}");
    assert!(seen.contains(said) && seen.contains("192.0.2.77:"), "{seen}");
    // What does not take long, and what nobody looks at, has no such line.
    let (mut child, terminal) = world.on_terminal(&args("-un"), 80);
    let seen = terminal.rest(patience());
    assert!(child.wait().unwrap().success() && !seen.contains("waiting"), "{seen}");
    let elsewhere = world.ours(&args("-u"));
    assert_eq!((elsewhere.end, text(&elsewhere).1), (End::Exit(0), String::new()));
    Done::Passed
}

fn kill_asks_before_it_closes() -> Done {
    let world = World::new();
    let there = || text(&world.ours(&args("-tn --rport 8080 --count-by state"))).0;
    let asked = |answer: &str| {
        let (mut child, mut terminal) = world.on_terminal(&args("kill --rport 8080 --state established"), 120);
        assert!(terminal.shows("Close this socket? [y/N] ", patience()), "{}", terminal.text());
        let before = terminal.text();
        assert!(before.contains("would close tcp") && before.contains("127.0.0.1:8080"), "{before}");
        terminal.type_line(answer);
        let seen = terminal.rest(patience());
        (child.wait().unwrap().code(), seen)
    };
    for answer in ["n", "", "yess"] {
        let (code, seen) = asked(answer);
        assert!(code == Some(1) && seen.ends_with("nothing was closed\n"), "{answer}: {code:?} {seen}");
        assert!(there().contains("ESTABLISHED"), "{answer}");
    }
    let (code, seen) = asked("y");
    assert!(code == Some(0) && seen.contains("\nclosed "), "{code:?} {seen}");
    assert!(!there().contains("ESTABLISHED"), "{}", there());
    Done::Passed
}

/// What `events` prints on a terminal of so many columns while client and server talk, without what it says of itself.
/// It goes on for so long after that.
fn talk_on_terminal(world: &mut World, line: &str, columns: u16, more: Duration) -> Vec<String> {
    let (mut child, mut terminal) = world.on_terminal(&args(&format!("{line} --netns self --color never")), columns);
    assert!(terminal.shows("tracing:", patience()), "{}", terminal.text());
    world.talk();
    std::thread::sleep(more);
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let seen = terminal.rest(patience());
    assert!(child.wait().unwrap().success(), "{seen}");
    let own = |line: &&str| !line.starts_with("tracing:") && !line.starts_with("netstat-user:") && !line.is_empty();
    seen.lines().filter(own).map(str::to_owned).collect()
}

fn events_fit_and_lack_nothing() -> Done {
    let mut world = World::with_client(WIDE);
    let owner = world.client.pid().to_string();
    for columns in [80, 120, 200] {
        let lines = talk_on_terminal(&mut world, &format!("events --life --comm {WIDE}"), columns, Duration::ZERO);
        assert!(lines.iter().all(|line| fits(line, columns)), "{columns}: {lines:#?}");
        assert!(lines.iter().any(|line| line.contains('日')), "{columns}: nobody has the wide name: {lines:#?}");
        let begins: Vec<usize> = (0..lines.len()).filter(|at| !lines[*at].starts_with(' ')).collect();
        assert_eq!(begins.len(), 2, "a connection and a refusal: {lines:#?}");
        let whole = lines[..begins[1]].join(" ");
        for fact in ["closed", "rx 4.7K", "tx 3", "rtt ", "retrans 0", &owner, "connect ", "est", "closing "] {
            assert!(whole.contains(fact), "{columns}: no {fact}: {lines:#?}");
        }
        // Rows stand below each other, as far as the terminal goes.
        let line = "events --columns time,event,local,remote,new_state,pid";
        let rows = talk_on_terminal(&mut world, line, columns, Duration::ZERO);
        assert!(rows.iter().all(|row| fits(row, columns)), "{columns}: {rows:#?}");
        let column = rows[0].find("remote").unwrap();
        assert!(rows.iter().all(|row| row.as_bytes()[column - 2..column] == *b"  "), "{columns}: {rows:#?}");
        assert!(rows.len() > 10 && rows[1..].iter().all(|row| row.len() == rows[0].len()), "{columns}: {rows:#?}");
    }
    // From another namespace, whose name is wide, too: whole sockets, and each of their events.
    let (_sandbox, mut player) = world.neighbour(WIDE);
    for columns in [79, 80, 120] {
        for form in ["events --life", "events"] {
            let (mut child, mut terminal) =
                world.on_terminal(&args(&format!("{form} --comm {WIDE} --color never")), columns);
            assert!(terminal.shows("tracing:", patience()), "{}", terminal.text());
            player.does(&["mine connect 127.0.0.1:7777", "peer accept there", "mine close -", "peer close -"]);
            kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
            let seen = terminal.rest(patience());
            assert!(child.wait().unwrap().success(), "{seen}");
            let own = |line: &&str| !line.starts_with("tracing:") && !line.starts_with("netstat-user:");
            let lines: Vec<&str> = seen.lines().filter(own).collect();
            assert!(seen.contains('@') && seen.contains('日'), "{form} {columns}: {seen}");
            assert!(lines.iter().all(|line| fits(line, columns)), "{form} {columns}: {lines:#?}");
        }
    }
    Done::Passed
}

fn counts_are_shown_when_they_change() -> Done {
    let mut world = World::new();
    // Longer than counts wait before they are shown again.
    let more = Duration::from_millis(2500);
    let lines = talk_on_terminal(&mut world, "events --event close --count-by reason", 80, more);
    assert_eq!(lines, ["count  reason", "    2  closed", "    1  refused"], "once, as nothing else happened");
    Done::Passed
}

/// Each sum once, and nothing between the objects.
fn counts_as_objects_come_at_the_end() -> Done {
    let mut world = World::new();
    let line = "events --json --event close --count-by reason --netns self";
    let (mut child, mut terminal) = world.on_terminal(&args(line), 80);
    assert!(terminal.shows("tracing:", patience()), "{}", terminal.text());
    for _ in 0..3 {
        world.talk();
        std::thread::sleep(Duration::from_millis(1200));
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let seen = terminal.rest(patience());
    assert!(child.wait().unwrap().success(), "{seen}");
    let lines: Vec<&str> = seen.lines().skip_while(|line| !line.starts_with("tracing:")).skip(1).collect();
    let (summary, objects) = lines.split_last().unwrap();
    assert!(summary.starts_with("netstat-user: "), "{seen}");
    assert_eq!(objects, [r#"{"count":6,"reason":"closed"}"#, r#"{"count":3,"reason":"refused"}"#], "{seen}");
    Done::Passed
}

/// As many as the terminal has room for, of more values than it has lines; at the end all of them.
fn counts_fit_the_height_meanwhile() -> Done {
    let mut world = World::new();
    let line = "events --count-by time,event --netns self --color never";
    let (mut child, mut terminal) = world.on_terminal(&args(line), 80);
    assert!(terminal.shows("tracing:", patience()), "{}", terminal.text());
    for _ in 0..3 {
        world.talk();
    }
    assert!(terminal.shows(" more values, shown at the end", patience()), "{}", terminal.text());
    let meanwhile = terminal.text();
    let heading = |line: &&str| !line.starts_with("count  ");
    let shown: Vec<&str> = meanwhile.lines().skip_while(heading).collect();
    // The terminal has 24.
    assert!((10..24).contains(&shown.len()), "{} lines: {meanwhile}", shown.len());
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let seen = terminal.rest(patience());
    assert!(child.wait().unwrap().success(), "{seen}");
    let last = seen.rsplit_once("count  ").unwrap().1;
    let rows = last.lines().filter(|line| line.trim_start().starts_with('1')).count();
    let events = seen.lines().find_map(|line| line.strip_prefix("netstat-user: ")?.split(' ').next()?.parse().ok());
    assert!(rows > 24 && Some(rows) == events, "{rows} of {events:?}: {seen}");
    Done::Passed
}

fn findings_fit() -> Done {
    let world = World::new();
    for columns in [80, 120] {
        let (mut child, terminal) = world.on_terminal(&args("doctor --no-agent --color never"), columns);
        let seen = terminal.rest(patience());
        assert!(child.wait().unwrap().code().is_some_and(|code| code < 2), "{seen}");
        assert!(seen.lines().all(|line| fits(line, columns)), "{columns}: {seen}");
    }
    Done::Passed
}

fn columns_have_colour() -> Done {
    let world = World::new();
    let line = "-tan --columns state,local";
    let on_terminal = |line: &str| {
        let (mut child, terminal) = world.on_terminal(&args(line), 80);
        let seen = terminal.rest(patience());
        assert!(child.wait().unwrap().success(), "{seen}");
        seen
    };
    let seen = on_terminal(line);
    assert!(seen.contains("\x1b[36mLISTEN\x1b[0m") && seen.contains("\x1b[32mESTABLISHED\x1b[0m"), "{seen:?}");
    let plain = on_terminal(&format!("{line} --color never"));
    assert!(plain.contains("LISTEN") && !plain.contains('\x1b'), "{plain:?}");
    // netstat's own table is netstat's, and a file has no colour that was not asked for.
    assert!(!on_terminal("-tan").contains('\x1b'));
    assert!(!text(&world.ours(&args(line))).0.contains('\x1b'));
    assert!(text(&world.ours(&args(&format!("{line} --color always")))).0.contains('\x1b'));
    Done::Passed
}

fn what_would_be_closed_fits() -> Done {
    let mut world = World::new();
    world.web.does(&["long listen 127.0.0.1:65001"]);
    for columns in [80, 120, 200] {
        let line = "kill --port 8080,8081,5353,65001 --dry-run";
        let (mut child, terminal) = world.on_terminal(&args(line), columns);
        let seen = terminal.rest(patience());
        assert!(child.wait().unwrap().success(), "{seen}");
        assert!(seen.lines().all(|line| fits(line, columns)), "{columns}: {seen}");
        let web = format!("{}/web", world.web.pid());
        assert_eq!(seen.matches("would close ").count(), 6, "{seen}");
        assert!(seen.matches(&web).count() >= 4 && seen.contains("ESTABLISHED"), "{seen}");
    }
    Done::Passed
}

fn mistakes_are_marked_where_they_are() -> Done {
    let world = World::new();
    let filler = "sport = :80 or ".repeat(12);
    let expression = format!("{filler}hree = 1 or {filler}sport = :1");
    let line = ["-tan", "--where", &expression].map(str::to_owned);
    let (mut child, terminal) = world.on_terminal(&line, 80);
    let seen = terminal.rest(patience());
    assert_eq!(child.wait().unwrap().code(), Some(3), "{seen}");
    let lines: Vec<&str> = seen.lines().skip(1).collect();
    assert!(lines.iter().all(|line| fits(line, 80)), "{seen}");
    assert_eq!(lines[0].find("hree"), lines[1].find("^^^^"), "{seen}");
    Done::Passed
}

/// What `events` says of its hooks on a terminal of 80 columns, once the line is whole.
fn readiness(world: &World, line: &str) -> String {
    let (mut child, mut terminal) = world.on_terminal(&args(line), 80);
    assert!(terminal.shows("tracing:", patience()), "{}", terminal.text());
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let seen = terminal.rest(patience());
    assert!(child.wait().unwrap().success(), "{seen}");
    seen.lines().find(|line| line.starts_with("tracing:")).unwrap().to_owned()
}

fn hooks_are_counted_and_named_on_request() -> Done {
    let mut world = World::new();
    let (_, piped) = world.events(&args("events --json"), |_| {});
    let piped = piped.lines().find(|line| line.starts_with("tracing:")).unwrap().to_owned();
    let hooks: Vec<&str> = piped.split(' ').skip(1).collect();
    let attached = hooks.iter().filter(|hook| !hook.ends_with("=none")).count();
    assert!(attached > 10 && hooks.iter().all(|hook| hook.contains('=')), "scripts have every hook: {piped}");
    let brief = readiness(&world, "events --netns self");
    let counted = match attached == hooks.len() {
        true => format!("tracing: {attached} hooks, all attached"),
        false => format!("tracing: {attached} of {} hooks, without ", hooks.len()),
    };
    assert!(brief.starts_with(&counted) && brief.chars().count() <= 80, "{brief}");
    assert_eq!(readiness(&world, "events --netns self -v"), piped);
    world.start_agent();
    let through = readiness(&world, "events --netns self --agent /run/netstat-user/agent.sock");
    assert!(through.contains(" hooks, ") && through.ends_with(" agent=/run/netstat-user/agent.sock"), "{through}");
    Done::Passed
}

/// A UNIX socket that lets so many wait, and accepts nobody.
fn mute(world: &World, name: &str, backlog: i32) -> (Socket, SockAddr) {
    let path = SockAddr::unix(world.run_folder().join(name)).unwrap();
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    socket.bind(&path).unwrap();
    socket.listen(backlog).unwrap();
    (socket, path)
}

fn the_wait_for_an_agent_that_does_not_answer_is_reported() -> Done {
    let world = World::new();
    let _stopped = mute(&world, "stopped.sock", 16);
    let waits = "netstat-user: waiting for an answer of the agent …\n";
    for line in ["events --agent /run/stopped.sock", "doctor --agent /run/stopped.sock"] {
        let (mut child, terminal) = world.on_terminal(&args(line), 120);
        let seen = terminal.rest(patience());
        assert_eq!(child.wait().unwrap().code(), Some(1), "{line}: {seen}");
        assert!(seen.starts_with(waits) && seen.contains("it does not answer in time"), "{line}: {seen}");
    }
    let elsewhere = world.ours(&args("events --agent /run/stopped.sock"));
    assert!(elsewhere.end == End::Exit(1) && !text(&elsewhere).1.contains("waiting"), "{elsewhere:?}");
    // As many wait as may: who comes is not even let wait.
    let (_busy, path) = mute(&world, "busy.sock", 0);
    let waiting = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    waiting.connect(&path).unwrap();
    let ends = "agent: somebody listens on /run/busy.sock and does not answer: see whether it is stopped (kill -CONT)";
    let refused = world.ours(&args("agent --socket /run/busy.sock"));
    assert!(refused.end == End::Exit(1) && text(&refused).1.contains(ends), "{refused:?}");
    // What an agent that was killed has left behind is nobody's.
    drop(mute(&world, "left.sock", 1));
    drop(world.started(&args("agent --socket /run/left.sock"), "agent: serving /run/left.sock"));
    Done::Passed
}

fn nothing_that_is_typed_drives_them() -> Done {
    const ESCAPE: &str = "\x1b[31m";
    let world = World::new();
    let socket = format!("/run/{ESCAPE}.sock");
    let _agent = world.started(&args(&format!("agent --socket {socket}")), "agent: serving");
    for (line, code) in [
        (format!("events {ESCAPE}"), 2),
        (format!("events --{ESCAPE}"), 2),
        (format!("events --pid {ESCAPE}"), 2),
        (format!("events --where {ESCAPE}"), 2),
        (format!("events --columns {ESCAPE}"), 2),
        (format!("events --netns {ESCAPE}"), 2),
        (format!("events --agent {socket} --duration 1ms"), 0),
        (format!("events --agent {socket}x"), 1),
        (format!("kill --state {ESCAPE}"), 2),
        (format!("agent --group {ESCAPE}"), 2),
        (format!("doctor --agent {socket}"), 0),
        (format!("doctor --agent {socket}x"), 1),
        (format!("-t --where {ESCAPE}"), 3),
        (format!("-t --color {ESCAPE}"), 3),
        (format!("-t --sort {ESCAPE}"), 3),
        (format!("--completions {ESCAPE}"), 3),
        (format!("-tn {ESCAPE}"), 0),
    ] {
        let ours = world.ours(&args(&line));
        let (stdout, stderr) = text(&ours);
        assert_eq!(ours.end, End::Exit(code), "{line:?}: {stderr}");
        assert!(!stdout.contains('\x1b') && !stderr.contains('\x1b'), "{line:?}: {stdout:?} {stderr:?}");
        assert!(format!("{stdout}{stderr}").contains("\\x1b[31m"), "{line:?} is not shown: {stdout} {stderr}");
    }
    Done::Passed
}

fn marks_are_in_the_glossary() -> Done {
    let mut world = World::new();
    let (_sandbox, mut player) = world.neighbour("a-namespace-with-a-name");
    player.does(&["mine connect 127.0.0.1:7777"]);
    // Narrow enough that names are cut, in lines and in columns.
    let (mut child, mut terminal) = world.on_terminal(&args("events --color never"), 70);
    assert!(terminal.shows("tracing:", patience()), "{}", terminal.text());
    world.talk();
    player.does(&["mine close -"]);
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let mut seen = terminal.rest(patience());
    assert!(child.wait().unwrap().success(), "{seen}");
    let (mut child, terminal) = world.on_terminal(&args("-xa --columns path,state --color never"), 20);
    seen.push_str(&terminal.rest(patience()));
    assert!(child.wait().unwrap().success(), "{seen}");
    let own = |line: &&str| !line.starts_with("tracing:") && !line.starts_with("netstat-user:");
    let letters: std::collections::BTreeSet<char> = seen.lines().filter(own).flat_map(str::chars).collect();
    // Points, colons and slashes are parts of addresses, times, processes and paths.
    let plain = |letter: &char| letter.is_ascii_alphanumeric() || " .:/_-<>".contains(*letter);
    let marks: Vec<char> = letters.into_iter().filter(|letter| !plain(letter)).collect();
    assert!(marks.contains(&'~') && marks.contains(&'@'), "{marks:?} in {seen}");
    for help in ["--help", "events --help"] {
        let page = text(&world.ours(&args(help))).0;
        let glossary = page.split("\nGlossary:\n").nth(1).expect("a glossary");
        for mark in &marks {
            assert!(glossary.lines().any(|line| line.starts_with(&format!("  {mark} "))), "{help}: {mark}");
        }
    }
    Done::Passed
}

fn help_fits() -> Done {
    let world = World::new();
    let on_terminal = |line: &str, columns: u16| {
        let (mut child, terminal) = world.on_terminal(&args(line), columns);
        let seen = terminal.rest(patience());
        assert!(child.wait().unwrap().success(), "{line}: {seen}");
        assert!(seen.lines().all(|line| fits(line, columns)), "{columns}: {line}: {seen}");
        seen
    };
    for verb in ["", "events ", "agent ", "kill ", "doctor "] {
        let short = on_terminal(&format!("{verb}-h"), 80);
        assert!(short.lines().count() < 24, "no room for the next prompt: {short}");
        let long = on_terminal(&format!("{verb}--help"), 80);
        let page = text(&world.ours(&args(&format!("{verb}--man")))).0;
        for (section, title) in [("Examples", "EXAMPLES"), ("Exit codes", "EXIT CODES")] {
            assert!(long.contains(&format!("\n{section}:\n")), "{verb}: {long}");
            assert!(page.contains(&format!(".SH \"{title}\"\n")), "{verb}: {page}");
        }
    }
    for (line, columns) in [("--columns help", 80), ("--columns help", 120), ("events --columns help", 80)] {
        let fields = on_terminal(line, columns).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(fields.contains("when it happened, in UTC;"), "{fields}");
        assert!(
            fields.contains("their programs, from their command lines; of closed sockets as owners.comm"),
            "{fields}"
        );
    }
    Done::Passed
}
