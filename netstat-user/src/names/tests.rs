use super::*;
use crate::model::AddressText;
use crate::sys::resolver;
use rustix::io::Errno;
use std::thread;

const NSSWITCH: &str = "passwd: files systemd\nnetworks: files\nhosts: files dns\nservices: files\nprotocols: files\n";

struct Etc(PathBuf);

impl Etc {
    fn new(name: &str, nsswitch: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("netstat-user-names-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for (file, text) in [
            ("nsswitch.conf", nsswitch),
            ("passwd", "root:x:0:0::/:/bin/sh\n"),
            ("networks", "loopback 127.0.0.0\n"),
            ("hosts", "127.0.0.1 localhost\n127.0.0.1 second\n"),
            ("services", "www 80/tcp\nhttp 80/tcp\nodd 1/raw\nquote 17/udp\nx 5/sctp\n"),
            ("protocols", "icmp 1 ICMP\n"),
        ] {
            fs::write(folder.join(file), text).unwrap();
        }
        Self(folder)
    }
}

impl Drop for Etc {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn wanted(hosts: &[&str], users: &[u32]) -> WantedNames {
    WantedNames {
        hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
        networks: HashSet::from([Ipv4Addr::new(127, 0, 0, 0), Ipv4Addr::new(10, 0, 0, 0)]),
        users: users.iter().copied().collect(),
        ports: true,
    }
}

fn fake(question: NameQuestion) -> NameAnswer {
    match question {
        NameQuestion::Ports => {
            NameAnswer::Ports(vec![(b"tcp".to_vec(), 80, b"lib".to_vec())], vec![(6, b"tcp".to_vec())])
        }
        NameQuestion::User(7) => NameAnswer::Name(Some(b"seven".to_vec())),
        NameQuestion::User(9) => NameAnswer::Failed(Errno::IO),
        NameQuestion::Host(IpAddr::V4(address)) if address.octets()[0] == 10 => {
            NameAnswer::Name(Some(address.to_string().replace('.', "-").into_bytes()))
        }
        _ => NameAnswer::Name(None),
    }
}

#[test]
fn a_user_whose_name_could_not_be_read_is_another_thing_than_one_without() {
    let look = |name: &str, nsswitch: &str, unreadable: bool| {
        let etc = Etc::new(name, nsswitch);
        if unreadable {
            fs::remove_file(etc.0.join("passwd")).unwrap();
            fs::create_dir(etc.0.join("passwd")).unwrap();
        }
        let mut names = Names::with(etc.0.clone(), fake, STALL);
        names.look_up(wanted(&[], &[0, 7, 8, 9]));
        let mut unread: Vec<u32> = names.labels().unread_users.iter().copied().collect();
        unread.sort_unstable();
        (unread, names.unread_users())
    };
    let failed = |error: Errno| Some(why(&error.into()));
    assert_eq!(look("read", NSSWITCH, false), (vec![9], failed(Errno::IO)));
    // A later source that has no such user does not say what is in the file.
    assert_eq!(look("unread", NSSWITCH, true), (vec![0, 8, 9], failed(Errno::ISDIR)));
    let alone = "passwd: files\n";
    assert_eq!(look("alone", alone, false), (vec![], None));
    assert_eq!(look("alone-unread", alone, true), (vec![0, 7, 8, 9], failed(Errno::ISDIR)));
}

#[test]
fn files_first_then_the_library() {
    let etc = Etc::new("first", NSSWITCH);
    let mut names = Names::with(etc.0.clone(), fake, STALL);
    names.look_up(wanted(&["127.0.0.1", "10.1.2.3", "11.1.2.3"], &[0, 7, 8]));
    let labels = names.labels();
    assert_eq!(labels.hosts[&"127.0.0.1".parse::<IpAddr>().unwrap()], b"localhost");
    assert_eq!(labels.hosts[&"10.1.2.3".parse::<IpAddr>().unwrap()], b"10-1-2-3");
    assert_eq!((labels.hosts.len(), labels.networks.len(), labels.users.len()), (2, 1, 2));
    assert_eq!(labels.networks[&Ipv4Addr::new(127, 0, 0, 0)], b"loopback");
    assert_eq!((labels.users[&0].as_slice(), labels.users[&7].as_slice()), (&b"root"[..], &b"seven"[..]));
    let port = |protocol, number| labels.ports.get(&(protocol, number)).map(Vec::as_slice);
    assert_eq!(port("tcp", 80), Some(&b"http"[..]));
    assert_eq!(port("raw", 1), Some(&b"icmp"[..]));
    assert_eq!((port("udp", 17), port("sctp", 5)), (Some(&b"quote"[..]), None));
}

#[test]
fn the_library_alone() {
    let etc = Etc::new("alone", "hosts: dns files\n");
    let mut names = Names::with(etc.0.clone(), fake, STALL);
    names.look_up(wanted(&["127.0.0.1"], &[0]));
    assert!(names.labels().hosts.is_empty() && names.labels().users.is_empty());
    assert_eq!(names.labels().ports[&("tcp", 80)], b"lib");
    assert_eq!(names.labels().ports[&("raw", 6)], b"tcp");
}

#[test]
fn a_dead_name_server_delays_one_table() {
    fn slow(question: NameQuestion) -> NameAnswer {
        thread::sleep(Duration::from_millis(if question == NameQuestion::User(7) { 0 } else { 900 }));
        fake(question)
    }
    let etc = Etc::new("dead", NSSWITCH);
    let stall = Duration::from_millis(150);
    let mut names = Names::with(etc.0.clone(), slow, stall);
    let many: Vec<String> = (0..200).map(|last| format!("10.0.0.{last}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();

    let start = Instant::now();
    names.look_up(wanted(&many, &[7]));
    assert!(start.elapsed() >= stall && start.elapsed() < 4 * stall, "{:?}", start.elapsed());
    assert_eq!(names.labels().users[&7], b"seven");
    assert!(names.labels().hosts.is_empty());
    let complaint = names.complaint().unwrap();
    assert!(complaint.starts_with("names: 200 look-ups took too long"), "{complaint}");

    let start = Instant::now();
    names.look_up(wanted(&["10.0.0.250"], &[]));
    assert!(start.elapsed() < stall, "{:?}", start.elapsed());
    assert_eq!(names.complaint(), None, "it is said once");

    // What comes late is shown in later tables.
    thread::sleep(Duration::from_secs(1));
    names.look_up(WantedNames::default());
    assert!(!names.labels().hosts.is_empty());
}

proptest::proptest! {
    /// Blocks of zeroes and ones, and random bits.
    #[test]
    fn addresses_are_written_as_the_library_writes_them(
        random in proptest::prelude::any::<[u16; 8]>(),
        kept in 0_u8..=255,
        ones in 0_u8..=255,
        v4 in proptest::prelude::any::<u32>(),
    ) {
        let masked: [u16; 8] = std::array::from_fn(|at| match (kept >> at & 1, ones >> at & 1) {
            (1, _) => random[at],
            (_, 1) => 0xffff,
            _ => 0,
        });
        for address in [IpAddr::from(masked), IpAddr::from(random), Ipv4Addr::from(v4).into()] {
            as_the_library(address);
        }
    }
}

#[test]
fn special_addresses_are_written_as_the_library_writes_them() {
    for address in [
        "::",
        "::1",
        "::1:0",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:0:0",
        "::ffff:0:1.2.3.4",
        "64:ff9b::1.2.3.4",
        "1::",
        "0:0:1::",
        "::1:0:0",
        "2001:db8:0:1::1",
        "1:0:0:2:0:0:0:3",
        "1:0:2:3:4:5:6:7",
        "fe80::1",
        "ff02::1",
        "0.0.0.0",
        "255.255.255.255",
    ] {
        as_the_library(address.parse().unwrap());
    }
    assert_eq!(AddressText("::7f00:1".parse().unwrap()).to_string(), "::127.0.0.1");
}

fn as_the_library(address: IpAddr) {
    let library = String::from_utf8(resolver::numeric_host(address).unwrap()).unwrap();
    assert_eq!(AddressText(address).to_string(), library);
    assert_eq!(library.parse::<IpAddr>(), Ok(address));
}
