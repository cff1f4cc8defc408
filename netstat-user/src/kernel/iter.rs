//! Iterator programs that are run for what they do in the kernel, and write little or nothing.

use super::hooks::{IteratedSpec, Weight};
use super::object::program;
use super::refusal::HookRefusal;
use crate::model::HookCoverage;
use crate::sys::{Scarce, bpf};
use aya::{Ebpf, programs::Iter};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What the coverage says of a program that is run, with the `refusal` if it was refused.
///
/// # Errors
/// What ran out, where it was refused for that.
pub fn coverage(spec: &'static IteratedSpec, refusal: Option<HookRefusal>) -> Result<HookCoverage, Scarce> {
    let is_detail = spec.weight == Weight::Detail;
    if let Some(scarce) = refusal.as_ref().and_then(|refusal| refusal.starved(is_detail)) {
        return Err(scarce);
    }
    Ok(HookCoverage {
        hook: spec.name,
        without: spec.without,
        variant: refusal.is_none().then_some("iter"),
        mend: refusal.as_ref().map(|refusal| refusal.mend().line()),
        refused: refusal.map(|refusal| refusal.of("iter")).into_iter().collect(),
    })
}

/// Links a loaded program, to be run from any thread.
///
/// # Errors
/// The kernel's.
pub fn link(ebpf: &mut Ebpf, name: &'static str) -> Result<OwnedFd, HookRefusal> {
    let program: &mut Iter = program(ebpf, name)?;
    bpf::link_iterator(program.fd()?.as_fd()).map_err(|error| HookRefusal::Run(Box::new(error)))
}

/// Runs a linked program once over everything, and returns what it wrote.
///
/// # Errors
/// The kernel's.
pub fn run(link: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    let mut walk = File::from(bpf::walk(link)?);
    let (mut written, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        match walk.read(&mut chunk) {
            Ok(0) => return Ok(written),
            Ok(length) => written.extend_from_slice(&chunk[..length]),
            // After a million objects it is to be asked again.
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Runs a loaded program once over everything, and returns what it wrote.
///
/// # Errors
/// The kernel's.
pub fn walk(ebpf: &mut Ebpf, name: &'static str) -> Result<Vec<u8>, HookRefusal> {
    run(link(ebpf, name)?.as_fd()).map_err(|error| HookRefusal::Run(Box::new(error)))
}
