//! Readers of /proc, each with an injectable root path, and the descriptor scan.

pub mod dev;
pub mod fds;
pub mod igmp;
pub mod packet_radio;
pub mod route;
pub mod seed;
pub mod snmp;
pub mod unix;
pub mod words;
