//! The BPF machine, and the kernel's helpers, as safe functions: words that several processors change, values of maps, contexts of programs,
//! calls of the kernel. With `read` the only room with `unsafe`; both are part of every object.

use aya_ebpf::{
    EbpfContext,
    bindings::{bpf_sock, bpf_sock_addr},
    helpers::{
        bpf_get_current_pid_tgid,
        generated::{
            bpf_get_current_ancestor_cgroup_id, bpf_get_current_cgroup_id, bpf_get_current_task_btf,
            bpf_get_current_uid_gid, bpf_get_retval, bpf_get_socket_cookie, bpf_get_stack, bpf_jiffies64,
            bpf_ktime_get_ns, bpf_seq_write, bpf_skc_to_tcp_request_sock, bpf_skc_to_tcp_sock,
            bpf_skc_to_tcp_timewait_sock, bpf_sock_from_file,
        },
    },
    maps::{Array, HashMap, ProgramArray},
    programs::{SockAddrContext, SockContext, TracePointContext},
};
use core::{
    cell::UnsafeCell,
    intrinsics::{AtomicOrdering::SeqCst, atomic_cxchg, atomic_xadd},
    mem::{MaybeUninit, transmute},
};
use netstat_ebpf::kfunc;

/// An address in kernel memory.
///
/// A plain pointer, and no type of its own: aya's contexts give arguments as pointers or numbers only, and the helpers take pointers. No code reads
/// through one as through a pointer of Rust, so that any number may be one: `read` alone loads from an address, either where the verifier admits
/// the load for the kernel's type of it, or by a helper that gives zeros where nothing is mapped. The functions here hand it on to helpers, for
/// which the verifier insists on the type, too.
pub type Addr = *const u8;

/// A word that programs on several processors change at the same time. `core` has none here: the compiler does not know that the BPF machine
/// compares and exchanges (`BPF_CMPXCHG`, since 5.12).
#[repr(transparent)]
pub struct Word(UnsafeCell<u64>);

// SAFETY: every access is atomic.
unsafe impl Sync for Word {}

impl Word {
    /// A word that has this value.
    pub const fn new(word: u64) -> Self {
        Self(UnsafeCell::new(word))
    }

    /// The word now. The machine reads eight aligned bytes at once; the compiler knows atomic loads only of later BPF machines.
    #[inline(always)]
    pub fn load(&self) -> u64 {
        // SAFETY: a reference is valid for reads, and the word is aligned.
        unsafe { self.0.get().read_volatile() }
    }

    /// Writes the word.
    #[inline(always)]
    pub fn store(&self, word: u64) {
        // SAFETY: the cell may be written through a shared reference, and the word is aligned.
        unsafe { self.0.get().write_volatile(word) };
    }

    /// Writes `new` if the word is `old`; returns what it was.
    #[inline(always)]
    pub fn exchange_if(&self, old: u64, new: u64) -> u64 {
        // SAFETY: as for `store`.
        unsafe { atomic_cxchg::<u64, { SeqCst }, { SeqCst }>(self.0.get(), old, new) }.0
    }

    /// Adds to the word, around its end.
    #[inline(always)]
    pub fn add(&self, number: u64) {
        // SAFETY: as for `store`.
        unsafe { atomic_xadd::<u64, u64, { SeqCst }>(self.0.get(), number) };
    }
}

/// Never anything but zero, which the verifier does not know.
static ZERO: Word = Word::new(0);

/// A number whose value the verifier forgets: paths through a program that differ only in it are one to it from here on, and what follows is
/// checked once for all of them.
#[inline(always)]
pub fn forget_value(number: u64) -> u64 {
    number ^ ZERO.load()
}

/// The same of what is true or false.
#[inline(always)]
pub fn forget_truth(truth: bool) -> bool {
    forget_value(u64::from(truth)) != 0
}

/// An element of a table that user space fills before load, and that the kernel freezes then; zero beyond its end.
#[inline(always)]
pub fn frozen<T: Copy + Default, const N: usize>(table: &'static [T; N], index: usize) -> T {
    match table.get(index) {
        // SAFETY: a reference is valid for reads. Volatile: the compiler sees what the table holds before user space fills it.
        Some(element) => unsafe { (&raw const *element).read_volatile() },
        None => T::default(),
    }
}

/// A value of a map.
#[inline(always)]
pub fn value<T: Copy>(map: &'static Array<T>, index: u32) -> Option<&'static mut T> {
    // SAFETY: a value of an array lives as long as the object. Several processors may hold it at the same time, as with every map of the
    // kernel: `T` is plain data, of which any mixture is a value, and the programs compare what they find with the socket at hand.
    map.get_ptr_mut(index).map(|value| unsafe { &mut *value })
}

/// A value of a hash map.
#[inline(always)]
pub fn value_by_key<T: Copy>(map: &'static HashMap<u64, T>, key: u64) -> Option<&'static mut T> {
    // SAFETY: as for `value`; one that is removed is not used again before the program has returned.
    map.get_ptr_mut(key).map(|value| unsafe { &mut *value })
}

/// Two words as they lie in memory.
#[inline(always)]
pub fn bytes(words: [u64; 2]) -> [u8; 16] {
    // SAFETY: any sixteen bytes are a byte array.
    unsafe { transmute(words) }
}

/// Sixteen bytes as two words.
#[inline(always)]
pub fn words(bytes: [u8; 16]) -> [u64; 2] {
    // SAFETY: any sixteen bytes are two words.
    unsafe { transmute(bytes) }
}

/// The time, in nanoseconds of `CLOCK_MONOTONIC`.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: takes nothing, returns a number.
    unsafe { bpf_ktime_get_ns() }
}

/// The time in jiffies, which costs nothing.
#[inline(always)]
pub fn jiffies() -> u64 {
    // SAFETY: takes nothing, returns a number.
    unsafe { bpf_jiffies64() }
}

/// Thread-group id of the task on the CPU, as the initial PID namespace numbers it.
#[inline(always)]
pub fn current_tgid() -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}

/// The task on the CPU, with its type.
#[inline(always)]
pub fn current_task() -> Addr {
    // SAFETY: takes nothing; the verifier knows what it returns.
    unsafe { bpf_get_current_task_btf() as Addr }
}

/// The real user of the task on the CPU.
#[inline(always)]
pub fn current_uid() -> u32 {
    // SAFETY: takes nothing, returns a number.
    unsafe { bpf_get_current_uid_gid() as u32 }
}

/// Id of the cgroup that the task on the CPU is in.
#[inline(always)]
pub fn current_cgroup() -> u64 {
    // SAFETY: takes nothing, returns a number.
    unsafe { bpf_get_current_cgroup_id() }
}

/// Id of the cgroup on this level below the root that the task on the CPU is in, or below of.
#[inline(always)]
pub fn current_ancestor_cgroup(level: i32) -> u64 {
    // SAFETY: takes and returns a number.
    unsafe { bpf_get_current_ancestor_cgroup_id(level) }
}

/// Whether another program of cgroups has refused what is asked for. Those of the root of the hierarchy run after those below it.
#[inline(always)]
pub fn is_refused() -> bool {
    // SAFETY: takes nothing, returns a number.
    unsafe { bpf_get_retval() != 0 }
}

/// Where the context of a program lies.
#[inline(always)]
pub fn address_of(ctx: &impl EbpfContext) -> Addr {
    ctx.as_ptr().cast_const().cast()
}

/// The innermost callers of the kernel function that a program is attached to.
#[inline(always)]
pub fn callers<const N: usize>(ctx: &impl EbpfContext) -> [u64; N] {
    let mut frames = [0u64; N];
    // SAFETY: the length is that of the array; the verifier insists on a context.
    unsafe { bpf_get_stack(ctx.as_ptr(), frames.as_mut_ptr().cast(), (N * 8) as u32, 0) };
    frames
}

/// A field of a classic tracepoint's record, at an offset that the plan has checked in tracefs.
#[inline(always)]
pub fn field<T: Copy>(ctx: &TracePointContext, offset: usize) -> T {
    // SAFETY: the verifier admits only loads inside the record.
    unsafe { ctx.as_ptr().cast_const().byte_add(offset).cast::<T>().read_volatile() }
}

/// What the context of a `cgroup/sock` program says of its socket. The context is the socket's address.
#[derive(Clone, Copy)]
pub struct Socket {
    /// Its address family.
    pub family: u8,
    /// `SOCK_STREAM` and its like.
    pub kind: u16,
    /// Its protocol.
    pub protocol: u16,
}

impl Socket {
    /// As the context has it.
    #[inline(always)]
    pub fn of(ctx: &SockContext) -> Self {
        let sock: *const bpf_sock = ctx.sock;
        // SAFETY: the verifier turns these into loads of the socket's own fields.
        let (family, kind, protocol) = unsafe { ((*sock).family, (*sock).type_, (*sock).protocol) };
        Self { family: family as u8, kind: kind as u16, protocol: protocol as u16 }
    }
}

/// Cookie of a socket, made if it has none.
#[inline(always)]
pub fn cookie(sk: Addr) -> u64 {
    // SAFETY: the verifier insists on a trusted `struct sock *`, or on the context of a `cgroup/sock` program.
    unsafe { bpf_get_socket_cookie(sk.cast_mut().cast()) }
}

/// The `struct tcp_sock` of a socket, typed; null if it is no whole socket of TCP.
#[inline(always)]
pub fn tcp_sock(sk: Addr) -> Addr {
    // SAFETY: the verifier insists on a `struct sock_common *` that it knows; the helper checks what that is part of.
    unsafe { bpf_skc_to_tcp_sock(sk.cast_mut().cast()) }.cast()
}

/// The `struct tcp_timewait_sock` of one, likewise.
#[inline(always)]
pub fn time_wait_sock(sk: Addr) -> Addr {
    // SAFETY: as for `tcp_sock`.
    unsafe { bpf_skc_to_tcp_timewait_sock(sk.cast_mut().cast()) }.cast()
}

/// The `struct tcp_request_sock` of one, likewise.
#[inline(always)]
pub fn request_sock(sk: Addr) -> Addr {
    // SAFETY: as for `tcp_sock`.
    unsafe { bpf_skc_to_tcp_request_sock(sk.cast_mut().cast()) }.cast()
}

/// The `struct socket` of a file, typed; null if it is none.
#[inline(always)]
pub fn socket_of_file(file: Addr) -> Addr {
    // SAFETY: the verifier insists on a trusted `struct file *`.
    unsafe { bpf_sock_from_file(file.cast_mut().cast()) }.cast()
}

/// Address of the socket of a program for addresses; may be null.
#[inline(always)]
pub fn socket_of(ctx: &SockAddrContext) -> Addr {
    let addr: *const bpf_sock_addr = ctx.sock_addr;
    // SAFETY: the verifier turns this into a load of the socket's address.
    unsafe { (*addr).__bindgen_anon_1.sk.cast_const().cast() }
}

/// Protocol of the socket of a program for addresses.
#[inline(always)]
pub fn protocol_of(ctx: &SockAddrContext) -> u16 {
    // SAFETY: the verifier turns this into a load of the socket's own field.
    unsafe { (*ctx.sock_addr).protocol as u16 }
}

/// Whether the address asked for is of the family of the socket: another one is refused for that.
#[inline(always)]
pub fn is_of_its_family(ctx: &SockAddrContext) -> bool {
    // SAFETY: the verifier turns these into loads of the address asked for and of the socket's own field.
    unsafe { (*ctx.sock_addr).user_family == (*ctx.sock_addr).family }
}

/// The IPv4 address and the port asked for, host byte order.
#[inline(always)]
pub fn asked4(ctx: &SockAddrContext) -> ([u64; 2], u16) {
    // SAFETY: the verifier turns these into loads of the address asked for.
    let (addr, port) = unsafe { ((*ctx.sock_addr).user_ip4, (*ctx.sock_addr).user_port) };
    ([u64::from(addr), 0], u16::from_be(port as u16))
}

/// The same, IPv6.
#[inline(always)]
pub fn asked6(ctx: &SockAddrContext) -> ([u64; 2], u16) {
    // SAFETY: as above.
    let (addr, port) = unsafe { ((*ctx.sock_addr).user_ip6, (*ctx.sock_addr).user_port) };
    let word = |at: usize| u64::from(addr[at]) | u64::from(addr[at + 1]) << 32;
    ([word(0), word(2)], u16::from_be(port as u16))
}

/// Context of a `bpf_map` iterator (`struct bpf_iter__bpf_map`). The kernel alone makes contexts of iterators, for their entry points.
#[repr(C)]
pub struct MapContext {
    meta: Meta,
    map: Addr,
}

impl MapContext {
    /// Whether this is the last call, which is without a map.
    #[inline(always)]
    pub const fn is_last(&self) -> bool {
        self.map.is_null()
    }
}

/// Where the kernel has what it hands to every iterator.
#[repr(transparent)]
struct Meta(*const IteratorMeta);

/// What the kernel hands to every iterator (`struct bpf_iter_meta`).
#[repr(C)]
struct IteratorMeta {
    output: Addr,
}

impl Meta {
    /// Where the iterator writes.
    #[inline(always)]
    const fn output(&self) -> Addr {
        // SAFETY: the kernel makes every context that this is part of, and sets it to what is valid until the program returns.
        unsafe { (*self.0).output }
    }
}

/// Context of an iterator over sockets (`struct bpf_iter__tcp`, `struct bpf_iter__udp`).
#[repr(C)]
pub struct SocketContext {
    meta: Meta,
    sk: Addr,
    uid: u32,
}

impl SocketContext {
    /// Where the iterator writes, the socket and its user; the socket is null in the last call.
    #[inline(always)]
    pub const fn listed(&self) -> (Addr, Addr, u32) {
        (self.meta.output(), self.sk, self.uid)
    }
}

/// Context of a `task_file` iterator (`struct bpf_iter__task_file`).
#[repr(C)]
pub struct FileContext {
    meta: Meta,
    task: Addr,
    fd: u32,
    pad: u32,
    file: Addr,
}

impl FileContext {
    /// Where the iterator writes, the task and the file; the last two are null in the last call.
    #[inline(always)]
    pub const fn listed(&self) -> (Addr, Addr, Addr) {
        (self.meta.output(), self.task, self.file)
    }
}

/// Writes a record to where an iterator writes; false where that is full: the kernel comes back with the same object at the next read.
#[inline(always)]
pub fn write<T: Copy>(output: Addr, record: &T) -> bool {
    // SAFETY: the verifier insists on the output of the iterator, and on a record that is whole.
    unsafe { bpf_seq_write(output.cast_mut().cast(), (&raw const *record).cast(), size_of::<T>() as u32) == 0 }
}

/// Runs the body of a program, with preemption off if that is `wanted`.
///
/// Since Linux 7.0 a task that runs a program on a tracepoint can be preempted there, and the kernel then leaves the program out for every
/// other task on that processor until the first one goes on. So preemption is put off until after the program: it is switched on again while
/// interrupts are off, when the kernel does not look for another task.
///
/// The functions that do that are called by numbers that are no helper's (`BPF_CALL`): user space puts those of the kernel's BTF in their place
/// before it loads the object.
#[inline(always)]
pub fn undisturbed_if(wanted: bool, body: impl FnOnce()) {
    if !wanted {
        body();
        return;
    }
    let mut flags = MaybeUninit::<u64>::uninit();
    // SAFETY: when this is loaded, these are the numbers of functions that take nothing, and of two that take the address of a word of the stack.
    unsafe {
        kernel_function(kfunc::PREEMPT_DISABLE)();
        body();
        kernel_function_of_word(kfunc::LOCAL_IRQ_SAVE)(flags.as_mut_ptr());
        kernel_function(kfunc::PREEMPT_ENABLE)();
        kernel_function_of_word(kfunc::LOCAL_IRQ_RESTORE)(flags.as_mut_ptr());
    }
}

/// Closes a socket; 0, or the kernel's errno below it.
///
/// An iterator over sockets holds the lock of the one that it shows, and no other program may call the kernel's function, which reads
/// `sk_protocol`: that lies beyond the end of a minisocket.
#[inline(always)]
pub fn destroy(sk: Addr) -> i32 {
    // SAFETY: when this is loaded, the number is that of `int bpf_sock_destroy(struct sock_common *)`; the verifier insists on the trusted pointer of
    // an iterator's context.
    unsafe { transmute::<usize, unsafe extern "C" fn(Addr) -> i32>(kfunc::SOCK_DESTROY.0 as usize)(sk) }
}

/// Goes on in another program for the same hook, and returns only where there is none.
#[inline(always)]
pub fn go_on(ctx: &impl EbpfContext, programs: &'static ProgramArray, index: u32) {
    // SAFETY: nothing of this program has to be undone.
    unsafe { programs.tail_call(ctx, index) }
}

#[inline(always)]
fn kernel_function(number: u32) -> unsafe extern "C" fn() {
    // SAFETY: the number is never looked at, but for the call.
    unsafe { transmute(number as usize) }
}

#[inline(always)]
fn kernel_function_of_word(number: u32) -> unsafe extern "C" fn(*mut u64) {
    // SAFETY: the number is never looked at, but for the call.
    unsafe { transmute(number as usize) }
}

/// The helpers for programs under the GPL are open to every object.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}
