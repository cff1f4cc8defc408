//! The zoo: every kind of socket, route, interface and group that a table can show, made for real in a namespace.
//!
//! Everything here runs on a thread of the namespace ([`crate::netns::NetNs::enter`]); what it returns keeps the animals
//! alive until it is dropped.

pub mod actor;
pub mod network;
pub mod peer;
pub mod tcp;
pub mod udp;
pub mod unix;

use socket2::Socket;
use std::any::Any;

/// Sockets, processes and whatever else must stay alive for the zoo to stay as it is.
pub type Keep = Vec<Box<dyn Any + Send + Sync>>;

/// Moves things into one [`Keep`].
pub fn keep<T: Any + Send + Sync>(things: impl IntoIterator<Item = T>) -> Keep {
    things.into_iter().map(|thing| Box::new(thing) as Box<dyn Any + Send + Sync>).collect()
}

/// Two ends of one connection, in the order client, server.
pub type Pair = (Socket, Socket);
