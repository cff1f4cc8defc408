//! bpf(2), as far as iterators need it: a frozen table, numbers by cookie, a program, its link, and a walk to read; addresses of kernel functions; and who else
//! is attached to a cgroup.
//!
//! aya does the same for the tracer. But its loader parses the whole of the kernel's BTF, twice for an iterator, which takes longer
//! than a table of ten thousand sockets; and there is no way to hand it the one number that it looks for there.

use std::ffi::CStr;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

// Commands, types and flags of `include/uapi/linux/bpf.h`.
const BPF_MAP_CREATE: libc::c_long = 0;
const BPF_MAP_LOOKUP_ELEM: libc::c_long = 1;
const BPF_MAP_UPDATE_ELEM: libc::c_long = 2;
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_TEST_RUN: libc::c_long = 10;
const BPF_PROG_GET_FD_BY_ID: libc::c_long = 13;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const BPF_PROG_QUERY: libc::c_long = 16;
const BPF_MAP_FREEZE: libc::c_long = 22;
const BPF_LINK_CREATE: libc::c_long = 28;
const BPF_ITER_CREATE: libc::c_long = 33;
const BPF_MAP_TYPE_HASH: u32 = 1;
const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_F_RDONLY_PROG: u32 = 1 << 7;
const BPF_PROG_TYPE_SOCKET_FILTER: u32 = 1;
const BPF_PROG_TYPE_TRACING: u32 = 26;
const BPF_PROG_TYPE_SYSCALL: u32 = 31;
const BPF_F_SLEEPABLE: u32 = 1 << 4;
const BPF_TRACE_ITER: u32 = 28;
const BPF_F_ALLOW_MULTI: u32 = 1 << 1;

/// `ENOTSUPP` of `include/linux/errno.h`, which is not meant for user space and gets there all the same: the kernel's compiler cannot translate a
/// program, say.
pub const ENOTSUPP: i32 = 524;

/// How much of the verifier's log is kept: its last line says what is wrong.
const LOG: usize = 256 * 1024;

/// One instruction, as `struct bpf_insn`.
pub type Instruction = [u8; 8];

/// # Safety
/// `attr` points at the fields of `union bpf_attr` that `command` reads, or reads and writes, and its pointers are valid for what it does.
unsafe fn bpf<T>(command: libc::c_long, attr: *const T) -> io::Result<libc::c_long> {
    // SAFETY: the kernel reads so many bytes of `attr`, and takes the fields beyond as zero; the caller vouches for the rest.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr, size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// # Safety
/// As [`bpf`], and the command gives a new descriptor.
unsafe fn bpf_fd<T>(command: libc::c_long, attr: *const T) -> io::Result<OwnedFd> {
    // SAFETY: the caller vouches for it.
    let fd = unsafe { bpf(command, attr) }?;
    // SAFETY: new, and nobody else's; descriptors fit an int.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}

/// The fields of `BPF_MAP_CREATE`.
#[repr(C)]
struct CreateMap {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
}

/// The fields of `BPF_MAP_UPDATE_ELEM` and of `BPF_MAP_LOOKUP_ELEM`, which writes to the value.
#[repr(C)]
struct Element<K, V> {
    map_fd: u32,
    pad: u32,
    key: *const K,
    value: V,
    flags: u64,
}

/// A map of one entry that nobody can change any more, so that the verifier takes its bytes as constants.
///
/// # Errors
/// The kernel's.
pub fn constants(bytes: &[u8]) -> io::Result<OwnedFd> {
    let value_size = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let create = CreateMap {
        map_type: BPF_MAP_TYPE_ARRAY,
        key_size: 4,
        value_size,
        max_entries: 1,
        map_flags: BPF_F_RDONLY_PROG,
    };
    // SAFETY: the fields of BPF_MAP_CREATE, which has no pointers.
    let map = unsafe { bpf_fd(BPF_MAP_CREATE, &create) }?;
    let map_fd = map.as_raw_fd() as u32;
    let update = Element { map_fd, pad: 0, key: &0u32, value: bytes.as_ptr(), flags: 0 };
    // SAFETY: the fields of BPF_MAP_UPDATE_ELEM; the key has the four bytes and the value the `value_size` the map was made with.
    unsafe { bpf(BPF_MAP_UPDATE_ELEM, &update) }?;
    // SAFETY: BPF_MAP_FREEZE reads the descriptor only.
    unsafe { bpf(BPF_MAP_FREEZE, &map_fd) }?;
    Ok(map)
}

/// A map that has a number for each of so many cookies.
///
/// # Errors
/// The kernel's.
pub fn numbers_by_cookie(entries: usize) -> io::Result<OwnedFd> {
    let create = CreateMap {
        map_type: BPF_MAP_TYPE_HASH,
        key_size: size_of::<u64>() as u32,
        value_size: size_of::<i32>() as u32,
        max_entries: u32::try_from(entries.max(1)).map_err(|_| io::ErrorKind::InvalidInput)?,
        map_flags: 0,
    };
    // SAFETY: the fields of BPF_MAP_CREATE, which has no pointers.
    unsafe { bpf_fd(BPF_MAP_CREATE, &create) }
}

/// Sets a cookie's number in a map of [`numbers_by_cookie`].
///
/// # Errors
/// The kernel's.
pub fn put_number(map: BorrowedFd<'_>, cookie: u64, number: i32) -> io::Result<()> {
    let value: *const i32 = &number;
    let update = Element { map_fd: map.as_raw_fd() as u32, pad: 0, key: &cookie, value, flags: 0 };
    // SAFETY: the fields of BPF_MAP_UPDATE_ELEM; key and value have the sizes that such a map is made with.
    unsafe { bpf(BPF_MAP_UPDATE_ELEM, &update) }.map(|_| ())
}

/// A cookie's number in a map of [`numbers_by_cookie`].
///
/// # Errors
/// The kernel's; there is none.
pub fn number(map: BorrowedFd<'_>, cookie: u64) -> io::Result<i32> {
    let mut number = 0i32;
    let value: *mut i32 = &mut number;
    let look = Element { map_fd: map.as_raw_fd() as u32, pad: 0, key: &cookie, value, flags: 0 };
    // SAFETY: the fields of BPF_MAP_LOOKUP_ELEM; key and value have the sizes that such a map is made with, and the value is written to.
    unsafe { bpf(BPF_MAP_LOOKUP_ELEM, &look) }?;
    Ok(number)
}

/// The fields of `BPF_PROG_LOAD` up to the last one that is set.
#[repr(C)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: *const Instruction,
    license: *const libc::c_char,
    log_level: u32,
    log_size: u32,
    log_buf: *mut u8,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
    prog_btf_fd: u32,
    func_info_rec_size: u32,
    func_info: u64,
    func_info_cnt: u32,
    line_info_rec_size: u32,
    line_info: u64,
    line_info_cnt: u32,
    attach_btf_id: u32,
}

/// Loads a program; a refusal by the verifier carries its complaint.
fn load(load: &mut Load) -> io::Result<OwnedFd> {
    // SAFETY: the fields of BPF_PROG_LOAD; its makers below see to it that code and license outlive the call, and there is no log.
    match unsafe { bpf_fd(BPF_PROG_LOAD, &raw const *load) } {
        // What the verifier refuses (a program it cannot follow has EINVAL or E2BIG) is asked for again, with the reason.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EACCES | libc::EINVAL | libc::E2BIG)) => {
            let mut log = vec![0u8; LOG];
            (load.log_level, load.log_size, load.log_buf) = (1, LOG as u32, log.as_mut_ptr());
            // SAFETY: as above, and the log has the size given.
            // Where the log is too small for the complaint, that is another error: the first one is what it is.
            unsafe { bpf_fd(BPF_PROG_LOAD, &raw const *load) }.map_err(|_| refusal(error, &log))
        }
        other => other,
    }
}

impl Load {
    fn new(prog_type: u32, code: &[Instruction], license: &CStr) -> io::Result<Self> {
        Ok(Self {
            prog_type,
            insn_cnt: u32::try_from(code.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
            insns: code.as_ptr(),
            license: license.as_ptr(),
            log_level: 0,
            log_size: 0,
            log_buf: std::ptr::null_mut(),
            kern_version: 0,
            prog_flags: 0,
            prog_name: [0; 16],
            prog_ifindex: 0,
            expected_attach_type: 0,
            prog_btf_fd: 0,
            func_info_rec_size: 0,
            func_info: 0,
            func_info_cnt: 0,
            line_info_rec_size: 0,
            line_info: 0,
            line_info_cnt: 0,
            attach_btf_id: 0,
        })
    }
}

/// Loads an iterator program and links it to the iterator that `target`, a function in the kernel's BTF, stands for. The link
/// keeps the program.
///
/// # Errors
/// The kernel's; a refusal by the verifier carries its complaint.
pub fn iterator(name: &str, code: &[Instruction], license: &CStr, target: u32) -> io::Result<OwnedFd> {
    let mut iterator = Load::new(BPF_PROG_TYPE_TRACING, code, license)?;
    // The last byte stays NUL.
    for (to, from) in iterator.prog_name[..15].iter_mut().zip(name.bytes()) {
        *to = from;
    }
    (iterator.expected_attach_type, iterator.attach_btf_id) = (BPF_TRACE_ITER, target);
    link_iterator(load(&mut iterator)?.as_fd())
}

/// Links a loaded iterator program to all that its iterator has. The link keeps the program.
///
/// # Errors
/// The kernel's.
pub fn link_iterator(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Link {
        prog_fd: u32,
        target_fd: u32,
        attach_type: u32,
        flags: u32,
    }
    let prog_fd = program.as_raw_fd() as u32;
    let link = Link { prog_fd, target_fd: 0, attach_type: BPF_TRACE_ITER, flags: 0 };
    // SAFETY: the fields of BPF_LINK_CREATE; no pointers.
    unsafe { bpf_fd(BPF_LINK_CREATE, &link) }
}

/// An instruction as `struct bpf_insn`: operation, both registers (the source is the higher half), offset, number.
const fn instruction(operation: u8, registers: u8, offset: i16, number: u32) -> Instruction {
    let ([o0, o1], [n0, n1, n2, n3]) = (offset.to_ne_bytes(), number.to_ne_bytes());
    [operation, registers, o0, o1, n0, n1, n2, n3]
}

/// Whether programs can compare and exchange atomically, which distributions may have brought to older kernels than Linux 5.12 (5.18 on
/// arm64). `None` where the kernel's answer says nothing about that.
pub fn has_compare_exchange() -> Option<bool> {
    const CODE: [Instruction; 5] = [
        // r0 = 0; r1 = 0; *(u64 *)(r10 - 8) = r0
        instruction(0xb7, 0, 0, 0),
        instruction(0xb7, 1, 0, 0),
        instruction(0x7b, 10, -8, 0),
        // r0 = cmpxchg((u64 *)(r10 - 8), r0, r1) (BPF_STX | BPF_DW | BPF_ATOMIC, with BPF_CMPXCHG as number); exit
        instruction(0xdb, 1 << 4 | 10, -8, 0xf1),
        instruction(0x95, 0, 0, 0),
    ];
    let program = Load::new(BPF_PROG_TYPE_SOCKET_FILTER, &CODE, c"Dual MIT/GPL").ok()?;
    // SAFETY: the fields of BPF_PROG_LOAD; code and license live for ever, and there is no log.
    match unsafe { bpf_fd(BPF_PROG_LOAD, &raw const program) }.map_err(|error| error.raw_os_error()) {
        Ok(_) => Some(true),
        Err(Some(libc::EINVAL | ENOTSUPP)) => Some(false),
        Err(_) => None,
    }
}

/// The addresses of kernel functions, given by their numbers in the kernel's BTF: the verifier puts each into a program, and the program
/// runs once to hand them out. It knows functions since Linux 6.4.
///
/// # Errors
/// The kernel's; a refusal by the verifier carries its complaint.
pub fn addresses(functions: &[u32]) -> io::Result<Vec<u64>> {
    #[repr(C)]
    struct Run {
        prog_fd: u32,
        retval: u32,
        data_size_in: u32,
        data_size_out: u32,
        data_in: u64,
        data_out: u64,
        repeat: u32,
        duration: u32,
        ctx_size_in: u32,
        ctx_size_out: u32,
        ctx_in: *mut u64,
        ctx_out: u64,
    }
    let mut code = Vec::new();
    for (at, &function) in functions.iter().enumerate() {
        let at = i16::try_from(8 * at).map_err(|_| io::ErrorKind::InvalidInput)?;
        // r2 = address of the function (BPF_PSEUDO_BTF_ID); *(u64 *)(r1 + at) = r2
        code.push(instruction(0x18, 3 << 4 | 2, 0, function));
        code.push(instruction(0, 0, 0, 0));
        code.push(instruction(0x7b, 2 << 4 | 1, at, 0));
    }
    // r0 = 0; exit
    code.push(instruction(0xb7, 0, 0, 0));
    code.push(instruction(0x95, 0, 0, 0));
    let mut syscall = Load::new(BPF_PROG_TYPE_SYSCALL, &code, c"Dual MIT/GPL")?;
    syscall.prog_flags = BPF_F_SLEEPABLE;
    let program = load(&mut syscall)?;
    let mut found = vec![0u64; functions.len()];
    let mut run = Run {
        prog_fd: program.as_raw_fd() as u32,
        retval: 0,
        data_size_in: 0,
        data_size_out: 0,
        data_in: 0,
        data_out: 0,
        repeat: 0,
        duration: 0,
        ctx_size_in: u32::try_from(8 * functions.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        ctx_size_out: 0,
        ctx_in: found.as_mut_ptr(),
        ctx_out: 0,
    };
    // SAFETY: the fields of BPF_PROG_TEST_RUN, some of which it writes; the context is read and written back, in the size given.
    unsafe { bpf(BPF_PROG_TEST_RUN, &raw mut run) }?;
    Ok(found)
}

/// The kernel's error with the verifier's complaint: the last line of its log but the statistics.
pub fn refusal(error: io::Error, log: &[u8]) -> io::Error {
    let end = log.iter().position(|&byte| byte == 0).unwrap_or(log.len());
    let log = String::from_utf8_lossy(&log[..end]);
    let statistics = |line: &str| ["processed ", "subprog "].iter().any(|begins| line.starts_with(begins));
    let complaint = log.lines().rev().find(|line| !line.trim().is_empty() && !statistics(line)).unwrap_or_default();
    io::Error::new(error.kind(), VerifierRefusal { error, complaint: complaint.to_owned() })
}

/// A program that the kernel refused.
#[derive(Debug, thiserror::Error)]
#[error("{error}: {complaint}")]
struct VerifierRefusal {
    #[source]
    error: io::Error,
    /// What the verifier finds wrong with it.
    complaint: String,
}

/// The number of the kernel's error, also where the verifier's complaint stands beside it.
pub fn errno(error: &io::Error) -> Option<i32> {
    let refused = || error.get_ref()?.downcast_ref::<VerifierRefusal>()?.error.raw_os_error();
    error.raw_os_error().or_else(refused)
}

/// A program that is attached to a cgroup and lets none beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exclusive {
    /// Its number.
    pub id: u32,
    /// Its name, at most 15 bytes; empty where it has none.
    pub name: Vec<u8>,
}

/// The program of this attach type that is attached to the cgroup itself without `BPF_F_ALLOW_MULTI`, if there is one.
///
/// # Errors
/// The kernel's.
pub fn exclusive(cgroup: BorrowedFd<'_>, attach_type: u32) -> io::Result<Option<Exclusive>> {
    #[repr(C)]
    struct Query {
        target_fd: u32,
        attach_type: u32,
        query_flags: u32,
        attach_flags: u32,
        prog_ids: *mut u32,
        prog_cnt: u32,
        pad: u32,
        prog_attach_flags: u64,
        link_ids: u64,
        link_attach_flags: u64,
        revision: u64,
    }
    let mut ids = [0u32; 4];
    let mut query = Query {
        target_fd: cgroup.as_raw_fd() as u32,
        attach_type,
        query_flags: 0,
        attach_flags: 0,
        prog_ids: ids.as_mut_ptr(),
        prog_cnt: ids.len() as u32,
        pad: 0,
        prog_attach_flags: 0,
        link_ids: 0,
        link_attach_flags: 0,
        revision: 0,
    };
    // SAFETY: the fields of BPF_PROG_QUERY, some of which it writes; `prog_ids` has room for `prog_cnt` numbers.
    match unsafe { bpf(BPF_PROG_QUERY, &raw mut query) } {
        // More than fit: they are not alone.
        Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => return Ok(None),
        other => other?,
    };
    if query.prog_cnt == 0 || query.attach_flags & BPF_F_ALLOW_MULTI != 0 {
        return Ok(None);
    }
    // Without the right to look at it, or if it has gone meanwhile, it has a number all the same.
    Ok(Some(Exclusive { id: ids[0], name: program_name(ids[0]).unwrap_or_default() }))
}

/// The name of a loaded program.
fn program_name(id: u32) -> io::Result<Vec<u8>> {
    /// `struct bpf_prog_info` up to its name, which is at byte 64.
    #[repr(C)]
    struct Info {
        before: [u64; 8],
        name: [u8; 16],
    }
    #[repr(C)]
    struct Get {
        prog_id: u32,
        next_id: u32,
        open_flags: u32,
    }
    #[repr(C)]
    struct About {
        fd: u32,
        info_len: u32,
        info: *mut Info,
    }
    // SAFETY: the fields of BPF_PROG_GET_FD_BY_ID; no pointers.
    let program = unsafe { bpf_fd(BPF_PROG_GET_FD_BY_ID, &Get { prog_id: id, next_id: 0, open_flags: 0 }) }?;
    // Zero: nothing but the name is wanted of what has a length and a pointer.
    let mut info = Info { before: [0; 8], name: [0; 16] };
    let about = About { fd: program.as_raw_fd() as u32, info_len: size_of::<Info>() as u32, info: &raw mut info };
    // SAFETY: the fields of BPF_OBJ_GET_INFO_BY_FD; `info` has room for `info_len` bytes.
    unsafe { bpf(BPF_OBJ_GET_INFO_BY_FD, &about) }?;
    let end = info.name.iter().position(|&byte| byte == 0).unwrap_or(info.name.len());
    Ok(info.name[..end].to_vec())
}

/// Begins a walk: a descriptor to read the records from. A walk over sockets is over those of the calling thread's network namespace.
///
/// # Errors
/// The kernel's.
pub fn walk(link: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Create {
        link_fd: u32,
        flags: u32,
    }
    let create = Create { link_fd: link.as_fd().as_raw_fd() as u32, flags: 0 };
    // SAFETY: the fields of BPF_ITER_CREATE; no pointers.
    unsafe { bpf_fd(BPF_ITER_CREATE, &create) }
}
