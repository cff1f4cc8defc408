//! The ways a TCP socket goes, in words: what [`Life`](super::check::Life) takes.

/// A listener.
pub const LISTENED: &str = "CLOSE LISTEN CLOSE";
/// A client that closes first.
pub const ACTIVE_CLIENT: &str = "CLOSE SYN_SENT ESTABLISHED FIN_WAIT1 FIN_WAIT2 CLOSE";
/// A client whose server closes first.
pub const PASSIVE_CLIENT: &str = "CLOSE SYN_SENT ESTABLISHED CLOSE_WAIT LAST_ACK CLOSE";
/// A client whose connection is reset.
pub const BROKEN_CLIENT: &str = "CLOSE SYN_SENT ESTABLISHED CLOSE";
/// A server that closes first.
pub const ACTIVE_SERVER: &str = "LISTEN SYN_RECV ESTABLISHED FIN_WAIT1 FIN_WAIT2 CLOSE";
/// A server whose client closes first.
pub const PASSIVE_SERVER: &str = "LISTEN SYN_RECV ESTABLISHED CLOSE_WAIT LAST_ACK CLOSE";
/// A server whose connection is reset.
pub const BROKEN_SERVER: &str = "LISTEN SYN_RECV ESTABLISHED CLOSE";
/// A client whose FIN crosses the server's.
pub const CROSSED_CLIENT: &str = "CLOSE SYN_SENT ESTABLISHED FIN_WAIT1 CLOSING CLOSE";
/// A server whose FIN crosses the client's.
pub const CROSSED_SERVER: &str = "LISTEN SYN_RECV ESTABLISHED FIN_WAIT1 CLOSING CLOSE";
/// Either, of a connection older than the tracer.
pub const CROSSED: &str = "ESTABLISHED FIN_WAIT1 CLOSING CLOSE";
