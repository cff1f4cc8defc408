//! System calls as a 32-bit process of x86 makes them, from a 64-bit one: `int 0x80` takes the numbers and the argument layout of i386.

#![cfg(target_arch = "x86_64")]

use nix::libc;
use std::arch::asm;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Numbers of `arch/x86/entry/syscalls/syscall_32.tbl`, and of `include/uapi/linux/net.h`.
const GETPID: u32 = 20;
const SOCKETCALL: u32 = 102;
const ACCEPT4: u32 = 364;
const SYS_ACCEPT: u32 = 5;
const SYS_ACCEPT4: u32 = 18;

/// One call. Where the kernel knows no such calls, it ends the process.
///
/// # Safety
/// As the call with these arguments.
unsafe fn call(number: u32, arguments: [u32; 4]) -> i32 {
    let [b, c, d, si] = arguments;
    let result: u32;
    // SAFETY: the kernel keeps all registers but eax, and on some versions clears r8 to r11. rbx is the compiler's, and so kept here.
    unsafe {
        asm!(
            "xchg {b:r}, rbx",
            "int 0x80",
            "xchg {b:r}, rbx",
            b = inout(reg) u64::from(b) => _,
            inlateout("eax") number => result,
            in("ecx") c,
            in("edx") d,
            in("esi") si,
            in("edi") 0,
            lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
        );
    }
    result.cast_signed()
}

/// Whether the kernel runs such calls; the process is killed if not.
pub fn probe() -> bool {
    // SAFETY: the call takes nothing.
    unsafe { call(GETPID, [0; 4]) }.cast_unsigned() == std::process::id()
}

/// Accepts a connection without asking whose it is.
pub fn accept(listener: &impl AsRawFd, how: &str) -> OwnedFd {
    // Where a 32-bit pointer reaches.
    // SAFETY: asks for memory of its own.
    let page = unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
        libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)
    };
    assert_ne!(page, libc::MAP_FAILED);
    let fd = listener.as_raw_fd().cast_unsigned();
    // SAFETY: the page is there, writable, and this function's alone.
    unsafe { page.cast::<[u32; 4]>().write([fd, 0, 0, 0]) };
    let arguments = page as usize as u32;
    // SAFETY: the arguments that the calls take are at that address, or are the numbers given.
    let result = unsafe {
        match how {
            "accept" => call(SOCKETCALL, [SYS_ACCEPT, arguments, 0, 0]),
            "accept4" => call(SOCKETCALL, [SYS_ACCEPT4, arguments, 0, 0]),
            _ => call(ACCEPT4, [fd, 0, 0, 0]),
        }
    };
    assert!(result >= 0, "{how}: errno {}", -result);
    // SAFETY: the kernel has just made this descriptor for us.
    unsafe { OwnedFd::from_raw_fd(result) }
}
