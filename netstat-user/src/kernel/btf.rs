//! The kernel's own type information: one pass over /sys/kernel/btf/vmlinux that resolves the offsets the programs need and
//! says which tracepoints and functions there are.
//!
//! The format is that of the kernel's Documentation/bpf/btf.rst. aya reads BTF too, but does not give out member offsets.

use std::collections::HashMap;

/// Why the type information cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BtfError {
    /// Not a little-endian BTF blob of version 1.
    #[error("not BTF of this machine's byte order")]
    Magic,
    /// A section or a type ends beyond the blob.
    #[error("cut short at byte {0}")]
    Truncated(usize),
    /// A kind newer than this reader, whose size it cannot know.
    #[error("type {id} is of unknown kind {kind}")]
    UnknownKind {
        /// The type.
        id: usize,
        /// Its kind.
        kind: u32,
    },
}

const KIND_PTR: u32 = 2;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_TYPEDEF: u32 = 8;
const KIND_FUNC: u32 = 12;
const KIND_FUNC_PROTO: u32 = 13;

/// A parsed blob: where each type begins.
pub struct Btf<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// Byte offset of each type in `types`; entry 0 is `void` and points at nothing.
    starts: Vec<u32>,
    /// Named structs, functions and typedefs, by name.
    named: HashMap<&'a [u8], Vec<u32>>,
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, BtfError> {
    let word = bytes.get(at..at.wrapping_add(4)).and_then(|b| b.try_into().ok()).ok_or(BtfError::Truncated(at))?;
    Ok(u32::from_le_bytes(word))
}

/// Bytes that follow the twelve-byte head of a type.
fn tail_len(kind: u32, vlen: usize) -> Option<usize> {
    Some(match kind {
        1 | 14 | 17 => 4,
        3 => 12,
        KIND_STRUCT | KIND_UNION | 15 | 19 => vlen * 12,
        6 | KIND_FUNC_PROTO => vlen * 8,
        KIND_PTR | 7 | KIND_TYPEDEF | 9 | 10 | 11 | KIND_FUNC | 16 | 18 => 0,
        _ => return None,
    })
}

impl<'a> Btf<'a> {
    /// Walks the types once. `wanted` limits the index to these names: the kernel has over a hundred thousand.
    ///
    /// # Errors
    /// A [`BtfError`] where the blob cannot be walked to its end.
    pub fn parse(blob: &'a [u8], wanted: &dyn Fn(&[u8]) -> bool) -> Result<Self, BtfError> {
        if blob.get(..3) != Some(&[0x9f, 0xeb, 1]) {
            return Err(BtfError::Magic);
        }
        let header = u32_at(blob, 4)? as usize;
        let section = |offset: u32, len: u32| {
            let start = header.saturating_add(offset as usize);
            blob.get(start..start.saturating_add(len as usize)).ok_or(BtfError::Truncated(start))
        };
        let types = section(u32_at(blob, 8)?, u32_at(blob, 12)?)?;
        let strings = section(u32_at(blob, 16)?, u32_at(blob, 20)?)?;
        let mut btf = Self { types, strings, starts: vec![0], named: HashMap::new() };
        let mut at = 0;
        while at < types.len() {
            let id = btf.starts.len();
            btf.starts.push(at as u32);
            let (name, info) = (u32_at(types, at)?, u32_at(types, at + 4)?);
            let kind = (info >> 24) & 0x1f;
            if matches!(kind, KIND_STRUCT | KIND_FUNC | KIND_TYPEDEF) && name != 0 {
                let name = btf.string(name);
                if wanted(name) {
                    btf.named.entry(name).or_default().push(id as u32);
                }
            }
            let tail = tail_len(kind, (info & 0xffff) as usize).ok_or(BtfError::UnknownKind { id, kind })?;
            at += 12 + tail;
        }
        Ok(btf)
    }

    fn string(&self, offset: u32) -> &'a [u8] {
        let rest = self.strings.get(offset as usize..).unwrap_or_default();
        &rest[..memchr::memchr(0, rest).unwrap_or(rest.len())]
    }

    /// `(kind, vlen, size or type, start of the tail)` of a type.
    fn head(&self, id: u32) -> Option<(u32, usize, u32, usize)> {
        let at = *self.starts.get(id as usize).filter(|_| id != 0)? as usize;
        let info = u32_at(self.types, at + 4).ok()?;
        Some(((info >> 24) & 0x1f, (info & 0xffff) as usize, u32_at(self.types, at + 8).ok()?, at + 12))
    }

    fn find(&self, kind: u32, name: &str) -> Option<u32> {
        let ids = self.named.get(name.as_bytes())?;
        ids.iter().copied().find(|&id| self.head(id).is_some_and(|head| head.0 == kind))
    }

    /// Offset in bytes of a member of a struct, members of its unnamed structs and unions included. `None` where there is
    /// none, or it is a bit field.
    pub fn offset(&self, strukt: &str, member: &str) -> Option<u32> {
        self.member(self.find(KIND_STRUCT, strukt)?, member.as_bytes(), 0)
    }

    fn member(&self, id: u32, name: &[u8], depth: u32) -> Option<u32> {
        let (kind, vlen, _, tail) = self.head(id)?;
        // Deeper nesting than any kernel has means a blob that points at itself.
        if !matches!(kind, KIND_STRUCT | KIND_UNION) || depth > 16 {
            return None;
        }
        // With the kind flag an offset is 24 bits, and the size of a bit field above it.
        let start = *self.starts.get(id as usize)? as usize;
        let bit_sizes = u32_at(self.types, start + 4).ok()? >> 31 == 1;
        for at in (0..vlen).map(|i| tail + i * 12) {
            let (name_at, typ) = (u32_at(self.types, at).ok()?, u32_at(self.types, at + 4).ok()?);
            let raw = u32_at(self.types, at + 8).ok()?;
            let (bits, field) = if bit_sizes { (raw & 0x00ff_ffff, raw >> 24 != 0) } else { (raw, false) };
            if name_at == 0 {
                if let Some(inner) = self.member(typ, name, depth + 1) {
                    return Some(bits / 8 + inner);
                }
            } else if self.string(name_at) == name {
                return (!field && bits % 8 == 0).then_some(bits / 8);
            }
        }
        None
    }

    /// Number of arguments of a tracepoint (by its `btf_trace_NAME` typedef), `None` if the kernel has no such one.
    pub fn tracepoint_args(&self, name: &str) -> Option<usize> {
        let (_, _, pointer, _) = self.head(self.find(KIND_TYPEDEF, &format!("btf_trace_{name}"))?)?;
        let (kind, _, proto, _) = self.head(pointer)?;
        let (proto_kind, vlen, _, _) = self.head(proto)?;
        // The first parameter is the tracepoint's private data.
        (kind == KIND_PTR && proto_kind == KIND_FUNC_PROTO).then(|| vlen.saturating_sub(1))
    }

    /// The number of a kernel function among the types, `None` if there is none of that name.
    pub fn function_id(&self, name: &str) -> Option<u32> {
        self.find(KIND_FUNC, name)
    }

    /// Number of arguments of a kernel function, `None` if there is none of that name.
    pub fn function_args(&self, name: &str) -> Option<usize> {
        let (_, _, proto, _) = self.head(self.find(KIND_FUNC, name)?)?;
        let (kind, vlen, _, _) = self.head(proto)?;
        (kind == KIND_FUNC_PROTO).then_some(vlen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A blob with `struct s { int a; struct { u8 b_bits:3; long c; }; }`, as a compiler would lay it out.
    fn blob() -> Vec<u8> {
        let strings = b"\0s\0a\0c\0b\0int\0";
        let (s, a, c, b, int) = (1u32, 3u32, 5u32, 7u32, 9u32);
        let mut types = Vec::new();
        let mut word = |w: u32| types.extend_from_slice(&w.to_le_bytes());
        // 1: int
        [int, 1 << 24, 4, 32].into_iter().for_each(&mut word);
        // 2: the unnamed struct, with the kind flag: a bit field of three bits, and a member at bit 64
        [0, 1 << 31 | 4 << 24 | 2, 16, b, 1, 3 << 24, c, 1, 64].into_iter().for_each(&mut word);
        // 3: struct s
        [s, 4 << 24 | 2, 24, a, 1, 0, 0, 2, 64].into_iter().for_each(&mut word);
        let mut blob = vec![0x9f, 0xeb, 1, 0];
        for w in [24, 0, types.len() as u32, types.len() as u32, strings.len() as u32] {
            blob.extend_from_slice(&w.to_le_bytes());
        }
        blob.extend_from_slice(&types);
        blob.extend_from_slice(strings);
        blob
    }

    #[test]
    fn finds_members_through_unnamed_structs() {
        let blob = blob();
        let btf = Btf::parse(&blob, &|_| true).unwrap();
        assert_eq!(btf.offset("s", "a"), Some(0));
        assert_eq!(btf.offset("s", "c"), Some(16));
        assert_eq!(btf.offset("s", "b"), None, "a bit field has no byte offset");
        assert_eq!(btf.offset("s", "nothing"), None);
        assert_eq!(btf.offset("t", "a"), None);
    }

    #[test]
    fn refuses_what_it_cannot_walk() {
        let whole = blob();
        for len in 0..whole.len() {
            // Any prefix is an error or a smaller blob; none may panic.
            let _ = Btf::parse(&whole[..len], &|_| true).map(|btf| btf.offset("s", "c"));
        }
        assert_eq!(Btf::parse(b"\x9f\xeb\x02", &|_| true).err(), Some(BtfError::Magic));
        let mut unknown = whole;
        unknown[24 + 7] = 0x1f;
        assert!(matches!(Btf::parse(&unknown, &|_| true), Err(BtfError::UnknownKind { id: 1, kind: 31 })));
    }

    #[test]
    fn knows_the_running_kernel() {
        let Ok(blob) = std::fs::read("/sys/kernel/btf/vmlinux") else { return };
        let btf = Btf::parse(&blob, &|_| true).unwrap();
        assert_eq!(btf.tracepoint_args("inet_sock_set_state"), Some(3));
        assert_eq!(btf.function_args("tcp_set_state"), Some(2));
        assert_eq!(btf.offset("sock_common", "skc_daddr"), Some(0));
        for (_, strukt, member) in netstat_ebpf::Field::ALL {
            assert!(btf.offset(strukt, member).is_some(), "{strukt}.{member}");
        }
    }
}
