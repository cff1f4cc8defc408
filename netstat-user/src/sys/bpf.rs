//! bpf(2), as far as iterators need it: a frozen table, a program, its link, and a walk to read.
//!
//! aya does the same for the tracer. But its loader parses the whole of the kernel's BTF, twice for an iterator, which takes longer
//! than a table of ten thousand sockets; and it has no way to be told the one number it looks for there.

use std::ffi::CStr;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

// Commands, types and flags of `include/uapi/linux/bpf.h`.
const BPF_MAP_CREATE: libc::c_long = 0;
const BPF_MAP_UPDATE_ELEM: libc::c_long = 2;
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_MAP_FREEZE: libc::c_long = 22;
const BPF_LINK_CREATE: libc::c_long = 28;
const BPF_ITER_CREATE: libc::c_long = 33;
const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_F_RDONLY_PROG: u32 = 1 << 7;
const BPF_PROG_TYPE_TRACING: u32 = 26;
const BPF_TRACE_ITER: u32 = 28;

/// How much of the verifier's log is kept: its last line says what is wrong.
const LOG: usize = 256 * 1024;

/// One instruction, as `struct bpf_insn`.
pub type Instruction = [u8; 8];

/// # Safety
/// `attr` begins with the fields of `union bpf_attr` that `command` reads, and its pointers are valid for what the command does.
unsafe fn bpf<T>(command: libc::c_long, attr: &T) -> io::Result<libc::c_long> {
    // SAFETY: the kernel reads so many bytes of `attr`, takes the fields beyond as zero, and writes to none of the commands above.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attr), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// # Safety
/// As [`bpf`], and the command gives a new descriptor.
unsafe fn bpf_fd<T>(command: libc::c_long, attr: &T) -> io::Result<OwnedFd> {
    // SAFETY: the caller vouches for it.
    let fd = unsafe { bpf(command, attr) }?;
    // SAFETY: new, and nobody else's; descriptors fit an int.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}

/// A map of one entry that nobody can change any more, so that the verifier takes its bytes as constants.
///
/// # Errors
/// The kernel's.
pub fn constants(bytes: &[u8]) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Create {
        map_type: u32,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
        map_flags: u32,
    }
    #[repr(C)]
    struct Update {
        map_fd: u32,
        pad: u32,
        key: *const u32,
        value: *const u8,
        flags: u64,
    }
    let value_size = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let create =
        Create { map_type: BPF_MAP_TYPE_ARRAY, key_size: 4, value_size, max_entries: 1, map_flags: BPF_F_RDONLY_PROG };
    // SAFETY: the fields of BPF_MAP_CREATE, which has no pointers.
    let map = unsafe { bpf_fd(BPF_MAP_CREATE, &create) }?;
    let map_fd = map.as_raw_fd() as u32;
    let update = Update { map_fd, pad: 0, key: &0, value: bytes.as_ptr(), flags: 0 };
    // SAFETY: the fields of BPF_MAP_UPDATE_ELEM; the key has the four bytes and the value the `value_size` the map was made with.
    unsafe { bpf(BPF_MAP_UPDATE_ELEM, &update) }?;
    // SAFETY: BPF_MAP_FREEZE reads the descriptor only.
    unsafe { bpf(BPF_MAP_FREEZE, &map_fd) }?;
    Ok(map)
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

/// Loads an iterator program and links it to the iterator that `target`, a function in the kernel's BTF, stands for. The link
/// keeps the program.
///
/// # Errors
/// The kernel's; a refusal by the verifier carries its complaint.
pub fn iterator(name: &str, code: &[Instruction], license: &CStr, target: u32) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Link {
        prog_fd: u32,
        target_fd: u32,
        attach_type: u32,
        flags: u32,
    }
    let mut prog_name = [0; 16];
    // The last byte stays NUL.
    for (to, from) in prog_name[..15].iter_mut().zip(name.bytes()) {
        *to = from;
    }
    let mut load = Load {
        prog_type: BPF_PROG_TYPE_TRACING,
        insn_cnt: u32::try_from(code.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        insns: code.as_ptr(),
        license: license.as_ptr(),
        log_level: 0,
        log_size: 0,
        log_buf: std::ptr::null_mut(),
        kern_version: 0,
        prog_flags: 0,
        prog_name,
        prog_ifindex: 0,
        expected_attach_type: BPF_TRACE_ITER,
        prog_btf_fd: 0,
        func_info_rec_size: 0,
        func_info: 0,
        func_info_cnt: 0,
        line_info_rec_size: 0,
        line_info: 0,
        line_info_cnt: 0,
        attach_btf_id: target,
    };
    // SAFETY: the fields of BPF_PROG_LOAD; `code` and `license` outlive the call, and there is no log.
    let program = match unsafe { bpf_fd(BPF_PROG_LOAD, &load) } {
        // What the verifier refuses (a program it cannot follow has EINVAL or E2BIG) is asked for again, with the reason.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EACCES | libc::EINVAL | libc::E2BIG)) => {
            let mut log = vec![0u8; LOG];
            (load.log_level, load.log_size, load.log_buf) = (1, LOG as u32, log.as_mut_ptr());
            // SAFETY: as above, and the log has the size given.
            unsafe { bpf_fd(BPF_PROG_LOAD, &load) }.map_err(|error| refusal(&error, &log))?
        }
        other => other?,
    };
    let prog_fd = program.as_raw_fd() as u32;
    let link = Link { prog_fd, target_fd: 0, attach_type: BPF_TRACE_ITER, flags: 0 };
    // SAFETY: the fields of BPF_LINK_CREATE; no pointers.
    unsafe { bpf_fd(BPF_LINK_CREATE, &link) }
}

/// The verifier's complaint: its last line but the statistics.
fn refusal(error: &io::Error, log: &[u8]) -> io::Error {
    let end = log.iter().position(|&byte| byte == 0).unwrap_or(log.len());
    let log = String::from_utf8_lossy(&log[..end]);
    let complaint = log.lines().rev().find(|line| !line.trim().is_empty() && !line.starts_with("processed "));
    io::Error::new(error.kind(), format!("{error}: {}", complaint.unwrap_or_default()))
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
