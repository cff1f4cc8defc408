//! What people see on terminals, and nobody else: what is waited for, questions before something is closed, colour.

use crate::world::{World, text};
use netstat_tests::command::End;
use netstat_tests::truth::runner::{Done, Test};
use netstat_tests::truth::scale::patience;

pub const TESTS: &[Test] = &[
    ("terminals::what_is_waited_for_is_named", what_is_waited_for_is_named),
    ("terminals::kill_asks_before_it_closes", kill_asks_before_it_closes),
    ("terminals::columns_have_colour", columns_have_colour),
];

fn args(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn what_is_waited_for_is_named() -> Done {
    let mut world = World::new();
    // The only name server takes questions, and answers none.
    world.web.does(&["mute bind-udp 127.0.0.1:53"]);
    world.client.does(&["far connect-udp 192.0.2.77:9"]);
    let said = "netstat-user: waiting for the kernel's tables and the names of hosts (-n leaves names out) …\n";
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
