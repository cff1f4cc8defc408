//! Readers of /proc, each with an injectable root path, and the descriptor scan.

pub mod cursor;
pub mod dev;
pub mod fds;
pub mod igmp;
pub mod inet;
pub mod lines;
pub mod netns;
pub mod packet_radio;
pub mod packet_routes;
pub mod route;
pub mod sctp;
pub mod seed;
pub mod snmp;
pub mod unix;
pub mod words;
