//! The kernel's type information, looked at where it is.

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::ffi::c_void;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Deref;
use std::ptr::NonNull;

/// Where the kernel gives out its type information (BTF).
pub const KERNEL_TYPES: &str = "/sys/kernel/btf/vmlinux";

/// The kernel's type information: a view of its own pages, or a copy.
#[derive(Debug)]
pub enum Types {
    /// Mapped.
    Mapped(Mapping),
    /// Read.
    Copied(Vec<u8>),
}

/// A mapping, until it is dropped.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<c_void>,
    length: usize,
}

/// The kernel's type information, some megabytes. It can be mapped since Linux 6.16: then there is neither a copy nor a page fault
/// for each page of the copy, which take longer than to look through it. Before, it is read.
///
/// # Errors
/// The kernel's; `NotFound` where it was built without.
pub fn kernel_types() -> io::Result<Types> {
    let mut file = File::open(KERNEL_TYPES)?;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(0);
    if length > 0 {
        // SAFETY: a new mapping where there is room, of as many bytes as the file has.
        let mapped = unsafe { mmap(std::ptr::null_mut(), length, ProtFlags::READ, MapFlags::PRIVATE, &file, 0) };
        if let Some(start) = mapped.ok().and_then(NonNull::new) {
            return Ok(Types::Mapped(Mapping { start, length }));
        }
    }
    let mut bytes = Vec::with_capacity(length + 1);
    file.read_to_end(&mut bytes)?;
    Ok(Types::Copied(bytes))
}

impl Deref for Types {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            // SAFETY: mapped for reading as long as `self` lives, and the kernel never changes the pages.
            Self::Mapped(mapping) => unsafe {
                std::slice::from_raw_parts(mapping.start.as_ptr().cast(), mapping.length)
            },
            Self::Copied(bytes) => bytes,
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `kernel_types`, and no slice of it outlives `self`. There is nothing to be done about a failure.
        let _ = unsafe { munmap(self.start.as_ptr(), self.length) };
    }
}
