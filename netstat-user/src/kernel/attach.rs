//! Loads the object and attaches what the plan says, keeping the cause of every variant that was refused.

use super::{
    accepts::{self, Accepts},
    cgroup,
    doubts::{self, Doubts},
    facts::{self, GatheredFacts, Lockdown},
    filters::Filters,
    hooks::{Adds, Hook, LATE_ENDS, Needs, OLDER_SOCKETS, Variant, Way, Weight},
    load::{Job, Preloaded},
    object::{self, Kfuncs, ObjectError, program},
    plan::{self, Facts},
    prime,
    refusal::{HookRefusal, Lacking, Mend, causes},
};
use crate::{
    model::{Coverage, HookCoverage, Limits},
    sys::{self, Scarce},
};
use aya::{
    Btf, Ebpf, EbpfLoader,
    maps::{Array, ProgramArray},
    programs::{
        BtfTracePoint, CgroupAttachMode, CgroupSock, CgroupSockAddr, FEntry, FExit, KProbe, ProgramError,
        RawTracePoint, TracePoint,
    },
};
use aya_obj::btf::BtfKind;
use netstat_ebpf::{ABSENT, FIELDS, globals, kfunc, maps, phase};
use std::{
    borrow::Cow,
    error::Error,
    io,
    os::fd::{AsFd, OwnedFd},
    thread,
    time::Duration,
};

/// What to trace.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Hooks to attach.
    pub hooks: Vec<Hook>,
    /// The only variant to try for a hook, which is then attached even where it would report nothing new.
    pub forced: Vec<(Hook, Variant)>,
    /// Size of the ring buffer in bytes: a power of two, at least a page.
    pub ring_bytes: u32,
    /// How many sockets the programs can remember at least; `None` for as many as suits the kernel.
    pub remember: Option<u32>,
    /// Which events; the programs leave out others where they can.
    pub limits: Limits,
    /// Whether the programs write their debug log.
    pub debug: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            hooks: Hook::ALL.to_vec(),
            forced: Vec::new(),
            ring_bytes: 16 << 20,
            remember: None,
            limits: Limits::default(),
            debug: false,
        }
    }
}

impl Wanted {
    fn forced(&self, hook: Hook) -> Option<Variant> {
        self.forced.iter().find(|(forced, _)| *forced == hook).map(|&(_, variant)| variant)
    }
}

/// Why tracing cannot start.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The process may not load programs.
    #[error("tracing needs {}: {}", .0.join(", "), facts::grant())]
    Capabilities(Vec<&'static str>),
    /// Only one network namespace is wanted, and nothing says which one a socket is in.
    #[error(
        "--netns needs the kernel's types, which say what namespace a socket is in: {0}; leave it out, or boot a kernel with CONFIG_DEBUG_INFO_BTF=y"
    )]
    Netns(#[source] Lacking),
    /// The kernel lacks what no program can do without.
    #[error(
        "events need Linux 5.12 or later, on arm64 5.18 (BPF programs that compare and exchange atomically); this is Linux {0}, where \
         only the tables work"
    )]
    TooOld(String),
    /// Programs, maps and links are open files.
    #[error("tracing takes some {DESCRIPTORS} open files; {}", Scarce::OpenFiles.words())]
    Descriptors,
    /// The kernel refused a map or the whole object.
    #[error("the kernel refused the maps of the programs: {}", causes(&**.0))]
    Maps(#[source] Box<dyn Error + Send + Sync>),
    /// Something ran out while the programs were loaded and attached: open files, or memory for the programs, their maps or the ring.
    #[error("cannot trace: {}", .0.words())]
    Scarce(Scarce),
    /// The object cannot be used.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// No variant of a hook that cannot be done without.
    #[error("cannot trace {hook}: {}{}", if *.locked { LOCKED } else { "" }, tried(.refused))]
    Hook {
        /// The hook.
        hook: &'static str,
        /// Each variant tried, with its cause.
        refused: Vec<(Variant, HookRefusal)>,
        /// Whether the kernel is locked down so far that programs may not read its memory.
        locked: bool,
    },
    /// The object is not the one this program was built for.
    #[error("the kernel object lacks {0}: rebuild it with cargo xtask ebpf")]
    Lacks(&'static str),
}

impl AttachError {
    /// Why a map cannot be had or used.
    pub fn maps(error: impl Error + Send + Sync + 'static) -> Self {
        Scarce::below(&error).map_or_else(|| Self::Maps(Box::new(error)), Self::Scarce)
    }

    /// What has run out, where that is the cause.
    pub fn scarce(&self) -> Option<Scarce> {
        match self {
            Self::Descriptors => Some(Scarce::OpenFiles),
            Self::Scarce(scarce) => Some(*scarce),
            _ => None,
        }
    }

    /// What mends it.
    pub fn mend(&self) -> Cow<'static, str> {
        let mend = match self {
            Self::Capabilities(_) => return facts::grant().into(),
            Self::Netns(_) => Mend::Btf,
            Self::TooOld(_) => Mend::Newer,
            Self::Descriptors => Mend::Descriptors,
            Self::Hook { locked: true, .. } => Mend::Lockdown,
            Self::Hook { refused, .. } => {
                refused.iter().map(|(_, refusal)| refusal.mend()).min().unwrap_or(Mend::Unknown)
            }
            Self::Scarce(scarce) => Mend::of(*scarce),
            Self::Maps(_) | Self::Object(_) | Self::Lacks(_) => Mend::Unknown,
        };
        mend.line().into()
    }
}

/// Each variant that was tried, with its cause.
fn tried(refused: &[(Variant, HookRefusal)]) -> String {
    let tried: Vec<_> = refused.iter().map(|(variant, refusal)| format!("{}: {refusal}", variant.name())).collect();
    tried.join("; ")
}

/// Why nothing can be traced under lockdown=confidentiality.
const LOCKED: &str = "the kernel is locked down (confidentiality) and lets no program read its memory: boot it without \
                      lockdown=confidentiality; ";

/// Open files that tracing takes: some sixty programs, maps and links, and what attaching takes for a moment.
const DESCRIPTORS: u64 = 80;

/// Programs that are attached.
pub struct Attached {
    /// Owns the programs and their links.
    pub ebpf: Ebpf,
    /// What is traced.
    pub coverage: Coverage,
    /// `None` where the programs have no doubts to be decided.
    pub doubts: Option<Doubts>,
    /// `None` where the hook on the return of accept(2) is not attached, or stays attached.
    pub accepts: Option<Accepts>,
    /// Since when the programs report, in nanoseconds of the kernel's `CLOCK_MONOTONIC`; what is dated before is not whole.
    pub since_ns: u64,
}

/// Loads and attaches.
///
/// # Errors
/// An [`AttachError`] when a hook that cannot be done without has no usable variant; hooks that can are listed in the coverage.
pub fn attach(wanted: &Wanted) -> Result<Attached, AttachError> {
    let missing = facts::missing_capabilities();
    if !missing.is_empty() {
        return Err(AttachError::Capabilities(missing));
    }
    if let Some(release) = facts::too_old() {
        return Err(AttachError::TooOld(release));
    }
    if sys::descriptors_left() < DESCRIPTORS {
        return Err(AttachError::Descriptors);
    }
    // Both read the kernel's types.
    let (loader, GatheredFacts { facts, cgroup, lockdown, numbers: btf }) = sys::beside(EbpfLoader::new, facts::gather);
    if let (Err(cause), true) = (&facts.types, wanted.limits.netns.is_some()) {
        return Err(cause.scarce().map_or_else(|| AttachError::Netns(cause.clone()), AttachError::Scarce));
    }
    let kfuncs = btf.as_ref().filter(|_| facts.preempted).and_then(kfuncs);
    let filters = Filters::of(&wanted.limits);
    let mut ebpf = make(loader, wanted, &filters, &facts, kfuncs)?;
    let mut loaded = Preloaded::ahead(&mut ebpf, &likely(wanted, &facts, &filters), btf.as_ref());
    let (cgroup, part) = cgroup.map_or((None, None), |cgroup| (Some(cgroup.dir), cgroup.part));
    let mut accepts = None;
    let attach = |hook: Hook, way| {
        loaded.load(&mut ebpf, Job::Hook(way), btf.as_ref())?;
        if let Adds::Nested(other, variant) = hook.spec().adds {
            go_on_in(&mut ebpf, other, variant)?;
        }
        if let Some(attached) = try_attach(&mut ebpf, way, cgroup.as_ref())? {
            accepts = Some((hook, way, attached));
        }
        Ok(())
    };
    let locked = lockdown == Some(Lockdown::Confidentiality);
    let mut coverage = walk(wanted, &facts, &filters, attach).map_err(|unattached| unattached.into_error(locked))?;
    if filters.nothing {
        // Nothing is wanted, so the programs are not started: until then they do nothing.
        return Ok(Attached { ebpf, coverage, doubts: None, accepts: None, since_ns: 0 });
    }
    set(&mut ebpf, maps::BIRTHS, u64::from(sees_births(&coverage)))?;
    // Every hook is attached: nothing that happens to a socket is missed from now on. The sockets that exist already are looked up first.
    begin(&mut ebpf, phase::QUIET)?;
    coverage.hooks.push(prime::prime(&mut ebpf, &mut loaded, btf.as_ref()).map_err(AttachError::Scarce)?);
    let since_ns = begin_soon(&mut ebpf)?;
    cgroup::limit(&mut coverage, part);
    let doubts = match facts.symbols {
        Some(_) => None,
        None => {
            let (doubts, covered) = doubts::begin(&mut ebpf, &mut loaded, btf.as_ref()).map_err(AttachError::Scarce)?;
            coverage.hooks.push(covered);
            doubts
        }
    };
    loaded.unload(&mut ebpf);
    let accepts = accepts
        .filter(|&(hook, way, _)| wanted.forced(hook).is_none() && is_made_up_for(way, &coverage))
        .map(|(_, _, accepts)| accepts);
    // Whoever waits for this makes sockets at once.
    thread::sleep(Duration::from_nanos(since_ns.saturating_sub(sys::kernel_monotonic_ns())));
    Ok(Attached { ebpf, coverage, doubts, accepts, since_ns })
}

/// Events are reported from a moment in the future; this is how far ahead it is, in nanoseconds.
const AHEAD_NS: u64 = 1_000_000;

/// Sets the moment from which the programs report events, and returns it. It must still be in the future when the programs learn it: a socket
/// made after the moment but before they learned it would count as seen from its beginning, although its `open` was not reported.
fn begin_soon(ebpf: &mut Ebpf) -> Result<u64, AttachError> {
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

/// Sets what the programs do: a [`phase`], or the moment from which they report.
fn begin(ebpf: &mut Ebpf, phase: u64) -> Result<(), AttachError> {
    set(ebpf, maps::STARTED, phase)
}

/// Sets the only word of a map.
fn set(ebpf: &mut Ebpf, name: &'static str, word: u64) -> Result<(), AttachError> {
    let map = ebpf.map_mut(name).ok_or(AttachError::Lacks(name))?;
    let mut words = Array::<_, u64>::try_from(map).map_err(AttachError::maps)?;
    words.set(0, word, 0).map_err(AttachError::maps)
}

/// Whether the hook on transitions is attached in a way that sees connections begin.
fn sees_births(coverage: &Coverage) -> bool {
    let state = coverage.hooks.iter().find(|covered| covered.hook == Hook::State.name());
    let way = state.and_then(|covered| Hook::State.way_named(covered.variant?));
    way.is_some_and(|way| way.births)
}

/// The numbers of the functions of [`kfunc::ALL`], `None` where the kernel lacks one.
fn kfuncs(btf: &Btf) -> Option<Kfuncs> {
    let mut ids = [0; kfunc::ALL.len()];
    for (id, (_, name)) in ids.iter_mut().zip(kfunc::ALL) {
        *id = btf.id_by_type_name_kind(name, BtfKind::Func).ok()?;
    }
    Some(ids)
}

/// A hook that cannot be done without, or that is not there for what ran out, and the cause of each variant that was tried.
struct Unattached {
    hook: &'static str,
    refused: Vec<(Variant, HookRefusal)>,
}

impl Unattached {
    /// The same, where the kernel is `locked` down or not. What ran out is named alone: the other variants' causes are not why.
    fn into_error(self, locked: bool) -> AttachError {
        let Self { hook, refused } = self;
        let scarce = refused.iter().find_map(|(_, refusal)| refusal.starved(false));
        scarce.map_or_else(|| AttachError::Hook { hook, refused, locked }, AttachError::Scarce)
    }
}

/// Goes through the hooks that are wanted, but for those that are needless beside the ones before them, and has `attach` try the variants of each until
/// one is attached.
fn walk(
    wanted: &Wanted,
    facts: &Facts,
    filters: &Filters,
    mut attach: impl FnMut(Hook, &'static Way) -> Result<(), HookRefusal>,
) -> Result<Coverage, Unattached> {
    let (mut coverage, mut all) = (Coverage::default(), Vec::new());
    for &hook in &wanted.hooks {
        let forced = wanted.forced(hook);
        if forced.is_none() && plan::is_needless(hook, &all, filters, facts.preempted) {
            continue;
        }
        let spec = hook.spec();
        let (mut attached, mut refused) = (None, Vec::new());
        for (way, refusal) in plan::candidates(hook, facts, forced) {
            match refusal.map_or_else(|| attach(hook, way), Err) {
                Ok(()) => {
                    attached = Some(way.variant);
                    break;
                }
                Err(refusal) => refused.push((way.variant, refusal)),
            }
        }
        let starved = || refused.iter().any(|(_, refusal)| refusal.starved(spec.weight == Weight::Detail).is_some());
        if attached.is_none() && (spec.weight == Weight::Required || starved()) {
            return Err(Unattached { hook: spec.name, refused });
        }
        all.extend(attached.map(|variant| (hook, variant)));
        coverage.hooks.push(HookCoverage {
            hook: spec.name,
            without: spec.without,
            variant: attached.map(Variant::name),
            mend: refused.iter().map(|(_, refusal)| refusal.mend()).min().map(Mend::line),
            refused: refused.into_iter().map(|(variant, refusal)| refusal.of(variant.name())).collect(),
        });
    }
    Ok(coverage)
}

/// Whether a hook need not stay attached in this way.
fn is_made_up_for(way: &Way, coverage: &Coverage) -> bool {
    !way.made_up_for_by.is_empty() && way.made_up_for_by.iter().all(|hook| coverage.has(hook.name()))
}

/// The programs that are needed if the kernel takes every variant that is tried.
fn likely(wanted: &Wanted, facts: &Facts, filters: &Filters) -> Vec<Job> {
    let mut jobs = Vec::new();
    let walked = walk(wanted, facts, filters, |_, way| {
        jobs.push(Job::Hook(way));
        Ok(())
    });
    if walked.is_ok() && !filters.nothing {
        jobs.extend(facts.symbols.is_none().then_some(Job::Iterated(&LATE_ENDS)));
        jobs.push(Job::Iterated(&OLDER_SOCKETS));
    }
    jobs
}

/// The object in the kernel's hands, its maps made and filled, and no program loaded.
fn make(
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

/// Gives the program for what is nested the one that it goes on in, which is attached to `hook` by then.
fn go_on_in(ebpf: &mut Ebpf, hook: Hook, variant: Variant) -> Result<(), HookRefusal> {
    let before = hook.way(variant).ok_or(HookRefusal::Lacks(hook.name()))?;
    let before = program::<BtfTracePoint>(ebpf, before.program)?.fd()?.try_clone().map_err(ProgramError::from)?;
    let map = ebpf.map_mut(maps::BEFORE).ok_or(HookRefusal::Lacks(maps::BEFORE))?;
    let mut programs = ProgramArray::try_from(map).map_err(ProgramError::from)?;
    Ok(programs.set(0, &before, 0).map_err(ProgramError::from)?)
}

/// Attaches a program that is loaded; the links are returned of one that can be detached again.
fn try_attach(ebpf: &mut Ebpf, way: &'static Way, cgroup: Option<&OwnedFd>) -> Result<Option<Accepts>, HookRefusal> {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether connections are seen to begin where the kernel knows these ways of the hook on transitions, and refuses those `refused`.
    fn births(known: &[Variant], refused: &[Variant], forced: Option<Variant>) -> bool {
        let forced: Vec<_> = forced.into_iter().map(|variant| (Hook::State, variant)).collect();
        let known: Vec<_> = known.iter().map(|&variant| (Hook::State, variant)).collect();
        let absent = || Lacking::mount(io::ErrorKind::NotFound.into());
        let facts = Facts {
            types: Ok(plan::KernelTypes::knowing(&known)),
            tracefs: Ok(()),
            cgroup: Err(absent()),
            symbols: None,
            preempted: false,
        };
        let attach = |_, way: &'static Way| match refused.contains(&way.variant) {
            true => Err(HookRefusal::Prototype(way.target)),
            false => Ok(()),
        };
        let wanted = Wanted { forced, ..Wanted::default() };
        let Ok(coverage) = walk(&wanted, &facts, &Filters::of(&wanted.limits), attach) else { panic!("not attached") };
        sees_births(&coverage)
    }

    #[test]
    fn births_are_seen_or_not_by_the_way_that_is_attached() {
        use Variant::{Fentry, Kprobe, RawTp, TpBtf, Tracepoint};
        let all = [TpBtf, RawTp, Tracepoint, Fentry, Kprobe];
        assert!(births(&all, &[], None));
        assert!(births(&all, &[TpBtf, RawTp], None), "tracepoint");
        assert!(!births(&all, &[TpBtf, RawTp, Tracepoint], None), "the kernel refuses all but fentry");
        assert!(!births(&all, &[TpBtf, RawTp, Tracepoint, Fentry], None), "all but kprobe");
        assert!(!births(&[Fentry, Kprobe], &[], None), "no tracepoint is as the programs know it");
        assert!(!births(&all, &[], Some(Fentry)) && !births(&all, &[], Some(Kprobe)));
        assert!(births(&all, &[Fentry], Some(RawTp)));
    }
}
