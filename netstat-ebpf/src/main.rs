//! The eBPF object: maps, globals and entry points. Bodies are in the modules; every attach variant is a thin wrapper.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
mod kept;
#[cfg(target_arch = "bpf")]
mod owner;
#[cfg(target_arch = "bpf")]
mod programs;
#[cfg(target_arch = "bpf")]
mod read;
#[cfg(target_arch = "bpf")]
mod sock;
#[cfg(target_arch = "bpf")]
mod tcp;

#[cfg(target_arch = "bpf")]
use object::*;

/// Maps and globals.
#[cfg(target_arch = "bpf")]
mod object {
    use crate::{kept::Kept, sock::Remembered};
    use aya_ebpf::{
        Global,
        macros::map,
        maps::{HashMap, PerCpuArray, RingBuf},
    };
    use netstat_ebpf::{ANY, FIELDS, counter};

    #[map]
    pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(16 << 20, 0);

    #[map]
    pub(crate) static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(counter::COUNT, 0);

    /// Memory is taken as sockets come (`BPF_F_NO_PREALLOC`).
    #[map]
    pub(crate) static SOCKETS: HashMap<u64, Remembered> = HashMap::with_max_entries(1 << 20, 1);

    #[unsafe(link_section = ".maps")]
    #[unsafe(no_mangle)]
    pub(crate) static KEPT: Kept = Kept::new();

    #[unsafe(no_mangle)]
    pub(crate) static OFFSETS: [u32; FIELDS] = [netstat_ebpf::ABSENT; FIELDS];

    macro_rules! globals {
        ($($name:ident: $default:expr),+ $(,)?) => {
            $(#[unsafe(no_mangle)] pub(crate) static $name: Global<u32> = Global::new($default);)+
        };
    }

    globals! {
        PROTOS: u32::MAX,
        STATES: ANY,
        PORT: ANY,
        LPORT: ANY,
        RPORT: ANY,
        PID: ANY,
        NETNS: ANY,
        PIDNS: 0,
        WAKE_BYTES: 1 << 20,
    }

    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

    #[panic_handler]
    fn panic(_info: &core::panic::PanicInfo) -> ! {
        loop {}
    }
}
