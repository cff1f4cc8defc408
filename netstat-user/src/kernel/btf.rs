//! The kernel's own type information: one pass over /sys/kernel/btf/vmlinux that resolves the offsets the programs need and
//! says which tracepoints and functions there are.
//!
//! The format is that of the kernel's Documentation/bpf/btf.rst. aya reads BTF too, but does not give out member offsets.

use std::collections::HashMap;

/// Why the type information cannot be used.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
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

const KIND_INT: u32 = 1;
const KIND_PTR: u32 = 2;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_FWD: u32 = 7;
const KIND_TYPEDEF: u32 = 8;
const KIND_VOLATILE: u32 = 9;
const KIND_CONST: u32 = 10;
const KIND_RESTRICT: u32 = 11;
const KIND_FUNC: u32 = 12;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;
const KIND_FLOAT: u32 = 16;
const KIND_DECL_TAG: u32 = 17;
const KIND_TYPE_TAG: u32 = 18;
const KIND_ENUM64: u32 = 19;

/// What comes before the name of a tracepoint in that of its typedef.
pub const TRACEPOINT: &str = "btf_trace_";

/// The head of a type: its name, `info`, and its size or another type.
const HEAD: usize = 12;
/// The header up to Linux 7.0; later ones have the section of layouts behind it.
const HEADER: usize = 24;
const HEADER_WITH_LAYOUTS: usize = 32;

/// Bytes behind the head of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tail {
    /// Once.
    fixed: usize,
    /// For each member, parameter or value.
    each: usize,
}

impl Tail {
    const fn len(self, vlen: usize) -> usize {
        self.fixed + self.each * vlen
    }

    /// Of the kinds this reader knows.
    const fn known(kind: u32) -> Option<Self> {
        let (fixed, each) = match kind {
            KIND_INT | KIND_VAR | KIND_DECL_TAG => (4, 0),
            KIND_ARRAY => (12, 0),
            KIND_STRUCT | KIND_UNION | KIND_DATASEC | KIND_ENUM64 => (0, 12),
            KIND_ENUM | KIND_FUNC_PROTO => (0, 8),
            KIND_PTR | KIND_FWD | KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST | KIND_RESTRICT | KIND_FUNC
            | KIND_FLOAT | KIND_TYPE_TAG => (0, 0),
            _ => return None,
        };
        Some(Self { fixed, each })
    }
}

/// The tails that a kind unknown to this reader may have, the likeliest first.
const GUESSES: [Tail; 9] = {
    const fn tail(fixed: usize, each: usize) -> Tail {
        Tail { fixed, each }
    }
    [tail(0, 0), tail(4, 0), tail(0, 4), tail(0, 8), tail(0, 12), tail(8, 0), tail(12, 0), tail(0, 16), tail(16, 0)]
};

/// How many types behind one of an unknown kind must make sense for a guess of its length to be taken.
const SENSIBLE: usize = 64;

/// The sections of a blob, and how long its types are.
struct BtfSections<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// `struct btf_layout` of each kind, by which a blob of Linux 7.1 and later says how long its types are.
    layouts: &'a [u8],
    /// Tails of kinds that neither this reader nor the blob knows, once guessed.
    guessed: Vec<(u32, Tail)>,
}

/// The head of a type, read.
#[derive(Clone, Copy)]
struct TypeHead {
    name: u32,
    info: u32,
    /// Size of a struct, an enum and their like; the type that a pointer, a typedef and their like refer to.
    size_or_type: u32,
}

impl TypeHead {
    const fn kind(self) -> u32 {
        self.info >> 24 & 0x7f
    }

    /// Members, parameters or values.
    const fn vlen(self) -> usize {
        (self.info & 0x00ff_ffff) as usize
    }
}

impl<'a> BtfSections<'a> {
    fn new(blob: &'a [u8]) -> Result<Self, BtfError> {
        if blob.get(..3) != Some(&[0x9f, 0xeb, 1]) {
            return Err(BtfError::Magic);
        }
        let header = u32_at(blob, 4)? as usize;
        let section = |at: usize| {
            let (offset, len) = (u32_at(blob, at)?, u32_at(blob, at + 4)?);
            let start = header.saturating_add(offset as usize);
            blob.get(start..start.saturating_add(len as usize)).ok_or(BtfError::Truncated(start))
        };
        let layouts = if header >= HEADER_WITH_LAYOUTS { section(HEADER)? } else { &[] };
        Ok(Self { types: section(8)?, strings: section(16)?, layouts, guessed: Vec::new() })
    }

    fn head(&self, at: usize) -> Result<TypeHead, BtfError> {
        Ok(TypeHead {
            name: u32_at(self.types, at)?,
            info: u32_at(self.types, at + 4)?,
            size_or_type: u32_at(self.types, at + 8)?,
        })
    }

    /// What is known of a kind: by this reader, by the blob, by a guess of before.
    fn tail(&self, kind: u32) -> Option<Tail> {
        let said = || {
            let layout = self.layouts.get(4 * kind as usize..)?.first_chunk::<4>()?;
            Some(Tail { fixed: layout[0].into(), each: layout[1].into() })
        };
        let guessed = || self.guessed.iter().find(|(guessed, _)| *guessed == kind).map(|&(_, tail)| tail);
        Tail::known(kind).or_else(said).or_else(guessed)
    }

    /// Where the type after this one begins.
    fn next(&mut self, id: usize, at: usize, head: TypeHead) -> Result<usize, BtfError> {
        let kind = head.kind();
        let tail = match self.tail(kind) {
            Some(tail) => tail,
            None => {
                let tail = self.guess(at, head).ok_or(BtfError::UnknownKind { id, kind })?;
                self.guessed.push((kind, tail));
                tail
            }
        };
        let next = at + HEAD + tail.len(head.vlen());
        if next > self.types.len() { Err(BtfError::Truncated(at)) } else { Ok(next) }
    }

    /// The length of an unknown kind's tail: the first guess with which the types that follow make sense.
    fn guess(&self, at: usize, head: TypeHead) -> Option<Tail> {
        GUESSES.into_iter().find(|&tail| self.makes_sense(head.kind(), tail, at + HEAD + tail.len(head.vlen())))
    }

    fn makes_sense(&self, kind: u32, tail: Tail, mut at: usize) -> bool {
        for _ in 0..SENSIBLE {
            if at == self.types.len() {
                return true;
            }
            let Ok(head) = self.head(at) else { return false };
            // No type has so many members, and kind 0 is none.
            if head.kind() == 0 || head.vlen() > 0xffff || head.name as usize >= self.strings.len() {
                return false;
            }
            let tail = if head.kind() == kind { Some(tail) } else { self.tail(head.kind()) };
            // What follows another unknown kind proves nothing.
            let Some(tail) = tail else { return true };
            at += HEAD + tail.len(head.vlen());
        }
        true
    }
}

/// What a member is made of, typedefs and qualifiers looked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeShape {
    /// An integer, an enum or a boolean, of so many bytes.
    Number(u32),
    /// A pointer.
    Pointer,
    /// A struct or a union of so many bytes.
    Compound(u32),
    /// An array of so many elements.
    Array(u32),
    /// Something else.
    Other,
}

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

impl<'a> Btf<'a> {
    /// Walks the types once. `wanted` limits the index to these names: the kernel has over a hundred thousand.
    ///
    /// # Errors
    /// A [`BtfError`] where the blob cannot be walked to its end.
    pub fn parse(blob: &'a [u8], wanted: &dyn Fn(&[u8]) -> bool) -> Result<Self, BtfError> {
        let mut sections = BtfSections::new(blob)?;
        let mut btf = Self { types: sections.types, strings: sections.strings, starts: vec![0], named: HashMap::new() };
        let mut at = 0;
        while at < btf.types.len() {
            let id = btf.starts.len();
            btf.starts.push(at as u32);
            let head = sections.head(at)?;
            if matches!(head.kind(), KIND_STRUCT | KIND_FUNC | KIND_TYPEDEF) && head.name != 0 {
                let name = btf.string(head.name);
                if wanted(name) {
                    btf.named.entry(name).or_default().push(id as u32);
                }
            }
            at = sections.next(id, at, head)?;
        }
        Ok(btf)
    }

    /// A blob of the functions and typedefs in the index alone, with the numbers that they have here; every other type is a forward declaration
    /// without a name. aya parses it in no time, finds a name at once, and meets no kind that it does not know.
    pub fn named_alone(&self) -> Vec<u8> {
        let forward: Vec<u8> = [0, KIND_FWD << 24, 0].into_iter().flat_map(u32::to_le_bytes).collect();
        let mut types = forward.repeat(self.starts.len() - 1);
        let mut strings = vec![0];
        for (name, ids) in &self.named {
            for &id in ids {
                let Some((kind @ (KIND_FUNC | KIND_TYPEDEF), ..)) = self.head(id) else { continue };
                let words = [strings.len() as u32, kind << 24].into_iter().flat_map(u32::to_le_bytes);
                types[(id as usize - 1) * HEAD..].iter_mut().zip(words).for_each(|(byte, new)| *byte = new);
            }
            strings.extend_from_slice(name);
            strings.push(0);
        }
        let mut blob = vec![0x9f, 0xeb, 1, 0];
        let (types_len, strings_len) = (types.len() as u32, strings.len() as u32);
        blob.extend([HEADER as u32, 0, types_len, types_len, strings_len].into_iter().flat_map(u32::to_le_bytes));
        blob.extend_from_slice(&types);
        blob.extend_from_slice(&strings);
        blob
    }

    fn string(&self, offset: u32) -> &'a [u8] {
        let rest = self.strings.get(offset as usize..).unwrap_or_default();
        &rest[..memchr::memchr(0, rest).unwrap_or(rest.len())]
    }

    /// `(kind, vlen, size or type, start of the tail)` of a type.
    fn head(&self, id: u32) -> Option<(u32, usize, u32, usize)> {
        let at = *self.starts.get(id as usize).filter(|_| id != 0)? as usize;
        let info = u32_at(self.types, at + 4).ok()?;
        let head = TypeHead { name: 0, info, size_or_type: u32_at(self.types, at + 8).ok()? };
        Some((head.kind(), head.vlen(), head.size_or_type, at + HEAD))
    }

    fn find(&self, kind: u32, name: &str) -> Option<u32> {
        let ids = self.named.get(name.as_bytes())?;
        ids.iter().copied().find(|&id| self.head(id).is_some_and(|head| head.0 == kind))
    }

    /// Offset in bytes of a member of a struct, members of its unnamed structs and unions included. `None` where there is
    /// none, or it is a bit field.
    pub fn offset(&self, strukt: &str, member: &str) -> Option<u32> {
        self.member(strukt, member).map(|(offset, _)| offset)
    }

    /// The same, and what the member is. With a dot in between: a member of that member.
    pub fn member(&self, strukt: &str, path: &str) -> Option<(u32, TypeShape)> {
        let (mut offset, mut typ) = (0_u32, self.find(KIND_STRUCT, strukt)?);
        for name in path.split('.') {
            let (inner, of) = self.find_member(self.bare(typ)?, name.as_bytes(), 0)?;
            (offset, typ) = (offset.saturating_add(inner), of);
        }
        Some((offset, self.shape(typ)))
    }

    /// Offset in bytes, and type, of a member.
    fn find_member(&self, id: u32, name: &[u8], depth: u32) -> Option<(u32, u32)> {
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
                if let Some((inner, typ)) = self.find_member(typ, name, depth + 1) {
                    return Some(((bits / 8).saturating_add(inner), typ));
                }
            } else if self.string(name_at) == name {
                return (!field && bits % 8 == 0).then_some((bits / 8, typ));
            }
        }
        None
    }

    /// A type without its typedefs and qualifiers.
    fn bare(&self, mut typ: u32) -> Option<u32> {
        // A chain longer than any kernel has means a blob that points at itself.
        for _ in 0..32 {
            match self.head(typ)? {
                (KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST | KIND_RESTRICT | KIND_TYPE_TAG, _, of, _) => typ = of,
                _ => return Some(typ),
            }
        }
        None
    }

    fn shape(&self, typ: u32) -> TypeShape {
        let Some((kind, _, size_or_type, tail)) = self.bare(typ).and_then(|typ| self.head(typ)) else {
            return TypeShape::Other;
        };
        match kind {
            KIND_INT | KIND_ENUM | KIND_ENUM64 => TypeShape::Number(size_or_type),
            KIND_PTR => TypeShape::Pointer,
            KIND_STRUCT | KIND_UNION => TypeShape::Compound(size_or_type),
            // `struct btf_array`: type of an element, type of the index, number of elements.
            KIND_ARRAY => u32_at(self.types, tail + 8).map_or(TypeShape::Other, TypeShape::Array),
            _ => TypeShape::Other,
        }
    }

    /// Number of arguments of a tracepoint (by its `btf_trace_NAME` typedef), `None` if the kernel has no such one.
    pub fn tracepoint_args(&self, name: &str) -> Option<usize> {
        let (_, _, pointer, _) = self.head(self.find(KIND_TYPEDEF, &format!("{TRACEPOINT}{name}"))?)?;
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
pub(super) mod tests;
