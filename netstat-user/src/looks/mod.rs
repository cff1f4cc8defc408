//! What users could see by themselves, without the agent, and which processes they may not look into: looked up in /proc, each user's look-ups within
//! an amount of processor time and beside those of the others.

mod guarded_finder;
mod look_budget;
mod look_ups;
mod views;

pub use guarded_finder::{GuardedFinder, look_at_listed};
pub use look_ups::LookUps;
pub use views::Views;
