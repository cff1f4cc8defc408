//! System calls no well-kept crate wraps: the one user-side room with `unsafe`.

pub mod locale;
