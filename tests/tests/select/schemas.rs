//! `--schema`: what is printed is as the schema says, and the schema describes every key that is printed.

use crate::Zoo;
use netstat_tests::command::{self, End};
use netstat_tests::programs;
use netstat_tests::schema;
use netstat_tests::truth::runner::{Done, Test};
use serde_json::Value;
use std::process::Command;
use std::time::Duration;

pub const TESTS: &[Test] = &[
    ("select: the schemas of views describe every key", views),
    ("select: the schemas of verbs describe every key", verbs),
];

/// Runs our program in the zoo, with and without `--schema`; how many lines there are.
fn described(zoo: &Zoo, args: &[&str], schema_args: &[&str]) -> usize {
    let schema = zoo.ours(schema_args);
    assert_eq!(schema.end, End::Exit(0), "{schema_args:?}: {schema:?}");
    let schema: Value = serde_json::from_slice(&schema.stdout).unwrap();
    let limit = Duration::from_secs(60);
    let printed =
        zoo.netns.enter(|| command::run(Command::new(programs::netstat_user()).args(args), None, limit).unwrap());
    let text = String::from_utf8(printed.stdout.clone()).unwrap();
    for line in text.lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        assert_eq!(schema::problems(&schema, &value), [] as [String; 0], "{args:?}: {line}");
    }
    text.lines().count()
}

fn views() -> Done {
    let zoo = Zoo::get();
    for args in [
        &["-tuwan", "--json"][..],
        &["-tuwane", "--info", "--json"],
        &["-tuan", "--all-netns", "--json"],
        &["-xan", "--json"],
        &["-an", "--json"],
        &["-rn", "--json"],
        &["-rn", "-6", "--json"],
        &["-ian", "--json"],
        &["-gn", "--json"],
        &["-tan", "-g", "--json"],
        &["-s", "--json"],
        &["-s", "-6", "--json"],
        &["-tan", "--columns", "local,remote_ip,owners,info,peer,port_chosen_by", "--json"],
        &["-tan", "--count-by", "state,local.port", "--json"],
    ] {
        let lines = described(zoo, &[args, &["--no-agent"]].concat(), &[args, &["--schema"]].concat());
        assert!(lines > 0 || args.contains(&"-6") || args[0] == "-rn", "{args:?}: nothing is printed");
    }
    Done::Passed
}

fn verbs() -> Done {
    let zoo = Zoo::get();
    let kill = ["kill", "--where", "state all", "--dry-run", "--json"];
    assert!(described(zoo, &kill, &["kill", "--schema"]) > 10);
    assert!(described(zoo, &["doctor", "--no-agent", "--json"], &["doctor", "--schema"]) > 3);
    for args in [
        &["--json"][..],
        &["--life", "--json"],
        &["--columns", "time,direction,remote_ip,comm", "--json"],
        &["--life", "--columns", "comm,states", "--json"],
    ] {
        let events = [&["events", "--duration", "500ms"], args].concat();
        described(zoo, &events, &[&["events", "--schema"], args].concat());
    }
    Done::Passed
}
