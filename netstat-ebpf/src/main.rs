//! The eBPF object: maps, globals and entry points. Bodies are in the modules; every attach variant is a thin wrapper.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(core_intrinsics), allow(internal_features))]

#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
mod accept;
#[cfg(target_arch = "bpf")]
mod atomic;
#[cfg(target_arch = "bpf")]
mod ehash;
#[cfg(target_arch = "bpf")]
mod ending;
#[cfg(target_arch = "bpf")]
mod listen;
#[cfg(target_arch = "bpf")]
mod mini;
#[cfg(target_arch = "bpf")]
mod owner;
#[cfg(target_arch = "bpf")]
mod prime;
#[cfg(target_arch = "bpf")]
mod programs;
#[cfg(target_arch = "bpf")]
mod read;
#[cfg(target_arch = "bpf")]
mod remembered;
#[cfg(target_arch = "bpf")]
mod report;
#[cfg(target_arch = "bpf")]
mod request;
#[cfg(target_arch = "bpf")]
mod sock;
#[cfg(target_arch = "bpf")]
mod tcp;
#[cfg(target_arch = "bpf")]
mod timer;
#[cfg(target_arch = "bpf")]
mod undisturbed;
#[cfg(target_arch = "bpf")]
mod wanted;

#[cfg(target_arch = "bpf")]
use object::*;

/// Maps and globals.
#[cfg(target_arch = "bpf")]
mod object {
    use crate::{
        atomic::Word,
        listen::{LISTENER_SETS, Listeners},
        mini::Pending,
        owner::{PROCESS_SLOTS, Slot},
        remembered::{Remembered, SETS, Set, WAYS},
    };
    use aya_ebpf::{
        Global,
        bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC},
        macros::map,
        maps::{Array, HashMap, PerCpuArray, RingBuf},
    };
    use netstat_ebpf::{Doubt, FIELDS, counter, filter};

    #[map]
    pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(16 << 20, 0);

    #[map]
    pub(crate) static COUNTERS: PerCpuArray<Word> = PerCpuArray::with_max_entries(counter::COUNT, 0);

    /// What the programs do: [`phase`](netstat_ebpf::phase).
    #[map]
    pub(crate) static STARTED: Array<Word> = Array::with_max_entries(1, 0);

    /// Which entries of [`SOCKETS`] are whose. The flag has the values begin at a page, and so each set, and each entry, at a cache line.
    #[map]
    pub(crate) static KEYS: Array<Set> = Array::with_max_entries(SETS, BPF_F_MMAPABLE);

    /// Live sockets, minisockets and requests: some 15 MB, taken beforehand.
    #[map]
    pub(crate) static SOCKETS: Array<Remembered> = Array::with_max_entries(SETS * WAYS as u32, BPF_F_MMAPABLE);

    /// Those that found no room in their set. Memory is taken as they come.
    #[map]
    pub(crate) static MORE_SOCKETS: HashMap<u64, Remembered> = HashMap::with_max_entries(1 << 20, BPF_F_NO_PREALLOC);

    /// Where [`OFFSETS`] lies, once a program has needed to know.
    pub(crate) static BASE: Word = Word::new(0);

    /// Processes that user space knows the names of.
    #[map]
    pub(crate) static PROCESSES: Array<Slot> = Array::with_max_entries(PROCESS_SLOTS, 0);

    /// Whether the programs that stand in for others are run before those.
    pub(crate) static CLASSIC_FIRST: Word = Word::new(0);

    /// Sockets that listen.
    #[map]
    pub(crate) static LISTENERS: Array<Listeners> = Array::with_max_entries(LISTENER_SETS, 0);

    /// What one hook leaves for the next on the same processor.
    #[map]
    pub(crate) static PENDING: PerCpuArray<Pending> = PerCpuArray::with_max_entries(1, 0);

    /// `tw_timer_handler` and `reqsk_timer_handler` where nobody tells their addresses, once one has come by.
    pub(crate) static TW_TIMER_SEEN: Word = Word::new(0);
    pub(crate) static REQ_TIMER_SEEN: Word = Word::new(0);

    /// The minisocket, or request, whose timer was stopped last on each processor, where it cannot be told at once whether for good.
    #[map]
    pub(crate) static DOUBTS: PerCpuArray<Doubt> = PerCpuArray::with_max_entries(1, 0);

    /// The one that user space asks to be decided.
    #[map]
    pub(crate) static ASKED: Array<u64> = Array::with_max_entries(1, 0);

    #[unsafe(no_mangle)]
    pub(crate) static OFFSETS: [u32; FIELDS] = [netstat_ebpf::ABSENT; FIELDS];

    #[unsafe(no_mangle)]
    pub(crate) static LISTED: [u32; 2 * filter::LISTED] = [0; 2 * filter::LISTED];

    #[unsafe(no_mangle)]
    pub(crate) static CGROUPS: [u64; 2 * filter::CGROUPS_LISTED] = [0; 2 * filter::CGROUPS_LISTED];

    /// Sets of ports by end.
    #[map]
    pub(crate) static PORT_SETS: Array<[u64; filter::PORT_WORDS]> = Array::with_max_entries(filter::ENDS, 0);

    /// Sets of prefixes by end.
    #[map]
    pub(crate) static PREFIXES: Array<[u64; 4]> =
        Array::with_max_entries(filter::ENDS * filter::PREFIXES_LISTED as u32, 0);

    macro_rules! globals {
        ($($name:ident: $type:ty = $default:expr),+ $(,)?) => {
            $(#[unsafe(no_mangle)] pub(crate) static $name: Global<$type> = Global::new($default);)+
        };
    }

    globals! {
        PROTOS: u32 = u32::MAX,
        KINDS: u32 = u32::MAX,
        ENTERED: u32 = u32::MAX,
        LEFT: u32 = u32::MAX,
        PORTS: u32 = 0,
        ADDRS: u32 = 0,
        UNKNOWN_ADDRS: u32 = 0,
        PREFIX_COUNTS: u32 = 0,
        LISTS: u32 = 0,
        LISTED_PIDS: u32 = 0,
        LISTED_NETNS: u32 = 0,
        PIDNS: u32 = 0,
        WAKE_BYTES: u32 = 1 << 20,
        WAKE_MASK: u32 = 0,
        BIRTHS: u32 = 1,
        PREEMPTED: u32 = 0,
        UNDISTURBED: u32 = 0,
        TW_TIMER: u64 = 0,
        REQ_TIMER: u64 = 0,
        MOD_TIMER: u64 = 0,
        MOD_TIMER_END: u64 = 0,
        MOD_PENDING: u64 = 0,
        MOD_PENDING_END: u64 = 0,
    }

    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

    #[panic_handler]
    fn panic(_info: &core::panic::PanicInfo) -> ! {
        loop {}
    }
}
