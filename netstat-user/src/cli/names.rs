//! Names and numbers that several command lines share.

/// The verbs, in the order of the pages.
pub const VERBS: [&str; 4] = ["events", "agent", "doctor", "kill"];

/// How messages name the command line of `agent`.
pub const AGENT: &str = "netstat-user agent";

/// How messages name the command line of `doctor`.
pub const DOCTOR: &str = "netstat-user doctor";

/// How messages name the command line of `events`.
pub const EVENTS: &str = "netstat-user events";

/// How messages name the command line of `kill`.
pub const KILL: &str = "netstat-user kill";

/// Where the agent answers by default.
pub const SOCKET: &str = "/run/netstat-user/agent.sock";

/// Most sockets that the kernel programs may be asked to remember: some 3 GB.
pub const MOST_REMEMBERED: u32 = 1 << 24;
