//! Rows and events as the columns that were asked for.

mod json;

pub use json::Shape;
