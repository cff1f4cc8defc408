//! What the state of the tracer and the agent means, and what mends it.

mod counters;
mod hooks;
mod lacks;

pub use counters::of_status;
pub use hooks::{hook, missed};
pub use lacks::{gaps, not_remembered, not_remembered_yet};
