//! The small objects of the iterators, made ready without aya: see [`crate::sys::bpf`]. Each has one map and a few programs, which are loaded
//! one by one, so that the kernel may refuse one and take another.

use super::btf::{Btf, BtfError};
use super::refusal::is_unsupported;
use crate::sys::{KERNEL_TYPES, bpf};
use aya_obj::generated::bpf_insn;
use netstat_ebpf::snapshot::Program;
use std::collections::HashMap;
use std::error::Error;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::OnceLock;

/// Why there are no iterators.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The kernel gives out no type information.
    #[error("{KERNEL_TYPES}: {0}")]
    NoBtf(#[source] io::Error),
    /// Its type information cannot be read.
    #[error("{KERNEL_TYPES}: {0}")]
    Btf(#[from] BtfError),
    /// A field the programs cannot do without.
    #[error("this kernel has no {0}.{1} as the programs know it")]
    Lacks(&'static str, &'static str),
    /// The object is not the one this program was built for.
    #[error("the iterators' object: {0}; rebuild it with cargo xtask ebpf")]
    Object(#[source] Box<dyn Error + Send + Sync>),
    /// It lacks something that this program expects.
    #[error("the iterators' object: it has no {0}; rebuild it with cargo xtask ebpf")]
    ObjectLacks(&'static str),
    /// The kernel refused the programs' map.
    #[error("the kernel refused a map: {0}")]
    Map(#[source] io::Error),
}

impl SnapshotError {
    fn object(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Object(Box::new(error))
    }

    /// Whether the kernel has no iterators or denies them to this process, as opposed to a failure that may pass.
    pub fn is_unsupported(&self) -> bool {
        match self {
            Self::NoBtf(error) | Self::Map(error) => is_unsupported(error),
            Self::Lacks(..) => true,
            Self::Btf(_) | Self::Object(_) | Self::ObjectLacks(_) => false,
        }
    }
}

/// An object whose programs refer to a map of the kernel's.
#[derive(Debug)]
pub struct Linked {
    object: aya_obj::Object,
    /// The programs' code refers to it by number.
    map: OwnedFd,
}

/// A program ready to load.
#[derive(Debug)]
pub struct Prepared {
    program: Program,
    code: Vec<bpf::Instruction>,
    license: CString,
    /// The function in the kernel's BTF that stands for the iterator, `None` where there is none.
    target: Option<u32>,
    link: OnceLock<OwnedFd>,
}

impl Linked {
    /// Parses an object; `constants` are the bytes of the variables of these names, and `make` makes the map from the bytes that it holds.
    ///
    /// # Errors
    /// The object is not the one this program was built for, or the kernel refused the map.
    pub fn new(
        object: &[u8],
        constants: HashMap<&str, (&[u8], bool)>,
        make: impl FnOnce(&[u8]) -> io::Result<OwnedFd>,
    ) -> Result<Self, SnapshotError> {
        let mut object = aya_obj::Object::parse(object).map_err(SnapshotError::object)?;
        object.patch_map_data(constants).map_err(SnapshotError::object)?;
        let maps = std::mem::take(&mut object.maps);
        let (name, map) = maps.iter().next().filter(|_| maps.len() == 1).ok_or(SnapshotError::ObjectLacks("map"))?;
        let made = make(map.data()).map_err(SnapshotError::Map)?;
        let sections = object.functions.keys().map(|&(section, _)| section).collect();
        object
            .relocate_maps(std::iter::once((name.as_str(), made.as_raw_fd(), map)), &sections)
            .and_then(|()| object.relocate_calls(&sections))
            .map_err(SnapshotError::object)?;
        Ok(Self { object, map: made })
    }

    /// A program of it.
    ///
    /// # Errors
    /// It has no such program.
    pub fn prepare(&self, program: Program, btf: &Btf<'_>) -> Result<Prepared, SnapshotError> {
        let function = self.object.programs.get(program.name()).map(aya_obj::Program::function_key);
        let function = function
            .and_then(|key| self.object.functions.get(&key))
            .ok_or(SnapshotError::ObjectLacks(program.name()))?;
        Ok(Prepared {
            program,
            code: function.instructions.iter().map(instruction).collect(),
            license: self.object.license.clone(),
            target: btf.function_id(program.target()),
            link: OnceLock::new(),
        })
    }

    /// The map.
    pub fn into_map(self) -> OwnedFd {
        self.map
    }
}

/// The kernel has nothing that this program could go over.
#[derive(Debug, thiserror::Error)]
#[error("the kernel has no iterator for {0}")]
struct NoIterator(&'static str);

impl Prepared {
    /// Puts one instruction in place of another, wherever that is; false if it is nowhere.
    pub fn replace(&mut self, old: bpf::Instruction, new: bpf::Instruction) -> bool {
        let mut found = false;
        for place in self.code.iter_mut().filter(|place| **place == old) {
            *place = new;
            found = true;
        }
        found
    }

    /// The program's link, made at the first call.
    ///
    /// # Errors
    /// The kernel's, also where it refuses the program.
    pub fn link(&self) -> io::Result<&OwnedFd> {
        if let Some(link) = self.link.get() {
            return Ok(link);
        }
        let name = self.program.name();
        let no_iterator = || io::Error::new(io::ErrorKind::Unsupported, NoIterator(name));
        let link = bpf::iterator(name, &self.code, &self.license, self.target.ok_or_else(no_iterator)?)?;
        // Two threads may have loaded it at once: one of the two links is dropped.
        Ok(self.link.get_or_init(|| link))
    }

    /// Whether it is loaded.
    pub fn is_loaded(&self) -> bool {
        self.link.get().is_some()
    }
}

fn instruction(insn: &bpf_insn) -> bpf::Instruction {
    let mut bytes = [insn.code, insn.src_reg() << 4 | insn.dst_reg(), 0, 0, 0, 0, 0, 0];
    bytes[2..4].copy_from_slice(&insn.off.to_ne_bytes());
    bytes[4..].copy_from_slice(&insn.imm.to_ne_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_that_cannot_be_read_keeps_the_cause() {
        let refused = |_: &[u8]| Err(io::ErrorKind::Other.into());
        let error = Linked::new(b"no object", HashMap::new(), refused).unwrap_err();
        let cause = error.source().unwrap().to_string();
        assert!(matches!(error, SnapshotError::Object(_)) && error.to_string().contains(&cause), "{error}");
    }
}
