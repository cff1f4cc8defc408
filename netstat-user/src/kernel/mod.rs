//! All of aya: what the kernel offers, which hook variants to attach, and the records that come back.
//!
//! Facts → decision → apply: [`facts`] asks the kernel, [`plan`] decides purely, [`attach`] loads and attaches. [`Tracer`] is what
//! the rest of the program sees.

pub mod attach;
pub mod btf;
pub mod decode;
mod facts;
pub mod plan;
mod ring;

pub use attach::{AttachError, Wanted};
pub use plan::{Hook, Variant};
pub use ring::{Records, Tracer};
