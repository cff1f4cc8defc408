//! Names in conditions that nothing has on this machine: a line names them, and what is printed is what there is.

use crate::world::{World, text};
use netstat_tests::command::End;
use netstat_tests::truth::runner::{Done, Test};

pub const TESTS: &[Test] = &[
    ("names::that_nothing_has_are_reported", that_nothing_has_are_reported),
    ("names::of_several_namespaces_are_shown", of_several_namespaces_are_shown),
];

/// Sockets of several namespaces may have the same addresses.
fn of_several_namespaces_are_shown() -> Done {
    let world = World::new();
    let (_blue, mut player) = world.neighbour("blue");
    let (_green, mut other) = world.neighbour("green");
    player.does(&["named listen-unix /run/of-blue.sock"]);
    other.does(&["named listen-unix /run/of-green.sock"]);
    let shown = |line: &str| text(&world.ours(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())).0;
    for view in ["-tln --no-agent", "-xln --no-agent", "kill --lport 7777 --dry-run"] {
        let one = shown(&format!("{view} --netns blue"));
        assert!(!one.contains("Netns") && !one.contains(" blue"), "{view}: {one}");
        let two = shown(&format!("{view} --netns blue,green"));
        let is_unix = view.starts_with("-x");
        let rows: Vec<_> =
            two.lines().filter(|line| line.contains(if is_unix { " /run/of-" } else { ":7777 " })).collect();
        let named = |name: &str| {
            let socket = format!(" /run/of-{name}.sock");
            let is = |row: &&&str| row.split(' ').any(|word| word == name) && (!is_unix || row.contains(&socket));
            rows.iter().filter(is).count()
        };
        assert!(view.starts_with("kill") || two.contains(" Netns"), "{view}: {two}");
        assert_eq!((rows.len(), named("blue"), named("green")), (2, 1, 1), "{view}: {two}");
    }
    // Objects have the same keys as of one namespace.
    for view in ["-tln --no-agent --json", "-xln --no-agent --json"] {
        let objects = |netns: &str| -> Vec<serde_json::Map<String, serde_json::Value>> {
            shown(&format!("{view} --netns {netns}")).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        let (one, two) = (objects("blue"), objects("blue,green"));
        assert_eq!((one.len(), two.len()), (1, 2), "{view}: {two:?}");
        assert!(two.iter().all(|object| object.keys().eq(one[0].keys())), "{view}: {one:?} {two:?}");
    }
    Done::Passed
}

fn that_nothing_has_are_reported() -> Done {
    let mut world = World::new();
    let (_sandbox, _player) = world.neighbour("blue");
    let of_user = "netstat-user: --where: there is no user `no-such-user'\n";
    let of_netns = "netstat-user: --where: there is no network namespace `no-such-netns'\n";
    let not_read = "netstat-user: network namespace `blue' was not read: --where selects among what is listed, your own namespace here; give --netns blue, too\n";
    for (expression, rows, says) in [
        ("user = no-such-user", 0, of_user),
        ("netns_name = no-such-netns", 0, of_netns),
        ("state listening and user = no-such-user", 0, of_user),
        ("user = root or user = no-such-user", 4, of_user),
        ("netns_name = blue", 0, not_read),
        // These say nothing of what is there, or match all the same.
        ("user = root", 4, ""),
        ("user = no-such-*", 0, ""),
        ("user != no-such-user", 4, ""),
        ("not user = no-such-user", 4, ""),
        ("user = no-such-user or proto = tcp", 3, ""),
        ("user = 3999999999", 0, "netstat-user: --where: there is no user `3999999999'\n"),
    ] {
        let args = ["-tan", "--no-agent", "--columns", "local", "--where", expression].map(str::to_owned);
        let outcome = world.ours(&args);
        let (table, said) = text(&outcome);
        assert_eq!((outcome.end, &*said), (End::Exit(0), says), "{expression}");
        assert_eq!(table.lines().count(), 1 + rows, "{expression}: {table}");
    }
    let args = ["-tan", "--no-agent", "--all-netns", "--columns", "local", "--where", "netns_name = blue"];
    let outcome = world.ours(&args.map(str::to_owned));
    assert_eq!((text(&outcome).0.lines().count(), text(&outcome).1), (2, String::new()), "listed, and so selected");
    let args = ["kill", "--dry-run", "--where", "user = no-such-user"].map(str::to_owned);
    let outcome = world.ours(&args);
    assert_eq!(outcome.end, End::Exit(0), "{outcome:?}");
    assert_eq!(text(&outcome).1, format!("{of_user}netstat-user: no socket matches\n"));
    let args = ["events", "--where", "netns_name = no-such-netns"].map(str::to_owned);
    let (lines, said) = world.events(&args, World::talk);
    assert!(lines.is_empty() && said.starts_with(of_netns), "{lines}{said}");
    Done::Passed
}
