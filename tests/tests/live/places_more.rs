//! More bad places: a private cgroup namespace, alone and in a container; a cgroup that another program keeps for itself; too little room
//! to remember every socket.

use crate::actor::{self, Actor};
use crate::cgroup::Cgroup;
use crate::check::Sight;
use crate::endings::blink;
use crate::event::Kind;
use crate::made::Made;
use crate::places::{carry, traffic};
use crate::runner::{Done, Test};
use crate::scale::{self, patience};
use crate::tracer::{Outcome, Tracer, events_after};
use netstat_tests::command::{self, End};
use netstat_tests::programs;
use serde_json::Value;
use std::fs;

pub const TESTS: &[Test] = &[
    ("places_more::in_a_cgroup_namespace", in_a_cgroup_namespace),
    ("places_more::in_a_container", in_a_container),
    ("places_more::doctor_in_a_container", doctor_in_a_container),
    ("places_more::doctor_in_a_cgroup_namespace", doctor_in_a_cgroup_namespace),
    ("places_more::doctor_notes_what_the_kernel_denies", doctor_notes_what_the_kernel_denies),
    ("places_more::beside_a_program_attached_alone", beside_a_program_attached_alone),
    ("places_more::with_types_of_a_later_kernel", with_types_of_a_later_kernel),
    ("places_more::with_hash_maps_of_an_older_kernel", with_hash_maps_of_an_older_kernel),
    ("places_more::more_sockets_than_are_remembered", more_sockets_than_are_remembered),
];

/// The host's processes can be seen, and one of them shows the way to the root of the hierarchy: all is seen from there.
fn in_a_cgroup_namespace() -> Done {
    let cgroup = Cgroup::new("namespace");
    let outcome = carry(Tracer::spawn(events_after(&[&cgroup.step(), "cgroupns"], &["--json"])), Sight::default());
    assert!(!outcome.ready.contains("cgroup namespace"), "{outcome:?}");
    Done::Passed
}

fn opened(outcome: &Outcome, made: &Made) -> bool {
    outcome.events.iter().any(|event| matches!(event.kind, Kind::Open) && event.cookie == Some(made.cookie))
}

/// Neither the host's processes nor the root of the hierarchy can be seen: what is not seen is said.
fn in_a_container() -> Done {
    let cgroup = Cgroup::new("container");
    let mut tracer = Tracer::spawn(events_after(&[&cgroup.step(), "cgroupns", "pidns"], &["--json"]));
    let (outside, connections) = (blink(), traffic());
    let mut inside = actor::prepared(&[&cgroup.step()]);
    inside.arg(std::env::current_exe().unwrap()).args([actor::FLAG, "hold", "udp"]);
    let mut inside = Actor::start(inside);
    let held: Vec<Made> = inside.hear();
    inside.end();
    tracer.wait_closed(&held);
    let tcp = connections.iter().filter(|life| life.made.proto.starts_with("tcp"));
    tracer.wait_closed(tcp.clone().map(|life| &life.made));
    let outcome = tracer.finish();
    // Of a process in the namespace everything is there.
    assert!(opened(&outcome, &held[0]), "no open of {}: {outcome:?}", held[0].name());
    assert!(!opened(&outcome, &outside), "an open of {}", outside.name());
    let closed = |made: &Made| {
        let closes = outcome.events.iter().filter(|event| matches!(event.kind, Kind::Close(_)));
        closes.filter(|event| event.cookie == Some(made.cookie)).count()
    };
    assert!(tcp.clone().all(|life| closed(&life.made) == 1), "TCP ends are seen everywhere: {outcome:?}");
    for word in ["cgroup namespace", "no open events", "no UDP events", "no created owner"] {
        assert!(outcome.ready.contains(word), "no {word:?} in {:?}", outcome.ready);
    }
    Done::Passed
}

/// `doctor` after these steps: how it ended, its report for people, and the check of the cgroups.
fn doctor(steps: &[&str]) -> (End, String, Value) {
    let run = |args: &[&str]| {
        let mut command = actor::prepared(steps);
        command.arg(programs::netstat_user()).args(["doctor", "--no-agent"]).args(args);
        command::run(&mut command, None, patience()).unwrap()
    };
    let (text, json) = (run(&[]), run(&["--json"]));
    assert_eq!(text.end, json.end, "{text:?} {json:?}");
    let lines = String::from_utf8(json.stdout.clone()).unwrap();
    let mut rows = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let check = rows.find(|row| row["kind"] == "check" && row["name"] == "cgroup2");
    (text.end, String::from_utf8(text.stdout).unwrap(), check.unwrap_or_else(|| panic!("no check of cgroups: {lines}")))
}

fn doctor_in_a_container() -> Done {
    let cgroup = Cgroup::new("doctor");
    let (end, text, check) = doctor(&[&cgroup.step(), "cgroupns", "pidns"]);
    assert_eq!(end, End::Exit(1), "{text}");
    assert_eq!(check["level"], "bad", "{check}");
    for word in ["cgroup namespace", "no open events", "--cgroupns host"] {
        assert!(text.contains(word), "no {word:?} in {text}");
        assert!(check.to_string().contains(word), "no {word:?} in {check}");
    }
    Done::Passed
}

fn doctor_in_a_cgroup_namespace() -> Done {
    let cgroup = Cgroup::new("doctor");
    let (_, text, check) = doctor(&[&cgroup.step(), "cgroupns"]);
    assert_eq!(check["level"], "ok", "{check}\n{text}");
    Done::Passed
}

/// accept(2) is seen at a cost where the kernel has the better way and denies it, and that is no secret; where it has no better way, all is well.
fn doctor_notes_what_the_kernel_denies() -> Done {
    let mut command = actor::prepared(&[]);
    command.arg(programs::netstat_user()).args(["doctor", "--no-agent", "--json"]);
    let lines = String::from_utf8(command::run(&mut command, None, patience()).unwrap().stdout).unwrap();
    let mut rows = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let accept = rows.find(|row| row["name"] == "accept").unwrap();
    if accept["variant"] != "syscall" {
        return Done::Skipped(format!("accept(2) is seen by {}", accept["variant"]));
    }
    let refused = accept["refused"].as_array().unwrap();
    let denied = |row: &&Value| row["cause"].as_str().unwrap().contains("Operation not permitted");
    match refused.iter().find(denied) {
        Some(denied) => {
            let found = format!("syscall, as the kernel denies {}", denied["variant"].as_str().unwrap());
            assert!(accept["level"] == "note" && accept["found"] == found, "{accept}");
            assert!(accept["mend"].as_str().is_some_and(|mend| mend.contains("lockdown")), "{accept}");
        }
        None => assert!(accept["level"] == "ok" && accept["mend"].is_null(), "{accept}"),
    }
    Done::Passed
}

/// At the root of the hierarchy it would keep everybody else's tracer out too: so it is at the root of a container's part.
fn beside_a_program_attached_alone() -> Done {
    let cgroup = Cgroup::new("alone");
    cgroup.occupy("a_loner").unwrap();
    let steps = [&cgroup.step(), "cgroupns", "pidns"];
    let outcome = Tracer::spawn(events_after(&steps, &["--json"])).finish();
    let line = outcome.stderr.iter().find(|line| line.contains("sock_create is not traced"));
    let line = line.unwrap_or_else(|| panic!("nothing is said of sock_create: {outcome:?}"));
    for word in ["attached alone", "a_loner", "BPF_F_ALLOW_MULTI"] {
        assert!(line.contains(word), "no {word:?} in {line}");
    }
    assert!(outcome.ready.contains("sock_release=cgroup"), "another kind is not kept out: {outcome:?}");
    let mut command = actor::prepared(&steps);
    command.arg(programs::netstat_user()).args(["doctor", "--no-agent"]);
    let text = String::from_utf8(command::run(&mut command, None, patience()).unwrap().stdout).unwrap();
    assert!(text.contains("a_loner") && text.contains("detach it"), "{text}");
    Done::Passed
}

/// The kernel's types with one more at their end, of a kind that no program of today knows: everything else is found all the same.
fn with_types_of_a_later_kernel() -> Done {
    let Ok(blob) = fs::read("/sys/kernel/btf/vmlinux") else {
        return Done::Skipped("this kernel gives out no types".into());
    };
    // `struct btf_header`: its length is at byte 4, those of the types at 12, the place of the strings at 16.
    let word = |at: usize| u32::from_le_bytes(blob[at..at + 4].try_into().unwrap());
    let (header, types) = (word(4), word(12));
    // A name, the kind, a type, and a word behind the head.
    let added: Vec<u8> = [0, 30 << 24, 1, 7u32].iter().flat_map(|word| word.to_le_bytes()).collect();
    let mut later = blob.clone();
    later.splice((header + types) as usize..(header + types) as usize, added.iter().copied());
    for at in [12, 16] {
        let moved = word(at) + added.len() as u32;
        later[at..at + 4].copy_from_slice(&moved.to_le_bytes());
    }
    let step = in_place_of_types("later", &later);
    let as_ever = Tracer::start(&[]).finish().ready;
    let outcome = carry(Tracer::spawn(events_after(&[&step], &["--json"])), Sight::default());
    assert_eq!(outcome.ready, as_ever);
    Done::Passed
}

/// The step that puts these types in place of the kernel's.
fn in_place_of_types(name: &str, blob: &[u8]) -> String {
    let path = actor::scratch().join(format!("types-{name}"));
    fs::write(&path, blob).unwrap();
    format!("types={}", path.display())
}

/// The kinds, sizes and flags of the hash maps that a process has open, from `bpf_map_show_fdinfo`.
fn hash_maps(pid: i32) -> Vec<(u64, u64)> {
    let mut maps = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
        let field = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"))?;
            match value.strip_prefix("0x") {
                Some(digits) => u64::from_str_radix(digits, 16).ok(),
                None => value.parse().ok(),
            }
        };
        // BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_LRU_HASH
        if matches!(field("map_type"), Some(1 | 9)) {
            maps.push((field("max_entries").unwrap(), field("map_flags").unwrap()));
        }
    }
    maps
}

/// Without the allocator of Linux 6.1 in its types the kernel counts as older: no map may take its memory as it goes, or the kernel warns.
fn with_hash_maps_of_an_older_kernel() -> Done {
    const NO_PREALLOC: u64 = 1;
    let Ok(mut blob) = fs::read("/sys/kernel/btf/vmlinux") else {
        return Done::Skipped("this kernel gives out no types".into());
    };
    let name = b"\0bpf_htab\0";
    let at = blob.windows(name.len()).position(|bytes| bytes == name).unwrap();
    blob[at + 1] = b'x';
    let step = in_place_of_types("older", &blob);
    let tracer = Tracer::spawn(events_after(&[&step], &["--json"]));
    let maps = hash_maps(tracer.pid().as_raw());
    assert!(!maps.is_empty() && maps.iter().all(|(_, flags)| flags & NO_PREALLOC == 0), "{maps:?}");
    assert!(maps.iter().all(|&(entries, _)| entries <= 1 << 16), "a lot of memory is taken beforehand: {maps:?}");
    carry(tracer, Sight::default());
    let tracer = Tracer::spawn(events_after(&[&step], &["--json", "--remember", "1000"]));
    assert!(hash_maps(tracer.pid().as_raw()).contains(&(1000, 0)));
    tracer.finish();
    Done::Passed
}

/// Said when it happens, not at the end only.
fn more_sockets_than_are_remembered() -> Done {
    // Some sets of the table overflow long before it is full.
    let (hoarders, each) = (6, 15_000);
    if scale::scale() < 1.0 {
        return Done::Skipped("an emulated machine takes too long to make so many sockets".into());
    }
    let tracer = Tracer::start(&["--remember", "1"]);
    let mut actors: Vec<Actor> =
        (0..hoarders).map(|_| Actor::start(actor::named("live-hoarder", "hoard", &[&each.to_string()]))).collect();
    for actor in &mut actors {
        let made: Vec<Made> = actor.hear();
        assert!(!made.is_empty());
    }
    // It looks twice a second.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let outcome = tracer.finish();
    actors.into_iter().for_each(Actor::end);
    let at = |words: &str| outcome.stderr.iter().position(|line| line.contains(words));
    let said = at("could not be remembered").unwrap_or_else(|| panic!("nothing is said: {outcome:?}"));
    assert!(outcome.stderr[said].contains("--remember"), "{outcome:?}");
    assert!(at(" lost").is_some_and(|end| said < end), "said at the end only: {outcome:?}");
    Done::Passed
}
