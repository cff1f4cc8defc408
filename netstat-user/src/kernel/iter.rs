//! Iterator programs that are run for what they do in the kernel, and write little or nothing.

use super::object::program;
use super::refusal::HookRefusal;
use aya::{Ebpf, programs::Iter};
use std::io::{self, Read};

/// Runs a loaded program once over everything, and returns what it wrote.
///
/// # Errors
/// The kernel's.
pub fn walk(ebpf: &mut Ebpf, name: &'static str) -> Result<Vec<u8>, HookRefusal> {
    let program: &mut Iter = program(ebpf, name)?;
    let link = program.attach().and_then(|link| program.take_link(link))?;
    let mut walk = link.into_file().map_err(|error| HookRefusal::Run(Box::new(error)))?;
    let (mut written, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        match walk.read(&mut chunk) {
            Ok(0) => return Ok(written),
            Ok(length) => written.extend_from_slice(&chunk[..length]),
            // After a million objects it is to be asked again.
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(HookRefusal::Run(Box::new(error))),
        }
    }
}
