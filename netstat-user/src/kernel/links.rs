//! How one program, which is loaded, is attached.

use super::{
    accepts::{self, Accepts},
    hooks::{Hook, Needs, Variant, Way},
    object::program,
    refusal::{HookRefusal, Lacking},
};
use crate::sys;
use aya::{
    Ebpf,
    maps::ProgramArray,
    programs::{
        BtfTracePoint, CgroupAttachMode, CgroupSock, CgroupSockAddr, FEntry, FExit, KProbe, ProgramError,
        RawTracePoint, TracePoint,
    },
};
use netstat_ebpf::maps;
use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

/// Gives the program for what is nested the one that it goes on in, which is attached to `hook` by then.
///
/// # Errors
/// The kernel's, or the object has no such program.
pub fn go_on_in(ebpf: &mut Ebpf, hook: Hook, variant: Variant) -> Result<(), HookRefusal> {
    let before = hook.way(variant).ok_or(HookRefusal::Lacks(hook.name()))?;
    let before = program::<BtfTracePoint>(ebpf, before.program)?.fd()?.try_clone().map_err(ProgramError::from)?;
    let map = ebpf.map_mut(maps::BEFORE).ok_or(HookRefusal::Lacks(maps::BEFORE))?;
    let mut programs = ProgramArray::try_from(map).map_err(ProgramError::from)?;
    Ok(programs.set(0, &before, 0).map_err(ProgramError::from)?)
}

/// Attaches a program that is loaded; the links are returned of one that can be detached again.
///
/// # Errors
/// The kernel refuses it, or what it needs is not there.
pub fn try_attach(
    ebpf: &mut Ebpf,
    way: &'static Way,
    cgroup: Option<&OwnedFd>,
) -> Result<Option<Accepts>, HookRefusal> {
    let Way { variant, program: name, target, needs, .. } = *way;
    match variant {
        Variant::TpBtf => program::<BtfTracePoint>(ebpf, name)?.attach().map(drop),
        Variant::RawTp => program::<RawTracePoint>(ebpf, name)?.attach(target).map(drop),
        Variant::Tracepoint => {
            let program: &mut TracePoint = program(ebpf, name)?;
            let category = if let Needs::Record(_, layout) = needs { layout.category } else { "" };
            sys::with_tracefs(|_| program.attach(category, target).map(drop))
                .map_err(|error| HookRefusal::NoTracefs(Lacking::mount(error)))?
        }
        Variant::Syscall => {
            return accepts::attach(ebpf, name).map(Some);
        }
        Variant::Fexit | Variant::Fexit4 => program::<FExit>(ebpf, name)?.attach().map(drop),
        Variant::Fentry => program::<FEntry>(ebpf, name)?.attach().map(drop),
        Variant::Kprobe => program::<KProbe>(ebpf, name)?.attach(target, 0).map(drop),
        Variant::Cgroup | Variant::CgroupAlone => {
            let root = cgroup.ok_or_else(|| HookRefusal::NoCgroup(Lacking::mount(io::ErrorKind::NotFound.into())))?;
            // A link lets others attach beside it whatever the mode; any other mode than this is refused with a link.
            let mode = CgroupAttachMode::Single;
            let attached = if let Needs::CgroupAddress(_) = needs {
                program::<CgroupSockAddr>(ebpf, name)?.attach(root, mode).map(drop)
            } else {
                program::<CgroupSock>(ebpf, name)?.attach(root, mode).map(drop)
            };
            if let Err(error) = &attached
                && let Some(alone) = alone(error, needs, root)
            {
                return Err(alone);
            }
            attached
        }
    }
    .map(|()| None)
    .map_err(HookRefusal::from)
}

/// Why a program is not let in: another one of its kind keeps all others out.
fn alone(error: &ProgramError, needs: Needs, root: &OwnedFd) -> Option<HookRefusal> {
    let ProgramError::SyscallError(failure) = error else { return None };
    let (Needs::CgroupSock(kind) | Needs::CgroupAddress(kind)) = needs else { return None };
    if failure.io_error.raw_os_error() != Some(libc::EPERM) {
        return None;
    }
    let other = sys::bpf::exclusive(root.as_fd(), kind as u32).ok().flatten()?;
    let name = String::from_utf8_lossy(&other.name).into_owned();
    Some(HookRefusal::Alone { id: other.id, name: if name.is_empty() { "without a name".into() } else { name } })
}
