//! Loads the object and attaches what the plan says, keeping the cause of every variant that was refused.

use super::{
    accepts::Accepts,
    attach_error::{AttachError, DESCRIPTORS},
    cgroup,
    doubts::{self, Doubts},
    facts::{self, GatheredFacts, Lockdown},
    filters::Filters,
    given,
    hooks::{Adds, Hook, LATE_ENDS, OLDER_SOCKETS, Variant, Way, Weight},
    links,
    load::{Job, Preloaded},
    plan::{self, Facts},
    prime,
    refusal::{HookRefusal, Mend},
    wanted::Wanted,
};
use crate::{
    model::{Coverage, HookCoverage},
    sys,
};
use aya::{Ebpf, EbpfLoader};
use netstat_ebpf::{maps, phase};
use std::{thread, time::Duration};

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
    let kfuncs = btf.as_ref().filter(|_| facts.preempted).and_then(given::kfuncs);
    let filters = Filters::of(&wanted.limits);
    let mut ebpf = given::make(loader, wanted, &filters, &facts, kfuncs)?;
    let mut loaded = Preloaded::ahead(&mut ebpf, &likely(wanted, &facts, &filters), btf.as_ref());
    let (cgroup, part) = cgroup.map_or((None, None), |cgroup| (Some(cgroup.dir), cgroup.part));
    let mut accepts = None;
    let attach = |hook: Hook, way| {
        loaded.load(&mut ebpf, Job::Hook(way), btf.as_ref())?;
        if let Adds::Nested(other, variant) = hook.spec().adds {
            links::go_on_in(&mut ebpf, other, variant)?;
        }
        if let Some(attached) = links::try_attach(&mut ebpf, way, cgroup.as_ref())? {
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
    given::set(&mut ebpf, maps::BIRTHS, u64::from(sees_births(&coverage)))?;
    // Every hook is attached: nothing that happens to a socket is missed from now on. The sockets that exist already are looked up first.
    given::begin(&mut ebpf, phase::QUIET)?;
    coverage.hooks.push(prime::prime(&mut ebpf, &mut loaded, btf.as_ref()).map_err(AttachError::Scarce)?);
    let since_ns = given::begin_soon(&mut ebpf)?;
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

/// Whether the hook on transitions is attached in a way that sees connections begin.
fn sees_births(coverage: &Coverage) -> bool {
    let state = coverage.hooks.iter().find(|covered| covered.hook == Hook::State.name());
    let way = state.and_then(|covered| Hook::State.way_named(covered.variant?));
    way.is_some_and(|way| way.births)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::refusal::Lacking;
    use std::io;

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
