//! Socket-local storage: what the kernel itself keeps with a socket and clones to the children of a listener. aya's own type
//! fixes the flags and takes only one kind of context.

use crate::{read::Addr, sock::Remembered};
use aya_ebpf::{
    bindings::{BPF_SK_STORAGE_GET_F_CREATE, bpf_map_type::BPF_MAP_TYPE_SK_STORAGE},
    helpers::generated::bpf_sk_storage_get,
};

/// `BPF_F_NO_PREALLOC | BPF_F_CLONE`.
const FLAGS: usize = 0x201;

/// A `BPF_MAP_TYPE_SK_STORAGE` map, defined by its BTF: the members are never read, the loader takes numbers from their types.
#[repr(C)]
pub struct Kept {
    r#type: *const [i32; BPF_MAP_TYPE_SK_STORAGE as usize],
    key: *const i32,
    value: *const Remembered,
    max_entries: *const [i32; 0],
    map_flags: *const [i32; FLAGS],
}

// SAFETY: the pointers are placeholders and never followed.
unsafe impl Sync for Kept {}

impl Kept {
    pub const fn new() -> Self {
        Self {
            r#type: core::ptr::null(),
            key: core::ptr::null(),
            value: core::ptr::null(),
            max_entries: core::ptr::null(),
            map_flags: core::ptr::null(),
        }
    }

    /// What is kept with a socket, null if nothing.
    #[inline(always)]
    pub fn get(&self, sk: Addr) -> *mut Remembered {
        // SAFETY: the verifier insists on a trusted `struct sock *`.
        unsafe {
            bpf_sk_storage_get((&raw const *self).cast_mut().cast(), sk.cast_mut().cast(), core::ptr::null_mut(), 0)
        }
        .cast()
    }

    /// Keeps a copy of `value` with a socket, unless there is something already; null if there is no memory.
    #[inline(always)]
    pub fn get_or_insert(&self, sk: Addr, value: *const Remembered) -> *mut Remembered {
        // SAFETY: as above; `value` points to a map value or the stack, which the verifier checks.
        unsafe {
            bpf_sk_storage_get(
                (&raw const *self).cast_mut().cast(),
                sk.cast_mut().cast(),
                value.cast_mut().cast(),
                u64::from(BPF_SK_STORAGE_GET_F_CREATE),
            )
        }
        .cast()
    }
}
