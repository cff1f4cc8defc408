//! Whose a socket is: containers, units and pods of real cgroups with the paths that the runtimes write, the process at the other end, ages.

use crate::agent::Agent;
use netstat_tests::command::{self, End};
use netstat_tests::netns::NetNs;
use netstat_tests::programs;
use netstat_tests::truth::actor::{self, Actor};
use netstat_tests::truth::cgroup::Nest;
use netstat_tests::truth::made::{self, Family, Made, Pair};
use netstat_tests::truth::runner::{Done, Test};
use netstat_tests::truth::scale::patience;
use netstat_tests::truth::tracer::{self, Tracer};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::fstat;
use serde_json::{Value, json};
use std::fs;
use std::net::{Ipv4Addr, Shutdown, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[
    ("whose::containers_in_tables", containers_in_tables),
    ("whose::containers_in_events", containers_in_events),
    ("whose::containers_that_are_gone", containers_that_are_gone),
    ("whose::containers_that_come_and_go", containers_that_come_and_go),
    ("whose::sockets_that_nobody_holds", sockets_that_nobody_holds),
    ("whose::peers_over_loopback", peers_over_loopback),
    ("whose::peers_in_another_namespace", peers_in_another_namespace),
    ("whose::peers_of_unix_sockets", peers_of_unix_sockets),
    ("whose::ages", ages),
    ("whose::ages_without_an_agent", ages_without_an_agent),
    ("whose::names_of_namespaces", names_of_namespaces),
];

const IDS: [&str; 3] = [
    "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d",
    "cb1eadb7abe3a6545e9856411207073277838e1bdc003337c2f8685faeedc32c",
    "f52987fbdcc7b29175fb52e01c7917e9d6d2e14550e3a2a7abf739da5a067e31",
];
const UID: &str = "73dc8baf-43a0-413e-aac2-5eb0868f6c1a";
const UID_IN_SLICE: &str = "73dc8baf_43a0_413e_aac2_5eb0868f6c1a";

/// A path below the root of cgroups as a runtime makes it, and the unit, the container and the pod that it names.
struct Shape {
    path: String,
    unit: Option<String>,
    container: Option<&'static str>,
    pod: Option<&'static str>,
}

fn shapes() -> Vec<Shape> {
    let [a, b, c] = IDS;
    let shape = |path: String, unit: Option<String>, container, pod| Shape { path, unit, container, pod };
    let scope = |runtime: &str, id: &str| Some(format!("{runtime}-{id}.scope"));
    vec![
        shape(format!("/docker/{a}"), None, Some(a), None),
        shape(format!("/system.slice/docker-{b}.scope"), scope("docker", b), Some(b), None),
        shape(format!("/kubepods/burstable/pod{UID}/{c}"), None, Some(c), Some(UID)),
        shape(
            format!(
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{UID_IN_SLICE}.slice/cri-containerd-{a}.scope"
            ),
            scope("cri-containerd", a),
            Some(a),
            Some(UID),
        ),
        shape(
            format!("/kubepods.slice/kubepods-pod{UID_IN_SLICE}.slice/crio-{b}.scope/container"),
            scope("crio", b),
            Some(b),
            Some(UID),
        ),
        shape(
            format!("/kubepods.slice/kubepods-pod{UID_IN_SLICE}.slice/crio-conmon-{b}.scope"),
            scope("crio-conmon", b),
            None,
            Some(UID),
        ),
        shape(
            format!("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{c}.scope/container"),
            scope("libpod", c),
            Some(c),
            None,
        ),
        shape(format!("/machine.slice/libpod-conmon-{c}.scope"), scope("libpod-conmon", c), None, None),
        shape(
            "/machine.slice/machine-web\\x2d1.scope/payload/system.slice/sshd.service".into(),
            Some("sshd.service".into()),
            None,
            None,
        ),
        shape("/lxc.payload.web/system.slice/nginx.service".into(), Some("nginx.service".into()), None, None),
        shape("/system.slice/netstat-tests.service".into(), Some("netstat-tests.service".into()), None, None),
        shape("/netstat-tests.slice".into(), None, None, None),
    ]
}

/// The shape made, and an actor in its cgroup that plays a role.
fn inside(shape: &Shape, role: &[&str]) -> Result<(Nest, Actor), String> {
    let nest = Nest::new(&shape.path).map_err(|error| format!("no cgroup {} can be made: {error}", shape.path))?;
    let mut command = actor::prepared(&[&nest.step()]);
    command.arg(std::env::current_exe().unwrap()).arg(actor::FLAG).args(role);
    Ok((nest, Actor::start(command)))
}

/// Standard output, one object a line, and standard error of `netstat-user ARGS --json`.
fn asked(args: &[&str]) -> (Vec<Value>, String) {
    let mut command = Command::new(programs::netstat_user());
    let outcome = command::run(command.args(args).arg("--json"), None, patience()).unwrap();
    assert_eq!(outcome.end, End::Exit(0), "{command:?}: {outcome:?}");
    let rows = String::from_utf8(outcome.stdout).unwrap();
    let rows = rows.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (rows, String::from_utf8(outcome.stderr).unwrap())
}

fn containers_in_tables() -> Done {
    let namespace = NetNs::new().unwrap();
    namespace.enter(|| {
        for shape in shapes() {
            let (nest, mut holder) = match inside(&shape, &["hold", "pair"]) {
                Ok(made) => made,
                Err(reason) => return Done::Skipped(reason),
            };
            let sockets: Vec<Made> = holder.hear();
            let wanted = json!({
                "pid": holder.pid(), "cgroup": nest.path(), "unit": shape.unit, "container": shape.container, "pod": shape.pod,
            });
            // What is left of those before is nobody's.
            let mine = format!("pid = {}", holder.pid());
            let columns = ["--columns", "pid,cgroup,unit,container,pod"];
            let (rows, _) = asked(&[&["-tan", "--no-agent", "--where", &mine], &columns[..]].concat());
            assert_eq!(rows, vec![wanted; sockets.len()], "{}", shape.path);
            for (field, value) in [("unit", shape.unit.as_deref()), ("container", shape.container), ("pod", shape.pod)] {
                let expression = format!("{mine} and {field} = {}", value.map_or("null".to_owned(), |value| format!("'{}'", value.replace('\\', "\\\\"))));
                let (rows, _) = asked(&["-tan", "--no-agent", "--where", &expression, "--columns", "pid"]);
                assert_eq!(rows.len(), sockets.len(), "--where {expression}");
            }
            let (rows, _) = asked(&["-tan", "--no-agent", "--where", &mine, "--count-by", "container"]);
            assert_eq!(rows, [json!({ "count": sockets.len(), "container": shape.container })], "{}", shape.path);
            holder.end();
        }
        Done::Passed
    })
}

fn containers_in_events() -> Done {
    let namespace = NetNs::new().unwrap();
    let inode = namespace.inode().unwrap().to_string();
    namespace.enter(|| {
        let columns = "event,cookie,pid,cgroup,unit,container,pod";
        let mut tracer = Tracer::spawn(tracer::events(&["--netns", &inode, "--columns", columns, "--json"])).unparsed();
        let mut played = Vec::new();
        for shape in shapes() {
            let (nest, mut holder) = match inside(&shape, &["hold", "pair"]) {
                Ok(made) => made,
                Err(reason) => return Done::Skipped(reason),
            };
            let (sockets, pid): (Vec<Made>, _) = (holder.hear(), holder.pid());
            // Their later events come when the process is gone.
            let seen = |lines: &[String], made: &Made| {
                lines.iter().any(|line| line.contains(&format!("\"cookie\":{},", made.cookie)))
            };
            while !sockets.iter().all(|made| seen(tracer.raw(), made)) {
                assert!(tracer.wait_lines(tracer.raw().len() + 1), "not every socket comes");
            }
            holder.end();
            played.push((shape, nest, sockets, pid));
        }
        let closes = |lines: &[String]| lines.iter().filter(|line| line.contains("\"event\":\"close\"")).count();
        let all = played.iter().map(|(_, _, sockets, _)| sockets.len()).sum::<usize>();
        while closes(tracer.raw()) < all {
            assert!(tracer.wait_lines(tracer.raw().len() + 1), "not every close comes");
        }
        let outcome = tracer.finish();
        let lines: Vec<Value> = outcome.raw.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        for (shape, nest, sockets, pid) in &played {
            for made in sockets {
                let mine: Vec<&Value> =
                    lines.iter().filter(|line| line["cookie"] == made.cookie && line["pid"] == *pid).collect();
                assert!(mine.iter().any(|line| line["event"] == "close"), "no close of {}", made.name());
                for line in mine {
                    let found = json!([line["cgroup"], line["unit"], line["container"], line["pod"]]);
                    assert_eq!(found, json!([nest.path(), shape.unit, shape.container, shape.pod]), "{line}");
                }
            }
        }
        Done::Passed
    })
}

/// Neither the process nor its cgroup is there any more when the sockets are asked about.
fn containers_that_are_gone() -> Done {
    let namespace = NetNs::new().unwrap();
    let netns = namespace.inode().unwrap();
    let inhabitant = namespace.enter(|| Actor::start(actor::named("inhabitant", "keep", &[])));
    let agent = Agent::start(&[]);
    let socket = agent.socket.to_str().unwrap();
    let done = namespace.enter(|| {
        for shape in [0, 3, 6].map(|at| shapes().swap_remove(at)) {
            let (nest, mut holder) = match inside(&shape, &["hold", "pair"]) {
                Ok(made) => made,
                Err(reason) => return Done::Skipped(reason),
            };
            let (sockets, pid): (Vec<Made>, _) = (holder.hear(), holder.pid());
            // To answer this it takes in all that has been recorded.
            agent.table(netns);
            holder.end();
            drop(nest);
            let mine = format!("event = close and pid = {pid}");
            let columns = ["--columns", "cgroup,unit,container,pod"];
            let args = [&["-tan", "--recent", "1h", "--agent", socket, "--where", &mine], &columns[..]].concat();
            let deadline = Instant::now() + patience();
            let rows = loop {
                let rows = asked(&args).0;
                if rows.len() >= sockets.len() {
                    break rows;
                }
                assert!(Instant::now() < deadline, "{} of {} sockets closed", rows.len(), sockets.len());
            };
            let wanted = json!({
                "cgroup": shape.path, "unit": shape.unit, "container": shape.container, "pod": shape.pod,
            });
            assert_eq!(rows, vec![wanted; sockets.len()], "{}", shape.path);
        }
        Done::Passed
    });
    inhabitant.end();
    agent.stop();
    done
}

/// However many cgroups there are, one more costs no walk over all of them: those that end a moment after they were made are known, whatever the agent
/// has given up.
fn containers_that_come_and_go() -> Done {
    let outer = format!("/netstat-many-{}", std::process::id());
    // Removed after those in it.
    let _folder = Nest::new(&outer);
    let fill = (0..300).map(|number| Nest::new(&format!("{outer}/{number}")));
    let _many: Vec<Nest> = match fill.collect() {
        Ok(many) => many,
        Err(error) => return Done::Skipped(format!("no cgroups can be made: {error}")),
    };
    let netns = NetNs::current().unwrap().inode().unwrap();
    for privileges in ["full", "least"] {
        let agent = Agent::start(&["--privileges", privileges]);
        let socket = agent.socket.to_str().unwrap();
        let path = |number: usize| format!("/netstat-short-{}-{number}", std::process::id());
        let pids: Vec<u32> = (0..12)
            .map(|number| {
                let nest = Nest::new(&path(number)).unwrap();
                let mut command = actor::prepared(&[&nest.step()]);
                command.arg(std::env::current_exe().unwrap()).arg(actor::FLAG).args(["hold", "pair"]);
                let mut holder = Actor::start(command);
                let (_, pid): (Vec<Made>, _) = (holder.hear(), holder.pid());
                // To answer this it takes in all that has been recorded. The path is looked up beside.
                agent.table(netns);
                thread::sleep(Duration::from_millis(100));
                holder.end();
                drop(nest);
                pid
            })
            .collect();
        for (number, pid) in pids.into_iter().enumerate() {
            let mine = format!("event = close and pid = {pid}");
            let args = ["-tan", "--recent", "1h", "--agent", socket, "--where", &mine, "--columns", "cgroup"];
            let deadline = Instant::now() + patience();
            let rows = loop {
                let rows = asked(&args).0;
                if rows.len() >= 2 {
                    break rows;
                }
                assert!(Instant::now() < deadline, "{} sockets closed", rows.len());
            };
            assert!(rows.iter().all(|row| row["cgroup"] == *path(number)), "{privileges}, {number}: {rows:?}");
        }
        agent.stop();
    }
    Done::Passed
}

/// What remains in TIME_WAIT is nobody's; the agent knows whose it was, in every condition and column, and without it they are all unknown.
fn sockets_that_nobody_holds() -> Done {
    let namespace = NetNs::new().unwrap();
    let netns = namespace.inode().unwrap();
    let inhabitant = namespace.enter(|| Actor::start(actor::named("inhabitant", "keep", &[])));
    let agent = Agent::start(&[]);
    let socket = agent.socket.to_str().unwrap();
    let shape = shapes().swap_remove(3);
    let done = namespace.enter(|| {
        let (nest, mut holder) = match inside(&shape, &["hold", "pair"]) {
            Ok(made) => made,
            Err(reason) => return Done::Skipped(reason),
        };
        let (sockets, pid): (Vec<Made>, _) = (holder.hear(), holder.pid());
        agent.table(netns);
        holder.end();
        let rows = |how: &[&str], condition: &str| {
            let expression = format!("state time-wait and {condition}");
            let columns = ["--columns", "local,owners,pid,comm,cgroup,unit,container,pod"];
            asked(&[&["-tan", "--where", &expression], how, &columns[..]].concat()).0
        };
        let remain = rows(&["--no-agent"], "owners = null");
        assert!(!remain.is_empty(), "nothing remains in TIME_WAIT");
        let (comm, [unit, container, pod]) = (&sockets[0].comm, [shape.unit.as_deref(), shape.container, shape.pod]);
        let unknown = json!([[], null, null, null, null, null, null]);
        let known = json!([
            [{ "pid": pid, "program": comm, "comm": comm, "owner": "created" }],
            pid, comm, nest.path(), unit, container, pod
        ]);
        let facts = |row: &Value| {
            json!(["owners", "pid", "comm", "cgroup", "unit", "container", "pod"].map(|field| row[field].clone()))
        };
        let through = ["--agent", socket];
        for (condition, finds) in [
            (format!("pid = {pid}"), true),
            (format!("owners.pid = {pid}"), true),
            (format!("owners.comm = '{comm}'"), true),
            (format!("comm = '{comm}'"), true),
            (format!("cgroup {}", nest.path()), true),
            (format!("unit = '{}'", unit.unwrap()), true),
            (format!("container = {}", container.unwrap()), true),
            (format!("pod = {}", pod.unwrap()), true),
            ("owners != null".into(), true),
            ("owners = null".into(), false),
            ("container = null".into(), false),
        ] {
            let (asked, direct) = (rows(&through, &condition), rows(&["--no-agent"], &condition));
            let (with, without) = if finds { (remain.len(), 0) } else { (0, remain.len()) };
            assert_eq!((asked.len(), direct.len()), (with, without), "{condition}: {asked:#?} {direct:#?}");
            assert!(asked.iter().all(|row| facts(row) == known), "{condition}: {asked:#?}");
            assert!(direct.iter().all(|row| facts(row) == unknown), "{condition}: {direct:#?}");
        }
        Done::Passed
    });
    inhabitant.end();
    agent.stop();
    done
}

/// The `peer` of the row with this inode.
fn peer_of(inode: u64, args: &[&str]) -> Value {
    let (rows, said) = asked(&[args, &["--columns", "inode,peer"]].concat());
    let row = rows.iter().find(|row| row["inode"] == inode);
    let peer = &row.unwrap_or_else(|| panic!("no row with inode {inode}: {rows:?}, {said}"))["peer"];
    json!({ "pid": peer["pid"], "comm": peer["comm"], "container": peer["container"] })
}

fn peers_over_loopback() -> Done {
    let namespace = NetNs::new().unwrap();
    let agent = Agent::start(&[]);
    let socket = agent.socket.to_str().unwrap();
    namespace.enter(|| {
        let me = json!({ "pid": std::process::id(), "comm": Made::of(UdpSocket::bind("127.0.0.1:0").unwrap()).comm, "container": null });
        let mut server = Actor::start(actor::named("other-end", "answer", &["127.0.0.1:0"]));
        let theirs = json!({ "pid": server.pid(), "comm": "other-end", "container": null });
        let listener: Made = server.hear();
        let client = TcpStream::connect(listener.local.unwrap()).unwrap();
        let mine = Made::of(&client);
        for how in [&["--no-agent"][..], &["--agent", socket]] {
            let peer = |inode| peer_of(inode, &[&["-tan"], how].concat());
            assert_eq!(peer(mine.inode), theirs, "while nobody has accepted it, {how:?}");
            assert_eq!(peer(listener.inode), json!({ "pid": null, "comm": null, "container": null }), "{how:?}");
        }
        server.nudge();
        let accepted: Made = server.hear();
        for how in [&["--no-agent"][..], &["--agent", socket]] {
            let peer = |inode| peer_of(inode, &[&["-tan"], how].concat());
            assert_eq!(peer(mine.inode), theirs, "{how:?}");
            assert_eq!(peer(accepted.inode), me, "{how:?}");
        }
        server.end();
        // Of both families, and of datagrams.
        for family in [Family::V6, Family::ToV6, Family::Mapped] {
            let listener = made::listener(family);
            let pair = Pair::new(family, &listener);
            assert_eq!(peer_of(pair.client_made.inode, &["-tan", "--no-agent"]), me, "{family:?}");
            assert_eq!(peer_of(pair.server_made.inode, &["-tan", "--no-agent"]), me, "{family:?}");
        }
        let mut server = Actor::start(actor::named("datagrams", "datagrams", &["0.0.0.0:0"]));
        let bound: Made = server.hear();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect((Ipv4Addr::LOCALHOST, bound.local.unwrap().port())).unwrap();
        assert_eq!(peer_of(Made::of(&client).inode, &["-uan", "--no-agent"])["pid"], server.pid());
        let back = UdpSocket::bind("127.0.0.1:0").unwrap();
        back.connect(client.local_addr().unwrap()).unwrap();
        client.connect(back.local_addr().unwrap()).unwrap();
        assert_eq!(peer_of(Made::of(&client).inode, &["-uan", "--no-agent"])["pid"], std::process::id());
        server.end();
    });
    agent.stop();
    Done::Passed
}

/// Runs `ip LINE` in the calling thread's namespace.
fn ip(line: &str) -> Result<(), String> {
    let output =
        Command::new("ip").args(line.split_whitespace()).output().map_err(|error| format!("no ip: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("ip {line}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

fn peers_in_another_namespace() -> Done {
    let (here, there) = (NetNs::new().unwrap(), NetNs::new().unwrap());
    // A namespace is found by the processes in it.
    let keeper = there.enter(|| Actor::start(actor::named("keeper", "keep", &[])));
    let inhabitant = here.enter(|| Actor::start(actor::named("inhabitant", "keep", &[])));
    let pid = keeper.pid();
    let laid = here.enter(|| {
        ip(&format!("link add near type veth peer name far netns {pid}"))?;
        ip("addr add 192.0.2.1/24 dev near")?;
        ip("link set near up")
    });
    let laid = laid.and_then(|()| {
        there.enter(|| {
            ip("addr add 192.0.2.2/24 dev far")?;
            ip("link set far up")
        })
    });
    if let Err(reason) = laid {
        return Done::Skipped(reason);
    }
    let shape = &shapes()[1];
    let (nest, mut server) = match there.enter(|| inside(shape, &["answer", "192.0.2.2:0"])) {
        Ok(made) => made,
        Err(reason) => return Done::Skipped(reason),
    };
    let listener: Made = server.hear();
    let client = here.enter(|| TcpStream::connect(listener.local.unwrap())).unwrap();
    server.nudge();
    let accepted: Made = server.hear();
    let peer = here.enter(|| peer_of(Made::of(&client).inode, &["-tan", "--no-agent"]));
    assert_eq!((&peer["pid"], &peer["container"]), (&json!(server.pid()), &json!(shape.container)), "{}", nest.path());
    let peer = there.enter(|| peer_of(accepted.inode, &["-tan", "--no-agent"]));
    assert_eq!(peer["pid"], std::process::id());
    // The same ends in both directions twice: nobody can tell which.
    let more_there = NetNs::new().unwrap();
    let mut twin = more_there.enter(|| {
        ip("addr add 192.0.2.2/24 dev lo").unwrap();
        Actor::start(actor::named("twin", "answer", &[&listener.local.unwrap().to_string()]))
    });
    let _: Made = twin.hear();
    let other_client = more_there.enter(|| {
        // On this host's own address, with the ends that the other connection has.
        ip("addr add 192.0.2.1/24 dev lo").unwrap();
        let socket = made::tcp(socket2::Domain::IPV4);
        socket.bind(&client.local_addr().unwrap().into()).unwrap();
        socket.connect(&listener.local.unwrap().into()).unwrap();
        socket
    });
    twin.nudge();
    let _: Made = twin.hear();
    let peer = here.enter(|| peer_of(Made::of(&client).inode, &["-tan", "--no-agent"]));
    assert_eq!(peer, json!({ "pid": null, "comm": null, "container": null }), "of two that look the same");
    let peer = more_there.enter(|| peer_of(Made::of(&other_client).inode, &["-tan", "--no-agent"]));
    assert_eq!(peer["pid"], twin.pid(), "in one's own namespace there is no doubt");
    drop((client, other_client));
    twin.end();
    server.end();
    keeper.end();
    inhabitant.end();
    Done::Passed
}

fn peers_of_unix_sockets() -> Done {
    let namespace = NetNs::new().unwrap();
    namespace.enter(|| {
        let path = actor::scratch().join("peers.sock");
        let mut server = Actor::start(actor::named("unix-end", "unix", &[path.to_str().unwrap()]));
        let _: String = server.hear();
        let client = UnixStream::connect(&path).unwrap();
        server.nudge();
        let accepted: u64 = server.hear();
        let mine = fstat(&client).unwrap().st_ino;
        let peer = |inode| peer_of(inode, &["-xan", "--no-agent"]);
        assert_eq!((&peer(mine)["pid"], &peer(mine)["comm"]), (&json!(server.pid()), &json!("unix-end")));
        assert_eq!(peer(accepted)["pid"], std::process::id());
        let pair = UnixStream::pair().unwrap();
        assert_eq!(peer(fstat(&pair.0).unwrap().st_ino)["pid"], std::process::id());
        server.end();
        Done::Passed
    })
}

fn ages() -> Done {
    let namespace = NetNs::new().unwrap();
    let before = Instant::now();
    let old = namespace.enter(|| made::listener(Family::V4));
    let agent = Agent::start(&[]);
    let socket = agent.socket.to_str().unwrap();
    namespace.enter(|| {
        let seen_at = Instant::now();
        let opened = Instant::now();
        let pair = Pair::new(Family::V4, &old);
        let made_at = Instant::now();
        thread::sleep(Duration::from_millis(300));
        let left = Instant::now();
        pair.server.shutdown(Shutdown::Both).unwrap();
        let row = |inode: u64, args: &[&str]| {
            let columns = ["--agent", socket, "--columns", "inode,state,age_ns,state_age_ns"];
            let (rows, said) = asked(&[&["-tan"], &columns[..], args].concat());
            assert_eq!(said, "");
            rows.into_iter().find(|row| row["inode"] == inode)
        };
        let nanos = |value: &Value| Duration::from_nanos(value.as_u64().unwrap_or_else(|| panic!("no age: {value}")));
        let deadline = Instant::now() + patience();
        let inode = pair.client_made.inode;
        // The agent has taken in the transition.
        let expression = ["--where", "state close-wait"];
        let young = loop {
            if let Some(row) = row(inode, &expression) {
                break row;
            }
            assert!(Instant::now() < deadline, "no row in CLOSE_WAIT");
        };
        // From after the deed to before the question at least, from before the one to after the other at most.
        assert!(nanos(&young["state_age_ns"]) <= left.elapsed(), "{young}");
        assert!(nanos(&young["age_ns"]) <= opened.elapsed() && nanos(&young["age_ns"]) >= left - made_at, "{young}");
        assert!(nanos(&young["age_ns"]) >= nanos(&young["state_age_ns"]) + (left - made_at), "{young}");
        thread::sleep(Duration::from_secs(1).saturating_sub(left.elapsed()) + Duration::from_millis(100));
        let since = left.elapsed();
        let aged = row(inode, &["--where", "state close-wait and state_age_ns > 1s"]);
        // The FIN may have arrived a little after the call.
        let aged = aged.unwrap_or_else(|| panic!("not in CLOSE_WAIT for a second, {since:?} after it was shut down"));
        assert!(
            nanos(&aged["state_age_ns"]) >= Duration::from_secs(1) && nanos(&aged["state_age_ns"]) <= left.elapsed()
        );
        assert!(row(inode, &["--where", "state_age_ns > 1h"]).is_none());
        // What was there before the agent: since it was first seen.
        let listener = row(Made::of(&old).inode, &["--where", "state listening"]).unwrap();
        assert!(
            nanos(&listener["age_ns"]) >= seen_at.elapsed() - Duration::from_secs(1)
                && nanos(&listener["age_ns"]) <= before.elapsed()
        );
        assert_eq!(listener["age_ns"], listener["state_age_ns"]);
        // What is left in FIN_WAIT2 of a connection that was closed is first listed now, and older than that.
        let opened = Instant::now();
        let orphan = Pair::new(Family::V4, &old);
        let port = orphan.client_made.local.unwrap().port();
        let closed = Instant::now();
        drop(orphan.client);
        thread::sleep(Duration::from_millis(700));
        let since = closed.elapsed();
        let expression = format!("state fin-wait-2 and sport = :{port}");
        let left = row(0, &["--where", &expression]).expect("a minisocket in FIN_WAIT2");
        let (age, in_state) = (nanos(&left["age_ns"]), nanos(&left["state_age_ns"]));
        assert!(in_state > since / 2 && in_state <= closed.elapsed(), "{left}, {since:?} after it was closed");
        assert!(age > in_state && age <= opened.elapsed(), "{left}");
    });
    agent.stop();
    Done::Passed
}

fn ages_without_an_agent() -> Done {
    let namespace = NetNs::new().unwrap();
    namespace.enter(|| {
        let listener = made::listener(Family::V4);
        let port = listener.local_addr().unwrap().port();
        let nowhere = actor::scratch().join("nobody.sock");
        for how in [&["--no-agent"][..], &["--agent", nowhere.to_str().unwrap()]] {
            let (rows, said) = asked(&[&["-tan", "--columns", "local.port,age_ns,state_age_ns"], how].concat());
            assert_eq!(rows, [json!({ "local": { "port": port }, "age_ns": null, "state_age_ns": null })]);
            let about: Vec<&str> = said.lines().filter(|line| line.contains("ages")).collect();
            assert!(about.len() == 1 && about[0].contains("agent"), "{how:?}: {said}");
            let (rows, _) = asked(&[&["-tan", "--where", "age_ns > 0ns"], how].concat());
            assert_eq!(rows, [] as [Value; 0], "what is not known is neither more nor less");
            let (rows, _) = asked(&[&["-tan", "--where", "age_ns = null"], how].concat());
            assert_eq!(rows.len(), 1);
        }
    });
    Done::Passed
}

fn names_of_namespaces() -> Done {
    let namespace = NetNs::new().unwrap();
    let name = format!("netstat-tests-{}", std::process::id());
    let file = std::path::Path::new("/run/netns").join(&name);
    if let Err(error) = fs::create_dir_all("/run/netns").and_then(|()| fs::File::create(&file)) {
        return Done::Skipped(format!("no name can be given to a namespace: {error}"));
    }
    let bound = namespace
        .enter(|| mount(Some("/proc/thread-self/ns/net"), &file, None::<&str>, MsFlags::MS_BIND, None::<&str>));
    if let Err(error) = bound {
        fs::remove_file(&file).unwrap();
        return Done::Skipped(format!("no name can be given to a namespace: {error}"));
    }
    let listed = namespace.enter(|| {
        let listener = made::listener(Family::V4);
        let rows = asked(&["-tan", "--no-agent", "--columns", "local.port,netns_name,owners.comm"]).0;
        (rows, Made::of(&listener))
    });
    umount2(&file, MntFlags::MNT_DETACH).unwrap();
    fs::remove_file(&file).unwrap();
    let (rows, made) = listed;
    let port = made.local.unwrap().port();
    assert_eq!(rows, [json!({ "local": { "port": port }, "netns_name": name, "owners": [{ "comm": made.comm }] })]);
    Done::Passed
}
