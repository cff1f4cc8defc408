//! That the zoo is complete: what netstat itself must show in a scene for the cases there to mean anything.

use netstat_tests::case::Case;
use netstat_tests::programs;
use netstat_tests::scenes::{Scene, Theatre};
use netstat_tests::zoo::tcp;

/// What must stand in netstat's output.
#[derive(Clone, Copy, Debug)]
pub struct Coverage {
    case: Case,
    words: &'static [&'static str],
}

const fn shows(scene: Scene, args: &'static str, words: &'static [&'static str]) -> Coverage {
    Coverage { case: Case::new(scene, args), words }
}

const TABLE: &[Coverage] = &[
    shows(Scene::Sockets, "-tan", &tcp::STATES),
    shows(Scene::Sockets, "-tano", &[" off (0.00/0/0)", " on (", " keepalive (", " timewait (", " probe ("]),
    shows(Scene::Sockets, "-an", &["tcp6 ", "udp6 ", "raw6 ", " 1664 ", "127.0.0.1:65535", "2001:db8:1234:567:65432"]),
    shows(
        Scene::Sockets,
        "-xa",
        &["STREAM", "DGRAM", "SEQPACKET", "LISTENING", "CONNECTING", "CONNECTED", "@with@nul@inside", "[ ACC ]"],
    ),
    shows(Scene::Sockets, "-tlnp", &["/plain ", "/conf ", "/./x/y ", "/a program ", "/latin-"]),
    shows(Scene::Network, "-ia", &["eth01", "eth1:10", "no statistics", "BMRU", "LRU", "MOPU", "ABMU"]),
    shows(Scene::Network, "-ree", &["default", "doc-net", "!H", "UGH", " * ", " 8192 ", " 1400 "]),
    shows(Scene::Network, "-rn -6", &["!n", "UG", "Ue", "2001:db8:7::/48"]),
    shows(Scene::Network, "-gn", &["239.1.2.3", "ff0e:1234:5678:9abc:def0:1234:5678:9abc"]),
];

/// Everything that must be seen.
pub fn all() -> Vec<Coverage> {
    TABLE.to_vec()
}

impl Coverage {
    /// Where it is judged.
    pub fn scene(&self) -> Scene {
        self.case.scene
    }

    /// A name that says where.
    pub fn name(&self) -> String {
        format!("zoo: {}", self.case.name())
    }

    /// Runs netstat and looks.
    ///
    /// # Errors
    /// What is missing.
    pub fn judge(&self, theatre: &Theatre) -> Result<(), String> {
        let net_tools = programs::net_tools().ok_or("net-tools is not installed")?;
        let outcome = self.case.run(theatre, net_tools, None)?;
        let text = String::from_utf8_lossy(&outcome.stdout);
        let missing: Vec<_> = self.words.iter().filter(|word| !text.contains(**word)).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("not shown: {missing:?}\n{outcome:?}")) }
    }
}
