//! Readers of /proc, each with an injectable root path, and the descriptor scan.

pub mod snmp;
