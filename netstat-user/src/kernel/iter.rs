//! Iterator programs that are run for what they do in the kernel, and print nothing.

use super::{
    attach::{AttachError, causes, refused},
    plan::Refusal,
};
use aya::{Btf, Ebpf, programs::Iter};
use std::io::{self, Read};

/// Loads a program of the object that walks over what the kernel has of `target`.
///
/// # Errors
/// Why it cannot be.
pub fn load(ebpf: &mut Ebpf, name: &'static str, target: &str, btf: Option<&Btf>) -> Result<(), Refusal> {
    let btf = btf.ok_or_else(|| Refusal::NoBtf("it cannot be parsed".into()))?;
    program(ebpf, name)?.load(target, btf).map_err(|error| refused(&error))
}

/// Runs a loaded program once over everything.
///
/// # Errors
/// The kernel's.
pub fn walk(ebpf: &mut Ebpf, name: &'static str) -> Result<(), Refusal> {
    let program = program(ebpf, name)?;
    let link = program.attach().and_then(|link| program.take_link(link)).map_err(|error| refused(&error))?;
    let mut walk = link.into_file().map_err(|error| Refusal::Kernel(causes(&error)))?;
    let mut nothing = [0; 64];
    loop {
        match walk.read(&mut nothing) {
            Ok(0) => return Ok(()),
            // It prints nothing, and is asked again after a million objects.
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(Refusal::Kernel(causes(&error))),
        }
    }
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Iter, Refusal> {
    let lacks = || Refusal::Kernel(AttachError::Lacks(name).to_string());
    ebpf.program_mut(name).and_then(|program| program.try_into().ok()).ok_or_else(lacks)
}
