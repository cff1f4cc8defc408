//! Loads programs: one where it is attached, and beforehand those that are likely to be, several at a time. The verifier takes most of the time
//! until events can be reported, and it works on as many programs at once as there are processors.

use super::{
    hooks::{IteratedSpec, Needs, Variant, Way},
    object::typed,
    refusal::{HookRefusal, Lacking},
};
use crate::sys::lock;
use aya::{
    Btf, Ebpf,
    programs::{
        BtfTracePoint, CgroupSock, CgroupSockAddr, FEntry, FExit, Iter, KProbe, Program, ProgramError, RawTracePoint,
        TracePoint,
    },
};
use std::{
    collections::HashMap,
    num::NonZero,
    sync::{Mutex, PoisonError},
    thread,
};

/// Threads at most: the few programs that take long are soon distributed.
const THREADS: usize = 8;

/// A program to load.
#[derive(Clone, Copy, Debug)]
pub enum Job {
    /// That of a hook.
    Hook(&'static Way),
    /// One that is run.
    Iterated(&'static IteratedSpec),
}

impl Job {
    /// Name of the program in the object.
    pub const fn program(self) -> &'static str {
        match self {
            Self::Hook(way) => way.program,
            Self::Iterated(spec) => spec.program,
        }
    }

    /// Loads it.
    fn load(self, program: &mut Program, btf: Option<&Btf>) -> Result<(), HookRefusal> {
        let types = || btf.ok_or_else(|| HookRefusal::NoBtf(Lacking::Unparsed));
        let name = self.program();
        let way = match self {
            Self::Hook(way) => way,
            Self::Iterated(spec) => return Ok(typed::<Iter>(program, name)?.load(spec.target(), types()?)?),
        };
        match way.variant {
            Variant::TpBtf => typed::<BtfTracePoint>(program, name)?.load(way.target, types()?),
            Variant::RawTp => typed::<RawTracePoint>(program, name)?.load(),
            Variant::Tracepoint | Variant::Syscall => typed::<TracePoint>(program, name)?.load(),
            Variant::Fexit | Variant::Fexit4 => typed::<FExit>(program, name)?.load(way.target, types()?),
            Variant::Fentry => typed::<FEntry>(program, name)?.load(way.target, types()?),
            Variant::Kprobe => typed::<KProbe>(program, name)?.load(),
            Variant::Cgroup | Variant::CgroupAlone if matches!(way.needs, Needs::CgroupAddress(_)) => {
                typed::<CgroupSockAddr>(program, name)?.load()
            }
            Variant::Cgroup | Variant::CgroupAlone => typed::<CgroupSock>(program, name)?.load(),
        }
        .map_err(HookRefusal::from)
    }
}

/// What was loaded beforehand, and has not been attached yet: how that went, by program.
#[derive(Debug, Default)]
pub struct Preloaded(HashMap<&'static str, Result<(), HookRefusal>>);

impl Preloaded {
    /// Loads programs, those that take long first: the last of `jobs` are begun with.
    pub fn ahead(ebpf: &mut Ebpf, jobs: &[Job], btf: Option<&Btf>) -> Self {
        let mut programs: Vec<_> = ebpf.programs_mut().collect();
        let mut queue = Vec::new();
        for &job in jobs {
            if let Some(at) = programs.iter().position(|(name, _)| *name == job.program()) {
                queue.push((job, programs.swap_remove(at).1));
            }
        }
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        let helpers = processors.min(queue.len()).min(THREADS).saturating_sub(1);
        let (queue, loaded) = (Mutex::new(queue), Mutex::new(HashMap::new()));
        let work = || {
            loop {
                // The lock is not held while the program is loaded.
                let Some((job, program)) = lock(&queue).pop() else { return };
                let outcome = job.load(program, btf);
                lock(&loaded).insert(job.program(), outcome);
            }
        };
        thread::scope(|scope| {
            for _ in 0..helpers {
                // Where no thread can be had, this one does all the work.
                if let Err(error) = thread::Builder::new().spawn_scoped(scope, work) {
                    log::debug!("programs are loaded by fewer threads: {error}");
                }
            }
            work();
        });
        Self(loaded.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Loads a program, unless that was done.
    ///
    /// # Errors
    /// Why it cannot be loaded.
    pub fn load(&mut self, ebpf: &mut Ebpf, job: Job, btf: Option<&Btf>) -> Result<(), HookRefusal> {
        let name = job.program();
        self.0.remove(name).unwrap_or_else(|| {
            let program = ebpf.program_mut(name).ok_or(HookRefusal::Lacks(name))?;
            job.load(program, btf)
        })
    }

    /// Takes out of the kernel again what was not used.
    pub fn unload(self, ebpf: &mut Ebpf) {
        for (name, _) in self.0.into_iter().filter(|(_, outcome)| outcome.is_ok()) {
            if let Some(program) = ebpf.program_mut(name)
                && let Err(error) = unload(program)
            {
                log::debug!("{name} stays loaded: {error}");
            }
        }
    }
}

/// Takes a program out of the kernel.
fn unload(program: &mut Program) -> Result<(), ProgramError> {
    match program {
        Program::BtfTracePoint(program) => program.unload(),
        Program::RawTracePoint(program) => program.unload(),
        Program::TracePoint(program) => program.unload(),
        Program::FExit(program) => program.unload(),
        Program::FEntry(program) => program.unload(),
        Program::KProbe(program) => program.unload(),
        Program::CgroupSock(program) => program.unload(),
        Program::CgroupSockAddr(program) => program.unload(),
        Program::Iter(program) => program.unload(),
        // Of no other kind is one loaded.
        _ => Ok(()),
    }
}
