//! Loads the object and attaches what the plan says, keeping the cause of every variant that was refused.

use super::{
    doubts::Doubts,
    facts::{self, Gathered},
    plan::{self, Facts, Hook, Refusal, Variant},
    prime,
};
use crate::{
    model::{Coverage, HookCoverage},
    sys,
};
use aya::{
    Btf, Ebpf, EbpfLoader,
    programs::{
        CgroupAttachMode, CgroupSock, CgroupSockAddr, FEntry, FExit, KProbe, Program, ProgramError, RawTracePoint,
        TracePoint,
    },
};
use netstat_ebpf::{ABSENT, ANY, FIELDS, globals, maps};
use std::{error::Error, io};

static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../netstat-ebpf/prebuilt/netstat-ebpf.o");

/// What to trace.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Hooks to attach.
    pub hooks: Vec<Hook>,
    /// The only variant to try for TCP transitions.
    pub forced: Option<Variant>,
    /// Size of the ring buffer in bytes: a power of two, at least a page.
    pub ring_bytes: u32,
    /// Bits by [`netstat_ebpf::proto_bit`].
    pub protos: u32,
    /// Bits by TCP state, or [`ANY`].
    pub states: u32,
    /// Either port, or [`ANY`].
    pub port: u32,
    /// Local port, or [`ANY`].
    pub lport: u32,
    /// Remote port, or [`ANY`].
    pub rport: u32,
    /// Owner's process id, or [`ANY`].
    pub pid: u32,
    /// Inode of the network namespace, or [`ANY`].
    pub netns: u32,
    /// Whether the programs write their debug log.
    pub debug: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            hooks: Hook::ALL.to_vec(),
            forced: None,
            ring_bytes: 16 << 20,
            protos: u32::MAX,
            states: ANY,
            port: ANY,
            lport: ANY,
            rport: ANY,
            pid: ANY,
            netns: ANY,
            debug: false,
        }
    }
}

/// Why tracing cannot start.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The process may not load programs.
    #[error("tracing needs {}: run as root, or grant it: setcap cap_bpf,cap_perfmon,cap_net_admin+ep PROGRAM", .0.join(", "))]
    Capabilities(Vec<&'static str>),
    /// The kernel refused a map or the whole object.
    #[error("the kernel refused the maps of the programs: {0}")]
    Object(String),
    /// No variant of a hook that cannot be done without.
    #[error("cannot trace {hook}: {causes}")]
    Hook {
        /// The hook.
        hook: &'static str,
        /// Each variant tried, with its cause.
        causes: String,
    },
    /// The object is not the one this program was built for.
    #[error("the kernel object lacks {0}: rebuild it with cargo xtask ebpf")]
    Lacks(&'static str),
}

/// The whole chain of causes on one line; the verifier's log, which is many, is cut to its last line.
pub fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

/// Why the kernel refused a program.
pub fn refused(error: &ProgramError) -> Refusal {
    Refusal::Kernel(match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            let log = verifier_log.to_string();
            log::debug!("verifier log:\n{log}");
            // The complaint is the last line before the statistics.
            let statistics =
                |line: &&str| !["processed", "stack depth", "verification time"].iter().any(|s| line.starts_with(s));
            match log.lines().rev().filter(|line| !line.trim().is_empty()).find(statistics) {
                Some(complaint) => format!("load: {io_error}: {}", complaint.trim()),
                None => format!("load: {io_error}"),
            }
        }
        other => format!("attach: {}", causes(other)),
    })
}

/// Loads and attaches.
///
/// # Errors
/// An [`AttachError`] when a hook that cannot be done without has no usable variant; hooks that can are listed in the coverage.
pub fn attach(wanted: &Wanted) -> Result<(Ebpf, Coverage, Option<Doubts>), AttachError> {
    let missing = facts::missing_capabilities();
    if !missing.is_empty() {
        return Err(AttachError::Capabilities(missing));
    }
    let Gathered { facts, cgroup } = facts::gather();
    let mut ebpf = load(wanted, &facts)?;
    let btf = Btf::from_sys_fs().ok();
    let mut coverage = Coverage::default();
    for &hook in &wanted.hooks {
        if plan::is_needless(hook, &coverage, wanted.protos) {
            continue;
        }
        let forced = wanted.forced.filter(|_| hook == Hook::State);
        let mut covered =
            HookCoverage { hook: hook.name(), without: hook.without(), variant: None, refused: Vec::new() };
        for (variant, refusal) in plan::candidates(hook, &facts, forced) {
            let outcome = match refusal {
                Some(refusal) => Err(refusal),
                None => try_attach(&mut ebpf, hook, variant, btf.as_ref(), cgroup.as_ref()),
            };
            match outcome {
                Ok(()) => {
                    covered.variant = Some(variant.name());
                    break;
                }
                Err(refusal) => covered.refused.push((variant.name(), refusal.to_string())),
            }
        }
        if covered.variant.is_none() && hook == Hook::State {
            let causes: Vec<_> = covered.refused.iter().map(|(variant, cause)| format!("{variant}: {cause}")).collect();
            return Err(AttachError::Hook { hook: hook.name(), causes: causes.join("; ") });
        }
        coverage.hooks.push(covered);
    }
    coverage.hooks.push(prime::prime(&mut ebpf, btf.as_ref()));
    let doubts = match facts.symbols {
        Some(_) => None,
        None => Doubts::new(&mut ebpf, btf.as_ref())
            .inspect_err(|refusal| log::debug!("the programs are not asked what they doubt: {refusal}"))
            .ok(),
    };
    Ok((ebpf, coverage, doubts))
}

fn load(wanted: &Wanted, facts: &Facts) -> Result<Ebpf, AttachError> {
    const NOTHING: [u32; FIELDS] = [ABSENT; FIELDS];
    let offsets = facts.types.as_ref().map_or(&NOTHING, |types| &types.offsets);
    let symbols = facts.symbols.unwrap_or_default();
    let pidns = sys::pid_namespace_if_nested();
    let wake_bytes = (wanted.ring_bytes / 8).min(1 << 20);
    // Where much is far away, one record of eight looks; a small ring may fill up between two looks.
    let wake_mask: u32 = if wanted.ring_bytes >= 1 << 20 { 7 } else { 0 };
    let log_level: u8 = if wanted.debug { 4 } else { 0 };
    let mut loader = EbpfLoader::new();
    loader
        .override_global(globals::OFFSETS, &offsets[..], true)
        .override_global(globals::LOG_LEVEL, &log_level, true)
        .map_max_entries(maps::EVENTS, wanted.ring_bytes);
    // `tcp_set_state` is not passed when a connection begins.
    let births = u32::from(!matches!(wanted.forced, Some(Variant::Fentry | Variant::Kprobe)));
    for (name, value) in [
        (globals::BIRTHS, &births),
        (globals::PROTOS, &wanted.protos),
        (globals::STATES, &wanted.states),
        (globals::PORT, &wanted.port),
        (globals::LPORT, &wanted.lport),
        (globals::RPORT, &wanted.rport),
        (globals::PID, &wanted.pid),
        (globals::NETNS, &wanted.netns),
        (globals::PIDNS, &pidns),
        (globals::WAKE_BYTES, &wake_bytes),
        (globals::WAKE_MASK, &wake_mask),
    ] {
        loader.override_global(name, value, true);
    }
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
    loader.load(OBJECT).map_err(|error| AttachError::Object(causes(&error)))
}

/// A program of the object as the type its variant needs.
fn program<'a, P>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut P, Refusal>
where
    &'a mut P: TryFrom<&'a mut Program>,
{
    let lacks = || Refusal::Kernel(AttachError::Lacks(name).to_string());
    ebpf.program_mut(name).ok_or_else(lacks)?.try_into().map_err(|_| lacks())
}

fn try_attach(
    ebpf: &mut Ebpf,
    hook: Hook,
    variant: Variant,
    btf: Option<&Btf>,
    cgroup: Option<&std::os::fd::OwnedFd>,
) -> Result<(), Refusal> {
    let (name, target) = (hook.program(variant), hook.target(variant));
    let no_btf = || Refusal::NoBtf("it cannot be parsed".into());
    match variant {
        Variant::TpBtf => {
            let program: &mut aya::programs::BtfTracePoint = program(ebpf, name)?;
            program.load(target, btf.ok_or_else(no_btf)?).and_then(|()| program.attach().map(drop))
        }
        Variant::RawTp => {
            let program: &mut RawTracePoint = program(ebpf, name)?;
            program.load().and_then(|()| program.attach(target).map(drop))
        }
        Variant::Tracepoint => {
            let program: &mut TracePoint = program(ebpf, name)?;
            let category = hook.classic().map_or("", |(category, _)| category);
            let load = program.load();
            load.and_then(|()| sys::with_tracefs(|_| program.attach(category, target).map(drop))?)
        }
        Variant::Syscall => {
            let program: &mut TracePoint = program(ebpf, name)?;
            let load = program.load();
            load.and_then(|()| {
                sys::with_tracefs(|_| {
                    ["sys_exit_accept", "sys_exit_accept4"]
                        .into_iter()
                        .try_for_each(|exit| program.attach("syscalls", exit).map(drop))
                })?
            })
        }
        Variant::Fexit | Variant::Fexit4 => {
            let program: &mut FExit = program(ebpf, name)?;
            program.load(target, btf.ok_or_else(no_btf)?).and_then(|()| program.attach().map(drop))
        }
        Variant::Fentry => {
            let program: &mut FEntry = program(ebpf, name)?;
            program.load(target, btf.ok_or_else(no_btf)?).and_then(|()| program.attach().map(drop))
        }
        Variant::Kprobe => {
            let program: &mut KProbe = program(ebpf, name)?;
            program.load().and_then(|()| program.attach(target, 0).map(drop))
        }
        Variant::Cgroup => {
            let root = cgroup.ok_or_else(|| Refusal::NoCgroup(io::Error::from(io::ErrorKind::NotFound).to_string()))?;
            // A link lets others attach beside it whatever the mode; any other mode than this is refused with a link.
            let mode = CgroupAttachMode::Single;
            if matches!(hook, Hook::Accept4 | Hook::Accept6) {
                let program: &mut CgroupSockAddr = program(ebpf, name)?;
                program.load().and_then(|()| program.attach(root, mode).map(drop))
            } else {
                let program: &mut CgroupSock = program(ebpf, name)?;
                program.load().and_then(|()| program.attach(root, mode).map(drop))
            }
        }
    }
    .map_err(|error| refused(&error))
}
