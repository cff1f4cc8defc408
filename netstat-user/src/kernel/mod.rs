//! All of aya: what the kernel offers, which hook variants to attach, and the records that come back.
//!
//! Facts → decision → apply: [`facts`] asks the kernel, [`plan`] decides purely, [`attach`] loads and attaches. [`Tracer`] is what
//! the rest of the program sees.

mod accepts;
pub mod attach;
pub mod btf;
mod cgroup;
pub mod decode;
mod doubts;
mod facts;
mod health;
mod iter;
mod object;
pub mod plan;
mod prime;
mod processes;
mod ring;
mod shapes;
pub mod snapshot;
mod symbols;
mod unseen;

pub use attach::{AttachError, Wanted};
pub use facts::missing_capabilities;
pub use health::{Missed, checks, missed};
pub use plan::{Hook, Variant};
pub use ring::{Records, Tracer};
pub use snapshot::Iterators;

/// The kernel programs' filter for these protocols; all of them if none is named.
pub fn proto_bits(protos: &[crate::model::Proto]) -> u32 {
    use crate::model::Proto;
    use netstat_ebpf::{IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE, proto_bit};
    if protos.is_empty() {
        return u32::MAX;
    }
    let bit = |proto: &Proto| match proto {
        Proto::Tcp | Proto::Tcp6 => proto_bit(IPPROTO_TCP, false, proto.is_v6()),
        Proto::Udp | Proto::Udp6 => proto_bit(IPPROTO_UDP, false, proto.is_v6()),
        Proto::UdpLite | Proto::UdpLite6 => proto_bit(IPPROTO_UDPLITE, false, proto.is_v6()),
        Proto::Raw | Proto::Raw6 => proto_bit(0, true, proto.is_v6()),
    };
    protos.iter().filter_map(bit).fold(0, |bits, bit| bits | bit)
}
