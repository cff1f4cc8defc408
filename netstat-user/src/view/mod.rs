//! Rows in, bytes out: netstat tables, event text, JSON.

pub mod event;
pub mod json;
pub mod route;
pub mod statistics;
pub mod text;
