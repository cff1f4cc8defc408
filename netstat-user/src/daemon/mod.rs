//! What a process that runs for long needs of its machine: the file of its socket, users and groups, signals, the service manager, and to give up
//! the privileges it needs no more.

pub mod accounts;
pub mod bound;
pub mod manager;
pub mod privileges;
pub mod signals;
pub mod subordinate;
