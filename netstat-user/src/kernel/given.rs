//! What the programs are given: the object with its maps and globals, before a program is loaded, and the words that say what they do.

use super::{
    attach_error::AttachError,
    filters::Filters,
    object::{self, Kfuncs},
    plan::Facts,
    wanted::Wanted,
};
use crate::sys;
use aya::{Btf, Ebpf, EbpfLoader, maps::Array};
use aya_obj::btf::BtfKind;
use netstat_ebpf::{ABSENT, FIELDS, globals, kfunc, maps};

/// The numbers of the functions of [`kfunc::ALL`], `None` where the kernel lacks one.
pub fn kfuncs(btf: &Btf) -> Option<Kfuncs> {
    let mut ids = [0; kfunc::ALL.len()];
    for (id, (_, name)) in ids.iter_mut().zip(kfunc::ALL) {
        *id = btf.id_by_type_name_kind(name, BtfKind::Func).ok()?;
    }
    Some(ids)
}

/// The object in the kernel's hands, its maps made and filled, and no program loaded.
///
/// # Errors
/// The kernel has no room for a map, or refuses one.
pub fn make(
    loader: EbpfLoader<'static>,
    wanted: &Wanted,
    filters: &Filters,
    facts: &Facts,
    kfuncs: Option<Kfuncs>,
) -> Result<Ebpf, AttachError> {
    // It borrows what is set here.
    let mut loader: EbpfLoader<'_> = loader;
    const NOTHING: [u32; FIELDS] = [ABSENT; FIELDS];
    let offsets = facts.types.as_ref().map_or(&NOTHING, |types| &types.offsets);
    let symbols = facts.symbols.unwrap_or_default();
    let pidns = sys::pid_namespace_if_nested();
    let wake_bytes = (wanted.ring_bytes / 8).min(1 << 20);
    // In a large ring only one record of eight checks whether to wake the reader; a small ring may fill up between two checks.
    let wake_mask: u32 = if wanted.ring_bytes >= 1 << 20 { 7 } else { 0 };
    let log_level: u8 = if wanted.debug { 4 } else { 0 };
    loader
        .override_global(globals::OFFSETS, &offsets[..], true)
        .override_global(globals::LOG_LEVEL, &log_level, true)
        .map_max_entries(maps::EVENTS, wanted.ring_bytes);
    let preallocated = facts.types.as_ref().is_ok_and(|types| !types.maps_grow);
    if let Some(sockets) = object::remembered(wanted.remember, preallocated) {
        loader.map_max_entries(object::MORE_SOCKETS, sockets);
    }
    let (preempted, undisturbed) = (u32::from(facts.preempted), u32::from(kfuncs.is_some()));
    for (name, value) in [
        (globals::PREEMPTED, &preempted),
        (globals::UNDISTURBED, &undisturbed),
        (globals::PIDNS, &pidns),
        (globals::WAKE_BYTES, &wake_bytes),
        (globals::WAKE_MASK, &wake_mask),
    ] {
        loader.override_global(name, value, true);
    }
    filters.set(&mut loader);
    for (name, value) in [
        (globals::TW_TIMER, &symbols.tw_timer),
        (globals::REQ_TIMER, &symbols.req_timer),
        (globals::MOD_TIMER, &symbols.mod_timer.0),
        (globals::MOD_TIMER_END, &symbols.mod_timer.1),
        (globals::MOD_PENDING, &symbols.mod_pending.0),
        (globals::MOD_PENDING_END, &symbols.mod_pending.1),
    ] {
        loader.override_global(name, value, true);
    }
    let object = object::bytes(preallocated, kfuncs)?;
    let mut ebpf = loader.load(&object).map_err(AttachError::maps)?;
    filters.fill(&mut ebpf).map_err(AttachError::maps)?;
    Ok(ebpf)
}

/// Events are reported from a moment in the future; this is how far ahead it is, in nanoseconds.
const AHEAD_NS: u64 = 1_000_000;

/// Sets the moment from which the programs report events, and returns it. It must still be in the future when the programs learn it: a socket
/// made after the moment but before they learned it would count as seen from its beginning, although its `open` was not reported.
///
/// # Errors
/// As [`set`].
pub fn begin_soon(ebpf: &mut Ebpf) -> Result<u64, AttachError> {
    let mut ahead_ns = AHEAD_NS;
    loop {
        let since_ns = sys::kernel_monotonic_ns() + ahead_ns;
        begin(ebpf, since_ns)?;
        if sys::kernel_monotonic_ns() < since_ns {
            return Ok(since_ns);
        }
        // This task did not run for longer than that. Events that were reported meanwhile are older than the next moment, and are skipped.
        ahead_ns *= 4;
    }
}

/// Sets what the programs do: a [`netstat_ebpf::phase`], or the moment from which they report.
///
/// # Errors
/// As [`set`].
pub fn begin(ebpf: &mut Ebpf, phase: u64) -> Result<(), AttachError> {
    set(ebpf, maps::STARTED, phase)
}

/// Sets the only word of a map.
///
/// # Errors
/// The object has no such map, or the kernel's.
pub fn set(ebpf: &mut Ebpf, name: &'static str, word: u64) -> Result<(), AttachError> {
    let map = ebpf.map_mut(name).ok_or(AttachError::Lacks(name))?;
    let mut words = Array::<_, u64>::try_from(map).map_err(AttachError::maps)?;
    words.set(0, word, 0).map_err(AttachError::maps)
}
