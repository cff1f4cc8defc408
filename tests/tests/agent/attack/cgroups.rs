//! Cgroups of one user, by the thousand and with paths as long as the kernel allows.

use super::{STRANGER, open_to_all};
use crate::agent::Agent;
use crate::churn::Place;
use netstat_tests::netns::in_thread;
use netstat_tests::truth::actor::{self, Actor};
use netstat_tests::truth::cgroup::{Nest, mount_hierarchy, private_mounts, socket_inside};
use netstat_tests::truth::runner::{Done, Test};
use netstat_tests::truth::scale::{count, patience};
use std::fs::{self, File};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[(
    "attack::the_cgroups_of_one_user_push_nobodys_out_and_take_bounded_memory",
    the_cgroups_of_one_user_push_nobodys_out_and_take_bounded_memory,
)];

const CONTAINER: &str = "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d";
/// Length of the stranger's paths, in bytes, with what the hierarchy is mounted at; the kernel allows 4096.
const PATH: usize = 4000;
/// Another user, whose container is removed.
const HONEST: u32 = 54_323;

/// Waits until so many more events have been taken in than there were `before`, and their cgroups have been looked up.
fn settle(agent: &Agent, before: u64, events: usize) {
    agent.wait("the events", |status| status.events >= before + events as u64);
    thread::sleep(Duration::from_millis(100));
}

/// Makes so many sockets of the stranger, each in a cgroup of its own with a path of [`PATH`] bytes, which is removed.
fn flood(agent: &Agent, folder: &Path, cgroups: usize) {
    let mut deep = folder.to_owned();
    while deep.as_os_str().len() + 2 * 251 < PATH {
        deep.push("x".repeat(250));
        fs::create_dir(&deep).unwrap();
    }
    // Each child gets a copy of the page tables of whoever makes it: those of this process have grown with the tests before.
    let mut crowd = Actor::start(actor::named("live-crowd", "inside", &[&STRANGER.to_string()]));
    let length = PATH - deep.as_os_str().len() - 1;
    let numbers: Vec<usize> = (0..cgroups).collect();
    for batch in numbers.chunks(2000) {
        let before = agent.status().events;
        let leaves: Vec<_> = batch.iter().map(|number| deep.join(format!("{number:0length$}"))).collect();
        for leaf in &leaves {
            fs::create_dir(leaf).unwrap();
            crowd.write_line(leaf.to_str().unwrap());
        }
        // Each socket is opened and closed.
        settle(agent, before, 2 * batch.len());
        leaves.iter().for_each(|leaf| remove(leaf));
    }
    crowd.end();
    while deep != folder {
        remove(&deep);
        deep.pop();
    }
}

/// Removes a cgroup; its last process may be on its way out.
fn remove(dir: &Path) {
    let deadline = Instant::now() + patience();
    while let Err(error) = fs::remove_dir(dir) {
        assert!(Instant::now() < deadline, "{}: {error}", dir.display());
        thread::sleep(Duration::from_millis(1));
    }
}

/// Containers of others that are gone stay named in `--recent`.
fn the_cgroups_of_one_user_push_nobodys_out_and_take_bounded_memory() -> Done {
    let outer = format!("netstat-flood-{}", std::process::id());
    let nest = match Nest::new(&format!("/{outer}")) {
        Ok(nest) => nest,
        Err(error) => return Done::Skipped(format!("no cgroups can be made: {error}")),
    };
    let place = Place::new();
    let agent = open_to_all(&["--recent", "1h"]);
    let done = place.namespace.enter(|| {
        in_thread(|| {
            private_mounts().unwrap();
            let point = Path::new("/mnt");
            mount_hierarchy(point).unwrap();
            let folder = point.join(&outer);
            let container = folder.join(format!("docker-{CONTAINER}.scope"));
            fs::create_dir(&container).unwrap();
            let events = agent.status().events;
            let pid = match socket_inside(&File::open(&container).unwrap(), HONEST) {
                Ok(pid) => pid,
                Err(error) => {
                    remove(&container);
                    return Done::Skipped(format!("no process can begin in a cgroup: {error}"));
                }
            };
            settle(&agent, events, 2);
            remove(&container);
            let named = || {
                let mine = format!("event = close and pid = {pid}");
                agent.classic(&["-uan", "--recent", "1h", "--where", &mine, "--columns", "container,unit,cgroup"])
            };
            let before = named();
            assert_eq!(before.len(), 1);
            assert_eq!(before[0]["container"], CONTAINER);
            // The first thousand takes memory for other things, too.
            flood(&agent, &folder, count(1000));
            let (resident, cgroups) = (agent.resident(), count(20_000));
            flood(&agent, &folder, cgroups);
            let grown = agent.resident().saturating_sub(resident);
            println!("{cgroups} cgroups, {} KiB of paths: {} KiB more", (cgroups * PATH) >> 10, grown >> 10);
            assert_eq!(named(), before, "the container of another user");
            // All paths are 78 MiB, and 16 MiB of them are kept. What the start has left is given back meanwhile, some 20 MiB.
            assert!(grown < 40 << 20, "{} KiB", grown >> 10);
            Done::Passed
        })
    });
    drop(nest);
    agent.stop();
    place.leave();
    done
}
