//! The project's words: who owns a socket and how that is known, why it ended, and the states of TCP.

/// Terms with their meanings, in groups: owners, directions, marks, reasons, states.
pub const GLOSSARY: [(&str, &str); 31] = [
    ("owner", "the process that made the socket or accepted the connection, never whoever was on the processor"),
    ("created", "owner: the process made the socket"),
    ("accepted", "owner: the process took the connection from its listener"),
    ("inherited", "owner: that of the listener; no process has accepted the connection yet"),
    ("scanned", "owner: found among the open files; the socket is older than the tracer, or its owner has ended"),
    ("->  <-  --", "who connected: the local end, the remote end, not known"),
    ("@", "before the network namespace, by name or number, of a socket outside one's own"),
    (
        "~",
        "the end of a name or a text is cut, as the terminal has no room for it; a wider terminal, a pipe and --json have it whole",
    ),
    ("-", "none, or not known; null in JSON"),
    ("*", "any address or port"),
    ("closed", "reason: in order, by its owner or by both ends"),
    ("reset_received", "reason: the peer sent a reset"),
    ("reset_sent", "reason: this end sent a reset"),
    ("refused", "reason: the peer refused the connection; often nobody listens on that port"),
    ("timed_out", "reason: no answer in time"),
    (
        "unreachable",
        "reason: the destination could not be reached, as the kernel (it has no route) or an ICMP message said",
    ),
    ("abandoned", "reason: its process closed it before it was established"),
    ("unknown", "reason: the kernel did not say, or a hook is missing (see doctor)"),
    ("LISTEN", "state: waits for connections"),
    ("SYN_SENT", "state: connects, and has no answer yet"),
    ("SYN_RECV", "state: a connection request came in and is answered"),
    ("ESTABLISHED", "state: the connection stands"),
    ("FIN_WAIT1", "state: closed here, not acknowledged yet"),
    ("FIN_WAIT2", "state: closed here, the peer has not closed yet"),
    ("CLOSING", "state: both closed at the same time"),
    ("CLOSE_WAIT", "state: the peer has closed, the process here has not; many of these are a leak"),
    ("LAST_ACK", "state: closed by the peer, then here; the last acknowledgement is missing"),
    ("TIME_WAIT", "state: closed here first; the ends are kept for a minute against late segments"),
    ("CLOSE", "state: not connected, or gone"),
    (
        "lost",
        "events that are missing: the kernel's buffer had no room, or the kernel left out a program; they are counted, never left out silently",
    ),
    ("agent", "the process that keeps the table of all sockets and of those that closed, and answers queries"),
];

/// Exit codes: those of netstat's views, and those of the verbs.
pub const EXIT_CODES: [(&str, &str); 4] = [
    ("0", "fine; of doctor: nothing essential is missing"),
    (
        "1",
        "failed: output, privilege, no agent, no such table; of views: no such address family (-A), as of netstat; of those that netstat does not \
         have: not everything could be read; of doctor: something essential is missing; of kill: a socket could not be closed, or none was, as the answer \
         to the question was no, or not everything could be read",
    ),
    ("2", "verbs: a wrong command line"),
    (
        "3",
        "views: any other wrong command line, as of netstat; events: ran, but events were lost and --strict was given",
    ),
];
