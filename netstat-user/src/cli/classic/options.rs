//! What a classic command line can ask for, as plain data, and what follows from it: the view, the tables, which sockets.

use crate::cli::Colour;
use crate::cli::names::SOCKET;
use crate::cli::select::Selection;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A classic command line, as given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// Protocol letters, before any default.
    pub protocols: Protocols,
    /// Families in the order given, repeats kept (`-x` is one of them); empty where none was named.
    pub families: Vec<Family>,
    /// `-g`: multicast groups, a table among the tables.
    pub groups: bool,
    /// `-2`, `-f`: Bluetooth sockets, in no build of Debian.
    pub bluetooth: bool,
    /// `-r`
    pub route: bool,
    /// `-i`
    pub interfaces: bool,
    /// `-s`
    pub statistics: bool,
    /// `-M`
    pub masquerade: bool,
    /// `-a`
    pub all: bool,
    /// `-l`
    pub listening: bool,
    /// What to leave as numbers.
    pub numeric: Numeric,
    /// `-N`
    pub symbolic: bool,
    /// How often `-e` was given.
    pub extend: u32,
    /// `-p`
    pub programs: bool,
    /// `-o`
    pub timers: bool,
    /// `-W`
    pub wide: bool,
    /// `-c`
    pub continuous: bool,
    /// `-v`
    pub verbose: bool,
    /// `-F`
    pub fib: bool,
    /// `-C`
    pub cache: bool,
    /// `--json`: one object per line instead of a table.
    pub json: bool,
    /// `--recent`: also the sockets closed within this time.
    pub recent: Option<Duration>,
    /// `--agent`, `--no-agent`: where rows come from.
    pub agent: AgentChoice,
    /// `--all-netns`
    pub all_netns: bool,
    /// `--info`: what the kernel knows of TCP connections, with each row.
    pub info: bool,
    /// `--where` and the other options that select rows and columns.
    pub selection: Selection,
    /// What to report of the words themselves: those that are no options, which netstat ignores, and letters that ss reads otherwise.
    pub remark: Option<String>,
    /// `--color`: of columns that were chosen; netstat's own tables have none.
    pub color: Colour,
    /// `--schema`: the JSON Schema of the view instead of the view.
    pub schema: bool,
}

/// Which view a command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Tables of sockets and groups.
    Tables,
    /// `-r`
    Routes,
    /// `-i`
    Interfaces,
    /// `-s`
    Statistics,
    /// `-M`
    Masquerade,
}

/// The protocol letters of the Internet tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the protocols")]
pub struct Protocols {
    pub tcp: bool,
    pub sctp: bool,
    pub udp: bool,
    pub udplite: bool,
    pub raw: bool,
}

impl Protocols {
    /// Whether any letter was given.
    pub const fn any(self) -> bool {
        self.tcp || self.sctp || self.udp || self.udplite || self.raw
    }
}

/// An address family of `-A`, `-4`, `-6`, `-x` and the long options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the families")]
pub enum Family {
    Inet,
    Inet6,
    Unix,
    Ipx,
    Ax25,
    Netrom,
    Ddp,
    X25,
    Rose,
    Ash,
    Econet,
    Bluetooth,
}

/// The words that `-A` takes, as its help lists them.
pub const FAMILY_NAMES: [&str; 10] =
    ["inet", "inet6", "unix", "ax25", "netrom", "rose", "ipx", "x25", "ddp", "bluetooth"];

impl Family {
    /// The word `-A` takes, aliases included; exact, as in netstat.
    pub(super) fn parse(word: &[u8]) -> Option<Self> {
        Some(match word {
            b"inet" | b"ip" | b"tcpip" => Self::Inet,
            b"inet6" | b"ip6" => Self::Inet6,
            b"unix" => Self::Unix,
            b"ipx" => Self::Ipx,
            b"ax25" => Self::Ax25,
            b"netrom" => Self::Netrom,
            b"ddp" | b"appletalk" => Self::Ddp,
            b"x25" => Self::X25,
            b"rose" => Self::Rose,
            b"ash" => Self::Ash,
            b"econet" => Self::Econet,
            b"bluetooth" => Self::Bluetooth,
            _ => return None,
        })
    }

    /// netstat's own name for it, as in its messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inet => "inet",
            Self::Inet6 => "inet6",
            Self::Unix => "unix",
            Self::Ipx => "ipx",
            Self::Ax25 => "ax25",
            Self::Netrom => "netrom",
            Self::Ddp => "ddp",
            Self::X25 => "x25",
            Self::Rose => "rose",
            Self::Ash => "ash",
            Self::Econet => "ec",
            Self::Bluetooth => "bluetooth",
        }
    }
}

/// What stays a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Numeric {
    pub hosts: bool,
    pub ports: bool,
    pub users: bool,
}

/// Where rows come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AgentChoice {
    /// The agent where it answers on its usual path, else the kernel.
    #[default]
    Auto,
    /// The agent behind this socket; where it does not answer that is said, and the kernel is read.
    At(PathBuf),
    /// The kernel.
    Never,
}

impl AgentChoice {
    /// The socket on which an agent may be asked, `None` where none is to be.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Auto => Some(Path::new(SOCKET)),
            Self::At(path) => Some(path),
            Self::Never => None,
        }
    }
}

/// Which sockets a table lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// `-a`, which beats `-l`.
    All,
    /// `-l`
    Listening,
    /// Neither: what has a peer.
    Connected,
}

/// How much a table is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Not at all.
    No,
    /// By default: silently nothing where the kernel has no such table.
    IfThere,
    /// By name: a message and exit 1 where the kernel has no such table.
    Asked,
}

/// The tables of one run, defaults resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tables {
    /// The protocols of the Internet table; none: no Internet table.
    pub protocols: Protocols,
    /// An Internet family was named and no protocol: then netstat never complains that a table is missing.
    pub lenient: bool,
    /// IPv4 files are read.
    pub v4: bool,
    /// IPv6 files are read.
    pub v6: bool,
    /// Multicast groups; only ever asked for.
    pub groups: bool,
    /// Sockets of the other families.
    pub unix: Want,
    #[allow(missing_docs, reason = "as unix")]
    pub ipx: Want,
    #[allow(missing_docs, reason = "as unix")]
    pub ax25: Want,
    #[allow(missing_docs, reason = "as unix")]
    pub x25: Want,
    #[allow(missing_docs, reason = "as unix")]
    pub netrom: Want,
    #[allow(missing_docs, reason = "as unix")]
    pub rose: Want,
    /// Bluetooth was asked for; no build has it.
    pub bluetooth: bool,
    /// The first family asked for that has routes or nothing at all, but no table of sockets.
    pub tableless: Option<Family>,
}

impl Options {
    /// The view, in netstat's precedence.
    pub const fn view(&self) -> View {
        if self.masquerade {
            View::Masquerade
        } else if self.statistics {
            View::Statistics
        } else if self.route {
            View::Routes
        } else if self.interfaces {
            View::Interfaces
        } else {
            View::Tables
        }
    }

    /// Which sockets the tables list.
    pub const fn filter(&self) -> Filter {
        if self.all {
            Filter::All
        } else if self.listening {
            Filter::Listening
        } else {
            Filter::Connected
        }
    }

    /// Whether a family was named, by whatever option.
    pub fn has(&self, family: Family) -> bool {
        self.families.contains(&family)
    }

    /// The tables to print where the view is [`View::Tables`].
    pub fn tables(&self) -> Tables {
        let (v4, v6) = (self.has(Family::Inet), self.has(Family::Inet6));
        let bluetooth = self.bluetooth || self.has(Family::Bluetooth);
        let tableless = self.families.iter().copied().find(|f| matches!(f, Family::Ddp | Family::Ash | Family::Econet));
        let default = self.families.is_empty() && !self.protocols.any() && !self.groups && !bluetooth;
        let internet = default || self.protocols.any() || ((v4 || v6) && !self.groups);
        let every = Protocols { tcp: true, sctp: true, udp: true, udplite: true, raw: true };
        let want = |family| match () {
            () if self.has(family) => Want::Asked,
            // Only Internet and UNIX sockets have the fields that are selected by.
            () if default && (family == Family::Unix || !self.selection.is_any()) => Want::IfThere,
            () => Want::No,
        };
        Tables {
            protocols: match internet {
                true if self.protocols.any() => self.protocols,
                true => every,
                false => Protocols::default(),
            },
            lenient: (v4 || v6) && !self.protocols.any(),
            v4: v4 || !v6,
            v6: v6 || !v4,
            groups: self.groups,
            unix: want(Family::Unix),
            ipx: want(Family::Ipx),
            ax25: want(Family::Ax25),
            x25: want(Family::X25),
            netrom: want(Family::Netrom),
            rose: want(Family::Rose),
            bluetooth,
            tableless,
        }
    }
}
