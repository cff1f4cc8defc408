//! The ABI between the kernel programs and user space.
#![no_std]
