//! Sockets through `NETLINK_SOCK_DIAG` (`sock_diag(7)`), the interface that `ss` uses: dumps of TCP, UDP, UDP-Lite, raw and UNIX sockets with
//! their cookies, `tcp_info`, and `SOCK_DESTROY`.
//!
//! [`wire`], [`inet`], [`bytecode`], [`info`] and [`unix`] are pure: bytes in, values out, and bytes back; no input makes them panic. [`Channel`] is the
//! socket. [`loaded`] decides whether a request would make the kernel load a module.

pub mod bytecode;
mod channel;
pub mod destroy;
pub mod inet;
pub mod info;
pub mod loaded;
mod protocol;
pub mod tables;
pub mod unix;
pub mod wire;

pub use channel::{Channel, DiagError};
pub use protocol::Protocol;
