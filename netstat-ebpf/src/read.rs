//! Every raw read of kernel memory. A body is written once over [`Memory`] and stamped for the
//! two ways a program may look: [`Typed`], where the verifier knows the pointer's type (BTF tracepoints, fentry), and [`Probed`], where it does
//! not.

use crate::sys::{self, Addr, Word, frozen};
use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use core::mem::MaybeUninit;
use netstat_ebpf::{ABSENT, FIELDS, Field};

#[unsafe(no_mangle)]
static OFFSETS: [u32; FIELDS] = [ABSENT; FIELDS];

/// Where [`OFFSETS`] lies, once a program has needed to know.
static BASE: Word = Word::new(0);

/// The offset of a field, or [`ABSENT`]. The globals are frozen before load, so that the verifier folds this into a constant and
/// drops what hangs on an absent field.
#[inline(always)]
pub fn offset(field: Field) -> u32 {
    frozen(&OFFSETS, field as usize)
}

/// The address of [`OFFSETS`] as a number: once a pointer was stored in memory, the verifier takes it for one.
#[inline(always)]
fn base() -> u64 {
    let base = BASE.load();
    if base != 0 {
        return base;
    }
    BASE.exchange_if(0, &raw const OFFSETS as u64);
    BASE.load()
}

/// In place of an inode that cannot be read. Not an `Option`: of a `None` the compiler copies what it never wrote, which the verifier refuses.
pub const UNKNOWN_INODE: u64 = u64::MAX;

/// The task on the CPU, with its type; `None` where the kernel's types are hidden.
#[inline(always)]
pub fn task() -> Option<Addr> {
    (offset(Field::TaskGroupLeader) != ABSENT).then(sys::current_task)
}

/// A way to look at kernel memory.
pub trait Memory {
    /// Reads a value at an address.
    fn at<T: Copy + Default>(address: Addr) -> T;

    /// A number that identifies an address: its distance from [`OFFSETS`]. The verifier lets no program calculate with a pointer whose type it
    /// knows, but the distance of two pointers is a number.
    fn key(address: Addr) -> u64;

    /// An address as a number, for a program's function that the verifier checks by itself: it takes nothing else.
    #[inline(always)]
    fn number(address: Addr) -> u64 {
        let number = Self::key(address).wrapping_add(base());
        // SAFETY: a variable of this function is valid for reads. Volatile: the compiler may calculate with the address otherwise.
        unsafe { core::ptr::read_volatile(&raw const number) }
    }

    /// The `struct tcp_sock` of a TCP `struct sock`, null if it is none.
    fn tcp_sock(sk: Addr) -> Addr;

    /// The state of a socket of TCP.
    #[inline(always)]
    fn state(sk: Addr) -> u8 {
        Self::get(sk, Field::SkcState).unwrap_or_default()
    }

    /// The socket cookie, made if the program type can; 0 if there is none.
    fn cookie(sk: Addr) -> u64;

    /// Reads a field, `None` if this kernel lacks it.
    #[inline(always)]
    fn get<T: Copy + Default>(base: Addr, field: Field) -> Option<T> {
        let offset = offset(field);
        (offset != ABSENT).then(|| Self::at(base.wrapping_add(offset as usize)))
    }

    /// Follows a pointer, `None` if this kernel lacks it or it is null.
    #[inline(always)]
    fn follow(base: Addr, field: Field) -> Option<Addr> {
        let address = Self::get::<u64>(base, field)? as Addr;
        (!address.is_null()).then_some(address)
    }

    /// Inode number of the network namespace of a socket.
    #[inline(always)]
    fn netns(sk: Addr) -> Option<u32> {
        Self::inum(Self::follow(sk, Field::SkcNet)?)
    }

    /// Inode number of a `struct net`.
    #[inline(always)]
    fn inum(net: Addr) -> Option<u32> {
        let (ns, inum) = (offset(Field::NetNs), offset(Field::NsInum));
        (ns != ABSENT && inum != ABSENT).then(|| Self::at(net.wrapping_add(ns as usize + inum as usize)))
    }

    /// Inode of the socket: 0 if it has none (orphans, children not accepted), [`UNKNOWN_INODE`] if it cannot be read.
    #[inline(always)]
    fn inode(sk: Addr) -> u64 {
        Self::find_inode(sk).unwrap_or(UNKNOWN_INODE)
    }

    /// The same, `None` if it cannot be read.
    #[inline(always)]
    fn find_inode(sk: Addr) -> Option<u64> {
        let Some(socket) = Self::follow(sk, Field::SkSocket) else {
            return (offset(Field::SkSocket) != ABSENT).then_some(0);
        };
        let Some(file) = Self::follow(socket, Field::SocketFile) else {
            return (offset(Field::SocketFile) != ABSENT).then_some(0);
        };
        Self::get(Self::follow(file, Field::FileInode)?, Field::InodeIno)
    }

    /// The same by way of `struct socket_alloc`, which has the inode before the socket has a file: `None` too if the socket has none. The
    /// verifier does not know what lies behind a `struct socket`.
    #[inline(always)]
    fn allocated_inode(sk: Addr) -> Option<u64> {
        let inode = offset(Field::SocketAllocInode);
        if inode == ABSENT {
            return None;
        }
        Probed::get(Self::follow(sk, Field::SkSocket)?.wrapping_add(inode as usize), Field::InodeIno)
    }

    /// An IPv4 or IPv6 address out of `struct sock_common`, in network order, IPv4 in the first four bytes.
    #[inline(always)]
    fn address(sk: Addr, v6: bool, v4_field: Field, v6_field: Field) -> Option<[u64; 2]> {
        if v6 {
            let offset = offset(v6_field);
            if offset == ABSENT {
                return None;
            }
            let address = sk.wrapping_add(offset as usize);
            Some([Self::at(address), Self::at(address.wrapping_add(8))])
        } else {
            Some([u64::from(Self::get::<u32>(sk, v4_field)?), 0])
        }
    }
}

/// Memory behind pointers whose type the verifier knows: plain loads, which fault to zero.
pub struct Typed;

impl Memory for Typed {
    #[inline(always)]
    fn at<T: Copy + Default>(address: Addr) -> T {
        // SAFETY: the verifier admits the load only if it knows the pointer's type and the offset lies in a field of it.
        unsafe { core::ptr::read_volatile(address.cast()) }
    }

    #[inline(always)]
    fn key(address: Addr) -> u64 {
        (address as u64).wrapping_sub(&raw const OFFSETS as u64)
    }

    #[inline(always)]
    fn tcp_sock(sk: Addr) -> Addr {
        sys::tcp_sock(sk)
    }

    #[inline(always)]
    fn cookie(sk: Addr) -> u64 {
        sys::cookie(sk)
    }
}

/// Memory anywhere: a helper call per read, zero where it faults.
pub struct Probed;

impl Memory for Probed {
    #[inline(always)]
    fn at<T: Copy + Default>(address: Addr) -> T {
        let mut read = MaybeUninit::<T>::uninit();
        // SAFETY: the helper survives any address, and fills what it cannot read with zeros (`bpf_probe_read_kernel_common`), of which every `T`
        // here is made. So nothing hangs on what it returns, and the verifier has one path to check instead of two.
        unsafe {
            bpf_probe_read_kernel(read.as_mut_ptr().cast(), size_of::<T>() as u32, address.cast());
            read.assume_init()
        }
    }

    /// The address is a number already, from which the verifier lets no pointer be subtracted.
    #[inline(always)]
    fn key(address: Addr) -> u64 {
        (address as u64).wrapping_sub(base())
    }

    #[inline(always)]
    fn number(address: Addr) -> u64 {
        address as u64
    }

    #[inline(always)]
    fn tcp_sock(sk: Addr) -> Addr {
        // `struct tcp_sock` begins with its `struct sock`.
        sk
    }

    #[inline(always)]
    fn cookie(sk: Addr) -> u64 {
        Self::get(sk, Field::SkcCookie).unwrap_or_default()
    }
}
