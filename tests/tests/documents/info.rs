//! `--info` of every network namespace, and of rows that an agent hands over.

use crate::world::{World, text};
use netstat_tests::command::End;
use netstat_tests::truth::runner::{Done, Test};
use serde_json::Value;

pub const TESTS: &[Test] =
    &[("info::of_every_namespace", of_every_namespace), ("info::through_the_agent", through_the_agent)];

fn rows(world: &World, line: &str) -> Vec<Value> {
    let outcome = world.ours(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
    assert_eq!(outcome.end, End::Exit(0), "{line}: {outcome:?}");
    text(&outcome).0.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How many established connections have a congestion window, of all or of one namespace.
fn windows(rows: &[Value], netns: Option<&Value>) -> usize {
    let is_one = |row: &&Value| {
        row["state"] == "ESTABLISHED"
            && netns.is_none_or(|netns| row["netns"] == *netns)
            && row["info"]["cwnd"].as_u64() > Some(0)
    };
    rows.iter().filter(is_one).count()
}

fn of_every_namespace() -> Done {
    let world = World::new();
    let (_sandbox, mut player) = world.neighbour("blue");
    player.does(&["mine connect 127.0.0.1:7777", "theirs accept there"]);
    let all = rows(&world, "-tn --info --all-netns --json --no-agent");
    let (here, there) = (&rows(&world, "-tn --json --no-agent")[0]["netns"], "blue");
    let named = all.iter().find(|row| row["netns_name"] == there).expect("a row of the other namespace");
    assert_eq!((windows(&all, Some(here)), windows(&all, Some(&named["netns"]))), (2, 2), "{all:#?}");
    let shown = text(&world.ours(&["-tn", "--info", "--all-netns", "--no-agent"].map(str::to_owned))).0;
    let lines: Vec<&str> = shown.lines().collect();
    let at = lines.iter().position(|line| line.contains("blue")).expect("a row of the other namespace");
    assert!(lines[at + 1].contains("cwnd:"), "below its row: {shown}");
    Done::Passed
}

fn through_the_agent() -> Done {
    let mut world = World::new();
    world.start_agent();
    let agent = "-tn --info --json --agent /run/netstat-user/agent.sock";
    let (from_agent, from_kernel) = (rows(&world, agent), rows(&world, "-tn --info --json --no-agent"));
    assert_eq!((windows(&from_agent, None), windows(&from_kernel, None)), (2, 2), "{from_agent:#?}");
    for (theirs, ours) in from_agent.iter().zip(&from_kernel) {
        assert_eq!((&theirs["cookie"], &theirs["info"]["mss"]), (&ours["cookie"], &ours["info"]["mss"]));
    }
    Done::Passed
}
