//! All of aya: what the kernel offers, which hook variants to attach, and the records that come back.
//!
//! [`hooks`] is the table of the places in the kernel the programs listen at. Facts → decision → apply: [`facts`] asks the kernel, [`plan`]
//! decides purely, [`attach`] loads and attaches. [`Tracer`] is what
//! the rest of the program sees.

mod accepts;
pub mod attach;
mod attach_error;
pub mod btf;
mod cgroup;
pub mod closing;
pub mod decode;
mod doubts;
mod facts;
mod filters;
mod given;
mod health;
pub mod hooks;
mod iter;
mod linked;
mod links;
mod load;
mod object;
pub mod plan;
mod prime;
mod processes;
mod refusal;
mod ring;
mod shapes;
pub mod snapshot;
mod symbols;
mod unseen;
mod wanted;

pub use attach_error::AttachError;
pub use facts::{OUTSIDE, is_contained, may_close, missing_capabilities};
pub use health::{Missed, checks, missed};
pub use hooks::{Hook, ITERATED, Instead, Sees, Variant, Weight, weight};
pub use object::digest as object_digest;
pub use ring::{RECORD_BYTES, Records, Tracer};
pub use snapshot::Iterators;
pub use wanted::Wanted;
