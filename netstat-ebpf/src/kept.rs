//! Socket-local storage: what the kernel itself keeps with a listener and clones to its children. aya's own type fixes the flags and
//! takes only one kind of context.

use crate::read::Addr;
use aya_ebpf::{
    bindings::{BPF_SK_STORAGE_GET_F_CREATE, bpf_map_type::BPF_MAP_TYPE_SK_STORAGE},
    helpers::generated::bpf_sk_storage_get,
};

/// `BPF_F_NO_PREALLOC | BPF_F_CLONE`.
const FLAGS: usize = 0x201;

/// Whose a listener is. Small: it is copied to every child.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Listener {
    /// Its address: a child's copy names its listener here.
    pub sk: u64,
    pub comm: [u64; 2],
    pub tgid: u32,
    pub pad: u32,
}

/// A `BPF_MAP_TYPE_SK_STORAGE` map, defined by its BTF: the members are never read, the loader takes numbers from their types.
#[repr(C)]
pub struct Kept {
    r#type: *const [i32; BPF_MAP_TYPE_SK_STORAGE as usize],
    key: *const i32,
    value: *const Listener,
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
    pub fn get(&self, sk: Addr) -> *mut Listener {
        // SAFETY: the verifier insists on a trusted `struct sock *`.
        unsafe {
            bpf_sk_storage_get((&raw const *self).cast_mut().cast(), sk.cast_mut().cast(), core::ptr::null_mut(), 0)
        }
        .cast()
    }

    /// Keeps a copy of `listener` with a socket. Where there is no memory, children have no owner until one accepts them.
    #[inline(always)]
    pub fn put(&self, sk: Addr, listener: &Listener) {
        // SAFETY: as above; `listener` is on the stack, which the verifier checks.
        let kept: *mut Listener = unsafe {
            bpf_sk_storage_get(
                (&raw const *self).cast_mut().cast(),
                sk.cast_mut().cast(),
                (&raw const *listener).cast_mut().cast(),
                u64::from(BPF_SK_STORAGE_GET_F_CREATE),
            )
        }
        .cast();
        if !kept.is_null() {
            // Member by member: a copy of the whole becomes a loop over bytes, which the verifier refuses.
            // SAFETY: a value of the map. It may have been there before, with another owner.
            unsafe { ((*kept).sk, (*kept).comm, (*kept).tgid) = (listener.sk, listener.comm, listener.tgid) };
        }
    }
}
