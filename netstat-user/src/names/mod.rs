//! Host, service, user and network names, looked up before rendering.
//!
//! A database that nsswitch.conf puts in a file is read there, once; everything else is asked of the C library, all at
//! once. A name server that does not answer holds up one table, for [`STALL`], and none after it: what has no name by
//! then stays a number until its name comes in.

mod ask;
pub mod files;

use crate::model::Labels;
use crate::sys::{Scarce, why};
use ask::{Answerer, NameAnswer, NameQuestion, Pool};
use files::NameSource;
use std::collections::HashSet;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a table waits while no answer comes.
const STALL: Duration = Duration::from_secs(3);
/// How long a table waits in all while answers come.
const WAIT: Duration = Duration::from_secs(10);
/// Longest service name shown, as in netstat.
const SERVICE_MAX: usize = 63;
/// Where the "db" source has its databases: Debian's folder and the C library's own.
const DB_FOLDERS: [&str; 2] = ["/var/lib/misc", "/var/db"];

/// What a table needs names for. Numbers that have been asked before cost nothing.
#[derive(Clone, Debug, Default)]
pub struct WantedNames {
    /// Addresses of hosts.
    pub hosts: HashSet<IpAddr>,
    /// Addresses of networks, without host bits.
    pub networks: HashSet<Ipv4Addr>,
    /// User ids.
    pub users: HashSet<u32>,
    /// Whether services and protocols are needed: all of them are read.
    pub ports: bool,
}

/// The names found so far.
#[derive(Debug)]
pub struct Names {
    etc: PathBuf,
    stall: Duration,
    labels: Labels,
    asked: HashSet<NameQuestion>,
    pool: Pool,
    /// Whether a table has given up on questions that are still open.
    given_up: bool,
    /// What has no name for another reason than that there is none, until that has been said.
    missing: Option<Missing>,
    /// Whether the file of users is there and could not be read.
    lacks_passwd: bool,
    /// Why the name of a user is not known, as far as that was an error.
    user_error: Option<io::Error>,
}

/// Numbers that may have names all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    /// So many look-ups took too long.
    Late(usize),
    /// So many could not be made.
    Unasked(usize),
}

impl Names {
    /// The system's own names.
    pub fn new() -> Self {
        Self::with(PathBuf::from("/etc"), ask::library, STALL)
    }

    fn with(etc: PathBuf, resolver: Answerer, stall: Duration) -> Self {
        let (labels, asked, pool) = (Labels::default(), HashSet::new(), Pool::new(resolver));
        let (lacks_passwd, user_error) = (false, None);
        Self { etc, stall, labels, asked, pool, given_up: false, missing: None, lacks_passwd, user_error }
    }

    /// The names found so far.
    pub const fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Finds names. Returns when every question is answered or the wait is over.
    pub fn look_up(&mut self, wanted: WantedNames) {
        let mut open: HashSet<NameQuestion> = wanted.hosts.into_iter().map(NameQuestion::Host).collect();
        open.extend(wanted.networks.into_iter().map(NameQuestion::Network));
        open.extend(wanted.users.into_iter().map(NameQuestion::User));
        open.extend(wanted.ports.then_some(NameQuestion::Ports));
        open.retain(|question| self.asked.insert(*question));
        let users = open.iter().filter_map(|question| question.uid());
        self.labels.unread_users.extend(users);
        if !open.is_empty() {
            self.read_files(&mut open);
            let mut open: Vec<NameQuestion> = open.into_iter().collect();
            open.sort_unstable();
            let unasked = self.pool.ask(open);
            if unasked > 0 {
                self.missing = Some(Missing::Unasked(unasked));
            }
        }
        self.wait();
    }

    /// Takes the library's answers, and waits for them unless an earlier table has done so in vain.
    fn wait(&mut self) {
        let start = Instant::now();
        while self.pool.open() > 0 {
            let left = match self.given_up {
                true => Duration::ZERO,
                false => self.stall.min(WAIT.saturating_sub(start.elapsed())),
            };
            let Some((question, answer)) = self.pool.next(left) else {
                if !std::mem::replace(&mut self.given_up, true) {
                    self.missing = Some(Missing::Late(self.pool.open()));
                }
                return;
            };
            self.take(question, answer);
        }
        self.given_up = false;
    }

    /// Why there are numbers where there may be names, once.
    pub fn complaint(&mut self) -> Option<String> {
        Some(match self.missing.take()? {
            Missing::Late(1) => "names: 1 look-up took too long, and its number is shown; -n looks up none".to_owned(),
            Missing::Late(late) => {
                format!("names: {late} look-ups took too long, and their numbers are shown; -n looks up none")
            }
            Missing::Unasked(_) => format!("names: numbers are shown: {}", Scarce::Tasks.words()),
        })
    }

    /// Why users that were asked for may have names which are not known; `None` where there are no such users.
    pub fn unread_users(&self) -> Option<String> {
        let late = || "their look-up took too long, or could not be made".to_owned();
        (!self.labels.unread_users.is_empty()).then(|| self.user_error.as_ref().map_or_else(late, why))
    }

    /// Takes in that it has no name, as far as the file could be read.
    fn has_none(&mut self, question: NameQuestion) {
        if let Some(uid) = question.uid().filter(|_| !self.lacks_passwd) {
            self.labels.unread_users.remove(&uid);
        }
    }

    fn take(&mut self, question: NameQuestion, answer: NameAnswer) {
        match answer {
            NameAnswer::Name(None) => self.has_none(question),
            NameAnswer::Failed(error) => drop(self.user_error.get_or_insert(error.into())),
            NameAnswer::Name(Some(name)) => self.name(question, &name),
            NameAnswer::Ports(services, protocols) => {
                services.iter().for_each(|(protocol, port, name)| self.service(protocol, *port, name));
                protocols.iter().for_each(|(number, name)| self.protocol(*number, name));
            }
        }
    }

    fn name(&mut self, question: NameQuestion, name: &[u8]) {
        let name = name.to_vec();
        drop(match question {
            NameQuestion::Host(address) => self.labels.hosts.insert(address, name),
            NameQuestion::Network(address) => self.labels.networks.insert(address, name),
            NameQuestion::User(uid) => {
                self.labels.unread_users.remove(&uid);
                self.labels.users.insert(uid, name)
            }
            NameQuestion::Ports => None,
        });
    }

    /// Keeps the last of several services on one port, which is what netstat shows.
    fn service(&mut self, protocol: &[u8], port: u16, name: &[u8]) {
        let protocol = match protocol {
            b"tcp" => "tcp",
            b"udp" => "udp",
            b"raw" => "raw",
            _ => return,
        };
        self.labels.ports.insert((protocol, port), name[..name.len().min(SERVICE_MAX)].to_vec());
    }

    /// The "port" of a raw socket is its protocol.
    fn protocol(&mut self, number: u16, name: &[u8]) {
        self.service(b"raw", number, name);
    }

    /// Answers what the files answer, and takes it out of the questions.
    fn read_files(&mut self, open: &mut HashSet<NameQuestion>) {
        let nsswitch = self.file("nsswitch.conf");
        if open.contains(&NameQuestion::Ports) && self.read_ports(&nsswitch) {
            open.remove(&NameQuestion::Ports);
        }
        for database in [Database::Users, Database::Networks, Database::Hosts] {
            self.read_database(database, &nsswitch, open);
        }
    }

    /// Answers the questions of one database that its file answers, by the first entry of several.
    fn read_database(&mut self, database: Database, nsswitch: &[u8], open: &mut HashSet<NameQuestion>) {
        let source = files::source(nsswitch, database.nsswitch_name());
        if source == NameSource::Library || !open.iter().any(|&question| database.is_of(question)) {
            return;
        }
        let read = fs::read(self.etc.join(database.file()));
        if matches!(database, Database::Users) {
            self.lacks_passwd = read.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::NotFound);
        }
        let file = read.unwrap_or_else(|error| {
            if self.lacks_passwd {
                self.user_error.get_or_insert(error);
            }
            Vec::new()
        });
        for (question, name) in database.rows(&file) {
            if open.remove(&question) {
                self.name(question, name);
            }
        }
        if source == NameSource::File {
            open.extract_if(|&question| database.is_of(question)).for_each(|question| self.has_none(question));
        }
    }

    /// Reads services and protocols where both are in their files alone.
    fn read_ports(&mut self, nsswitch: &[u8]) -> bool {
        let alone = ["services", "protocols"].iter().all(|database| {
            let has_db = DB_FOLDERS.iter().any(|folder| Path::new(folder).join(format!("{database}.db")).exists());
            files::is_file_alone(nsswitch, database.as_bytes(), has_db)
        });
        if alone {
            let (services, protocols) = (self.file("services"), self.file("protocols"));
            // A line is some 30 bytes.
            self.labels.ports.reserve((services.len() + protocols.len()) / 32);
            files::services(&services).for_each(|(protocol, port, name)| self.service(protocol, port, name));
            files::protocols(&protocols).for_each(|(number, name)| self.protocol(number, name));
        }
        alone
    }

    /// A file under /etc; what cannot be read has no names.
    fn file(&self, name: &str) -> Vec<u8> {
        fs::read(self.etc.join(name)).unwrap_or_default()
    }
}

impl Default for Names {
    fn default() -> Self {
        Self::new()
    }
}

/// A database with a line per name.
#[derive(Clone, Copy, Debug)]
enum Database {
    Users,
    Networks,
    Hosts,
}

impl Database {
    const fn nsswitch_name(self) -> &'static [u8] {
        match self {
            Self::Users => b"passwd",
            Self::Networks => b"networks",
            Self::Hosts => b"hosts",
        }
    }

    const fn file(self) -> &'static str {
        match self {
            Self::Users => "passwd",
            Self::Networks => "networks",
            Self::Hosts => "hosts",
        }
    }

    const fn is_of(self, question: NameQuestion) -> bool {
        matches!(
            (self, question),
            (Self::Users, NameQuestion::User(_))
                | (Self::Networks, NameQuestion::Network(_))
                | (Self::Hosts, NameQuestion::Host(_))
        )
    }

    fn rows(self, file: &[u8]) -> Box<dyn Iterator<Item = (NameQuestion, &[u8])> + '_> {
        match self {
            Self::Users => Box::new(files::users(file).map(|(uid, name)| (NameQuestion::User(uid), name))),
            Self::Networks => {
                Box::new(files::networks(file).map(|(address, name)| (NameQuestion::Network(address), name)))
            }
            Self::Hosts => Box::new(files::hosts(file).map(|(address, name)| (NameQuestion::Host(address), name))),
        }
    }
}

#[cfg(test)]
mod tests;
