//! The object with the tracer's programs, made to suit the kernel before it is loaded.

use super::refusal::HookRefusal;
use aya::Ebpf;
use aya::programs::Program;
use netstat_ebpf::kfunc;
use sha2::{Digest, Sha256};
use std::borrow::Cow;

// The programs of kprobes read registers by name; all the others are the same on both.
#[cfg(target_arch = "x86_64")]
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../objects/netstat-ebpf.x86_64.o");
#[cfg(target_arch = "aarch64")]
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../objects/netstat-ebpf.aarch64.o");
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("there is no kernel object for this architecture: add one to OBJECTS in xtask/src/digest.rs");

/// The map of the sockets that found no room in their set of `SOCKETS`; user space sets how many it may hold.
pub const MORE_SOCKETS: &str = "MORE_SOCKETS";

/// `BPF_F_NO_PREALLOC` of `include/uapi/linux/bpf.h`.
const NO_PREALLOC: u32 = 1;

/// How many sockets can be remembered where the map's memory is taken in advance, unless the user asks for another number: some 12 MB.
const PREALLOCATED: u32 = 1 << 16;

/// Why the object cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// It cannot be read.
    #[error("the object of the programs: {0}")]
    Parse(#[from] aya_obj::ParseError),
    /// Its maps are not described as this program expects.
    #[error("the object of the programs does not describe {0} as expected: rebuild it with cargo xtask ebpf")]
    Map(&'static str),
    /// It lacks a call that this program expects.
    #[error("the object of the programs does not call {0}: rebuild it with cargo xtask ebpf")]
    Call(&'static str),
}

/// The SHA-256 digest of the object as it was built, in hexadecimal.
pub fn digest() -> String {
    Sha256::digest(OBJECT).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The size of the growing map in sockets, where it differs from the one in the object.
pub fn remembered(wanted: Option<u32>, preallocated: bool) -> Option<u32> {
    wanted.or(preallocated.then_some(PREALLOCATED))
}

/// The numbers that the kernel's BTF gives the functions of [`kfunc::ALL`].
pub type Kfuncs = [u32; kfunc::ALL.len()];

/// The object; `preallocated`: with no map that takes its memory as it goes; `kfuncs`: with calls of those functions of the kernel.
///
/// # Errors
/// An [`ObjectError`]: it is not the one this program was built for.
pub fn bytes(preallocated: bool, kfuncs: Option<Kfuncs>) -> Result<Cow<'static, [u8]>, ObjectError> {
    let mut object = if preallocated { Cow::Owned(preallocate(OBJECT)?) } else { Cow::Borrowed(OBJECT) };
    for (&(placeholder, name), id) in kfunc::ALL.iter().zip(kfuncs.into_iter().flatten()) {
        let places: Vec<_> = memchr::memmem::find_iter(&object, &call(0, placeholder)).collect();
        if places.is_empty() {
            return Err(ObjectError::Call(name));
        }
        for at in places {
            object.to_mut()[at..at + INSTRUCTION].copy_from_slice(&call(BPF_PSEUDO_KFUNC_CALL, id));
        }
    }
    Ok(object)
}

/// Bytes of an instruction of the BPF machine.
const INSTRUCTION: usize = 8;

/// Says that a call is one of a function of the kernel (`include/uapi/linux/bpf.h`).
pub const BPF_PSEUDO_KFUNC_CALL: u8 = 2;

/// A call as `struct bpf_insn` has it where the lowest byte comes first: the operation, both registers, an offset of 0, the number of what is
/// called.
pub const fn call(source: u8, number: u32) -> [u8; INSTRUCTION] {
    const BPF_JMP_CALL: u8 = 0x85;
    let [a, b, c, d] = number.to_le_bytes();
    [BPF_JMP_CALL, source << 4, 0, 0, a, b, c, d]
}

/// The same object, with the memory of [`MORE_SOCKETS`] taken beforehand. aya sets the size of a map, but not its flags.
fn preallocate(object: &[u8]) -> Result<Vec<u8>, ObjectError> {
    let parsed = aya_obj::Object::parse(object)?;
    let map = parsed.maps.get(MORE_SOCKETS).ok_or(ObjectError::Map(MORE_SOCKETS))?;
    let mut changed = object.to_vec();
    if map.map_flags() & NO_PREALLOC == 0 {
        return Ok(changed);
    }
    // `struct bpf_map_def`: kind, size of key and value, number of entries, flags.
    let definition = |flags: u32| -> Vec<u8> {
        let words = [map.map_type(), map.key_size(), map.value_size(), map.max_entries(), flags];
        words.into_iter().flat_map(u32::to_ne_bytes).collect()
    };
    let (before, after) = (definition(map.map_flags()), definition(map.map_flags() & !NO_PREALLOC));
    let mut places = memchr::memmem::find_iter(object, &before);
    match (places.next(), places.next()) {
        (Some(at), None) => changed[at..at + after.len()].copy_from_slice(&after),
        _ => return Err(ObjectError::Map(MORE_SOCKETS)),
    }
    Ok(changed)
}

/// A program of the object as the type its variant needs.
pub fn program<'a, P>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut P, HookRefusal>
where
    &'a mut P: TryFrom<&'a mut Program>,
{
    typed(ebpf.program_mut(name).ok_or(HookRefusal::Lacks(name))?, name)
}

/// The same of a program that has been looked up.
pub fn typed<'a, P>(program: &'a mut Program, name: &'static str) -> Result<&'a mut P, HookRefusal>
where
    &'a mut P: TryFrom<&'a mut Program>,
{
    program.try_into().map_err(|_| HookRefusal::Lacks(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_old_kernels_no_map_grows() {
        let flags = |object: &[u8]| {
            let parsed = aya_obj::Object::parse(object).unwrap();
            let mut flags: Vec<(String, u32, u32)> =
                parsed.maps.iter().map(|(name, map)| (name.clone(), map.max_entries(), map.map_flags())).collect();
            flags.sort();
            flags
        };
        assert!(matches!(bytes(false, None).unwrap(), Cow::Borrowed(_)));
        let (grows, fixed) = (flags(OBJECT), flags(&bytes(true, None).unwrap()));
        assert!(fixed.iter().filter(|(name, ..)| !name.starts_with('.')).all(|(_, _, flags)| flags & NO_PREALLOC == 0));
        for (before, after) in grows.iter().zip(&fixed) {
            let (name, entries, flags) = before;
            let expected = if name == MORE_SOCKETS { flags & !NO_PREALLOC } else { *flags };
            assert_eq!(after, &(name.clone(), *entries, expected));
        }
        assert!(preallocate(&OBJECT[..100]).is_err());
    }

    #[test]
    fn calls_are_of_the_kernels_functions() {
        let count = |object: &[u8], call: [u8; INSTRUCTION]| memchr::memmem::find_iter(object, &call).count();
        let ids = [77_001, 77_002, 77_003, 77_004];
        let object = bytes(false, Some(ids)).unwrap();
        for ((placeholder, _), id) in kfunc::ALL.into_iter().zip(ids) {
            assert_eq!((count(&object, call(0, placeholder)), count(OBJECT, call(2, id))), (0, 0));
            assert_eq!(count(&object, call(2, id)), count(OBJECT, call(0, placeholder)));
        }
    }

    #[test]
    fn what_is_asked_for_comes_first() {
        assert_eq!(remembered(None, false), None);
        assert_eq!(remembered(None, true), Some(PREALLOCATED));
        assert_eq!(remembered(Some(5), true), Some(5));
        assert_eq!(remembered(Some(5), false), Some(5));
    }
}
