//! The questions of docs/how-do-i.md: each command is run against real sockets, and answers.

use crate::markdown::{self, words};
use crate::world::{World, text};
use netstat_tests::command::End;
use netstat_tests::truth::cgroup::Nest;
use netstat_tests::truth::runner::{Done, Test, note};
use netstat_tests::truth::scale::patience;
use std::fs;

pub const TESTS: &[Test] = &[("questions::each_is_answered_by_its_command", each_is_answered_by_its_command)];

/// The id of a container, as its cgroup is named.
const CONTAINER: &str = "3f4e8d6b0a1c2f5e7d9b8a6c4e2f0d1b3a5c7e9f8d6b4a2c0e1f3d5b7a9c8e6f";

/// The command of a question, by its number, its words with what they stand for here in place of the example's.
fn asked(number: usize, instead: &[(&str, &str)]) -> Vec<String> {
    let page = fs::read_to_string(markdown::root().join("docs/how-do-i.md")).unwrap();
    let row = page.lines().find(|line| line.starts_with(&format!("| {number}. "))).expect("the question is there");
    let command = row.trim_end_matches(" |").rsplit(" | ").next().unwrap().trim_matches('`');
    assert!(!["|", "grep", "awk", "jq"].iter().any(|tool| command.contains(tool)), "one command alone: {command}");
    let mut command = command.to_owned();
    for (example, here) in instead {
        assert!(command.contains(example), "question {number} has {example}: {command}");
        command = command.replace(example, here);
    }
    words(&command).split_off(1)
}

/// Runs the command of a question; it must end with exit code 0.
fn answer(world: &World, number: usize, instead: &[(&str, &str)]) -> String {
    let args = asked(number, instead);
    let outcome = world.ours(&args);
    assert_eq!(outcome.end, End::Exit(0), "{args:?}: {outcome:?}");
    text(&outcome).0
}

/// The words of the first line that has all of these.
fn line<'t>(answer: &'t str, parts: &[&str]) -> Vec<&'t str> {
    let found = answer.lines().find(|line| parts.iter().all(|part| line.contains(part)));
    found.unwrap_or_else(|| panic!("no line with {parts:?} in\n{answer}")).split_whitespace().collect()
}

fn each_is_answered_by_its_command() -> Done {
    let container = Nest::new(&format!("/system.slice/docker-{CONTAINER}.scope"));
    let mut world = World::new();
    match &container {
        Ok(nest) => world.client.does(&[&format!("- enter {}", &nest.path()[1..])]),
        // The other questions are answered all the same.
        Err(error) => note(format!("question 13: no cgroup can be made: {error}")),
    }
    world.start_agent();
    let (_sandbox, _player) = world.neighbour("blue");
    // A connection that the server does not read, one that it has closed, and one to be closed.
    world.client.does(&["full connect 127.0.0.1:8080"]);
    world.web.does(&["full accept web"]);
    world.client.does(&["full fill -", "left connect 127.0.0.1:8080"]);
    world.web.does(&["left accept web", "left close -", "sql listen 192.0.2.7:5432"]);
    world.client.does(&["db connect 192.0.2.7:5432"]);
    world.web.does(&["db accept sql"]);
    let (web, client) = (world.web.pid().to_string(), world.client.pid().to_string());
    let (of_web, of_client) = (format!("{web}/web"), format!("{client}/client"));

    let tables: [fn(&World, &str, &str); 4] = [who_listens_and_to_whom, sums, queues_and_ages, other_ends];
    for table in tables {
        table(&world, &of_web, &of_client);
    }
    // 13. Which container does a connection belong to?
    let containers = answer(&world, 13, &[]);
    line(&containers, &["127.0.0.1", &client, if container.is_ok() { CONTAINER } else { "-" }]);
    // 15. What is in the other network namespaces?
    line(&answer(&world, 15, &[]), &["127.0.0.1:7777", "LISTEN", "blue"]);
    streams(&mut world, &client, &of_client);
    // 17. What closed within the last five minutes?
    line(&answer(&world, 17, &[]), &["127.0.0.1:81", "CLOSE", &of_client, "refused"]);
    // 18. How do I close one connection?
    let (mut child, mut terminal) = world.on_terminal(&asked(18, &[]), 120);
    assert!(terminal.shows("Close this socket? [y/N] ", patience()), "{}", terminal.text());
    terminal.type_line("y");
    let seen = terminal.rest(patience());
    assert!(child.wait().unwrap().success(), "{seen}");
    line(&seen, &["closed ", "192.0.2.7:5432", &of_client]);
    // 19. Is tracing whole?
    let doctor = world.ours(&asked(19, &[]));
    assert!(matches!(doctor.end, End::Exit(0 | 1)), "{doctor:?}");
    assert!(text(&doctor).0.lines().next().is_some_and(|verdict| verdict.ends_with('.')), "a sentence: {doctor:?}");
    // 20. How do I export events?
    let mut exporting = world.started(&asked(20, &[("60s", "3s")]), "tracing:");
    world.talk();
    let (exported, _) = exporting.ended();
    let of_client = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {exported}"));
        event["pid"].as_u64() == client.parse().ok()
    };
    assert!(exported.lines().filter(|line| of_client(line)).count() > 0, "no event of the client: {exported}");
    Done::Passed
}

fn who_listens_and_to_whom(world: &World, web: &str, client: &str) {
    // 1. Who listens?
    let listening = answer(world, 1, &[]);
    line(&listening, &["tcp ", "127.0.0.1:8080", "LISTEN", web]);
    line(&listening, &["tcp6 ", "::1:8081", "LISTEN", web]);
    line(&listening, &["udp ", "0.0.0.0:5353", web]);
    assert!(!listening.contains("ESTABLISHED"), "{listening}");
    // 2. Which connections does a process have?
    let pid = client.split('/').next().unwrap();
    let of_process = answer(world, 2, &[("1234", pid)]);
    let rows: Vec<&str> = of_process.lines().filter(|line| line.starts_with("tcp")).collect();
    assert_eq!(rows.len(), 4, "{of_process}");
    assert!(rows.iter().all(|row| row.contains(client)), "{of_process}");
}

fn sums(world: &World, _: &str, _: &str) {
    // 3. How many sockets are in each state?
    let states = answer(world, 3, &[]);
    assert_eq!(line(&states, &["LISTEN"]), ["3", "LISTEN"], "{states}");
    assert_eq!(line(&states, &["ESTABLISHED"]), ["6", "ESTABLISHED"], "{states}");
    assert_eq!(line(&states, &["CLOSE_WAIT"]), ["1", "CLOSE_WAIT"], "{states}");
    // 4. Which remote hosts have the most connections?
    let hosts = answer(world, 4, &[]);
    let counts: Vec<Vec<&str>> = hosts.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(counts.first().map(|first| first[1]), Some("127.0.0.1"), "most first: {hosts}");
    assert_eq!(line(&hosts, &["192.0.2.7"])[0], "2", "both ends of one: {hosts}");
}

fn queues_and_ages(world: &World, web: &str, client: &str) {
    // 8. Which queues are stuck?
    let stuck = answer(world, 8, &[]);
    let rows: Vec<&str> = stuck.lines().filter(|line| line.starts_with("tcp")).collect();
    assert!(rows[0].contains(client) && rows.iter().any(|row| row.contains(web)), "{stuck}");
    // 9. Which sockets are in CLOSE_WAIT, and since when?
    let waiting = answer(world, 9, &[]);
    let row = line(&waiting, &["127.0.0.1"]);
    assert_eq!((waiting.lines().count(), row[2]), (2, client.split('/').next().unwrap()), "{waiting}");
    let digits = row[3].trim_end_matches(char::is_alphabetic);
    assert!(
        row[3].ends_with('s') && digits.parse::<f64>().is_ok_and(|time| time > 0.0),
        "a time and its unit: {waiting}"
    );
}

fn other_ends(world: &World, web: &str, client: &str) {
    let number = |of: &str| of.split('/').next().unwrap().to_owned();
    let (web, client) = (number(web), number(client));
    // 11. Which process is at the other end?
    let ends = answer(world, 11, &[]);
    line(&ends, &["8080", &format!("{client}  "), &web, "web"]);
    line(&ends, &["8080", &format!("{web}  "), &client, "client"]);
    // 12. Who are the clients of a UNIX socket?
    assert_eq!(line(&answer(world, 12, &[]), &["/run/web.sock"]), ["/run/web.sock", &web, &client, "client"]);
    // 14. What are RTT and congestion window?
    let paths = answer(world, 14, &[]);
    let has_window = |line: &&str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.len() == 3 && words[1].parse::<u32>().is_ok() && words[2].parse::<u32>().is_ok_and(|window| window > 0)
    };
    // Of what is left of the connection that the server has closed, the kernel has none.
    assert_eq!(paths.lines().skip(1).filter(has_window).count(), 7, "{paths}");
}

fn streams(world: &mut World, client: &str, of_client: &str) {
    // 5. Which short-lived connections does a process make?
    let (lives, _) = world.events(&asked(5, &[("1234", client)]), World::talk);
    line(&lives, &["-> 127.0.0.1:8080", "closed", of_client]);
    assert!(!lives.contains("/web"), "{lives}");
    // 6. Why do connections fail, and who makes them?
    let (failed, _) = world.events(&asked(6, &[]), World::talk);
    line(&failed, &["-> 127.0.0.1:81", "refused", of_client]);
    assert_eq!(failed.lines().count(), 1, "{failed}");
    // 7. How long do connections live?
    let (lives, _) = world.events(&asked(7, &[]), World::talk);
    let row = line(&lives, &["127.0.0.1:8080", "closed", of_client]);
    let lived = row[row.iter().position(|word| *word == "closed").unwrap() + 1];
    assert!(lived.ends_with("ms") && lived.trim_end_matches("ms").parse::<f64>().unwrap() >= 50.0, "{lives}");
    // 10. Who sent UDP to port 53?
    let asks = |world: &mut World| {
        world.client.does(&["dns connect-udp 127.0.0.1:53", "dns send 20", "dns close -"]);
    };
    let (datagrams, _) = world.events(&asked(10, &[]), asks);
    line(&datagrams, &["udp", "127.0.0.1:53 ", "closed", of_client]);
    // 16. Which connections fail right now, and what was before?
    let (failed, _) = world.events(&asked(16, &[]), World::talk);
    line(&failed, &["-> 127.0.0.1:81", "refused", of_client, "connect "]);
}
