//! What processes run as part of, by their cgroups: looked up once, and kept within bounds.

mod followed;
mod kept;
mod seen;
#[cfg(test)]
mod test_tree;
mod workloads;

pub use followed::Followed;
pub use seen::Seen;
pub use workloads::Workloads;
