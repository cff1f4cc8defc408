//! Owners of the sockets that are older than the tracer: an iterator over all open files, run once.

use super::{
    attach::{AttachError, causes, refused},
    plan::Refusal,
};
use crate::model::HookCoverage;
use aya::{Btf, Ebpf, programs::Iter};
use std::io::{self, Read};

/// Name of the hook in the coverage.
pub const HOOK: &str = "older_sockets";
const PROGRAM: &str = "prime_task_file";

/// Runs the iterator. Attach the other hooks first: a socket made meanwhile is known to them.
pub fn prime(ebpf: &mut Ebpf, btf: Option<&Btf>) -> HookCoverage {
    let primed = run(ebpf, btf);
    HookCoverage {
        hook: HOOK,
        without: "owners of sockets older than the tracer come from /proc only",
        variant: primed.is_ok().then_some("iter"),
        refused: primed.err().map(|refusal| ("iter", refusal.to_string())).into_iter().collect(),
    }
}

fn run(ebpf: &mut Ebpf, btf: Option<&Btf>) -> Result<(), Refusal> {
    let lacks = || Refusal::Kernel(AttachError::Lacks(PROGRAM).to_string());
    let btf = btf.ok_or_else(|| Refusal::NoBtf("it cannot be parsed".into()))?;
    let program: &mut Iter = ebpf.program_mut(PROGRAM).and_then(|program| program.try_into().ok()).ok_or_else(lacks)?;
    program.load("task_file", btf).map_err(|error| refused(&error))?;
    let link = program.attach().map_err(|error| refused(&error))?;
    let mut files = {
        let link = program.take_link(link).map_err(|error| refused(&error))?;
        link.into_file().map_err(|error| Refusal::Kernel(causes(&error)))?
    };
    let mut nothing = [0; 64];
    loop {
        match files.read(&mut nothing) {
            Ok(0) => return Ok(()),
            // It prints nothing, and is asked again after a million files.
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(Refusal::Kernel(causes(&error))),
        }
    }
}
