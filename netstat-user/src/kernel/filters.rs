//! [`Limits`] as the globals of the programs have them.

use crate::model::{Limits, Proto, limits::Kinds};
use netstat_ebpf::{ANY, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE, proto_bit};

/// Values of the programs' globals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filters {
    pub protos: u32,
    pub states: u32,
    pub port: u32,
    pub lport: u32,
    pub rport: u32,
    pub pid: u32,
    pub netns: u32,
}

impl Filters {
    /// The nearest that the programs can do.
    pub fn of(limits: &Limits) -> Self {
        let only = |numbers: &Option<Vec<u32>>| match numbers.as_deref() {
            Some(&[number]) => number,
            _ => ANY,
        };
        let transitions = limits.kinds == Some(Kinds::STATE);
        let port = |ports: &Option<crate::model::limits::Ports>| {
            let ports = ports.as_ref().filter(|ports| !ports.unknown);
            let mut members = ports.into_iter().flat_map(|ports| (0..=u16::MAX).filter(|&port| ports.has(Some(port))));
            match (members.next(), members.next()) {
                (Some(port), None) => u32::from(port),
                _ => ANY,
            }
        };
        Self {
            protos: limits.protos.as_deref().map_or(u32::MAX, proto_bits),
            states: limits.entered.filter(|_| transitions).map_or(ANY, |states| states.bits()),
            port: port(&limits.ports),
            lport: port(&limits.lports),
            rport: port(&limits.rports),
            pid: only(&limits.pids),
            netns: only(&limits.netns),
        }
    }
}

fn proto_bits(protos: &[Proto]) -> u32 {
    let bit = |proto: &Proto| match proto {
        Proto::Tcp | Proto::Tcp6 => proto_bit(IPPROTO_TCP, false, proto.is_v6()),
        Proto::Udp | Proto::Udp6 => proto_bit(IPPROTO_UDP, false, proto.is_v6()),
        Proto::UdpLite | Proto::UdpLite6 => proto_bit(IPPROTO_UDPLITE, false, proto.is_v6()),
        Proto::Raw | Proto::Raw6 => proto_bit(0, true, proto.is_v6()),
    };
    protos.iter().filter_map(bit).fold(0, |bits, bit| bits | bit)
}
