//! The end of every manual page: files, and other pages.

use super::{Section, plain};
use crate::cli::names;

/// Files with what each is, and the verbs whose pages name it; the program's own page, without a name, has all of them.
const FILES: [(&str, &str, &[&str]); 3] = [
    (names::SOCKET, "The socket of the agent, where no other is given", &["events", "agent", "doctor"]),
    (
        "/etc/default/netstat-user",
        "The options of the agent that the service netstat-user starts",
        &["agent", "doctor"],
    ),
    (
        "/usr/share/doc/netstat-user",
        "README.md, and in docs more pages: selecting.md is the language of --where. An archive's install.sh puts them below its own folder",
        &["events", "agent", "doctor", "kill"],
    ),
];

/// Pages of others, with their sections.
const OTHERS: [(&str, &str); 4] = [("netstat", "8"), ("ss", "8"), ("systemctl", "1"), ("proc", "5")];

/// The section about files of a verb's page, or of the program's.
pub fn files(of: &str) -> Section {
    let named = FILES.iter().filter(|(_, _, verbs)| of.is_empty() || verbs.contains(&of));
    Section::new("FILES", named.map(|(path, what, _)| (*path, *what)))
}

/// The pages that are there beside this one, in roff.
pub fn see_also(of: &str) -> String {
    let page = |name: &str, section: &str| format!("\\fB{}\\fR({section})", plain(name));
    let ours = [""].into_iter().chain(names::VERBS).filter(|name| *name != of);
    let ours = ours.map(|verb| page(format!("netstat-user-{verb}").trim_end_matches('-'), "8"));
    let pages = ours.chain(OTHERS.into_iter().map(|(name, section)| page(name, section)));
    format!(".SH \"SEE ALSO\"\n{}\n", pages.collect::<Vec<_>>().join(",\n"))
}
