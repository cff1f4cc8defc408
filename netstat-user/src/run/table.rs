//! What listing sockets takes, for whatever is done with their rows: what is asked, whose rows are read and from where, which are wanted, and what
//! is printed and said meanwhile.

pub mod asked;
pub mod history;
pub mod plan;
pub mod round;
pub mod rows;
pub mod selected;
pub mod sources;
pub mod spaces;
mod unnamed;
