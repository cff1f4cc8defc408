//! Whose a socket is beyond the process that holds it: the container, unit and pod of that process, and the process at the other end.
//! Pure: the paths and rows come from elsewhere.

pub mod peer;
pub mod workload;
